//! store: the schema, version by version, and how a file says that it is one of plimsoll's.

use rusqlite::Connection;

use super::SqlError;

/// What each version adds to the one before. A fresh database goes the same way as an old one, so
/// that they cannot differ.
pub(super) const SCHEMA: [&str; 5] = [
    include_str!("sql/v1.sql"),
    include_str!("sql/v2.sql"),
    include_str!("sql/v3.sql"),
    include_str!("sql/v4.sql"),
    // A version that changes a view or a trigger drops all of them and makes them again from
    // `views.sql`: this step then drops them only, and the last step has the file.
    concat!(include_str!("sql/v5.sql"), include_str!("sql/views.sql")),
];

/// `PLIM`: marks the file as ours (`file metrics.sqlite` shows it).
pub const APPLICATION_ID: i64 = 0x504C_494D;

/// The newest schema this program knows; `PRAGMA user_version`.
pub const SCHEMA_VERSION: i64 = SCHEMA.len() as i64;

/// Where the trees of a fresh database begin.
pub(super) fn usual_roots() -> Result<Vec<(String, u32)>, SqlError> {
    super::allowance::install();
    let conn = Connection::open_in_memory()?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    SCHEMA.iter().try_for_each(|sql| conn.execute_batch(sql))?;
    conn.prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0")?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect()
}
