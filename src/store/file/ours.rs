//! store: the file as such: whether it is one of ours, how large it is with what lies beside it, how
//! it is named to SQLite, how it is copied.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::error::OpenError;
use super::schema::{APPLICATION_ID, SCHEMA, SCHEMA_VERSION};
use crate::store::SqlError;

/// Whether the file is empty; an error if it is not for us. Reads only.
pub(in crate::store) fn check_ours(conn: &Connection, path: &Path) -> Result<bool, OpenError> {
    let pragma = |name: &str| -> Result<i64, OpenError> {
        conn.pragma_query_value(None, name, |row| row.get(0))
            .map_err(|e| OpenError::from_sqlite(path, e))
    };
    let application = pragma("application_id")?;
    let version = pragma("user_version")?;
    let schema = pragma("schema_version")?;
    if schema == 0 && application == 0 && version == 0 {
        return Ok(true);
    }
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if version > SCHEMA_VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found: version,
            known: SCHEMA_VERSION,
        });
    }
    if version < 1 {
        // Both numbers are written with the first table. A new schema would overwrite what is there.
        let found = SqlError::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(format!("schema version {version} has never been")),
        );
        return Err(OpenError::Damaged { path: path.to_owned(), found });
    }
    Ok(false)
}

/// `immutable`: nobody writes, so that SQLite needs neither locks nor files beside it.
pub(in crate::store) fn read_only_uri(path: &Path, immutable: bool) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for b in path.as_os_str().as_bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                uri.push(char::from(*b));
            }
            b => {
                let _unused = write!(uri, "%{b:02x}");
            }
        }
    }
    uri.push_str(if immutable { "?immutable=1" } else { "?mode=ro" });
    uri
}

/// A copy of the database as it is at this moment.
pub(in crate::store) fn copy_into(conn: &Connection, to: &Path) -> Result<(), SqlError> {
    use std::os::unix::ffi::OsStrExt;
    // As text: SQLite takes the name in the bytes it is given.
    let name = rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Text(to.as_os_str().as_bytes()));
    conn.execute("VACUUM INTO ?1", [name]).map(drop)
}

/// Bytes on disk of the write-ahead log alone.
pub(in crate::store) fn wal_size(path: &Path) -> u64 {
    size(path, "-wal")
}

/// Bytes on disk of the database, its write-ahead log and its shared-memory index.
pub fn sizes(path: &Path) -> [(&'static str, u64); 3] {
    [("main", size(path, "")), ("wal", size(path, "-wal")), ("shm", size(path, "-shm"))]
}

fn size(path: &Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    std::fs::metadata(PathBuf::from(name)).map_or(0, |m| m.len())
}

/// Where the trees of a fresh database begin.
pub(in crate::store) fn usual_roots() -> Result<Vec<(String, u32)>, SqlError> {
    super::allowance::install();
    let conn = Connection::open_in_memory()?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    SCHEMA.iter().try_for_each(|sql| conn.execute_batch(sql))?;
    conn.prepare("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0")?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect()
}
