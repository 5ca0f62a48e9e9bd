//! store: `max_size` is a promise, whatever comes in whatever order, and history that would fit stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Event, Field, Graph, Identity, Labels, Registry, Series, SeriesRef};
use crate::pipeline::{Batch, Full, Names, Source};
use crate::store::{Limits, Reader, Store, Times, sizes};

const START: i64 = 1_700_006_400_000; // a midnight
const CAP: u64 = 16 << 20;

struct Rig {
    _dir: tempfile::TempDir,
    path: PathBuf,
    store: Store,
    registry: Arc<Registry>,
    names: Arc<Names>,
    now: i64,
    noise: u64,
}

fn open(path: &Path, names: &Arc<Names>, registry: &Arc<Registry>) -> Store {
    let mut store = Store::open(path, "here", Arc::clone(registry)).expect("opens");
    store.set_limits(Limits { max_size: CAP, ..Limits::default() });
    store.share_names(Arc::clone(names));
    store
}

fn rig() -> Rig {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let dir = dir.expect("a folder");
    let path = dir.path().join("metrics.sqlite");
    let (names, registry) = (Arc::new(Names::default()), Arc::new(Registry::default()));
    let store = open(&path, &names, &registry);
    Rig { _dir: dir, path, store, registry, names, now: START, noise: 1 }
}

impl Rig {
    fn random(&mut self) -> u64 {
        self.noise = self.noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.noise >> 16
    }

    /// The process ends and another begins.
    fn restart(&mut self) {
        (self.names, self.registry) = (Arc::new(Names::default()), Arc::new(Registry::default()));
        let elsewhere = self.path.with_file_name("elsewhere.sqlite");
        // The lock is given up first.
        self.store = open(&elsewhere, &self.names, &self.registry);
        self.names = Arc::new(Names::default());
        self.store = open(&self.path, &self.names, &self.registry);
    }

    fn series(&self, identity: Identity) -> SeriesRef {
        self.registry.intern(Series::undescribed(identity))
    }

    fn commit(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
    ) -> crate::store::Written {
        let written = self.store.commit_all(batches, events, graphs).expect("commits");
        self.store.checkpoint().expect("checkpoint");
        self.check("after a commit");
        let now = Times { wall: self.now, boot: self.now - START };
        for _ in 0..400 {
            let more = self.store.upkeep(now, Duration::ZERO).expect("upkeep");
            self.store.checkpoint().expect("checkpoint");
            if !more {
                break;
            }
        }
        self.check("after upkeep");
        written
    }

    fn bytes(&self) -> u64 {
        sizes(&self.path).iter().map(|(_, bytes)| bytes).sum()
    }

    fn check(&self, when: &str) {
        let bytes = self.bytes();
        assert!(bytes <= CAP + CAP / 10, "{bytes} {when} at {}", (self.now - START) / 1000);
    }

    fn count(&self, sql: &str) -> i64 {
        let conn = rusqlite::Connection::open(&self.path).expect("opens");
        conn.query_row(sql, [], |r| r.get(0)).expect("counts")
    }

    /// A beat of this machine's own collectors.
    fn beat(&mut self) {
        self.now += 1_000;
        let samples = (0..200)
            .map(|i| {
                let own = Identity::local("node", &format!("own{i}"), Labels::default());
                (self.series(own), self.random() as f64)
            })
            .collect();
        let written = self.commit(&[Batch::of(Source::Collect, self.now, samples)], &[], &[]);
        assert_eq!(written.samples[Source::Collect as usize], 200, "own names are never refused");
    }

    /// New names of so many bytes in labels, as the intake lets them in.
    fn names(&mut self, how_many: usize, long: usize) -> usize {
        let mut samples = Vec::new();
        for _ in 0..how_many {
            let n = self.random();
            let labels = (0..1 + long / 900)
                .map(|l| (format!("l{l}"), format!("{n}{}", "x".repeat(long.min(900)))));
            let identity =
                Identity::local("json", "pushed", Labels::new(labels.collect::<Vec<_>>()));
            let identity = Identity { system: Some(format!("web{}", n % 3).into()), ..identity };
            if self.names.take(&identity, 1, 0).is_ok() {
                samples.push((self.series(identity), n as f64));
            }
        }
        let taken = samples.len();
        let written = self.commit(&[Batch::of(Source::Json, self.now, samples)], &[], &[]);
        assert_eq!(written.nameless, [0; Source::ALL.len()], "what was let in has room");
        taken
    }

    fn events(&mut self, how_many: usize) -> u64 {
        let events: Vec<Event> = (0..how_many)
            .map(|i| Event {
                ts: self.now,
                system: Some(format!("host{}", self.random()).into()),
                kind: "event",
                level: "info",
                title: format!("flood {i}").into(),
                text: "€".repeat(4_000).into(),
                tags: Labels::new((0..63).map(|l| (format!("t{l}"), "v".repeat(700)))),
                priority: "normal",
                source: "statsd".into(),
            })
            .collect();
        self.commit(&[], &events, &[]).events_refused
    }

    fn graphs(&mut self, how_many: usize) -> u64 {
        let graphs: Vec<Graph> = (0..how_many)
            .map(|_| Graph {
                id: format!("munin/{}", self.random()).into(),
                info: "i".repeat(3_000).into(),
                fields: vec![Field { info: "f".repeat(2_000).into(), ..Field::default() }; 3],
                ..Graph::default()
            })
            .collect();
        self.commit(&[], &[], &graphs).graphs_refused
    }

    fn samples(&mut self, how_many: usize) {
        let Some(known) = self.registry.all().last().map(|(number, _)| *number) else {
            return;
        };
        let samples = (0..how_many).map(|_| (known, self.random() as f64)).collect();
        let times = (0..how_many as i64).map(|i| self.now - i).collect();
        let batch = Batch { times, ..Batch::of(Source::Json, self.now, samples) };
        self.commit(&[batch], &[], &[]);
    }
}

#[test]
fn floods_in_any_order_stay_within_the_bound() {
    for seed in 1..3 {
        let mut rig = rig();
        rig.noise = seed;
        for _ in 0..80 {
            match rig.random() % 8 {
                0 => drop(rig.names(40, 60_000)),
                1 => drop(rig.names(2_000, 100)),
                2 => drop(rig.events(30)),
                3 => drop(rig.graphs(50)),
                4 => rig.samples(40_000),
                5 if rig.random().is_multiple_of(4) => rig.restart(),
                _ => (0..5).for_each(|_| rig.beat()),
            }
        }
        let conn = rusqlite::Connection::open(&rig.path).expect("opens");
        let of = |names: &str| -> i64 {
            let sql =
                format!("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name IN ({names})");
            conn.query_row(&sql, [], |r| r.get(0)).expect("counts")
        };
        let names = of("'series_dict', 'sqlite_autoindex_series_dict_1', 'series_by_key'") as u64;
        let events = of("'events', 'events_by_time'") as u64;
        let graphs = of("'graph_dict', 'field_dict', 'sqlite_autoindex_graph_dict_1'") as u64;
        assert!(names <= CAP / 8 + CAP / 32, "{names}");
        assert!(events <= CAP / 32 + CAP / 64, "{events}");
        assert!(graphs <= CAP / 32 + CAP / 64, "{graphs}");
        assert_eq!(rig.store.oversize().expect("answers"), None);
    }
}

#[test]
fn what_is_refused_deletes_nothing() {
    let mut rig = rig();
    for _ in 0..300 {
        rig.beat();
    }
    let rows = "SELECT (SELECT count(*) FROM samples)";
    let before = rig.count(rows);
    let oldest = rig.count("SELECT min(ts) FROM samples");
    let mut taken = 0;
    for _ in 0..100 {
        taken += rig.names(50, 60_000);
        rig.events(60);
        rig.graphs(100);
    }
    assert!((5..40).contains(&taken), "of 5,000 names of 250 kB: {taken}");
    assert!(matches!(rig.names.refused().1, Some(Full::File(..) | Full::Memory(..))));
    assert_eq!(rig.count(rows), before + taken as i64, "no sample is gone");
    assert_eq!(rig.count("SELECT min(ts) FROM samples"), oldest);
    assert!(rig.count("SELECT count(*) FROM events") > 2, "the newest events are there");
    assert!(rig.count("SELECT count(*) FROM graph_dict") > 10);
    assert!(rig.count("SELECT count(*) FROM system_dict") <= 1_000);
    // What goes past the intake is held up by the store itself: a plugin's names.
    let samples: Vec<_> = (0..50)
        .map(|i| {
            let labels = Labels::new([("l", format!("{i}{}", "x".repeat(20_000)))]);
            (rig.series(Identity::local("munin", "p", labels)), 1.0)
        })
        .collect();
    let batch = [Batch::of(Source::Plugin, rig.now, samples)];
    let written = rig.commit(&batch, &[], &[]);
    assert!(written.nameless[Source::Plugin as usize] > 45, "{written:?}");
    let again = rig.commit(&batch, &[], &[]);
    assert_eq!(again.nameless, written.nameless);
    // With a larger file they are let in.
    rig.store.set_limits(Limits { max_size: 8 * CAP, ..Limits::default() });
    let written = rig.store.commit(&batch).expect("commits");
    assert_eq!(written.nameless, [0; Source::ALL.len()]);
}

#[test]
fn what_plimsoll_itself_saw_outlives_a_flood_of_events() {
    let mut rig = rig();
    let start = Event {
        ts: START,
        system: None,
        kind: "start",
        level: "info",
        title: "started".into(),
        text: "".into(),
        tags: Labels::default(),
        priority: "normal",
        source: "plimsoll".into(),
    };
    let lost = Event { ts: i64::MAX, ..start.clone() };
    assert_eq!(rig.commit(&[], &[start, lost], &[]).events_refused, 1, "no such time");
    for _ in 0..50 {
        rig.events(60);
    }
    assert_eq!(rig.count("SELECT count(*) FROM events WHERE kind = 'start'"), 1);
}

#[test]
fn a_file_of_names_alone_keeps_history_and_says_so() {
    let mut rig = rig();
    for _ in 0..60 {
        rig.beat();
    }
    // From a plimsoll that had no bound on names.
    let conn = rusqlite::Connection::open(&rig.path).expect("opens");
    conn.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO series_dict (system_id, job, name, labels, key, kind, unit, help)
         SELECT 1, 'json', 'n' || i, printf('{\"a\":\"%d%.*c\"}', i, 60000, 'x'),
                printf('n%d{a=\"%d%.*c\"}', i, i, 60000, 'x'), 'gauge', '', '' FROM n",
        [],
    )
    .expect("inserted");
    drop(conn);
    let before = rig.count("SELECT count(*) FROM samples");
    rig.names = Arc::new(Names::default());
    rig.store.share_names(Arc::clone(&rig.names));
    let bytes = rig.bytes();
    assert!(bytes > CAP + CAP / 4, "{bytes}");
    let now = Times { wall: rig.now, boot: rig.now - START };
    rig.store.compact(now).expect("compacts");
    assert_eq!(rig.count("SELECT count(*) FROM samples"), before);
    let why = rig.store.oversize().expect("answers").expect("a reason");
    assert!(
        why.contains("names and descriptions of series take") && why.contains("max_size"),
        "{why}"
    );
    // Known ones go on, new ones are refused, and what is measured here is still bounded.
    let known =
        Identity::local("json", "n7", Labels::new([("a", format!("7{}", "x".repeat(60_000)))]));
    assert!(rig.names.take(&known, 1, 0).is_ok());
    let new = Identity::local("json", "new", Labels::default());
    assert!(matches!(rig.names.take(&new, 1, 0), Err(Full::File(..))));
    let bound = rig.bytes() + CAP;
    for _ in 0..3_000 {
        rig.now += 1_000;
        let own = |i| Identity::local("node", &format!("own{i}"), Labels::default());
        let samples = (0..200).map(|i| (rig.series(own(i)), rig.now as f64 * 1.1)).collect();
        rig.store.commit(&[Batch::of(Source::Collect, rig.now, samples)]).expect("commits");
        let now = Times { wall: rig.now, boot: rig.now - START };
        while rig.store.upkeep(now, Duration::ZERO).expect("upkeep") {
            rig.store.checkpoint().expect("checkpoint");
        }
        assert!(rig.bytes() <= bound, "{}", rig.bytes());
    }
    assert!(rig.count("SELECT count(*) FROM samples") > 1_000);
    // A larger bound ends it.
    rig.store.set_limits(Limits { max_size: 16 * CAP, ..Limits::default() });
    assert_eq!(rig.store.oversize().expect("answers"), None);
}

#[test]
fn an_estimate_of_a_name_is_about_what_it_takes() {
    for long in [10, 60, 150, 400, 1_100, 5_000, 60_000] {
        let mut rig = rig();
        rig.store.set_limits(Limits::default());
        let how_many = if long > 2_000 { 100 } else { 3_000 };
        let samples = (0..how_many)
            .map(|_| {
                let n = rig.random();
                let labels = Labels::new([("l", format!("{n:x}{}", "x".repeat(long)))]);
                (rig.series(Identity::local("json", "pushed", labels)), 1.0)
            })
            .collect();
        rig.store.commit(&[Batch::of(Source::Json, START, samples)]).expect("commits");
        let taken = rig.count(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN
             ('series_dict', 'sqlite_autoindex_series_dict_1', 'series_by_key')",
        );
        let (held, conn) = rig.store.held();
        let said = held.names(conn).expect("counts").0;
        let share = said as f64 / taken as f64;
        assert!((0.95..1.5).contains(&share), "labels of {long}: {said} for {taken}");
    }
}

/// Rows that get past the trigger: written into the table itself, by an older file's trigger, or with
/// the checks switched off.
#[test]
fn no_row_of_the_inbox_stops_the_writer() {
    let mut rig = rig();
    let conn = rusqlite::Connection::open(&rig.path).expect("opens");
    conn.execute_batch("PRAGMA ignore_check_constraints = ON").expect("set");
    let put = |key: &str, value: &str, ts: &str| {
        let sql = format!("INSERT INTO inbox (key, value, ts) VALUES ({key}, {value}, {ts})");
        conn.execute_batch(&sql).expect("inserted");
    };
    put("'good'", "1.0", "1700006400000");
    for (key, value, ts) in [
        ("CAST(x'746d70e9' AS TEXT)", "1.0", "0"),
        ("CAST(x'00' AS TEXT)", "1.0", "0"),
        ("'e' || char(0) || printf('%.*c', 3000000, 'A')", "1.0", "0"),
        ("'a' || char(27) || '[2J'", "1.0", "0"),
        ("'two' || char(10) || 'lines'", "1.0", "0"),
        ("printf('%.*c', 201, 'n')", "1.0", "0"),
        ("printf('%.*c', 1001, 'n')", "1.0", "0"),
        ("x'6b6579'", "1.0", "0"),
        ("''", "1.0", "0"),
        ("NULL", "1.0", "0"),
        ("'v'", "'nan'", "0"),
        ("'v'", "x'7ff8000000000000'", "0"),
        ("'v'", "NULL", "0"),
        ("'v'", "1.0", "'2026-11-30'"),
        ("'v'", "1.0", "NULL"),
        ("'v'", "1.0", "9223372036854775807"),
        ("'v'", "1.0", "-9223372036854775808"),
        ("'v'", "1.0", "1.5"),
    ] {
        put(key, value, ts);
    }
    put("'good'", "2.0", "1700006401000");
    let found: Vec<String> = Reader::open(&rig.path)
        .expect("opens")
        .examine(rig.now)
        .into_iter()
        .filter(|f| f.check == "inbox")
        .flat_map(|f| f.wrong)
        .collect();
    assert!(found.iter().any(|w| w.contains("not UTF-8")), "{found:?}");
    let written = rig.store.commit(&[]).expect("nothing of it stops a commit");
    assert_eq!((written.samples[Source::Sql as usize], written.invalid), (2, 18));
    assert_eq!(rig.count("SELECT count(*) FROM inbox"), 0);
    assert_eq!(rig.count("SELECT count(*) FROM samples"), 2);
}

#[test]
fn the_trigger_refuses_what_would_be_thrown_away() {
    let rig = rig();
    let conn = rusqlite::Connection::open(&rig.path).expect("opens");
    let insert = |key: &str| {
        conn.execute_batch(&format!("INSERT INTO metrics (key, value) VALUES ({key}, 1)"))
    };
    for key in ["'cpu'", "'disk_/hömé'", "'m{a=\"€ 😀\"}'", "printf('%.*c', 200, 'n')"] {
        insert(key).expect(key);
    }
    for key in [
        "CAST(x'746d70e9' AS TEXT)",
        "CAST(x'80' AS TEXT)",
        "CAST(x'c080' AS TEXT)",
        "CAST(x'eda080' AS TEXT)",
        "CAST(x'f4908080' AS TEXT)",
        "'e' || char(0) || printf('%.*c', 100000, 'A')",
        "'e' || char(0) || 'A'",
        "'a' || char(27) || '[2J'",
        "'a' || char(10)",
        "'a' || char(155) || 'c'",
        "x'41'",
        "''",
        "NULL",
    ] {
        let why = insert(key).expect_err(key).to_string();
        assert!(why.contains("plimsoll: the key must be"), "{key}: {why}");
    }
    assert_eq!(rig.count("SELECT count(*) FROM inbox"), 4);
}

#[test]
fn samples_that_are_sent_again_and_again_do_not_shut_senders_out() {
    let mut rig = rig();
    let series: Vec<SeriesRef> = (0..5_000)
        .map(|i| rig.series(Identity::local("json", &format!("k{i}"), Labels::default())))
        .collect();
    // Upkeep counts the rows that are there.
    rig.commit(&[Batch::of(Source::Json, rig.now, vec![(series[0], 1.0)])], &[], &[]);
    // A sender that repeats itself: ten thousand samples, of which half are rows.
    for _ in 0..60 {
        let samples = (0..10_000).map(|i| (series[i % 5_000], i as f64)).collect();
        rig.store.commit(&[Batch::of(Source::Json, rig.now, samples)]).expect("commits");
    }
    assert!(
        rig.store.rows_are_full(0).expect("reads"),
        "the count is too high: the test shows something"
    );
    let now = Times { wall: rig.now, boot: rig.now };
    for _ in 0..50 {
        rig.store.upkeep(now, Duration::from_millis(25)).expect("works");
    }
    assert!(!rig.store.rows_are_full(0).expect("reads"), "there are five thousand rows");
}
