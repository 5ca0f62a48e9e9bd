//! model: how long something takes or how often it happens, as people write it: `10s`, `1m30s`.

use std::fmt;
use std::str::FromStr;

/// The units of durations, largest first, in milliseconds. Months are missing because their length
/// varies.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// How often a collector is read: from 100 ms to one day, exact to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(i64);

impl Interval {
    /// 100 ms. Shorter intervals would measure mostly the measuring.
    pub const MIN: Self = Self(100);
    /// One day.
    pub const MAX: Self = Self(86_400_000);
    /// Ten seconds.
    pub const DEFAULT: Self = Self(10_000);

    /// The default interval of a plugin: one minute.
    pub const MINUTE: Self = Self(60_000);

    /// The interval of `ms` milliseconds, if it is allowed.
    pub const fn from_ms(ms: i64) -> Option<Self> {
        if ms >= Self::MIN.0 && ms <= Self::MAX.0 { Some(Self(ms)) } else { None }
    }

    /// Its length in milliseconds.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Its length as the standard library writes it.
    pub const fn as_duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0 as u64)
    }
}

impl FromStr for Interval {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let ms = parse_duration(text)?;
        Self::from_ms(ms).ok_or_else(|| DurationError {
            message: format!(
                "`{text}` is too {}: an interval lies between {} and {}",
                if ms < Self::MIN.0 { "short" } else { "long" },
                Self::MIN,
                Self::MAX,
            ),
            hint: format!("for example `{}`", Self::DEFAULT),
        })
    }
}

/// The shortest form that means exactly this: `90s`, `1.5s`, `1d`; it parses back.
impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_duration(self.0))
    }
}

/// The reason why a text is not an allowed duration, and a correction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {hint}")]
pub struct DurationError {
    /// The fault, as a sentence.
    pub message: String,
    /// A correct value.
    pub hint: String,
}

/// A duration in milliseconds: `250ms`, `1.5s`, `5m`, `1h30m`, `400d`, `10y`. A year is 365 days.
/// Larger units come first, each once; only the last number may have decimals.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let refuse = |message: String| {
        Err(DurationError {
            message,
            hint: match meant(text) {
                Some(better) => format!("did you mean `{better}`?"),
                None => "write number and unit, for example `10s`, `250ms`, `1m30s` or `1h` \
                         (units: ms, s, m, h, d, w, y)"
                    .into(),
            },
        })
    };
    if text.trim().is_empty() {
        return refuse("this is empty, a length of time was expected".into());
    }
    if text.starts_with('-') {
        return refuse(format!("`{text}` is negative"));
    }
    match scan(text) {
        Ok(ms) => Ok(ms),
        Err(Fault::Form) => refuse(format!("`{text}` is not a length of time")),
        Err(Fault::NoUnit) => refuse(format!("`{text}` has no unit")),
        Err(Fault::TooFine) => refuse(format!("`{text}` is finer than a millisecond")),
        Err(Fault::TooLong) => refuse(format!("`{text}` is longer than this clock can count")),
    }
}

enum Fault {
    Form,
    NoUnit,
    TooFine,
    TooLong,
}

fn scan(text: &str) -> Result<i64, Fault> {
    let mut rest = text;
    let mut total: i64 = 0;
    let mut smallest = usize::MAX;
    while !rest.is_empty() {
        let number = take(&mut rest, |c| c.is_ascii_digit() || c == '.');
        let unit = take(&mut rest, |c| c.is_ascii_alphabetic());
        if number.is_empty() {
            return Err(Fault::Form);
        }
        if unit.is_empty() {
            return Err(if rest.is_empty() { Fault::NoUnit } else { Fault::Form });
        }
        let at = UNITS.iter().position(|(name, _)| *name == unit).ok_or(Fault::Form)?;
        if smallest != usize::MAX && at <= smallest {
            return Err(Fault::Form);
        }
        smallest = at;
        let (whole, decimals) = match number.split_once('.') {
            Some((whole, decimals)) if rest.is_empty() => (whole, decimals),
            Some(_) => return Err(Fault::Form),
            None => (number, "0"),
        };
        let part = scale(whole, decimals, UNITS[at].1)?;
        total = total.checked_add(part).ok_or(Fault::TooLong)?;
    }
    Ok(total)
}

/// `whole.decimals` times `unit`, without the rounding of floats.
fn scale(whole: &str, decimals: &str, unit: i64) -> Result<i64, Fault> {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) {
        return Err(Fault::Form);
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > 15 {
        return Err(Fault::TooFine);
    }
    let mut fraction: i128 = decimals.parse().unwrap_or(0);
    fraction *= i128::from(unit);
    let ten = 10_i128.pow(decimals.len() as u32);
    if fraction % ten != 0 {
        return Err(Fault::TooFine);
    }
    let whole: i64 = whole.parse().map_err(|_| Fault::TooLong)?;
    let whole = whole.checked_mul(unit).ok_or(Fault::TooLong)?;
    whole.checked_add((fraction / ten) as i64).ok_or(Fault::TooLong)
}

fn take<'a>(rest: &mut &'a str, belongs: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    *rest = tail;
    head
}

/// A correction for texts such as `10 sec` or `10`.
fn meant(text: &str) -> Option<String> {
    let text: String =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_lowercase()).collect();
    let mut rest = text.as_str();
    let mut out = String::new();
    while !rest.is_empty() {
        let number = take(&mut rest, |c| c.is_ascii_digit() || c == '.');
        let unit = take(&mut rest, |c| c.is_ascii_alphabetic());
        let unit = match unit {
            "" if out.is_empty() => "s",
            "sec" | "secs" | "second" | "seconds" => "s",
            "msec" | "millis" | "millisecond" | "milliseconds" => "ms",
            "min" | "mins" | "minute" | "minutes" => "m",
            "hr" | "hrs" | "hour" | "hours" => "h",
            "day" | "days" => "d",
            "week" | "weeks" => "w",
            "yr" | "year" | "years" => "y",
            known if UNITS.iter().any(|(name, _)| *name == known) => known,
            _ => return None,
        };
        if number.is_empty() {
            return None;
        }
        out.push_str(number);
        out.push_str(unit);
    }
    scan(&out).is_ok().then_some(out)
}

/// The shortest text that [`parse_duration`] reads as `ms` milliseconds. Of equally short ones it
/// takes the larger unit (`1m`, not `60s`). Weeks are read but not written: `30d` is clearer than
/// `4w2d`. Negative lengths are shown as `0s`.
pub fn format_duration(ms: i64) -> String {
    if ms <= 0 {
        return "0s".into();
    }
    let mut best = String::new();
    let mut consider = |candidate: String| {
        if best.is_empty() || candidate.len() < best.len() {
            best = candidate;
        }
    };
    let mut combined = String::new();
    let mut rest = ms;
    for (name, unit) in UNITS.into_iter().filter(|(name, _)| *name != "w") {
        if rest >= unit {
            combined.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
        if ms >= unit {
            let (whole, part) = (ms / unit, ms % unit);
            if part == 0 {
                consider(format!("{whole}{name}"));
            } else if let Some(decimals) = exact_decimals(part, unit) {
                consider(format!("{whole}.{decimals}{name}"));
            }
        }
    }
    consider(combined);
    best
}

/// `part / unit` as decimals, if three are enough.
fn exact_decimals(part: i64, unit: i64) -> Option<String> {
    let thousandths = part.checked_mul(1000)?;
    (thousandths % unit == 0)
        .then(|| format!("{:03}", thousandths / unit).trim_end_matches('0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_write() {
        for (text, ms) in [
            ("250ms", 250),
            ("1s", 1_000),
            ("1.5s", 1_500),
            ("0.25s", 250),
            ("5m", 300_000),
            ("1m30s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("1h1.5s", 3_601_500),
            ("1d", 86_400_000),
            ("400d", 34_560_000_000),
            ("10y", 315_360_000_000),
            ("2w", 1_209_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_refused_and_what_is_proposed() {
        for (text, error) in [
            ("10 sec", "`10 sec` is not a length of time; did you mean `10s`?"),
            ("5 Minutes", "`5 Minutes` is not a length of time; did you mean `5m`?"),
            ("10", "`10` has no unit; did you mean `10s`?"),
            ("1h30", "`1h30` has no unit; write number and unit"),
            ("0.5ms", "`0.5ms` is finer than a millisecond"),
            ("1.0001s", "`1.0001s` is finer than a millisecond"),
            ("-5s", "`-5s` is negative"),
            ("", "this is empty, a length of time was expected"),
            ("s", "`s` is not a length of time"),
            ("1x", "`1x` is not a length of time"),
            ("1.5h30m", "`1.5h30m` is not a length of time"),
            ("30s1m", "`30s1m` is not a length of time"),
            ("1s1s", "`1s1s` is not a length of time"),
            ("1..5s", "`1..5s` is not a length of time"),
            (".5s", "`.5s` is not a length of time"),
            ("１s", "`１s` is not a length of time"),
            ("99999999999999999999s", "longer than this clock can count"),
            ("999999999999y", "longer than this clock can count"),
        ] {
            let said = parse_duration(text).unwrap_err().to_string();
            assert!(said.contains(error), "{text}: {said}");
        }
    }

    #[test]
    fn an_interval_has_bounds_and_says_them() {
        assert_eq!("100ms".parse(), Ok(Interval::MIN));
        assert_eq!("24h".parse(), Ok(Interval::MAX));
        assert_eq!(
            "99ms".parse::<Interval>().unwrap_err().to_string(),
            "`99ms` is too short: an interval lies between 100ms and 1d; for example `10s`"
        );
        assert_eq!(
            "2d".parse::<Interval>().unwrap_err().to_string(),
            "`2d` is too long: an interval lies between 100ms and 1d; for example `10s`"
        );
    }

    #[test]
    fn shown_in_the_shortest_exact_form() {
        for (ms, text) in [
            (100, "100ms"),
            (1_000, "1s"),
            (1_250, "1.25s"),
            (1_500, "1.5s"),
            (60_000, "1m"),
            (90_000, "90s"),
            (5_400_000, "90m"),
            (3_600_001, "1h1ms"),
            (86_400_000, "1d"),
            (34_560_000_000, "400d"),
            (315_360_000_000, "10y"),
            (0, "0s"),
        ] {
            assert_eq!(format_duration(ms), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 0..i64::MAX) {
            prop_assert_eq!(parse_duration(&format_duration(ms)), Ok(ms));
            let small = ms % Interval::MAX.as_ms();
            prop_assert_eq!(parse_duration(&format_duration(small)), Ok(small));
        }

        #[test]
        fn no_text_panics(text in "[0-9.a-z -]{0,12}|.{0,12}") {
            let _ = text.parse::<Interval>();
        }
    }
}
