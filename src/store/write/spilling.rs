//! store: the writer while a reader keeps the write-ahead log from being emptied and the files have
//! reached their bound. It writes samples to the file beside the database (`spill`), and takes them in,
//! in their order, when the reader has gone. Samples that come meanwhile go to that file, too.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::open::Store;
use super::orders::WriterSettings;
use super::spill::{self, Mark, Next, NotKept, Spill, spill_path};
use crate::collect::locks::holders_of_bytes;
use crate::model::{Clock, SystemClock, unit};
use crate::pipeline::{Batch, Source};
use crate::store::damage::repair;
use crate::store::file::state;
use crate::store::{Lock, OpenError, SqlError, Written};
use crate::wire::time::format_timestamp;

const SUBJECT: &str = "reader of the database";
/// SQLite's locks of readers in the file `…-shm`: each reader holds one of these bytes.
const READERS: std::ops::RangeInclusive<u64> = 123..=127;
/// Of many readers so many are named.
const NAMED: usize = 3;
/// Whether the reader has gone is looked at this often: to look is to wait for it a little.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The number of samples that one transaction takes in.
const ENOUGH: u64 = 20_000;

/// What the writer does next.
pub(super) enum Turn {
    /// It commits: nothing is in the way, and nothing waits beside the database.
    Commit,
    /// The samples are kept beside the database. There is no more to do until the reader has gone.
    Kept,
    /// The samples wait in memory.
    Wait,
    /// The reader has gone: it takes in what waits.
    TakeIn,
}

/// What the writer knows of the reader.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// It was there, and is looked for again then.
    again: Option<Instant>,
    /// Who it may be, as far as can be seen.
    who: Option<String>,
}

impl Hold {
    /// What to do with these batches. Those that are kept beside the database are gone from here, and
    /// their senders know.
    pub(super) fn turn(
        &mut self,
        store: &mut Store,
        s: &WriterSettings,
        batches: &mut Vec<Batch>,
    ) -> Turn {
        let held = self.is_there(store);
        if !held && store.spill.is_none() {
            s.board.ok(SUBJECT);
            return Turn::Commit;
        }
        let refused = if batches.is_empty() { None } else { store.keep(batches).err() };
        if refused.is_none() {
            note(s, batches);
            s.queue.recycle(batches);
        }
        show(store, s);
        s.board.fail(SUBJECT, self.tell(store, held, refused.as_ref()));
        if s.queue.is_closed() {
            // What is not kept here is committed.
            store.let_grow();
            return Turn::Commit;
        }
        if refused.is_some() {
            s.queue.give_back(batches, false);
        }
        match (held, refused) {
            (false, _) => Turn::TakeIn,
            (true, None) => Turn::Kept,
            (true, Some(_)) => Turn::Wait,
        }
    }

    /// Whether the reader has gone, as far as is known, and samples wait to be taken in.
    pub(super) fn has_gone(&self, store: &Store) -> bool {
        store.spill.is_some() && self.again.is_none()
    }

    /// Whether the reader was there when somebody last looked.
    pub(super) fn is_there_still(&self) -> bool {
        self.again.is_some()
    }

    /// How long the writer may sleep when no samples come.
    pub(super) fn wait(&self, s: &WriterSettings) -> Duration {
        if self.again.is_some() { LOOK_EVERY.min(s.inbox_every) } else { s.inbox_every }
    }

    fn is_there(&mut self, store: &mut Store) -> bool {
        if self.again.is_some_and(|again| Instant::now() < again) {
            return true;
        }
        let held = store.must_wait().unwrap_or(false);
        self.again = held.then(|| Instant::now() + LOOK_EVERY);
        self.who = readers(store.path()).filter(|_| held);
        held
    }

    fn tell(&self, store: &Store, held: bool, refused: Option<&NotKept>) -> String {
        let (samples, bytes, name) = match &store.spill {
            Some(spill) => (spill.samples(), spill.bytes(), spill.path().display().to_string()),
            None => (0, 0, spill_path(store.path()).display().to_string()),
        };
        if !held {
            return format!(
                "it has gone; {samples} samples that were kept in {name} meanwhile are being taken in"
            );
        }
        let most = unit::bytes(store.upkeep.limits.spill_limit());
        let who = self.who.as_ref();
        let who = who.map_or_else(String::new, |who| format!(" (it is read by process {who})"));
        let mut text = format!(
            "a program holds an old picture of the database{who}, so the write-ahead log cannot be \
             emptied, and the files have reached `max_size`; "
        );
        text += &match refused {
            None => format!(
                "samples are kept in {name} until it ends: {samples} wait there, {} of {most}",
                unit::bytes(bytes)
            ),
            Some(NotKept::Full) => format!(
                "{name} has reached its bound of {most} with {samples} samples: what comes now waits in \
                 memory, the oldest is lost when the queue is full; end that program"
            ),
            Some(NotKept::Io(e)) => format!(
                "{name} cannot be written ({e}): what comes now waits in memory, the oldest is lost when \
                 the queue is full; end that program, or make room on the disk"
            ),
        };
        text
    }
}

/// Who reads the database, as far as it can be seen from here; neither this process nor the plimsoll
/// that collects into it is among them.
fn readers(database: &Path) -> Option<String> {
    let plimsoll = Lock::owner(database);
    let mut found = std::fs::metadata(repair::with(database, "-shm"))
        .map(|meta| holders_of_bytes(&meta, READERS))
        .unwrap_or_default();
    found.retain(|holder| plimsoll.as_deref() != Some(&*holder.pid.to_string()));
    let mut names: Vec<String> =
        found.iter().take(NAMED).map(|h| format!("{} {}", h.pid, h.name)).collect();
    if found.len() > NAMED {
        names.push(format!("{} more", found.len() - NAMED));
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// They are on disk.
fn note(s: &WriterSettings, batches: &[Batch]) {
    for batch in batches {
        s.counters.spilled.fetch_add(batch.samples.len() as u64, Relaxed);
        if batch.source == Source::Collect {
            s.counters.durable_ts.fetch_max(batch.ts, Relaxed);
        }
    }
}

/// What waits, for the counters.
pub(super) fn show(store: &Store, s: &WriterSettings) {
    let (samples, bytes) = store.spill.as_ref().map_or((0, 0), |f| (f.samples(), f.bytes()));
    s.counters.spill_samples.store(samples, Relaxed);
    s.counters.spill_bytes.store(bytes, Relaxed);
}

impl Store {
    /// Whether samples wait in the file beside the database.
    pub(super) fn spills(&self) -> bool {
        self.spill.is_some()
    }

    /// Looks for the file that a process which ended has left, or, after a new connection, how far it
    /// was taken in. What is no such file goes out of the way.
    pub(super) fn find_spill(&mut self) -> Result<(), SqlError> {
        let mark = mark(&self.conn)?;
        let found = match &mut self.spill {
            Some(spill) => spill.went_to(mark),
            None => Spill::find(self.path(), self.dictionary.registry(), mark).map(|found| {
                self.spill = found;
            }),
        };
        if let Err(e) = found {
            self.spill = None;
            self.refuse_spill(&e);
        }
        // It was taken in, but not removed.
        if self.spill.as_ref().is_some_and(Spill::is_empty) {
            self.end_spill();
        }
        Ok(())
    }

    fn refuse_spill(&self, why: &std::io::Error) {
        let path = spill_path(self.path());
        let stamp: String = format_timestamp(SystemClock.wall_ms())
            .chars()
            .filter(char::is_ascii_digit)
            .take(14)
            .collect();
        let aside = (0..100)
            .map(|n| repair::with(&path, &format!(".aside-{stamp}{}", "x".repeat(n))))
            .find(|aside| aside.symlink_metadata().is_err());
        let Some(aside) = aside else { return };
        match std::fs::rename(&path, &aside) {
            Ok(()) => tracing::warn!(
                "{}: {why}; nothing was taken in of it, and it was set aside as {}",
                path.display(),
                aside.display()
            ),
            Err(e) => tracing::warn!("{}: {why}; it cannot be set aside: {e}", path.display()),
        }
    }

    /// Keeps these batches beside the database. They are on disk when this returns, or nothing of them
    /// is kept.
    pub(in crate::store) fn keep(&mut self, batches: &[Batch]) -> Result<(), NotKept> {
        if !self.is_in_place() {
            let what = "the database was deleted or replaced";
            return Err(NotKept::Io(std::io::Error::other(what)));
        }
        if self.spill.is_none() {
            if spill_path(self.path()).symlink_metadata().is_ok() {
                self.refuse_spill(&std::io::Error::other("it was put there while plimsoll runs"));
            }
            self.spill = Some(Spill::begin(self.path()).map_err(NotKept::Io)?);
        }
        self.mind_spill().map_err(NotKept::Io)?;
        let most = self.upkeep.limits.spill_limit();
        match &mut self.spill {
            Some(spill) => spill.keep(self.dictionary.registry(), batches, most),
            None => Ok(()),
        }
    }

    /// Looks whether the file beside the database is the one that is written to, and whole: what is kept
    /// has to be found by the next process.
    fn mind_spill(&mut self) -> std::io::Result<()> {
        let Some(spill) = &mut self.spill else { return Ok(()) };
        spill.mind_cut()?;
        if spill.is_in_place() {
            return Ok(());
        }
        let why = std::io::Error::other("it was put there while plimsoll runs");
        if spill_path(self.path()).symlink_metadata().is_ok() {
            self.refuse_spill(&why);
        }
        let path = self.path().to_owned();
        let Some(spill) = &mut self.spill else { return Ok(()) };
        spill.write_again(&path)?;
        let path = spill_path(&path);
        tracing::warn!("{}: somebody has deleted it; it was written once more", path.display());
        Ok(())
    }

    /// Takes the oldest of what waits into the database.
    pub(in crate::store) fn take_in_some(&mut self) -> Result<Written, SqlError> {
        let next = |spill: &mut Spill| spill.mind_cut().and_then(|()| spill.next(ENOUGH));
        let next = match self.spill.as_mut().map(next) {
            None => return Ok(Written::default()),
            Some(Ok(next)) => next,
            Some(Err(e)) => {
                // Nothing can be read of it any more.
                self.spill = None;
                self.refuse_spill(&e);
                return Ok(Written::default());
            }
        };
        let written = self.commit_kept(&next.batches, next.mark)?;
        self.took(&next);
        Ok(written)
    }

    fn took(&mut self, next: &Next) {
        if next.nameless > 0 {
            tracing::warn!(
                "{}: {} samples of it are lost, as their names were damaged",
                spill_path(self.path()).display(),
                next.nameless
            );
        }
        if let Some(spill) = &mut self.spill {
            spill.took(next);
            if spill.is_empty() {
                self.end_spill();
            }
        }
    }

    fn end_spill(&mut self) {
        if let Some(Err(e)) = self.spill.take().map(Spill::end) {
            let path = spill_path(self.path());
            tracing::warn!("{}: it was taken in and cannot be removed: {e}", path.display());
        }
    }

    /// Takes in all that waits in the file beside the database.
    pub(in crate::store) fn take_in(&mut self) -> Result<(), OpenError> {
        while self.spills() {
            self.take_in_some()
                .and_then(|_| self.checkpoint())
                .map_err(|e| OpenError::from_sqlite(self.path(), e))?;
        }
        Ok(())
    }
}

/// How far which file was taken in.
fn mark(conn: &rusqlite::Connection) -> Result<Option<Mark>, SqlError> {
    let (id, at) = (state::get(conn, state::SPILL)?, state::get(conn, state::SPILL_AT)?);
    Ok(id.zip(at).map(|(id, at)| Mark { id, at: u64::try_from(at).unwrap_or(0) }))
}

/// Remembers that, in the transaction of what was taken in.
pub(super) fn remember(conn: &rusqlite::Connection, mark: Mark) -> Result<(), SqlError> {
    state::set(conn, state::SPILL, mark.id)?;
    state::set(conn, state::SPILL_AT, i64::try_from(mark.at).unwrap_or(i64::MAX))
}

impl crate::store::Reader {
    /// What waits in the file beside the database to be taken in, in a sentence; `None`: nothing. For
    /// somebody who only looks.
    pub fn spilled(&self, database: &Path) -> Option<String> {
        let mark = mark(self.connection()).ok().flatten();
        let path = spill_path(database);
        Some(match spill::look(database, mark)? {
            Ok(samples) => {
                let who = readers(database).map_or_else(
                    || "no other program that can be seen".to_owned(),
                    |who| format!("process {who}"),
                );
                format!(
                    "{samples} samples wait in {}; plimsoll takes them in as soon as it runs and no \
                     program holds an old picture of the database; it is read now by {who}",
                    path.display()
                )
            }
            Err(e) => format!("{}: {e}; plimsoll sets it aside", path.display()),
        })
    }
}
