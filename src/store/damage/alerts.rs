//! store: alerts and messages about them, out of a damaged file.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::carve::{Row, Table};
use crate::store::SqlError;
use crate::store::file::state;
use crate::store::texts::alerts::bad_rows;

/// The tables of alerts, by the name that a damaged file has for them, with their columns.
const TABLES: [(Table, &str, usize); 5] = [
    (Table::AlertState, "alert_state", 19),
    (Table::Outbox, "outbox", 12),
    (Table::Told, "told", 14),
    (Table::Silences, "silences", 7),
    (Table::Acks, "acks", 6),
];

/// Puts the rows of a damaged file into this one, as far as they are whole. Those that are none are
/// left away.
pub(super) fn salvage(
    conn: &Connection,
    rows_of: impl Fn(Table) -> Vec<Row>,
) -> Result<(), SqlError> {
    for (table, name, columns) in TABLES {
        let marks = vec!["?"; columns].join(", ");
        let mut put =
            conn.prepare_cached(&format!("INSERT OR IGNORE INTO {name} VALUES ({marks})"))?;
        for row in rows_of(table) {
            let [_, values @ ..] = row.values.as_slice() else { continue };
            if values.len() + 1 == columns {
                let number = Value::Integer(row.rowid);
                put.execute(params_from_iter(std::iter::once(&number).chain(values)))?;
            }
        }
    }
    let mut bad = Vec::new();
    bad_rows(conn, |table, id| bad.push((table, id)))?;
    for (table, id) in bad {
        conn.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [id])?;
    }
    let last: Option<i64> = conn.query_row("SELECT max(id) FROM outbox", [], |r| r.get(0))?;
    if let Some(last) = last.filter(|_| state::get(conn, state::LAST_NOTE).is_ok_and(|s| s < last))
    {
        state::set(conn, state::LAST_NOTE, last)?;
    }
    Ok(())
}
