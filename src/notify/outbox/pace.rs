//! notify: how fast a channel is tried and told: the pauses.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::super::{Alert, Message, Note, Occasion};
use crate::model::Severity;

/// A minute, in ms.
pub const MINUTE_MS: i64 = 60_000;
/// An hour, in ms.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// A day, in ms.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Pauses after the first failures, ms; then [`LATER_MS`], a fifth more or less.
const FIRST_MS: [i64; 5] = [5_000, 15_000, 45_000, 2 * MINUTE_MS, 5 * MINUTE_MS];
const LATER_MS: i64 = 10 * MINUTE_MS;
/// A receiver that asks to wait for longer is asked again after this.
const MOST_ASKED_MS: i64 = HOUR_MS;

/// Refusals after which a message is parked, and the pauses between them: half an hour in all.
pub(super) const REFUSALS: u32 = 3;
const REFUSED_MS: [i64; 2] = [10 * MINUTE_MS, 20 * MINUTE_MS];

/// Between two messages of a channel; something bad that is new does not wait for it.
const GAP_MS: i64 = 5 * MINUTE_MS;
/// Messages an hour; beyond this a channel gets digests.
pub(super) const MOST_AN_HOUR: usize = 10;
/// Between two digests, and between two with something bad that is new.
const DIGEST_MS: i64 = 15 * MINUTE_MS;
const BAD_DIGEST_MS: i64 = 5 * MINUTE_MS;

/// The pause after so many failures in a row, ms. `asked`: what the receiver asked for.
pub(super) fn pause(attempts: u32, asked: Option<Duration>, channel: &str) -> i64 {
    if let Some(asked) = asked {
        let ms = i64::try_from(asked.as_millis()).unwrap_or(i64::MAX);
        return ms.clamp(1_000, MOST_ASKED_MS);
    }
    let at = attempts.saturating_sub(1) as usize;
    FIRST_MS.get(at).copied().unwrap_or_else(|| {
        // Many machines that lost the same network do not come back at the same moment.
        let mut hasher = std::hash::DefaultHasher::new();
        (channel, attempts, std::process::id()).hash(&mut hasher);
        let share = (hasher.finish() % 401) as i64 - 200;
        LATER_MS + LATER_MS * share / 1_000
    })
}

/// The pause after so many refusals, ms; nothing: it is parked.
pub(super) fn refused_pause(refusals: u32) -> Option<i64> {
    REFUSED_MS.get(refusals.saturating_sub(1) as usize).copied()
}

/// The distance from the message before, ms, by how many there were within the hour.
pub(super) fn gap(urgent: bool, lately: usize) -> i64 {
    match (lately >= MOST_AN_HOUR, urgent) {
        (false, true) => 0,
        (false, false) => GAP_MS,
        (true, true) => BAD_DIGEST_MS,
        (true, false) => DIGEST_MS,
    }
}

/// A change that tells of a channel that refuses messages.
pub(super) fn about_channel(
    message: &Message,
    shown: &str,
    said: &str,
    to: String,
    now: i64,
) -> Note {
    let mut hasher = std::hash::DefaultHasher::new();
    shown.hash(&mut hasher);
    let text = format!("{shown} refuses messages: {said}");
    let labels = [("alertname", "notifications"), ("channel", shown), ("severity", "warning")];
    Note {
        occasion: Occasion::Fire,
        severity: Severity::Warning,
        host: message.host.clone(),
        at: now,
        not_before: 0,
        urgent: false,
        text: text.clone(),
        value: String::new(),
        limit: String::new(),
        peak: String::new(),
        alert: Alert {
            fingerprint: format!("{:016x}", hasher.finish()),
            firing: true,
            labels: labels.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            annotations: BTreeMap::from([("summary".to_owned(), text)]),
            starts_at: now,
            ends_at: None,
            value: 1.0,
            peak: 1.0,
            limit: None,
            culprits: Vec::new(),
            generator_url: String::new(),
        },
        began: None,
        also: Vec::new(),
        log: Vec::new(),
        remark: format!("It was not told there: {}", message.title),
        link: message.link.clone(),
        chart: None,
        to: vec![to],
    }
}
