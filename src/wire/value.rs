//! wire: numbers as text, the same in all formats.

use std::fmt::Write;

use super::shown;

/// The value of a text in a form that Rust, Go and Python all write and read, `NaN`, `+Inf` and
/// `-Inf` included. A number that overflows into infinity (`1e999`) is refused.
pub fn parse_value(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(v) if v.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
            Err(format!("`{}` is too large for a value", shown(text)))
        }
        Ok(v) => Ok(v),
        Err(_) if text.is_empty() => Err("no value".to_owned()),
        Err(_) => Err(format!("`{}` is not a number", shown(text))),
    }
}

/// Appends the shortest text that reads back as exactly this value; whole numbers without a point,
/// as people expect of a count. Every NaN becomes `NaN`.
pub fn write_value(out: &mut String, value: f64) {
    // Past 2^53 neighbouring whole numbers are equal, and the exponent is shorter anyway.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == value.trunc() && value.abs() < WHOLE {
        if value == 0.0 && value.is_sign_negative() {
            out.push('-');
        }
        write_whole(out, value as i64);
    } else {
        let _ = write!(out, "{value:?}");
    }
}

/// Appends a whole number; the standard formatter costs several times as much.
pub(super) fn write_whole(out: &mut String, number: i64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    out.extend(digits[at..].iter().map(|d| char::from(*d)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = String::new();
        write_value(&mut out, value);
        out
    }

    #[test]
    fn values_look_as_people_expect() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1_234_567.0, "1234567"),
            (-9_007_199_254_740_991.0, "-9007199254740991"),
            (1e300, "1e300"),
            (1e-300, "1e-300"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(text(value), expected);
        }
        let mut out = String::new();
        write_whole(&mut out, i64::MIN);
        assert_eq!(out, i64::MIN.to_string());
    }

    #[test]
    fn what_is_no_value_says_so() {
        for bad in ["", " 1", "1,5", "0x10", "1e999", "-1e999", "--1", "1 2", "U", "null", "true"] {
            assert!(parse_value(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_value("+Inf"), Ok(f64::INFINITY));
        assert_eq!(parse_value("1E3"), Ok(1000.0));
    }

    proptest! {
        #[test]
        fn values_read_back_to_the_last_bit(bits: u64) {
            let value = f64::from_bits(bits);
            let back = parse_value(&text(value)).unwrap();
            prop_assert!(back.to_bits() == bits || back.is_nan() && value.is_nan());
        }
    }
}
