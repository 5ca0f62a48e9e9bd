//! config: finding and reading the file.

use std::fs;
use std::path::Path;

use crate::config::{Config, ConfigError, unreadable};

fn error(path: &Path) -> String {
    Config::load(path).unwrap_err().to_string()
}

#[test]
fn a_file_is_read_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    fs::write(&path, "interval = \"5m\"").unwrap();
    let config = Config::find(Some(&path)).unwrap();
    assert_eq!(config.interval.to_string(), "5m");
    assert_eq!(config.source, Some(path));
}

#[test]
fn without_a_name_the_default_place_counts_if_there_is_something() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("plimsoll.toml");
    assert_eq!(Config::find_from(None, &place).unwrap().source, None);
    assert_eq!(Config::find_from(None, &place.join("below a file")).unwrap().source, None);

    std::os::unix::fs::symlink("/nowhere/at/all", &place).unwrap();
    let said = Config::find_from(None, &place).unwrap_err().to_string();
    assert!(said.starts_with("there is no configuration file"), "{said}");

    fs::remove_file(&place).unwrap();
    fs::write(&place, "system = \"web1\"").unwrap();
    assert_eq!(Config::find_from(None, &place).unwrap().system.as_deref(), Some("web1"));
}

#[test]
fn a_file_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let said = error(&path);
    assert!(said.starts_with(&format!("there is no configuration file {}\n", path.display())));
    assert!(said.contains("plimsoll check-config --sample > "), "{said}");
}

#[test]
fn a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let said = error(dir.path());
    assert!(
        said.contains("is a directory, not a configuration file\nname the file in it"),
        "{said}"
    );
    assert!(said.contains("/plimsoll.toml"), "{said}");
}

/// Root reads every file, so the kernel's answer is put in.
#[test]
fn a_file_that_may_not_be_read() {
    let denied = std::io::ErrorKind::PermissionDenied.into();
    assert_eq!(
        unreadable(Path::new("/etc/plimsoll/plimsoll.toml"), &denied).to_string(),
        "/etc/plimsoll/plimsoll.toml may not be read by this user\n\
         run this as a user who may, for example with sudo; the service reads it as the user plimsoll"
    );
}

#[test]
fn a_file_that_is_not_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    fs::write(&path, b"interval = \"10s\"\nsystem = \"caf\xe9\"\n").unwrap();
    let said = error(&path);
    let place = format!("this is not UTF-8 text\n --> {}:2:14\n", path.display());
    assert!(said.starts_with(&place), "{said}");
    assert!(said.contains("save the file as UTF-8"), "{said}");

    // Cut in the middle of a letter.
    fs::write(&path, b"# caf\xc3").unwrap();
    assert!(error(&path).contains(":1:6\n"), "{}", error(&path));
}

#[test]
fn a_file_without_end() {
    assert!(error(Path::new("/dev/zero")).contains("it is a device, not a file"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.toml");
    fs::write(&path, "#".repeat(1 << 20) + "#").unwrap();
    assert!(error(&path).contains("is larger than 1024 KiB"));
}

#[test]
fn mistakes_can_be_read_by_machines() {
    let text = "# é\n  système = 1\ninterval = \"é10 sec\"\n";
    let Err(ConfigError::Content(content)) = Config::parse(text, "f.toml") else { panic!() };
    let at: Vec<_> = content.mistakes.iter().map(|m| content.position(m)).collect();
    assert_eq!(at, [(2, 7)]);

    let text = "interval = \"é10 sec\"\n\n[http]\nlisten = \"x\"\n";
    let Err(ConfigError::Content(content)) = Config::parse(text, "f.toml") else { panic!() };
    let at: Vec<_> = content.mistakes.iter().map(|m| (&*m.key, content.position(m))).collect();
    assert_eq!(at, [("interval", (1, 12)), ("http.listen", (4, 10))]);
}
