//! Damaged files: no crash, no hang; what was ours is set aside and kept, a new file begun at once
//! and filled with what can still be read; what may be a stranger's is refused as it was.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::*;

/// A database of a few hundred pages.
fn original() -> Vec<u8> {
    let folder = Folder::new();
    let db = folder.filled();
    sqlite3(
        &db,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO metrics (key, value, timestamp)
         SELECT 'bulk_' || (i % 100), i / 3.0, 1500000000 + i FROM n",
    );
    let daemon = folder.start(FAST);
    eventually("the inbox is empty", PATIENCE, || {
        match sqlite3(&db, "select count(*) from inbox").as_str() {
            "0" => Ok(()),
            n => Err(n.to_owned()),
        }
    });
    daemon.stop();
    std::fs::read(db).expect("readable")
}

/// What became of a start.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It runs, and ended well when told to.
    Runs,
    /// It ran, said what is wrong, and could not write its last samples.
    RunsWithTrouble,
    /// It refused, in a sentence.
    Refused,
}

/// Starts on the bytes; holds the daemon to its promises whatever they are.
fn start_on(bytes: &[u8], what: &str) -> Outcome {
    let folder = Folder::new();
    folder.configure(FAST);
    std::fs::write(folder.db(), bytes).expect("writable");
    let mut daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
    let up =
        eventually(&format!("{what}: a start or a refusal"), Duration::from_secs(10), || {
            match (daemon.runs(), daemon.logged(" listening ")) {
                (false, _) => Ok(false),
                (true, 1) => Ok(true),
                _ => Err(daemon.log()),
            }
        });
    if !up {
        let (status, log) = (daemon.wait(), daemon.log());
        assert_eq!(status.code(), Some(1), "{what}: {log}");
        assert!(!log.contains("panicked"), "{what}: {log}");
        let name = folder.db().display().to_string();
        assert!(log.starts_with("error: ") && log.contains(&name), "{what}: {log}");
        let now = std::fs::read(folder.db()).expect("it is still there");
        assert!(now == bytes, "{what}: a failed start changed the file");
        look_at(&folder, what);
        return Outcome::Refused;
    }
    // It collects and answers, whatever the file is like.
    let from = now_ms();
    eventually(&format!("{what}: a commit, or a word about it"), PATIENCE, || {
        let status = daemon.json("/api/status");
        let commits = status["database"]["commits"].as_u64().expect("a number");
        let said = !status["problems"].as_array().expect("a list").is_empty();
        if said || commits > 0 { Ok(()) } else { Err(status.to_string()) }
    });
    assert!(now_ms() - from < 20_000);
    look_at(&folder, what);
    // What was damaged is kept, and was kept as it was unless it was taken for whole at first.
    if daemon.logged("was set aside") > 0 && !log_before_aside(&daemon.log()) {
        let aside = aside(&folder).unwrap_or_else(|| panic!("{what}: it was set aside"));
        assert!(std::fs::read(aside).expect("readable") == bytes, "{what}: it was changed");
    }
    let troubled = daemon.logged(" warn database: ") > 0;
    let (status, took) = daemon.end(Signal::TERM);
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{what}: {log}");
    assert!(took < Duration::from_secs(3), "{what}: {took:?}");
    assert!(folder.db().exists(), "{what}: it is still there");
    if status.success() {
        Outcome::Runs
    } else {
        assert!(troubled && log.contains("could not be written"), "{what}: {status:?} {log}");
        Outcome::RunsWithTrouble
    }
}

/// The damaged file under its new name.
fn aside(folder: &Folder) -> Option<std::path::PathBuf> {
    let name = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").path();
    (std::fs::read_dir(folder.path()).expect("a folder").map(name))
        .find(|p| p.to_string_lossy().contains(".corrupt-") && p.to_string_lossy().ends_with('Z'))
}

/// Whether it collected into the damaged file before it noticed.
fn log_before_aside(log: &str) -> bool {
    let line = |text: &str| log.lines().position(|l| l.contains(text));
    line(" listening ").is_some_and(|l| line("was set aside").is_some_and(|aside| l < aside))
}

/// Those who only read do not fall over it either.
fn look_at(folder: &Folder, what: &str) {
    for words in [["status"].as_slice(), &["sql", "select count(*), sum(value) from metrics"]] {
        let said = folder.ask(words);
        assert!(!said.err.contains("panicked"), "{what}: {words:?}: {said:?}");
        assert!(matches!(said.status.code(), Some(0 | 1)), "{what}: {words:?}: {said:?}");
        assert!(said.status.success() || !said.err.is_empty(), "{what}: {words:?}: {said:?}");
    }
}

#[test]
fn a_file_of_no_bytes_is_a_new_database() {
    let folder = Folder::new();
    std::fs::write(folder.db(), b"").expect("writable");
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    daemon.stop();
    assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_truncated_file_is_refused_or_lived_with() {
    let bytes = original();
    assert!(bytes.len() > 400_000, "{}", bytes.len());
    let half = bytes.len() / 2;
    for length in [16, 50, 100, 1000, 4095, 4096, 4097, 8192, half, half + 1, bytes.len() - 1] {
        start_on(&bytes[..length], &format!("the first {length} bytes"));
    }
}

#[test]
fn flipped_bytes_never_bring_it_down() {
    let bytes = original();
    let mut dice = Dice::new(knob("PLIMSOLL_SEED", 2017));
    let copies = knob("PLIMSOLL_DAMAGED_COPIES", 50);
    let mut outcomes = [0; 3];
    for copy in 0..copies {
        let mut bytes = bytes.clone();
        let flips = 1 + dice.roll(64);
        // Every third where it hurts: in the header and the schema.
        let span = if copy % 3 == 0 { 8192 } else { bytes.len() as u64 };
        let mut what = format!("copy {copy}:");
        for _ in 0..flips {
            let at = dice.roll(span) as usize;
            bytes[at] ^= 1 + dice.roll(255) as u8;
            what.push_str(&format!(" {at}"));
        }
        outcomes[start_on(&bytes, &what) as usize] += 1;
    }
    let [well, trouble, refused] = outcomes;
    println!(
        "{copies} damaged copies: {well} ran, {trouble} ran and complained, {refused} refused"
    );
}

#[test]
fn a_damaged_file_is_set_aside_and_what_it_held_comes_back() {
    let mut bytes = original();
    // All of the schema, and with it every way SQLite has into the file.
    bytes[100..4096].fill(0xA5);
    let folder = Folder::new();
    std::fs::write(folder.db(), &bytes).expect("writable");
    let daemon = folder.start(FAST);
    daemon.says("was set aside as");
    daemon.rows_after(now_ms());
    daemon.says("salvaged from");
    daemon.healthy();
    let aside = aside(&folder).expect("it was set aside");
    assert!(std::fs::read(aside).expect("readable") == bytes, "it was changed");
    daemon.stop();
    let count = "select count(*) from metrics where key glob 'bulk_*'";
    assert_eq!(sqlite3(&folder.db(), count), "20000");
    assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
    let said = folder.ask(&["doctor"]).well();
    assert!(said.lines().all(|l| l.ends_with(" ok")), "{said}");
}

#[test]
fn a_file_damaged_under_it_is_set_aside_and_collection_goes_on() {
    use std::os::unix::fs::FileExt;
    let folder = Folder::new();
    std::fs::write(folder.db(), original()).expect("writable");
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    // Another program, through a descriptor that SQLite knows nothing of, in another process: here
    // closing it would drop no lock of the daemon's.
    let file = std::fs::File::options().write(true).open(folder.db()).expect("writable");
    let pages = file.metadata().expect("there").len() / 4096;
    for page in (3..pages).filter(|p| p % 7 != 0) {
        file.write_all_at(&[0xA5; 4096], page * 4096).expect("writable");
    }
    drop(file);
    // What the daemon remembers of the file is stale once somebody else has written to it.
    let other = rusqlite::Connection::open(folder.db()).expect("opens");
    let wrote = other.execute_batch("PRAGMA busy_timeout = 5000; PRAGMA user_version = 2");
    drop(other);
    assert!(wrote.is_ok(), "{wrote:?}");
    daemon.says("was set aside as");
    daemon.says("salvaged from");
    daemon.rows_after(now_ms());
    daemon.healthy();
    daemon.stop();
    assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn the_doctor_finds_and_repairs() {
    let folder = Folder::new();
    let db = folder.filled();
    let healthy = folder.ask(&["doctor"]).well();
    assert!(
        healthy.lines().count() > 6 && healthy.lines().all(|l| l.ends_with(" ok")),
        "{healthy}"
    );
    sqlite3(&db, "INSERT INTO samples VALUES (1500000000000, 999999, 1.0)");
    let said = folder.ask(&["doctor"]);
    assert!(said.out.contains("1 plain rows belong to a series that has no name"), "{said:?}");
    assert!(said.out.contains("--repair would: delete"), "{said:?}");
    let err = said.refused();
    assert!(err.contains("plimsoll doctor --repair"), "{err}");
    let json: serde_json::Value =
        serde_json::from_str(&folder.ask(&["doctor", "--json"]).out).expect("JSON");
    assert_eq!(json["ok"], false);
    // Not under a daemon.
    let daemon = folder.start(FAST);
    let err = folder.ask(&["doctor", "--repair"]).refused();
    assert!(err.contains("in use by plimsoll process"), "{err}");
    daemon.stop();
    let said = folder.ask(&["doctor", "--repair"]).well();
    assert!(said.lines().all(|l| l.ends_with(" ok")), "{said}");
    assert_eq!(sqlite3(&db, "select count(*) from samples where series_id = 999999"), "0");
}

#[test]
fn a_write_ahead_log_that_is_not_one_is_passed_over() {
    let folder = Folder::new();
    let db = folder.filled();
    let rows = sqlite3(&db, "select count(*) from metrics");
    std::fs::write(folder.join("metrics.sqlite-wal"), vec![0xA5; 100_000]).expect("writable");
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    daemon.stop();
    assert_eq!(sqlite3(&db, "PRAGMA integrity_check"), "ok");
    let now = sqlite3(&db, "select count(*) from metrics");
    assert!(now.parse::<u64>().expect("a number") > rows.parse().expect("a number"));
}

#[test]
fn a_file_deleted_under_it_is_noticed() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    daemon.healthy();
    std::fs::remove_file(folder.db()).expect("it is there");
    daemon.says("metrics.sqlite was deleted or replaced");
    assert_eq!(daemon.http("GET", "/health").status, 503);
    daemon.stop();
    let log = std::fs::read_to_string(folder.join("log")).expect("the log");
    assert!(log.contains("what was measured since is lost"), "{log}");
    assert!(!log.contains("everything is in"), "{log}");
}

#[test]
fn a_backup_that_is_put_in_its_place_is_not_written_over() {
    let (folder, other) = (Folder::new(), Folder::new());
    let rows: String = (0..20_000).map(|i| format!("old,{},{i}\n", 1_700_000_000 + i)).collect();
    std::fs::write(
        other.join("rows.csv"),
        format!(
            "key,timestamp,value
{rows}"
        ),
    )
    .expect("writes");
    other.ask(&["import", "rows.csv"]).well();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    std::fs::rename(other.db(), folder.db()).expect("moved");
    daemon.says("metrics.sqlite was deleted or replaced");
    daemon.stop();
    let next = folder.start(FAST);
    next.rows_after(now_ms());
    next.stop();
    assert_eq!(sqlite3(&folder.db(), "select count(*) from metrics where key = 'old'"), "20000");
    assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
    assert!(folder.join("metrics.sqlite-wal.lost").exists());
}

#[test]
fn one_that_lost_its_file_leaves_the_socket_of_the_next() {
    let folder = Folder::new();
    let first = folder.start(FAST);
    first.rows_after(0);
    for ending in ["", "-wal", "-shm", ".lock", ".sock"] {
        std::fs::remove_file(folder.join(&format!("metrics.sqlite{ending}"))).expect("was there");
    }
    let second = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log-of-second"));
    second.ready(PATIENCE);
    first.stop();
    folder.ask(&["reload"]).well();
    second.stop();
}

#[test]
fn what_a_repair_could_not_save_is_told() {
    let folder = Folder::new();
    let db = folder.filled();
    let length = std::fs::metadata(&db).expect("is there").len();
    let file = std::fs::File::options().write(true).open(&db).expect("opens");
    file.set_len(length / 8192 * 4096).expect("cut");
    let sentence = folder.ask(&["sql", "select 1 from metrics"]).refused();
    assert!(sentence.contains("doctor --repair"), "{sentence}");
    assert_eq!(sentence.matches("malformed").count(), 1, "{sentence}");
    let said = folder.ask(&["doctor", "--repair"]).well();
    assert!(said.contains("salvaged from") && said.contains("could not be read"), "{said}");
}

#[test]
fn a_file_of_the_first_version_is_well_and_is_compacted() {
    let folder = Folder::new();
    let fixture =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema/v1.sqlite");
    folder.configure(FAST);
    std::fs::copy(fixture, folder.db()).expect("copied");
    folder.ask(&["doctor"]).well();
    let said = folder.ask(&["compact"]).well();
    assert!(said.contains("before"), "{said}");
    folder.ask(&["doctor"]).well();
    let rows = sqlite3(&folder.db(), "select count(*) from metrics");
    assert_eq!(rows, "5");
    folder.ask(&["export", "-o", "/dev/null"]).well();
}
