//! store: the one thread that writes. It takes batches off the queue, commits them, tells the
//! counters and the board how it went, and checkpoints.

use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::open::Store;
use tokio::sync::oneshot;

use super::look::Look;
use super::orders::WriterSettings;
use super::spilling::{self, Hold, Turn};
use super::told::{SIZE, Told};
use crate::pipeline::{Batch, Reason, Source};
use crate::store::damage::repair;
use crate::store::{OpenError, Times};

const SUBJECT: &str = "database";
const SALVAGE: &str = "salvage";
const UPKEEP_SUBJECT: &str = "upkeep of the database";
/// Of its own: commits may find room in the log while the file behind it has none.
const LOG: &str = "write-ahead log";
const HELD: &str = "a program holds an old picture of the database, so nothing can be compacted\n  \
     /health says which one; try again when it has ended";
const ROWS: &str = "samples of senders";
const ROWS_FULL: &str = "too many samples wait to be sealed, and more of them would push out history; \
     senders are told to send again later";
const UNWRITABLE: &str = "the database cannot be written at present\n  \
     plimsoll's log and /health say why; try again when it can";
/// The subject of a database that was deleted or replaced under the writer.
pub const FILE: &str = "database file";
/// The subject of its log, the log's index and the lock.
const BESIDE: &str = "files beside the database";
/// What upkeep may take after a commit, so that the next one is on time.
const UPKEEP: Duration = Duration::from_millis(25);
/// To look whether any is due costs as much as a commit: not after each, but after so long, or so
/// many rows.
const UPKEEP_EVERY: Duration = Duration::from_secs(30);
const UPKEEP_ROWS: u64 = 8_192;
/// At most one commit a second; a beat that comes a little early is not made to wait.
const SPACING: Duration = Duration::from_millis(900);
/// From commit to commit while a sender waits to hear that its samples are in the file. Each commit
/// writes some pages whatever it brings, so those who come meanwhile share one.
const AWAITED: Duration = Duration::from_millis(50);
/// Distance between attempts while commits fail; also the bound on how late writing resumes.
const RETRY: Duration = Duration::from_secs(2);

/// From one look for series that are not written any more to the next.
const SWEEP: Duration = Duration::from_secs(60);

/// The running thread.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<usize>,
}

impl Writer {
    /// Starts it. It ends when the queue is closed and empty. `full`: the store is yet to be opened,
    /// because there was no room for it. `held` is dropped when the thread ends, however it does.
    pub fn spawn(
        store: Store,
        full: Option<OpenError>,
        settings: WriterSettings,
        held: impl Send + 'static,
    ) -> std::io::Result<Self> {
        let thread = std::thread::Builder::new().name("store".into()).stack_size(256 << 10).spawn(
            move || {
                let _held = held;
                run(store, full, &settings)
            },
        )?;
        Ok(Self { thread })
    }

    /// Waits for the last commit; the queue must have been closed. How many samples could not be
    /// written, or that the thread panicked.
    pub fn join(self) -> std::thread::Result<usize> {
        self.thread.join()
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

fn run(mut store: Store, full: Option<OpenError>, s: &WriterSettings) -> usize {
    let mut batches: Vec<Batch> = Vec::new();
    let (mut rows, mut look) = (0, Instant::now());
    let mut last: Option<Instant> = None;
    let mut broken = full.is_some();
    let mut compaction: Option<Compaction> = None;
    let (mut told, mut hold) = (Told::default(), Hold::default());
    let mut sweep = Instant::now() + SWEEP;
    // The last commit found no room.
    let mut crowded = false;
    if let Some(full) = full {
        s.board.fail(SUBJECT, full.to_string());
    }
    // Before anything is thrown away.
    heed_limits(&mut store, s);
    loop {
        let behind = hold.has_gone(&store);
        let again = s.orders.is_urgent() && !hold.is_there_still();
        let wait =
            if compaction.is_some() || behind || again { Duration::ZERO } else { hold.wait(s) };
        s.board.writer().sleeps(None);
        let open = s.queue.take(&mut batches, Instant::now() + wait);
        if !open && !s.orders.has_alerts() {
            break;
        }
        works(s, "a commit");
        s.board.look_at_beat();
        broken |= look_at_files(&mut store, s, !broken);
        if let Some(last) = last
            && last.elapsed() < SPACING
            && !behind
            && !s.orders.is_urgent()
            && (!batches.is_empty() || s.queue.has_others())
        {
            s.queue.gather(&mut batches, last + SPACING, last + AWAITED);
        }
        // The rest is for the next commit: nobody waits for long.
        if let Some(at) = store.commit_end(&batches) {
            s.queue.give_back(&mut batches.split_off(at), false);
        }
        if broken {
            if !reopen(&mut store, s) {
                s.queue.give_back(&mut batches, true);
                refuse(s, &mut compaction, UNWRITABLE);
                if s.queue.is_closed() {
                    break;
                }
                s.queue.rest(RETRY);
                continue;
            }
            // What was found damaged is salvaged from now on.
            (broken, look) = (false, Instant::now());
        }
        let turn = hold.turn(&mut store, s, &mut batches);
        if let Turn::Kept | Turn::Wait = turn {
            last = Some(Instant::now());
            put_off(&mut store, s, &mut compaction, &turn);
            continue;
        }
        let taking_in = matches!(turn, Turn::TakeIn);
        let full =
            std::mem::take(&mut crowded) || store.rows_are_full(sent(&batches)).unwrap_or(false);
        if !taking_in && !s.queue.is_closed() && full {
            s.board.fail(ROWS, ROWS_FULL.to_owned());
            s.queue.turn_away(&mut batches);
            // Sealing them is what helps.
            look = Instant::now();
        } else {
            s.board.ok(ROWS);
        }
        show_salvage(&store, s);
        if taking_in {
            match take_in(&mut store, s) {
                Ok(taken) => rows += taken,
                Err(Unusable) => {
                    broken = true;
                    continue;
                }
            }
        }
        let start = Instant::now();
        let events = s.queue.take_events();
        let graphs = s.queue.take_graphs();
        let beside = !batches.is_empty() || !events.is_empty() || s.queue.is_closed();
        let mut alerts = s.orders.take_alerts(beside);
        match store.commit_with(&batches, &events, &graphs, &alerts.ops) {
            Ok(written) => {
                count(s, &written, start);
                s.counters.alerts_dropped.fetch_add(alerts.dropped, Relaxed);
                for done in alerts.tell.drain(..) {
                    // The one who asked may have gone.
                    let _unused = done.try_send(());
                }
                told.sql(written.invalid);
                told.look(&store, s);
                // That it was started is written first; the first readings do not wait for that.
                let others = !events.is_empty() || !graphs.is_empty();
                if !batches.is_empty() || (others && last.is_some()) {
                    last = Some(start);
                }
                if written.samples.iter().skip(Source::Collect as usize + 1).any(|n| *n > 0) {
                    s.committed.note_pushes();
                }
                let own = batches.iter().filter(|b| b.source == Source::Collect);
                if let Some(newest) = own.map(|b| b.ts).max() {
                    s.committed.note(newest);
                }
                s.queue.recycle(&mut batches);
                s.board.ok(SUBJECT);
                broken = while_more(&mut store, s, written.more);
                if !broken && Instant::now() >= sweep && s.queue.is_empty() {
                    sweep = Instant::now() + SWEEP;
                    store.sweep();
                }
                rows += written.samples.iter().sum::<u64>();
                if !broken && (rows >= UPKEEP_ROWS || Instant::now() >= look) {
                    (rows, look) = (0, Instant::now() + UPKEEP_EVERY);
                    match upkeep(&mut store, s) {
                        Ok(true) => look = Instant::now(),
                        Ok(false) => {}
                        Err(Unusable) => broken = true,
                    }
                }
            }
            Err(_) if store.had_no_room() => {
                crowded = true;
                s.queue.give_back(&mut batches, false);
                s.queue.give_back_events(events);
                s.queue.give_back_graphs(graphs);
                s.orders.give_back_alerts(alerts);
                broken = make_room(&mut store, s);
            }
            Err(e) => {
                broken = failed(&mut store, s, &e);
                s.queue.give_back(&mut batches, !is_busy(&e));
                s.queue.give_back_events(events);
                s.queue.give_back_graphs(graphs);
                s.orders.give_back_alerts(alerts);
                if repair::is_damage(&e) {
                    // A new file is begun at once, also for what is left at the end.
                    continue;
                }
                if s.queue.is_closed() {
                    // One more try: a stop does not wait for a full disk.
                    if start.elapsed() > Duration::from_millis(500) || broken {
                        break;
                    }
                }
                s.queue.rest(if is_busy(&e) { Duration::from_millis(250) } else { RETRY });
            }
        }
        checkpoint(&store, s);
        if broken {
            refuse(s, &mut compaction, UNWRITABLE);
        } else {
            obey(&mut store, s, &mut compaction);
        }
        show_salvage(&store, s);
    }
    if let Err(e) = store.leave() {
        tracing::warn!(
            "the write-ahead log of the database that was replaced stays in its place: {e}"
        );
    }
    s.queue.len()
}

/// A reader holds the log: nothing is committed now.
fn put_off(
    store: &mut Store,
    s: &WriterSettings,
    compaction: &mut Option<Compaction>,
    turn: &Turn,
) {
    refuse(s, compaction, HELD);
    // A larger `max_size` helps.
    heed_limits(store, s);
    if let Turn::Wait = turn {
        s.queue.rest(Duration::from_millis(250));
    }
}

/// Samples of senders among these.
fn sent(batches: &[Batch]) -> usize {
    batches.iter().filter(|b| b.source.is_pushed()).map(|b| b.samples.len()).sum()
}

/// A commit found no room: upkeep makes some, or a reader is waited for. Whether the connection is not
/// to be used any more.
fn make_room(store: &mut Store, s: &WriterSettings) -> bool {
    let more = upkeep(store, s);
    if let Ok(false) = more {
        s.queue.rest(Duration::from_millis(250));
    }
    more.is_err()
}

/// Takes some of what waits beside the database in. How many rows that were.
fn take_in(store: &mut Store, s: &WriterSettings) -> Result<u64, Unusable> {
    if store.rows_are_full(0).unwrap_or(false) {
        // Sealing them comes first.
        return Ok(UPKEEP_ROWS);
    }
    let start = Instant::now();
    let taken = store.take_in_some();
    spilling::show(store, s);
    match taken {
        Ok(written) => {
            count(s, &written, start);
            Ok(written.samples.iter().sum())
        }
        // A reader has come back, or sealing comes first.
        Err(_) if store.had_no_room() => Ok(UPKEEP_ROWS),
        Err(e) => {
            let broken = failed(store, s, &e);
            s.queue.rest(if broken { RETRY } else { Duration::from_millis(250) });
            if broken { Err(Unusable) } else { Ok(0) }
        }
    }
}

fn show_salvage(store: &Store, s: &WriterSettings) {
    match store.salvaging() {
        Some(what) => s.board.fail(SALVAGE, what),
        None => s.board.forget(SALVAGE),
    }
}

/// Counts and reports it. Whether the connection is not to be used any more.
fn failed(store: &mut Store, s: &WriterSettings, e: &rusqlite::Error) -> bool {
    if repair::is_damage(e) {
        store.damaged(format!("{}: {e}", store.path().display()));
    }
    s.counters.commit_errors.fetch_add(1, Relaxed);
    s.board.fail(SUBJECT, explain(e, store.path()));
    !is_busy(e)
}

fn count(s: &WriterSettings, written: &crate::store::Written, start: Instant) {
    for source in Source::ALL {
        s.counters.stored(source, written.samples[source as usize]);
    }
    for source in Source::ALL {
        s.counters.lost(source, Reason::SeriesLimit, written.nameless[source as usize]);
    }
    s.counters.lost(Source::Sql, Reason::SeriesLimit, written.refused);
    s.counters.lost(Source::Sql, Reason::Invalid, written.invalid);
    s.counters.events_dropped.fetch_add(written.events_refused, Relaxed);
    s.counters.graphs_dropped.fetch_add(written.graphs_refused, Relaxed);
    s.counters.alerts_dropped.fetch_add(written.alerts_refused, Relaxed);
    if written.batches {
        s.counters.durable_ts.fetch_max(written.newest_ts, Relaxed);
        s.counters.commits.fetch_add(1, Relaxed);
        s.counters.commit_nanos.store(start.elapsed().as_nanos() as u64, Relaxed);
    }
}

/// A large inbox is taken in steps, each its own transaction, so that no sender waits for long.
/// Whether the connection is not to be used any more.
fn while_more(store: &mut Store, s: &WriterSettings, mut more: bool) -> bool {
    while more && s.queue.is_empty() && !s.queue.is_closed() {
        works(s, "the inbox of SQL");
        let start = Instant::now();
        match store.commit(&[]) {
            Ok(written) => {
                more = written.more;
                count(s, &written, start);
                checkpoint(store, s);
            }
            Err(_) if store.had_no_room() => return false,
            Err(e) => return failed(store, s, &e),
        }
    }
    false
}

/// Who asked for a compaction, and when: what came since then is not part of it.
struct Compaction {
    now: Times,
    asked: Vec<oneshot::Sender<Result<(), String>>>,
}

fn heed_limits(store: &mut Store, s: &WriterSettings) {
    if let Some(limits) = s.orders.limits.lock().unwrap_or_else(|e| e.into_inner()).take() {
        store.set_limits(limits);
    }
}

fn obey(store: &mut Store, s: &WriterSettings, compaction: &mut Option<Compaction>) {
    heed_limits(store, s);
    let asked = std::mem::take(&mut *s.orders.compact.lock().unwrap_or_else(|e| e.into_inner()));
    if !asked.is_empty() {
        compaction
            .get_or_insert(Compaction { now: times(s), asked: Vec::new() })
            .asked
            .extend(asked);
    }
    let Some(Compaction { now, asked }) = compaction else { return };
    let done = loop {
        works(s, "a compaction");
        match store.compact_some(*now, UPKEEP) {
            Ok(true) if s.queue.is_empty() && !s.queue.is_closed() => {}
            // Samples wait: it goes on after them.
            Ok(true) if !s.queue.is_closed() => return,
            Ok(true) => break Err("plimsoll is being stopped; the rest is done later".to_owned()),
            Ok(false) => break Ok(()),
            Err(e) => break Err(explain(&e, store.path())),
        }
    };
    for reply in std::mem::take(asked) {
        // The one who asked may have gone.
        let _unused = reply.send(done.clone());
    }
    *compaction = None;
    if store.rest() {
        (s.rested)();
    }
}

/// Tells the client that waits for a compaction why there is none. Otherwise it would wait for as
/// long as the disk is full.
fn refuse(s: &WriterSettings, compaction: &mut Option<Compaction>, why: &str) {
    let asked = std::mem::take(&mut *s.orders.compact.lock().unwrap_or_else(|e| e.into_inner()));
    let begun = compaction.take().map_or_else(Vec::new, |c| c.asked);
    for reply in asked.into_iter().chain(begun) {
        // The one who asked may have gone.
        let _unused = reply.send(Err(why.to_owned()));
    }
}

/// Tells the board, which finds out when this never ends.
fn works(s: &WriterSettings, on: &'static str) {
    s.board.writer().works(on, s.clock.boot_ms());
}

fn times(s: &WriterSettings) -> Times {
    Times { wall: s.clock.wall_ms(), boot: s.clock.boot_ms() }
}

/// The connection is not to be used any more.
struct Unusable;

/// Seals, rolls up, merges, prunes: a little now. Whether there is more to do.
fn upkeep(store: &mut Store, s: &WriterSettings) -> Result<bool, Unusable> {
    let now = times(s);
    loop {
        works(s, "upkeep");
        match store.upkeep(now, UPKEEP) {
            Ok(true) if s.queue.is_empty() && !s.queue.is_closed() => checkpoint(store, s),
            Ok(more) => {
                if !more && store.rest() {
                    (s.rested)();
                }
                s.board.ok(UPKEEP_SUBJECT);
                match store.oversize() {
                    Ok(Some(why)) if !more => s.board.fail(SIZE, why),
                    Ok(None) => s.board.ok(SIZE),
                    // What it says while there is more to do is not the last word.
                    Ok(Some(_)) => {}
                    // The next commit says so.
                    Err(e) => tracing::debug!("the file's size could not be looked at: {e}"),
                }
                return Ok(more);
            }
            // If the lock is held for long, the next commit says so.
            Err(e) if is_busy(&e) => return Ok(true),
            Err(e) => {
                if repair::is_damage(&e) {
                    store.damaged(format!("{}: {e}", store.path().display()));
                }
                s.board.fail(UPKEEP_SUBJECT, explain(&e, store.path()));
                return Err(Unusable);
            }
        }
    }
}

fn reopen(store: &mut Store, s: &WriterSettings) -> bool {
    works(s, "opening the database again");
    match store.reopen() {
        Ok(()) => true,
        Err(e) => {
            s.board.fail(SUBJECT, e.to_string());
            false
        }
    }
}

fn checkpoint(store: &Store, s: &WriterSettings) {
    match store.checkpoint() {
        Ok(()) => s.board.ok(LOG),
        Err(e) => s.board.fail(LOG, explain(&e, store.path())),
    }
}

/// Whether the files are still there and whole. True: the connection is not to be used any more.
fn look_at_files(store: &mut Store, s: &WriterSettings, usable: bool) -> bool {
    match store.look_at_files(usable) {
        Look::Well => {
            s.board.ok(FILE);
            s.board.ok(BESIDE);
        }
        Look::Gone(what) => s.board.fail(FILE, what),
        Look::Trouble(what) => s.board.fail(BESIDE, what),
        Look::Damaged => return true,
    }
    false
}

fn is_busy(e: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as E;
    matches!(e.sqlite_error_code(), Some(E::DatabaseBusy | E::DatabaseLocked))
}

fn explain(e: &rusqlite::Error, path: &std::path::Path) -> String {
    use rusqlite::ErrorCode as E;
    let hint = match e.sqlite_error_code() {
        Some(E::DiskFull) => "the disk is full; samples wait in memory until there is room",
        Some(E::DatabaseBusy | E::DatabaseLocked) => {
            "another program holds a write lock; samples wait in memory until it lets go"
        }
        Some(E::ReadOnly) => "it cannot be written; samples wait in memory",
        _ => "samples wait in memory; trying again",
    };
    format!("{}: {e} ({hint})", path.display())
}
