//! alert: one alert: a rule and a label set, with its state; and a change of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Labels, Severity};

/// The state of an alert. Silence and acknowledgement are kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The condition does not hold.
    Inactive,
    /// It holds, but not for long enough.
    Pending,
    /// It has held for long enough.
    Firing,
    /// It fired, and the value is inside the limit that clears it, but not for long enough.
    Recovering,
    /// It was pending, firing or recovering, and no samples come any more.
    NoData,
    /// It changed too often and is held firing until it has been quiet for an hour.
    Flapping,
    /// It is over.
    Resolved,
}

/// One alert: a rule and a label set, with its state. All times are those of samples, ms since 1970 UTC.
/// Its row in the file is `store::AlertRow`; `record.rs` converts one into the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// The rule's name.
    pub rule: String,
    /// The labels of the expression's result and those of the rule, without `alertname`.
    pub labels: Labels,
    /// A hash of rule and labels that stays the same over restarts and builds.
    pub fingerprint: u64,
    /// The state.
    pub state: State,
    /// The state before samples stopped to come, while it is [`State::NoData`].
    pub frozen: Option<State>,
    /// How bad it is now.
    pub severity: Severity,
    /// When the condition began to hold.
    pub active_at: i64,
    /// For how long it was seen to hold, ms: time without samples does not count.
    pub held_ms: i64,
    /// For how long its worse limit was seen to hold, ms; nothing while that does not hold.
    pub worse_ms: Option<i64>,
    /// Since when it is inside the limit that clears the worse one, while it is as bad as that.
    pub worse_clear_since: Option<i64>,
    /// When it began to fire.
    pub fired_at: Option<i64>,
    /// Since when it is inside the limit that clears it.
    pub clear_since: Option<i64>,
    /// When it was over.
    pub resolved_at: Option<i64>,
    /// When the episode before was over, while it is pending again.
    pub ended_at: Option<i64>,
    /// When it was judged last.
    pub seen_at: i64,
    /// The newest value.
    pub value: f64,
    /// The worst value since it fired.
    pub peak: f64,
    /// The limit that it passed.
    pub limit: Option<f64>,
    /// When it began to hold again while it was recovering or over, in the last day.
    pub flaps: Vec<i64>,
    /// The sentence, as it is told: `disk / is 98 % full, 5.1 GB left`.
    pub text: String,
    /// The annotations of a rule of Prometheus, as its templates say them now. They need not be kept over
    /// a restart: the next evaluation makes them again.
    pub annotations: BTreeMap<String, String>,
}

impl Instance {
    /// Whether it fires, for those who know only that: recovering and flapping ones do, and those that
    /// did before their data ended.
    pub fn is_firing(&self) -> bool {
        let state = if self.state == State::NoData { self.frozen } else { Some(self.state) };
        matches!(state, Some(State::Firing | State::Recovering | State::Flapping))
    }

    /// Whether it is pending.
    pub fn is_pending(&self) -> bool {
        self.state == State::Pending
    }

    /// `pending` or `firing`, as Prometheus calls it; nothing for what is neither.
    pub fn prometheus_state(&self) -> Option<&'static str> {
        match self.is_pending() {
            true => Some("pending"),
            false => self.is_firing().then_some("firing"),
        }
    }
}

/// What happened to an alert, as far as somebody may want to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Turn {
    /// It began to fire.
    Fires,
    /// It got worse while it fired.
    Rises,
    /// It changes too often.
    Flaps,
    /// It is over.
    Resolves,
    /// It is over because its series have gone for a day.
    Gone,
}

/// A change of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What happened.
    pub turn: Turn,
    /// When, ms since 1970 UTC, by the samples.
    pub at: i64,
    /// The alert behind it.
    pub alert: Instance,
}
