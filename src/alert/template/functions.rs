//! alert: the functions of templates: those of Go's text/template and those that Prometheus adds.

use std::cmp::Ordering;

use super::go::{general, printf, shown};
use super::value::{LONGEST, Value, too_long};
use crate::query::natural;

/// Calls a function. Fails with a sentence.
pub(super) fn call(name: &str, args: Vec<Value>) -> Result<Value, String> {
    let wrong = || format!("error calling {name}: wrong arguments");
    let number = |at: usize| args.get(at).and_then(as_number).ok_or_else(wrong);
    let text = |at: usize| match args.get(at) {
        Some(Value::Text(text)) => Ok(text.as_str()),
        Some(other) => Err(format!("error calling {name}: {} is no text", shown(other))),
        None => Err(wrong()),
    };
    Ok(match name {
        "humanize" => Value::Text(humanize(number(0)?)),
        "humanize1024" => Value::Text(humanize1024(number(0)?)),
        "humanizeDuration" => Value::Text(humanize_duration(number(0)?)),
        "humanizePercentage" => Value::Text(format!("{}%", general(number(0)? * 100.0, 4))),
        "humanizeTimestamp" => Value::Text(humanize_timestamp(number(0)?)),
        "printf" => Value::Text(printf(text(0)?, args.get(1..).unwrap_or_default())),
        "print" => Value::Text(printed(&args)),
        "println" => {
            let each: Vec<String> = args.iter().map(shown).collect();
            Value::Text(format!("{}\n", each.join(" ")))
        }
        "title" => Value::Text(title(text(0)?)),
        "toUpper" => Value::Text(text(0)?.to_uppercase()),
        "toLower" => Value::Text(text(0)?.to_lowercase()),
        "stripPort" => Value::Text(strip_port(text(0)?).to_owned()),
        "stripDomain" => Value::Text(strip_domain(text(0)?)),
        "safeHtml" | "html" | "js" | "urlquery" => Value::Text(escaped(name, text(0)?)),
        "match" => Value::Bool(pattern(text(0)?)?.is_match(text(1)?)),
        "reReplaceAll" => Value::Text(replaced(&pattern(text(0)?)?, text(1)?, text(2)?)?),
        "parseDuration" => {
            let ms = crate::query::number::parse_duration(text(0)?)?;
            Value::Number(ms as f64 / 1000.0)
        }
        "graphLink" | "tableLink" => {
            let escaped = escaped("urlquery", text(0)?);
            let tab = if name == "graphLink" { 0 } else { 1 };
            Value::Text(format!("/graph?g0.expr={escaped}&g0.tab={tab}"))
        }
        "externalURL" | "pathPrefix" => Value::Text(String::new()),
        "first" => match args.into_iter().next() {
            Some(Value::List(list)) => list
                .into_iter()
                .next()
                .ok_or("error calling first: first() called on vector with no elements")?,
            _ => return Err("error calling first: it needs what query returns".to_owned()),
        },
        "value" => match args.first() {
            Some(Value::Sample(_, value)) => Value::Number(*value),
            _ => return Err(wrong()),
        },
        "label" => match args.get(1) {
            Some(Value::Sample(labels, _)) => {
                Value::Text(labels.get(text(0)?).cloned().unwrap_or_default())
            }
            _ => return Err(wrong()),
        },
        "strvalue" => match args.first() {
            Some(Value::Sample(labels, _)) => {
                Value::Text(labels.get("__value__").cloned().unwrap_or_default())
            }
            _ => return Err(wrong()),
        },
        "sortByLabel" => sort_by_label(text(0)?.to_owned(), args).ok_or_else(wrong)?,
        "args" => Value::List(args),
        "index" => index(args)?,
        "len" => match args.first() {
            Some(Value::List(list)) => Value::Whole(list.len() as i64),
            Some(Value::Labels(labels)) => Value::Whole(labels.len() as i64),
            Some(Value::Text(text)) => Value::Whole(text.len() as i64),
            _ => return Err(wrong()),
        },
        "not" => Value::Bool(!args.first().ok_or_else(wrong)?.is_true()),
        "eq" => {
            let first = args.first().ok_or_else(wrong)?;
            Value::Bool(args[1..].iter().any(|other| order(first, other) == Some(Ordering::Equal)))
        }
        "ne" | "lt" | "le" | "gt" | "ge" => {
            let (a, b) = (args.first().ok_or_else(wrong)?, args.get(1).ok_or_else(wrong)?);
            let found = order(a, b);
            Value::Bool(match name {
                "ne" => found != Some(Ordering::Equal),
                "lt" => found == Some(Ordering::Less),
                "le" => matches!(found, Some(Ordering::Less | Ordering::Equal)),
                "gt" => found == Some(Ordering::Greater),
                _ => matches!(found, Some(Ordering::Greater | Ordering::Equal)),
            })
        }
        _ => return Err(format!("function {name:?} not defined")),
    })
}

fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(value) => Some(*value),
        Value::Whole(value) => Some(*value as f64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Number(_) | Value::Whole(_), Value::Number(_) | Value::Whole(_)) => {
            as_number(a)?.partial_cmp(&as_number(b)?)
        }
        _ => None,
    }
}

/// Spaces stand between values of which neither is a text.
fn printed(args: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in args.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if at > 0 && !is_text(value) && !is_text(&args[at - 1]) {
            out.push(' ');
        }
        out.push_str(&shown(value));
    }
    out
}

fn index(args: Vec<Value>) -> Result<Value, String> {
    let mut args = args.into_iter();
    let mut value = args.next().ok_or("error calling index: missing value")?;
    for key in args {
        value = match (value, key) {
            (Value::Labels(labels), Value::Text(name)) => {
                Value::Text(labels.get(&name).cloned().unwrap_or_default())
            }
            (Value::List(list), Value::Whole(at)) => {
                let found = usize::try_from(at).ok().and_then(|at| list.into_iter().nth(at));
                found.ok_or_else(|| format!("error calling index: index out of range: {at}"))?
            }
            _ => return Err("error calling index: it needs labels or a list".to_owned()),
        };
    }
    Ok(value)
}

fn sort_by_label(name: String, args: Vec<Value>) -> Option<Value> {
    let Value::List(mut list) = args.into_iter().nth(1)? else { return None };
    let label = |value: &Value| match value {
        Value::Sample(labels, _) => labels.get(&name).cloned().unwrap_or_default(),
        _ => String::new(),
    };
    list.sort_by(|a, b| natural::compare(&label(a), &label(b)));
    Some(Value::List(list))
}

fn title(text: &str) -> String {
    let mut before = ' ';
    let each = text.chars().map(|c| {
        let first = !before.is_alphanumeric() && before != '_' && before != '\'';
        before = c;
        if first { c.to_uppercase().collect::<String>() } else { c.to_string() }
    });
    each.collect()
}

fn strip_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((before, _)) if before.starts_with('[') && before.ends_with(']') => {
            &before[1..before.len() - 1]
        }
        Some((before, _)) if !before.contains(':') => before,
        _ => host,
    }
}

fn strip_domain(host: &str) -> String {
    let bare = strip_port(host);
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return host.to_owned();
    }
    let port = &host[bare.len().min(host.len())..];
    format!("{}{port}", bare.split('.').next().unwrap_or(bare))
}

fn escaped(how: &str, text: &str) -> String {
    match how {
        "urlquery" => form_urlencoded::byte_serialize(text.as_bytes()).collect(),
        "html" => text
            .replace('&', "&amp;")
            .replace('\'', "&#39;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&#34;"),
        "js" => text.replace('\\', "\\\\").replace('\'', "\\'").replace('"', "\\\""),
        _ => text.to_owned(),
    }
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, 4);
    }
    let (prefixes, up) = match value.abs() >= 1.0 {
        true => (["k", "M", "G", "T", "P", "E", "Z", "Y"], true),
        false => (["m", "u", "n", "p", "f", "a", "z", "y"], false),
    };
    scaled(value, &prefixes, up)
}

/// With the prefix that leaves the number between 1 and 1000.
fn scaled(mut value: f64, prefixes: &[&str], up: bool) -> String {
    let mut prefix = "";
    for next in prefixes {
        if up && value.abs() < 1000.0 || !up && value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value = if up { value / 1000.0 } else { value * 1000.0 };
    }
    format!("{}{prefix}", general(value, 4))
}

fn humanize1024(mut value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value, 4);
    }
    let mut prefix = "";
    for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1024.0 {
            break;
        }
        prefix = next;
        value /= 1024.0;
    }
    format!("{}{prefix}", general(value, 4))
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return general(value, 4);
    }
    if value == 0.0 {
        return format!("{}s", general(value, 4));
    }
    if value.abs() < 1.0 {
        let text = scaled(value, &["m", "u", "n", "p", "f", "a", "z", "y"], false);
        return format!("{text}s");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    let whole = value as i64;
    let (seconds, minutes, hours, days) =
        (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    match (days, hours, minutes) {
        (1.., ..) => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
        (_, 1.., _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        (_, _, 1..) => format!("{sign}{minutes}m {seconds}s"),
        _ => format!("{sign}{}s", general(value, 4)),
    }
}

fn humanize_timestamp(value: f64) -> String {
    if !value.is_finite() {
        return general(value, 4);
    }
    let nanos = (value * 1e9) as i128;
    let Ok(time) = jiff::Timestamp::from_nanosecond(nanos) else { return general(value, 4) };
    let civil = jiff::tz::Offset::UTC.to_datetime(time);
    let (date, fraction) = (civil.date(), civil.subsec_nanosecond());
    let fraction = match fraction {
        0 => String::new(),
        nanos => format!(".{}", format!("{nanos:09}").trim_end_matches('0')),
    };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}{fraction} +0000 UTC",
        date.year(),
        date.month(),
        date.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    )
}

/// A pattern that stays small when it is compiled.
fn pattern(text: &str) -> Result<regex::Regex, String> {
    let small = regex::RegexBuilder::new(text).size_limit(1 << 20).build();
    small.map_err(|e| e.to_string())
}

/// The text with each match replaced. Fails where it could get too long, before it does.
fn replaced(pattern: &regex::Regex, with: &str, text: &str) -> Result<String, String> {
    let places = with.matches('$').count();
    let (mut out, mut at) = (String::new(), 0);
    for found in pattern.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        out.push_str(&text[at..whole.start()]);
        at = whole.end();
        // No group is longer than the match.
        if out.len() + with.len() + places * whole.len() > LONGEST {
            return Err(too_long());
        }
        found.expand(with, &mut out);
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// For tests of what labels a sample has.
#[cfg(test)]
pub(super) fn sample(pairs: &[(&str, &str)], value: f64) -> Value {
    let labels = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Value::Sample(labels, value)
}
