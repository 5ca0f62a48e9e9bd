//! store: the rights of statements from strangers.

use std::ops::ControlFlow;

use super::*;
use crate::model::Registry;
use crate::store::{Store, Times};

const START: i64 = 1_700_000_000_000;

/// Half of the samples are sealed, the rest are plain rows.
fn database() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.sqlite");
    let mut store = Store::open(&path, "here", Arc::new(Registry::default())).unwrap();
    let rows =
        |from: i64| (from..from + 2_000).map(|i| ("load", START + i * 10_000, (i % 7) as f64));
    store.import(rows(0)).unwrap();
    store.compact(Times { wall: START + 20_000_000, boot: 20_000_000 }).unwrap();
    store.import(rows(2_000)).unwrap();
    (dir, path)
}

fn within(seconds: u64) -> Bounds {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    Bounds { deadline, cancel: Arc::default() }
}

fn asked(path: &Path, sql: &str, bounds: &Bounds) -> Result<Vec<Vec<String>>, GuestError> {
    let mut out = Vec::new();
    ask(
        path,
        sql,
        bounds,
        Box::new(|_| true),
        |_| {},
        |cells| {
            out.push(
                cells
                    .iter()
                    .map(|c| match c {
                        Seen::Text(t) => String::from_utf8_lossy(t).into_owned(),
                        Seen::Integer(i) => i.to_string(),
                        Seen::Real(r) => r.to_string(),
                        other => format!("{other:?}"),
                    })
                    .collect(),
            );
            ControlFlow::Continue(())
        },
    )?;
    Ok(out)
}

#[test]
fn the_views_are_open() {
    let (_dir, path) = database();
    let one = |sql: &str| asked(&path, sql, &within(20)).unwrap_or_else(|e| panic!("{sql}: {e}"));
    for (view, _) in VIEWS {
        one(&format!("SELECT * FROM {view} LIMIT 3"));
        one(&format!("SELECT count(*) FROM {view}"));
    }
    assert_eq!(one("SELECT count(*) FROM samples_all('load', '1970-01-01')"), [["4000"]]);
    assert_eq!(one("SELECT count(*), max(value) FROM SAMPLES_ALL"), [["4000", "6"]]);
    let lag = "WITH w AS (SELECT value - lag(value) OVER (ORDER BY ts) AS step FROM samples_all)
               SELECT max(step), count(*) FROM w";
    assert_eq!(one(lag), [["1", "4000"]]);
    assert_eq!(
        one("WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT 9)
                    SELECT count(*) FROM c"),
        [["9"]]
    );
    assert_eq!(one("SELECT value FROM json_each('[7]')"), [["7"]]);
    let joined = "SELECT DISTINCT d.key FROM samples s JOIN series d ON d._id = s.series_id";
    assert_eq!(one(joined), [["load"]]);
}

#[test]
fn everything_else_is_shut() {
    let (dir, path) = database();
    let before = std::fs::read(&path).unwrap();
    let other = dir.path().join("other.sqlite");
    for sql in [
        &format!("ATTACH '{}' AS o", other.display()),
        "DETACH main",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA table_info(blocks)",
        "SELECT * FROM pragma_table_info('blocks')",
        "SELECT count(*) FROM pragma_database_list",
        "INSERT INTO metrics (key, value) VALUES ('x', 1)",
        "UPDATE samples SET value = 0",
        "DELETE FROM samples",
        "WITH a AS (SELECT 1) DELETE FROM samples",
        "CREATE TABLE t (x)",
        "CREATE TEMP TABLE t (x)",
        "CREATE TEMP VIEW metrics AS SELECT data FROM blocks",
        "CREATE TABLE t AS SELECT 1",
        "DROP VIEW metrics",
        "ALTER TABLE samples RENAME TO s",
        "VACUUM",
        &format!("VACUUM INTO '{}'", other.display()),
        "BEGIN IMMEDIATE",
        "COMMIT",
        "SAVEPOINT s",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT writefile('x', 'y')",
        "SELECT readfile('/etc/passwd')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT sqlite_compileoption_get(1)",
        "SELECT * FROM blocks",
        "SELECT count(*) FROM blocks",
        "SELECT data FROM main.blocks",
        "SELECT * FROM state",
        "SELECT sql FROM sqlite_schema",
        "SELECT count(*) FROM sqlite_master",
        "SELECT * FROM sqlite_temp_schema",
        "SELECT * FROM dbstat",
        "SELECT * FROM sqlite_dbpage",
        "SELECT * FROM inbox",
        "SELECT (SELECT max(id) FROM blocks)",
        "SELECT * FROM metrics WHERE value IN (SELECT id FROM blocks)",
        // A common table expression that goes by a view's name.
        "WITH metrics AS (SELECT data FROM blocks) SELECT * FROM metrics",
        "WITH metrics AS (SELECT * FROM state) SELECT * FROM metrics",
        "WITH samples_all AS (SELECT sql FROM sqlite_schema) SELECT * FROM samples_all",
    ] {
        match asked(&path, sql, &within(20)) {
            Err(GuestError::Refused(_) | GuestError::Wrong { .. }) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), before, "not a byte was written");
    assert!(!other.exists());
}

#[test]
fn memory_is_bounded_while_a_statement_works() {
    use std::cell::Cell;
    use std::rc::Rc;
    let (_dir, path) = database();
    let most = 16 << 20;
    let within_memory = |sql: &str| {
        let taken = Rc::new(Cell::new(0_usize));
        let count = Rc::clone(&taken);
        let more = move |bytes: usize| {
            let fits = count.get() + bytes <= most;
            count.set(count.get() + if fits { bytes } else { 0 });
            fits
        };
        let mut rows = 0;
        let done = ask(
            &path,
            sql,
            &within(60),
            Box::new(more),
            |_| {},
            |_| {
                rows += 1;
                ControlFlow::Continue(())
            },
        );
        (done.map(|()| rows), taken.get())
    };
    for hungry in [
        "SELECT json_group_array(printf('%.*c', 60000, 'a')) FROM samples",
        "SELECT json_group_object(ts, printf('%.*c', 60000, 'a')) FROM samples",
        "SELECT json_pretty(printf('%.*c', 1000, '[') || printf('%.*c', 1000, ']'), \
         printf('%.*c', 60000, 'x'))",
    ] {
        let (done, taken) = within_memory(hungry);
        assert!(taken <= most, "{hungry}: {taken}");
        assert!(matches!(done, Err(GuestError::Memory)), "{hungry}: {done:?}");
    }
    // The next one on this thread has all of it again, and other threads were never bounded.
    let (done, taken) = within_memory("SELECT key, value FROM samples_all");
    assert!(matches!(done, Ok(4_000)), "{done:?}");
    assert!(taken < 4 << 20, "{taken}");
    let conn = rusqlite::Connection::open_in_memory().unwrap();
    let big = "SELECT length(group_concat(hex(zeroblob(1000000)))) FROM json_each('[1,2,3]')";
    let length: i64 = conn.query_row(big, [], |r| r.get(0)).unwrap();
    assert_eq!(length, 3 * 2_000_000 + 2);
}

#[test]
fn mistakes_say_where() {
    let (_dir, path) = database();
    for (sql, place, text) in [
        ("SELECT valve FROM metrics", Some(7), "no such column: valve"),
        ("SELEC 1", Some(0), "syntax error"),
        ("SELECT * FROM nowhere", None, "no such table: nowhere"),
        ("SELECT 1; SELECT 2", None, "one statement at a time"),
        ("  ", None, "nothing to answer"),
        ("-- only a remark", None, "nothing to answer"),
    ] {
        match asked(&path, sql, &within(20)) {
            Err(GuestError::Wrong { message, offset }) => {
                assert!(message.contains(text), "{sql}: {message}");
                assert!(place.is_none() || offset == place, "{sql}: {offset:?}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn what_would_never_end_is_stopped() {
    let (_dir, path) = database();
    let cross = "SELECT count(*) FROM samples a, samples b, samples c, samples d";
    let doubling: String = (1..30)
        .map(|i| format!(", c{i} AS (SELECT a.x FROM c{} a, c{} b)", i - 1, i - 1))
        .collect();
    let doubling =
        format!("WITH c0(x) AS (SELECT value FROM metrics){doubling} SELECT count(*) FROM c29");
    for sql in [
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c ORDER BY 1",
        cross,
        "SELECT count(*) FROM samples_all a, samples_all b, samples_all c",
        &doubling,
    ] {
        let start = Instant::now();
        match asked(&path, sql, &within(1)) {
            Err(GuestError::Timeout | GuestError::Failed(_) | GuestError::Wrong { .. }) => {}
            other => panic!("{sql}: {other:?}"),
        }
        assert!(start.elapsed() < Duration::from_secs(8), "{sql}: {:?}", start.elapsed());
    }
    let gone = within(60);
    gone.cancel.store(true, Relaxed);
    assert!(matches!(asked(&path, cross, &gone), Err(GuestError::Canceled)));
    for sql in [
        "SELECT randomblob(1000000000)",
        "SELECT zeroblob(1000000)",
        "SELECT printf('%.*c', 1000000000, 'x')",
        "SELECT replace(hex(zeroblob(30000)), '0', hex(zeroblob(30000)))",
        "SELECT group_concat(hex(zeroblob(1000))) FROM samples",
    ] {
        match asked(&path, sql, &within(20)) {
            Err(GuestError::Failed(why)) => assert!(why.contains("64 KiB"), "{sql}: {why}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}
