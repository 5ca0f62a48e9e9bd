//! http: questions that read the file take turns: so many at once, the others wait; and who works on
//! one is told when nobody waits for it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pipeline::Counters;

/// The places of one kind of question.
#[derive(Debug)]
pub(super) struct Turns {
    places: Arc<Semaphore>,
    counters: Arc<Counters>,
}

/// A place, held for as long as there is work; not for as long as the client is there.
#[derive(Debug)]
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    counters: Arc<Counters>,
}

impl Turns {
    pub(super) fn new(at_once: usize, counters: Arc<Counters>) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once)), counters }
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
        Some(Turn { _place: place, counters: Arc::clone(&self.counters) })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.counters.queries_running.fetch_sub(1, Relaxed);
        self.counters.queries_done.fetch_add(1, Relaxed);
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
