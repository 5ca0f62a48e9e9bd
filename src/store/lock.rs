//! store: one process writes a database. The lock is a file beside it, so that SQLite's own locks
//! on the database are never touched (closing any descriptor of a file drops them).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::OpenError;

/// Held while this process owns the database; the kernel releases it however the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// `metrics.sqlite.lock` for `metrics.sqlite`.
pub fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub fn take(database: &Path) -> Result<Self, OpenError> {
        let path = lock_path(database);
        let unwritable = |e: std::io::Error| OpenError::Unwritable {
            path: path.clone(),
            reason: e.to_string(),
            hint: match e.kind() {
                std::io::ErrorKind::ReadOnlyFilesystem => {
                    "its file system is mounted so: mount it with 'rw', or choose another place: --db FILE"
                }
                _ => "choose a place that this user may write: --db FILE",
            },
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unwritable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let pid = read_pid(&mut file).unwrap_or_else(|| "(unknown)".to_owned());
                return Err(OpenError::InUse { path: database.to_owned(), pid });
            }
            Err(e) => return Err(unwritable(e.into())),
        }
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        match write(&mut file) {
            // A full disk must not keep the monitor from starting.
            Err(e) if e.kind() != std::io::ErrorKind::StorageFull => Err(unwritable(e)),
            _ => Ok(Self { _file: file }),
        }
    }

    /// The process that owns the database now, if any does.
    pub fn owner(database: &Path) -> Option<String> {
        let mut file = File::open(lock_path(database)).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => read_pid(&mut file),
        }
    }
}

fn read_pid(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(64).read_to_string(&mut text).ok()?;
    let pid = text.trim();
    (!pid.is_empty()).then(|| pid.to_owned())
}
