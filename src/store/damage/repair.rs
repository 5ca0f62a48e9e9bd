//! store: a damaged database: telling it from a stranger's file, and setting it aside. What then
//! becomes of its rows is told in `salvage`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::carve::Carver;
use super::pages::header_of;
use crate::collect::regular;
use crate::store::file::owner;
use crate::store::file::schema::{APPLICATION_ID, SCHEMA_VERSION};
use crate::store::{OpenError, SqlError};
use crate::wire::time::format_timestamp;

/// Whether SQLite says that the file is not what it wrote.
pub(in crate::store) fn is_damage(e: &SqlError) -> bool {
    use rusqlite::ErrorCode as E;
    matches!(e.sqlite_error_code(), Some(E::DatabaseCorrupt | E::NotADatabase))
}

/// Whether [`Store::open`](crate::store::Store::open) would set the file aside and move what can be
/// read into a new one:
/// it is damaged, and it was one of ours.
pub fn is_repairable(e: &OpenError) -> bool {
    match e {
        OpenError::Damaged { path, .. } | OpenError::NotSqlite { path } => is_ours_damaged(path, e),
        _ => false,
    }
}

/// Whether a file that cannot be opened is a database of ours that was damaged. In doubt it is not:
/// then it is left alone.
pub(in crate::store) fn is_ours_damaged(path: &Path, e: &OpenError) -> bool {
    let suspect = match e {
        OpenError::Damaged { .. } | OpenError::NotSqlite { .. } => true,
        // A schema whose text was hit: `no such table`, `unsupported file format`.
        OpenError::Sqlite { found, .. } => {
            found.sqlite_error().is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_ERROR)
        }
        _ => false,
    };
    suspect && was_ours(path)
}

/// By its header, or, where that was hit, by a schema that only our files have.
fn was_ours(path: &Path) -> bool {
    match header_of(path) {
        Some((APPLICATION_ID, version)) => version <= SCHEMA_VERSION,
        _ => Carver::is_ours(path).unwrap_or(false),
    }
}

/// `metrics.sqlite.corrupt-20260131T235959Z`, for seconds since 1970.
pub(in crate::store) fn aside_path(path: &Path, stamp: i64) -> PathBuf {
    let text = format_timestamp(stamp.saturating_mul(1000));
    let digits: String = text.chars().filter(char::is_ascii_digit).take(14).collect();
    let (day, time) = digits.split_at(digits.len().min(8));
    with(path, &format!(".corrupt-{day}T{time}Z"))
}

pub(in crate::store) fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Says which file is being set aside, from before the first rename until the new database says
/// itself what it is to be filled from. Without it a kill in between would leave the old file
/// lying: one that was set aside long ago must not be moved into every new database.
fn note_path(path: &Path) -> PathBuf {
    with(path, ".aside")
}

/// Gives the database and what belongs to it another name; nobody in this process may have it open.
/// The stamp of that name comes back.
pub(in crate::store) fn set_aside(path: &Path, now_ms: i64) -> Result<i64, OpenError> {
    let mut stamp = now_ms.div_euclid(1000);
    while aside_path(path, stamp).exists() || with(&aside_path(path, stamp), "-wal").exists() {
        stamp += 1;
    }
    match fs::metadata(path).and_then(|meta| note(path, stamp, meta.ino())) {
        // On a full disk renaming still works. Then only a kill before there is room again leaves
        // the rows where they are.
        Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::StorageFull) => {
            return Err(cannot(path, &e));
        }
        _ => {}
    }
    rename_all(path, stamp)?;
    Ok(stamp)
}

fn note(path: &Path, stamp: i64, inode: u64) -> io::Result<()> {
    let mut file = regular::create(&note_path(path), 0o640)?;
    let _others = owner::of(path).and_then(|wanted| owner::give(&note_path(path), wanted));
    writeln!(file, "{stamp} {inode}")?;
    file.sync_all()
}

fn rename_all(path: &Path, stamp: i64) -> Result<(), OpenError> {
    let aside = aside_path(path, stamp);
    // The log first: without its database SQLite would throw it away.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with(path, suffix), with(&aside, suffix)) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(cannot(path, &e)),
            _ => {}
        }
    }
    Ok(())
}

fn cannot(path: &Path, e: &io::Error) -> OpenError {
    OpenError::Unwritable {
        path: path.to_owned(),
        reason: format!("it is damaged and cannot be set aside: {e}"),
        hint: "rename it, or give another file: --db FILE",
    }
}

/// What a process that was killed had begun to set aside, with the rest of that done; `None`:
/// nothing, or somebody has put another file in its place since.
pub(in crate::store) fn unfinished(path: &Path) -> Result<Option<i64>, OpenError> {
    let Ok(text) = regular::read_text(&note_path(path), 4_096) else { return Ok(None) };
    let mut words = text.split_whitespace();
    let (stamp, inode) = (words.next().map(str::parse), words.next().map(str::parse::<u64>));
    if let (Some(Ok(stamp)), Some(Ok(inode))) = (stamp, inode) {
        let is = |file: &Path| fs::metadata(file).is_ok_and(|meta| meta.ino() == inode);
        if is(path) {
            rename_all(path, stamp)?;
        }
        if is(&aside_path(path, stamp)) {
            return Ok(Some(stamp));
        }
    }
    finished(path)?;
    Ok(None)
}

/// The new database knows what it is filled from, or there is nothing to fill it from.
pub(in crate::store) fn finished(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(note_path(path)) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(OpenError::Unwritable {
            path: note_path(path),
            reason: format!("it cannot be removed: {e}"),
            hint: "remove it, then start again",
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_when() {
        let name = aside_path(Path::new("/a/metrics.sqlite"), 1_700_000_000);
        assert_eq!(name, Path::new("/a/metrics.sqlite.corrupt-20231114T221320Z"));
    }

    #[test]
    fn everything_that_belongs_to_it_goes_along() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.sqlite");
        for round in 0..2 {
            for suffix in ["", "-wal", "-shm"] {
                std::fs::write(with(&path, suffix), suffix).expect("writable");
            }
            // Twice in one second: neither overwrites the other.
            let stamp = set_aside(&path, 1_700_000_000_000).expect("set aside");
            assert_eq!(stamp, 1_700_000_000 + round);
            let aside = aside_path(&path, stamp);
            let wal = std::fs::read(with(&aside, "-wal")).expect("there");
            assert!(aside.exists() && wal == b"-wal" && !path.exists());
            assert_eq!(unfinished(&path).expect("readable"), Some(stamp));
        }
    }
}
