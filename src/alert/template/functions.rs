//! alert: the functions of templates: those of Go's text/template and those that Prometheus adds.

use std::cmp::Ordering;

use super::go::{general, kind, printf, shown};
use super::value::{LONGEST, Value, too_long};
use crate::query::natural;
use crate::query::quote::quoted;

/// Calls a function. Fails with a sentence.
pub(super) fn call(name: &str, args: Vec<Value>) -> Result<Value, String> {
    if let Some(count) = arity(name).filter(|count| *count != args.len()) {
        return Err(format!("wrong number of args for {name}: want {count} got {}", args.len()));
    }
    let wrong = || format!("error calling {name}: wrong arguments");
    let number = |at: usize| match args.get(at) {
        Some(value) => as_number(value).map_err(|why| format!("error calling {name}: {why}")),
        None => Err(wrong()),
    };
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
        "humanizeTimestamp" => match number(0)? {
            value if value.is_finite() => Value::Text(time(name, value)?),
            value => Value::Text(general(value, 4)),
        },
        "toTime" => match number(0)? {
            value if value.is_finite() => Value::Text(time(name, value)?),
            _ => return Err(format!("error calling {name}: value is NaN or Inf")),
        },
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
        "safeHtml" => Value::Text(text(0)?.to_owned()),
        "html" | "js" | "urlquery" => Value::Text(escaped(name, &printed(&args))),
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
        "pathPrefix" => Value::Text(String::new()),
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
        "args" => {
            let named = |(at, value)| (format!("arg{at}"), value);
            Value::Map(args.into_iter().enumerate().map(named).collect())
        }
        "slice" => slice(&args)?,
        "index" => index(args)?,
        "len" => match args.first() {
            Some(Value::List(list)) => Value::Whole(list.len() as i64),
            Some(Value::Labels(labels)) => Value::Whole(labels.len() as i64),
            Some(Value::Map(map)) => Value::Whole(map.len() as i64),
            Some(Value::Text(text)) => Value::Whole(text.len() as i64),
            _ => return Err(wrong()),
        },
        "not" => Value::Bool(!args.first().ok_or_else(wrong)?.is_true()),
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" => {
            Value::Bool(compare(name, &args).map_err(|why| format!("error calling {name}: {why}"))?)
        }
        _ => return Err(format!("function {name:?} not defined")),
    })
}

/// How many arguments a function takes; nothing: any number.
fn arity(name: &str) -> Option<usize> {
    Some(match name {
        "externalURL" | "pathPrefix" => 0,
        "humanize" | "humanize1024" | "humanizeDuration" | "humanizePercentage"
        | "humanizeTimestamp" | "toTime" | "title" | "toUpper" | "toLower" | "stripPort"
        | "stripDomain" | "safeHtml" | "parseDuration" | "graphLink" | "tableLink" | "first"
        | "value" | "strvalue" | "len" | "not" => 1,
        "match" | "label" | "sortByLabel" | "ne" | "lt" | "le" | "gt" | "ge" => 2,
        "reReplaceAll" => 3,
        _ => return None,
    })
}

fn as_number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Number(value) => Ok(*value),
        Value::Whole(value) => Ok(*value as f64),
        Value::Text(text) => {
            let wrong = |_| format!("strconv.ParseFloat: parsing {}: invalid syntax", quoted(text));
            text.parse().map_err(wrong)
        }
        other => Err(format!("can't convert {} to float", kind(other))),
    }
}

/// `eq` with any of the others, or the order of two. As in Go, `gt` and `ge` are what is not `le` and
/// `lt`, which matters to NaN; and a whole number is compared with no other kind.
fn compare(name: &str, args: &[Value]) -> Result<bool, String> {
    let [first, others @ ..] = args else {
        return Err("missing argument for comparison".to_owned());
    };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    let equal = |order: Option<Ordering>| order == Some(Ordering::Equal);
    if name == "eq" {
        for other in others {
            if equal(order(first, other)?) {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    let order = order(first, &others[0])?;
    if name == "ne" {
        return Ok(!equal(order));
    }
    if matches!(first, Value::Bool(_)) {
        return Err("invalid type for comparison".to_owned());
    }
    let less = order == Some(Ordering::Less);
    Ok(match name {
        "lt" => less,
        "le" => less || equal(order),
        "gt" => !less && !equal(order),
        _ => !less,
    })
}

fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    Ok(match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Whole(a), Value::Whole(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        _ => return Err("incompatible types for comparison".to_owned()),
    })
}

/// Some bytes of a text.
fn slice(args: &[Value]) -> Result<Value, String> {
    let fail = |why: &str| format!("error calling slice: {why}");
    let Some(Value::Text(text)) = args.first() else {
        return Err(fail("it needs a text"));
    };
    let at = |number: usize, usual: usize| match args.get(number) {
        None => Ok(usual),
        Some(Value::Whole(at)) => match usize::try_from(*at) {
            Ok(place) if place <= text.len() => Ok(place),
            _ => Err(fail(&format!("index out of range: {at}"))),
        },
        Some(_) => Err(fail("cannot index slice/array with another type than int")),
    };
    let (from, to) = (at(1, 0)?, at(2, text.len())?);
    if args.len() > 3 {
        return Err(fail("cannot 3-index slice a string"));
    }
    let bytes = text.as_bytes().get(from..to);
    let bytes = bytes.ok_or_else(|| fail(&format!("invalid slice index: {from} > {to}")))?;
    Ok(Value::Text(String::from_utf8_lossy(bytes).into_owned()))
}

/// Spaces stand between values of which neither is a text.
fn printed(args: &[Value]) -> String {
    let mut out = String::new();
    for (at, value) in args.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if at > 0 && !is_text(value) && !is_text(&args[at - 1]) {
            out.push(' ');
        }
        match value {
            Value::Nil => out.push_str("<nil>"),
            _ => out.push_str(&shown(value)),
        }
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
            (Value::Map(map), Value::Text(name)) => map.get(&name).cloned().unwrap_or(Value::Nil),
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
        // Signs beyond ASCII end no word.
        let first = match before.is_ascii() {
            true => !before.is_ascii_alphanumeric() && before != '_',
            false => before.is_whitespace(),
        };
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
    // Nothing is left of a port that is empty.
    let port = host.get(bare.len()..).filter(|port| port.len() > 1).unwrap_or_default();
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
        "js" => text.chars().fold(String::new(), |mut out, c| {
            match c {
                '\\' | '\'' | '"' => out.extend(['\\', c]),
                '<' | '>' | '&' | '=' | '\0'..' ' => {
                    out.push_str(&format!("\\u{:04X}", u32::from(c)));
                }
                c => out.push(c),
            }
            out
        }),
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

/// A time as Go prints it. Prometheus knows no parts of a millisecond, and no time that has too many
/// nanoseconds since 1970 for 64 bits.
fn time(name: &str, value: f64) -> Result<String, String> {
    let nanos = value * 1e9;
    let time = match nanos.abs() <= i64::MAX as f64 {
        true => jiff::Timestamp::from_millisecond(nanos as i64 / 1_000_000).ok(),
        false => None,
    };
    let Some(time) = time else {
        let value = shown(&Value::Number(value));
        return Err(format!(
            "error calling {name}: {value} cannot be represented as a nanoseconds timestamp since it \
             overflows int64"
        ));
    };
    let civil = jiff::tz::Offset::UTC.to_datetime(time);
    let (date, fraction) = (civil.date(), civil.subsec_nanosecond());
    let fraction = match fraction {
        0 => String::new(),
        nanos => format!(".{}", format!("{nanos:09}").trim_end_matches('0')),
    };
    Ok(format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}{fraction} +0000 UTC",
        date.year(),
        date.month(),
        date.day(),
        civil.hour(),
        civil.minute(),
        civil.second()
    ))
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
