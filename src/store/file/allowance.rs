//! store: the memory of a stranger's statement. SQLite has one limit for the whole process, and that
//! only where it counts all memory under a lock; so its allocator is replaced by one that asks, for a
//! thread that works on such a statement and for no other, whether there may be more.
#![allow(unsafe_code, reason = "SQLite is given four functions of C")]

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

use rusqlite::ffi;

/// Bytes that are asked for at a time.
const SOME: usize = 256 << 10;

/// Says whether so many bytes more may be taken; what it granted is given back when it is dropped.
pub type More = Box<dyn FnMut(usize) -> bool>;

/// What a thread may take.
struct Meter {
    more: More,
    /// Granted and not taken, in bytes.
    left: usize,
}

thread_local! {
    /// Whether this thread is bounded: all others look at this and at nothing else.
    static BOUNDED: Cell<bool> = const { Cell::new(false) };
    static METER: RefCell<Option<Meter>> = const { RefCell::new(None) };
}

impl Meter {
    fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.left {
            let missing = (bytes - self.left).max(SOME);
            if !(self.more)(missing) {
                return false;
            }
            self.left += missing;
        }
        self.left -= bytes;
        true
    }
}

fn may_take(bytes: usize) -> bool {
    METER.with_borrow_mut(|meter| meter.as_mut().is_none_or(|meter| meter.take(bytes)))
}

fn gave(bytes: usize) {
    METER.with_borrow_mut(|meter| {
        if let Some(meter) = meter {
            meter.left += bytes;
        }
    });
}

/// The size of a piece of memory: what the allocator made of what was asked for.
fn size(piece: *mut c_void) -> usize {
    // SAFETY: SQLite hands in what `allocate` or `resize` gave it, or null, which has no size.
    unsafe { libc::malloc_usable_size(piece) }
}

unsafe extern "C" fn allocate(bytes: c_int) -> *mut c_void {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    let bounded = BOUNDED.get();
    if bounded && !may_take(bytes) {
        return std::ptr::null_mut();
    }
    // SAFETY: any size may be asked for.
    let piece = unsafe { libc::malloc(bytes) };
    if bounded {
        // It is a little more than was asked for, or nothing.
        gave(bytes);
        let _counted = may_take(size(piece));
    }
    piece
}

unsafe extern "C" fn free(piece: *mut c_void) {
    if BOUNDED.get() {
        gave(size(piece));
    }
    // SAFETY: SQLite hands in what it was given, once.
    unsafe { libc::free(piece) };
}

unsafe extern "C" fn resize(piece: *mut c_void, bytes: c_int) -> *mut c_void {
    let bytes = usize::try_from(bytes).unwrap_or(0);
    let (bounded, before) = (BOUNDED.get(), size(piece));
    // What was there counts until it is moved.
    if bounded && !may_take(bytes.saturating_sub(before)) {
        return std::ptr::null_mut();
    }
    // SAFETY: SQLite hands in what it was given, and asks for it no more if this succeeds.
    let moved = unsafe { libc::realloc(piece, bytes) };
    if bounded {
        gave(bytes.saturating_sub(before));
        if !moved.is_null() {
            gave(before);
            let _counted = may_take(size(moved));
        }
    }
    moved
}

unsafe extern "C" fn size_of(piece: *mut c_void) -> c_int {
    c_int::try_from(size(piece)).unwrap_or(c_int::MAX)
}

unsafe extern "C" fn round_up(bytes: c_int) -> c_int {
    bytes.saturating_add(7) & !7
}

unsafe extern "C" fn begin(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn end(_: *mut c_void) {}

/// Gives SQLite this allocator; whether it has it. Has to be called before SQLite is first used in this
/// process, so all that open a database do.
pub(in crate::store) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let methods = ffi::sqlite3_mem_methods {
            xMalloc: Some(allocate),
            xFree: Some(free),
            xRealloc: Some(resize),
            xSize: Some(size_of),
            xRoundup: Some(round_up),
            xInit: Some(begin),
            xShutdown: Some(end),
            pAppData: std::ptr::null_mut(),
        };
        // SAFETY: SQLite copies the table; where it runs already, it refuses.
        let code = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const methods) };
        code == ffi::SQLITE_OK
    })
}

/// Bounds what SQLite takes on this thread until it is dropped.
#[derive(Debug)]
pub(in crate::store) struct Bounded(());

impl Bounded {
    /// `None`: SQLite was in use before it could be given this allocator.
    pub(in crate::store) fn new(more: More) -> Option<Self> {
        if !install() {
            return None;
        }
        METER.set(Some(Meter { more, left: 0 }));
        BOUNDED.set(true);
        Some(Self(()))
    }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        BOUNDED.set(false);
        METER.set(None);
    }
}
