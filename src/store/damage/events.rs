//! store: events of a damaged file.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::carve::Row;
use crate::store::SqlError;

/// Writes an event as it lay in the damaged file, unless the new file has no system for it.
pub(super) fn write(conn: &Connection, row: &Row) -> Result<(), SqlError> {
    let [_, Value::Integer(ts), Value::Integer(system), texts @ ..] = row.values.as_slice() else {
        return Ok(());
    };
    let [
        Value::Text(kind),
        Value::Text(level),
        Value::Text(title),
        Value::Text(text),
        Value::Text(tags),
        Value::Text(priority),
        Value::Text(source),
    ] = texts
    else {
        return Ok(());
    };
    conn.prepare_cached(
        "INSERT INTO events (ts, system_id, kind, level, title, text, tags, priority, source)
         SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM system_dict WHERE id = ?2",
    )?
    .execute(params![ts, system, kind, level, title, text, tags, priority, source])
    .map(drop)
}
