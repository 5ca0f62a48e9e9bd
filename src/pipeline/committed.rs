//! pipeline: the time of the newest reading in the database, for threads that wait for the next one.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The time of the newest reading in the database, and the number of changes of it.
#[derive(Debug, Default)]
pub struct Committed {
    newest: Mutex<Newest>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    commits: u64,
    readings: u64,
    at: Option<i64>,
    ended: bool,
}

impl Committed {
    /// A commit brought readings of this machine; the newest is of `at`, ms since 1970 UTC.
    pub fn note(&self, at: i64) {
        self.change(|newest| {
            newest.commits += 1;
            newest.readings += 1;
            newest.at = Some(at);
        });
    }

    /// How many commits have brought readings of this machine.
    pub fn readings(&self) -> u64 {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).readings
    }

    /// No thread waits any more.
    pub fn end(&self) {
        self.change(|newest| newest.ended = true);
    }

    /// Wakes the threads that wait, without a new reading.
    pub fn wake(&self) {
        self.change(|newest| newest.commits += 1);
    }

    /// Waits at most `patience` for a commit after the first `seen` ones. Returns the number of
    /// commits and the time of the newest reading; `None` when the daemon ends.
    pub fn wait(&self, seen: u64, patience: Duration) -> Option<(u64, Option<i64>)> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let still = |newest: &mut Newest| !newest.ended && newest.commits == seen;
        let waited = self.changed.wait_timeout_while(newest, patience, still);
        let (newest, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!newest.ended).then_some((newest.commits, newest.at))
    }

    fn change(&self, how: impl FnOnce(&mut Newest)) {
        how(&mut self.newest.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}
