//! store: `doctor` finds faults, and its repair mends them.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::store::{Finding, Limits, Reader, Store, Times, is_repairable};

const START: i64 = 1_700_000_000_000;
const STEP: i64 = 20_000;
const BEATS: i64 = 2_500;
const NOW: Times = Times { wall: START + BEATS * STEP, boot: BEATS * STEP };

fn open(path: &Path) -> Store {
    let mut store = Store::open(path, "here", Arc::default()).expect("opens");
    store.set_limits(Limits { raw_ms: i64::MAX / 4, ..Limits::default() });
    store
}

/// Two series over 14 hours, sealed and rolled up, and still there as plain rows.
fn make(path: &Path) {
    let mut store = open(path);
    let row = |i: i64| {
        let key = if i % 2 == 0 { "a_total" } else { "b" };
        (key, START + i / 2 * STEP, ((i * 7919) % 1013) as f64)
    };
    store.import((0..2 * BEATS).map(row)).expect("imports");
    store.compact(NOW).expect("compacts");
}

fn examine(path: &Path) -> Vec<Finding> {
    let mut found = Reader::open(path).expect("opens").examine(NOW.wall);
    found.retain(|f| !f.wrong.is_empty());
    found
}

fn count(path: &Path, key: &str) -> usize {
    let reader = Reader::open(path).expect("opens");
    let known = reader.series().expect("names").into_iter().find(|s| s.key == key);
    reader.samples(known.expect("known").id, i64::MIN, i64::MAX).expect("reads").0.len()
}

/// Breaks a database with SQL; one check must notice, in these words; repairing must help.
fn breaks(sql: &str, check: &str, told: &str) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let path = dir.path().join("m.sqlite");
    make(&path);
    assert_eq!(examine(&path), []);
    let sql = format!("PRAGMA foreign_keys = OFF; {sql}");
    Connection::open(&path).and_then(|conn| conn.execute_batch(&sql)).expect(&sql);
    let found = examine(&path);
    let words = found.iter().find(|f| f.check == check).map(|f| f.wrong.join("\n"));
    assert!(words.is_some_and(|w| w.contains(told)), "{sql}: {found:?}");
    open(&path).mend(NOW).expect("mends");
    assert_eq!(examine(&path), [], "{sql}");
    for key in ["a_total", "b"] {
        assert_eq!(count(&path, key), BEATS as usize, "{sql}: {key}");
    }
}

#[test]
fn a_damaged_column_is_made_again_from_plain_rows() {
    breaks(
        "UPDATE blocks SET data = CAST(substr(data, 1, length(data) - 4) || x'DEADBEEF' AS BLOB)
         WHERE resolution = 0",
        "sealed samples",
        "samples of b from 2023-11-14 22:13:20",
    );
}

#[test]
fn a_block_without_a_directory_is_made_again_from_plain_rows() {
    breaks(
        "UPDATE blocks SET data = zeroblob(100) WHERE resolution = 0",
        "sealed samples",
        "every series of its block",
    );
}

#[test]
fn rollups_that_lie_are_made_again() {
    breaks("UPDATE rollup_1h SET max = max + 1", "rollups", "are not what the samples make");
    breaks("DELETE FROM rollup_1h", "rollups", "are not what the samples make");
    breaks("DELETE FROM blocks WHERE resolution > 0", "rollups", "are not what the samples make");
}

#[test]
fn what_has_no_name_goes() {
    breaks(
        "INSERT INTO samples VALUES (1700000000000, 999, 1.0)",
        "names",
        "1 plain rows belong to a series that has no name",
    );
    breaks(
        "INSERT INTO rollup_1h VALUES (999, 0, 1, 1.0, 1.0, 1.0, 1.0, 0, 0.0)",
        "names",
        "1 hourly rows",
    );
    breaks("UPDATE series_dict SET system_id = 7", "names", "2 series belong to a system");
}

#[test]
fn numbers_that_cannot_be_are_set_right() {
    breaks("UPDATE state SET value = 0 WHERE name = 'seq'", "state", "seq is 0");
    breaks(
        "UPDATE state SET value = 9999999999999 WHERE name LIKE '%_until'",
        "state",
        "sealed_until is 9999999999999",
    );
    breaks("INSERT INTO late (ts, series_id) VALUES (5, 1)", "late samples", "1 late samples wait");
}

#[test]
fn what_sqlite_itself_complains_of_is_rebuilt() {
    breaks(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'late')
         WHERE name = 'inbox';",
        "SQLite's own check",
        "",
    );
}

/// The index of the blocks still names one that is not there any more.
#[test]
fn an_index_that_names_a_block_which_is_gone_is_made_again() {
    breaks(
        "PRAGMA writable_schema = ON;
         CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema
         WHERE type = 'index' AND tbl_name = 'blocks' AND sql IS NOT NULL;
         DELETE FROM sqlite_schema WHERE name IN (SELECT name FROM kept);
         PRAGMA writable_schema = RESET;
         DELETE FROM blocks WHERE id = (SELECT max(id) FROM blocks WHERE resolution > 0);
         PRAGMA writable_schema = ON;
         INSERT INTO sqlite_schema SELECT * FROM kept;
         PRAGMA writable_schema = RESET;",
        "SQLite's own check",
        "wrong # of entries in index blocks_by_group",
    );
}

#[test]
fn a_lost_schema_version_is_damage_and_costs_nothing() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let path = dir.path().join("m.sqlite");
    make(&path);
    Connection::open(&path)
        .and_then(|conn| conn.pragma_update(None, "user_version", 0))
        .expect("breaks");
    let refused = Reader::open(&path).expect_err("damaged");
    assert!(is_repairable(&refused), "{refused}");
    assert!(refused.to_string().contains("doctor --repair"), "{refused}");
    open(&path).mend(NOW).expect("mends");
    assert_eq!(examine(&path), []);
    for key in ["a_total", "b"] {
        assert_eq!(count(&path, key), BEATS as usize, "{key}");
    }
}

#[test]
fn a_stranger_s_file_is_not_said_to_be_repairable() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    std::fs::write(&path, [7; 10_000]).expect("written");
    let refused = Reader::open(&path).expect_err("no database");
    assert!(!is_repairable(&refused), "{refused}");
}
