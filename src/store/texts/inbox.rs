//! store: `INSERT INTO metrics` from any SQL client ends in the table `inbox`; here it is taken in.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::dictionary::{Dictionary, Room};
use crate::pipeline::{Reason, Source};
use crate::store::SqlError;
use crate::store::samples::insert::Inserter;

/// Rows a transaction takes, so that the write lock is never held for long.
const STEP: i64 = 5_000;

/// The years 0 to 9999, in ms since 1970 UTC, as the table has it.
const TIMES: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
/// Longest key in bytes: a thousand characters.
const MAX_KEY: usize = 4_000;

/// What one step took.
#[derive(Debug, Default)]
pub(in crate::store) struct Taken {
    pub(in crate::store) rows: u64,
    /// New names that there is no room for.
    pub(in crate::store) refused: u64,
    /// Rows that are no samples: a key that is no text, no UTF-8 or too long, no number, no time. The
    /// trigger refuses them, but not if a client writes into the table itself.
    pub(in crate::store) invalid: u64,
    pub(in crate::store) more: bool,
}

/// Whether there is anything to take.
pub(in crate::store) fn waiting(conn: &Connection) -> Result<bool, SqlError> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM inbox)")?.query_row([], |row| row.get(0))
}

/// Moves the oldest rows, at most so many, into `samples`, within the caller's transaction.
pub(in crate::store) fn take(
    conn: &Connection,
    dictionary: &mut Dictionary,
    insert: &mut Inserter<'_>,
    most: i64,
) -> Result<Taken, SqlError> {
    let step = STEP.min(most);
    let mut taken = Taken::default();
    let mut last = None;
    {
        let mut select = conn.prepare_cached(&rows_after("LIMIT ?3"))?;
        let mut rows = select.query([MAX_KEY as i64, i64::MIN, step])?;
        while let Some(row) = rows.next()? {
            last = Some(row.get::<_, i64>(0)?);
            let Ok((key, value, ts)) = judge(row)? else {
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
        taken.more = taken.rows + taken.refused + taken.invalid == step as u64;
    }
    Ok(taken)
}

/// Rows behind a number, in order. A key that is too long, or a value of another type, is not even
/// read: it may have a hundred megabytes.
fn rows_after(limit: &str) -> String {
    format!(
        "SELECT id, CASE WHEN octet_length(key) <= ?1 THEN key END,
           CASE typeof(value) WHEN 'real' THEN value END,
           CASE typeof(ts) WHEN 'integer' THEN ts END,
           typeof(key), coalesce(octet_length(key), 0)
         FROM inbox WHERE id >= ?2 ORDER BY id {limit}"
    )
}

/// A row's sample (key, value, time), or its fault. The trigger refuses faulty rows, but not if a client
/// writes into the table itself.
fn judge<'r>(row: &'r Row<'_>) -> Result<Result<(&'r str, f64, i64), &'static str>, SqlError> {
    let key = match row.get_ref(1)? {
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok("") => Err("the key is empty"),
            Ok(key) if key.chars().any(char::is_control) => Err("the key has a control character"),
            Ok(key) if key.chars().count() > 1_000 => Err("the key has more than 1,000 characters"),
            Ok(key) => Ok(key),
            Err(_) => Err("the key is not UTF-8"),
        },
        ValueRef::Null if row.get_ref(4)? == ValueRef::Text(b"text") => {
            Err("the key has more than 1,000 characters")
        }
        _ => Err("the key is no text"),
    };
    let (value, ts): (Option<f64>, Option<i64>) = (row.get(2)?, row.get(3)?);
    Ok(match (key, value, ts.filter(|ts| TIMES.contains(ts))) {
        (Err(why), ..) => Err(why),
        (_, None, _) => Err("the value is no number"),
        (_, _, None) => Err("the time is none of the years 0 to 9999"),
        (Ok(key), Some(value), Some(ts)) => Ok((key, value, ts)),
    })
}

/// The rows that are no samples: each with what is wrong.
pub(in crate::store) fn bad_rows(
    conn: &Connection,
    mut each: impl FnMut(i64, String),
) -> Result<(), SqlError> {
    let mut select = conn.prepare_cached(&rows_after(""))?;
    let mut rows = select.query([MAX_KEY as i64, i64::MIN])?;
    while let Some(row) = rows.next()? {
        if let Err(why) = judge(row)? {
            let id: i64 = row.get(0)?;
            let key = match row.get_ref(1)? {
                ValueRef::Text(bytes) => shown(bytes),
                _ => format!("{} bytes of {}", row.get::<_, i64>(5)?, row.get::<_, String>(4)?),
            };
            each(id, format!("row {id} is no sample: {why}: {key}"));
        }
    }
    Ok(())
}

/// The beginning of a text that may be anything, so that it can be printed.
pub(super) fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes[..bytes.len().min(60)].escape_ascii())
}
