//! query: the limits of one query: deadline, cancelling, and how much it may read and hold. No
//! values in here, only counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::super::budget::{Budget, Held};
use super::super::source::{Resolution, Rollups, SourceError};
use super::error::{EvalError, Outcome};

/// The limits of one query.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// When to give up.
    pub deadline: Option<Instant>,
    /// Set by another thread when the client is gone.
    pub cancel: Option<&'a AtomicBool>,
    /// The largest number of samples that may be read from the store.
    pub samples: u64,
    /// The largest number of intermediate values, 8 bytes each.
    pub cells: u64,
    /// The budget of memory; without one, there is no limit.
    pub budget: Option<&'a Arc<Budget>>,
}

impl Default for Limits<'_> {
    /// No deadline, half a billion samples read, 20 million values made, any amount of memory.
    fn default() -> Self {
        let (samples, cells) = (500_000_000, 20_000_000);
        Self { deadline: None, cancel: None, samples, cells, budget: None }
    }
}

impl Limits<'_> {
    /// Checks whether the work may continue: fails when the deadline has passed, or when the client
    /// is gone. A look at the clock costs some 30 ns.
    pub fn check(&self) -> Outcome<()> {
        if self.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            return Err(EvalError::Canceled);
        }
        if self.deadline.is_some_and(|end| Instant::now() >= end) {
            return Err(EvalError::Timeout);
        }
        Ok(())
    }
}

/// The consumption of one query within its [`Limits`].
#[derive(Debug)]
pub(super) struct Guard<'a> {
    limits: Limits<'a>,
    budget: Arc<Budget>,
    pub(super) series: u64,
    pub(super) samples: u64,
    pub(super) buckets: u64,
    pub(super) cells: u64,
    /// By [`Resolution`]: whether it served.
    pub(super) served: [bool; 3],
}

impl<'a> Guard<'a> {
    pub(super) fn new(limits: Limits<'a>) -> Self {
        let budget = limits.budget.map_or_else(Budget::unbounded, Arc::clone);
        Self { limits, budget, series: 0, samples: 0, buckets: 0, cells: 0, served: [false; 3] }
    }

    /// Called once a series, and between blocks of work; see [`Limits::check`].
    pub(super) fn check(&self) -> Outcome<()> {
        self.limits.check()
    }

    /// An account for memory of this question.
    pub(super) fn hold(&self) -> Held {
        self.budget.hold()
    }

    /// The error of a store, perhaps for want of memory or of time.
    pub(super) fn failed(&self, error: SourceError) -> EvalError {
        match (self.budget.refused(), self.check()) {
            (Some(why), _) => why.into(),
            (None, Err(over)) => over,
            (None, Ok(())) => error.into(),
        }
    }

    /// Calls [`Guard::check`] from time to time, for loops with short turns.
    pub(super) fn pace(&self) -> Pace<'_> {
        Pace { limits: self.limits, left: STRIDE }
    }

    /// Records that one series with this many samples was read.
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

    /// Records that the buckets of one series were read, for times from `start` (ms) on.
    pub(super) fn saw_buckets(&mut self, rollups: &Rollups, start: i64) {
        self.buckets += rollups.ends.len() as u64;
        if rollups.hours_until >= start {
            self.saw(Resolution::Hour);
        }
        if rollups.ends.last().is_some_and(|end| *end > rollups.hours_until) {
            self.saw(Resolution::FiveMinutes);
        }
    }

    /// The number of values that may still be made.
    pub(super) fn left(&self) -> u64 {
        self.limits.cells.saturating_sub(self.cells)
    }

    /// Records that this many values are about to be made.
    pub(super) fn make(&mut self, cells: usize) -> Outcome<()> {
        self.cells = self.cells.saturating_add(cells as u64);
        if self.cells > self.limits.cells { Err(EvalError::TooManySamples) } else { Ok(()) }
    }
}

/// The approximate number of values between two looks at the clock: some milliseconds.
pub(super) const STRIDE: usize = 1 << 16;

/// See [`Guard::pace`].
#[derive(Debug)]
pub(super) struct Pace<'g> {
    limits: Limits<'g>,
    left: usize,
}

impl Pace<'_> {
    /// Records that this many values, or as much work, were done.
    #[inline]
    pub(super) fn work(&mut self, values: usize) -> Outcome<()> {
        if values < self.left {
            self.left -= values;
            return Ok(());
        }
        self.left = STRIDE;
        self.limits.check()
    }
}
