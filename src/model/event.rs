//! model: events, as opposed to measurements.

use super::Labels;

/// One event from any source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// The host it is about; `None` is this machine.
    pub system: Option<Box<str>>,
    /// The kind of event: `event` for one that a sender reported, `check` for a service check whose
    /// result changed; `boot`, `start` and `reload` for plimsoll's own observations.
    pub kind: &'static str,
    /// `info`, `warning`, `error` or `success`.
    pub level: &'static str,
    /// The title in one line; never empty.
    pub title: Box<str>,
    /// Any number of lines, or nothing.
    pub text: Box<str>,
    /// The labels of the event.
    pub tags: Labels,
    /// `normal` or `low`.
    pub priority: &'static str,
    /// The sender: `statsd`, or the name that it gives itself.
    pub source: Box<str>,
}
