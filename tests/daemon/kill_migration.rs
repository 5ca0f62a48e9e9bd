//! kill -9 while a file of an older plimsoll is copied and brought up to date: nothing of it is lost,
//! the copy that stays is whole, and the next start finishes the work. More rounds: ci/torture/upkeep.

use std::path::{Path, PathBuf};

use plimsoll::store::SCHEMA_VERSION;
use rusqlite::{Connection, OpenFlags};

use crate::oracle::copy;
use crate::support::*;

/// Enough for the copying to take a while.
const ROWS: i64 = 10_000;

const FEW: &str = "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
                   [collect]\ncollectors = [\"loadavg\"]\n[store]\nraw = \"100y\"\n";

/// A file as version 1 wrote it, with rows in it; in its log, not in the file, when `in_log`.
fn old_file(folder: &Folder) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema/v1.sqlite");
    let db = folder.join("old.sqlite");
    std::fs::copy(fixture, &db).expect("the fixture is there");
    let conn = Connection::open(&db).expect("opens");
    let sql = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO samples (ts, series_id, value) SELECT 1600000000000 + i * 1000, 1, i FROM n";
    conn.execute(sql, [ROWS]).expect("a table of version 1");
    let version: i64 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).expect("one");
    assert_eq!(version, 1);
    db
}

fn backup(db: &Path) -> PathBuf {
    PathBuf::from(format!("{}.v1-backup", db.display()))
}

/// The version of a file that is whole and has all the rows.
fn whole(file: &Path) -> Result<i64, String> {
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .expect("the file opens");
    let text = |sql: &str| {
        conn.query_row(sql, [], |r| r.get::<_, String>(0)).unwrap_or_else(|e| e.to_string())
    };
    let said = text("PRAGMA integrity_check");
    if said != "ok" {
        return Err(said);
    }
    let sql = "SELECT count(*) || ' ' || total(value = (ts - 1600000000000) / 1000) FROM samples
               WHERE ts BETWEEN 1600000000001 AND 1699999999999";
    let found = text(sql);
    if found != format!("{ROWS} {ROWS}.0") {
        return Err(found);
    }
    Ok(conn.pragma_query_value(None, "user_version", |r| r.get(0)).expect("a number"))
}

#[test]
fn killed_while_it_updates_an_old_file_it_keeps_it_and_a_whole_copy() {
    let rounds = knob("PLIMSOLL_UPKEEP_KILLS", 20) / 4;
    let seed = knob("PLIMSOLL_SEED", 2017);
    let mut dice = Dice::new(seed);
    let template = Folder::new();
    let old = old_file(&template);
    let pages: i64 = sqlite3(&old, "PRAGMA page_count").parse().expect("a number");
    let (mut before, mut partial) = (0, 0);
    for round in 0..rounds {
        let folder = Folder::new();
        folder.configure(FEW);
        std::fs::copy(&old, folder.db()).expect("copied");
        for _ in 0..2 {
            let aimed = dice.roll(3) > 0;
            // The copy, then what follows it.
            let write = 1 + dice.roll(pages as u64 * 5 / 4);
            let command = if aimed { doomed(&folder, write) } else { folder.plimsoll(&["run"]) };
            let mut daemon = Daemon::spawn(command, &folder.join("log"));
            if aimed {
                eventually("killed, or past it", PATIENCE, || {
                    let past = daemon.logged(" listening ") > 0;
                    if past || !daemon.runs() { Ok(()) } else { Err(daemon.log()) }
                });
            } else {
                pause(dice.millis(60));
            }
            partial += u64::from(!backup(&folder.db()).exists());
            daemon.kill();
            let copied = Folder::new();
            let version = whole(&copy(&folder.db(), &copied));
            let version = version.unwrap_or_else(|e| panic!("round {round} of seed {seed}: {e}"));
            before += u64::from(version == 1);
            assert!(version == 1 || version == SCHEMA_VERSION, "{version}");
            if version != 1 {
                assert_eq!(whole(&backup(&folder.db())), Ok(1), "round {round} of seed {seed}");
            }
        }
        let daemon = folder.start(FEW);
        daemon.rows_after(now_ms());
        daemon.stop();
        assert_eq!(whole(&folder.db()), Ok(SCHEMA_VERSION), "round {round} of seed {seed}");
        assert_eq!(whole(&backup(&folder.db())), Ok(1), "round {round} of seed {seed}");
        let left = std::fs::read_dir(folder.path()).expect("readable").flatten();
        let left: Vec<_> = left.map(|f| f.file_name().to_string_lossy().into_owned()).collect();
        assert!(!left.iter().any(|name| name.contains("backup-")), "{left:?}");
    }
    println!(
        "{} kills: {before} before the update was through, {partial} before the copy was",
        rounds * 2
    );
    assert!(before > 0, "it tested something");
}
