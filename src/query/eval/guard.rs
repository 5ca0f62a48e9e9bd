//! query: what keeps one query from taking everything: deadline, cancelling, and how much may be
//! read and held. No values in here, only counts.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::super::source::{Resolution, Rollups};
use super::error::{EvalError, Outcome};

/// The limits of one query.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Set by another thread when nobody waits for the answer any more.
    pub cancel: Option<&'a AtomicBool>,
    /// How many samples may be read from the store.
    pub samples: u64,
    /// How many values may be made on the way, 8 bytes each.
    pub cells: u64,
}

impl Default for Limits<'_> {
    /// No deadline, half a billion samples read, 20 million values held.
    fn default() -> Self {
        Self { deadline: None, cancel: None, samples: 500_000_000, cells: 20_000_000 }
    }
}

/// What one query has taken of its [`Limits`].
#[derive(Debug)]
pub(super) struct Guard<'a> {
    limits: Limits<'a>,
    pub(super) series: u64,
    pub(super) samples: u64,
    pub(super) buckets: u64,
    pub(super) cells: u64,
    /// By [`Resolution`]: whether it served.
    pub(super) served: [bool; 3],
}

impl<'a> Guard<'a> {
    pub(super) fn new(limits: Limits<'a>) -> Self {
        Self { limits, series: 0, samples: 0, buckets: 0, cells: 0, served: [false; 3] }
    }

    /// To be asked about once a series: a look at the clock costs some 30 ns.
    pub(super) fn check(&self) -> Outcome<()> {
        if self.limits.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            return Err(EvalError::Canceled);
        }
        if self.limits.deadline.is_some_and(|end| Instant::now() >= end) {
            return Err(EvalError::Timeout);
        }
        Ok(())
    }

    /// One series with so many samples was read.
    pub(super) fn read(&mut self, samples: usize) -> Outcome<()> {
        self.series += 1;
        self.samples += samples as u64;
        if self.samples + self.buckets > self.limits.samples {
            return Err(EvalError::TooManySamples);
        }
        self.check()
    }

    /// A selector is answered from this.
    pub(super) fn saw(&mut self, resolution: Resolution) {
        self.served[resolution as usize] = true;
    }

    /// The buckets of one series were read, for times from `start` (ms) on.
    pub(super) fn saw_buckets(&mut self, rollups: &Rollups, start: i64) {
        self.buckets += rollups.ends.len() as u64;
        if rollups.hours_until >= start {
            self.saw(Resolution::Hour);
        }
        if rollups.ends.last().is_some_and(|end| *end > rollups.hours_until) {
            self.saw(Resolution::FiveMinutes);
        }
    }

    /// How many more values may be made.
    pub(super) fn left(&self) -> u64 {
        self.limits.cells.saturating_sub(self.cells)
    }

    /// So many values are about to be made.
    pub(super) fn make(&mut self, cells: usize) -> Outcome<()> {
        self.cells = self.cells.saturating_add(cells as u64);
        if self.cells > self.limits.cells { Err(EvalError::TooManySamples) } else { Ok(()) }
    }
}
