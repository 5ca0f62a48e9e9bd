//! store: handing samples to a running daemon by way of its inbox, as any SQL client can.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::model::{Identity, Kind, Series};
use crate::pipeline::{MAX_PUSHED_NAMES, Source};
use crate::store::file::allowance;
use crate::store::file::ours::check_ours;
use crate::store::texts::dictionary::{Systems, find_or_make, named};
use crate::store::{OpenError, SqlError};

/// A connection that only fills the inbox.
#[derive(Debug)]
pub struct Sender {
    conn: Connection,
}

impl Sender {
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
        // Nearly always it is known, and a look does not wait for whoever writes.
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
