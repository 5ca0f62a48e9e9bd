//! store: handing samples to a running daemon by way of its inbox, as any SQL client can.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, params};

use crate::model::{Identity, Kind, Series};
use crate::pipeline::{MAX_PUSHED_NAMES, Source};
use crate::store::file::allowance;
use crate::store::file::ours::check_ours;
use crate::store::texts::dictionary::{Systems, find_or_make, named};
use crate::store::{OpenError, SqlError};

/// The number of rows of an import that may wait in the inbox.
const WAITING: i64 = 40_000;
/// The daemon takes thousands in a second.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A connection that only fills the inbox.
#[derive(Debug)]
pub struct InboxSender {
    conn: Connection,
}

impl InboxSender {
    /// Opens a database that exists.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let fail = |e| OpenError::from_sqlite(path, e);
        if !path.exists() {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        allowance::install();
        let conn = Connection::open_with_flags(path, flags).map_err(fail)?;
        conn.busy_timeout(Duration::from_secs(10)).map_err(fail)?;
        if check_ours(&conn, path)? {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        Ok(Self { conn })
    }

    /// The series that a key of the inbox names.
    pub fn identity(&self, key: &str) -> Result<Identity, SqlError> {
        named(&self.conn, key, Source::Sql.name())
    }

    /// Says what a series is that nobody knows yet; what is known stays as it is. Past as many as
    /// the daemon would take in by itself, nothing is said.
    pub fn describe(
        &mut self,
        key: &str,
        kind: Kind,
        unit: &str,
        help: &str,
    ) -> Result<(), SqlError> {
        let known = "SELECT EXISTS (SELECT 1 FROM series_dict WHERE key = ?1 AND system_id = 1)
             OR (SELECT count(*) FROM series_dict WHERE job = ?2) >= ?3";
        let job = Source::Sql.name();
        // The name is nearly always known, and reading does not wait for a writer.
        if self
            .conn
            .prepare_cached(known)?
            .query_row(params![key, job, MAX_PUSHED_NAMES as i64], |r| r.get(0))?
        {
            return Ok(());
        }
        let identity = named(&self.conn, key, job)?;
        let series = Series { identity, kind, unit: unit.into(), help: help.into() };
        let tx = self.conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        find_or_make(&tx, &mut Systems::default(), &series)?;
        tx.commit()
    }

    /// Waits until only a few rows wait in the inbox, so that many do not make the file larger than it may
    /// be. An error: nobody takes them in.
    pub fn wait(&mut self) -> Result<(), SqlError> {
        let begun = Instant::now();
        let mut last = i64::MAX;
        loop {
            // Numbers are given in order.
            let waiting: i64 = self
                .conn
                .prepare_cached("SELECT coalesce(max(id) - min(id) + 1, 0) FROM inbox")?
                .query_row([], |r| r.get(0))?;
            if waiting <= WAITING {
                return Ok(());
            }
            if waiting == last && begun.elapsed() > PATIENCE {
                return Err(SqlError::ModuleError(format!(
                    "{waiting} rows wait in the inbox, and plimsoll does not take them in; look at what it \
                     says: plimsoll status"
                )));
            }
            last = waiting;
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Puts samples into the inbox in one transaction; on disk when this returns.
    pub fn send<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a str, i64, f64)>,
    ) -> Result<(), SqlError> {
        let tx = self.conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut insert =
                tx.prepare_cached("INSERT INTO inbox (key, ts, value) VALUES (?1, ?2, ?3)")?;
            for (key, ts, value) in rows {
                insert.execute((key, ts, value))?;
            }
        }
        tx.commit()
    }
}
