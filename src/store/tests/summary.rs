//! store: the buckets of charts against the samples themselves.

use std::sync::Arc;

use crate::model::{Identity, Labels, Past, Registry, Series, Stretch};
use crate::store::keep::stretch::FIVE_MINUTES_MS;
use crate::store::{Limits, Reader, Store, Summary, Times, Want, prepare};

pub(super) const START: i64 = 1_700_000_100_000;
pub(super) const HOUR: i64 = 3_600_000;
pub(super) const LENGTH: i64 = 60 * HOUR;

/// Two and a half days of one sample every 7 s, with a gap, of which the newest hours are not
/// rolled up and some older ones have to be rolled up again.
pub(super) fn store(dir: &std::path::Path) -> Store {
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&dir.join("m.sqlite"), "here", registry).expect("opens");
    let gap = START + 20 * HOUR..START + 23 * HOUR;
    let rows = (START..START + LENGTH).step_by(7_000).enumerate().map(|(i, ts)| {
        let value = if i % 50 == 7 { f64::NAN } else { ((i * 7919) % 1009) as f64 };
        ("s", ts, value)
    });
    store.import(rows.filter(|(_, ts, _)| !gap.contains(ts))).expect("commits");
    let now = Times { wall: START + LENGTH, boot: LENGTH };
    store.compact(now).expect("compacts");
    let late = (0..20).map(|i| ("s", START + 30 * HOUR + i * 1_234, 5_000.0));
    store.import(late).expect("commits");
    // Sealed and listed to be rolled up again, which is as far as it comes.
    while store.conn().query_row("SELECT count(*) FROM late", [], |r| r.get::<_, i64>(0)) != Ok(0) {
        store.compact_step(now).expect("a step");
    }
    store
}

#[test]
fn a_chart_of_rollups_says_what_the_samples_say() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let dirty = "SELECT count(*) FROM dirty";
    let dirty: i64 = store.conn().query_row(dirty, [], |r| r.get(0)).expect("a number");
    assert!(dirty > 0, "nothing to be made again: the test shows less than it should");
    let path = dir.path().join("m.sqlite");
    check_all(&path, &store);
    // Whether hours are read at all where they may be: they say so.
    store.conn().execute("UPDATE rollup_1h SET sum = sum + 1000", []).expect("updated");
    let reader = Reader::open(&path).expect("opens");
    let sum = |points| -> f64 {
        let all = reader.summary(1, START, START + LENGTH, points, Want::Mean).expect("reads");
        all.iter().map(|b| b.sum).sum()
    };
    let (hours, finer) = (sum(30), sum(100));
    assert!((20_000.0..60_000.0).contains(&(hours - finer)), "{hours} {finer}");
    store.conn().execute("UPDATE rollup_1h SET sum = sum - 1000", []).expect("updated");
    // Hours that went for want of room, and an older one that a late sample made since.
    let gone = START + 25 * HOUR;
    let hours = format!(
        "DELETE FROM rollup_1h WHERE ts > (SELECT min(ts) FROM rollup_1h) AND ts < {gone};
         INSERT INTO state (name, value) VALUES ('hours_gone', {gone})"
    );
    store.conn().execute_batch(&hours).expect("deleted");
    check_all(&path, &store);
    // Rollups that are gone by age, of samples that are kept for longer.
    let gone = "DELETE FROM blocks WHERE resolution > 0";
    assert!(store.conn().execute(gone, []).expect("deleted") > 0);
    check_all(&path, &store);
}

fn check_all(path: &std::path::Path, store: &Store) {
    for reader in [
        Reader::open(path).expect("opens"),
        Reader::open(path).expect("opens").with_head(store.head()),
    ] {
        let late = (START + 29 * HOUR + 77, START + 59 * HOUR + 12_345);
        for ((from, to), points, width) in [
            ((START, START + LENGTH), 100, 7 * FIVE_MINUTES_MS),
            ((START - HOUR, START + LENGTH + HOUR), 30, 2 * HOUR),
            (late, 200, FIVE_MINUTES_MS),
            // 3.75 hours; 4.29; 1.07.
            (late, 8, 45 * FIVE_MINUTES_MS),
            (late, 7, 4 * HOUR),
            (late, 28, HOUR),
            ((START + 50 * HOUR, START + 51 * HOUR), 500, 7_200),
            ((START, START + LENGTH), 0, LENGTH),
        ] {
            check(&reader, (from, to), points, width);
        }
        assert_eq!(reader.summary(1, START, START, 10, Want::All).expect("reads"), []);
    }
}

fn check(reader: &Reader, (from, to): (i64, i64), points: u32, width: i64) {
    let got = reader.summary(1, from, to, points, Want::All).expect("reads");
    let mean = reader.summary(1, from, to, points, Want::Mean).expect("reads");
    let band = reader.summary(1, from, to, points, Want::Band).expect("reads");
    let edges = |all: &[Summary]| all.iter().map(|b| (b.sum, b.min, b.max)).collect::<Vec<_>>();
    assert_eq!(edges(&got), edges(&band));
    assert_eq!(
        got.iter().map(|b| (b.start, b.count, b.sum)).collect::<Vec<_>>(),
        mean.iter().map(|b| (b.start, b.count, b.sum)).collect::<Vec<_>>()
    );
    // As far as whole ones reach of what the buckets are made of.
    let of = [HOUR, FIVE_MINUTES_MS, 1];
    let of = of.into_iter().find(|of| width % of == 0).expect("1 fits");
    let (from, to) = (from - from % of, to + (of - to % of) % of);
    let (ts, values) = reader.samples(1, from, to - 1).expect("reads");
    let mut want: Vec<Summary> = Vec::new();
    for (ts, v) in ts.into_iter().zip(values).filter(|(_, v)| !v.is_nan()) {
        let start = ts - ts % width;
        match want.last_mut().filter(|b| b.start == start) {
            Some(b) => {
                b.count += 1;
                b.sum += v;
                b.min = b.min.min(v);
                b.max = b.max.max(v);
                b.last = v;
            }
            None => want.push(Summary {
                start,
                count: 1,
                sum: v,
                min: v,
                max: v,
                last: v,
                last_ts: start,
                lost: 0.0,
            }),
        }
    }
    assert!(!want.is_empty());
    assert!(got.iter().all(|b| (b.start..=b.start + width).contains(&b.last_ts)));
    let got: Vec<Summary> = got.into_iter().map(|b| Summary { last_ts: b.start, ..b }).collect();
    assert_eq!(got, want, "{from} to {to} in {points}");
    assert!(got.len() <= points.max(1) as usize * 2 + 1);
}

#[test]
fn a_counters_increase_is_whole_over_resets_samples_and_rollups() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "here", registry).expect("opens");
    let (from, to) = (START, START + 30 * HOUR);
    // The counter grows by 3 a sample and begins again every 1,000 samples, at 3.
    let rows: Vec<(i64, f64)> = (from..to)
        .step_by(10_000)
        .enumerate()
        .map(|(i, ts)| (ts, (i % 1_000 + 1) as f64 * 3.0))
        .collect();
    store.import(rows.iter().map(|(ts, v)| ("a_total", *ts, *v))).expect("commits");
    store.compact(Times { wall: to, boot: to - from }).expect("compacts");
    let reader = Reader::open(&path).expect("opens").with_head(store.head());
    for points in [30 * 360, 1_000, 60, 7] {
        let got = reader.summary(1, from, to, points, Want::Counter).expect("reads");
        let increase: f64 = got.windows(2).map(|w| w[1].last - w[0].last + w[1].lost).sum();
        let first = got[0].last + got[0].lost;
        assert_eq!(first + increase, rows.len() as f64 * 3.0, "{points}");
        assert_eq!(got.last().map(|b| b.last), rows.last().map(|r| r.1));
    }
}

#[test]
fn when_a_counter_last_grew_before_a_gap_is_known_to_five_minutes() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = Store::open(&path, "here", Arc::new(Registry::default())).expect("opens");
    let from = START - START.rem_euclid(HOUR);
    let gap = from + 20 * HOUR + 11 * 60_000..from + 26 * HOUR;
    let rows = (from..from + 48 * HOUR).step_by(10_000).filter(|ts| !gap.contains(ts));
    store.import(rows.map(|ts| ("a_total", ts, (ts - from) as f64))).expect("commits");
    let now = from + 48 * HOUR;
    store.compact(Times { wall: now, boot: 48 * HOUR }).expect("compacts");
    let reader = Reader::open(&path).expect("opens");
    let got = reader.summary(1, from, now, 24, Want::Counter).expect("reads");
    let before = got.iter().find(|b| b.start == from + 20 * HOUR).expect("half a bucket");
    let off = before.last_ts - gap.start;
    assert!(off.abs() < FIVE_MINUTES_MS, "{off} ms");
}

#[test]
fn imported_days_are_not_one_hour_each_where_hours_would_do() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = Store::open(&path, "here", Arc::new(Registry::default())).expect("opens");
    let day = 24 * HOUR;
    let from = START - START.rem_euclid(day);
    let (days, now) = (30, from + 40 * day);
    store.set_limits(Limits { raw_ms: 5 * day, ..Limits::default() });
    let mut history = store.begin_history(now).expect("begins");
    let series = Series::undescribed(Identity::local("import", "s", Labels::default()));
    let place = history.places(&[series]).expect("a place")[0];
    let mean: Vec<f64> = (0..days).map(|n| n as f64).collect();
    let stretch = Stretch {
        span: day,
        first_end: from + day,
        until: i64::MAX,
        min: mean.clone(),
        max: mean.clone(),
        mean,
    };
    let past = Past { stretches: vec![stretch], step: 300_000, anchor: None };
    history.put(&prepare(vec![(place, past)]).expect("something")).expect("is put");
    drop(history);
    let own = (from + 31 * day..now).step_by(60_000);
    store.import(own.map(|ts| ("s", ts, 100.0))).expect("commits");
    store.compact(Times { wall: now, boot: 40 * day }).expect("compacts");
    let reader = Reader::open(&path).expect("opens");
    let got = reader.summary(1, from, now, 40 * 3, Want::Mean).expect("reads");
    let (imported, own) = got.split_at(got.partition_point(|b| b.start < from + 30 * day));
    assert_eq!(imported.len(), 90, "three buckets a day");
    for bucket in imported {
        assert_eq!(bucket.mean(), ((bucket.start - from) / day) as f64);
    }
    assert_eq!(own.len(), 27);
    assert!(own.iter().all(|b| (b.count, b.mean()) == (8 * 60, 100.0)), "{own:?}");
}

#[test]
fn where_a_sample_makes_a_bucket_all_parts_are_that_sample() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut store = Store::open(&path, "here", Arc::new(Registry::default())).expect("opens");
    let from = START - START.rem_euclid(HOUR);
    let to = from + 60 * HOUR;
    let value = |ts: i64| (ts / 300_000 % 97) as f64 * 1.5;
    let rows = (from..to).step_by(300_000).map(|ts| ("a", ts, value(ts)));
    store.import(rows).expect("commits");
    store.compact(Times { wall: to, boot: to - from }).expect("compacts");
    let reader = Reader::open(&path).expect("opens").with_head(store.head());
    for want in [Want::Mean, Want::Band, Want::All] {
        let got = reader.summary(1, from, to, 60, want).expect("reads");
        assert_eq!(got.len(), 60);
        for bucket in got {
            let here: Vec<f64> =
                (bucket.start..bucket.start + HOUR).step_by(300_000).map(value).collect();
            assert_eq!((bucket.count, bucket.sum), (12, here.iter().sum()));
            if want != Want::Mean {
                assert_eq!(bucket.min, here.iter().copied().fold(f64::INFINITY, f64::min));
                assert_eq!(bucket.max, here.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            }
            if want == Want::All {
                assert_eq!(Some(&bucket.last), here.last());
            }
        }
    }
}

#[test]
fn where_finer_rollups_and_samples_are_gone_the_hours_serve() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let path = dir.path().join("m.sqlite");
    let ask = |from: i64, to: i64, want| {
        let reader = Reader::open(&path).expect("opens");
        let finest = reader.finest(1, from).expect("reads");
        let points = u32::try_from((to - from) / finest.max(FIVE_MINUTES_MS)).expect("few");
        (finest, reader.summary(1, from, to, points, want).expect("reads"))
    };
    let begin = START - START.rem_euclid(HOUR) + HOUR;
    let (from, to) = (begin, begin + 10 * HOUR);
    let hourly = |want| {
        let reader = Reader::open(&path).expect("opens");
        reader.summary(1, from, to, 10, want).expect("reads")
    };
    assert_eq!(ask(from, to, Want::All).0, 1, "samples are there");
    let (all, counter) = (hourly(Want::All), hourly(Want::Counter));
    assert_eq!(all.len(), 10);
    // As when all of it is too old: first the samples, then five minutes of the older half.
    let gone = format!(
        "DELETE FROM samples; DELETE FROM blocks WHERE resolution = 0;
         INSERT OR REPLACE INTO state (name, value) VALUES ('pruned_until', {})",
        START + 2 * LENGTH
    );
    store.conn().execute_batch(&gone).expect("deleted");
    let (finest, fine) = ask(from, to, Want::All);
    assert_eq!((finest, fine.len()), (FIVE_MINUTES_MS, 120));
    store.conn().execute_batch("DELETE FROM blocks WHERE resolution > 0").expect("deleted");
    assert_eq!(ask(from, to, Want::All), (HOUR, all));
    assert_eq!(ask(from, to, Want::Counter).1, counter);
    assert_eq!(ask(from - 50 * HOUR, from - 40 * HOUR, Want::All).1, []);
}
