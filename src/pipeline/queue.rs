//! pipeline: the one queue in front of the store.
//!
//! Bound: age (configured, 15 minutes by default) and [`MAX_SAMPLES`]. Policy: the oldest go first,
//! because an operator with a full disk looks at the newest. Counter:
//! `plimsoll_samples_dropped_total{reason="queue_full"}`. A sender that can be asked to come again
//! ([`Queue::offer`]) is asked long before that, so senders never push out this machine's own
//! measurements. Such a sender also learns when its batch is in the file ([`Receipt`]): the writer
//! then does not wait for the next beat. If the batch cannot be written, it is dropped and the
//! sender is told to come again. Events wait beside the samples, up to [`MAX_EVENTS`] and 8 MB of
//! text; beyond that new ones are refused and counted by their source. So do descriptions of
//! charts, one for each chart, up to [`MAX_GRAPHS`] and 16 MB; a newer one replaces an older one.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Counters, Reason, Source};
use crate::model::{Event, Graph, SeriesRef};

/// The most samples that may wait, 64 MB, whatever the configuration says: this is for a machine
/// with a full disk.
pub const MAX_SAMPLES: usize = 4_000_000;

/// The share of [`MAX_SAMPLES`] that senders may use.
const MAX_PUSHED: usize = MAX_SAMPLES / 4;

/// Events that wait for the disk.
pub const MAX_EVENTS: usize = 1_000;

/// Bytes of the texts of events that wait, and of descriptions of charts.
const MAX_EVENT_BYTES: usize = 8 << 20;
const MAX_GRAPH_BYTES: usize = 16 << 20;

/// Descriptions of charts that wait for the disk.
pub const MAX_GRAPHS: usize = 5_000;

/// The readings of one moment, or the values of one push.
#[derive(Debug)]
pub struct Batch {
    /// Their source.
    pub source: Source,
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// When it came, by this machine's wall clock, in the same unit. A sender may name any moment.
    pub arrived: i64,
    /// When it was made. By that it ages: somebody may set the wall clock an hour or a year ahead.
    pub made: Instant,
    /// Series and value.
    pub samples: Vec<(SeriesRef, f64)>,
    /// The time of each sample, in the same order; empty: all are of `ts`.
    pub times: Vec<i64>,
    /// The sender's channel for the news that the batch is in the file; `None` if no sender waits.
    pub told: Option<oneshot::Sender<()>>,
}

impl Batch {
    /// Samples that are all of one moment.
    pub fn of(source: Source, ts: i64, samples: Vec<(SeriesRef, f64)>) -> Self {
        let made = Instant::now();
        Self { source, ts, arrived: ts, made, samples, times: Vec::new(), told: None }
    }

    /// Whether its sender waits until it is in the file.
    fn is_awaited(&self) -> bool {
        self.told.as_ref().is_some_and(|told| !told.is_closed())
    }
}

/// A sender's receipt, which says when its batch is in the file.
#[derive(Debug)]
pub struct Receipt(Option<oneshot::Receiver<()>>);

impl Receipt {
    /// The receipt of a sender whose push had nothing to write.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// Waits until the batch is in the file. False: it was not written, or not within this time, and
    /// the sender has to bring it again. A batch whose receipt was dropped is not kept for another
    /// attempt.
    pub async fn kept(self, patience: Duration) -> bool {
        match self.0 {
            None => true,
            Some(told) => matches!(tokio::time::timeout(patience, told).await, Ok(Ok(()))),
        }
    }
}

/// With this many samples and a waiting sender, a commit follows at once, even shortly after the
/// one before, because the rows then cost more than the commit.
const ENOUGH: usize = 2_000;

/// Larger buffers than this are not kept for the next sender.
const SPARE_SAMPLES: usize = 16_384;

/// See the module's text.
#[derive(Debug)]
pub struct Queue {
    max_age: Duration,
    max_samples: usize,
    counters: Arc<Counters>,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    events: Vec<Event>,
    event_bytes: usize,
    graphs: Vec<Graph>,
    graph_bytes: usize,
    samples: usize,
    /// Whether a sender waits for one of the batches.
    awaited: bool,
    /// Taken, and neither written nor given back yet.
    held: usize,
    /// When the oldest batch of those came.
    oldest_held: Option<Instant>,
    closed: bool,
    nudged: bool,
    /// Emptied buffers on their way back to the senders.
    spare: Vec<Vec<(SeriesRef, f64)>>,
}

impl State {
    fn drain(&mut self, into: &mut Vec<Batch>) {
        self.oldest_held = self.oldest_held.or(self.batches.front().map(|b| b.made));
        self.held += std::mem::take(&mut self.samples);
        self.awaited = false;
        into.extend(self.batches.drain(..));
    }
}

impl Queue {
    /// An empty queue that keeps batches younger than `max_age_ms`, counted from its newest batch.
    pub fn new(max_age_ms: i64, max_samples: usize, counters: Arc<Counters>) -> Self {
        let max_age = Duration::from_millis(u64::try_from(max_age_ms).unwrap_or(0));
        Self { max_age, max_samples, counters, state: Mutex::default(), wake: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Queues a batch; never waits. The buffer to fill for the next one comes back.
    pub fn push(&self, batch: Batch) -> Vec<(SeriesRef, f64)> {
        let mut state = self.lock();
        let newest = batch.made;
        state.samples += batch.samples.len();
        state.batches.push_back(batch);
        self.trim(&mut state, newest);
        let spare = state.spare.pop().unwrap_or_default();
        drop(state);
        self.wake.notify_one();
        spare
    }

    /// Queues a batch of a sender that can be told to come again, unless too much waits already:
    /// then the batch is returned unchanged.
    pub fn offer(&self, batch: Batch) -> Result<(), Batch> {
        let mut state = self.lock();
        // Batches that the writer has taken and not written yet count as waiting.
        let oldest = state.batches.front().map(|b| b.made).into_iter().chain(state.oldest_held);
        let waits = |since| batch.made.saturating_duration_since(since);
        let behind = oldest.min().is_some_and(|oldest| waits(oldest) > self.max_age / 2);
        let full = state.samples + batch.samples.len() > self.max_samples.min(MAX_PUSHED);
        if state.closed || behind || !state.batches.is_empty() && full {
            return Err(batch);
        }
        state.samples += batch.samples.len();
        state.awaited |= batch.told.is_some();
        state.batches.push_back(batch);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Queues a batch like [`Queue::offer`], with a receipt that says when it is in the file.
    pub fn offer_awaited(&self, mut batch: Batch) -> Result<Receipt, Batch> {
        let (told, receipt) = oneshot::channel();
        batch.told = Some(told);
        self.offer(batch).map(|()| Receipt(Some(receipt)))
    }

    /// Queues an event; never waits. False if there are too many, and the event is lost.
    #[must_use]
    pub fn push_event(&self, event: Event) -> bool {
        let mut state = self.lock();
        let bytes = event_bytes(&event);
        let room = state.events.len() < MAX_EVENTS && state.event_bytes + bytes <= MAX_EVENT_BYTES;
        if room {
            state.event_bytes += bytes;
            state.events.push(event);
            drop(state);
            self.wake.notify_one();
        }
        room
    }

    /// Queues the description of a chart, and drops an older one of it; never waits. False if there
    /// are too many, and it is lost.
    #[must_use]
    pub fn push_graph(&self, graph: Graph) -> bool {
        let mut state = self.lock();
        let same = |g: &Graph| g.id == graph.id && g.system == graph.system;
        let bytes = graph_bytes(&graph);
        let at = state.graphs.iter().position(same);
        let all = state.graph_bytes + bytes - at.map_or(0, |at| graph_bytes(&state.graphs[at]));
        match at {
            Some(at) if all <= MAX_GRAPH_BYTES => state.graphs[at] = graph,
            None if state.graphs.len() < MAX_GRAPHS && all <= MAX_GRAPH_BYTES => {
                state.graphs.push(graph);
            }
            _ => {
                self.counters.graphs_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                return false;
            }
        }
        state.graph_bytes = all;
        drop(state);
        self.wake.notify_one();
        true
    }

    /// The descriptions of charts that wait.
    pub fn take_graphs(&self) -> Vec<Graph> {
        let mut state = self.lock();
        state.graph_bytes = 0;
        std::mem::take(&mut state.graphs)
    }

    /// Puts descriptions back that could not be written, unless newer ones have come.
    pub fn give_back_graphs(&self, graphs: Vec<Graph>) {
        let mut state = self.lock();
        for graph in graphs {
            let newer = |g: &Graph| g.id == graph.id && g.system == graph.system;
            if state.graphs.len() < MAX_GRAPHS && !state.graphs.iter().any(newer) {
                state.graph_bytes += graph_bytes(&graph);
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
        let mut state = self.lock();
        state.event_bytes = 0;
        std::mem::take(&mut state.events)
    }

    /// Puts events that could not be written back, in front.
    pub fn give_back_events(&self, mut events: Vec<Event>) {
        let mut state = self.lock();
        events.append(&mut state.events);
        let mut bytes: usize = events.iter().map(event_bytes).sum();
        let mut lost = events.len().saturating_sub(MAX_EVENTS);
        for event in &events[..lost] {
            bytes -= event_bytes(event);
        }
        while bytes > MAX_EVENT_BYTES && lost < events.len() {
            bytes -= event_bytes(&events[lost]);
            lost += 1;
        }
        self.counters.events_dropped.fetch_add(lost as u64, std::sync::atomic::Ordering::Relaxed);
        events.drain(..lost);
        state.events = events;
        state.event_bytes = bytes;
    }

    fn trim(&self, state: &mut State, newest: Instant) {
        while state.batches.len() > 1
            && (state.samples > self.max_samples
                || state
                    .batches
                    .front()
                    .is_some_and(|b| newest.saturating_duration_since(b.made) > self.max_age))
        {
            if let Some(old) = state.batches.pop_front() {
                state.samples -= old.samples.len();
                // The waiting sender is told to come again, so nothing is lost.
                if !old.is_awaited() {
                    let lost = old.samples.len() as u64;
                    self.counters.lost(old.source, Reason::QueueFull, lost);
                }
            }
        }
    }

    /// Moves everything into `into`. Waits until there is something, the queue is closed or nudged,
    /// or until `until`. False if it is closed and empty.
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
        state.drain(into);
        !(into.is_empty() && state.events.is_empty() && state.closed)
    }

    /// Waits for more batches for the same commit: until `usual`, or until `awaited` if a sender
    /// waits for one of the batches. It does not wait if a sender waits and so many samples have
    /// come that the rows cost more than the commit, or if the queue is closed or nudged.
    pub fn gather(&self, into: &mut Vec<Batch>, usual: Instant, awaited: Instant) {
        let samples: usize = into.iter().map(|b| b.samples.len()).sum();
        let taken = into.iter().any(Batch::is_awaited);
        let mut state = self.lock();
        while !state.closed && !state.nudged {
            let waits = taken || state.awaited;
            let until = if waits { awaited } else { usual };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || waits && samples + state.samples >= ENOUGH {
                break;
            }
            state = match self.wake.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.drain(into);
    }

    /// Puts batches that could not be written back in front, oldest first, within the bounds,
    /// except those whose senders were told to send them again. With `at_once`, writing will not
    /// work soon, so waiting senders are told now.
    pub fn give_back(&self, batches: &mut Vec<Batch>, at_once: bool) {
        let mut state = self.lock();
        state.oldest_held = None;
        let taken: usize = batches.iter().map(|b| b.samples.len()).sum();
        state.held = state.held.saturating_sub(taken);
        let kept = |b: &Batch| b.told.is_none() || !at_once && b.is_awaited();
        for batch in batches.drain(..).rev().filter(kept) {
            state.awaited |= batch.told.is_some();
            state.samples += batch.samples.len();
            state.batches.push_front(batch);
        }
        let newest = state.batches.back().map_or_else(Instant::now, |b| b.made);
        self.trim(&mut state, newest);
    }

    /// Rejects pushed samples in the batches that were taken. Waiting senders are told to come
    /// again; the other samples are counted as lost. This machine's own measurements stay.
    pub fn turn_away(&self, batches: &mut Vec<Batch>) {
        let mut state = self.lock();
        batches.retain(|batch| {
            if !batch.source.is_pushed() {
                return true;
            }
            state.held = state.held.saturating_sub(batch.samples.len());
            if !batch.is_awaited() {
                let lost = batch.samples.len() as u64;
                self.counters.lost(batch.source, Reason::QueueFull, lost);
            }
            false
        });
    }

    /// The batches are in the file: waiting senders are told, and the buffers go back to the
    /// senders.
    pub fn recycle(&self, batches: &mut Vec<Batch>) {
        let mut state = self.lock();
        state.oldest_held = None;
        for mut batch in batches.drain(..) {
            if let Some(told) = batch.told.take() {
                // Its sender may have gone.
                let _unused = told.send(());
            }
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

/// Bytes of an event's texts.
fn event_bytes(event: &Event) -> usize {
    let tags: usize = event.tags.iter().map(|(n, v)| n.len() + v.len()).sum();
    event.title.len() + event.text.len() + event.source.len() + tags
}

/// Bytes of a description's texts.
fn graph_bytes(g: &Graph) -> usize {
    let own = g.id.len() + g.title.len() + g.category.len() + g.unit.len() + g.info.len();
    let field = |f: &crate::model::Field| {
        f.name.len() + f.label.len() + f.series.len() + f.query.len() + f.info.len()
    };
    own + g.args.len() + g.fields.iter().map(field).sum::<usize>()
}

#[cfg(test)]
mod tests;
