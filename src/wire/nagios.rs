//! wire: what the checks of Nagios (monitoring-plugins) print: a line for people, and behind `|`
//! performance data: `'label'=value[unit];[warning];[critical];[min];[max]`.

use crate::model::{Kind, Range};

use super::shown;
use super::value::parse_value;

/// More data in one answer are a check gone wrong.
const MAX_DATA: usize = 1_000;

/// One value of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// As the check calls it, without quotes.
    pub label: String,
    /// In base units; `None`: the check does not know it (`U`).
    pub value: Option<f64>,
    /// `seconds`, `bytes`, `percent` or nothing; any other as it was written.
    pub unit: String,
    /// A counter if its unit is `c`.
    pub kind: Kind,
    /// In the same unit as the value.
    pub warning: Range,
    /// In the same unit as the value.
    pub critical: Range,
    /// The least and the most that the value can be.
    pub bounds: Range,
}

/// Everything that a check says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Check {
    /// Its first line, for people.
    pub text: String,
    /// Its performance data.
    pub data: Vec<Datum>,
    /// Data that were not understood, with what is wrong.
    pub faults: Vec<String>,
}

/// The word for an exit status; 3 and beyond are "unknown".
pub fn state_word(status: i32) -> &'static str {
    match status {
        0 => "ok",
        1 => "warning",
        2 => "critical",
        _ => "unknown",
    }
}

/// Reads what a check printed. Of long output, everything behind the second `|` is data too.
pub fn read(text: &[u8]) -> Check {
    let text = String::from_utf8_lossy(text);
    let mut out = Check::default();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let (said, data) = first.split_once('|').unwrap_or((first, ""));
    out.text = said.trim().chars().filter(|c| !c.is_control()).take(1_000).collect();
    read_data(data, &mut out);
    if let Some((_, data)) = rest.split_once('|') {
        for line in data.lines() {
            read_data(line, &mut out);
        }
    }
    out
}

fn read_data(text: &str, out: &mut Check) {
    let mut rest = text.trim();
    while !rest.is_empty() {
        if out.data.len() + out.faults.len() == MAX_DATA {
            return out.faults.push(format!("more than {MAX_DATA} values"));
        }
        let (datum, after) = one(rest);
        match datum {
            Ok(datum) => out.data.push(datum),
            Err(reason) => out.faults.push(reason),
        }
        rest = after.trim_start();
    }
}

/// The first datum, and what is behind it.
fn one(text: &str) -> (Result<Datum, String>, &str) {
    let end = |text: &str| text.find(char::is_whitespace).unwrap_or(text.len());
    let (label, after) = match text.strip_prefix('\'') {
        // Two quotes are one that is meant.
        Some(quoted) => {
            let mut label = String::new();
            let mut chars = quoted.char_indices().peekable();
            let close = loop {
                match chars.next() {
                    None => break None,
                    Some((at, '\'')) => match chars.peek() {
                        Some((_, '\'')) => {
                            label.push('\'');
                            chars.next();
                        }
                        _ => break Some(at + 1),
                    },
                    Some((_, c)) => label.push(c),
                }
            };
            let Some(close) = close else {
                return (Err(format!("a quote in `{}` is not closed", shown(text))), "");
            };
            let after = quoted.get(close..).unwrap_or_default();
            match after.strip_prefix('=') {
                Some(after) => (label, after),
                None => {
                    let (_, rest) = after.split_at(end(after));
                    return (Err(format!("`{}` has no value", shown(&label))), rest);
                }
            }
        }
        None => match text.split_once('=') {
            Some((label, after)) if !label.contains(char::is_whitespace) => {
                (label.to_owned(), after)
            }
            _ => {
                let (word, rest) = text.split_at(end(text));
                return (Err(format!("`{}` has no value", shown(word))), rest);
            }
        },
    };
    let (values, rest) = after.split_at(end(after));
    (datum(label, values), rest)
}

fn datum(label: String, text: &str) -> Result<Datum, String> {
    let label: String = label.chars().filter(|c| !c.is_control()).take(200).collect();
    if label.is_empty() {
        return Err(format!("`{}` has no label", shown(text)));
    }
    let mut parts = text.split(';');
    let value = parts.next().unwrap_or_default();
    let digits = value.find(|c: char| !(c.is_ascii_digit() || "+-.,eE".contains(c)));
    let (number, unit) = value.split_at(digits.unwrap_or(value.len()));
    let (unit, factor) = base(unit);
    let read = |text: &str| -> Result<Option<f64>, String> {
        // The comma of some languages.
        let text = text.trim().replace(',', ".");
        let text = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
        match text {
            "" | "~" => Ok(None),
            text => match parse_value(text) {
                Ok(v) if v.is_finite() => Ok(Some(v * factor)),
                _ => Err(format!("`{}` of `{}` is no number", shown(text), shown(&label))),
            },
        }
    };
    let range = |text: Option<&str>| match text.unwrap_or_default() {
        // Inside instead of outside: that is no range of values that are fine.
        text if text.starts_with('@') => Ok(Range::default()),
        text => match text.split_once(':') {
            Some((min, max)) => Ok(Range { min: read(min)?, max: read(max)? }),
            // A bare number is `0:number`.
            None => {
                let max = read(text)?;
                Ok::<_, String>(Range { min: max.map(|_| 0.0), max })
            }
        },
    };
    let warning = range(parts.next())?;
    let critical = range(parts.next())?;
    let min = parts.next().map_or(Ok(None), read)?;
    let max = parts.next().map_or(Ok(None), read)?;
    let value = match (number, value.starts_with('U')) {
        ("", true) => None,
        ("", false) => return Err(format!("`{}` has no value", shown(&label))),
        (number, _) => read(number)?,
    };
    let kind = if unit == "c" { Kind::Counter } else { Kind::Gauge };
    let unit = if unit == "c" || value.is_none() { String::new() } else { unit };
    let bounds = Range { min, max };
    Ok(Datum { label, value, unit, kind, warning, critical, bounds })
}

/// The base unit of a unit, and what a value in it has to be multiplied with.
fn base(unit: &str) -> (String, f64) {
    let (name, factor) = match unit {
        "s" => ("seconds", 1.0),
        "ms" => ("seconds", 1e-3),
        "us" => ("seconds", 1e-6),
        "ns" => ("seconds", 1e-9),
        "%" => ("percent", 1.0),
        "B" => ("bytes", 1.0),
        // They say KB and mean 1,024.
        "KB" | "kB" | "KiB" => ("bytes", 1024.0),
        "MB" | "MiB" => ("bytes", 1024.0 * 1024.0),
        "GB" | "GiB" => ("bytes", 1024.0 * 1024.0 * 1024.0),
        "TB" | "TiB" => ("bytes", 1024.0 * 1024.0 * 1024.0 * 1024.0),
        other => {
            let plain = other.chars().filter(|c| !c.is_control()).take(20);
            return (plain.collect(), 1.0);
        }
    };
    (name.to_owned(), factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(min: Option<f64>, max: Option<f64>) -> Range {
        Range { min, max }
    }

    #[test]
    fn a_disk_with_units_and_thresholds() {
        let check = read(b"DISK OK - free space: / 3326 MiB (56%);| /=2643MiB;5948;5958;0;5968\n");
        assert_eq!(check.text, "DISK OK - free space: / 3326 MiB (56%);");
        let mib = 1_048_576.0;
        assert_eq!(
            check.data,
            [Datum {
                label: "/".into(),
                value: Some(2643.0 * mib),
                unit: "bytes".into(),
                kind: Kind::Gauge,
                warning: range(Some(0.0), Some(5948.0 * mib)),
                critical: range(Some(0.0), Some(5958.0 * mib)),
                bounds: range(Some(0.0), Some(5968.0 * mib)),
            }]
        );
    }

    #[test]
    fn units_quotes_ranges_and_long_output() {
        let text = b"PING OK | rta=1.5ms;3000:;~:5000 'it''s a label'=7c pl=0%;80;100;0;100\n\
            more\nand more | time=2s\nlast=U x=1,5q;@1:2";
        let check = read(text);
        let labels: Vec<&str> = check.data.iter().map(|d| &*d.label).collect();
        assert_eq!(labels, ["rta", "it's a label", "pl", "time", "last", "x"]);
        let d = &check.data;
        assert_eq!((d[0].value, &*d[0].unit), (Some(0.0015), "seconds"));
        assert_eq!(d[0].warning, range(Some(3.0), None));
        assert_eq!(d[0].critical, range(None, Some(5.0)));
        assert_eq!((d[1].kind, &*d[1].unit), (Kind::Counter, ""));
        assert_eq!(d[2].bounds, range(Some(0.0), Some(100.0)));
        assert_eq!(d[4].value, None);
        assert_eq!((d[5].value, &*d[5].unit, d[5].warning), (Some(1.5), "q", Range::default()));
        assert_eq!(check.faults, [] as [&str; 0]);
    }

    #[test]
    fn what_is_broken_costs_itself_only() {
        let check = read(b"OK | a=x b=1 c 'd=2\n");
        assert_eq!(check.data.len(), 1);
        assert_eq!(check.data[0].label, "b");
        assert_eq!(check.faults.len(), 3, "{:?}", check.faults);
        assert_eq!(read(b"").data, []);
        assert_eq!(state_word(2), "critical");
        assert_eq!(state_word(127), "unknown");
    }

    proptest! {
        #[test]
        fn labels_and_values_read_back(
            label in "[a-zA-Z/ ='é]{1,12}",
            value in -1e12..1e12f64,
            warning in 0.0..1e6f64,
        ) {
            prop_assume!(!label.trim().is_empty());
            let text = format!("OK | '{}'={value};{warning};;; tail=1", label.replace('\'', "''"));
            let check = read(text.as_bytes());
            prop_assert_eq!(check.faults, [] as [&str; 0]);
            prop_assert_eq!(&check.data[0].label, &label);
            prop_assert_eq!(check.data[0].value, Some(value));
            prop_assert_eq!(check.data[0].warning, range(Some(0.0), Some(warning)));
            prop_assert_eq!(&check.data[1].label, "tail");
        }

        #[test]
        fn whatever_comes_in_is_bounded(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let check = read(&text);
            prop_assert!(check.data.len() + check.faults.len() <= text.len());
        }
    }
}
