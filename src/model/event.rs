//! model: something that happened, as against something that was measured.

use super::Labels;

/// One event, whoever told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// The host it is about; `None` is this machine.
    pub system: Option<Box<str>>,
    /// What sort of event: `event` for what somebody sent as one, `check` for a service check whose
    /// result changed; `boot`, `start` and `reload` for what plimsoll itself saw.
    pub kind: &'static str,
    /// `info`, `warning`, `error` or `success`.
    pub level: &'static str,
    /// One line for people; never empty.
    pub title: Box<str>,
    /// Any number of lines, or nothing.
    pub text: Box<str>,
    /// What it belongs to.
    pub tags: Labels,
    /// `normal` or `low`.
    pub priority: &'static str,
    /// Who told it: `statsd`, or what the sender calls itself.
    pub source: Box<str>,
}
