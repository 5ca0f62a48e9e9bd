//! store: room under the bound: the bytes by which the files may still grow. Every write asks for room
//! first. A commit measures the files while it goes on, and ends its transaction before it goes past
//! the bound.
//!
//! A page adds its frame in the log, and its place in the file if it is new. Both count until the log is
//! cut off, so the sum is that of the moment before.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::keeping::{Times, Upkeep};
use super::open::Store;
use crate::model::{Clock, SystemClock, unit};
use crate::pipeline::Batch;
use crate::store::SqlError;
use crate::store::file::limits::SAMPLE_BYTES;
use crate::store::file::ours::{sizes, wal_size};
use crate::store::keep::{prune, rollup};

/// What deleting may take before a transaction with many samples.
const ROOM_BUDGET: Duration = Duration::from_millis(250);
/// What deleting sealed rows may take before a commit.
const ROWS_BUDGET: Duration = Duration::from_millis(100);
/// An import works so long on room before it looks whether there is enough.
const IMPORT_BUDGET: Duration = Duration::from_millis(50);
/// An import that has found no room for so long ends.
const IMPORT_PATIENCE: Duration = Duration::from_secs(120);
/// What a row adds at most: the page that it goes into, the page that this is split into, in the log
/// and in the file, and its entry in `late`.
pub(super) const ROW_MOST: u64 = 13_000;

/// Bytes of database, log and shared memory once the log is moved into the file, and not cut off yet.
pub(super) fn taken(conn: &Connection, path: &Path) -> Result<u64, SqlError> {
    let pragma = |sql: &str| conn.prepare_cached(sql)?.query_row([], |r| r.get::<_, i64>(0));
    let pages = pragma("PRAGMA page_count")?.saturating_mul(pragma("PRAGMA page_size")?);
    let [(_, file), (_, log), (_, shared)] = sizes(path);
    Ok(file.max(pages.unsigned_abs()) + log + shared)
}

/// Measures what a transaction adds, now and then: after as many rows as may fill what is left.
pub(super) struct Meter<'c> {
    conn: &'c Connection,
    path: PathBuf,
    /// The files may be so large.
    most: u64,
    /// Bytes that may be written before the next look.
    left: u64,
}

impl<'c> Meter<'c> {
    /// For a transaction that may add what is granted.
    pub(super) fn new(conn: &'c Connection, path: PathBuf, granted: Granted) -> Self {
        Self { conn, path, most: granted.most, left: granted.left }
    }

    /// Counts at most `bytes` as written. Returns true if the transaction has to end.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<bool, SqlError> {
        if self.left > bytes {
            self.left -= bytes;
            return Ok(false);
        }
        self.left = self.most.saturating_sub(taken(self.conn, &self.path)?);
        Ok(self.left < 2 * bytes.max(ROW_MOST))
    }

    /// Rows that fit in any case, at least a few.
    pub(super) fn rows(&self) -> i64 {
        i64::try_from(self.left / (3 * ROW_MOST)).unwrap_or(i64::MAX).max(16)
    }
}

/// What a transaction may add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Granted {
    /// The files may be so large behind it.
    most: u64,
    /// It may add so much in any case.
    left: u64,
}

impl Granted {
    /// As much, but for these bytes, which are left to others.
    fn without(self, bytes: u64) -> Self {
        let less = |all: u64| all.saturating_sub(bytes);
        Self { most: less(self.most), left: less(self.left) }
    }
}

/// What is left under the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// At least as much as was asked for.
    Left(Granted),
    /// Less than that, although the log is empty: the file alone has reached the bound.
    Spent,
    /// Less than that, and a reader keeps the log from being emptied.
    Held,
}

impl Store {
    /// Whether `need` bytes may be added to log and file together. Where they do not fit, the log is
    /// emptied first.
    pub(super) fn room(&mut self, need: u64) -> Result<Room, SqlError> {
        let limits = self.upkeep.limits;
        let left = |most: u64, taken: u64| {
            let left = most.checked_sub(taken).filter(|left| *left >= need);
            left.map(|left| Granted { most, left })
        };
        // The log holds no more new pages than it is long. Mostly that is all there is to know.
        if let Some(granted) = left(limits.max_size, self.at_most()) {
            return Ok(Room::Left(granted));
        }
        let before = self.taken()?;
        if let Some(granted) = left(limits.max_size, before) {
            return Ok(Room::Left(granted));
        }
        let most = limits.most(self.upkeep.held.fixed(&self.conn, &limits)?);
        if let Some(granted) = left(most, before) {
            return Ok(Room::Left(granted));
        }
        self.empty_log()?;
        let (after, log) = (self.taken()?, wal_size(self.path()));
        // The bound was lowered: until the file is smaller, the log has its share all the same.
        let lowered = after.saturating_sub(log) > most / 8 * 9 && log <= limits.log_limit();
        Ok(match left(most, after) {
            Some(granted) => Room::Left(granted),
            None if log == 0 || lowered => Room::Spent,
            None => Room::Held,
        })
    }

    /// No less than [`Store::taken`], by the lengths of the files alone.
    fn at_most(&self) -> u64 {
        let [(_, file), (_, log), (_, shared)] = sizes(self.path());
        file + 2 * log + shared
    }

    /// Bytes of all files; see [`taken`].
    pub(in crate::store) fn taken(&self) -> Result<u64, SqlError> {
        let taken = taken(&self.conn, self.path())?;
        #[cfg(test)]
        self.peak.set(self.peak.get().max(taken));
        Ok(taken)
    }

    /// Moves the log into the file and cuts it off. Waits for readers a little; whether they are still
    /// there is seen by its size.
    fn empty_log(&self) -> Result<(), SqlError> {
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.files.set_length(self.path());
        Ok(())
    }

    /// Room for the next transaction of a commit. An error: there is none, and [`Store::had_no_room`]
    /// says so. The `first` one may begin wherever the log can be emptied: what this machine measures
    /// is written in any case.
    pub(super) fn room_to_commit(&mut self, first: bool) -> Result<Granted, SqlError> {
        let least = self.upkeep.limits.commit_least();
        let spent = match self.room(least)? {
            Room::Left(granted) => return Ok(granted),
            Room::Spent => true,
            Room::Held => false,
        };
        if spent && first || self.may_grow {
            return Ok(Granted { most: self.taken()?.saturating_add(least), left: least });
        }
        self.no_room = true;
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        Err(SqlError::SqliteFailure(busy, Some("the files have reached `max_size`".into())))
    }

    /// Whether the last commit ended early because the files have reached their bound. Some of it may
    /// be in the file: to write all of it once more changes nothing.
    pub(in crate::store) fn had_no_room(&mut self) -> bool {
        std::mem::take(&mut self.no_room)
    }

    /// What is not written now is lost: the log may get longer than its bound.
    pub(super) fn let_grow(&mut self) {
        self.may_grow = true;
    }

    /// Whether a reader keeps the write-ahead log from being emptied, and there is no room for one more
    /// commit, or as many rows wait to be sealed as may: then samples go into a file beside the
    /// database. Until then the log may take what the database leaves.
    pub(in crate::store) fn must_wait(&mut self) -> Result<bool, SqlError> {
        let held = self.room(self.upkeep.limits.commit_least())? == Room::Held;
        Ok(held || self.log_is_full()? && self.rows_are_full(0)?)
    }

    /// What is left for one more step of upkeep; `None`: it may do none, while a reader keeps the
    /// write-ahead log from being emptied and it has grown past its share, for upkeep goes through the log
    /// too.
    pub(super) fn may_step(&mut self) -> Result<Option<Room>, SqlError> {
        if self.log_is_full()? {
            return Ok(None);
        }
        Ok(Some(self.room(self.upkeep.limits.step_most())?).filter(|room| *room != Room::Held))
    }

    fn log_is_full(&self) -> Result<bool, SqlError> {
        let full = |store: &Self| wal_size(store.path()) > store.upkeep.limits.log_limit();
        if full(self) {
            self.taken()?;
            self.empty_log()?;
        }
        Ok(full(self))
    }

    /// Whether senders have to wait until plain rows are sealed: with so many more there would be too
    /// many. Those that are sealed go at once, if they are in the way.
    pub(in crate::store) fn rows_are_full(&mut self, coming: usize) -> Result<bool, SqlError> {
        let start = Instant::now();
        loop {
            let Upkeep { pruner, limits, .. } = &mut self.upkeep;
            if !pruner.rows_are_full(&self.conn, limits, coming as u64)? {
                return Ok(false);
            }
            if self.may_step()?.is_none() || !self.upkeep.pruner.drop_rows(&self.conn)? {
                return Ok(true);
            }
            self.checkpoint()?;
            if start.elapsed() > ROWS_BUDGET {
                // The rest goes before the next commits.
                return Ok(false);
            }
        }
    }

    /// Where a commit of these batches has to end, if they are too many for one.
    pub(super) fn commit_end(&self, batches: &[Batch]) -> Option<usize> {
        let most = self.upkeep.limits.commit_samples();
        let mut samples = 0;
        let at = batches.iter().position(|batch| {
            samples += batch.samples.len();
            samples > most
        })?;
        // One that is too large alone goes alone.
        Some(at.max(1)).filter(|at| *at < batches.len())
    }

    /// Before a transaction with many samples: deletes what it would push out anyway, so that its rows
    /// find free pages and the file does not first grow past its bound.
    pub(super) fn make_room_for(&mut self, batches: &[Batch]) -> Result<(), SqlError> {
        let samples: usize = batches.iter().map(|b| b.samples.len()).sum();
        let bytes = samples as u64 * SAMPLE_BYTES;
        if bytes < self.upkeep.limits.max_size / 128 || self.salvage.is_some() {
            return Ok(());
        }
        let start = Instant::now();
        while start.elapsed() < ROOM_BUDGET && self.may_step()?.is_some() {
            let Upkeep { pruner, limits, held, scratch, .. } = &mut self.upkeep;
            if !pruner.make_room_for(&self.conn, limits, held, bytes)? {
                break;
            }
            // Samples do not go before their rollups are made.
            rollup::roll_some(&self.conn, scratch)?;
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Room for the next transaction of an import, which adds so many bytes to log and file together.
    /// What would go behind it goes before it, so that the files never take more than they may. Waits
    /// for a reader that keeps the log from being emptied. An error says that there is no room.
    pub(super) fn room_to_import(&mut self, bytes: u64) -> Result<Granted, SqlError> {
        let limits = self.upkeep.limits;
        // What upkeep needs for its steps has to be left behind it.
        let own = bytes.max(limits.commit_least());
        let step = limits.step_most() + limits.rollups_most();
        let (need, begun) = (own + step, Instant::now());
        loop {
            let held = match self.room(need)? {
                Room::Left(granted) => return Ok(granted.without(step)),
                Room::Held => true,
                Room::Spent => false,
            };
            let tired = begun.elapsed() > IMPORT_PATIENCE;
            if held && tired {
                return Err(no_room(
                    "a program that reads the database keeps its write-ahead log from being emptied, \
                     and there is no room for more; end that program and import once more",
                ));
            }
            if !held && (own > limits.max_size / 2 || tired || !self.make_way(need)?) {
                let max = unit::bytes(limits.max_size);
                return Err(no_room(&format!(
                    "the database has reached `max_size` ({max}), and not enough of it can go; set \
                     `max_size` under [store] to more, and import once more"
                )));
            }
        }
    }

    /// Deletes what would be deleted after so many bytes more. False: there is no more to do.
    fn make_way(&mut self, bytes: u64) -> Result<bool, SqlError> {
        self.gave_way = true;
        let now = Times { wall: SystemClock.wall_ms(), boot: SystemClock.boot_ms() };
        // What is old goes when plimsoll runs.
        self.upkeep.pruned_at = Some(now.boot);
        let start = Instant::now();
        if self.salvage.is_some() {
            return self.upkeep(now, IMPORT_BUDGET);
        }
        let mut worked = false;
        // What was imported has its time sealed first, and its rollups made, before it may go.
        while start.elapsed() < IMPORT_BUDGET {
            if self.step(now, false)? {
                worked = true;
                continue;
            }
            let Upkeep { pruner, limits, held, .. } = &mut self.upkeep;
            let more = pruner.make_room_for(&self.conn, limits, held, bytes)?
                || prune::give_back_pages(&self.conn, limits)?;
            if !more {
                break;
            }
            worked = true;
            self.checkpoint()?;
        }
        Ok(worked)
    }

    /// Whether something older had to go for what was imported, as the files have reached their bound.
    pub fn gave_way(&self) -> bool {
        self.gave_way
    }
}

/// Why an import ends.
pub(super) fn no_room(why: &str) -> SqlError {
    SqlError::ModuleError(why.to_owned())
}
