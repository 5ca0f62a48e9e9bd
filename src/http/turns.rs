//! http: questions that read the file take turns: so many at once, the others wait; who works on one is
//! told when nobody waits for it any more; and after the last of them memory is given back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::pipeline::Counters;

/// The places of one kind of question.
#[derive(Debug)]
pub(super) struct Turns {
    places: Arc<Semaphore>,
    counters: Arc<Counters>,
    ended: Arc<Notify>,
}

/// A place, held for as long as there is work; not for as long as the client is there.
#[derive(Debug)]
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    counters: Arc<Counters>,
    ended: Arc<Notify>,
}

impl Turns {
    pub(super) fn new(at_once: usize, counters: Arc<Counters>) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once)), counters, ended: Arc::default() }
    }

    /// Returns when questions were answered, and then none was for this long.
    pub(super) async fn quiet(&self, length: Duration) {
        self.ended.notified().await;
        while tokio::time::timeout(length, self.ended.notified()).await.is_ok()
            || self.counters.queries_running.load(Relaxed) > 0
        {}
    }

    /// A place as soon as one is free; `None`: none was in all that time.
    pub(super) async fn next(&self, patience: Duration) -> Option<Turn> {
        let waiting = Counted::new(&self.counters.queries_waiting);
        let place = tokio::time::timeout(patience, Arc::clone(&self.places).acquire_owned()).await;
        drop(waiting);
        let Ok(Ok(place)) = place else {
            self.counters.queries_refused.fetch_add(1, Relaxed);
            return None;
        };
        self.counters.queries_running.fetch_add(1, Relaxed);
        let (counters, ended) = (Arc::clone(&self.counters), Arc::clone(&self.ended));
        Some(Turn { _place: place, counters, ended })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.counters.queries_running.fetch_sub(1, Relaxed);
        self.counters.queries_done.fetch_add(1, Relaxed);
        self.ended.notify_one();
    }
}

/// Counts one up for as long as it is held.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Sets the flag when it is dropped: when the answer is there, or when the client has gone.
#[derive(Debug, Default)]
pub(super) struct Leaving(pub(super) Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_quiet_after_the_last_question() {
        let turns = Turns::new(2, Arc::default());
        let patience = Duration::from_secs(5);
        let quiet = async |within: u64| {
            let quiet = turns.quiet(Duration::from_millis(10));
            tokio::time::timeout(Duration::from_millis(within), quiet).await.is_ok()
        };
        assert!(!quiet(100).await, "nothing was asked");
        drop(turns.next(patience).await);
        assert!(quiet(5_000).await);
        assert!(!quiet(100).await, "once");
        let (first, second) = (turns.next(patience).await, turns.next(patience).await);
        drop(first);
        assert!(!quiet(100).await, "one is still being answered");
        drop(second);
        assert!(quiet(5_000).await);
    }
}
