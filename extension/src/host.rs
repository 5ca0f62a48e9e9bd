//! The functions of the SQLite that loads us, as the table that rusqlite expects.
//!
//! rusqlite's declarations are those of SQLite 3.45, and it refuses an older one. Debian 12 has
//! 3.40, and nothing that `samples_all` calls is newer. So an older host's table is copied into one
//! of the full length, with the functions that it lacks left out; rusqlite ends the process with a
//! sentence, not with a jump to nowhere, should one of those ever be called.

use std::ffi::{c_char, c_int};
use std::mem::{MaybeUninit, offset_of};
use std::ptr;
use std::sync::OnceLock;

use rusqlite::ffi::{SQLITE_ERROR, SQLITE_VERSION_NUMBER, sqlite3_api_routines};

/// The oldest one that was tried.
const OLDEST: c_int = 3_040_000;
/// The table of 3.40 ends before this function came.
const KNOWN: usize = offset_of!(sqlite3_api_routines, is_interrupted);

struct Padded(sqlite3_api_routines);

// SAFETY: nothing but pointers to functions, and never written again.
unsafe impl Send for Padded {}
// SAFETY: the same.
unsafe impl Sync for Padded {}

extern "C" fn declared() -> c_int {
    SQLITE_VERSION_NUMBER
}

/// The table to give to rusqlite.
///
/// # Safety
/// `host` is null or the table that SQLite passes to an extension.
pub unsafe fn functions(
    host: *const sqlite3_api_routines,
) -> Result<*mut sqlite3_api_routines, String> {
    static PADDED: OnceLock<Padded> = OnceLock::new();
    if host.is_null() {
        return Err("samples_all: this SQLite does not load extensions".into());
    }
    // SAFETY: a field of the first version of the table.
    let version = unsafe { (*host).libversion_number }.map_or(0, |f| {
        // SAFETY: takes nothing, and needs nothing to be set up.
        unsafe { f() }
    });
    if version >= SQLITE_VERSION_NUMBER {
        return Ok(host.cast_mut());
    }
    if version < OLDEST {
        let (major, minor) = (version / 1_000_000, version / 1_000 % 1_000);
        return Err(format!(
            "samples_all needs SQLite 3.40 or newer, and this is {major}.{minor}; \
             `plimsoll sql` brings its own"
        ));
    }
    let padded = PADDED.get_or_init(|| {
        let mut table = MaybeUninit::<sqlite3_api_routines>::zeroed();
        // SAFETY: the host's table has at least these bytes; zero is "no such function".
        let mut table = unsafe {
            ptr::copy_nonoverlapping(host.cast::<u8>(), table.as_mut_ptr().cast(), KNOWN);
            table.assume_init()
        };
        table.libversion_number = Some(declared);
        Padded(table)
    });
    // rusqlite only reads it.
    Ok((&raw const padded.0).cast_mut())
}

/// Says why not, in memory that SQLite frees.
///
/// # Safety
/// `host` as above; `message` is null or SQLite's.
pub unsafe fn refuse(
    host: *const sqlite3_api_routines,
    message: *mut *mut c_char,
    text: &str,
) -> c_int {
    // SAFETY: as promised; malloc is in the first version of the table.
    unsafe {
        if !host.is_null()
            && !message.is_null()
            && let Some(malloc) = (*host).malloc
        {
            let to = malloc(text.len() as c_int + 1).cast::<u8>();
            if !to.is_null() {
                ptr::copy_nonoverlapping(text.as_ptr(), to, text.len());
                *to.add(text.len()) = 0;
                *message = to.cast();
            }
        }
    }
    SQLITE_ERROR
}
