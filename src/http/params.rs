//! http: the parameters of a question: out of the address and out of a form, and what their texts
//! mean. Pure.

use super::error::{ApiError, Kind};
use crate::query::number::parse_duration;
use crate::wire::time::parse_timestamp;

/// The earliest and the latest time that `start` and `end` can mean, ms.
pub(super) const ALWAYS: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// All parameters; those of a form come first, as there.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) fn new(address: &[u8], form: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(form).chain(form_urlencoded::parse(address));
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value of that name; empty if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A moment in ms since 1970 UTC.
    pub(super) fn time(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => moment(text).map(Some).ok_or_else(|| {
                let why = format!("cannot parse \"{text}\" to a valid timestamp");
                ApiError::parameter(name, why)
            }),
        }
    }

    /// A length of time in ms.
    pub(super) fn duration(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => length(text).map(Some).ok_or_else(|| {
                let why = format!("cannot parse \"{text}\" to a valid duration");
                ApiError::parameter(name, why)
            }),
        }
    }

    /// The largest number of results; 0 and an empty value mean all.
    pub(super) fn limit(&self, name: &str) -> Result<usize, ApiError> {
        match self.get(name) {
            "" => Ok(usize::MAX),
            text => match text.parse::<i64>() {
                Ok(0) => Ok(usize::MAX),
                Ok(limit) if limit > 0 => Ok(limit as usize),
                Ok(_) => Err(ApiError::parameter(name, "limit must be non-negative")),
                Err(_) => {
                    let why = format!("cannot parse \"{text}\" to a valid limit");
                    Err(ApiError::parameter(name, why))
                }
            },
        }
    }

    /// The largest number of results; an empty or negative value means all.
    pub(super) fn most(&self, name: &str) -> Result<usize, ApiError> {
        match self.get(name) {
            "" => Ok(usize::MAX),
            text => match text.parse::<i64>() {
                Ok(most) => Ok(usize::try_from(most).unwrap_or(usize::MAX)),
                Err(_) => Err(ApiError::new(Kind::BadData, format!("{name} must be a number"))),
            },
        }
    }
}

/// Seconds since 1970, with a fraction or not, or RFC 3339.
fn moment(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        // Go: whole seconds and a fraction of three digits, rounded.
        let ms = (seconds * 1000.0).round();
        return (seconds.is_finite() && ms.abs() < i64::MAX as f64).then_some(ms as i64);
    }
    // Sent by clients for an unlimited number.
    match text {
        "-292273086-05-16T16:47:06Z" => return Some(ALWAYS.0),
        "292277025-08-18T07:12:54.999999999Z" => return Some(ALWAYS.1),
        _ => {}
    }
    parse_timestamp(text).ok().filter(|_| text.contains(['T', 't']))
}

/// Seconds, with a fraction or not, or `5m`.
fn length(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        return (ms.is_finite() && ms.abs() < i64::MAX as f64 / 1e6).then_some(ms as i64);
    }
    parse_duration(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_come_before_addresses() {
        let params =
            Params::new(b"query=a%2Bb+c&match[]=x&&=&e", b"query=%E2%98%BA%zz&match%5B%5D=y");
        assert_eq!(params.get("query"), "☺%zz");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["y", "x"]);
        assert_eq!(params.get("nothing"), "");
        assert_eq!(Params::new(b"query=a%2Bb+c", b"").get("query"), "a+b c");
    }

    #[test]
    fn moments_lengths_and_limits() {
        let one = |text: &str| Params::new(format!("a={text}").as_bytes(), b"");
        for (text, ms) in [
            ("0", Some(0)),
            ("1435781451.781", Some(1_435_781_451_781)),
            ("-1.5", Some(-1_500)),
            ("1e3", Some(1_000_000)),
            ("2015-07-01T20:10:51.781Z", Some(1_435_781_451_781)),
            ("2015-07-01T22:10:51%2B02:00", Some(1_435_781_451_000)),
            ("", None),
        ] {
            assert_eq!(one(text).time("a").unwrap(), ms, "{text}");
        }
        for text in ["now", "2015-07-01", "NaN", "1e300", "inf"] {
            assert!(one(text).time("a").is_err(), "{text}");
        }
        for (text, ms) in [("15", 15_000), ("0.5", 500), ("5m", 300_000), ("1h30m", 5_400_000)] {
            assert_eq!(one(text).duration("a").unwrap(), Some(ms), "{text}");
        }
        for text in ["x", "5", "inf"].into_iter().skip(2).chain(["1x", "5m1h"]) {
            assert!(one(text).duration("a").is_err(), "{text}");
        }
        assert_eq!(one("3").limit("a").unwrap(), 3);
        assert_eq!(one("0").limit("a").unwrap(), usize::MAX);
        assert!(one("-1").limit("a").is_err() && one("x").limit("a").is_err());
        assert_eq!(one("0").most("a").unwrap(), 0);
        assert_eq!(one("-1").most("a").unwrap(), usize::MAX);
        assert!(one("x").most("a").is_err());
    }
}
