//! alert: numbers and `printf` as Go writes them.

use super::value::{LONGEST, Value};
use crate::query::float::shortest;
use crate::query::quote::{quoted, quoted_char};

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
        Value::Map(map) => {
            let pairs: Vec<String> = map.iter().map(|(n, v)| format!("{n}:{}", shown(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Sample(labels, value) => {
            let labels = shown(&Value::Labels(labels.clone()));
            format!("{{{labels} {}}}", shortest(*value))
        }
    }
}

/// What stands between `%` and the verb.
#[derive(Default, Clone, Copy)]
struct Flags {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
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
                '#' => flags.sharp = true,
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
                Some(value) => out.push_str(&one(verb, value, &flags)),
            },
        }
    }
    let rest: Vec<String> = args.map(|v| format!("{}={}", kind(v), shown(v))).collect();
    if !rest.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", rest.join(", ")));
    }
    out
}

/// The type of a value, as Go calls it.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Whole(_) => "int",
        Value::Number(_) => "float64",
        Value::Text(_) => "string",
        Value::Labels(_) => "map[string]string",
        Value::Map(_) => "map[string]interface {}",
        Value::List(_) => "template.queryResult",
        Value::Sample(..) => "*template.sample",
    }
}

impl Flags {
    /// Zeros fill the width.
    fn zeros(&self) -> bool {
        self.zero && !self.minus
    }

    fn sign(&self, negative: bool) -> &'static str {
        match negative {
            true => "-",
            false if self.plus => "+",
            false if self.space => " ",
            false => "",
        }
    }
}

fn one(verb: char, value: &Value, flags: &Flags) -> String {
    match (verb, value) {
        // A plus means something else to `%v`.
        ('v', _) => plain(value, &Flags { plus: false, ..*flags }),
        (_, _) if is_of(verb, value) => plain(value, flags),
        ('T', _) => padded(kind(value), flags),
        ('s', Value::Labels(_) | Value::Map(_) | Value::List(_)) => shown(value),
        ('q', Value::Text(text)) => padded(&quoted(text), flags),
        ('q', Value::Labels(labels)) => {
            let pairs = labels.iter().map(|(n, v)| format!("{}:{}", quoted(n), quoted(v)));
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        ('x', Value::Text(text)) => {
            padded(&text.bytes().map(|b| format!("{b:02x}")).collect::<String>(), flags)
        }
        ('X', Value::Text(text)) => {
            padded(&text.bytes().map(|b| format!("{b:02X}")).collect::<String>(), flags)
        }
        ('x' | 'X' | 'o' | 'b', Value::Whole(number)) => {
            let bare = number.unsigned_abs();
            let (prefix, digits) = match verb {
                'x' => ("0x", format!("{bare:x}")),
                'X' => ("0X", format!("{bare:X}")),
                'o' => ("0", format!("{bare:o}")),
                _ => ("0b", format!("{bare:b}")),
            };
            whole(*number, if flags.sharp { prefix } else { "" }, &digits, flags)
        }
        ('c', Value::Whole(number)) => padded(&character(*number).to_string(), flags),
        ('q', Value::Whole(number)) => padded(&quoted_char(character(*number)), flags),
        ('U', Value::Whole(number)) => padded(&format!("U+{:04X}", *number as u64), flags),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Number(number)) => float(verb, *number, flags),
        (_, Value::Nil) => format!("%!{verb}(<nil>)"),
        _ => format!("%!{verb}({}={})", kind(value), plain(value, flags)),
    }
}

/// Whether a verb writes a value as it is.
fn is_of(verb: char, value: &Value) -> bool {
    match value {
        Value::Text(_) => verb == 's',
        Value::Bool(_) => verb == 't',
        Value::Whole(_) => verb == 'd',
        _ => false,
    }
}

/// A value as it is.
fn plain(value: &Value, flags: &Flags) -> String {
    match value {
        Value::Nil => padded("<nil>", flags),
        Value::Bool(value) => padded(&value.to_string(), flags),
        Value::Whole(number) => whole(*number, "", &number.unsigned_abs().to_string(), flags),
        Value::Number(number) => float('g', *number, flags),
        Value::Text(text) => {
            let most = flags.places.unwrap_or(usize::MAX);
            let text: String = text.chars().take(most).collect();
            padded(&if flags.sharp { quoted(&text) } else { text }, flags)
        }
        _ => shown(value),
    }
}

fn character(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

/// A whole number of these digits. Where places are given, zeros fill those and blanks the width.
fn whole(number: i64, prefix: &str, digits: &str, flags: &Flags) -> String {
    let sign = flags.sign(number < 0);
    let least = match (flags.places, flags.width) {
        (Some(places), _) => places,
        (None, Some(width)) if flags.zeros() => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let text = format!("{sign}{prefix}{digits:0>least$}");
    padded(&text, &Flags { zero: false, ..*flags })
}

fn float(verb: char, number: f64, flags: &Flags) -> String {
    let bare = number.abs();
    let text = match (verb, flags.places) {
        _ if number.is_nan() => "NaN".to_owned(),
        _ if number.is_infinite() => "Inf".to_owned(),
        ('f' | 'F', places) => format!("{bare:.*}", places.unwrap_or(6)),
        ('e' | 'E', places) => {
            let text = format!("{bare:.*e}", places.unwrap_or(6));
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            with_exponent(mantissa, exponent.parse().unwrap_or(0))
        }
        (_, Some(places)) => general(bare, places.max(1)),
        (_, None) => shortest(bare),
    };
    let text =
        if matches!(verb, 'E' | 'G') && number.is_finite() { text.to_uppercase() } else { text };
    let sign = match flags.sign(number.is_sign_negative() && !number.is_nan()) {
        "" if number.is_infinite() => "+",
        sign => sign,
    };
    if flags.zeros() && number.is_finite() {
        let digits = flags.width.unwrap_or(0).saturating_sub(sign.len());
        return format!("{sign}{text:0>digits$}");
    }
    let blank = if number.is_finite() { flags.zero } else { false };
    padded(&format!("{sign}{text}"), &Flags { zero: blank, ..*flags })
}

/// Fills the width: with blanks, or with zeros where Go does that to texts, too.
fn padded(text: &str, flags: &Flags) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    let fill = if flags.zeros() { "0" } else { " " }.repeat(missing);
    if flags.minus { format!("{text}{fill}") } else { format!("{fill}{text}") }
}
