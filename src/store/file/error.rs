//! store: why a database cannot be used, in sentences that say what to do next.

use std::path::{Path, PathBuf};

use crate::collect::locks::Holder;

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else collects into this file.
    #[error("{path} is in use by {by}\n  {hint}, or give this one a file of its own: --db FILE")]
    InUse {
        /// The database.
        path: PathBuf,
        /// The other process.
        by: String,
        /// What to do about it.
        hint: String,
    },
    /// The file is something else.
    #[error(
        "{path} is not an SQLite database; it was left as it is\n  give another file: --db FILE"
    )]
    NotSqlite {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error(
        "{path} is an SQLite database, but not one of plimsoll's; it was left as it is\n  \
         give another file: --db FILE"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A later plimsoll wrote it.
    #[error(
        "{path} has schema version {found}; this plimsoll knows versions up to {known}; it was left as it is\n  \
         run the newer plimsoll that wrote it, or give another file: --db FILE"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its `PRAGMA user_version`.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// The file cannot be read as a database any more.
    #[error(
        "{path} is damaged: {found}\n  \
         'plimsoll doctor --repair', or a start of 'plimsoll run', moves what can be read into a new file"
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite found.
        found: rusqlite::Error,
    },
    /// There is no such file, for those who only read.
    #[error(
        "there is no database at {path}\n  start collecting with 'plimsoll run', or say where it is: --db FILE"
    )]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file or its folder cannot be written.
    #[error("cannot write {path}: {reason}\n  {hint}")]
    Unwritable {
        /// File or folder.
        path: PathBuf,
        /// What the kernel or SQLite said.
        reason: String,
        /// What to do next.
        hint: &'static str,
    },
    /// There is no room to open it.
    #[error(
        "cannot write {path}: the disk is full\n  make room there, or give another place: --db FILE"
    )]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Another program writes and does not let go.
    #[error(
        "{path} is locked: another program is writing to it and does not let go\n  \
         end that program (fuser {path} names it), then start again"
    )]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// Anything else SQLite says.
    #[error("{path}: {found}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        found: rusqlite::Error,
    },
}

impl OpenError {
    /// Somebody holds the lock of this database; nothing: nobody can see who.
    pub(super) fn in_use(database: &Path, holder: Option<Holder>) -> Self {
        let (by, hint) = match holder {
            Some(Holder { pid, name }) if name.starts_with("plimsoll") => (
                format!("plimsoll process {pid}"),
                format!("stop it first (kill {pid}, or systemctl stop plimsoll)"),
            ),
            Some(Holder { pid, name }) => (
                format!("process {pid} ({name})"),
                "find out why it has this database open and stop it".to_owned(),
            ),
            None => (
                "a process that cannot be seen from here, perhaps in another container".to_owned(),
                "stop that first".to_owned(),
            ),
        };
        Self::InUse { path: database.to_owned(), by, hint }
    }

    /// Nobody holds the lock of this database, but somebody answers for it.
    pub(super) fn answered(database: &Path) -> Self {
        Self::InUse {
            path: database.to_owned(),
            by: "a plimsoll whose lock was deleted".to_owned(),
            hint: "stop that first ('plimsoll status' says which process it is)".to_owned(),
        }
    }

    /// Why a file is set aside, in one line, without what to do about it: that is being done.
    pub(in crate::store) fn why_aside(&self) -> String {
        match self {
            Self::Damaged { path, found } => format!("{} is damaged: {found}", path.display()),
            Self::NotSqlite { path } => {
                format!("{} is damaged: it does not begin as a database does", path.display())
            }
            other => other.to_string(),
        }
    }

    /// Sorts SQLite's answer into what a person can act on.
    pub(in crate::store) fn from_sqlite(path: &std::path::Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as E;
        let path = path.to_owned();
        let extended = source.sqlite_error().map(|e| e.extended_code);
        // What SQLite says when it cannot make the index of the log; mostly for want of room.
        if extended == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) && no_room_at(&path) {
            return Self::Full { path };
        }
        match source.sqlite_error_code() {
            Some(E::DiskFull) => Self::Full { path },
            Some(E::NotADatabase) => Self::NotSqlite { path },
            Some(E::DatabaseCorrupt) => Self::Damaged { path, found: source },
            Some(E::DatabaseBusy | E::DatabaseLocked) => Self::Locked { path },
            Some(E::CannotOpen | E::ReadOnly | E::PermissionDenied) => Self::Unwritable {
                path,
                reason: source.to_string(),
                hint: "choose a place that this user may write: --db FILE",
            },
            _ => Self::Sqlite { path, found: source },
        }
    }
}

/// Whether the disk has less room than the index of a write-ahead log takes.
fn no_room_at(path: &std::path::Path) -> bool {
    const INDEX: u64 = 32 << 10;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    rustix::fs::statvfs(folder.unwrap_or(std::path::Path::new(".")))
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < INDEX)
}
