//! query: a second thread unpacks series while the evaluator works on the previous ones. Only a few
//! are under way at a time, and their memory is returned with them. The evaluator unpacks some of
//! the later ones itself where it would have to wait.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use super::source::SourceError;
use crate::store::Fetched;
use crate::store::block::Column;
use crate::store::chunk::Scratch;

/// The number of pieces that wait at the other thread, besides the finished one.
const WAITING: usize = 2;
/// The number of pieces at once: away, waiting here, or finished and not taken.
const DEEP: usize = 4;
/// The approximate number of samples in a piece of work: handing it over costs little beside it,
/// and the samples are still in the cache when the evaluator comes to them.
const PIECE: usize = 24_576;
/// No more work is begun while about this many samples are under way, 16 bytes each.
const MOST_UNDER_WAY: usize = 1 << 18;
/// The number of columns whose memory is kept for reuse.
const MOST_SPARE: usize = 4 * PIECE / LEAST;
/// A series counts for at least this many samples.
const LEAST: usize = 256;

/// Series and room for their samples.
type Work = Vec<(Fetched, Column)>;

#[derive(Debug)]
enum Piece {
    /// The other thread has it.
    Away,
    /// The work has not begun.
    Here(Work),
    Done(Vec<Column>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ahead {
    span: (i64, i64),
    work: Option<SyncSender<Work>>,
    done: Receiver<Vec<Column>>,
    thread: Option<JoinHandle<()>>,
    /// Not a piece yet, and about how many samples that is.
    next: Work,
    samples: usize,
    /// About how many samples all of those take that were added and not taken.
    under_way: usize,
    /// The number of series in each piece, in order.
    sizes: VecDeque<usize>,
    /// The pieces in the order of the series. The other thread returns them in the same order.
    pieces: VecDeque<Piece>,
    away: usize,
    ready: VecDeque<Column>,
    /// Room that can be used again.
    spare: Vec<Column>,
    scratch: Scratch,
}

fn unpack(work: Work, (from, to): (i64, i64), scratch: &mut Scratch) -> Vec<Column> {
    let unpack = |(fetched, mut column): (Fetched, Column)| {
        column.ts.clear();
        column.values.clear();
        fetched.unpack(from, to, scratch, &mut column);
        column
    };
    work.into_iter().map(unpack).collect()
}

impl Ahead {
    /// A reader for samples from `from` to `to` (ms) inclusive; `None` if no thread can be started.
    pub(super) fn new(from: i64, to: i64) -> Option<Self> {
        let span = (from, to);
        let (work, orders) = sync_channel::<Work>(WAITING);
        let (give, done) = sync_channel(WAITING + 1);
        let go = move || {
            let mut scratch = Scratch::default();
            while let Ok(work) = orders.recv() {
                if give.send(unpack(work, span, &mut scratch)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("unpack".to_owned()).spawn(go).ok()?;
        Some(Self {
            span,
            work: Some(work),
            done,
            thread: Some(thread),
            next: Vec::new(),
            samples: 0,
            under_way: 0,
            sizes: VecDeque::new(),
            pieces: VecDeque::new(),
            away: 0,
            ready: VecDeque::new(),
            spare: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    /// Whether another series may be added now: always where nothing is under way, however long it is.
    pub(super) fn has_room(&self) -> bool {
        self.under_way == 0 || self.pieces.len() < DEEP && self.under_way < MOST_UNDER_WAY
    }

    /// About how many samples are under way, and how many there is room for beside.
    pub(super) fn samples(&self) -> usize {
        let spare = self.spare.iter().chain(&self.ready).map(|c| c.ts.capacity());
        self.under_way + spare.sum::<usize>()
    }

    /// Adds a series behind those before it.
    pub(super) fn add(&mut self, fetched: Fetched) -> Result<(), SourceError> {
        let samples = fetched.samples(self.span.0, self.span.1).max(LEAST);
        self.samples += samples;
        self.under_way += samples;
        self.sizes.push_back(samples);
        self.next.push((fetched, self.spare.pop().unwrap_or_default()));
        if self.samples >= PIECE { self.end_piece() } else { Ok(()) }
    }

    fn end_piece(&mut self) -> Result<(), SourceError> {
        self.pieces.push_back(Piece::Here(std::mem::take(&mut self.next)));
        self.samples = 0;
        self.hand_over()
    }

    /// Gives the other thread as much as it may have waiting.
    fn hand_over(&mut self) -> Result<(), SourceError> {
        for piece in &mut self.pieces {
            if self.away == WAITING {
                break;
            }
            if let Piece::Here(work) = piece {
                let work = std::mem::take(work);
                let sent = self.work.as_ref().and_then(|to| to.send(work).ok());
                sent.ok_or_else(gone)?;
                *piece = Piece::Away;
                self.away += 1;
            }
        }
        Ok(())
    }

    /// The other thread has done the first piece of those that it has.
    fn came_back(&mut self, columns: Vec<Column>) -> Result<(), SourceError> {
        let first = self.pieces.iter_mut().find(|piece| matches!(piece, Piece::Away));
        *first.ok_or_else(gone)? = Piece::Done(columns);
        self.away -= 1;
        self.hand_over()
    }

    /// The next series in the order in which they were added, in exchange for a used column.
    pub(super) fn take(&mut self, used: Column) -> Result<Column, SourceError> {
        if used.ts.capacity() <= MOST_UNDER_WAY && self.spare.len() < MOST_SPARE {
            self.spare.push(used);
        }
        self.under_way -= self.sizes.pop_front().unwrap_or(0);
        loop {
            if let Some(column) = self.ready.pop_front() {
                return Ok(column);
            }
            match self.pieces.pop_front() {
                Some(Piece::Done(columns)) => self.ready.extend(columns),
                Some(Piece::Here(work)) => {
                    self.ready.extend(unpack(work, self.span, &mut self.scratch));
                }
                Some(Piece::Away) => {
                    self.pieces.push_front(Piece::Away);
                    let columns = self.wait()?;
                    if let Some(columns) = columns {
                        self.came_back(columns)?;
                    }
                }
                None if self.next.is_empty() => return Err(gone()),
                None => self.end_piece()?,
            }
        }
    }

    /// The result of the other thread; `None` if there was something to do here meanwhile.
    fn wait(&mut self) -> Result<Option<Vec<Column>>, SourceError> {
        match self.done.try_recv() {
            Ok(columns) => return Ok(Some(columns)),
            Err(TryRecvError::Disconnected) => return Err(gone()),
            Err(TryRecvError::Empty) => {}
        }
        let idle = self.pieces.iter_mut().find(|piece| matches!(piece, Piece::Here(_)));
        if let Some(piece) = idle
            && let Piece::Here(work) = std::mem::replace(piece, Piece::Away)
        {
            *piece = Piece::Done(unpack(work, self.span, &mut self.scratch));
            return Ok(None);
        }
        self.done.recv().map(Some).map_err(|_| gone())
    }
}

fn gone() -> SourceError {
    SourceError("the thread that unpacks samples has ended".to_owned())
}

impl Drop for Ahead {
    /// Waits for the work under way, some 100 microseconds, so that nothing outlives its question.
    fn drop(&mut self) {
        self.work = None;
        while self.done.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _unused = thread.join();
        }
    }
}
