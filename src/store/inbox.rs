//! store: `INSERT INTO metrics` from any SQL client ends in the table `inbox`; here it is taken in.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::SqlError;
use super::dictionary::{Dictionary, Room};
use super::write::Inserter;
use crate::pipeline::{Reason, Source};
use crate::wire::time::in_range;

/// Rows a transaction takes, so that the write lock is never held for long.
const STEP: i64 = 5_000;

/// Longest key in bytes: a thousand characters.
const MAX_KEY: usize = 4_000;

/// What one step took.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) rows: u64,
    /// New names that there is no room for.
    pub(super) refused: u64,
    /// Rows that are no sample: a key that is no text, no UTF-8 or too long, no number, no time. The
    /// trigger refuses them; whoever writes into the table itself gets past it.
    pub(super) invalid: u64,
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
        // What is too long, or of another type, is not even read: it may have a hundred megabytes.
        let mut select = conn.prepare_cached(
            "SELECT id, CASE WHEN octet_length(key) <= ?2 THEN key END,
               CASE typeof(value) WHEN 'real' THEN value END,
               CASE typeof(ts) WHEN 'integer' THEN ts END
             FROM inbox ORDER BY id LIMIT ?1",
        )?;
        let mut rows = select.query([STEP, MAX_KEY as i64])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get::<_, i64>(0)?);
            let key = match row.get_ref(1)? {
                ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
                _ => None,
            };
            let (key, value, ts) = (key.filter(|k| is_key(k)), row.get(2)?, row.get(3)?);
            let ts: Option<i64> = ts;
            let (Some(key), Some(value), Some(ts)) = (key, value, ts.and_then(in_range)) else {
                taken.invalid += 1;
                continue;
            };
            match dictionary.id_of_key(conn, key, Source::Sql.name(), Room::Shared)? {
                Ok(id) => {
                    insert.put(ts, id, value)?;
                    taken.rows += 1;
                }
                Err(Reason::SeriesLimit) => taken.refused += 1,
                Err(_) => taken.invalid += 1,
            }
        }
    }
    if let Some(last) = last {
        conn.prepare_cached("DELETE FROM inbox WHERE id <= ?1")?.execute([last])?;
        taken.more = taken.rows + taken.refused + taken.invalid == STEP as u64;
    }
    Ok(taken)
}

/// As the trigger has it: 1 to 1,000 characters, none of which controls a terminal.
fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().count() <= 1_000 && !key.chars().any(char::is_control)
}
