//! store: `INSERT INTO metrics` from any SQL client ends in the table `inbox`; here it is taken in.

use rusqlite::Connection;

use super::SqlError;
use super::dictionary::{Dictionary, Room};
use super::write::Inserter;
use crate::pipeline::Source;

/// Rows a transaction takes, so that the write lock is never held for long.
const STEP: i64 = 5_000;

/// What one step took.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) rows: u64,
    pub(super) refused: u64,
    pub(super) more: bool,
}

/// Whether there is anything to take.
pub(super) fn waiting(conn: &Connection) -> Result<bool, SqlError> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM inbox)")?.query_row([], |row| row.get(0))
}

/// Moves the oldest rows into `samples`, within the caller's transaction.
pub(super) fn take(
    conn: &Connection,
    dictionary: &mut Dictionary,
    insert: &mut Inserter<'_>,
) -> Result<Taken, SqlError> {
    let mut taken = Taken::default();
    let mut last = None;
    {
        let mut select =
            conn.prepare_cached("SELECT id, key, value, ts FROM inbox ORDER BY id LIMIT ?1")?;
        let mut rows = select.query([STEP])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get::<_, i64>(0)?);
            let key = row.get_ref(1)?.as_str()?;
            match dictionary.id_of_key(conn, key, Source::Sql.name(), Room::Shared)? {
                Some(id) => {
                    insert.put(row.get(3)?, id, row.get(2)?)?;
                    taken.rows += 1;
                }
                None => taken.refused += 1,
            }
        }
    }
    if let Some(last) = last {
        conn.prepare_cached("DELETE FROM inbox WHERE id <= ?1")?.execute([last])?;
        taken.more = taken.rows + taken.refused == STEP as u64;
    }
    Ok(taken)
}
