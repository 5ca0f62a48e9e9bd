//! query: numbers and durations as the language writes them, and back.

use std::fmt::Write;

/// A number: decimal, hexadecimal, octal with a leading 0 (`017`), with `_` between digits, `Inf`,
/// `NaN`, in any case.
pub fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(whole) = parse_whole(text) {
        return Ok(whole as f64);
    }
    let invalid = || format!("error parsing number: {text:?}: invalid syntax");
    if text.len() > 1 && matches!(text.as_bytes()[1], b'x' | b'X') {
        return Err(invalid());
    }
    let value: f64 = if text.contains('_') {
        if !underscores_separate(text.as_bytes()) {
            return Err(invalid());
        }
        text.replace('_', "").parse()
    } else {
        text.parse()
    }
    .map_err(|_| invalid())?;
    if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) {
        return Err(format!("error parsing number: {text:?}: value out of range"));
    }
    Ok(value)
}

/// A whole number that fits 63 bits.
fn parse_whole(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (digits, base) = match bytes {
        [b'0', b'x' | b'X', rest @ ..] => (rest, 16),
        [b'0', rest @ ..] if !rest.is_empty() => (rest, 8),
        _ => (bytes, 10),
    };
    if bytes.contains(&b'_') && !underscores_separate(bytes) {
        return None;
    }
    let mut value: i64 = 0;
    let mut any = false;
    for byte in digits.iter().filter(|b| **b != b'_') {
        let digit = char::from(*byte).to_digit(base)?;
        value = value.checked_mul(i64::from(base))?.checked_add(i64::from(digit))?;
        any = true;
    }
    any.then_some(value)
}

/// Whether each `_` stands between digits, or between `0x` and one.
fn underscores_separate(bytes: &[u8]) -> bool {
    let (digits, hex) = match bytes {
        [b'0', b'x' | b'X', rest @ ..] => (rest, true),
        _ => (bytes, false),
    };
    let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    digits.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(at, _)| {
        let before = match at.checked_sub(1) {
            Some(before) => is_digit(digits[before]),
            None => hex,
        };
        before && digits.get(at + 1).is_some_and(|b| is_digit(*b))
    })
}

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest duration, in milliseconds: what fits 63 bits of nanoseconds, some 292 years.
const LONGEST: u64 = i64::MAX as u64 / 1_000_000;

/// A duration such as `1h30m` in milliseconds. Units stand from the longest to the shortest, each
/// once; a year has 365 days.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("not a valid duration string: {text:?}");
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("empty duration string".to_owned());
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = &rest[..letters];
        rest = &rest[letters..];
        if unit.is_empty() {
            return Err(invalid());
        }
        let Some(at) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(format!("unknown unit {unit:?} in duration {text:?}"));
        };
        if at < next_unit {
            return Err(invalid());
        }
        next_unit = at + 1;
        total = count
            .checked_mul(UNITS[at].1)
            .and_then(|ms| total.checked_add(ms))
            .filter(|total| *total <= LONGEST)
            .ok_or("duration out of range")?;
    }
    Ok(total as i64)
}

/// Appends a duration in milliseconds the way Prometheus writes it: `1h30m`; years and weeks only
/// where nothing is left over.
pub fn write_duration(out: &mut String, ms: i64) {
    if ms == 0 {
        out.push_str("0s");
        return;
    }
    if ms < 0 {
        out.push('-');
    }
    let mut rest = ms.unsigned_abs();
    for (unit, length) in UNITS {
        let exact = matches!(unit, "y" | "w");
        if rest < length || exact && !rest.is_multiple_of(length) {
            continue;
        }
        let _ = write!(out, "{}{unit}", rest / length);
        rest %= length;
    }
}

/// Appends the shortest decimal text that reads back as the same, never with an exponent.
pub fn write_decimal(out: &mut String, value: f64) {
    if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let _ = write!(out, "{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        for (text, value) in [
            ("1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("1E-3", 0.001),
            ("0x1F", 31.0),
            ("0x_ff", 255.0),
            ("0xe", 14.0),
            ("017", 15.0),
            ("08", 8.0),
            ("0755.5", 755.5),
            ("1_000", 1000.0),
            ("1_000.5_0", 1000.5),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("inf", f64::INFINITY),
            ("INF", f64::INFINITY),
        ] {
            assert_eq!(parse_number(text), Ok(value), "{text}");
        }
        assert!(parse_number("NaN").unwrap().is_nan());
        for bad in ["1__0", "1_", "_1", "1_.5", "0x", "0x1e+5", "0xfffffffffffffffff", ""] {
            assert!(parse_number(bad).is_err(), "{bad}");
        }
        assert!(parse_number("1e999").unwrap_err().contains("out of range"));
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("1ms", 1),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1y2w3d4h5m6s7ms", ((365 + 14 + 3) * 24 + 4) * 3_600_000 + 306_007),
            ("292y", 292 * 365 * 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
        for (bad, why) in [
            ("", "empty"),
            ("5", "not a valid"),
            ("5m1h", "not a valid"),
            ("5m1m", "not a valid"),
            ("1hs", "unknown unit \"hs\""),
            ("1.5h", "unknown unit"),
            ("293y", "out of range"),
            ("99999999999999999999s", "not a valid"),
            ("18446744073709551615y", "out of range"),
        ] {
            let error = parse_duration(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn durations_are_written_as_people_say_them() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (-300_000, "-5m"),
            (90 * 60_000, "1h30m"),
            (7 * 86_400_000, "1w"),
            (8 * 86_400_000, "8d"),
            (365 * 86_400_000, "1y"),
            (366 * 86_400_000, "366d"),
        ] {
            let mut out = String::new();
            write_duration(&mut out, ms);
            assert_eq!(out, text);
        }
    }

    proptest! {
        #[test]
        fn durations_read_back(ms in 0..i64::MAX / 1_000_000) {
            let mut out = String::new();
            write_duration(&mut out, ms);
            prop_assert_eq!(parse_duration(&out), Ok(ms));
        }

        #[test]
        fn decimals_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            let mut out = String::new();
            write_decimal(&mut out, value);
            let back: f64 = out.parse().unwrap();
            prop_assert!(back.to_bits() == bits || value.is_nan() && back.is_nan());
        }
    }
}
