//! alert: how things stand, for every view of it, and what a person can tell the daemon to do about it.

use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use super::Instance;
use crate::model::Severity;
use crate::notify::ChannelStand;
use crate::store::SilenceRow;

/// How things stand after one pass over all rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stand {
    /// The time of the samples that were judged last, ms since 1970 UTC.
    pub judged_at: Option<i64>,
    /// The alerts that are pending, firing, recovering or without data, the worst first.
    pub alerts: Vec<Shown>,
    /// The rules, in their order.
    pub rules: Vec<RuleShown>,
    /// The recording rules, in their order.
    pub records: Vec<RecordShown>,
    /// Silences that are in force now or later.
    pub silences: Vec<SilenceRow>,
    /// The receivers.
    pub channels: Vec<ChannelStand>,
}

/// An alert, and what is withheld of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The alert.
    pub alert: Instance,
    /// The machine that it is about.
    pub host: String,
    /// The value with its unit.
    pub value: String,
    /// The limit with its unit; empty: there is none.
    pub limit: String,
    /// Why nobody is told of it, in a sentence: a silence, with who and until when, or quiet hours.
    pub silenced: Option<String>,
    /// Who knows of it, and since when, in a sentence.
    pub acked: Option<String>,
    /// The chart that shows it: an expression of PromQL.
    pub expr: Option<String>,
}

/// A rule, as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleShown {
    /// Its name.
    pub name: String,
    /// Its name without the number that tells it from another rule of the same name.
    pub alertname: String,
    /// Its expression as PromQL.
    pub expr: String,
    /// When it fires, in words: `value >= 90 for 5m`.
    pub when: String,
    /// How bad it can get.
    pub severity: Severity,
    /// How long it has to hold, ms.
    pub for_ms: i64,
    /// How long it goes on firing after it no longer holds, ms.
    pub keep_ms: i64,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its annotations.
    pub annotations: Vec<(String, String)>,
    /// Who is told; empty: every receiver.
    pub to: Vec<String>,
    /// The file it comes from: nothing for the rules that are built in.
    pub file: String,
    /// Why it could not be evaluated last.
    pub error: Option<String>,
    /// When it was evaluated last, ms since 1970 UTC.
    pub evaluated_at: Option<i64>,
    /// How long that took, seconds.
    pub took: f64,
}

/// A recording rule, as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordShown {
    /// The series that it writes.
    pub name: String,
    /// Its expression as PromQL.
    pub expr: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// The file it comes from.
    pub file: String,
    /// What was wrong with its last evaluation.
    pub error: Option<String>,
    /// When it was evaluated last, ms since 1970 UTC.
    pub evaluated_at: Option<i64>,
    /// How long that took, seconds.
    pub took: f64,
}

/// What a person can tell the daemon to do about alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Command {
    /// Nobody is told of something for a while.
    Silence {
        /// A fingerprint, a rule, a key, a host or matchers of labels.
        what: String,
        /// For how long: `2h`.
        #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
        for_: Option<String>,
        /// Every week: `Sun 02:00-04:00 Europe/Berlin`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        every: Option<String>,
        /// Who wants it.
        #[serde(default)]
        who: String,
        /// The reason.
        #[serde(default)]
        why: String,
    },
    /// A silence ends now.
    End {
        /// Its number.
        what: String,
    },
    /// Somebody knows of an alert: no more reminders.
    Ack {
        /// A fingerprint, a rule, a key, a host or matchers of labels.
        what: String,
        /// Who knows.
        #[serde(default)]
        who: String,
        /// What they say.
        #[serde(default)]
        why: String,
    },
    /// A test message.
    Test {
        /// A receiver, without secrets, or its number; empty: all of them.
        #[serde(default)]
        what: String,
    },
}

/// Carries a command out. Returns what was done, in sentences, or why it was not done. May block for
/// half a minute.
type Hand = Box<dyn Fn(Command) -> Result<String, String> + Send + Sync>;

/// How things stand now, shared by those who judge and those who look.
#[derive(Default)]
pub struct Standing {
    now: RwLock<Arc<Stand>>,
    hand: OnceLock<Hand>,
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").finish_non_exhaustive()
    }
}

impl Standing {
    /// How things stand.
    pub fn now(&self) -> Arc<Stand> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Things stand so from now on.
    pub fn set(&self, stand: Stand) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(stand);
    }

    /// Commands are carried out by this from now on; a second one is not heard.
    pub fn obey(&self, hand: impl Fn(Command) -> Result<String, String> + Send + Sync + 'static) {
        let _first = self.hand.set(Box::new(hand));
    }

    /// Carries a command out. Returns what was done, in sentences, or why it was not done. May block
    /// for half a minute.
    pub fn command(&self, command: Command) -> Result<String, String> {
        match self.hand.get() {
            Some(hand) => hand(command),
            None => Err("alerts are not judged here".to_owned()),
        }
    }
}
