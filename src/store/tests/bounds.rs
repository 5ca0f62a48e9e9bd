//! store: the bounds of age and of bytes, clocks that jump, and the values of hours.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Identity, Labels, Registry, Series, SeriesRef};
use crate::pipeline::{Batch, Source};
use crate::store::{Cell, Limits, Reader, Store, Times, sizes};

pub(super) const START: i64 = 1_700_006_400_000; // a midnight
const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24 * HOUR;

pub(super) struct Rig {
    _dir: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) store: Store,
    series: Vec<SeriesRef>,
}

pub(super) fn rig(names: &[String], limits: Limits) -> Rig {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let dir = dir.expect("a folder");
    let path = dir.path().join("metrics.sqlite");
    let registry = Arc::new(Registry::default());
    let series = names
        .iter()
        .map(|n| {
            let identity = Identity::local("node", n, Labels::default());
            registry.intern(Series::undescribed(identity))
        })
        .collect();
    let mut store = Store::open(&path, "here", registry).expect("opens");
    store.set_limits(limits);
    Rig { _dir: dir, path, store, series }
}

impl Rig {
    fn write(&mut self, ts: i64, values: impl Fn(usize) -> f64) {
        let samples = self.series.iter().enumerate().map(|(i, s)| (*s, values(i))).collect();
        self.store.commit(&[Batch::of(Source::Collect, ts, samples)]).expect("commits");
    }

    fn upkeep(&mut self, now: i64) {
        let now = Times { wall: now, boot: now - START };
        while self.store.upkeep(now, Duration::ZERO).expect("upkeep") {
            self.store.checkpoint().expect("checkpoint");
        }
    }

    fn ask(&self, sql: &str) -> Vec<Vec<Cell>> {
        let mut rows = Vec::new();
        let each = |row| {
            rows.push(row);
            std::ops::ControlFlow::Continue(())
        };
        Reader::open(&self.path).expect("opens").query(sql, |_| {}, each).expect("answers");
        rows
    }

    fn bytes(&self) -> u64 {
        sizes(&self.path).iter().map(|(_, bytes)| bytes).sum()
    }
}

pub(super) fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("s{i}")).collect()
}

#[test]
fn hours_keep_peaks_and_a_counter_s_increase() {
    let mut rig = rig(&["load".into(), "bytes_total".into()], Limits::default());
    // Two days, one sample a minute; the counter grows by 10 and begins again at noon.
    for minute in 0..2 * 1440i64 {
        let peak = if minute == 95 { 99.0 } else { 1.0 };
        let counter = (minute % 1440 - if minute % 1440 >= 720 { 720 } else { 0 }) * 10;
        rig.write(START + minute * 60_000, |i| if i == 0 { peak } else { counter as f64 });
        if minute % 60 == 0 {
            rig.upkeep(START + minute * 60_000);
        }
    }
    rig.upkeep(START + 3 * DAY);
    let hour =
        rig.ask("SELECT * FROM history WHERE key = 'load' AND timestamp = '2023-11-15 01:00:00'");
    let mean = Cell::Real((59.0 + 99.0) / 60.0);
    assert_eq!(
        hour,
        [[
            Cell::Text("load".into()),
            Cell::Text("2023-11-15 01:00:00".into()),
            Cell::Integer(60),
            Cell::Real(1.0),
            Cell::Real(99.0),
            mean,
            Cell::Real(1.0),
        ]]
    );
    // All increases but the first hour's first sample, and what lies between reset and zero.
    let increase = rig.ask(
        "SELECT sum(last - before + lost), sum(resets), count(*) FROM (
           SELECT last, lost, resets, lag(last) OVER (ORDER BY ts) AS before
           FROM rollup_1h h JOIN series s ON s._id = h.series_id WHERE s.name = 'bytes_total')",
    );
    let first_hour = 590.0;
    let whole_day = 2.0 * 7190.0;
    let all = 2.0 * whole_day - first_hour;
    assert_eq!(increase, [[Cell::Real(all), Cell::Integer(3), Cell::Integer(48)]]);
}

#[test]
fn a_late_peak_reaches_the_hours() {
    let mut rig = rig(&names(3), Limits::default());
    for minute in 0..1440 {
        rig.write(START + minute * 60_000, |i| i as f64);
    }
    rig.upkeep(START + DAY + 3 * HOUR);
    let peak = "SELECT max FROM history WHERE key = 's1' AND timestamp = '2023-11-15 05:00:00'";
    assert_eq!(rig.ask(peak), [[Cell::Real(1.0)]]);
    rig.write(START + 5 * HOUR + 30, |_| 50.0);
    rig.store.compact(Times { wall: START + DAY + 3 * HOUR, boot: DAY }).expect("compacts");
    assert_eq!(rig.ask(peak), [[Cell::Real(50.0)]]);
    let count = "SELECT count FROM history WHERE key = 's1' AND timestamp = '2023-11-15 05:00:00'";
    assert_eq!(rig.ask(count), [[Cell::Integer(61)]]);
}

#[test]
fn age_takes_samples_and_leaves_the_hours() {
    let limits = Limits { raw_ms: 2 * DAY, plain_rows: 0, ..Limits::default() };
    let mut rig = rig(&names(4), limits);
    for minute in 0..6 * 1440 {
        rig.write(START + minute * 60_000, |i| (minute % (7 + i as i64)) as f64);
        if minute % 300 == 0 {
            rig.upkeep(START + minute * 60_000);
        }
    }
    let end = START + 6 * DAY;
    // Retention's clock follows slowly; in the end it has followed.
    for hour in 0..200 {
        rig.store
            .upkeep(Times { wall: end, boot: 7 * DAY + hour * HOUR }, Duration::from_secs(5))
            .expect("upkeep");
    }
    let reader = Reader::open(&rig.path).expect("opens");
    let (ts, _) = reader.samples(1, i64::MIN, i64::MAX).expect("reads");
    let oldest = ts[0];
    assert!((end - 3 * DAY..=end - 2 * DAY).contains(&oldest), "{}", (end - oldest) / HOUR);
    let hours = rig.ask("SELECT count(*) FROM history WHERE key = 's0'");
    assert!(matches!(hours[0][0], Cell::Integer(n) if n >= 6 * 24 - 6), "{hours:?}");
}

#[test]
fn a_sample_for_a_time_that_is_gone_by_age_leaves_the_hours_as_they_are() {
    let limits = Limits { raw_ms: DAY, plain_rows: 0, ..Limits::default() };
    let mut rig = rig(&names(3), limits);
    for minute in 0..1440 {
        rig.write(START + minute * 60_000, |i| i as f64);
    }
    let now = Times { wall: START + 9 * DAY, boot: 9 * DAY };
    rig.store.compact(now).expect("compacts");
    rig.store.compact(now).expect("compacts");
    let raw = "SELECT count(*) FROM blocks WHERE resolution = 0";
    assert_eq!(rig.ask(raw), [[Cell::Integer(0)]], "the samples are gone");
    let hours = rig.ask("SELECT * FROM rollup_1h ORDER BY series_id, ts");
    let fine =
        |rig: &Rig| rig.ask("SELECT hex(data) FROM blocks WHERE resolution = 300000 ORDER BY id");
    let before = fine(&rig);
    rig.write(START + 5 * HOUR + 30, |_| 50.0);
    rig.store.compact(now).expect("compacts");
    assert_eq!(rig.ask("SELECT * FROM rollup_1h ORDER BY series_id, ts"), hours);
    assert_eq!(fine(&rig), before);
    let reader = Reader::open(&rig.path).expect("opens");
    let wrong: Vec<_> = reader.examine(now.wall).into_iter().flat_map(|f| f.wrong).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn plain_rows_that_outlive_their_blocks_are_still_found() {
    let mut rig = rig(&names(2), Limits { raw_ms: DAY, ..Limits::default() });
    for minute in 0..600 {
        rig.write(START + minute * 60_000, |i| i as f64);
    }
    rig.store.compact(Times { wall: START + DAY, boot: DAY }).expect("compacts");
    for day in 2..40 {
        let now = Times { wall: START + 9 * DAY, boot: day * DAY };
        rig.store.upkeep(now, Duration::from_secs(5)).expect("upkeep");
    }
    assert_eq!(rig.ask("SELECT count(*) FROM blocks WHERE resolution = 0"), [[Cell::Integer(0)]]);
    let reader = Reader::open(&rig.path).expect("opens");
    assert_eq!(reader.samples(1, i64::MIN, i64::MAX).expect("reads").0.len(), 600);
}

#[test]
fn a_clock_ten_years_ahead_deletes_nothing() {
    let mut rig = rig(&names(2), Limits { plain_rows: 0, ..Limits::default() });
    for minute in 0..3000 {
        rig.write(START + minute * 60_000, |i| i as f64);
    }
    rig.upkeep(START + 3000 * 60_000);
    let ahead = START + 3650 * DAY;
    rig.write(ahead, |i| i as f64);
    for beat in 0..100 {
        let boot = 3000 * 60_000 + beat * 10_000;
        rig.store.upkeep(Times { wall: ahead, boot }, Duration::from_secs(5)).expect("upkeep");
    }
    let reader = Reader::open(&rig.path).expect("opens");
    assert_eq!(reader.samples(1, i64::MIN, i64::MAX).expect("reads").0.len(), 3001);
}

#[test]
fn the_files_stay_within_their_bound_also_beside_a_reader() {
    const SERIES: usize = 500;
    let cap = 4 << 20;
    let mut rig = rig(&names(SERIES), Limits { max_size: cap, ..Limits::default() });
    let mut noise = 1u64;
    let mut written = 0u64;
    let mut held: Option<Reader> = None;
    let mut stalls = 0;
    for second in 0i64.. {
        if written > 3 * cap {
            break;
        }
        // A reader takes a picture and keeps it for a while, again and again.
        match second % 100 {
            20 => held = Some(Reader::open(&rig.path).expect("opens")),
            21 => held.as_ref().expect("open").hold().expect("a picture"),
            80 => held = None,
            _ => {}
        }
        let now = START + second * 1_000;
        if rig.store.must_wait().expect("checkpoint") {
            // The writer thread waits here; so do we, until the reader goes.
            stalls += 1;
            assert!(held.is_some(), "full without a reader");
            held = None;
            continue;
        }
        noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        rig.write(now, |i| (noise.rotate_left(i as u32) >> 12) as f64);
        written += SERIES as u64 * 16;
        rig.upkeep(now);
        assert!(rig.bytes() <= cap + cap / 10, "{} at {second}", rig.bytes());
    }
    assert!(stalls > 0, "the reader never held the log up: the test shows nothing");
    let newest = rig.ask("SELECT count(*) FROM metrics");
    assert!(matches!(newest[0][0], Cell::Integer(n) if n > 1000), "{newest:?}");
}

/// Rows with values that cannot be packed well, one each ten seconds.
pub(super) fn noise(from: i64, count: i64) -> Vec<(&'static str, i64, f64)> {
    let mut noise = 1u64;
    let value = |i| {
        noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ("old", from + i * 10_000, (noise >> 12) as f64)
    };
    (0..count).map(value).collect()
}

/// A store that is full of history, which nobody may push out.
pub(super) fn full_of_history(cap: u64, series: usize) -> Rig {
    let limits = Limits { raw_ms: i64::MAX / 4, ..Limits::default() };
    let mut rig = rig(&names(series), limits);
    let rows = noise(START - 400 * DAY, cap as i64 / 8);
    let mut import = rig.store.begin_import();
    import.many = 100_000;
    rows.chunks(100_000).for_each(|rows| {
        import.put(rows.iter().copied()).expect("taken");
    });
    import.finish().expect("imported");
    rig.store.set_limits(Limits { max_size: cap, ..limits });
    let now = Times { wall: START, boot: 0 };
    while rig.store.upkeep(now, Duration::ZERO).expect("upkeep") {}
    rig.store.conn().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("emptied");
    rig.store.peak().set(0);
    assert!(rig.bytes() > cap * 3 / 4, "{} of {cap}", rig.bytes());
    rig
}

impl Rig {
    /// What a sender brings at once: of each series as many samples, at distances of `step` ms.
    fn sent(&self, from: i64, count: usize, step: i64) -> Batch {
        let all = self.series.len();
        let samples = (0..count).map(|i| (self.series[i % all], (i % 7) as f64)).collect();
        let mut batch = Batch::of(Source::Json, from, samples);
        batch.times = (0..count as i64).map(|i| from + i / all as i64 * step).collect();
        batch
    }

    /// As the writer does it: it commits, and where there is no room for more the rest waits beside the
    /// database as long as a reader is in the way; else it is sent once more, after some upkeep.
    fn take(&mut self, now: i64, batch: &Batch) -> bool {
        let batches = std::slice::from_ref(batch);
        if self.store.must_wait().expect("looks") || self.store.spill().is_some() {
            self.store.keep(batches).expect("kept");
            return true;
        }
        let full = self.store.rows_are_full(batch.samples.len()).expect("counts");
        let done = !full && self.store.commit(batches).is_ok();
        assert!(done || full || self.store.had_no_room());
        self.some_upkeep(now);
        done
    }

    fn some_upkeep(&mut self, now: i64) {
        let times = Times { wall: now, boot: now - START };
        self.store.upkeep(times, Duration::from_millis(5)).expect("upkeep");
        self.store.checkpoint().expect("checkpoint");
    }

    pub(super) fn within(&self, cap: u64) {
        let peak = self.store.peak().get().max(self.store.taken().expect("looks"));
        assert!(peak <= cap + cap / 10, "{peak} bytes of {cap}");
    }
}

/// Each commit is larger than what is left under the bound, in the log and in the file.
#[test]
fn no_commit_goes_past_the_bound() {
    for cap in [4 << 20, 8 << 20] {
        let mut rig = full_of_history(cap, 500);
        let mut sent = 0;
        for round in 0..5 {
            // Of each other hour of the past, among the others; and of the hours to come.
            for (from, step) in [
                (START - 8_000 * HOUR + round * 500_000, 400_000),
                (START + (1_000 + round * 600) * 1_000, 10_000),
            ] {
                let batch = rig.sent(from, 30_000, step);
                let taken = (0..40).any(|_| rig.take(START + round * 1_000, &batch));
                sent += i32::from(taken);
                rig.within(cap);
            }
        }
        assert!(sent > 0, "all were put off");
        rig.upkeep(START + DAY);
        rig.within(cap);
    }
}

/// A reader holds an old picture, while more is sent than there is room for.
#[test]
fn neither_does_one_beside_a_reader_nor_what_waited_for_it() {
    for cap in [4 << 20, 8 << 20] {
        let mut rig = full_of_history(cap, 500);
        let reader = Reader::open(&rig.path).expect("opens");
        reader.hold().expect("a picture");
        let mut sent = 0;
        for second in 0.. {
            if rig.store.spill().is_some_and(|spill| spill.samples() > 20_000) {
                break;
            }
            let batch = rig.sent(START + second * 60_000, 10_000, 1_000);
            let taken = (0..3).any(|_| rig.take(START + second * 60_000, &batch));
            assert!(taken, "neither written nor kept");
            sent += 10_000;
            rig.within(cap);
        }
        drop(reader);
        let now = START + DAY;
        for _ in 0..10_000 {
            if rig.store.spill().is_none() {
                break;
            }
            let taken = rig.store.take_in_some();
            assert!(taken.is_ok() || rig.store.had_no_room());
            rig.some_upkeep(now);
            rig.within(cap);
        }
        assert!(rig.store.spill().is_none(), "not all was taken in");
        rig.store.compact(Times { wall: now, boot: DAY }).expect("compacts");
        rig.within(cap);
        let reader = Reader::open(&rig.path).expect("opens");
        let known = reader.series().expect("reads");
        let found = known.iter().map(|known| reader.samples(known.id, START, i64::MAX));
        let found: usize = found.map(|samples| samples.expect("reads").0.len()).sum();
        assert_eq!(found, sent, "samples of {cap}");
    }
}

#[test]
fn nobody_is_turned_away_for_rows_that_are_sealed_when_the_bound_is_lowered() {
    let mut rig = rig(&names(500), Limits { max_size: 64 << 20, ..Limits::default() });
    for minute in 0..300 {
        rig.write(START + minute * 60_000, |i| i as f64);
    }
    let now = START + 300 * 60_000;
    rig.store.compact(Times { wall: now, boot: 0 }).expect("compacts");
    assert_eq!(rig.ask("SELECT count(*) FROM samples"), [[Cell::Integer(150_000)]]);
    // Eighty thousand rows may be there at once.
    rig.store.set_limits(Limits { max_size: 4 << 20, ..Limits::default() });
    assert!(!rig.store.rows_are_full(500).expect("looks"));
    rig.write(now, |i| i as f64);
    assert!(!rig.store.rows_are_full(500).expect("looks"));
    // What is not sealed stays, and is in the way.
    for minute in 301..600 {
        rig.write(START + minute * 60_000, |i| i as f64);
    }
    assert!(rig.store.rows_are_full(500).expect("looks"));
    let newest = format!("SELECT count(*) FROM samples WHERE ts >= {now}");
    assert_eq!(rig.ask(&newest), [[Cell::Integer(150_000)]]);
}

#[test]
fn the_log_keeps_a_length_that_commits_no_longer_change() {
    let mut rig = rig(&names(100), Limits::default());
    let mut lengths = Vec::new();
    for beat in 0..1_500 {
        rig.write(START + beat * 10_000, |i| (i as i64 * beat) as f64);
        rig.store.checkpoint().expect("checkpoint");
        lengths.push(sizes(&rig.path)[1].1);
    }
    // A file system writes to its journal for each commit that makes a file longer. Once in a while
    // the last commit before the log begins again is a page larger than any before.
    let settled = &lengths[750..];
    let longer = settled.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(longer <= 3, "{longer} commits of 750 changed its length");
    assert!(settled.iter().all(|length| (2 << 20..3 << 20).contains(length)), "{}", settled[0]);
}

#[test]
fn plain_rows_that_outlive_their_blocks_are_reached() {
    let limits = Limits { raw_ms: DAY, ..Limits::default() };
    let mut rig = rig(&names(2), limits);
    for minute in 0..1440 {
        rig.write(START + HOUR / 2 + minute * 60_000, |i| i as f64);
    }
    let now = Times { wall: START + 9 * DAY, boot: 9 * DAY };
    rig.store.compact(now).expect("compacts");
    rig.store.compact(now).expect("compacts");
    let raw = "SELECT count(*) FROM blocks WHERE resolution = 0";
    assert_eq!(rig.ask(raw), [[Cell::Integer(0)]], "the blocks are gone");
    let reader = Reader::open(&rig.path).expect("opens");
    // From the hour of the oldest row on.
    assert_eq!(reader.reach().expect("reads").samples_from, START);
    let (ts, values) = reader.samples(2, START, START + 2 * DAY).expect("reads");
    assert_eq!((ts.len(), values[7]), (1440, 1.0));
    // Once an import went straight into blocks, rows are not all there was.
    rusqlite::Connection::open(&rig.path)
        .and_then(|c| c.execute("INSERT INTO state (name, value) VALUES ('imported', 1)", []))
        .expect("set");
    let reach = Reader::open(&rig.path).expect("opens").reach().expect("reads");
    assert!(reach.samples_from > START + DAY, "{}", reach.samples_from - START);
}

#[test]
fn hours_stay_within_the_bound_too_and_leave_room_for_samples() {
    const SERIES: i64 = 300;
    let cap = 4 << 20;
    let mut rig = rig(&[], Limits::default());
    let keys: Vec<String> = (0..SERIES).map(|i| format!("k{i}")).collect();
    // An hourly row each, 15 MB of them.
    let rows = (0..29 * 24).flat_map(|hour| {
        keys.iter().map(move |key| (key.as_str(), START + hour * HOUR, (hour % 7) as f64))
    });
    assert_eq!(rig.store.import(rows).expect("imports"), 0);
    rig.store.set_limits(Limits { max_size: cap, ..Limits::default() });
    let now = Times { wall: START + 29 * DAY, boot: DAY };
    rig.store.compact(now).expect("compacts");
    assert!(rig.bytes() <= cap + cap / 10, "{}", rig.bytes());
    let kept = rig.ask("SELECT count(*) FROM rollup_1h");
    assert!(matches!(kept[0][0], Cell::Integer(n) if n > 10 * SERIES), "{kept:?}");
    let newest = format!("SELECT count(*) FROM samples WHERE ts > {}", START + 28 * DAY);
    assert_eq!(rig.ask(&newest), [[Cell::Integer(SERIES * 23)]], "the last day is there");
    // What went was the oldest, of all series alike.
    let begins = "SELECT min(begin), max(begin) FROM
                  (SELECT min(ts) AS begin FROM rollup_1h GROUP BY series_id)";
    let (Cell::Integer(first), Cell::Integer(last)) =
        (&rig.ask(begins)[0][0], &rig.ask(begins)[0][1])
    else {
        panic!("numbers")
    };
    assert!(*first > START && last - first <= DAY, "{first} {last}");
    let reader = Reader::open(&rig.path).expect("opens");
    let wrong: Vec<_> = reader.examine(now.wall).into_iter().flat_map(|f| f.wrong).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn age_takes_the_hours_of_every_series() {
    let limits = Limits { hours_ms: 10 * DAY, ..Limits::default() };
    let mut rig = rig(&[], limits);
    // More series than one step looks at.
    let keys: Vec<String> = (0..600).map(|i| format!("k{i}")).collect();
    let rows =
        (0..20).flat_map(|day| keys.iter().map(move |key| (key.as_str(), START + day * DAY, 1.0)));
    rig.store.import(rows).expect("imports");
    let now = Times { wall: START + 20 * DAY, boot: DAY };
    rig.store.compact(now).expect("compacts");
    let kept = "SELECT min(ts), count(*) FROM rollup_1h";
    assert_eq!(
        rig.ask(kept),
        [[Cell::Integer(START + 10 * DAY), Cell::Integer(600 * 10)]],
        "ten days of each"
    );
}

#[test]
fn rollups_that_went_before_their_samples_are_not_called_wrong() {
    let limits = Limits { five_minutes_ms: DAY, hours_ms: DAY, ..Limits::default() };
    let mut rig = rig(&[], limits);
    let rows = (0..4 * 1440).map(|minute| ("k", START + minute * 60_000, minute as f64));
    rig.store.import(rows).expect("imports");
    let wall = START + 8 * DAY;
    rig.store.compact(Times { wall, boot: DAY }).expect("compacts");
    assert_eq!(rig.ask("SELECT count(*) FROM rollup_1h"), [[Cell::Integer(0)]]);
    let wrong = |rig: &Rig| -> Vec<String> {
        let reader = Reader::open(&rig.path).expect("opens");
        reader.examine(wall).into_iter().flat_map(|f| f.wrong).collect()
    };
    assert_eq!(wrong(&rig), Vec::<String>::new());
    // Those that should be there are still missed.
    rig.store.conn().execute("DELETE FROM state WHERE name = 'hours_gone'", []).expect("runs");
    assert!(wrong(&rig).iter().any(|w| w.contains("buckets")), "{:?}", wrong(&rig));
}
