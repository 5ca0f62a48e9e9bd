//! notify: counters of the messages that plimsoll sends, for `/metrics` and the store.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use super::outbox::{Fate, Name};
use crate::model::{Metric, Recorder};

static MESSAGES: Metric = Metric::counter(
    "plimsoll_notifications_total",
    "",
    "Messages about alerts: taken by the receiver, tried again, refused, too old, or without room.",
)
.by(&["channel", "result"]);
static WAITING: Metric = Metric::gauge(
    "plimsoll_notifications_waiting",
    "",
    "Changes of alerts that wait to be told by this channel.",
)
.by(&["channel"]);
static OLDEST: Metric = Metric::gauge(
    "plimsoll_notifications_oldest_seconds",
    "seconds",
    "For how long the oldest of them has waited.",
)
.by(&["channel"]);

/// The counters of all channels.
#[derive(Debug, Default)]
pub struct Tally {
    channels: Vec<Channel>,
}

#[derive(Debug)]
struct Channel {
    shown: String,
    fates: [AtomicU64; Fate::ALL.len()],
    waiting: AtomicU64,
    oldest_ms: AtomicI64,
}

impl Tally {
    /// Counters for these channels.
    pub fn new<'n>(names: impl Iterator<Item = &'n Name>) -> Self {
        let channel = |name: &Name| Channel {
            shown: name.shown.clone(),
            fates: Default::default(),
            waiting: AtomicU64::new(0),
            oldest_ms: AtomicI64::new(0),
        };
        Self { channels: names.map(channel).collect() }
    }

    /// Counters for these channels, which go on where they were there before.
    pub(super) fn after<'n>(names: impl Iterator<Item = &'n Name>, before: &Self) -> Self {
        let this = Self::new(names);
        for channel in &this.channels {
            let same = before.channels.iter().find(|old| old.shown == channel.shown);
            for (now, old) in same.iter().flat_map(|old| channel.fates.iter().zip(&old.fates)) {
                now.store(old.load(Relaxed), Relaxed);
            }
        }
        this
    }

    /// Something became of a message.
    pub(super) fn count(&self, at: usize, fate: Fate) {
        if let Some(channel) = self.channels.get(at) {
            channel.fates[fate as usize].fetch_add(1, Relaxed);
        }
    }

    /// Records how many changes wait, and for how long the oldest has waited (ms).
    pub(super) fn wait(&self, at: usize, (waiting, oldest_ms): (usize, i64)) {
        if let Some(channel) = self.channels.get(at) {
            channel.waiting.store(waiting as u64, Relaxed);
            channel.oldest_ms.store(oldest_ms, Relaxed);
        }
    }

    /// How many messages met this fate, over all channels.
    pub fn all(&self, fate: Fate) -> u64 {
        self.channels.iter().map(|c| c.fates[fate as usize].load(Relaxed)).sum()
    }

    /// One reading. A fate that no message met is not worth a series, but for `sent`.
    pub fn report(&self, out: &mut Recorder) {
        for channel in &self.channels {
            for fate in Fate::ALL {
                let count = channel.fates[fate as usize].load(Relaxed);
                if count > 0 || fate == Fate::Sent {
                    out.put_with(&MESSAGES, &[&channel.shown, fate.word()], count as f64);
                }
            }
            out.put_with(&WAITING, &[&channel.shown], channel.waiting.load(Relaxed) as f64);
            let oldest = channel.oldest_ms.load(Relaxed) as f64 / 1e3;
            out.put_with(&OLDEST, &[&channel.shown], oldest);
        }
    }
}
