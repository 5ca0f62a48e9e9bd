//! pipeline: the one cap on names that senders bring in, whichever way they come.
//!
//! Each new name costs memory for the life of the process and a row for the life of the file, and a
//! sender that puts a number into a name makes a new one each time. Bound: [`MAX_PUSHED_NAMES`].
//! Policy: what is known goes on, what is new is refused. Counter:
//! `plimsoll_samples_dropped_total{source, reason="series_limit"}`.
//!
//! One name takes one place whatever is made of it: a timer of statsd is one, not its nine series.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many names senders may bring, all of them together, if nobody says otherwise.
pub const MAX_PUSHED_NAMES: u64 = 20_000;

/// See the module's text. Shared by everything that takes names in.
#[derive(Debug)]
pub struct Names {
    used: AtomicU64,
    most: AtomicU64,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(MAX_PUSHED_NAMES)
    }
}

impl Names {
    /// Room for so many.
    pub fn new(most: u64) -> Self {
        Self { used: AtomicU64::new(0), most: AtomicU64::new(most) }
    }

    /// Another cap from now on; names beyond it that are known already stay.
    pub fn set_most(&self, most: u64) {
        self.most.store(most, Relaxed);
    }

    /// Takes a place for a name nobody knows yet. False: there is none left.
    pub fn take(&self) -> bool {
        let most = self.most.load(Relaxed);
        let more = |used: u64| (used < most).then_some(used + 1);
        self.used.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Gives places back: of names that were not kept after all, as those of a transaction that was
    /// rolled back.
    pub fn give_back(&self, how_many: u64) {
        let less = |used: u64| Some(used.saturating_sub(how_many));
        // It always has an answer.
        let _unused = self.used.fetch_update(Relaxed, Relaxed, less);
    }

    /// How many are taken.
    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// How many there can be.
    pub fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_that_is_lowered_keeps_what_is_there() {
        let names = Names::new(2);
        assert!(names.take() && names.take() && !names.take());
        names.set_most(1);
        assert!(!names.take());
        assert_eq!(names.used(), 2);
        names.set_most(3);
        assert!(names.take() && !names.take());
        names.give_back(2);
        assert_eq!(names.used(), 1);
        assert!(names.take());
        names.give_back(9);
        assert_eq!(names.used(), 0, "there is nothing below none");
    }
}
