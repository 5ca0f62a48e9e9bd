//! alert: numbers and `printf` as Go writes them.

use super::value::{LONGEST, Value};
use crate::query::float::shortest;

/// A float as `%.{digits}g` writes it.
pub(super) fn general(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    if value == 0.0 {
        return if value.is_sign_negative() { "-0".to_owned() } else { "0".to_owned() };
    }
    let digits = digits.max(1);
    let rounded = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        return with_exponent(trimmed(mantissa), exponent);
    }
    let places = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.places$}")).to_owned()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// A value as `print` and an action write it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Whole(value) => value.to_string(),
        Value::Number(value) => shortest(*value),
        Value::Text(text) => text.clone(),
        Value::Labels(labels) => {
            let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}:{v}")).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::List(list) => {
            format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Sample(labels, value) => {
            let labels = shown(&Value::Labels(labels.clone()));
            format!("{{{labels} {}}}", shortest(*value))
        }
    }
}

/// What stands between `%` and the verb.
#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    width: Option<usize>,
    places: Option<usize>,
}

/// Wider than this nothing is made.
const WIDEST: usize = 1_000;

/// `printf`. It ends soon after the longest text that a template may make.
pub(super) fn printf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > LONGEST {
            break;
        }
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = chars.peek().copied() {
            match flag {
                '-' => flags.minus = true,
                '+' => flags.plus = true,
                '0' => flags.zero = true,
                ' ' => flags.space = true,
                '#' => {}
                _ => break,
            }
            chars.next();
        }
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            let width = flags.width.unwrap_or(0) * 10 + digit as usize;
            flags.width = Some(width.min(WIDEST));
            chars.next();
        }
        if chars.peek() == Some(&'.') {
            chars.next();
            let mut places = 0;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                places = (places * 10 + digit as usize).min(WIDEST);
                chars.next();
            }
            flags.places = Some(places);
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match args.next() {
                None => {
                    out.push_str("%!");
                    out.push(verb);
                    out.push_str("(MISSING)");
                }
                Some(value) => pad(&mut out, &one(verb, value, &flags), &flags),
            },
        }
    }
    let rest: Vec<String> = args.map(|v| format!("{}={}", kind(v), shown(v))).collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Whole(_) => "int",
        Value::Number(_) => "float64",
        Value::Text(_) => "string",
        Value::Labels(_) => "map[string]string",
        Value::List(_) => "template.queryResult",
        Value::Sample(..) => "*template.sample",
    }
}

fn one(verb: char, value: &Value, flags: &Flags) -> String {
    let signed = |text: String| match text.starts_with(['-', '+']) {
        false if flags.plus => format!("+{text}"),
        false if flags.space => format!(" {text}"),
        _ => text,
    };
    let inf = |value: f64, text: String| match value == f64::INFINITY {
        true if !flags.plus => text.trim_start_matches('+').to_owned(),
        _ => text,
    };
    let bad = || format!("%!{verb}({}={})", kind(value), shown(value));
    match (verb, value) {
        ('v', Value::Number(number)) => match flags.places {
            Some(places) => signed(general(*number, places.max(1))),
            None => signed(shortest(*number)),
        },
        ('v', _) => shown(value),
        ('s', Value::Text(text)) => match flags.places {
            Some(most) => text.chars().take(most).collect(),
            None => text.clone(),
        },
        ('s', Value::Labels(_) | Value::List(_)) => shown(value),
        ('q', Value::Text(text)) => crate::query::quote::quoted(text),
        ('d', Value::Whole(number)) => signed(number.to_string()),
        ('x', Value::Whole(number)) => format!("{number:x}"),
        ('X', Value::Whole(number)) => format!("{number:X}"),
        ('o', Value::Whole(number)) => format!("{number:o}"),
        ('b', Value::Whole(number)) => format!("{number:b}"),
        ('c', Value::Whole(number)) => {
            u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
        }
        ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
        ('t', Value::Bool(value)) => value.to_string(),
        ('f' | 'F', Value::Number(number)) if number.is_finite() => {
            signed(format!("{number:.*}", flags.places.unwrap_or(6)))
        }
        ('e', Value::Number(number)) if number.is_finite() => {
            let text = format!("{number:.*e}", flags.places.unwrap_or(6));
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            signed(with_exponent(mantissa, exponent.parse().unwrap_or(0)))
        }
        ('g', Value::Number(number)) => match flags.places {
            Some(places) => signed(general(*number, places.max(1))),
            None => signed(shortest(*number)),
        },
        ('f' | 'F' | 'e', Value::Number(number)) => inf(*number, general(*number, 1)),
        ('T', _) => kind(value).to_owned(),
        _ => bad(),
    }
}

fn pad(out: &mut String, text: &str, flags: &Flags) {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if flags.minus {
        out.push_str(text);
        out.extend(std::iter::repeat_n(' ', missing));
    } else if flags.zero && missing > 0 {
        let (sign, digits) = match text.strip_prefix(['-', '+']) {
            Some(digits) => text.split_at(text.len() - digits.len()),
            None => ("", text),
        };
        out.push_str(sign);
        out.extend(std::iter::repeat_n('0', missing));
        out.push_str(digits);
    } else {
        out.extend(std::iter::repeat_n(' ', missing));
        out.push_str(text);
    }
}
