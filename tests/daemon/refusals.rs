//! What plimsoll will not do, and the sentence it says instead. What it refuses stays as it was,
//! byte for byte.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::*;

/// Every file of a folder with its bytes, but for the log of the daemon and its lock.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_type().expect("a type").is_file())
        .map(|entry| (entry.file_name().into_string().expect("text"), entry.path()))
        .filter(|(name, _)| name != "log" && !name.ends_with(".lock"))
        .map(|(name, path)| (name, std::fs::read(path).expect("readable")))
        .collect()
}

/// Copies a database and its log as they are on disk, with a program of its own: closing a
/// descriptor of the file here would drop the locks of this process' connections.
fn copy_with_log(from: &Path, to: &Folder) {
    let wal = format!("{}-wal", from.display());
    run(Command::new("cp").arg(from).arg(&wal).arg(to.path())).well();
}

/// It must not start, must say why, and must not touch anything.
fn refuses(folder: &Folder, told: &[&str]) {
    folder.configure(FAST);
    let before = contents(folder.path());
    let said = folder.ask(&["run"]);
    assert!(said.took < Duration::from_secs(2), "{said:?}");
    let err = said.refused();
    for part in told {
        assert!(err.contains(part), "{part:?} in: {err}");
    }
    assert!(err.contains("--db FILE"), "what to do next: {err}");
    let after = contents(folder.path());
    // Whoever reads a database that has a write-ahead log makes an index of it.
    let new = after.keys().find(|name| !before.contains_key(*name) && !name.ends_with("-shm"));
    assert_eq!(new, None);
    assert!(!folder.join("metrics.sqlite.lock").exists(), "nothing is left behind");
    for (name, bytes) in &before {
        assert!(after.get(name) == Some(bytes), "{name} was changed");
    }
}

#[test]
fn a_file_system_that_is_mounted_read_only() {
    need_root("mounting one");
    let folder = Folder::new();
    let mut command = tool("unshare", "util-linux");
    command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS).args(["--mount", "--propagation", "private"]);
    let script = "mount -t tmpfs -o ro nothing \"$1\" && exec \"$0\" run --db \"$1/m.sqlite\"";
    command.args(["sh", "-c", script, PLIMSOLL]).arg(folder.path());
    let err = run(&mut command).refused();
    assert!(err.contains("m.sqlite.lock") && err.contains("Read-only"), "{err}");
    assert!(err.contains("mount it with 'rw'") && err.contains("--db FILE"), "{err}");
}

#[test]
fn two_daemons_on_one_file() {
    let folder = Folder::new();
    let mut first = folder.start(FAST);
    let said = folder.ask(&["run"]);
    assert!(said.took < Duration::from_secs(1), "{said:?}");
    let err = said.refused();
    assert!(err.contains(&format!("in use by plimsoll process {}", first.pid())), "{err}");
    assert!(err.contains(&format!("kill {}", first.pid())), "what to do next: {err}");
    // By another name too.
    std::os::unix::fs::symlink(folder.db(), folder.join("alias.sqlite")).expect("a link");
    let mut by_link = Command::new(PLIMSOLL);
    by_link.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
    by_link.arg("run").arg("--db").arg(folder.join("alias.sqlite"));
    by_link.arg("--config").arg(folder.join("plimsoll.toml"));
    let err = run(&mut by_link).refused();
    assert!(err.contains(&format!("in use by plimsoll process {}", first.pid())), "{err}");
    // The refused ones did no harm: the control socket is still the first one's.
    folder.ask(&["interval"]).well();
    first.rows_after(now_ms());
    assert!(first.runs());
    first.stop();
}

#[test]
fn a_file_of_a_later_plimsoll() {
    let folder = Folder::new();
    sqlite3(&folder.filled(), "PRAGMA user_version = 99");
    refuses(&folder, &["schema version 99", "newer plimsoll"]);
    let err = folder.ask(&["status"]).refused();
    assert!(err.contains("schema version 99"), "{err}");
}

#[test]
fn a_file_of_a_later_plimsoll_that_was_killed() {
    let folder = Folder::new();
    let db = folder.filled();
    let newer = rusqlite::Connection::open(&db).expect("opens");
    newer.execute_batch("PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 99").expect("sets");
    let copy = Folder::new();
    copy_with_log(&db, &copy);
    drop(newer);
    assert!(std::fs::metadata(copy.join("metrics.sqlite-wal")).expect("copied").len() > 0);
    refuses(&copy, &["schema version 99", "newer plimsoll"]);
}

#[test]
fn a_file_that_is_no_database() {
    let text = "I am a shopping list.\n".repeat(1000);
    for bytes in [text.as_bytes(), b"x", b"SQLite format 3", &[0; 4096], &[0xFF; 100]] {
        let folder = Folder::new();
        std::fs::write(folder.db(), bytes).expect("writable");
        refuses(&folder, &["is not an SQLite database", "left as it is"]);
    }
}

#[test]
fn a_database_of_another_program() {
    let folder = Folder::new();
    sqlite3(&folder.db(), "CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')");
    refuses(&folder, &["not one of plimsoll's", "left as it is"]);
    let err = folder.ask(&["status"]).refused();
    assert!(err.contains("not one of plimsoll's"), "{err}");
}

#[test]
fn a_database_of_another_program_that_was_killed() {
    let folder = Folder::new();
    let other = rusqlite::Connection::open(folder.db()).expect("opens");
    other
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
             CREATE TABLE bookmarks (url TEXT); INSERT INTO bookmarks VALUES ('x')",
        )
        .expect("writes");
    let copy = Folder::new();
    copy_with_log(&folder.db(), &copy);
    refuses(&copy, &["not one of plimsoll's", "left as it is"]);
}

#[test]
fn a_folder_in_the_file_s_place() {
    let folder = Folder::new();
    std::fs::create_dir(folder.db()).expect("made");
    refuses(&folder, &["is a folder"]);
}

#[test]
fn a_folder_that_does_not_exist() {
    let folder = Folder::new();
    folder.configure(FAST);
    let mut command = Command::new(PLIMSOLL);
    command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
    command.args(["run", "--db"]).arg(folder.join("no/such/m.sqlite"));
    let err = run(command.arg("--config").arg(folder.join("plimsoll.toml"))).refused();
    assert!(err.contains("the folder does not exist") && err.contains("mkdir -p"), "{err}");
    assert!(!folder.join("no").exists());
}

/// As a user who may do nothing, with the binary where that user can reach it.
fn as_nobody(folder: &Folder) -> Command {
    need_root("becoming another user");
    let binary = folder.join("plimsoll");
    std::fs::copy(PLIMSOLL, &binary).expect("copied");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
    let mut command = tool("setpriv", "util-linux");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
    command.arg("--db").arg(folder.db()).arg("--config").arg(folder.join("plimsoll.toml"));
    command
}

#[test]
fn a_folder_that_may_not_be_written() {
    let folder = Folder::new();
    folder.configure(FAST);
    let err = run(as_nobody(&folder).arg("run")).refused();
    assert!(err.contains("cannot write") && err.contains("Permission denied"), "{err}");
    assert!(err.contains("--db FILE"), "what to do next: {err}");
    assert!(!folder.db().exists());
}

#[test]
fn a_database_that_may_not_be_written() {
    let folder = Folder::new();
    folder.filled();
    let before = contents(folder.path());
    std::fs::set_permissions(folder.db(), std::fs::Permissions::from_mode(0o444)).expect("set");
    let mut command = as_nobody(&folder);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("set");
    let err = run(command.arg("run")).refused();
    assert!(err.contains("cannot write") && err.contains("--db FILE"), "{err}");
    assert!(std::fs::read(folder.db()).expect("readable") == before["metrics.sqlite"]);
}

#[test]
fn another_user_s_daemon_is_not_for_everybody_to_steer() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let err = run(as_nobody(&folder).args(["interval", "1s"])).refused();
    assert!(err.contains("runs as another user"), "{err}");
    daemon.stop();
}

#[test]
fn mistakes_in_the_configuration() {
    let folder = Folder::new();
    let mistakes = [
        ("[collect]\nintervall = \"1s\"\n", ":2:1", "intervall"),
        ("interval = \"fast\"\n", ":1:12", "fast"),
        ("interval = \"10ms\"\n", ":1:12", "100ms"),
        ("[http]\nlisten = \"0.0.0.0:1876\"\n", ":2:10", "other machines"),
        ("[[burst]]\nwhen = \"cpu\"\ninterval = \"1s\"\n", ":2:8", "cpu"),
        ("[http\n", ":1:", "http"),
    ];
    for (text, place, told) in mistakes {
        let file = folder.configure(text);
        let err = folder.ask(&["run"]).refused();
        let at = format!("{}{place}", file.display());
        assert!(err.contains(&at) && err.contains(told), "{text:?}: {at} in {err}");
        assert!(!folder.db().exists(), "nothing was begun: {text:?}");
    }
    let mut command = Command::new(PLIMSOLL);
    command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
    command.args(["run", "--config"]).arg(folder.join("other.toml")).current_dir(folder.path());
    let err = run(&mut command).refused();
    assert!(err.contains("there is no configuration file"), "{err}");
}

#[test]
fn words_it_does_not_know() {
    for (words, told) in [
        (["sttaus"].as_slice(), "status"),
        (&["run", "--confg", "x"], "--config"),
        (&["interval", "1s", "cpu", "memory"], "memory"),
        (&["interval", "--for", "1s"], "<INTERVAL|INTERVAL>"),
        (&["run", "--db"], "--db <FILE>"),
    ] {
        let said = run(Command::new(PLIMSOLL).args(words));
        assert_eq!(said.status.code(), Some(2), "{words:?}: {said:?}");
        let told = told.split('|').any(|t| said.err.contains(t.trim_matches(['<', '>'])));
        assert!(told, "{words:?}: {said:?}");
    }
}

#[test]
fn verbs_without_a_daemon_or_a_file_say_what_to_run() {
    let folder = Folder::new();
    folder.configure(FAST);
    for words in [["status"].as_slice(), &["sql", "select 1"], &["reload"], &["interval"]] {
        let err = folder.ask(words).refused();
        assert!(err.contains("plimsoll run"), "{words:?}: {err}");
        assert!(!folder.db().exists(), "{words:?} made a file");
    }
}
