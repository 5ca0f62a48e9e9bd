//! pipeline: the one queue in front of the store.
//!
//! Bound: age (what the config says, 15 minutes by default) and [`MAX_SAMPLES`]. Policy: what came
//! first goes first, because the newest is what an operator with a full disk looks at. Counter:
//! `plimsoll_samples_dropped_total{reason="queue_full"}`. Who can be asked to come again later
//! ([`Queue::offer`]) is, long before that: what this machine measured is never pushed out by
//! senders. Events wait beside the samples, up to [`MAX_EVENTS`]; beyond it new ones are refused,
//! and whoever brought them counts.
//! So do descriptions of charts, one for each chart, up to [`MAX_GRAPHS`]; a newer one takes the place
//! of an older one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::{Counters, Reason, Source};
use crate::model::{Event, Graph, SeriesRef};

/// 64 MB: what a machine with a full disk may spend on waiting samples, whatever the config says.
pub const MAX_SAMPLES: usize = 4_000_000;

/// What senders may have waiting, of [`MAX_SAMPLES`].
const MAX_PUSHED: usize = MAX_SAMPLES / 4;

/// Events that wait for the disk.
pub const MAX_EVENTS: usize = 1_000;

/// Descriptions of charts that wait for the disk.
pub const MAX_GRAPHS: usize = 5_000;

/// The readings of one moment, or what a sender brought at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Who brought them.
    pub source: Source,
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// When it came, by plimsoll's own clock, in the same unit: by that it ages. A sender may name
    /// any moment.
    pub arrived: i64,
    /// Series and value.
    pub samples: Vec<(SeriesRef, f64)>,
    /// The time of each sample, in the same order; empty: all are of `ts`.
    pub times: Vec<i64>,
}

impl Batch {
    /// Samples that are all of one moment.
    pub fn of(source: Source, ts: i64, samples: Vec<(SeriesRef, f64)>) -> Self {
        Self { source, ts, arrived: ts, samples, times: Vec::new() }
    }
}

/// Larger buffers than this are not kept for the next sender.
const SPARE_SAMPLES: usize = 16_384;

/// See the module's text.
#[derive(Debug)]
pub struct Queue {
    max_age_ms: i64,
    max_samples: usize,
    counters: Arc<Counters>,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    events: Vec<Event>,
    graphs: Vec<Graph>,
    samples: usize,
    /// Taken, and neither written nor given back yet.
    held: usize,
    closed: bool,
    nudged: bool,
    /// Emptied buffers on their way back to the senders.
    spare: Vec<Vec<(SeriesRef, f64)>>,
}

impl Queue {
    /// An empty queue that keeps what is younger than `max_age_ms`, counted from its newest batch.
    pub fn new(max_age_ms: i64, max_samples: usize, counters: Arc<Counters>) -> Self {
        Self { max_age_ms, max_samples, counters, state: Mutex::default(), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Queues a batch; never waits. The buffer to fill for the next one comes back.
    pub fn push(&self, batch: Batch) -> Vec<(SeriesRef, f64)> {
        let mut state = self.lock();
        let newest = batch.arrived;
        state.samples += batch.samples.len();
        state.batches.push_back(batch);
        self.trim(&mut state, newest);
        let spare = state.spare.pop().unwrap_or_default();
        drop(state);
        self.wake.notify_one();
        spare
    }

    /// Queues a batch of a sender who can be told to come again later, unless too much waits
    /// already: then the batch comes back untouched.
    pub fn offer(&self, batch: Batch) -> Result<(), Batch> {
        let mut state = self.lock();
        let behind =
            state.batches.front().is_some_and(|b| batch.arrived - b.arrived > self.max_age_ms / 2);
        let full = state.samples + batch.samples.len() > self.max_samples.min(MAX_PUSHED);
        if state.closed || !state.batches.is_empty() && (behind || full) {
            return Err(batch);
        }
        state.samples += batch.samples.len();
        state.batches.push_back(batch);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues an event; never waits. False: there are too many, and it is lost.
    #[must_use]
    pub fn push_event(&self, event: Event) -> bool {
        let mut state = self.lock();
        let room = state.events.len() < MAX_EVENTS;
        if room {
            state.events.push(event);
            drop(state);
            self.wake.notify_one();
        }
        room
    }

    /// Queues what a chart looks like, in place of what was queued of it before; never waits. False:
    /// there are too many, and it is lost.
    #[must_use]
    pub fn push_graph(&self, graph: Graph) -> bool {
        let mut state = self.lock();
        let same = |g: &Graph| g.id == graph.id && g.system == graph.system;
        match state.graphs.iter().position(same) {
            Some(at) => state.graphs[at] = graph,
            None if state.graphs.len() >= MAX_GRAPHS => {
                self.counters.graphs_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return false;
            }
            None => state.graphs.push(graph),
        }
        drop(state);
        self.wake.notify_one();
        true
    }

    /// The descriptions of charts that wait.
    pub fn take_graphs(&self) -> Vec<Graph> {
        std::mem::take(&mut self.lock().graphs)
    }

    /// Puts those back that could not be written, unless newer ones have come.
    pub fn give_back_graphs(&self, graphs: Vec<Graph>) {
        let mut state = self.lock();
        for graph in graphs {
            let newer = |g: &Graph| g.id == graph.id && g.system == graph.system;
            if state.graphs.len() < MAX_GRAPHS && !state.graphs.iter().any(newer) {
                state.graphs.push(graph);
            }
        }
    }

    /// Whether events or descriptions of charts wait.
    pub fn has_others(&self) -> bool {
        let state = self.lock();
        !(state.events.is_empty() && state.graphs.is_empty())
    }

    /// The events that wait.
    pub fn take_events(&self) -> Vec<Event> {
        std::mem::take(&mut self.lock().events)
    }

    /// Puts events back that could not be written, in front.
    pub fn give_back_events(&self, mut events: Vec<Event>) {
        let mut state = self.lock();
        events.append(&mut state.events);
        let lost = events.len().saturating_sub(MAX_EVENTS);
        self.counters.events_dropped.fetch_add(lost as u64, std::sync::atomic::Ordering::Relaxed);
        events.drain(..lost);
        state.events = events;
    }

    fn trim(&self, state: &mut State, newest: i64) {
        while state.batches.len() > 1
            && (state.samples > self.max_samples
                || state.batches.front().is_some_and(|b| newest - b.arrived > self.max_age_ms))
        {
            if let Some(old) = state.batches.pop_front() {
                state.samples -= old.samples.len();
                let lost = old.samples.len() as u64;
                self.counters.lost(old.source, Reason::QueueFull, lost);
            }
        }
    }

    /// Moves everything into `into`, waiting until there is something, the queue is closed, somebody
    /// nudges, or the time has come. False: closed and empty.
    pub fn take(&self, into: &mut Vec<Batch>, until: Instant) -> bool {
        let mut state = self.lock();
        while state.batches.is_empty()
            && state.events.is_empty()
            && state.graphs.is_empty()
            && !state.closed
            && !std::mem::take(&mut state.nudged)
        {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = match self.wake.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.held += std::mem::take(&mut state.samples);
        into.extend(state.batches.drain(..));
        !(into.is_empty() && state.events.is_empty() && state.closed)
    }

    /// Puts batches that could not be written back in front, oldest first, within the bounds.
    pub fn give_back(&self, batches: &mut Vec<Batch>) {
        let mut state = self.lock();
        for batch in batches.drain(..).rev() {
            state.samples += batch.samples.len();
            state.held = state.held.saturating_sub(batch.samples.len());
            state.batches.push_front(batch);
        }
        let newest = state.batches.back().map_or(0, |b| b.arrived);
        self.trim(&mut state, newest);
    }

    /// Hands the buffers of written batches back to the senders.
    pub fn recycle(&self, batches: &mut Vec<Batch>) {
        let mut state = self.lock();
        for mut batch in batches.drain(..) {
            state.held = state.held.saturating_sub(batch.samples.len());
            if state.spare.len() < 4 && batch.samples.capacity() <= SPARE_SAMPLES {
                batch.samples.clear();
                state.spare.push(batch.samples);
            }
        }
    }

    /// Waits until the queue is closed or the time is over; used between failing commits.
    pub fn rest(&self, pause: Duration) {
        let state = self.lock();
        if !state.closed {
            let _unused = self.wake.wait_timeout_while(state, pause, |s| !s.closed);
        }
    }

    /// Ends the current or next [`Queue::take`] though nothing is queued.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.wake.notify_all();
    }

    /// No more batches will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_all();
    }

    /// Whether [`Queue::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Samples that are not written yet, with those that the writer has taken.
    pub fn unwritten(&self) -> usize {
        let state = self.lock();
        state.samples + state.held
    }

    /// Samples waiting.
    pub fn len(&self) -> usize {
        self.lock().samples
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_writer_holds_is_not_written_yet() {
        let queue = Queue::new(1_000_000, 1_000, Arc::default());
        queue.push(batch(1, 3));
        let mut taken = Vec::new();
        queue.take(&mut taken, Instant::now());
        assert_eq!((queue.len(), queue.unwritten()), (0, 3));
        queue.give_back(&mut taken);
        assert_eq!((queue.len(), queue.unwritten()), (3, 3));
        queue.take(&mut taken, Instant::now());
        queue.recycle(&mut taken);
        assert_eq!((queue.len(), queue.unwritten()), (0, 0));
    }

    fn batch(ts: i64, samples: usize) -> Batch {
        Batch::of(Source::Collect, ts, vec![(SeriesRef(0), 1.0); samples])
    }

    fn drain(queue: &Queue) -> Vec<i64> {
        let mut out = Vec::new();
        queue.take(&mut out, Instant::now());
        out.iter().map(|b| b.ts).collect()
    }

    #[test]
    fn the_oldest_goes_first_and_is_counted() {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(10, 100, Arc::clone(&counters));
        for ts in [0, 5, 10, 11] {
            queue.push(batch(ts, 2));
        }
        assert_eq!(drain(&queue), [5, 10, 11]);
        assert_eq!(counters.lost_by(Source::Collect, Reason::QueueFull), 2);
        queue.push(batch(20, 60));
        queue.push(batch(21, 60));
        assert_eq!(drain(&queue), [21]);
        assert_eq!(counters.lost_by(Source::Collect, Reason::QueueFull), 62);
    }

    #[test]
    fn of_each_chart_the_newest_description_waits() {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(10, 100, Arc::clone(&counters));
        let graph = |id: usize, title: &str| Graph {
            id: format!("munin/{id}").into(),
            title: title.into(),
            ..Graph::default()
        };
        let titles = |graphs: &[Graph]| -> Vec<String> {
            graphs.iter().map(|g| g.title.to_string()).collect()
        };
        assert!(queue.push_graph(graph(1, "old")) && queue.push_graph(graph(2, "b")));
        assert!(queue.push_graph(graph(1, "new")) && queue.has_others());
        let taken = queue.take_graphs();
        assert_eq!(titles(&taken), ["new", "b"]);
        // They could not be written; meanwhile a newer one has come.
        assert!(queue.push_graph(graph(2, "newer")));
        queue.give_back_graphs(taken);
        assert_eq!(titles(&queue.take_graphs()), ["newer", "new"]);
        assert!((0..MAX_GRAPHS).all(|id| queue.push_graph(graph(id, ""))));
        assert!(!queue.push_graph(graph(MAX_GRAPHS, "one too many")));
        assert_eq!(counters.graphs_dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn senders_come_again_before_anything_is_lost() {
        let counters = Arc::new(Counters::default());
        let queue = Queue::new(100, 100, Arc::clone(&counters));
        assert_eq!(queue.offer(batch(0, 200)), Ok(()), "what is larger than the bound, alone");
        assert_eq!(queue.offer(batch(1, 1)), Err(batch(1, 1)), "full");
        drain(&queue);
        queue.push(batch(2, 1));
        assert_eq!(queue.offer(batch(52, 1)), Ok(()));
        assert_eq!(queue.offer(batch(53, 1)), Err(batch(53, 1)), "nothing was written for long");
        assert_eq!(drain(&queue), [2, 52]);
        queue.close();
        assert!(queue.offer(batch(54, 1)).is_err(), "nobody would write it");
        assert_eq!(counters.lost_by(Source::Collect, Reason::QueueFull), 0);
    }

    #[test]
    fn what_could_not_be_written_waits_in_order() {
        let queue = Queue::new(1_000, 100, Arc::default());
        queue.push(batch(1, 1));
        queue.push(batch(2, 1));
        let mut taken = Vec::new();
        assert!(queue.take(&mut taken, Instant::now()));
        queue.push(batch(3, 1));
        queue.give_back(&mut taken);
        assert_eq!((queue.len(), drain(&queue)), (3, vec![1, 2, 3]));
    }

    #[test]
    fn closing_ends_the_waiting() {
        let queue = Queue::new(1, 1, Arc::default());
        queue.push(batch(1, 1));
        queue.close();
        let far = Instant::now() + Duration::from_secs(600);
        let mut taken = Vec::new();
        assert!(queue.take(&mut taken, far), "what was queued is still given out");
        taken.clear();
        assert!(!queue.take(&mut taken, far));
    }
}
