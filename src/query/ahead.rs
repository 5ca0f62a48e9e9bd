//! query: series unpacked by a second thread while the evaluator works on those before them. A few at
//! a time are under way, never more; what is unpacked goes back with the room it was given.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::source::SourceError;
use crate::store::Fetched;
use crate::store::block::Column;
use crate::store::chunk::Scratch;

/// So many pieces of work wait for each other at most, beside the one that is done.
const WAITING: usize = 2;
/// About so many samples make a piece of work: handing it over is nothing beside it, and what was
/// unpacked is still in the cache when the evaluator comes to it.
const PIECE: usize = 12_288;
/// A series counts for so many samples at least.
const LEAST: usize = 256;

/// Series and room for their samples.
type Work = Vec<(Fetched, Column)>;

/// See the module.
#[derive(Debug)]
pub(super) struct Ahead {
    span: (i64, i64),
    work: Option<SyncSender<Work>>,
    done: Receiver<Vec<Column>>,
    thread: Option<JoinHandle<()>>,
    /// Not handed over yet, and about how many samples that is.
    next: Work,
    samples: usize,
    /// Pieces handed over and not taken back.
    out: usize,
    ready: VecDeque<Column>,
    /// Room that can be used again.
    spare: Vec<Column>,
}

impl Ahead {
    /// For samples from `from` to `to` (ms) inclusive; nothing where no thread can be had.
    pub(super) fn new(from: i64, to: i64) -> Option<Self> {
        let (work, orders) = sync_channel::<Work>(WAITING);
        let (give, done) = sync_channel(WAITING + 1);
        let go = move || {
            let mut scratch = Scratch::default();
            while let Ok(work) = orders.recv() {
                let unpack = |(fetched, mut column): (Fetched, Column)| {
                    column.ts.clear();
                    column.values.clear();
                    fetched.unpack(from, to, &mut scratch, &mut column);
                    column
                };
                if give.send(work.into_iter().map(unpack).collect()).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("unpack".to_owned()).spawn(go).ok()?;
        Some(Self {
            span: (from, to),
            work: Some(work),
            done,
            thread: Some(thread),
            next: Vec::new(),
            samples: 0,
            out: 0,
            ready: VecDeque::new(),
            spare: Vec::new(),
        })
    }

    /// Whether another series may be added now.
    pub(super) fn has_room(&self) -> bool {
        self.out < WAITING
    }

    /// Adds a series behind those before it.
    pub(super) fn add(&mut self, fetched: Fetched) -> Result<(), SourceError> {
        self.samples += fetched.samples(self.span.0, self.span.1).max(LEAST);
        self.next.push((fetched, self.spare.pop().unwrap_or_default()));
        if self.samples >= PIECE { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), SourceError> {
        let piece = std::mem::take(&mut self.next);
        self.samples = 0;
        self.out += 1;
        self.work.as_ref().and_then(|work| work.send(piece).ok()).ok_or_else(gone)
    }

    /// The next series in the order in which they were added, for the room of one before it.
    pub(super) fn take(&mut self, used: Column) -> Result<Column, SourceError> {
        self.spare.push(used);
        if self.ready.is_empty() {
            if self.out == 0 {
                self.hand_over()?;
            }
            self.ready.extend(self.done.recv().map_err(|_| gone())?);
            self.out -= 1;
        }
        self.ready.pop_front().ok_or_else(gone)
    }
}

fn gone() -> SourceError {
    SourceError("the thread that unpacks samples has ended".to_owned())
}

impl Drop for Ahead {
    /// Waits for what is under way, some 100 microseconds, so that nothing outlives its question.
    fn drop(&mut self) {
        self.work = None;
        while self.done.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _unused = thread.join();
        }
    }
}
