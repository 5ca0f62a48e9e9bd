//! store: whose the files beside a database are. root repairs, compacts and imports for a daemon that
//! is not root: what root makes then belongs to the database's owner, or the daemon could not use it.

use std::fs::Metadata;
use std::io::Result;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};

/// User and group of the database; of its folder where there is no database yet.
pub(in crate::store) fn of(database: &Path) -> Result<(u32, u32)> {
    match std::fs::metadata(database) {
        Ok(meta) => Ok((meta.uid(), meta.gid())),
        Err(_) => of_folder(database),
    }
}

/// User and group of its folder.
pub(in crate::store) fn of_folder(database: &Path) -> Result<(u32, u32)> {
    let folder = database.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let meta = std::fs::metadata(folder)?;
    Ok((meta.uid(), meta.gid()))
}

/// Gives what lies at `path` to that owner. Only root can and has to, and only what is root's is
/// given away: a plain file or a folder under one name, which nobody slipped in from elsewhere.
pub(in crate::store) fn give(path: &Path, (uid, gid): (u32, u32)) -> Result<()> {
    let ours = |m: &Metadata| m.uid() == 0 && (m.is_dir() || m.is_file() && m.nlink() == 1);
    if !rustix::process::geteuid().is_root() || uid == 0 {
        return Ok(());
    }
    if path.symlink_metadata().is_ok_and(|meta| ours(&meta)) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}
