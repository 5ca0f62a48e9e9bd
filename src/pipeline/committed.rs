//! pipeline: the time of the newest reading in the database, for the thread that waits for the next one.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// The time of the newest reading in the database, and how often something was committed.
#[derive(Debug, Default)]
pub struct Committed {
    newest: Mutex<Newest>,
    changed: Condvar,
}

/// What there is to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// Commits with readings of this machine, and calls of [`Committed::wake`].
    pub commits: u64,
    /// Commits with samples of senders and plugins.
    pub pushes: u64,
    /// The time of the newest reading of this machine, ms since 1970 UTC.
    pub at: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Newest {
    news: News,
    readings: u64,
    /// Whether the thread that waits wants to hear of pushes.
    heeds: bool,
    ended: bool,
}

impl Committed {
    /// A commit brought readings of this machine; the newest is of `at`, ms since 1970 UTC.
    pub fn note(&self, at: i64) {
        self.change(|newest| {
            newest.news.commits += 1;
            newest.readings += 1;
            newest.news.at = Some(at);
        });
    }

    /// A commit brought samples of senders or plugins. Wakes nobody who does not want to hear of it.
    pub fn note_pushes(&self) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.news.pushes += 1;
        if newest.heeds {
            drop(newest);
            self.changed.notify_all();
        }
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
        self.change(|newest| newest.news.commits += 1);
    }

    /// Waits at most `patience` for something that is not in `seen`: readings, and pushes where `heeds`
    /// says so. `None`: the daemon ends.
    pub fn wait(&self, seen: News, patience: Duration, heeds: bool) -> Option<News> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.heeds = heeds;
        let still = |newest: &mut Newest| {
            let pushed = heeds && newest.news.pushes != seen.pushes;
            !newest.ended && newest.news.commits == seen.commits && !pushed
        };
        let waited = self.changed.wait_timeout_while(newest, patience, still);
        let (newest, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (!newest.ended).then_some(newest.news)
    }

    fn change(&self, how: impl FnOnce(&mut Newest)) {
        how(&mut self.newest.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}
