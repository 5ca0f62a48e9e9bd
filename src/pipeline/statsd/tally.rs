//! pipeline: the counters of the statsd receiver. Its thread adds to its own numbers and publishes
//! them once a round; others only read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::wire::statsd::Bad;

/// Published counters; all of them since the start.
#[derive(Debug, Default)]
pub struct Tally {
    pub(super) packets: AtomicU64,
    pub(super) lines: AtomicU64,
    pub(super) values: AtomicU64,
    pub(super) bad: [AtomicU64; REASONS],
    pub(super) refused: [AtomicU64; REFUSED.len()],
    pub(super) names: AtomicU64,
    pub(super) flush_nanos: AtomicU64,
}

/// [`Bad::ALL`], and the losses of framing.
pub(super) const REASONS: usize = Bad::ALL.len() + 3;
const FRAMING: [&str; 3] = ["long_line", "long_datagram", "connections"];

/// Why a value that was understood was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// A new name beyond the limit.
    Names,
    /// The name is known as another type, and both would make the same series.
    Type,
    /// Too many values with a time of their own since the last flush, or events.
    Full,
    /// Plimsoll measures it itself.
    Own,
}

const REFUSED: [&str; 4] = ["series_limit", "type_conflict", "queue_full", "forbidden"];

impl Tally {
    /// Datagrams, and pieces of streams.
    pub fn packets(&self) -> u64 {
        self.packets.load(Relaxed)
    }

    /// Lines that were not empty.
    pub fn lines(&self) -> u64 {
        self.lines.load(Relaxed)
    }

    /// Values that were taken.
    pub fn values(&self) -> u64 {
        self.values.load(Relaxed)
    }

    /// Lines that were not understood, by reason.
    pub fn bad(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let words = Bad::ALL.into_iter().map(Bad::word).chain(FRAMING);
        words.zip(self.bad.iter().map(|n| n.load(Relaxed)))
    }

    /// Values that were understood and refused, by reason.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        REFUSED.into_iter().zip(self.refused.iter().map(|n| n.load(Relaxed)))
    }

    /// Names that are known.
    pub fn names(&self) -> u64 {
        self.names.load(Relaxed)
    }

    /// How long the last flush took, all slices together, in seconds.
    pub fn flush_seconds(&self) -> f64 {
        self.flush_nanos.load(Relaxed) as f64 / 1e9
    }
}

/// The thread's own numbers.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    pub(super) packets: u64,
    pub(super) lines: u64,
    pub(super) values: u64,
    pub(super) bad: [u64; REASONS],
    pub(super) refused: [u64; REFUSED.len()],
}

impl Counts {
    pub(super) fn publish(&self, tally: &Tally, names: u64) {
        tally.names.store(names, Relaxed);
        tally.packets.store(self.packets, Relaxed);
        tally.lines.store(self.lines, Relaxed);
        tally.values.store(self.values, Relaxed);
        for (to, from) in tally.bad.iter().zip(self.bad) {
            to.store(from, Relaxed);
        }
        for (to, from) in tally.refused.iter().zip(self.refused) {
            to.store(from, Relaxed);
        }
    }

    /// Lines that were not understood.
    pub(super) fn all_bad(&self) -> u64 {
        self.bad.iter().sum()
    }
}
