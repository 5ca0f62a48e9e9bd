//! store: the files beside the database stay when it is closed. A user who may read it, and not write
//! to its folder, could not open it without them.
#![allow(unsafe_code, reason = "rusqlite has no call for sqlite3_file_control")]

use std::ffi::c_int;

use rusqlite::{Connection, ffi};

use crate::store::SqlError;

/// Keeps the write-ahead log, emptied, and its index when this connection is the last to close.
pub(in crate::store) fn keep_log(conn: &Connection) -> Result<(), SqlError> {
    let mut on: c_int = 1;
    // SAFETY: the handle is valid as long as the connection; the call reads and writes one int.
    let code = unsafe {
        ffi::sqlite3_file_control(
            conn.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_PERSIST_WAL,
            (&raw mut on).cast(),
        )
    };
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(SqlError::SqliteFailure(ffi::Error::new(code), None)),
    }
}
