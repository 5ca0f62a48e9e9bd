//! alert: times of the week as people say them: `Sun 02:00-04:00 Europe/Berlin`. They are times of the
//! clock on the wall in a named zone, so they stay right when that clock is moved.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A window that comes back each week.
#[derive(Debug, Clone, PartialEq)]
pub struct Weekly {
    days: [bool; 7],
    from: Time,
    to: Time,
    zone: TimeZone,
}

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

const EXAMPLE: &str =
    "write it as `Sun 02:00-04:00 Europe/Berlin`, `Mon-Fri 22:00-06:00` or `daily 23:00-07:00`";

impl Weekly {
    /// Reads days, times and a zone; `here` is the zone where none is written. One that ends before it
    /// begins ends on the next day. An error says what was not understood, and shows how it is written.
    pub fn parse(text: &str, here: &TimeZone) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let wrong = |what: String| format!("{what}\n  {EXAMPLE}");
        let Some(first) = words.next() else { return Err(wrong("there is no time in it".into())) };
        let (days, times) = if first.starts_with(|c: char| c.is_ascii_digit()) {
            ([true; 7], first)
        } else {
            let times = words.next().ok_or_else(|| wrong(format!("`{text}` has no times")))?;
            (days(first).map_err(wrong)?, times)
        };
        let (from, to) = times
            .split_once(['-', '–'])
            .ok_or_else(|| wrong(format!("`{times}` is no two times with a hyphen between")))?;
        let (from, to) = (time(from).map_err(wrong)?, time(to).map_err(wrong)?);
        // From midnight to midnight is the whole day.
        let whole_day = times.ends_with("24:00");
        if from == to && !whole_day {
            return Err(wrong(format!("`{times}` begins when it ends")));
        }
        let zone = match words.next() {
            None => here.clone(),
            Some(name) => TimeZone::get(name)
                .map_err(|_| wrong(format!("`{name}` is no time zone that this machine knows")))?,
        };
        match words.next() {
            None => Ok(Self { days, from, to, zone }),
            Some(more) => Err(wrong(format!("`{more}` is one word too many"))),
        }
    }

    /// Whether a moment (ms since 1970 UTC) is inside: then until when.
    pub fn holds(&self, at: i64) -> Option<i64> {
        let at = Timestamp::from_millisecond(at).ok()?;
        let today = at.to_zoned(self.zone.clone()).date();
        let yesterday = today.yesterday().ok();
        (yesterday.into_iter().chain([today])).find_map(|day| {
            let (from, to) = self.on(day)?;
            (from <= at && at < to).then(|| to.as_millisecond())
        })
    }

    /// The window that begins on this day.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days[day.weekday().to_monday_zero_offset() as usize] {
            return None;
        }
        let last = if self.to <= self.from { day.checked_add(1.day()).ok()? } else { day };
        // Of an hour that there is twice both are inside. A time that there is not is the one that the
        // clock on the wall has then.
        let from = self.zone.to_ambiguous_zoned(day.to_datetime(self.from)).compatible().ok()?;
        let to = self.zone.to_ambiguous_zoned(last.to_datetime(self.to)).later().ok()?;
        Some((from.timestamp(), to.timestamp()))
    }
}

fn days(text: &str) -> Result<[bool; 7], String> {
    let lower = text.to_ascii_lowercase();
    if ["daily", "always"].contains(&lower.as_str()) {
        return Ok([true; 7]);
    }
    let day = |word: &str| {
        let found = DAYS.iter().position(|(short, _)| word.len() >= 3 && word.starts_with(short));
        found.ok_or_else(|| format!("`{word}` is no day"))
    };
    let mut out = [false; 7];
    for part in lower.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        loop {
            out[at] = true;
            if at == last {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    Ok(out)
}

fn time(text: &str) -> Result<Time, String> {
    if text == "24:00" {
        return Ok(Time::midnight());
    }
    let (hour, minute) = text.split_once(':').unwrap_or((text, "00"));
    let number = |text: &str| text.parse::<i8>().ok();
    (number(hour).zip(number(minute)))
        .and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok())
        .ok_or_else(|| format!("`{text}` is no time of day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("this machine knows it")
    }

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a time").as_millisecond()
    }

    fn inside(window: &str, moment: &str) -> Option<String> {
        let until = Weekly::parse(window, &TimeZone::UTC).expect("a window").holds(at(moment))?;
        Some(Timestamp::from_millisecond(until).expect("a time").to_string())
    }

    #[test]
    fn days_and_times_in_a_zone() {
        let window = "Sun 02:00-04:00 Europe/Berlin";
        // In winter Berlin is an hour ahead, in summer two.
        assert_eq!(inside(window, "2026-01-11T00:59:59Z"), None);
        assert_eq!(inside(window, "2026-01-11T01:00:00Z"), Some("2026-01-11T03:00:00Z".into()));
        assert_eq!(inside(window, "2026-07-12T00:00:00Z"), Some("2026-07-12T02:00:00Z".into()));
        assert_eq!(inside(window, "2026-07-12T02:00:00Z"), None);
        assert_eq!(inside(window, "2026-01-12T01:30:00Z"), None, "a Monday");
        let night = "mon-fri 22:00-06:00";
        assert_eq!(inside(night, "2026-01-10T05:00:00Z"), Some("2026-01-10T06:00:00Z".into()));
        assert_eq!(inside(night, "2026-01-10T23:00:00Z"), None, "Saturday's night is not in it");
        assert_eq!(inside("22-7", "2026-01-10T06:59:00Z"), Some("2026-01-10T07:00:00Z".into()));
        assert!(inside("Sat,Sun 0:00-24:00", "2026-01-11T23:59:59Z").is_some());
    }

    /// In Berlin 02:00 to 03:00 is not there on 29 March 2026, and is there twice on 25 October 2026.
    #[test]
    fn both_days_on_which_the_clock_is_moved() {
        let window = "daily 02:00-03:00 Europe/Berlin";
        assert_eq!(inside(window, "2026-03-29T00:59:59Z"), None);
        assert_eq!(inside(window, "2026-03-29T01:00:00Z"), None, "the hour is skipped");
        let over = "daily 01:30-02:30 Europe/Berlin";
        assert_eq!(inside(over, "2026-03-29T00:45:00Z"), Some("2026-03-29T01:30:00Z".into()));
        for moment in ["2026-10-25T00:00:00Z", "2026-10-25T00:59:00Z", "2026-10-25T01:59:59Z"] {
            assert_eq!(inside(window, moment), Some("2026-10-25T02:00:00Z".into()), "{moment}");
        }
        assert_eq!(inside(window, "2026-10-25T02:00:00Z"), None);
        let night = "daily 22:00-06:00 Europe/Berlin";
        assert_eq!(inside(night, "2026-03-28T21:00:00Z"), Some("2026-03-29T04:00:00Z".into()));
        assert_eq!(inside(night, "2026-10-24T20:00:00Z"), Some("2026-10-25T05:00:00Z".into()));
        // One that ends at midnight of a day that begins at one o'clock.
        let midnight = "daily 22:00-24:00 America/Asuncion";
        assert!(inside(midnight, "2023-10-01T02:00:00Z").is_some());
    }

    #[test]
    fn what_is_none_says_how_it_is_written() {
        for (text, what) in [
            ("", "there is no time in it"),
            ("Sun", "has no times"),
            ("Sunny 02:00-04:00", "OK"),
            ("Xun 02:00-04:00", "`xun` is no day"),
            ("Sun 02:00", "no two times"),
            ("Sun 25:00-26:00", "`25:00` is no time of day"),
            ("Sun 02:00-02:00", "begins when it ends"),
            ("Sun 02:00-04:00 Europe/Nowhere", "no time zone"),
            ("Sun 02:00-04:00 UTC now", "one word too many"),
        ] {
            match Weekly::parse(text, &zone("UTC")) {
                Ok(_) => assert_eq!(what, "OK", "{text}"),
                Err(e) => assert!(e.contains(what) && e.contains("Europe/Berlin"), "{text}: {e}"),
            }
        }
    }
}
