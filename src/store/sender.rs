//! store: handing samples to a running daemon by way of its inbox, as any SQL client can.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::open::check_ours;
use super::{OpenError, SqlError};

/// A connection that only fills the inbox.
#[derive(Debug)]
pub struct Sender {
    conn: Connection,
}

impl Sender {
    /// Opens a database that exists.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let fail = |e| OpenError::from_sqlite(path, e);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(fail)?;
        conn.busy_timeout(Duration::from_secs(10)).map_err(fail)?;
        if check_ours(&conn, path)? {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        Ok(Self { conn })
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
