//! notify: one change that is to be told to one or more channels, with the facts that its message is made
//! of. It is stored until it is told; the message is composed when it is sent, of all changes that wait.

use serde::{Deserialize, Serialize};

use super::{Alert, Chart, Occasion};
use crate::model::Severity;
use crate::store::OutboxRow;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// Fire, over or reminder.
    pub occasion: Occasion,
    /// How bad it is.
    pub severity: Severity,
    /// The machine that it is about.
    pub host: String,
    /// When it was made, ms since 1970 UTC.
    pub at: i64,
    /// Nobody is told before this, ms since 1970 UTC: quiet hours.
    #[serde(default)]
    pub not_before: i64,
    /// It does not wait for others: something became bad that nobody was told of lately.
    #[serde(default)]
    pub urgent: bool,
    /// The sentence: `disk / is 98 % full, 5.1 GB left`.
    pub text: String,
    /// The value with its unit.
    #[serde(default)]
    pub value: String,
    /// The limit with its unit; empty: there is none.
    #[serde(default)]
    pub limit: String,
    /// The worst value with its unit.
    #[serde(default)]
    pub peak: String,
    /// The alert, for machines.
    pub alert: Alert,
    /// When its condition began to hold, which is `for` before it fired; ms since 1970 UTC. Nothing: it
    /// held for no time.
    #[serde(default)]
    pub began: Option<i64>,
    /// What else is wrong on the machine, in sentences.
    #[serde(default)]
    pub also: Vec<String>,
    /// The last lines of a log that matters.
    #[serde(default)]
    pub log: Vec<String>,
    /// One more sentence, such as that it was a warning before.
    #[serde(default)]
    pub remark: String,
    /// The page that shows it.
    #[serde(default)]
    pub link: Option<String>,
    /// The chart that shows it.
    #[serde(default)]
    pub chart: Option<Chart>,
    /// The names of all channels that are told of it.
    pub to: Vec<String>,
}

impl Note {
    /// The alert and its episode: changes of the same one can be told as one.
    pub(super) fn episode(&self) -> (&str, i64) {
        (&self.alert.fingerprint, self.alert.starts_at)
    }

    /// Its row in the outbox of one channel.
    pub(super) fn row(&self, id: i64, channel: &str, shown: &str) -> OutboxRow {
        OutboxRow {
            id,
            channel: channel.to_owned(),
            shown: shown.to_owned(),
            made_at: self.at,
            due_at: self.at.max(self.not_before),
            severity: self.severity,
            occasion: self.occasion.word().to_owned(),
            host: self.host.clone(),
            title: self.text.clone(),
            attempts: 0,
            said: String::new(),
            // It holds no map with keys that are no texts, so it always is JSON.
            body: serde_json::to_string(self).unwrap_or_default(),
        }
    }

    /// What a row holds; nothing: somebody else wrote it.
    pub(super) fn of_row(row: &OutboxRow) -> Option<Self> {
        serde_json::from_str(&row.body).ok()
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let many = |list: &[String]| list.iter().map(String::len).sum::<usize>();
        let pairs = self.alert.labels.iter().chain(&self.alert.annotations);
        let texts = self.text.len() + self.remark.len() + many(&self.also) + many(&self.log);
        512 + texts
            + many(&self.alert.culprits)
            + pairs.map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}
