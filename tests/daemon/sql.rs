//! Open SQL is public API: Debian's sqlite3 and Python's module on the same file, while the daemon
//! writes and while it does not.

use std::time::Duration;

use crate::support::*;

/// As somebody types them, and the second that `metrics` shows then.
const ACCEPTED: [(&str, &str); 10] = [
    ("'2017-07-31 04:09:27'", "2017-07-31 04:09:27"),
    ("'2017-07-31T04:09:27Z'", "2017-07-31 04:09:27"),
    ("'2017-07-31T06:09:27+02:00'", "2017-07-31 04:09:27"),
    ("'2017-07-31 04:09:27.250'", "2017-07-31 04:09:27"),
    ("'2017-07-31'", "2017-07-31 00:00:00"),
    ("1501474167", "2017-07-31 04:09:27"),
    ("1501474167.75", "2017-07-31 04:09:27"),
    ("1501474167250", "2017-07-31 04:09:27"),
    ("-1", "1969-12-31 23:59:59"),
    ("'9999-12-31 23:59:59'", "9999-12-31 23:59:59"),
];

/// The statement's values, and what is said.
const REFUSED: [(&str, &str); 17] = [
    ("'x', 'much'", "the value must be a number"),
    ("'x', NULL", "the value must be a number"),
    ("'x', x'00'", "the value must be a number"),
    ("NULL, 1", "the key must be a text"),
    ("'', 1", "the key must be a text"),
    ("x'41', 1", "the key must be a text"),
    ("printf('%1001c', 'x'), 1", "the key must be a text"),
    ("'x', 1, 'yesterday'", "the timestamp must read as"),
    ("'x', 1, '04:09'", "the timestamp must read as"),
    ("'x', 1, '31.07.2017'", "the timestamp must read as"),
    ("'x', 1, '1501474167'", "the timestamp must read as"),
    ("'x', 1, ''", "the timestamp must read as"),
    ("'x', 1, x'00'", "the timestamp must read as"),
    ("'x', 1, '2457000.5'", "the timestamp must read as"),
    ("'x', 1, '2017-02-30 25:00:00'", "the timestamp must read as"),
    ("'x', 1, 9e99", "the timestamp must read as"),
    ("'x', 1, -9e99", "the timestamp must read as"),
];

fn insert(values: &str) -> String {
    let columns = if values.matches(", ").count() >= 2 && !values.starts_with("printf") {
        "key, value, timestamp"
    } else {
        "key, value"
    };
    format!("INSERT INTO metrics ({columns}) VALUES ({values})")
}

fn inbox_is_taken(folder: &Folder) {
    eventually("the inbox is empty", PATIENCE, || {
        match sqlite3(&folder.db(), "select count(*) from inbox").as_str() {
            "0" => Ok(()),
            n => Err(n.to_owned()),
        }
    });
}

#[test]
fn every_accepted_form_is_there_at_once_and_after_being_taken_in() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let mut expected = Vec::new();
    for (n, (written, shown)) in ACCEPTED.iter().enumerate() {
        sqlite3(&folder.db(), &insert(&format!("'form {n}', {n}.5, {written}")));
        expected.push(format!("form {n}|{n}.5|{shown}"));
    }
    let select = "select * from metrics where key like 'form %' order by key";
    assert_eq!(sqlite3(&folder.db(), select).lines().collect::<Vec<_>>(), expected);
    inbox_is_taken(&folder);
    assert_eq!(sqlite3(&folder.db(), select).lines().collect::<Vec<_>>(), expected);
    // The fractions are kept, though the view shows seconds.
    assert_eq!(timestamps(&folder.db(), "form 3"), [1_501_474_167_250]);
    assert_eq!(timestamps(&folder.db(), "form 6"), [1_501_474_167_750]);
    assert_eq!(timestamps(&folder.db(), "form 7"), [1_501_474_167_250]);
    daemon.stop();
}

#[test]
fn without_a_timestamp_it_is_now() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let from = now_ms();
    sqlite3(&folder.db(), "INSERT INTO metrics (key, value) VALUES ('mail_queue', 17)");
    let to = now_ms();
    let row = sqlite3(&folder.db(), "select * from metrics where key = 'mail_queue'");
    assert!(row.starts_with("mail_queue|17.0|20"), "{row}");
    inbox_is_taken(&folder);
    let at = timestamps(&folder.db(), "mail_queue");
    assert!(at.len() == 1 && (from - 1..=to + 1).contains(&at[0]), "{from} {at:?} {to}");
    daemon.stop();
}

#[test]
fn what_is_refused_is_said_and_changes_nothing() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    for (values, why) in REFUSED {
        let said = try_sqlite3(&folder.db(), &insert(values));
        assert!(!said.status.success(), "{values}: accepted");
        assert!(said.err.contains("plimsoll: ") && said.err.contains(why), "{values}: {said:?}");
    }
    for statement in ["DELETE FROM metrics", "UPDATE metrics SET value = 0"] {
        let said = try_sqlite3(&folder.db(), statement);
        assert!(said.err.contains("cannot modify metrics"), "{said:?}");
    }
    assert_eq!(sqlite3(&folder.db(), "select count(*) from inbox"), "0");
    let taken = "select count(*) from metrics where key in ('x', '')";
    assert_eq!(sqlite3(&folder.db(), taken), "0");
    daemon.stop();
}

#[test]
fn rows_sent_while_no_daemon_runs_wait_for_the_next() {
    let folder = Folder::new();
    let db = folder.filled();
    sqlite3(&db, &insert("'backup_ok', 1, '2017-07-31 04:09:27'"));
    let select = "select * from metrics where key = 'backup_ok'";
    assert_eq!(sqlite3(&db, select), "backup_ok|1.0|2017-07-31 04:09:27");
    let daemon = folder.start(FAST);
    inbox_is_taken(&folder);
    assert_eq!(sqlite3(&db, select), "backup_ok|1.0|2017-07-31 04:09:27");
    daemon.stop();
    assert_eq!(sqlite3(&db, select), "backup_ok|1.0|2017-07-31 04:09:27");
}

#[test]
fn both_shapes_of_the_origin_are_there() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("system = \"web1\"\n{FAST}"));
    daemon.rows_after(0);
    let db = folder.db();
    assert_eq!(sqlite3(&db, "select * from systems"), "1|web1");
    let version = env!("CARGO_PKG_VERSION");
    let row = sqlite3(
        &db,
        "select system, key, name, labels, job, kind from series where name = 'plimsoll_build_info'",
    );
    let labels = format!("{{\"version\":\"{version}\"}}");
    let key = format!("plimsoll_build_info{{version=\"{version}\"}}");
    assert_eq!(row, format!("web1|{key}|plimsoll_build_info|{labels}|node|gauge"));
    sqlite3(&db, &insert("'memory', 0.862006869908057, '2017-07-31 04:09:27'"));
    let row = "memory|0.862006869908057|2017-07-31 04:09:27";
    assert_eq!(
        sqlite3(&db, "select * from metrics where key = 'memory' and timestamp < '2018'"),
        row
    );
    let by_system = "select * from metrics_by_system where key = 'memory' and timestamp < '2018'";
    assert_eq!(sqlite3(&db, by_system), format!("web1|{row}"));
    inbox_is_taken(&folder);
    assert_eq!(sqlite3(&db, by_system), format!("web1|{row}"));
    daemon.stop();
}

#[test]
fn a_script_in_python_sends_and_reads() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let script = "\
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=5)
with db:
    db.executemany('INSERT INTO metrics (key, value) VALUES (?, ?)',
                   [('rain', 0.25), ('wind', 7)])
print(db.execute(\"select key, value from metrics where key in ('rain', 'wind') order by key\").fetchall())
try:
    db.execute('INSERT INTO metrics (key, value) VALUES (?, ?)', ('rain', 'much'))
except sqlite3.IntegrityError as e:
    print(e)
";
    let said = run(tool("python3", "python3").args(["-c", script]).arg(folder.db())).well();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "[('rain', 0.25), ('wind', 7.0)]",
            "CHECK constraint failed: plimsoll: the value must be a number"
        ]
    );
    inbox_is_taken(&folder);
    assert_eq!(timestamps(&folder.db(), "wind").len(), 1);
    daemon.stop();
}

#[test]
fn a_reader_that_never_ends_stops_nobody() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    let reader = rusqlite::Connection::open(folder.db()).expect("opens");
    reader.execute_batch("BEGIN; SELECT count(*) FROM metrics").expect("reads");
    let before: i64 =
        reader.query_row("SELECT count(*) FROM metrics", [], |r| r.get(0)).expect("reads");
    daemon.rows_after(now_ms() + 1_500);
    let now: i64 =
        reader.query_row("SELECT count(*) FROM metrics", [], |r| r.get(0)).expect("reads");
    assert_eq!(now, before, "it sees one consistent picture");
    assert_eq!(daemon.problems(), Vec::<String>::new());
    drop(reader);
    daemon.stop();
}

#[test]
fn a_program_that_holds_the_write_lock_for_seconds_loses_nothing() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    let hog = rusqlite::Connection::open(folder.db()).expect("opens");
    hog.busy_timeout(Duration::from_secs(5)).expect("settable");
    hog.execute_batch("BEGIN IMMEDIATE; INSERT INTO metrics (key, value) VALUES ('hog', 1)")
        .expect("gets the lock");
    let from = now_ms();
    eventually("it says so", PATIENCE, || match daemon.problems() {
        p if p.iter().any(|p| p.contains("another program holds a write lock")) => Ok(()),
        p => Err(format!("{p:?}")),
    });
    assert_eq!(daemon.http("GET", "/health").status, 503);
    let mut served = Vec::new();
    while now_ms() < from + 2_500 {
        let status = daemon.json("/api/status");
        let values = status["values"].as_array().expect("values");
        let at = values[0]["timestamp"].as_str().expect("a text").to_owned();
        served.push(at.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond());
        pause(Duration::from_millis(50));
    }
    served.dedup();
    assert!(served.len() > 10, "collecting goes on: {served:?}");
    assert!(newest(&folder.db()) < served.last().copied(), "the samples wait");
    hog.execute_batch("COMMIT").expect("commits");
    drop(hog);
    daemon.healthy();
    daemon.rows_after(*served.last().expect("many"));
    let stored = timestamps(&folder.db(), "plimsoll_commits_total");
    let lost: Vec<_> = served.iter().filter(|at| !stored.contains(at)).collect();
    assert_eq!(lost, Vec::<&i64>::new());
    assert_eq!(sqlite3(&folder.db(), "select value from metrics where key = 'hog'"), "1.0");
    assert_eq!(daemon.logged("warn database: "), 1, "{}", daemon.log());
    assert_eq!(daemon.logged("works again"), 1, "{}", daemon.log());
    daemon.stop();
}

#[test]
fn a_write_lock_held_by_another_program_delays_the_start_but_does_not_end_it() {
    let folder = Folder::new();
    let db = folder.filled();
    let hog = rusqlite::Connection::open(&db).expect("opens");
    hog.execute_batch("BEGIN IMMEDIATE").expect("gets the lock");
    let daemon = folder.start(FAST);
    eventually("it says so", PATIENCE, || match daemon.problems() {
        p if p.iter().any(|p| p.contains("another program holds a write lock")) => Ok(()),
        p => Err(format!("{p:?}")),
    });
    hog.execute_batch("COMMIT").expect("commits");
    daemon.rows_after(now_ms());
    daemon.healthy();
    daemon.stop();
}
