//! store: one process writes a database. The lock is a file beside it, so that SQLite's own locks
//! on the database are never touched (closing any descriptor of a file drops them).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{Error, ErrorKind, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock};

use super::error::OpenError;
use super::owner;
use crate::collect::locks::{Holder, holder};
use crate::collect::regular;

/// Only its owner may open the file: a user who can open it can hold the lock and keep the daemon from
/// starting.
const MODE: u32 = 0o600;

/// `sun_path` of unix(7), with its closing zero.
const MAX_PATH: usize = 107;

/// Held while this process owns the database; the kernel releases it however the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// `metrics.sqlite.lock` for `metrics.sqlite`.
pub fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// `metrics.sqlite.sock` for `metrics.sqlite`: where the process that owns the database can be asked.
pub fn socket_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".sock");
    name.into()
}

/// A path that fits into a socket address, by way of a descriptor of its folder if it is long.
pub fn with_short_path<T>(
    path: &Path,
    go: impl FnOnce(&Path) -> std::io::Result<T>,
) -> std::io::Result<T> {
    if path.as_os_str().as_bytes().len() <= MAX_PATH {
        return go(path);
    }
    let folder = File::open(path.parent().unwrap_or(Path::new(".")))?;
    let name = path.file_name().unwrap_or_default();
    go(&PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

impl Lock {
    /// Takes the lock, or says who has it. A lock whose file was deleted can be taken twice: where
    /// somebody still answers for the database, it is in use as well.
    pub fn take(database: &Path) -> Result<Self, OpenError> {
        let lock = Self::take_file(database)?;
        if with_short_path(&socket_path(database), |path| UnixStream::connect(path)).is_ok() {
            return Err(OpenError::answered(database));
        }
        Ok(lock)
    }

    /// Takes it again where somebody has deleted its file, or put another one in its place.
    pub(in crate::store) fn keep(&mut self, database: &Path) -> Result<(), OpenError> {
        let path = lock_path(database);
        let same = |there: &Metadata, held: &Metadata| {
            (there.dev(), there.ino()) == (held.dev(), held.ino())
        };
        if let (Ok(there), Ok(held)) = (path.symlink_metadata(), self.file.metadata())
            && same(&there, &held)
        {
            return Ok(());
        }
        *self = Self::take_file(database)?;
        tracing::warn!("{} was deleted or replaced; it was taken again", path.display());
        Ok(())
    }

    fn take_file(database: &Path) -> Result<Self, OpenError> {
        let path = lock_path(database);
        let unwritable = |e: Error| OpenError::Unwritable {
            path: path.clone(),
            reason: e.to_string(),
            hint: match e.kind() {
                ErrorKind::ReadOnlyFilesystem => {
                    "its file system is mounted so: mount it with 'rw', or choose another place: --db FILE"
                }
                ErrorKind::PermissionDenied => {
                    "choose a place that this user may write: --db FILE; where the lock belongs to \
                     another user than the database, 'sudo plimsoll doctor --repair' gives it back"
                }
                ErrorKind::InvalidInput => "remove it, then start again",
                _ => "choose a place that this user may write: --db FILE",
            },
        };
        let mut file = open(&path).map_err(unwritable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::in_use(database, who(&path)));
            }
            Err(e) => return Err(unwritable(e.into())),
        }
        // An older plimsoll let others read it, and root may have made it. Where this may not be
        // changed it can still be held.
        let _others = fchmod(&file, Mode::from_raw_mode(MODE));
        let _others = owner::of(database).and_then(|wanted| owner::give(&path, wanted));
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        match write(&mut file) {
            // A full disk must not keep the monitor from starting.
            Err(e) if e.kind() != ErrorKind::StorageFull => Err(unwritable(e)),
            _ => Ok(Self { file }),
        }
    }

    /// The process that owns the database now, if any does.
    pub fn owner(database: &Path) -> Option<String> {
        let path = lock_path(database);
        if let Some(holder) = path.metadata().ok().and_then(|meta| holder(&meta)) {
            return Some(holder.pid.to_string());
        }
        // A lock from within another container is not listed.
        let file = regular::open(&path).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => None,
            Err(_) => Some("(unknown)".to_owned()),
        }
    }

    /// What keeps the daemon from taking the lock though nobody holds it: it belongs to somebody else
    /// than the database, or is no plain file.
    pub fn obstacle(database: &Path) -> Option<String> {
        let path = lock_path(database);
        let meta = path.symlink_metadata().ok()?;
        if let Err(e) = check(&meta) {
            return Some(format!("{}: {e}", path.display()));
        }
        let (uid, _) = owner::of(database).ok()?;
        (meta.uid() != uid).then(|| {
            let shown = path.display();
            format!(
                "{shown} belongs to another user than the database, who then cannot write to it"
            )
        })
    }
}

/// Opens it or makes it. Through no link: root takes this lock too, in a folder of somebody else.
fn open(path: &Path) -> std::io::Result<File> {
    match path.symlink_metadata() {
        Ok(meta) => check(&meta)?,
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    // What lies there may be something else by now.
    check(&file.metadata()?)?;
    Ok(file)
}

fn check(meta: &Metadata) -> std::io::Result<()> {
    regular::check(meta.file_type())?;
    if meta.nlink() > 1 {
        let what = "it is another file, too (a hard link)";
        return Err(Error::new(ErrorKind::InvalidInput, what));
    }
    Ok(())
}

/// Who holds the lock, if that can be seen from here.
fn who(path: &Path) -> Option<Holder> {
    if let Some(holder) = path.metadata().ok().and_then(|meta| holder(&meta)) {
        return Some(holder);
    }
    // What was written down may be long out of date: it counts if it is one of ours.
    let mut text = String::new();
    regular::open(path).ok()?.take(64).read_to_string(&mut text).ok()?;
    Holder::of(text.trim().parse().ok()?).filter(|h| h.name.starts_with("plimsoll"))
}
