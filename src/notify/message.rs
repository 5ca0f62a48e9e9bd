//! notify: the message: one first line, some more lines, and its alerts for machines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Severity;

/// The occasion of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// Something is wrong now, or worse than before.
    Fire,
    /// It is over.
    Over,
    /// It began and ended before anybody could be told.
    Was,
    /// It is still wrong, and nobody has acknowledged it.
    Reminder,
    /// Many changes in one message.
    Digest,
    /// Somebody tries the channel.
    Test,
}

impl Occasion {
    /// `fire`, `over`, `was`, `reminder`, `digest` or `test`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fire => "fire",
            Self::Over => "over",
            Self::Was => "was",
            Self::Reminder => "reminder",
            Self::Digest => "digest",
            Self::Test => "test",
        }
    }
}

/// One message to one or more people, about one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Stays the same over all attempts and restarts, so that a receiver can drop a second copy:
    /// `fingerprint/fired_at/seq` of the first alert. ASCII, at most 100 characters.
    pub key: String,
    /// Messages with the same thread belong to one incident: mail's In-Reply-To, PagerDuty's
    /// `dedup_key`. ASCII, at most 100 characters.
    pub thread: String,
    /// The occasion.
    pub occasion: Occasion,
    /// The worst of its alerts.
    pub severity: Severity,
    /// The machine that it is about.
    pub host: String,
    /// The first line, which says all: `bad: disk / on web1 98 % full, 5.1 GB left`.
    pub title: String,
    /// More lines of plain text, the most important ones first.
    pub lines: Vec<String>,
    /// The page that shows it.
    pub link: Option<String>,
    /// When it was made, ms since 1970 UTC.
    pub at: i64,
    /// Its alerts, for machines; the worst first.
    pub alerts: Vec<Alert>,
    /// The chart that shows it. It is drawn when the message is sent.
    pub chart: Option<Chart>,
}

/// One alert of a message, for machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// 16 hexadecimal digits; the same for the same rule and labels.
    pub fingerprint: String,
    /// Whether it fires; otherwise it is over.
    pub firing: bool,
    /// Its labels, with `alertname` and `severity`.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, with `summary` and `description`.
    pub annotations: BTreeMap<String, String>,
    /// When it began to fire, ms since 1970 UTC.
    pub starts_at: i64,
    /// When it was over, ms since 1970 UTC.
    pub ends_at: Option<i64>,
    /// The value that was judged.
    #[serde(with = "number")]
    pub value: f64,
    /// The worst value while it fired.
    #[serde(with = "number")]
    pub peak: f64,
    /// The limit that was passed.
    pub limit: Option<f64>,
    /// The processes and units that matter, the worst first.
    pub culprits: Vec<String>,
    /// Where its expression can be seen.
    pub generator_url: String,
}

/// The chart that shows what a message is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// The expression, as PromQL.
    pub expr: String,
    /// The line above it.
    pub title: String,
    /// Marked as a level line.
    pub limit: Option<f64>,
    /// Marked as a moment, ms since 1970 UTC.
    pub breach: i64,
}

/// A picture that goes with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The PNG's bytes.
    pub png: Vec<u8>,
    /// The picture in words.
    pub alt: String,
}

/// A message by which somebody tries a channel, of a machine at a time (ms since 1970 UTC).
pub fn test_message(host: &str, at: i64) -> Message {
    Message {
        key: format!("test/{at}"),
        thread: format!("test/{at}"),
        occasion: Occasion::Test,
        severity: Severity::Info,
        host: host.to_owned(),
        title: format!("test: alerts of {host} arrive here"),
        lines: vec!["Nothing is wrong. Somebody tried this receiver.".to_owned()],
        link: None,
        at,
        alerts: Vec::new(),
        chart: None,
    }
}

/// JSON has no infinity and no NaN: they are written as texts.
mod number {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(value: &f64, out: S) -> Result<S::Ok, S::Error> {
        if value.is_finite() { out.serialize_f64(*value) } else { out.collect_str(value) }
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<f64, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Number(number) => number,
            Written::Text(text) => text.parse().unwrap_or(f64::NAN),
        })
    }
}

/// A message as it may come at night.
#[cfg(test)]
pub(crate) fn example() -> Message {
    let words = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Message {
        key: "00c0ffee00c0ffee/1796099033123/1".into(),
        thread: "00c0ffee00c0ffee/1796099033123".into(),
        occasion: Occasion::Fire,
        severity: Severity::Bad,
        host: "web1".into(),
        title: "bad: disk / on web1 98 % full, 5.1 GB left, full about 16:40".into(),
        lines: vec![
            "since 14:22 (+01:00), for 12 min; limit 97 %".into(),
            "postgres[812] in postgresql.service writes 31 MB/s".into(),
            "<also>: load 14 & *rising*".into(),
        ],
        link: Some("http://web1:1876/alerts".into()),
        at: 1_796_099_033_123,
        alerts: vec![Alert {
            fingerprint: "00c0ffee00c0ffee".into(),
            firing: true,
            labels: words(&[("alertname", "disk_full"), ("mountpoint", "/"), ("severity", "bad")]),
            annotations: words(&[
                ("summary", "disk / is 98 % full"),
                ("description", "5.1 GB left"),
            ]),
            starts_at: 1_796_099_013_000,
            ends_at: None,
            value: 98.2,
            peak: 98.2,
            limit: Some(97.0),
            culprits: vec!["postgres[812] in postgresql.service".into()],
            generator_url: "http://web1:1876/graph?g0.expr=disk".into(),
        }],
        chart: None,
    }
}
