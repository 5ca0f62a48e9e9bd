//! collect: opens a path that must be a plain file. A path can lead to anything: a named pipe
//! without a writer stops the reader for ever, `/dev/zero` has no end, and opening some devices
//! starts something. All rooms that read a whole file open it here.

use std::fs::{File, FileType};
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a plain file for reading, without waiting. Any other file is an error that names its kind;
/// links are followed.
pub fn open(path: &Path) -> Result<File> {
    // Looked at before it is opened: opening alone makes some devices act (a tape, a watchdog).
    check(std::fs::metadata(path)?.file_type())?;
    // Checked again, because the path may lead elsewhere by now.
    let file = File::options().read(true).custom_flags(calm()).open(path)?;
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// The contents of a plain file, if it is at most `most` bytes long.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(most));
    }
    Ok(bytes)
}

/// The contents of a plain file, if it is UTF-8 text of at most `most` bytes.
pub fn read_text(path: &Path, most: u64) -> Result<String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|_| Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Makes a new, empty file for writing, readable by this user only unless `mode` says otherwise. An
/// existing file is removed first, and a link there is not followed.
pub fn create(path: &Path, mode: u32) -> Result<File> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    File::options().write(true).create_new(true).mode(mode).open(path)
}

/// The error for a file of more than `most` bytes.
pub fn too_large(most: u64) -> Error {
    let shown = crate::model::format_size(most);
    Error::new(ErrorKind::FileTooLarge, format!("it is larger than {shown}"))
}

/// Flags with which opening neither waits for anybody nor takes a terminal.
fn calm() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32
}

/// An error unless this is a plain file.
pub fn check(kind: FileType) -> Result<()> {
    let what = match kind {
        k if k.is_file() => return Ok(()),
        k if k.is_dir() => {
            return Err(Error::new(ErrorKind::IsADirectory, "it is a folder, not a file"));
        }
        k if k.is_fifo() => "a named pipe",
        k if k.is_socket() => "a socket",
        k if k.is_symlink() => "a symbolic link",
        _ => "a device",
    };
    Err(Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, to) in
            [("zero", "/dev/zero"), ("tty", "/dev/tty"), ("up", ".."), ("loop", "loop")]
        {
            std::os::unix::fs::symlink(to, at(name)).unwrap();
        }
        for (name, said) in [
            ("pipe", "a named pipe, not a file"),
            ("socket", "a socket, not a file"),
            ("zero", "a device, not a file"),
            ("tty", "a device, not a file"),
            ("up", "a folder, not a file"),
            ("loop", "Too many levels"),
            ("none", "No such file"),
        ] {
            let error = read(&at(name), 10).unwrap_err().to_string();
            assert!(error.contains(said), "{name}: {error}");
        }
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "0123456789");
        let error = read(&path, 9).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
        // The length of a file of /proc is reported as 0.
        assert!(read(Path::new("/proc/self/status"), 1 << 20).unwrap().len() > 100);
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path, 9).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn a_new_file_is_not_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link) = (dir.path().join("victim"), dir.path().join("link"));
        std::fs::write(&victim, "kept").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        drop(create(&link, 0o600).unwrap());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "kept");
        assert!(link.symlink_metadata().unwrap().is_file());
    }
}
