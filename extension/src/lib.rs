//! `samples_all(key_glob, from, to)` for any SQLite from 3.40 on: `.load libplimsoll_sql`.
//!
//! The rooms below are plimsoll's own files, those of them that reading takes; nothing is written
//! twice. docs/adr/0002-extension.md says why they come in like this.

mod host;

use std::ffi::{c_char, c_int};

use rusqlite::{Connection, ffi};

#[allow(dead_code, unused_imports, reason = "the daemon uses the rest")]
#[path = "../../src/model"]
mod model {
    mod clock;
    mod glob;

    pub use clock::{Clock, SystemClock};
    pub use glob::Glob;
}

#[allow(dead_code, reason = "the daemon uses the rest")]
#[path = "../../src/wire"]
mod wire {
    mod shown;
    pub mod time;
    mod value;

    use shown::shown;
}

#[allow(dead_code, unused_imports, reason = "the daemon uses the rest")]
#[path = "../../src/store"]
mod store {
    mod file {
        pub(super) mod schema;
        pub(super) mod state;
        pub(super) mod value;
    }
    mod packed {
        pub(super) mod block;
        pub(super) mod chunk;
        pub(super) mod join;
    }
    mod read {
        pub(super) mod table;
    }
    mod samples {
        pub(super) mod head;
        pub(super) mod kept;
        pub(super) mod series;
    }

    pub use file::value::from_column;

    pub type SqlError = rusqlite::Error;

    pub fn register(conn: &rusqlite::Connection) -> Result<(), SqlError> {
        read::table::register(conn)
    }
}

/// What SQLite calls after it has loaded the library.
///
/// # Safety
/// For SQLite alone: the pointers are those of its interface of extensions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_extension_init(
    db: *mut ffi::sqlite3,
    message: *mut *mut c_char,
    api: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite passes the table of its functions.
    let api = match unsafe { host::functions(api) } {
        Ok(api) => api,
        // SAFETY: SQLite's pointers.
        Err(e) => return unsafe { host::refuse(api, message, &e) },
    };
    // SAFETY: SQLite's pointers; `start` only registers.
    unsafe { Connection::extension_init2(db, message, api, start) }
}

fn start(conn: Connection) -> rusqlite::Result<bool> {
    // A damaged block leaves a gap, which standard error reports. A second loading finds it done.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false)
        .without_time()
        .try_init();
    store::register(&conn)?;
    // The log stays behind when the connection is closed, so the library has to.
    Ok(true)
}
