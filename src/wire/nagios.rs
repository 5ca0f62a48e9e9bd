//! wire: the output of Nagios checks (monitoring-plugins): a line for people, and after `|`
//! performance data: `'label'=value[unit];[warning];[critical];[min];[max]`.

use crate::model::{Kind, Range};

use super::shown;
use super::value::parse_value;

/// The largest number of data in one answer. A check with more is faulty.
const MAX_DATA: usize = 1_000;

/// One value of a check.
#[derive(Debug, Clone, PartialEq)]
pub struct Datum {
    /// Its name in the check's output, without quotes.
    pub label: String,
    /// The value in base units; `None` if the check does not know it (`U`).
    pub value: Option<f64>,
    /// `seconds`, `bytes`, `percent` or nothing; any other as it was written.
    pub unit: String,
    /// A counter if its unit is `c`.
    pub kind: Kind,
    /// The range outside of which the value is a warning, in the unit of the value.
    pub warning: Range,
    /// The range outside of which the value is critical, in the unit of the value.
    pub critical: Range,
    /// The least and the most that the value can be.
    pub bounds: Range,
}

/// The output of a check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Check {
    /// The first line, for people.
    pub text: String,
    /// Its performance data.
    pub data: Vec<Datum>,
    /// The faults of data that were not understood.
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

/// Reads the output of a check. In a long output, everything after the second `|` is data, too.
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
    // A single comma also separates two values.
    let between = |c: char| c.is_whitespace() || c == ',';
    let mut rest = text.trim_start_matches(between).trim_end();
    while !rest.is_empty() {
        if out.data.len() + out.faults.len() >= MAX_DATA {
            return out.faults.push(format!("more than {MAX_DATA} values"));
        }
        let (datum, after) = one(rest, &mut out.faults);
        match datum {
            Ok(datum) => out.data.push(datum),
            Err(reason) => out.faults.push(reason),
        }
        rest = after.trim_start_matches(between);
    }
}

/// The first datum, and the rest.
fn one<'a>(text: &'a str, faults: &mut Vec<String>) -> (Result<Datum, String>, &'a str) {
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
    (datum(label, values, faults), rest)
}

fn datum(label: String, text: &str, faults: &mut Vec<String>) -> Result<Datum, String> {
    let label: String = label.chars().filter(|c| !c.is_control()).take(200).collect();
    if label.is_empty() {
        return Err(format!("`{}` has no label", shown(text)));
    }
    // Some checks put commas between their data.
    let mut parts = text.trim_end_matches(',').split(';');
    let value = parts.next().unwrap_or_default();
    let (number, written) = apart(value);
    let odd = |c: char| c.is_ascii_digit() || ",=:'\"".contains(c);
    if written.contains(odd) {
        return Err(format!(
            "`{}` of `{}` is not a number with a unit",
            shown(value),
            shown(&label)
        ));
    }
    let unit = base(written);
    let value = match (number, written) {
        ("", "U") => None,
        ("", _) => return Err(format!("`{}` has no value", shown(&label))),
        (number, _) => match plain(number) {
            Some(v) => Some(v * unit.1),
            None => {
                return Err(format!("`{}` of `{}` is not a number", shown(number), shown(&label)));
            }
        },
    };
    // A bound that makes no sense costs itself and not the value.
    let mut bound = |what: &str, text: Option<&str>, read: fn(&str, &Unit) -> Option<Range>| {
        let text = text.unwrap_or_default().trim();
        read(text, &unit).unwrap_or_else(|| {
            faults.push(format!(
                "the {what} `{}` of `{}` cannot be read, and is left out",
                shown(text),
                shown(&label)
            ));
            Range::default()
        })
    };
    let warning = bound("warning threshold", parts.next(), range);
    let critical = bound("critical threshold", parts.next(), range);
    let min = bound("minimum", parts.next(), most).max;
    let max = bound("maximum", parts.next(), most).max;
    if let Some(rest) = parts.find(|part| !part.trim().is_empty()) {
        faults.push(format!(
            "`{}` follows the maximum of `{}`; a blank separates two values",
            shown(rest),
            shown(&label)
        ));
    }
    let kind = if written == "c" { Kind::Counter } else { Kind::Gauge };
    let unit = if written == "c" || value.is_none() { String::new() } else { unit.0 };
    let bounds = Range { min, max };
    Ok(Datum { label, value, unit, kind, warning, critical, bounds })
}

/// A base unit, and the factor from the written unit to it.
type Unit = (String, f64);

/// The number at the beginning of a text, and the unit behind it.
fn apart(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let end = bytes.iter().enumerate().position(|(at, b)| match b {
        b'0'..=b'9' | b'+' | b'-' | b'.' | b',' => false,
        // The power of ten of `1e9`, and no unit that begins with an E.
        b'e' | b'E' => {
            let sign = matches!(bytes.get(at + 1), Some(b'+' | b'-'));
            !(at > 0 && digit(at + 1 + usize::from(sign)))
        }
        _ => true,
    });
    text.split_at(end.unwrap_or(text.len()))
}

/// A number that is finite, with a point or with the comma of some languages.
fn plain(text: &str) -> Option<f64> {
    parse_value(&text.replace(',', ".")).ok().filter(|v| v.is_finite())
}

/// A bound in the base unit of the value, whatever unit it is written in. The outer `None`: it is
/// no number, or of another unit.
fn limit(text: &str, unit: &Unit) -> Option<Option<f64>> {
    if matches!(text, "" | "~" | "U") {
        return Some(None);
    }
    let (number, written) = apart(text);
    let factor = match base(written) {
        _ if written.is_empty() => unit.1,
        (name, factor) => Some(factor).filter(|_| name == unit.0)?,
    };
    Some(Some(plain(number)? * factor))
}

/// A threshold: `max`, `min:`, `min:max`, `~:max`.
fn range(text: &str, unit: &Unit) -> Option<Range> {
    // Values inside such a range are wrong, so it cannot be expressed as a range of good values.
    if text.starts_with('@') {
        return Some(Range::default());
    }
    match text.split_once(':') {
        Some((min, max)) => Some(Range { min: limit(min, unit)?, max: limit(max, unit)? }),
        // A bare number is `0:number`.
        None => limit(text, unit).map(|max| Range { min: max.map(|_| 0.0), max }),
    }
}

/// A range with only an upper bound.
fn most(text: &str, unit: &Unit) -> Option<Range> {
    limit(text, unit).map(|max| Range { min: None, max })
}

/// The base unit of a unit, and the factor to it.
fn base(unit: &str) -> Unit {
    let (name, factor) = match unit {
        "s" => ("seconds", 1.0),
        "ms" => ("seconds", 1e-3),
        "us" => ("seconds", 1e-6),
        "ns" => ("seconds", 1e-9),
        "%" => ("percent", 1.0),
        "B" => ("bytes", 1.0),
        // Checks write KB and mean 1,024.
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

    #[test]
    fn commas_between_the_values_are_no_part_of_their_units() {
        let check = read(b"MEM | used=14kB;;;0;16 idle=12kB, in/s=0, out/s=8,5, a=1 , b=2\n");
        let got: Vec<_> = check.data.iter().map(|d| (&*d.label, d.value, &*d.unit)).collect();
        let want = [
            ("used", Some(14.0 * 1024.0), "bytes"),
            ("idle", Some(12.0 * 1024.0), "bytes"),
            ("in/s", Some(0.0), ""),
            ("out/s", Some(8.5), ""),
            ("a", Some(1.0), ""),
            ("b", Some(2.0), ""),
        ];
        assert_eq!((got, check.faults), (want.to_vec(), Vec::new()));
        // Which of them is meant cannot be known.
        let check = read(b"MEM | a=1kB,b=2 c=3\n");
        assert_eq!((check.data.len(), &*check.data[0].label), (1, "c"));
        assert!(check.faults[0].contains("`1kB,b=2` of `a`"), "{:?}", check.faults);
    }

    #[test]
    fn a_bound_that_is_wrong_costs_itself() {
        let check = read(b"X | a=1;1:,100:;10:x;x;50 b=2MB;1GB;3%;0;4096KB c=3;5;6;0;9;d=4\n");
        let got: Vec<_> = check.data.iter().map(|d| (&*d.label, d.value)).collect();
        let mib = 1_048_576.0;
        assert_eq!(got, [("a", Some(1.0)), ("b", Some(2.0 * mib)), ("c", Some(3.0))]);
        let a = &check.data[0];
        assert_eq!((a.warning, a.critical), (Range::default(), Range::default()));
        assert_eq!(a.bounds, range(None, Some(50.0)));
        let b = &check.data[1];
        // Bounds have units of their own.
        assert_eq!(b.warning, range(Some(0.0), Some(1024.0 * mib)));
        assert_eq!((b.critical, b.bounds), (Range::default(), range(Some(0.0), Some(4.0 * mib))));
        assert_eq!(check.faults.len(), 5, "{:?}", check.faults);
        for (fault, what) in check.faults.iter().zip([
            "the warning threshold `1:,100:` of `a`",
            "the critical threshold `10:x` of `a`",
            "the minimum `x` of `a`",
            "the critical threshold `3%` of `b`",
            "`d=4` follows",
        ]) {
            assert!(fault.contains(what), "{fault} {what}");
        }
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
