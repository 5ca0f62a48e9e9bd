//! store: alerts and messages are in the file as soon as they are said to be, together or not at all;
//! they are bounded, and outlive damage to the file.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::model::{Event, Identity, Labels, ManualClock, Series, Severity};
use crate::pipeline::{Batch, Flow, Names, Source};
use crate::store::{
    AckRow, AlertOp, AlertRow, AlertStore, Limits, MOST_KEPT, MOST_OPEN, Orders, OutboxRow, Reader,
    SilenceRow, Store, Times, ToldRow, Writer, WriterSettings,
};

const START: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

pub(super) fn alert(fingerprint: u64, resolved_at: Option<i64>) -> AlertRow {
    AlertRow {
        fingerprint,
        rule: "disk_full".into(),
        labels: Labels::new([("mountpoint", "/"), ("a", "\"ü\n")]),
        state: if resolved_at.is_some() { "resolved" } else { "firing" }.into(),
        frozen: String::new(),
        severity: Severity::Bad,
        active_at: START,
        held_ms: 60_000,
        fired_at: Some(START + 60_000),
        clear_since: None,
        resolved_at,
        seen_at: START + 70_000,
        value: 98.5,
        peak: 99.25,
        threshold: Some(97.0),
        flaps: "[1,2]".into(),
        text: "disk / is 98 % full".into(),
        more: "{}".into(),
    }
}

fn note(id: i64) -> OutboxRow {
    OutboxRow {
        id,
        channel: "a1".into(),
        shown: "ntfy:topic".into(),
        made_at: START,
        due_at: START,
        severity: Severity::Bad,
        occasion: "fire".into(),
        host: "web1".into(),
        title: "disk / is 98 % full".into(),
        attempts: 0,
        said: String::new(),
        body: "{}".into(),
    }
}

fn told(at: i64) -> ToldRow {
    ToldRow {
        channel: "a1".into(),
        shown: "ntfy:topic".into(),
        made_at: START,
        at,
        severity: Severity::Bad,
        occasion: "fire".into(),
        host: "web1".into(),
        key: "00/1/2".into(),
        title: "bad: disk / on web1 is 98 % full".into(),
        text: "since 03:10".into(),
        result: "sent".into(),
        said: "200".into(),
        attempts: 1,
    }
}

fn silence(id: i64, ends_at: Option<i64>) -> SilenceRow {
    SilenceRow {
        id,
        what: "disk_/".into(),
        every: String::new(),
        starts_at: START,
        ends_at,
        who: "anna".into(),
        why: "work".into(),
    }
}

fn ack(fingerprint: u64) -> AckRow {
    let (who, why) = ("anna".into(), "on it".into());
    AckRow { fingerprint, fired_at: START + 60_000, at: START + 90_000, who, why }
}

fn open(path: &Path) -> Store {
    Store::open(path, "here", Arc::default()).expect("opens")
}

fn write(store: &mut Store, ops: &[AlertOp]) -> u64 {
    store.commit_with(&[], &[], &[], ops).expect("commits").alerts_refused
}

fn column(path: &Path, sql: &str) -> Vec<String> {
    let conn = Connection::open(path).expect("opens");
    let mut statement = conn.prepare(sql).expect("SQL");
    let rows = statement.query_map([], |r| r.get(0)).expect("runs");
    rows.collect::<Result<_, _>>().expect("rows")
}

fn everything() -> Vec<AlertOp> {
    let event = Event {
        ts: START,
        system: None,
        kind: "alert",
        level: "error",
        title: "disk / is 98 % full".into(),
        text: "".into(),
        tags: Labels::default(),
        priority: "normal",
        source: "plimsoll".into(),
    };
    vec![
        AlertOp::Put(alert(7, None)),
        AlertOp::Put(alert(u64::MAX, None)),
        AlertOp::Note(note(41)),
        AlertOp::Note(note(42)),
        AlertOp::Tried { ids: vec![42], attempts: 3, due_at: START + 9, said: "no route".into() },
        AlertOp::Told { ids: vec![41], row: told(START + 5) },
        AlertOp::Silence(silence(1, None)),
        AlertOp::EndSilence { id: 1, at: START + 7 },
        AlertOp::Ack(ack(7)),
        AlertOp::Event(event),
        AlertOp::JudgedUntil(START + 80_000),
    ]
}

fn expected() -> AlertStore {
    let tried = OutboxRow { attempts: 3, due_at: START + 9, said: "no route".into(), ..note(42) };
    AlertStore {
        open: vec![alert(7, None), alert(u64::MAX, None)],
        outbox: vec![tried],
        told: vec![told(START + 5)],
        silences: vec![silence(1, Some(START + 7))],
        acks: vec![ack(7)],
        judged_until: Some(START + 80_000),
        last_note: 42,
    }
}

#[test]
fn all_of_it_reads_back_and_a_person_sees_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    assert_eq!(store.alerts().expect("reads"), AlertStore::default());
    write(&mut store, &everything());
    drop(store);
    assert_eq!(open(&path).alerts().expect("reads"), expected());
    assert_eq!(Reader::open(&path).expect("opens").alerts().expect("reads"), expected());
    let shown =
        "SELECT rule || ' ' || state || ' ' || severity || ' ' || text || ' ' || since || ' ' ||
                 fired || ' ' || value || ' ' || peak || ' ' || threshold || ' ' || labels || ' ' ||
                 fingerprint FROM alerts";
    assert_eq!(
        column(&path, shown)[0],
        "disk_full firing bad disk / is 98 % full 2023-11-14 22:13:20 2023-11-14 22:14:20 98.5 99.25 \
         97.0 {\"a\":\"\\\"ü\\n\",\"mountpoint\":\"/\"} 0000000000000007"
    );
    let shown = "SELECT timestamp || ' ' || channel || ' ' || host || ' ' || title || ' ' || result || ' ' ||
                 said || ' ' || attempts || ' ' || coalesce(done, '-') FROM notifications ORDER BY result";
    assert_eq!(
        column(&path, shown),
        [
            "2023-11-14 22:13:20 ntfy:topic web1 bad: disk / on web1 is 98 % full sent 200 1 \
             2023-11-14 22:13:20",
            "2023-11-14 22:13:20 ntfy:topic web1 disk / is 98 % full waiting no route 3 -",
        ]
    );
    assert_eq!(column(&path, "SELECT kind || ' ' || level FROM event_log"), ["alert error"]);
}

#[test]
fn an_episode_that_is_over_stays_and_the_next_one_is_another_row() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    let nan = AlertRow { value: f64::NAN, ..alert(7, None) };
    write(&mut store, &[AlertOp::Put(nan), AlertOp::Ack(ack(7))]);
    assert!(store.alerts().expect("reads").open[0].value.is_nan());
    write(&mut store, &[AlertOp::Put(alert(7, Some(START + DAY)))]);
    assert_eq!(store.alerts().expect("reads").acks, [], "it ends with the episode");
    write(&mut store, &[AlertOp::Put(alert(7, None)), AlertOp::Put(alert(8, None))]);
    write(&mut store, &[AlertOp::Forget(8)]);
    let reader = Reader::open(&path).expect("opens");
    assert_eq!(reader.alerts().expect("reads").open, [alert(7, None)]);
    assert_eq!(reader.alerts_over(10).expect("reads"), [alert(7, Some(START + DAY))]);
}

#[test]
fn numbers_of_changes_are_not_used_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut store = open(&dir.path().join("m.sqlite"));
    write(&mut store, &[AlertOp::Note(note(5))]);
    write(&mut store, &[AlertOp::Told { ids: vec![5], row: told(START) }]);
    assert_eq!(store.alerts().expect("reads").last_note, 5);
    // One that was told before it was written was never in the outbox.
    write(&mut store, &[AlertOp::Told { ids: vec![9], row: told(START) }]);
    assert_eq!(store.alerts().expect("reads").last_note, 9);
}

#[test]
fn they_are_bounded_in_number_and_in_bytes() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    let many: Vec<AlertOp> =
        (0..MOST_OPEN as u64 + 7).map(|n| AlertOp::Put(alert(n, None))).collect();
    assert_eq!(write(&mut store, &many), 7, "the rest is refused and counted");
    let over: Vec<AlertOp> = (0..MOST_KEPT as u64 + 500)
        .map(|n| AlertOp::Put(alert(1 << 40 | n, Some(START + n as i64))))
        .collect();
    write(&mut store, &over);
    let told: Vec<AlertOp> = (0..MOST_KEPT + 500)
        .map(|n| AlertOp::Told { ids: Vec::new(), row: told(START + n) })
        .collect();
    write(&mut store, &told);
    write(
        &mut store,
        &[AlertOp::Silence(silence(1, Some(START))), AlertOp::Silence(silence(2, None))],
    );
    let upkeep = |store: &mut Store, wall| {
        let mut steps = 0;
        while store.upkeep(Times { wall, boot: wall - START }, Duration::ZERO).expect("upkeep") {
            steps += 1;
            assert!(steps < 10_000, "it ends");
        }
    };
    upkeep(&mut store, START + 8 * DAY);
    let count = |sql: &str| column(&path, &format!("SELECT CAST(count(*) AS TEXT) FROM {sql}"));
    assert_eq!(count("alert_state WHERE resolved_at IS NULL"), ["1000"]);
    assert_eq!(count("alert_state WHERE resolved_at IS NOT NULL"), ["10000"]);
    assert_eq!(count("told"), ["10000"]);
    assert_eq!(
        column(&path, "SELECT min(resolved_at - 1700000000000) || '' FROM alert_state"),
        ["500"]
    );
    assert_eq!(count("silences"), ["1"], "one that ended a week ago goes");
    // Ten megabytes have room for 256 KiB of it: what is open stays.
    store.set_limits(Limits { max_size: 10 << 20, ..Limits::default() });
    upkeep(&mut store, START + 8 * DAY + 600_001);
    assert_eq!(count("alert_state WHERE resolved_at IS NULL"), ["1000"]);
    let left: i64 = count("told")[0].parse().expect("a number");
    assert!(left < 1_000, "{left} are left");
}

#[test]
fn they_outlive_damage_to_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    write(&mut store, &everything());
    store.damaged("it is damaged, says a test".into());
    store.reopen().expect("a new file is begun");
    assert!(store.salvaging().is_some());
    assert_eq!(store.alerts().expect("reads"), expected(), "before anything else is moved");
}

#[test]
fn rows_that_are_none_are_found_and_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    write(&mut store, &everything());
    drop(store);
    let conn = Connection::open(&path).expect("opens");
    conn.execute_batch(
        "UPDATE alert_state SET fingerprint = 'seven' WHERE id = 1;
         UPDATE outbox SET body = 'no JSON';
         UPDATE silences SET starts_at = 'soon';",
    )
    .expect("SQL");
    drop(conn);
    let found = |path: &Path| -> Vec<String> {
        let examined = Reader::open(path).expect("opens").examine(START + DAY);
        examined.into_iter().find(|f| f.check == "alerts").expect("it is looked at").wrong
    };
    assert_eq!(
        found(&path),
        ["alert_state", "outbox", "silences"].map(|table| format!(
            "row {} of {table} is not as plimsoll writes it",
            if table == "outbox" { 42 } else { 1 }
        ))
    );
    open(&path).mend(Times { wall: START + DAY, boot: 0 }).expect("mends");
    assert_eq!(found(&path), [""; 0]);
    assert_eq!(open(&path).alerts().expect("reads").open, [alert(u64::MAX, None)]);
}

/// A program that writes into the file can put a row there that cannot be read.
#[test]
fn a_row_that_cannot_be_read_costs_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path);
    write(&mut store, &everything());
    let conn = Connection::open(&path).expect("opens");
    conn.execute_batch(
        "INSERT INTO silences (what, every, starts_at, who, why)
           VALUES (CAST(x'ff' AS TEXT), '', 1, '', ''), ('a', '', 'soon', '', '');
         INSERT INTO acks (fingerprint, fired_at, at, who, why) VALUES ('seven', 1, 1, '', '');
         INSERT INTO alert_state SELECT NULL, 'nine', rule, labels, state, frozen, 'awful',
           active_at, held_ms, fired_at, clear_since, NULL, seen_at, value, peak, threshold, flaps, text,
           more FROM alert_state LIMIT 1;
         INSERT INTO outbox SELECT NULL, channel, shown, made_at, 'later', severity, occasion, host, title,
           attempts, said, body FROM outbox LIMIT 1;
         INSERT INTO told SELECT NULL, channel, CAST(x'ff' AS TEXT), made_at, at, severity, occasion, host,
           key, title, text, result, said, attempts FROM told LIMIT 1;",
    )
    .expect("SQL");
    drop(conn);
    assert_eq!(store.alerts().expect("reads"), expected());
}

/// A writer as the daemon has it.
struct Rig {
    flow: Flow,
    orders: Arc<Orders>,
    writer: Writer,
}

impl Rig {
    fn new(path: &Path) -> Self {
        // Of the time of what is written here: else upkeep deletes it as too old.
        let clock = Arc::new(ManualClock::at(START));
        let flow = Flow::new(clock, "here", 900_000, 1_000_000, Names::default());
        let store = Store::open(path, "here", Arc::clone(&flow.registry)).expect("opens");
        let orders = Arc::new(Orders::default());
        let settings = WriterSettings {
            flow: flow.clone(),
            rested: || {},
            orders: Arc::clone(&orders),
            inbox_every: Duration::from_secs(3_600),
        };
        let writer = Writer::spawn(store, None, settings, ()).expect("a thread");
        Self { flow, orders, writer }
    }

    fn beat(&self, n: i64) {
        let identity = Identity::local("node", "load", Labels::default());
        let series = self.flow.registry.intern(Series::undescribed(identity));
        self.flow.queue.push(Batch::of(Source::Collect, START + n, vec![(series, n as f64)]));
    }

    fn now(&self, ops: Vec<AlertOp>) -> bool {
        let (done, in_file) = sync_channel(1);
        self.orders.alerts_now(ops, Some(done));
        self.flow.queue.nudge();
        in_file.recv_timeout(Duration::from_secs(30)).is_ok()
    }

    fn end(self) {
        self.flow.queue.close();
        assert_eq!(self.writer.join().expect("no panic"), 0);
    }
}

#[test]
fn who_waits_hears_it_when_it_is_in_the_file_and_the_rest_goes_with_the_next_commit() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let rig = Rig::new(&path);
    let read = || Reader::open(&path).expect("opens").alerts().expect("reads");
    assert!(rig.now(vec![AlertOp::Put(alert(1, None)), AlertOp::Note(note(1))]));
    assert_eq!((read().open.len(), read().outbox.len()), (1, 1));
    // A pass that told nobody costs no commit of its own.
    for n in 0..100 {
        rig.orders.alerts([AlertOp::Put(alert(2, None)), AlertOp::JudgedUntil(START + n)]);
    }
    assert_eq!(read().judged_until, None);
    rig.beat(1);
    let deadline = Instant::now() + Duration::from_secs(30);
    while read().judged_until.is_none() {
        assert!(Instant::now() < deadline, "it goes with the samples");
        std::thread::yield_now();
    }
    assert_eq!((read().open.len(), read().judged_until), (2, Some(START + 99)));
    // No sample waits for one.
    for n in 0..5 {
        rig.beat(2 + n);
        assert!(rig.now(vec![AlertOp::JudgedUntil(START + 200 + n)]));
    }
    let samples = "SELECT CAST(count(*) AS TEXT) FROM samples";
    while column(&path, samples) != ["6"] {
        assert!(Instant::now() < deadline, "no sample is left behind");
        std::thread::yield_now();
    }
    // What waits at the end is not lost.
    rig.orders.alerts([AlertOp::Put(alert(3, None))]);
    rig.end();
    assert_eq!(read().open.len(), 3);
}

/// A beat's samples are committed at most once a second; what somebody has to be told is not put off by
/// that.
#[test]
fn alone_an_urgent_order_does_not_wait_for_the_distance_between_commits() {
    let dir = tempfile::tempdir().expect("a folder");
    let rig = Rig::new(&dir.path().join("m.sqlite"));
    assert!(rig.now(vec![AlertOp::JudgedUntil(0)]));
    let before = Instant::now();
    for n in 0..5 {
        rig.beat(n);
        assert!(rig.now(vec![AlertOp::JudgedUntil(n)]));
    }
    let took = before.elapsed();
    rig.end();
    assert!(took < Duration::from_secs(2), "{took:?}; a second apart they would take four");
}

#[test]
fn what_cannot_be_written_waits_in_its_order() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let rig = Rig::new(&path);
    assert!(rig.now(vec![AlertOp::JudgedUntil(1)]));
    let other = Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let (done, in_file) = sync_channel(1);
    rig.orders.alerts_now(everything(), Some(done));
    rig.flow.queue.nudge();
    let deadline = Instant::now() + Duration::from_secs(30);
    while rig.flow.counters.commit_errors.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        assert!(Instant::now() < deadline, "the commit fails");
        std::thread::yield_now();
    }
    assert!(in_file.try_recv().is_err(), "nobody is told that it is there");
    other.execute_batch("ROLLBACK").expect("the lock is gone");
    in_file.recv_timeout(Duration::from_secs(30)).expect("it is written");
    rig.end();
    let found = open(&path).alerts().expect("reads");
    // Messages and silences of years ago may be gone already: upkeep ran while the writer waited.
    let (told, silences) = (found.told.clone(), found.silences.clone());
    assert_eq!(found, AlertStore { told, silences, ..expected() });
}
