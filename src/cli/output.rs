//! cli: the files that verbs write: none of them may be a database, or one of the files beside it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;

/// The begin of each SQLite database.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Creates an output file. Refuses the database and every file beside it, by any name or link, and
/// any other SQLite database.
pub(super) fn create(path: &Path, database: &Path) -> anyhow::Result<File> {
    check(path, database)?;
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a whole file; see [`create`].
pub(super) fn write(path: &Path, database: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    create(path, database)?
        .write_all(bytes)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether a verb may write to this file; nothing is touched.
pub(super) fn check(path: &Path, database: &Path) -> anyhow::Result<()> {
    let refused = |what: &str| {
        anyhow::anyhow!("{}: {what}, and was not changed\n  give another name", path.display())
    };
    // A link is judged by its target, even if that does not exist yet.
    let target = follow(path);
    anyhow::ensure!(!is_beside(&target, database), refused("it belongs to the database"));
    let Ok(meta) = std::fs::metadata(path) else { return Ok(()) };
    anyhow::ensure!(!meta.is_dir(), refused("it is a folder"));
    let same = |other: &Path| {
        std::fs::metadata(other).is_ok_and(|m| (m.dev(), m.ino()) == (meta.dev(), meta.ino()))
    };
    for suffix in ["", "-wal", "-shm", "-journal", ".lock", ".tokens", ".sock", "-spill"] {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        anyhow::ensure!(!same(Path::new(&name)), refused("it belongs to the database"));
    }
    if meta.is_file() {
        let mut head = Vec::new();
        if let Ok(file) = File::open(path) {
            let _unused = file.take(MAGIC.len() as u64).read_to_end(&mut head);
        }
        anyhow::ensure!(head != MAGIC, refused("it is an SQLite database"));
    }
    Ok(())
}

/// The end of a chain of links, which may not exist.
fn follow(path: &Path) -> std::path::PathBuf {
    let mut at = path.to_owned();
    for _ in 0..40 {
        let Ok(to) = std::fs::read_link(&at) else { break };
        at = at.parent().unwrap_or(Path::new("")).join(to);
    }
    at
}

/// Whether a file has the name of the database, or lies beside it with a name that begins with it,
/// as `-wal`, `.lock`, `.tokens` and files that were set aside do.
fn is_beside(path: &Path, database: &Path) -> bool {
    let folder = |path: &Path| {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::canonicalize(folder).ok()
    };
    let (Some(name), Some(own)) = (path.file_name(), database.file_name()) else { return false };
    let (name, own) = (name.as_encoded_bytes(), own.as_encoded_bytes());
    let rest = name.strip_prefix(own);
    let ours = rest.is_some_and(|rest| {
        [&b""[..], b"-wal", b"-shm", b"-journal", b".lock", b".tokens", b".tokens.new", b".sock"]
            .contains(&rest)
            || rest.ends_with(b"-backup")
            || rest.starts_with(b".damaged")
            || rest.starts_with(b".aside")
            || rest.starts_with(b"-spill")
    });
    ours && folder(path).is_some() && folder(path) == folder(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_over_a_database_or_what_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let database = at("m.sqlite");
        std::fs::write(&database, [MAGIC, &[0; 84]].concat()).unwrap();
        std::fs::write(at("m.sqlite-wal"), "log").unwrap();
        std::fs::write(at("m.sqlite.tokens"), "token").unwrap();
        std::fs::write(at("other.db"), [MAGIC, &[0; 84]].concat()).unwrap();
        std::fs::hard_link(at("m.sqlite-wal"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("m.sqlite"), at("soft")).unwrap();
        std::os::unix::fs::symlink("m.sqlite-shm", at("to_nothing")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        for name in [
            "m.sqlite",
            "m.sqlite-wal",
            "m.sqlite-shm",
            "m.sqlite-journal",
            "m.sqlite.lock",
            "m.sqlite.tokens",
            "m.sqlite.sock",
            "folder/../m.sqlite",
            "hard",
            "soft",
            "to_nothing",
            "other.db",
            "folder",
        ] {
            assert!(create(&at(name), &database).is_err(), "{name}");
        }
        assert_eq!(std::fs::read(at("m.sqlite-wal")).unwrap(), b"log");
        assert!(!at("m.sqlite-shm").exists());
        for name in ["m.csv", "m.sqlite.csv", "folder/m.sqlite-wal"] {
            write(&at(name), &database, b"x").unwrap();
            write(&at(name), &database, b"again").unwrap();
            assert_eq!(std::fs::read(at(name)).unwrap(), b"again", "{name}");
        }
        assert!(create(Path::new("/dev/null"), &database).is_ok());
    }
}
