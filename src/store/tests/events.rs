//! store: events are kept as long as five-minute summaries and not longer, are bounded in number, and
//! outlive damage to the file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Event, Labels};
use crate::store::{Limits, Store, Times};

const START: i64 = 1_700_006_400_000; // a midnight
const DAY: i64 = 24 * 3_600_000;

fn event(ts: i64, title: &str) -> Event {
    Event {
        ts,
        system: Some("web2".into()),
        kind: "event",
        level: "warning",
        title: title.into(),
        text: "one\ntwo".into(),
        tags: Labels::new([("env", "prod")]),
        priority: "low",
        source: "jenkins".into(),
    }
}

fn open(path: &Path) -> Store {
    let mut store = Store::open(path, "here", Arc::default()).expect("opens");
    store.set_limits(Limits { five_minutes_ms: 10 * DAY, ..Limits::default() });
    store
}

/// What a person sees.
fn log(path: &Path) -> Vec<String> {
    let conn = rusqlite::Connection::open(path).expect("opens");
    let sql = "SELECT timestamp || ' ' || system || ' ' || kind || ' ' || level || ' ' || title || ' ' ||
               text || ' ' || tags || ' ' || priority || ' ' || source FROM event_log ORDER BY timestamp";
    let mut statement = conn.prepare(sql).expect("SQL");
    let rows = statement.query_map([], |r| r.get(0)).expect("runs");
    rows.collect::<Result<_, _>>().expect("rows")
}

fn count(path: &Path) -> i64 {
    let conn = rusqlite::Connection::open(path).expect("opens");
    conn.query_row("SELECT count(*) FROM events", [], |r| r.get(0)).expect("counts")
}

/// Upkeep until nothing is left to do, day by day: retention's own clock follows slowly.
fn upkeep(store: &mut Store, from: i64, to: i64) {
    let mut now = from;
    while now <= to {
        let times = Times { wall: now, boot: now - START };
        let mut steps = 0;
        while store.upkeep(times, Duration::ZERO).expect("upkeep") {
            steps += 1;
            assert!(steps < 1_000, "it ends");
        }
        now += DAY / 2;
    }
}

#[test]
fn they_go_when_five_minute_summaries_would() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    let events: Vec<_> = (0..6).map(|d| event(START + d * DAY, &format!("day {d}"))).collect();
    store.commit_all(&[], &events, &[]).expect("commits");
    upkeep(&mut store, START + 6 * DAY, START + 10 * DAY);
    assert_eq!(count(&path), 6, "not before their time");
    upkeep(&mut store, START + 10 * DAY, START + 12 * DAY + DAY / 2);
    let left = log(&path);
    assert_eq!(left.len(), 3, "{left:#?}");
    assert_eq!(
        left[0],
        "2023-11-18 00:00:00 web2 event warning day 3 one\ntwo {\"env\":\"prod\"} low jenkins"
    );
}

#[test]
fn there_are_never_more_than_a_hundred_thousand() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    store.commit_all(&[], &[event(START, "the first")], &[]).expect("commits");
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 102500)
                INSERT INTO events (ts, system_id, kind, level, title, text, tags, priority, source)
                SELECT ts + i, system_id, kind, level, 'n ' || i, '', tags, priority, source FROM events, n";
    rusqlite::Connection::open(&path).expect("opens").execute(many, []).expect("inserted");
    upkeep(&mut store, START + DAY, START + DAY);
    assert_eq!(count(&path), 100_000);
    let left = log(&path);
    assert!(left[0].contains(" n 2501 ") && !left.iter().any(|l| l.contains("the first")));
}

#[test]
fn a_title_or_text_without_end_is_cut() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    let long = Event { text: "ü".repeat(9_000).into(), ..event(START, &"é".repeat(900)) };
    store.commit_all(&[], &[long], &[]).expect("commits");
    let conn = rusqlite::Connection::open(&path).expect("opens");
    let lengths = conn
        .query_row("SELECT length(title), length(text) FROM events", [], |r| {
            Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?))
        })
        .expect("a row");
    assert_eq!(lengths, (200, 4_000));
}

#[test]
fn a_damaged_file_gives_them_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    let events: Vec<_> = (0..400).map(|i| event(START + i, &format!("n {i}"))).collect();
    store.commit_all(&[], &events, &[]).expect("commits");
    store.checkpoint().expect("checkpoints");
    drop(store);
    let before = log(&path);
    let leaves: Vec<usize> = {
        let conn = rusqlite::Connection::open(&path).expect("opens");
        let sql = "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf'";
        let mut statement = conn.prepare(sql).expect("SQL");
        let pages = statement.query_map([], |r| Ok(r.get::<_, i64>(0)? as usize)).expect("runs");
        pages.collect::<Result<_, _>>().expect("pages")
    };
    assert!(leaves.len() > 5, "{leaves:?}");
    let mut bytes = std::fs::read(&path).expect("readable");
    // One page of them is gone, and so is the beginning of the file.
    bytes[(leaves[2] - 1) * 4096..leaves[2] * 4096].fill(0x5A);
    bytes[100..2_000].fill(0x5A);
    std::fs::write(&path, &bytes).expect("writable");
    let mut store = open(&path);
    assert!(store.salvaging().is_some(), "it was set aside");
    upkeep(&mut store, START + DAY, START + DAY);
    assert_eq!(store.salvaging(), None);
    drop(store);
    let after = log(&path);
    assert!(after.len() >= 400 - 400 / leaves.len() * 2 && after.len() < 400, "{}", after.len());
    assert!(after.iter().all(|line| before.contains(line)), "as they were, or not at all");
}

#[test]
fn the_last_word_before_another_boot_is_found() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = open(&dir.path().join("m.sqlite"));
    let say = |store: &mut Store, kind: &'static str, boot: &str| {
        let event = Event { kind, tags: Labels::new([("boot", boot)]), ..event(START, "x") };
        let event = Event { source: "plimsoll".into(), system: None, ..event };
        store.commit_all(&[], &[event], &[]).expect("commits");
    };
    let ask = |store: &Store, boot| store.last_of_another_boot(boot);
    assert_eq!(ask(&store, "a"), None);
    say(&mut store, crate::store::START, "a");
    // A kill and a start within one boot say nothing of the machine.
    assert_eq!(ask(&store, "a"), None);
    assert_eq!(ask(&store, "b").as_deref(), Some("start"), "a power cut");
    say(&mut store, crate::store::STOP, "a");
    assert_eq!(ask(&store, "b").as_deref(), Some("stop"), "a reboot");
    say(&mut store, crate::store::START, "b");
    assert_eq!(ask(&store, "b").as_deref(), Some("stop"), "whoever starts plimsoll again");
    assert_eq!(ask(&store, "c").as_deref(), Some("start"));
}
