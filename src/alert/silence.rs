//! alert: silences: alerts that nobody is told of for a while, and the author of the silence.

use jiff::tz::TimeZone;

use super::Instance;
use super::weekly::Weekly;
use crate::model::Glob;
use crate::query::matcher::{Matcher, NAME};
use crate::query::parse_selector;
use crate::store::SilenceRow;

/// At most this many silences are in force: each alert is compared with all of them.
pub const MOST: usize = 1_000;
/// A text of a person has no more bytes than this. Any program of this machine may send one.
const LONGEST: usize = 1_000;

/// An error where a text of a person is too long; `which` names it.
pub fn check_length(which: &str, text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err(format!("{which} has {} bytes; {LONGEST} is the most", text.len()));
    }
    Ok(())
}

/// The alerts that a person means.
#[derive(Debug, Clone)]
pub enum What {
    /// A word: a rule, a machine, the value of a label, or a key such as `disk_/home`; `*` and `?` stand
    /// for anything.
    Word(Glob),
    /// Labels, as PromQL has them.
    Labels(Vec<Matcher>),
}

impl What {
    /// Reads a word, or labels as PromQL has them: `mountpoint="/"`, `{job=~"db.*"}`. An error says what
    /// is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err(
                "say what is to be silent: a rule, a machine, `disk_/home`, `mountpoint=\"/\"`, \
                        or `*` for everything"
                    .to_owned(),
            );
        }
        if !text.contains('=') {
            return Ok(Self::Word(Glob::new(text)));
        }
        let selector = if text.contains('{') { text.to_owned() } else { format!("{{{text}}}") };
        parse_selector(&selector)
            .map(Self::Labels)
            .map_err(|e| format!("`{text}` cannot be read: {e}\n  write it as `mountpoint=\"/\"`"))
    }

    /// Whether this alert, of this machine, is meant.
    pub fn matches(&self, alert: &Instance, host: &str) -> bool {
        match self {
            Self::Labels(matchers) => matchers.iter().all(|m| {
                let value = match m.name() {
                    NAME | "alertname" => Some(&*alert.rule),
                    "severity" => Some(alert.severity.word()),
                    "host" => Some(host),
                    name => alert.labels.get(name),
                };
                m.matches(value.unwrap_or_default())
            }),
            Self::Word(word) => {
                let plain = word.as_str();
                word.matches(&alert.rule)
                    || word.matches(host)
                    || alert.labels.iter().any(|(_, value)| {
                        word.matches(value) || {
                            // `disk_/home`: the key's name, or the rule's beginning.
                            let before =
                                plain.strip_suffix(value).and_then(|b| b.strip_suffix('_'));
                            before.is_some_and(|b| !b.is_empty() && alert.rule.starts_with(b))
                        }
                    })
            }
        }
    }
}

/// A silence.
#[derive(Debug, Clone)]
pub struct Silence {
    /// As it is stored.
    pub row: SilenceRow,
    what: What,
    every: Option<Weekly>,
}

impl Silence {
    /// Reads a stored or new one; `here` is the zone of a window that names none. An error says what is
    /// wrong.
    pub fn new(row: SilenceRow, here: &TimeZone) -> Result<Self, String> {
        let what = What::parse(&row.what)?;
        let every =
            if row.every.is_empty() { None } else { Some(Weekly::parse(&row.every, here)?) };
        if row.ends_at.is_some_and(|ends| ends <= row.starts_at) {
            return Err("it would end before it begins".to_owned());
        }
        Ok(Self { row, what, every })
    }

    /// Whether it holds at `now` (ms since 1970 UTC) for an alert of this machine: then until when, as far
    /// as that is known.
    pub fn holds(&self, alert: &Instance, host: &str, now: i64) -> Option<Option<i64>> {
        let until = self.is_on(now)?;
        self.what.matches(alert, host).then_some(until)
    }

    /// Whether it holds at `now` (ms since 1970 UTC) for whatever it matches: then until when, as far as
    /// that is known.
    pub fn is_on(&self, now: i64) -> Option<Option<i64>> {
        let ends = self.row.ends_at;
        if now < self.row.starts_at || ends.is_some_and(|ends| now >= ends) {
            return None;
        }
        match &self.every {
            None => Some(ends),
            Some(every) => every.holds(now).map(|to| Some(ends.map_or(to, |ends| ends.min(to)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::peace::tests::instance;
    use super::*;

    #[test]
    fn a_word_is_a_rule_a_machine_or_a_key() {
        let alert = instance("disk_full", &[("mountpoint", "/home"), ("instance", "web1")]);
        for (text, meant) in [
            ("disk_full", true),
            ("disk_*", true),
            ("web1", true),
            ("web?", true),
            ("/home", true),
            ("disk_/home", true),
            ("disk_/", false),
            ("memory", false),
            ("mountpoint=\"/home\"", true),
            ("{mountpoint=~\"/h.*\", severity=\"bad\"}", true),
            ("alertname=\"disk_full\"", true),
            ("host=\"web2\"", false),
            ("disk_full{mountpoint!=\"/\"}", true),
            ("*", true),
        ] {
            let what = What::parse(text).expect(text);
            assert_eq!(what.matches(&alert, "web1"), meant, "{text}");
        }
        for wrong in ["", " ", "a=b=c", "{mountpoint=~\"(\"}", "rate(x{a=\"b\"}[5m])"] {
            assert!(What::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_begins_and_ends_by_itself() {
        let row = |every: &str, starts_at, ends_at| SilenceRow {
            id: 1,
            what: "*".into(),
            every: every.into(),
            starts_at,
            ends_at,
            who: "anna".into(),
            why: "work".into(),
        };
        let alert = instance("memory", &[]);
        let holds =
            |row, now| Silence::new(row, &TimeZone::UTC).expect("one").holds(&alert, "h", now);
        assert_eq!(holds(row("", 100, Some(200)), 99), None);
        assert_eq!(holds(row("", 100, Some(200)), 100), Some(Some(200)));
        assert_eq!(holds(row("", 100, Some(200)), 200), None);
        assert_eq!(holds(row("", 100, None), 1 << 40), Some(None));
        // The first of January 1970 was a Thursday.
        let hour = 3_600_000;
        assert_eq!(holds(row("Thu 01:00-03:00", 0, None), hour), Some(Some(3 * hour)));
        assert_eq!(holds(row("Thu 01:00-03:00", 0, Some(2 * hour)), hour), Some(Some(2 * hour)));
        assert_eq!(holds(row("Fri 01:00-03:00", 0, None), hour), None);
        assert!(Silence::new(row("", 100, Some(100)), &TimeZone::UTC).is_err());
        assert!(Silence::new(row("soon", 100, None), &TimeZone::UTC).is_err());
    }
}
