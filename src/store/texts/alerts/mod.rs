//! store: alerts, the messages about them, silences and acknowledgements: their rows, and the orders by
//! which the writer changes them. What they mean is for the rooms `alert` and `notify`.
//!
//! ```text
//!   pass -> Orders (waiting) -> writer: one transaction -> alert_state, outbox, told, silences, acks
//!   file -> load -> what a process that starts has to know
//! ```
//!
//! Bounds: [`MOST_OPEN`] open alerts, beyond which new ones are refused and counted; [`MOST_KEPT`]
//! that are over, and as many messages that were told, of which the oldest go, earlier if all together
//! take more than [`Limits::alerts_budget`](crate::store::Limits::alerts_budget).

mod apply;
mod keep;
mod load;
mod waiting;

pub(in crate::store) use apply::apply;
pub(in crate::store) use keep::{bad_rows, bytes, count, drop_oldest, prune};
pub use load::AlertStore;
pub(in crate::store) use load::{alerts_over, told};
pub(in crate::store) use waiting::Waiting;

use crate::model::{Event, Labels, Severity};

/// Alerts that may be open at a time.
pub const MOST_OPEN: i64 = 1_000;

/// Alerts that are over, and messages that were told, which are kept.
pub const MOST_KEPT: i64 = 10_000;

/// One episode of an alert, as a row of the file. All times are ms since 1970 UTC.
///
/// This is not `alert::Instance`, because the store is a room below the rules and does not know them: it
/// keeps the state as a word and the rest as JSON, so that a file of a later version can be read, and it
/// has a row for each episode, while an `Instance` is the one alert that goes on.
/// `src/alert/record.rs` converts one into the other.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRow {
    /// Of rule and labels.
    pub fingerprint: u64,
    /// The rule's name.
    pub rule: String,
    /// Its labels.
    pub labels: Labels,
    /// The state, in lower case.
    pub state: String,
    /// The state before samples stopped to come, or nothing.
    pub frozen: String,
    /// How bad it is.
    pub severity: Severity,
    /// When the condition began to hold.
    pub active_at: i64,
    /// For how long it was seen to hold, ms.
    pub held_ms: i64,
    /// When it began to fire.
    pub fired_at: Option<i64>,
    /// Since when it is inside the limit that clears it.
    pub clear_since: Option<i64>,
    /// When it was over; nothing: it is open.
    pub resolved_at: Option<i64>,
    /// When it was judged last.
    pub seen_at: i64,
    /// The newest value; NaN is NULL in the file.
    pub value: f64,
    /// The worst value since it fired; NaN is NULL in the file.
    pub peak: f64,
    /// The limit that it passed.
    pub threshold: Option<f64>,
    /// Times of flaps, as a JSON array.
    pub flaps: String,
    /// The sentence, as it is told.
    pub text: String,
    /// A JSON object for the rooms that write it.
    pub more: String,
}

/// A change that is still to be told to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number; numbers grow, and none is used again.
    pub id: i64,
    /// The channel's name, which stays the same over restarts.
    pub channel: String,
    /// The channel's target without secrets, for people.
    pub shown: String,
    /// When it was made, ms since 1970 UTC.
    pub made_at: i64,
    /// When it is to be sent, ms since 1970 UTC.
    pub due_at: i64,
    /// How bad it is.
    pub severity: Severity,
    /// The occasion, in lower case.
    pub occasion: String,
    /// The machine that it is about.
    pub host: String,
    /// Its first line.
    pub title: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The error of the last attempt.
    pub said: String,
    /// A JSON object for the room that sends it.
    pub body: String,
}

/// A message that was told, or that cannot be told any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldRow {
    /// The channel's name.
    pub channel: String,
    /// The channel's target without secrets, for people.
    pub shown: String,
    /// When its first change was made, ms since 1970 UTC.
    pub made_at: i64,
    /// When this was certain, ms since 1970 UTC.
    pub at: i64,
    /// How bad it is.
    pub severity: Severity,
    /// The occasion, in lower case.
    pub occasion: String,
    /// The machine that it is about.
    pub host: String,
    /// By which a receiver knows a second copy.
    pub key: String,
    /// Its first line.
    pub title: String,
    /// The other lines.
    pub text: String,
    /// `sent`, `refused`, `expired` or `dropped`.
    pub result: String,
    /// The receiver's words, or the error.
    pub said: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// A silence: nobody is told of what it matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceRow {
    /// Its number.
    pub id: i64,
    /// What it matches, as it was written.
    pub what: String,
    /// The weekly window, such as `Sun 02:00-04:00 Europe/Berlin`; nothing: all the time.
    pub every: String,
    /// From when on, ms since 1970 UTC.
    pub starts_at: i64,
    /// Until when, ms since 1970 UTC; nothing: until somebody ends it.
    pub ends_at: Option<i64>,
    /// Who made it.
    pub who: String,
    /// The reason.
    pub why: String,
}

/// Somebody knows of an alert: no more reminders of this episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AckRow {
    /// The alert.
    pub fingerprint: u64,
    /// The episode: when it began to fire, ms since 1970 UTC.
    pub fired_at: i64,
    /// When it was acknowledged, ms since 1970 UTC.
    pub at: i64,
    /// By whom.
    pub who: String,
    /// What they said.
    pub why: String,
}

/// One change of what is stored of alerts.
#[derive(Debug, Clone, PartialEq)]
pub enum AlertOp {
    /// An alert as it is now: the open one of its fingerprint is replaced.
    Put(AlertRow),
    /// The open alert of this fingerprint never fired and is of no interest any more.
    Forget(u64),
    /// A change to be told; one of the same number is replaced.
    Note(OutboxRow),
    /// Changes were tried and are still to be told.
    Tried {
        /// Which.
        ids: Vec<i64>,
        /// How often so far.
        attempts: u32,
        /// When they are tried again, ms since 1970 UTC.
        due_at: i64,
        /// The error.
        said: String,
    },
    /// Changes were told in one message, or will not be told.
    Told {
        /// Which.
        ids: Vec<i64>,
        /// The message.
        row: ToldRow,
    },
    /// A silence; one of the same number is replaced.
    Silence(SilenceRow),
    /// A silence ends at this time (ms since 1970 UTC).
    EndSilence {
        /// Which.
        id: i64,
        /// When.
        at: i64,
    },
    /// An acknowledgement; that of an earlier episode is replaced.
    Ack(AckRow),
    /// What happened, for the event log.
    Event(Event),
    /// The time of the last sample that was judged, ms since 1970 UTC.
    JudgedUntil(i64),
}

/// What came of some changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Alerts that were refused, because [`MOST_OPEN`] are open.
    pub refused: u64,
    /// Events that were refused.
    pub events_refused: u64,
}
