//! store: the files of the open database: their inodes, and the length that the database had.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::store::damage::repair;
use crate::store::samples::head::identity;

/// Device and inode of each file when it was opened, and the length that the database had.
#[derive(Debug, Default)]
pub(in crate::store) struct Files {
    /// The database, once it is open.
    pub(super) main: Option<(u64, u64)>,
    /// The write-ahead log beside it.
    pub(super) log: Option<(u64, u64)>,
    /// The index of that.
    pub(super) index: Option<(u64, u64)>,
    /// The log or its index is not in its place any more: what is committed is moved into the database
    /// at once, as nobody else will find it there.
    pub(in crate::store) astray: bool,
    /// Bytes of the database after the last checkpoint of this process.
    length: AtomicU64,
}

impl Files {
    /// As they are now.
    pub(super) fn of(path: &Path) -> Self {
        let files = Self {
            main: identity(path),
            log: identity(&repair::with(path, "-wal")),
            index: identity(&repair::with(path, "-shm")),
            astray: false,
            length: AtomicU64::new(0),
        };
        files.set_length(path);
        files
    }

    /// After a checkpoint, which makes the file longer, or shorter behind a vacuum.
    pub(in crate::store) fn set_length(&self, path: &Path) {
        self.length.store(length(path), Relaxed);
    }

    /// Whether the file is shorter than this process has left it.
    pub(super) fn is_shorter(&self, path: &Path) -> bool {
        length(path) < self.length.load(Relaxed)
    }
}

/// Bytes of the database now.
pub(super) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}
