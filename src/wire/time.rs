//! wire: points in time as people and programs write them, to milliseconds since 1970 and back.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::friendly::SpanParser;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Offset, TimeZone};

use super::shown;
use super::value::write_whole;

/// Numbers from here on are milliseconds, smaller ones seconds: as seconds it is the year 5138, as
/// milliseconds 1973.
const MILLISECONDS_FROM: u64 = 100_000_000_000;

/// The year 0, the first one that RFC 3339 can write.
const MIN_MS: i64 = -62_167_219_200_000;
/// The end of the year 9999, less the day that jiff keeps for time zones.
const MAX_MS: i64 = 253_402_207_200_999;

static DATES: DateTimeParser = DateTimeParser::new();

/// Why a text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TimeError(String);

impl TimeError {
    fn unknown(text: &str) -> Self {
        Self(format!(
            "`{}` is not a time; `2024-05-01 12:00:00` (UTC), `2024-05-01T12:00:00+02:00` or seconds \
             or milliseconds since 1970 are",
            shown(text)
        ))
    }

    fn outside(text: &str) -> Self {
        Self(format!("`{}` lies outside the years 0 to 9999", shown(text)))
    }
}

/// Milliseconds since 1970 from seconds, fractional seconds, milliseconds (from 100000000000 on),
/// RFC 3339, or a date with or without a time of day, in UTC unless it names another zone. Finer
/// parts are rounded to milliseconds.
pub fn parse_timestamp(text: &str) -> Result<i64, TimeError> {
    let text = text.trim();
    if let Some(ms) = parse_number(text) {
        return ms;
    }
    if text.contains(['e', 'E'])
        && let Ok(number) = text.parse::<f64>()
    {
        return from_number(number).ok_or_else(|| TimeError::outside(text));
    }
    let bytes = text.as_bytes();
    let zoned = bytes.iter().skip("2024-05-01".len()).any(|c| b"Zz+-".contains(c));
    let time = if zoned {
        DATES.parse_timestamp(bytes).ok()
    } else {
        DATES.parse_datetime(bytes).ok().and_then(|civil| Offset::UTC.to_timestamp(civil).ok())
    };
    let ms = time.and_then(rounded_ms).ok_or_else(|| TimeError::unknown(text))?;
    in_range(ms).ok_or_else(|| TimeError::outside(text))
}

/// Reads everything that [`parse_timestamp`] reads, and `now`, `now-30m`, `now+1h`, `-1h`, `+90s`,
/// `2h ago`, `1 day 2 hours ago`. Days and weeks have 24 hours each; months and years follow the
/// calendar (in UTC); `m` is minutes.
pub fn parse_when(text: &str, now_ms: i64) -> Result<i64, TimeError> {
    let text = text.trim();
    let after_now = text.strip_prefix("now").map(str::trim);
    if after_now == Some("") {
        return Ok(now_ms);
    }
    if after_now.is_none()
        && let Ok(ms) = parse_timestamp(text)
    {
        return Ok(ms);
    }
    let span = after_now.unwrap_or(text);
    // A space may follow the sign, as in `now - 30m`.
    let (sign, size) = match (span.strip_prefix('-'), span.strip_prefix('+')) {
        (Some(size), _) => (Some(-1), size.trim_start()),
        (_, Some(size)) => (Some(1), size.trim_start()),
        _ => (None, span),
    };
    // jiff reads it, including the sign.
    let ago = size.ends_with("ago");
    let length = SpanParser::new().parse_span(size).ok().filter(|_| !(ago && sign.is_some()));
    let Some(length) = length else {
        let wrong = TimeError::unknown(text);
        return Err(TimeError(format!("{wrong}, and so are `now-30m`, `-1h`, `2h ago`")));
    };
    let Some(sign) = sign.or(ago.then_some(1)) else {
        let size = shown(size);
        return Err(TimeError(format!("`{size}` from when? Write `-{size}` or `{size} ago`")));
    };
    Timestamp::from_millisecond(now_ms)
        .and_then(|now| now.to_zoned(TimeZone::UTC).checked_add(length * sign))
        .ok()
        .and_then(|then| rounded_ms(then.timestamp()))
        .and_then(in_range)
        .ok_or_else(|| TimeError::outside(text))
}

/// A number as a time, by the rule of [`parse_timestamp`]; `None` outside the calendar.
pub fn from_number(number: f64) -> Option<i64> {
    let ms = if number.abs() >= MILLISECONDS_FROM as f64 { number } else { number * 1000.0 };
    // The cast saturates, and turns NaN into 0.
    if ms.is_nan() { None } else { in_range(ms.round() as i64) }
}

/// A whole number as a time, by the rule of [`parse_timestamp`]; `None` outside the calendar.
pub fn from_whole(number: i64) -> Option<i64> {
    let ms = if number.unsigned_abs() >= MILLISECONDS_FROM { number } else { number * 1000 };
    in_range(ms)
}

/// Appends `2024-05-01 12:00:00`, in UTC, with `.123` only if it is not a whole second. Times
/// outside the calendar are written as plain milliseconds.
pub fn write_timestamp(out: &mut String, ms: i64) {
    write_civil(out, ms, b' ', ms.rem_euclid(1000) != 0);
}

/// See [`write_timestamp`].
pub fn format_timestamp(ms: i64) -> String {
    let mut out = String::new();
    write_timestamp(&mut out, ms);
    out
}

/// Appends `2024-05-01T12:00:00.123Z`, always with milliseconds. Times outside the calendar are
/// written as plain milliseconds.
pub fn write_rfc3339(out: &mut String, ms: i64) {
    if write_civil(out, ms, b'T', true) {
        out.push('Z');
    }
}

/// A time in milliseconds since 1970, if it lies in the calendar: the years 0 to 9999.
pub fn in_range(ms: i64) -> Option<i64> {
    (MIN_MS..=MAX_MS).contains(&ms).then_some(ms)
}

fn rounded_ms(time: Timestamp) -> Option<i64> {
    i64::try_from((time.as_nanosecond() + 500_000).div_euclid(1_000_000)).ok()
}

/// Milliseconds from decimal digits with an optional sign and fraction; `None` for other texts.
/// Written by hand, because millions of rows hold such numbers, and exact where a float would
/// round.
pub(super) fn parse_number(text: &str) -> Option<Result<i64, TimeError>> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut whole: u64 = 0;
    let mut thousandths: u64 = 0;
    let mut seen = false;
    // The number of digits read after the point, if there was one.
    let mut behind: Option<u32> = None;
    let mut up = false;
    for c in digits {
        match (c, behind) {
            (b'0'..=b'9', None) => {
                seen = true;
                whole = whole.saturating_mul(10).saturating_add(u64::from(c - b'0'));
            }
            (b'0'..=b'9', Some(place)) => {
                seen = true;
                match place {
                    0..=2 => thousandths += u64::from(c - b'0') * 10_u64.pow(2 - place),
                    3 => up = *c >= b'5',
                    _ => {}
                }
                behind = Some(place.saturating_add(1));
            }
            (b'.', None) => behind = Some(0),
            _ => return None,
        }
    }
    if !seen {
        return None;
    }
    let size = if whole >= MILLISECONDS_FROM {
        whole.saturating_add(u64::from(thousandths >= 500))
    } else {
        whole * 1000 + thousandths + u64::from(up)
    };
    let ms = i64::try_from(size).ok().map(|ms| if negative { -ms } else { ms });
    Some(ms.and_then(in_range).ok_or_else(|| TimeError::outside(text)))
}

/// Whether it lay inside the calendar.
fn write_civil(out: &mut String, ms: i64, between: u8, thousandths: bool) -> bool {
    let Some(time) = in_range(ms).and_then(|ms| Timestamp::from_millisecond(ms).ok()) else {
        write_whole(out, ms);
        return false;
    };
    let civil: DateTime = Offset::UTC.to_datetime(time);
    let mut text = *b"0000-00-00T00:00:00.000";
    let mut put = |at: usize, width: usize, mut number: u16| {
        for place in (at..at + width).rev() {
            text[place] = b'0' + (number % 10) as u8;
            number /= 10;
        }
    };
    put(0, 4, civil.year().unsigned_abs());
    put(5, 2, civil.month().unsigned_abs().into());
    put(8, 2, civil.day().unsigned_abs().into());
    put(11, 2, civil.hour().unsigned_abs().into());
    put(14, 2, civil.minute().unsigned_abs().into());
    put(17, 2, civil.second().unsigned_abs().into());
    put(20, 3, civil.millisecond().unsigned_abs());
    text[10] = between;
    let shown = if thousandths { &text[..] } else { &text[..19] };
    out.extend(shown.iter().map(|c| char::from(*c)));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2024-05-01 12:00:00 UTC
    const NOON: i64 = 1_714_564_800_000;

    #[test]
    fn all_the_ways_to_write_a_time() {
        for (text, ms) in [
            ("1714564800", NOON),
            (" 1714564800 ", NOON),
            ("1714564800.25", NOON + 250),
            ("1714564800.1234", NOON + 123),
            ("1714564800.1235", NOON + 124),
            ("1714564800.9996", NOON + 1000),
            ("1714564800.", NOON),
            ("1714564800250", NOON + 250),
            ("1714564800250.5", NOON + 251),
            ("1.7145648e9", NOON),
            ("1.714564800250E+12", NOON + 250),
            ("0", 0),
            ("-1", -1000),
            ("-0.5", -500),
            ("+1", 1000),
            ("99999999999", 99_999_999_999_000),
            ("100000000000", 100_000_000_000),
            ("2024-05-01T12:00:00Z", NOON),
            ("2024-05-01T12:00:00.25Z", NOON + 250),
            ("2024-05-01T12:00:00.2504999Z", NOON + 250),
            ("2024-05-01T12:00:00.2505Z", NOON + 251),
            ("2024-05-01t12:00:00z", NOON),
            ("2024-05-01T14:00:00+02:00", NOON),
            ("2024-05-01T14:00:00+0200", NOON),
            ("2024-05-01 07:00:00-05:00", NOON),
            ("2024-05-01 12:00:00", NOON),
            ("2024-05-01T12:00:00", NOON),
            ("2024-05-01 12:00:00.123", NOON + 123),
            ("2024-05-01 12:00", NOON),
            ("2024-05-01", NOON - 12 * 3_600_000),
            ("1969-12-31T23:59:59.999Z", -1),
        ] {
            assert_eq!(parse_timestamp(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_what_is() {
        for text in [
            "",
            "-",
            ".",
            "+.",
            "now",
            "nan",
            "inf",
            "1e",
            "1_000",
            "12:00",
            "2024-13-01",
            "2024-02-30",
            "2024-05-01 25:00:00",
            "2024-05-01T12:00:00+99:00",
            "yesterday",
            "1,5",
            "0x10",
            "١",
        ] {
            let error = parse_timestamp(text).unwrap_err().to_string();
            assert!(error.contains("is not a time; `2024-05-01 12:00:00`"), "{text}: {error}");
        }
        for text in ["9999999999999999", "-99999999999999999999", "1e300", "253402300800000"] {
            let error = parse_timestamp(text).unwrap_err().to_string();
            assert!(error.contains("outside the years"), "{text}: {error}");
        }
    }

    #[test]
    fn times_relative_to_now() {
        const H: i64 = 3_600_000;
        for (text, ms) in [
            ("now", NOON),
            (" now ", NOON),
            ("now-30m", NOON - H / 2),
            ("now - 30m", NOON - H / 2),
            ("now+1h", NOON + H),
            ("-1h", NOON - H),
            ("-1h30m", NOON - H - H / 2),
            ("+90s", NOON + 90_000),
            ("2h ago", NOON - 2 * H),
            ("1 day 2 hours ago", NOON - 26 * H),
            ("-7d", NOON - 7 * 24 * H),
            ("-1w", NOON - 7 * 24 * H),
            ("-250ms", NOON - 250),
            ("-1mo", NOON - 30 * 24 * H),
            ("-1y", NOON - 366 * 24 * H),
            ("2024-05-01", NOON - 12 * H),
            ("1714564800", NOON),
            ("-1", -1000),
        ] {
            assert_eq!(parse_when(text, NOON), Ok(ms), "{text}");
        }
        for (text, hint) in [
            ("1h", "`-1h` or `1h ago`"),
            ("now 1h", "from when"),
            ("nowish", "is not a time"),
            ("soon", "`now-30m`"),
            ("-2h ago", "is not a time"),
            ("-9999y", "outside"),
        ] {
            let error = parse_when(text, NOON).map_err(|e| e.to_string());
            assert!(error.as_ref().is_err_and(|e| e.contains(hint)), "{text}: {error:?}");
        }
    }

    #[test]
    fn times_as_people_read_them() {
        assert_eq!(format_timestamp(NOON), "2024-05-01 12:00:00");
        assert_eq!(format_timestamp(NOON + 5), "2024-05-01 12:00:00.005");
        assert_eq!(format_timestamp(-1), "1969-12-31 23:59:59.999");
        assert_eq!(format_timestamp(i64::MIN), "-9223372036854775808");
        let mut out = String::new();
        write_rfc3339(&mut out, NOON);
        assert_eq!(out, "2024-05-01T12:00:00.000Z");
        assert_eq!(format_timestamp(MIN_MS), "0000-01-01 00:00:00");
        assert_eq!(MAX_MS, Timestamp::MAX.as_millisecond());
    }

    proptest! {
        #[test]
        fn times_read_back(ms in MIN_MS..=MAX_MS) {
            prop_assert_eq!(parse_timestamp(&format_timestamp(ms)), Ok(ms));
            let mut rfc = String::new();
            write_rfc3339(&mut rfc, ms);
            prop_assert_eq!(parse_timestamp(&rfc), Ok(ms));
            prop_assert_eq!(rfc.parse::<Timestamp>().map(|t| t.as_millisecond()).ok(), Some(ms));
        }

        #[test]
        fn any_text_is_a_time_or_an_error(text in "\\PC{0,40}", now: i64) {
            let _ = parse_timestamp(&text);
            let _ = parse_when(&text, now);
        }

        #[test]
        fn nearly_times_do_not_panic(text in "(now|-)?[0-9.+: TZeagods-]{0,30}", now: i64) {
            let _ = parse_timestamp(&text);
            let _ = parse_when(&text, now);
        }

        #[test]
        fn numbers_of_any_size(number: f64, whole: i64) {
            let _ = from_number(number);
            let _ = from_whole(whole);
            let _ = format_timestamp(whole);
        }
    }
}
