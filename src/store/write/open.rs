//! store: opening the database for writing: the checks before the first byte is touched, creation,
//! the connection's settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::keeping::Upkeep;
use super::place::Files;
use super::spill::Spill;
use crate::collect::regular;
use crate::model::{Clock, Labels, Registry, SystemClock};
use crate::pipeline::Names;
use crate::store::damage::repair;
use crate::store::damage::salvage::{Salvage, Salvaged};
use crate::store::file::allowance;
use crate::store::file::ours;
use crate::store::file::ours::{check_ours, read_only_uri, wal_size};
use crate::store::file::schema::{APPLICATION_ID, SCHEMA};
use crate::store::file::{owner, persist, state};
use crate::store::keep::seal;
use crate::store::samples::head::{Head, Sample, identity};
use crate::store::texts::dictionary::{Dictionary, labels_json};
use crate::store::texts::sent;
use crate::store::{AlertStore, Lock, OpenError, START, STOP, SqlError};

/// Older ones can corrupt a database when the write-ahead log is reset while it is read.
const OLDEST_SQLITE: i32 = 3_051_003;

const NO_CHECKPOINT_ON_CLOSE: DbConfig = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;

/// Pages in the write-ahead log at which they are moved into the file: 2 MB.
const CHECKPOINT_PAGES: u32 = 512;

/// How long a commit waits for a foreign writer before its samples go back to the queue.
const BUSY: Duration = Duration::from_millis(250);

/// How long the start waits for a locked database: it has nothing else to do meanwhile.
const BUSY_AT_START: Duration = Duration::from_secs(5);

/// A disk that damages whatever is written to it must not fill up with files that were set aside.
const ASIDE_AGAIN: Duration = Duration::from_secs(60);

/// The database, open for writing by this process alone.
#[derive(Debug)]
pub struct Store {
    pub(super) conn: Connection,
    pub(super) dictionary: Dictionary,
    path: PathBuf,
    pub(super) upkeep: Upkeep,
    pub(super) sealed_until: i64,
    pub(super) head: Arc<Head>,
    /// Pages in the write-ahead log that are still to be moved; its length only says what it once held.
    log_pages: Arc<AtomicU32>,
    /// Of the present transaction, for the head.
    pub(super) fresh: Vec<Sample>,
    system: String,
    /// What is known of its files.
    pub(super) files: Files,
    /// A damaged database that was set aside, and whose names are not in the new one yet.
    aside: Option<i64>,
    /// When that was last done.
    aside_at: Option<Instant>,
    /// The damaged database whose rows are being moved into this one.
    pub(super) salvage: Option<Salvage>,
    /// A commit found no room under the bound.
    pub(super) no_room: bool,
    /// The process ends, and what is not written now is lost.
    pub(super) may_grow: bool,
    /// Something had to go for an import.
    pub(super) gave_way: bool,
    /// The most that all files took.
    #[cfg(test)]
    pub(super) peak: std::cell::Cell<u64>,
    /// Where samples wait while a reader keeps the log from being emptied; `None`: none do.
    pub(super) spill: Option<Spill>,
    /// What the last salvage came to, in a sentence.
    pub(super) moved: Option<String>,
    /// What SQLite said of the open file: [`Store::reopen`] begins a new one.
    damaged: Option<String>,
    lock: Lock,
}

impl Store {
    /// What is stored of alerts.
    pub fn alerts(&self) -> Result<AlertStore, SqlError> {
        AlertStore::of(&self.conn)
    }

    /// Opens or creates the database. `system` is this machine's name in it.
    pub fn open(path: &Path, system: &str, registry: Arc<Registry>) -> Result<Self, OpenError> {
        match Self::open_or_wait(path, system, registry)? {
            (store, None) => Ok(store),
            (_, Some(full)) => Err(full),
        }
    }

    /// Opens the store for a daemon, which must start although the disk is full. In that case the
    /// store comes with the error, and [`Store::reopen`] has to be tried until there is room.
    pub fn open_or_wait(
        path: &Path,
        system: &str,
        registry: Arc<Registry>,
    ) -> Result<(Self, Option<OpenError>), OpenError> {
        assert!(
            rusqlite::version_number() >= OLDEST_SQLITE,
            "built with SQLite {}, which can lose data; 3.51.3 or newer is needed",
            rusqlite::version()
        );
        check_folder(path)?;
        let suspect = match refuse_strangers(path) {
            Err(e) if repair::is_ours_damaged(path, &e) => Some(e),
            other => other.map(|()| None)?,
        };
        let lock = Lock::take(path)?;
        let aside = repair::unfinished(path)?;
        allowance::install();
        let nowhere = Connection::open_in_memory().map_err(|e| OpenError::from_sqlite(path, e))?;
        let mut store = Self {
            files: Files::default(),
            dictionary: Dictionary::new(registry),
            path: path.to_owned(),
            system: system.to_owned(),
            upkeep: Upkeep::default(),
            sealed_until: i64::MIN,
            head: Arc::default(),
            log_pages: Arc::default(),
            fresh: Vec::new(),
            conn: nowhere,
            aside,
            aside_at: None,
            salvage: None,
            no_room: false,
            may_grow: false,
            gave_way: false,
            #[cfg(test)]
            peak: std::cell::Cell::default(),
            spill: None,
            moved: None,
            // What was suspect may just have gone out of the way.
            damaged: suspect.filter(|_| aside.is_none()).map(|e| e.why_aside()),
            lock,
        };
        match store.reopen() {
            Ok(()) => Ok((store, None)),
            Err(full @ OpenError::Full { .. }) => Ok((store, Some(full))),
            Err(e) => Err(e),
        }
    }

    /// Counts the names that SQL clients bring together with those of all other senders, and tells
    /// these which names the file has.
    pub fn share_names(&mut self, names: Arc<Names>) {
        if let Err(e) = sent::tell(&self.conn, &names) {
            // A file that is yet to be made, for one.
            tracing::debug!("the names in the file could not be counted: {e}");
        }
        self.dictionary.share(names);
        // A failure of it is seen by the first commit.
        let _unused = self.count_names();
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest samples, for readers in this process.
    pub fn head(&self) -> Arc<Head> {
        Arc::clone(&self.head)
    }

    /// Whether the file that is written to is the one that others find under its name: after `rm` or
    /// `mv` writing goes on without an error, into nowhere.
    pub fn is_in_place(&self) -> bool {
        self.files.main.is_none() || self.files.main == identity(&self.path)
    }

    /// Ends writing. Where another file has been put in the place of the database, its log is put
    /// aside as `…-wal.lost`: SQLite would take it for that file's own, and write old pages over it.
    pub fn leave(self) -> std::io::Result<()> {
        let Self { path, conn, files: Files { main, log, .. }, .. } = self;
        let (now, beside) = (identity(&path), repair::with(&path, "-wal"));
        if main.is_some() && main == now {
            // SQLite does it by itself only for the last connection, and readers may rest beside it.
            // Nobody is waited for: the next one to open the file does what is left.
            let _readers = conn
                .busy_timeout(Duration::ZERO)
                .and_then(|()| conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
        }
        drop(conn);
        if main.is_none() || now.is_none() || main == now || log != identity(&beside) {
            return Ok(());
        }
        std::fs::rename(&beside, repair::with(&beside, ".lost"))
    }

    /// Time of the newest sample, ms since 1970 UTC.
    pub fn newest_ts(&self) -> Option<i64> {
        let newest = "SELECT ts FROM samples ORDER BY ts DESC LIMIT 1";
        self.conn.query_row(newest, [], |r| r.get(0)).ok()
    }

    /// The last word of plimsoll on this machine before another boot than the present one: [`START`] or
    /// [`STOP`]. Nothing: none is known.
    pub fn last_of_another_boot(&self, boot: &str) -> Option<String> {
        let last = r#"SELECT kind FROM events
                      WHERE kind IN (?1, ?2) AND source = 'plimsoll' AND system_id = 1
                        AND tags LIKE '{"boot":%' AND tags <> ?3
                      ORDER BY id DESC LIMIT 1"#;
        let this = labels_json(&Labels::new([("boot", boot)]));
        self.conn.query_row(last, [START, STOP, &this], |r| r.get(0)).ok()
    }

    /// Takes a new connection. After a failed write nothing that SQLite has cached can be trusted:
    /// the kernel may have dropped the pages it could not write. A damaged database is set aside,
    /// and a new one begun.
    pub fn reopen(&mut self) -> Result<(), OpenError> {
        let opened = match self.damaged.take() {
            Some(why) => Err(why),
            None => match self.attempt() {
                Err(e) if repair::is_ours_damaged(&self.path, &e) => Err(e.why_aside()),
                other => Ok(other?),
            },
        };
        if let Err(why) = opened {
            self.set_aside(&why)?;
            self.attempt()?;
        }
        self.files = Files::of(&self.path);
        self.dictionary.forget();
        self.upkeep.forget();
        Ok(())
    }

    fn attempt(&mut self) -> Result<(), OpenError> {
        let unclean = wal_size(&self.path) > 0;
        let conn = connect(&self.path, &self.system, &self.log_pages)?;
        if unclean {
            look_at_newest(&conn, &self.path)?;
        }
        let fail = |e| OpenError::from_sqlite(&self.path, e);
        let known = state::get(&conn, state::SALVAGE_OF).map_err(fail)?;
        let salvage = match self.aside {
            Some(stamp) if known != Some(stamp) => Some(Salvage::begin(&conn, &self.path, stamp)?),
            _ => Salvage::resume(&conn, &self.path)?,
        };
        if self.aside.is_some() {
            repair::finished(&self.path)?;
        }
        seal::drop_unfinished(&conn).map_err(fail)?;
        self.sealed_until = sealed_until(&conn).map_err(fail)?;
        self.head.load(&conn).map_err(fail)?;
        conn.set_db_config(NO_CHECKPOINT_ON_CLOSE, false).map_err(fail)?;
        self.conn = conn;
        self.salvage = salvage;
        self.aside = None;
        self.find_spill().map_err(|e| OpenError::from_sqlite(&self.path, e))
    }

    /// The next [`Store::reopen`] sets the file aside and begins a new one. Not if another file has
    /// taken its place: that one did nothing wrong.
    pub fn damaged(&mut self, why: String) {
        if self.files.main.is_some() && self.is_in_place() {
            self.damaged = Some(why);
        }
    }

    fn set_aside(&mut self, why: &str) -> Result<(), OpenError> {
        if self.aside_at.is_some_and(|at| at.elapsed() < ASIDE_AGAIN) {
            self.damaged = Some(why.to_owned());
            return Err(OpenError::Unwritable {
                path: self.path.clone(),
                reason: "it was just begun and is damaged again".into(),
                hint: "the disk or the memory of this machine loses data: have them checked",
            });
        }
        // A connection that is the last one to close would move the log into the damaged file.
        let nowhere =
            Connection::open_in_memory().map_err(|e| OpenError::from_sqlite(&self.path, e))?;
        let old = std::mem::replace(&mut self.conn, nowhere);
        let _unused = old.set_db_config(NO_CHECKPOINT_ON_CLOSE, true);
        self.dictionary.forget();
        drop(old);
        self.files = Files::default();
        let stamp = repair::set_aside(&self.path, SystemClock.wall_ms()).inspect_err(|_| {
            self.damaged = Some(why.to_owned());
        })?;
        self.aside = Some(stamp);
        self.aside_at = Some(Instant::now());
        let aside = repair::aside_path(&self.path, stamp);
        tracing::error!(
            "{why}; it was set aside as {} and a new one begun; \
             what can be read of the old one is moved into the new one",
            aside.display()
        );
        Ok(())
    }

    /// What is being salvaged, for a person; `None`: nothing.
    pub fn salvaging(&self) -> Option<String> {
        let salvage = self.salvage.as_ref()?;
        let from = salvage.from().display();
        let rests = if salvage.rests() { "; it waits for room on the disk" } else { "" };
        let percent = salvage.percent();
        Some(format!(
            "what can be read of the damaged {from} is being moved into the new one: {percent} % done{rests}"
        ))
    }

    /// What was moved so far by this process.
    pub fn salvaged(&self) -> Option<Salvaged> {
        self.salvage.as_ref().map(Salvage::salvaged)
    }

    /// Moves the write-ahead log into the database file, without waiting for readers, if enough
    /// has come together. While a reader is in the way that is tried at every call.
    pub fn checkpoint(&self) -> Result<(), SqlError> {
        // A file that somebody has cut is looked at first: a checkpoint may make it longer again.
        let enough = self.files.astray || self.log_pages.load(Relaxed) >= CHECKPOINT_PAGES;
        if !enough || self.files.is_shorter(&self.path) {
            return Ok(());
        }
        let (in_log, moved): (i64, i64) =
            self.conn
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |r| Ok((r.get(1)?, r.get(2)?)))?;
        if moved == in_log {
            self.log_pages.store(0, Relaxed);
        }
        self.files.set_length(&self.path);
        Ok(())
    }

    /// Takes the lock again where somebody has deleted its file.
    pub(super) fn keep_lock(&mut self) -> Result<(), OpenError> {
        self.lock.keep(&self.path)
    }
}

fn sealed_until(conn: &Connection) -> Result<i64, SqlError> {
    Ok(state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN))
}

fn check_folder(path: &Path) -> Result<(), OpenError> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let unwritable =
        |reason: String, hint| OpenError::Unwritable { path: folder.to_owned(), reason, hint };
    match std::fs::metadata(folder) {
        Ok(meta) if !meta.is_dir() => {
            Err(unwritable("it is not a folder".into(), "give another place: --db FILE"))
        }
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(unwritable(
            "the folder does not exist".into(),
            "make it first (mkdir -p), or give another place: --db FILE",
        )),
        Err(e) => {
            Err(unwritable(e.to_string(), "choose a place that this user may write: --db FILE"))
        }
    }
}

/// Looks at a file without leaving a trace: a connection that may write would, when it closes, move
/// a stranger's write-ahead log into the file. What cannot be told this way is left to [`connect`].
fn refuse_strangers(path: &Path) -> Result<(), OpenError> {
    let size = match std::fs::metadata(path) {
        Ok(meta) => match regular::check(meta.file_type()) {
            Ok(()) => meta.len(),
            Err(e) => {
                return Err(OpenError::Unwritable {
                    path: path.to_owned(),
                    reason: e.to_string(),
                    hint: "give another file: --db FILE",
                });
            }
        },
        // Nothing there yet, or nothing that may be looked at.
        Err(_) => return Ok(()),
    };
    match size {
        0 => return Ok(()),
        // SQLite takes one byte for none, and would overwrite it.
        1 => return Err(OpenError::NotSqlite { path: path.to_owned() }),
        _ => {}
    }
    let log = wal_size(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    allowance::install();
    let told = Connection::open_with_flags(read_only_uri(path, log == 0), flags)
        .map_err(|e| OpenError::from_sqlite(path, e))
        .and_then(|conn| check_ours(&conn, path));
    match told {
        Err(
            e @ (OpenError::NotSqlite { .. } | OpenError::Foreign { .. } | OpenError::Newer { .. }),
        ) => Err(e),
        _ => Ok(()),
    }
}

fn connect(path: &Path, system: &str, log_pages: &Arc<AtomicU32>) -> Result<Connection, OpenError> {
    let fail = |e| OpenError::from_sqlite(path, e);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    allowance::install();
    let mut conn = Connection::open_with_flags(path, flags).map_err(fail)?;
    // SQLite settles for reading when it may not write.
    if conn.is_readonly("main").map_err(fail)? {
        return Err(OpenError::Unwritable {
            path: path.to_owned(),
            reason: "this user may only read it".into(),
            hint: "run this as its owner, or give another file: --db FILE",
        });
    }
    // Whatever turns out to be damaged is set aside as it was found: until all of it has been looked
    // at, what is written stays in the log.
    conn.set_db_config(NO_CHECKPOINT_ON_CLOSE, true).map_err(fail)?;
    conn.busy_timeout(BUSY).map_err(fail)?;
    let fresh = check_ours(&conn, path)?;
    if fresh {
        // Before there is a log, which gets the owner of its database.
        if path.metadata().is_ok_and(|meta| meta.len() == 0) {
            let _others = owner::of_folder(path).and_then(|wanted| owner::give(path, wanted));
        }
        // Only before the first table: lets the file shrink later.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(fail)?;
    }
    // FULL: a power cut loses at most what was not committed. The checkpoint is the writer's own
    // decision (wal_autocheckpoint 0), so that no beat pays for it unasked. The log keeps the length
    // that it usually reaches: each commit that makes a file longer writes to the file system's
    // journal too.
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 3145728;
         PRAGMA cache_size = -256;
         PRAGMA temp_store = MEMORY;",
    )
    .map_err(fail)?;
    persist::keep_log(&conn).map_err(fail)?;
    let log_pages = Arc::clone(log_pages);
    let note = move |_: &mut rusqlite::hooks::Wal, pages| {
        log_pages.store(u32::try_from(pages).unwrap_or(0), Relaxed);
        Ok(())
    };
    conn.wal_hook(Some(note)).map_err(fail)?;
    migrate(&mut conn, path, &SCHEMA)?;
    name_system(&conn, system).map_err(fail)?;
    Ok(conn)
}

/// Brings the schema up to date. What an older plimsoll wrote is copied first.
pub(in crate::store) fn migrate(
    conn: &mut Connection,
    path: &Path,
    schema: &[&str],
) -> Result<(), OpenError> {
    let fail = |e| OpenError::from_sqlite(path, e);
    let version: i64 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(fail)?;
    let newest = schema.len() as i64;
    if version == newest {
        return Ok(());
    }
    if version > 0 {
        let mut copy = path.as_os_str().to_owned();
        copy.push(format!(".v{version}-backup"));
        let copy = PathBuf::from(copy);
        if !copy.exists() {
            copy_whole(conn, path, &copy)?;
            tracing::info!("the database as it was before the update is in {}", copy.display());
        }
    }
    let tx =
        conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(fail)?;
    let step = || -> Result<(), SqlError> {
        for sql in schema.iter().skip(version as usize) {
            tx.execute_batch(sql)?;
        }
        tx.pragma_update(None, "application_id", APPLICATION_ID)?;
        tx.pragma_update(None, "user_version", newest)
    };
    step().and_then(|()| tx.commit()).map_err(fail)
}

/// A copy under its name only once all of it is on disk: half a one, left by a kill or a power cut,
/// would be taken for the copy by the next start, and be all that is left of the old version.
fn copy_whole(conn: &Connection, path: &Path, to: &Path) -> Result<(), OpenError> {
    let mut part = to.as_os_str().to_owned();
    part.push("-part");
    let part = PathBuf::from(part);
    let unwritable = |e: std::io::Error| OpenError::Unwritable {
        path: to.to_owned(),
        reason: format!("the database cannot be copied before it is updated: {e}"),
        hint: "make room for the copy, then start again",
    };
    match std::fs::remove_file(&part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(unwritable(e)),
        _ => {}
    }
    ours::copy_into(conn, &part).map_err(|e| OpenError::from_sqlite(path, e))?;
    let _others = owner::of(path).and_then(|wanted| owner::give(&part, wanted));
    let on_disk = |file: &Path| std::fs::File::open(file).and_then(|f| f.sync_all());
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    on_disk(&part)
        .and_then(|()| std::fs::rename(&part, to))
        .and_then(|()| on_disk(folder))
        .map_err(unwritable)
}

/// After an unclean end: what was written last is what suffers most, and what is needed first.
fn look_at_newest(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    for newest in [
        "SELECT sum(value) FROM (SELECT value FROM samples ORDER BY ts DESC LIMIT 1000)",
        "SELECT sum(length(hex(data))) FROM (SELECT data FROM blocks ORDER BY id DESC LIMIT 4)",
        "SELECT max(length(key)) FROM (SELECT key FROM series_dict ORDER BY id DESC LIMIT 100)",
        "SELECT max(value) FROM state",
        "SELECT max(length(key)) FROM (SELECT key FROM inbox ORDER BY id DESC LIMIT 10)",
        "SELECT max(length(text)) FROM (SELECT text FROM events ORDER BY id DESC LIMIT 100)",
        "SELECT max(length(more)) FROM (SELECT more FROM alert_state ORDER BY id DESC LIMIT 100)",
        "SELECT max(length(body)) FROM (SELECT body FROM outbox ORDER BY id DESC LIMIT 100)",
    ] {
        conn.query_row(newest, [], |_| Ok(())).map_err(|e| OpenError::from_sqlite(path, e))?;
    }
    Ok(())
}

/// Says whose machine the file is. Only a new name is written: a program that holds the write lock
/// for a while must not keep the daemon from starting.
fn name_system(conn: &Connection, system: &str) -> Result<(), SqlError> {
    let known: Option<String> = conn
        .query_row("SELECT name FROM system_dict WHERE id = 1", [], |row| row.get(0))
        .optional()?;
    if known.as_deref() != Some(system) {
        conn.busy_timeout(BUSY_AT_START)?;
        conn.execute(
            "INSERT INTO system_dict (id, name) VALUES (1, ?1)
             ON CONFLICT (id) DO UPDATE SET name = ?1",
            [system],
        )?;
        conn.busy_timeout(BUSY)?;
    }
    Ok(())
}
