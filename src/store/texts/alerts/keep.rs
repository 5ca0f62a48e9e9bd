//! store: how much is kept of alerts that are over and of messages that were told, what that takes of
//! the file, and which rows are none.

use rusqlite::Connection;

use super::super::budget::Held;
use super::MOST_KEPT;
use crate::pipeline::row_bytes;
use crate::store::SqlError;

/// Beside its texts, what a row takes with its entry in an index.
const ROW: u64 = 160;
/// Silences are kept for so long after their end.
const SILENCE_MS: i64 = 7 * 86_400_000;

/// Bytes that a row takes, by the bytes of its texts.
pub(in crate::store) fn bytes(texts: u64) -> u64 {
    row_bytes(texts + ROW)
}

/// Bytes of all rows, counted.
pub(in crate::store) fn count(conn: &Connection) -> Result<u64, SqlError> {
    let mut all = 0;
    for sql in [
        "SELECT octet_length(rule) + octet_length(labels) + octet_length(flaps) + octet_length(text)
           + octet_length(more) FROM alert_state",
        "SELECT octet_length(title) + octet_length(said) + octet_length(body) + octet_length(shown)
         FROM outbox",
        "SELECT octet_length(title) + octet_length(text) + octet_length(said) + octet_length(shown)
         FROM told",
        "SELECT octet_length(what) + octet_length(every) + octet_length(who) + octet_length(why)
         FROM silences",
        "SELECT octet_length(who) + octet_length(why) FROM acks",
    ] {
        let mut rows = conn.prepare_cached(sql)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            all += bytes(row.get::<_, Option<u32>>(0)?.map_or(0, u64::from));
        }
    }
    Ok(all)
}

/// Deletes what is too old or too much. `oldest`, `now`: ms since 1970 UTC.
pub(in crate::store) fn prune(conn: &Connection, oldest: i64, now: i64) -> Result<(), SqlError> {
    conn.prepare_cached("DELETE FROM alert_state WHERE resolved_at < ?1")?.execute([oldest])?;
    conn.prepare_cached("DELETE FROM told WHERE at < ?1")?.execute([oldest])?;
    conn.prepare_cached("DELETE FROM silences WHERE ends_at < ?1")?.execute([now - SILENCE_MS])?;
    for (table, which) in [("alert_state", "WHERE resolved_at IS NOT NULL"), ("told", "")] {
        conn.prepare_cached(&format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} {which} ORDER BY id
               LIMIT (SELECT max(0, count(*) - ?1) FROM {table} {which}))"
        ))?
        .execute([MOST_KEPT])?;
    }
    Ok(())
}

/// Deletes the oldest of what is over. How many rows.
pub(in crate::store) fn drop_oldest(
    conn: &Connection,
    held: &mut Held,
    how_many: i64,
) -> Result<usize, SqlError> {
    let mut gone = 0;
    for (table, which) in [("told", ""), ("alert_state", "WHERE resolved_at IS NOT NULL")] {
        gone += conn
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE id IN
                 (SELECT id FROM {table} {which} ORDER BY id LIMIT ?1)"
            ))?
            .execute([how_many])?;
    }
    held.alerts_changed();
    Ok(gone)
}

/// Conditions by which a row is none that plimsoll wrote.
const BAD: [(&str, &str); 5] = [
    (
        "alert_state",
        "length(fingerprint) <> 16 OR fingerprint GLOB '*[^0-9a-f]*'
         OR severity NOT IN ('info', 'warning', 'bad') OR NOT json_valid(labels)
         OR NOT json_valid(flaps) OR NOT json_valid(more)
         OR typeof(active_at) <> 'integer' OR typeof(seen_at) <> 'integer'
         OR typeof(held_ms) <> 'integer'",
    ),
    (
        "outbox",
        "severity NOT IN ('info', 'warning', 'bad') OR NOT json_valid(body)
         OR typeof(made_at) <> 'integer' OR typeof(due_at) <> 'integer'
         OR typeof(attempts) <> 'integer'",
    ),
    (
        "told",
        "severity NOT IN ('info', 'warning', 'bad') OR typeof(made_at) <> 'integer'
         OR typeof(at) <> 'integer' OR typeof(attempts) <> 'integer'",
    ),
    ("silences", "typeof(starts_at) <> 'integer' OR typeof(ends_at) NOT IN ('integer', 'null')"),
    (
        "acks",
        "length(fingerprint) <> 16 OR fingerprint GLOB '*[^0-9a-f]*'
         OR typeof(fired_at) <> 'integer' OR typeof(at) <> 'integer'",
    ),
];

/// Calls for each row of the tables of alerts that is none: its table and number.
pub(in crate::store) fn bad_rows(
    conn: &Connection,
    mut each: impl FnMut(&'static str, i64),
) -> Result<(), SqlError> {
    for (table, bad) in BAD {
        if !conn.table_exists(None, table)? {
            // A file of an older version.
            continue;
        }
        let mut all = conn.prepare(&format!("SELECT id FROM {table} WHERE {bad}"))?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            each(table, row.get(0)?);
        }
    }
    Ok(())
}
