//! store: texts that are not UTF-8. A client that writes into the tables with SQL can put anything
//! there, and one such text would keep a reader from reading the others.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, params_from_iter};

use super::inbox::shown;
use crate::store::SqlError;

/// Tables with the columns that are texts; the first column is the row's number.
const TEXTS: [(&str, &[&str]); 8] = [
    ("system_dict", &["name"]),
    ("series_dict", &["job", "name", "labels", "key", "kind", "unit", "help"]),
    ("events", &["kind", "level", "title", "text", "tags", "priority", "source"]),
    ("graph_dict", &["graph", "title", "category", "unit", "info", "args"]),
    ("alert_state", &["rule", "labels", "state", "frozen", "severity", "flaps", "text", "more"]),
    ("outbox", &["channel", "shown", "severity", "occasion", "host", "title", "said", "body"]),
    (
        "told",
        &[
            "channel", "shown", "severity", "occasion", "host", "key", "title", "text", "result",
            "said",
        ],
    ),
    ("silences", &["what", "every", "who", "why"]),
];

/// Calls for each text that is none: table, column, row, and its bytes.
pub(in crate::store) fn bad_texts(
    conn: &Connection,
    mut each: impl FnMut(&'static str, &'static str, i64, &[u8]),
) -> Result<(), SqlError> {
    for (table, columns) in TEXTS {
        if !conn.table_exists(None, table)? {
            // A file of an older version.
            continue;
        }
        let mut all = conn.prepare(&format!("SELECT id, {} FROM {table}", columns.join(", ")))?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            for (at, column) in columns.iter().enumerate() {
                let value = row.get_ref(at + 1)?;
                let bytes = match value {
                    ValueRef::Text(bytes) if std::str::from_utf8(bytes).is_ok() => continue,
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
                    _ if value.data_type() == Type::Null => &[],
                    _ => continue,
                };
                each(table, column, row.get(0)?, bytes);
            }
        }
    }
    Ok(())
}

/// What is wrong with one of them, for a person.
pub(in crate::store) fn describe(table: &str, column: &str, row: i64, bytes: &[u8]) -> String {
    format!("{column} of row {row} of {table} is not UTF-8: {}", shown(bytes))
}

/// Replaces the bytes that are not UTF-8, in all of them.
pub(in crate::store) fn mend(conn: &Connection) -> Result<(), SqlError> {
    let mut wrong = Vec::new();
    bad_texts(conn, |table, column, row, bytes| {
        wrong.push((table, column, row, String::from_utf8_lossy(bytes).into_owned()));
    })?;
    for (table, column, row, text) in wrong {
        // Two names that are alike then would be one: the second keeps the row's number.
        let mut update =
            conn.prepare(&format!("UPDATE OR IGNORE {table} SET {column} = ?1 WHERE id = ?2"))?;
        if update.execute(params_from_iter([&text, &row.to_string()]))? == 0 {
            update.execute(params_from_iter([&format!("{text} {row}"), &row.to_string()]))?;
        }
    }
    Ok(())
}
