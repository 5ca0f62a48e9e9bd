//! wire: a line of a plugin's output, parsed in place.

use crate::wire::shown;
use crate::wire::time::in_range;
use crate::wire::value::parse_value;

/// Longest name of a field, in bytes.
const LONGEST_NAME: usize = 200;

/// When a value was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Now: when the plugin ran.
    Now,
    /// Milliseconds since 1970 UTC.
    At(i64),
}

/// A value that a plugin reported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When it was measured.
    pub time: Time,
    /// The value; `None`: the plugin does not know it (`U`).
    pub value: Option<f64>,
}

/// A kind of line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Line<'a> {
    /// `multigraph NAME`: the lines after it belong to that graph.
    Graph(&'a str),
    /// `graph_title …`: something about the graph.
    Global {
        /// Before the first blank.
        name: &'a str,
        /// The rest; never empty.
        value: &'a str,
    },
    /// `load.label …`: something about a field.
    Attribute {
        /// The name as written; see [`super::clean_field`].
        field: &'a str,
        /// Behind the dot.
        name: &'a str,
        /// The rest; never empty.
        value: &'a str,
    },
    /// `load.value 0.5`: in the answer to `config`, this is called dirtyconfig.
    Value {
        /// The name as written; see [`super::clean_field`].
        field: &'a str,
        /// The value.
        reading: Reading,
    },
}

/// All lines that are not empty, with their numbers from 1, or their faults. A last line without a
/// line break counts; bytes that are not text are a fault of their line only.
pub fn lines(text: &[u8]) -> impl Iterator<Item = (usize, Result<Line<'_>, String>)> {
    text.split(|b| *b == b'\n').enumerate().filter_map(|(at, line)| {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return None;
        }
        Some((at + 1, parse(line)))
    })
}

fn parse(line: &[u8]) -> Result<Line<'_>, String> {
    let line = std::str::from_utf8(line).map_err(|_| "this is not UTF-8 text".to_owned())?;
    if line.contains('\0') {
        return Err("there is a zero byte in it".to_owned());
    }
    let (head, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let value = value.trim_start();
    let (field, name) = match head.split_once('.') {
        Some((field, name)) => (field, Some(name)),
        None => (head, None),
    };
    if field.is_empty() {
        return Err(format!("`{}` has no name before the dot", shown(line)));
    }
    if field.len() > LONGEST_NAME || field.chars().any(char::is_control) {
        let what = format!("up to {LONGEST_NAME} plain letters");
        return Err(format!("`{}` is not a name: {what}", shown(field)));
    }
    let Some(name) = name else {
        return match (head, value) {
            (_, "") => {
                Err(format!("`{}` is neither `name value` nor `field.what value`", shown(head)))
            }
            ("multigraph", graph) if is_graph_name(graph) => Ok(Line::Graph(graph)),
            ("multigraph", graph) => Err(format!("`{}` is not a name of a graph", shown(graph))),
            (name, value) => Ok(Line::Global { name, value }),
        };
    };
    if name == "value" {
        return Ok(Line::Value { field, reading: reading(value)? });
    }
    match value {
        "" => Err(format!("`{}` has no value", shown(head))),
        value => Ok(Line::Attribute { field, name, value }),
    }
}

/// Letters, digits, `_`, `-` and the dots that lead to child graphs.
fn is_graph_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.:@".contains(c);
    !name.is_empty() && name.len() <= 200 && name.chars().all(fits)
}

/// `V`, `U`, `EPOCH:V`, `N:V`.
fn reading(text: &str) -> Result<Reading, String> {
    let (time, text) = match text.split_once(':') {
        None => (Time::Now, text),
        Some(("N", value)) => (Time::Now, value),
        Some((epoch, value)) => {
            let seconds = epoch.trim().parse::<f64>().ok().filter(|s| s.is_finite());
            let ms = seconds.and_then(|s| in_range((s * 1e3).round() as i64));
            let ms = ms
                .ok_or_else(|| format!("`{}` is not a time in seconds since 1970", shown(epoch)))?;
            (Time::At(ms), value)
        }
    };
    let text = text.trim();
    let value = match text {
        "" => return Err("there is no value".to_owned()),
        "U" => None,
        text => {
            let value = parse_value(text)
                .map_err(|_| format!("`{}` is neither a number nor U", shown(text)))?;
            // awk and C print `nan` for an unknown value.
            Some(value).filter(|v| !v.is_nan())
        }
    };
    Ok(Reading { time, value })
}

/// How often a plugin wants to be asked, in ms: `60`, `60s`, `1m aligned`, `5m`, `1h`; at most
/// a year. `None`: this is no rate.
pub fn update_rate(text: &str) -> Option<i64> {
    let word = text.split_whitespace().next()?;
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let number: i64 = word.get(..digits)?.parse().ok()?;
    let unit = match word.get(digits..)? {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let seconds = number.checked_mul(unit).filter(|s| (1..=366 * 86_400).contains(s))?;
    Some(seconds * 1_000)
}
