//! What buckets answer where samples are gone, against the samples themselves.

use std::path::Path;
use std::sync::Arc;

use plimsoll::model::{Labels, Registry};
use plimsoll::query::eval::{Answer, Limits, Options, Value, When, evaluate};
use plimsoll::query::source::{MemorySource, Resolution, Source};
use plimsoll::query::{Catalog, StoreSource, parse, plan};
use plimsoll::store::{Limits as Kept, Reader, Store, Times};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A day's beginning.
const START: i64 = 1_699_920_000_000;
/// How long, and how often.
type Beat = (i64, i64);
const DAYS: Beat = (9 * DAY, MINUTE);
/// Enough for more than one block of each resolution.
const WEEKS: Beat = (45 * DAY, 150_000);

/// More samples of one series than are read where buckets serve as well.
const MANY: Beat = (29 * DAY, 7_500);

/// A gauge, and a counter that begins anew now and then; seven seconds past the beat, so that no
/// sample lies on the edge of a bucket; the gauge has a gap of five hours.
fn samples(name: &str, (length, step): Beat) -> Vec<(i64, f64)> {
    let gap = START + 3 * DAY + HOUR..START + 3 * DAY + 6 * HOUR;
    let mut total = 0.0;
    (0..length / step)
        .map(|i| {
            total = if i % 777 == 500 { 3.0 } else { total + ((i * 31) % 17) as f64 };
            let gauge = ((i * 7919) % 1009) as f64 / 8.0;
            (START + i * step + 7_000, if name == "g" { gauge } else { total })
        })
        .filter(|(ts, _)| name != "g" || !gap.contains(ts))
        .collect()
}

struct File {
    _folder: tempfile::TempDir,
    reader: Reader,
    catalog: Catalog,
    memory: MemorySource,
}

/// The same samples in a file, sealed and rolled up, and in memory.
fn file(beat: Beat, kept: Kept) -> File {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.sqlite");
    let mut memory = MemorySource::default();
    let mut store = Store::open(&path, "here", Arc::new(Registry::default())).expect("opens");
    for name in ["g", "c_total"] {
        let samples = samples(name, beat);
        store.import(samples.iter().map(|(ts, v)| (name, *ts, *v))).expect("imports");
        let labels = [("__name__", name), ("instance", "here"), ("job", "import")];
        memory.add(Labels::new(labels), samples);
    }
    let now = Times { wall: START + beat.0, boot: beat.0 };
    store.compact(now).expect("compacts");
    store.set_limits(kept);
    store.compact(now).expect("drops what is too old");
    open(&path, folder, memory)
}

fn open(path: &Path, folder: tempfile::TempDir, memory: MemorySource) -> File {
    let reader = Reader::open(path).expect("opens");
    let catalog = Catalog::read(&reader).expect("reads");
    File { _folder: folder, reader, catalog, memory }
}

fn ask(source: &dyn Source, query: &str, when: When, finest: Resolution) -> Answer {
    let options = Options { finest, ..Options::default() };
    let tree = parse(query).expect(query);
    evaluate(source, &tree, when, &options, Limits::default()).expect(query)
}

impl File {
    fn ask(&self, query: &str, when: When, finest: Resolution) -> Answer {
        ask(&StoreSource::new(&self.reader, &self.catalog), query, when, finest)
    }
}

/// The points of the one series of an answer.
fn points(answer: &Answer) -> Vec<(i64, f64)> {
    match &answer.value {
        Value::Matrix(matrix) if matrix.len() == 1 => matrix.points(0).collect(),
        other => panic!("one series: {other:?}"),
    }
}

fn range(from: i64, to: i64, step: i64) -> When {
    When::Range { start: START + from, end: START + to, step }
}

/// As close as sums in another order are.
fn close(a: f64, b: f64, by: f64) -> bool {
    a == b || (a - b).abs() <= by * a.abs().max(b.abs())
}

#[test]
fn whole_buckets_say_what_their_samples_say() {
    let file = file(DAYS, Kept::default());
    let days = range(DAY, 8 * DAY, 6 * HOUR);
    for (query, by) in [
        ("min_over_time(g[1h])", 0.0),
        ("max_over_time(g[1d])", 0.0),
        ("count_over_time(g[6h])", 0.0),
        ("count_over_time(c_total[1d])", 0.0),
        ("last_over_time(c_total[2h])", 0.0),
        ("present_over_time(g[1h])", 0.0),
        ("resets(c_total[1d])", 0.0),
        ("sum_over_time(g[1d])", 1e-12),
        ("avg_over_time(g[6h])", 1e-12),
        ("g", 0.0),
        ("c_total", 0.0),
        ("sum(g) + on () c_total", 1e-12),
        ("max_over_time(max_over_time(g[1h])[1d:1h])", 0.0),
    ] {
        let raw = points(&file.ask(query, days, Resolution::Raw));
        assert_eq!(points(&ask(&file.memory, query, days, Resolution::Raw)), raw, "{query}");
        for finest in [Resolution::FiveMinutes, Resolution::Hour] {
            let answer = file.ask(query, days, finest);
            let got = points(&answer);
            assert_eq!(got.len(), raw.len(), "{query} of {finest:?}");
            for ((t, v), (_, want)) in got.iter().zip(&raw) {
                assert!(close(*v, *want, by), "{query} of {finest:?} at {t}: {v}, not {want}");
            }
            assert_eq!(answer.stats.resolution(), finest.word(), "{query}");
            assert_eq!((answer.stats.samples, answer.annotations.iter().count()), (0, 0));
            assert!(answer.stats.buckets > 0);
        }
    }
    // Where the gap is, there is nothing.
    let gap = range(3 * DAY + 2 * HOUR + 10 * MINUTE, 3 * DAY + 5 * HOUR, HOUR);
    let answer = file.ask("absent_over_time(g[1h])", gap, Resolution::FiveMinutes);
    assert_eq!(points(&answer).len(), 3);
}

#[test]
fn a_counter_s_increase_is_exact_over_whole_buckets() {
    let file = file(DAYS, Kept::default());
    let samples = samples("c_total", DAYS);
    let gained = |from: i64, to: i64| -> f64 {
        let of = |ts: i64| samples.partition_point(|(t, _)| *t < ts) - 1;
        let pairs = samples[of(from)..=of(to)].windows(2);
        pairs.map(|p| if p[1].1 < p[0].1 { p[1].1 } else { p[1].1 - p[0].1 }).sum()
    };
    for finest in [Resolution::FiveMinutes, Resolution::Hour] {
        for (length, word) in [(HOUR, "1h"), (DAY, "1d")] {
            let when = range(2 * DAY, 8 * DAY, 3 * HOUR);
            let increase = points(&file.ask(&format!("increase(c_total[{word}])"), when, finest));
            let rate = points(&file.ask(&format!("rate(c_total[{word}])"), when, finest));
            let raw = points(&file.ask(&format!("rate(c_total[{word}])"), when, Resolution::Raw));
            assert_eq!((increase.len(), rate.len()), (49, 49));
            for (((end, increase), (_, rate)), (_, raw)) in increase.iter().zip(&rate).zip(&raw) {
                let want = gained(end - length, *end);
                assert!(close(*increase, want, 1e-12), "{word} to {end}: {increase}, not {want}");
                assert!(close(*rate, want / (length / 1000) as f64, 1e-12));
                // Prometheus' own way guesses at the edges, a minute each at the most.
                assert!(close(*rate, *raw, 0.2), "{word} to {end}: {rate}, and {raw} of samples");
            }
        }
        // Windows shorter than a bucket tell how fast it was over the whole one.
        let when = range(DAY, 2 * DAY, HOUR);
        let width = finest.width();
        let short = points(&file.ask("rate(c_total[2m])", when, finest));
        assert_eq!(short.len(), 25);
        for (end, rate) in short {
            let want = gained(end - width, end) / (width / 1000) as f64;
            assert!(close(rate, want, 1e-12), "{rate}, not {want}");
        }
    }
}

#[test]
fn windows_that_cut_buckets_are_near_and_say_so() {
    let file = file(DAYS, Kept::default());
    let odd = range(DAY + 2 * MINUTE, 3 * DAY, 47 * MINUTE);
    for (query, by) in [
        ("sum_over_time(g[91m])", 0.1),
        ("count_over_time(g[91m])", 0.01),
        ("avg_over_time(g[91m])", 0.1),
        ("stddev_over_time(g[3h])", 0.2),
        ("quantile_over_time(0.5, g[3h])", 0.2),
        ("quantile_over_time(0.9, g[1d])", 0.2),
        ("increase(c_total[91m])", 0.2),
    ] {
        let raw = points(&file.ask(query, odd, Resolution::Raw));
        let answer = file.ask(query, odd, Resolution::FiveMinutes);
        let got = points(&answer);
        assert_eq!(got.len(), raw.len(), "{query}");
        for ((t, v), (_, want)) in got.iter().zip(&raw) {
            assert!(close(*v, *want, by), "{query} at {t}: {v}, not {want}");
        }
        let notes: Vec<_> = answer.annotations.iter().map(|a| a.text.clone()).collect();
        assert!(
            notes.iter().any(|n| n.ends_with("where buckets of 5m stand for samples")),
            "{notes:?}"
        );
    }
    // The ends of a quantile are the extremes, which buckets keep.
    let days = range(DAY, 8 * DAY, DAY);
    for (quantile, extreme) in [("0", "min"), ("1", "max")] {
        let quantile = format!("quantile_over_time({quantile}, g[1d])");
        let extreme = format!("{extreme}_over_time(g[1d])");
        let got = points(&file.ask(&quantile, days, Resolution::Hour));
        assert_eq!(got, points(&file.ask(&extreme, days, Resolution::Raw)));
    }
}

#[test]
fn a_range_past_what_is_kept_is_whole() {
    // A block goes when all of it is too old.
    let kept =
        Kept { raw_ms: 2 * DAY, five_minutes_ms: 15 * DAY, plain_rows: 0, ..Kept::default() };
    let file = file(WEEKS, kept);
    assert!(file.reader.reach().expect("reads").samples_from > START + 30 * DAY);
    let last = START + WEEKS.0;
    for series in [1, 2] {
        let (times, _) = file.reader.samples(series, START, START + 30 * DAY).expect("reads");
        assert!(times.is_empty(), "{} samples are still there", times.len());
    }
    let when = When::Range { start: START + HOUR, end: last, step: HOUR };
    for (query, by) in [
        ("max_over_time(g[1h])", 0.0),
        ("min_over_time(c_total[1h])", 0.0),
        ("count_over_time(g[6h])", 0.0),
        ("sum_over_time(g[1d])", 1e-12),
        ("c_total", 0.0),
    ] {
        let answer = file.ask(query, when, Resolution::Raw);
        assert_eq!(answer.stats.resolution(), "raw,5m,1h", "{query}");
        let (got, want) =
            (points(&answer), points(&ask(&file.memory, query, when, Resolution::Raw)));
        let times = |points: &[(i64, f64)]| points.iter().map(|p| p.0).collect::<Vec<_>>();
        assert_eq!(times(&got), times(&want), "{query}");
        for ((t, v), (_, want)) in got.iter().zip(&want) {
            assert!(close(*v, *want, by), "{query} at {t}: {v}, not {want}");
        }
    }
    let rate = file.ask("rate(c_total[5m])", when, Resolution::Raw);
    // Every hour, but the first one: nothing is known from before it.
    assert_eq!(points(&rate).len(), (WEEKS.0 / HOUR) as usize - 1);
    // What samples are held for is answered from them to the last bit.
    let recent = When::Range { start: last - DAY, end: last, step: 7 * MINUTE };
    for query in ["rate(c_total[5m])", "sum_over_time(g[1h])", "quantile_over_time(0.9, g[2h])"] {
        let answer = file.ask(query, recent, Resolution::Raw);
        assert_eq!(answer.stats.resolution(), "raw");
        let bits = |points: Vec<(i64, f64)>| {
            points.iter().map(|p| (p.0, p.1.to_bits())).collect::<Vec<_>>()
        };
        let want = ask(&file.memory, query, recent, Resolution::Raw);
        assert_eq!(bits(points(&answer)), bits(points(&want)), "{query}");
    }
    // A range itself is a value a bucket.
    let at = When::Instant(START + 35 * DAY);
    let answer = file.ask("g[1h]", at, Resolution::Raw);
    assert_eq!(points(&answer).len(), 12);
}

#[test]
fn a_long_look_at_a_sealed_file_takes_buckets_and_a_short_one_samples() {
    let file = file(MANY, Kept::default());
    let bits = |points: Vec<(i64, f64)>| -> Vec<(i64, u64)> {
        points.iter().map(|p| (p.0, p.1.to_bits())).collect()
    };
    let held = |days: i64| days * DAY / MANY.1;
    let limit = plan::MANY as i64;
    assert!(held(28) - 5 * HOUR / MANY.1 > limit && held(25) < limit, "the test is of no use");
    let long = range(HOUR, 28 * DAY, HOUR);
    for (query, by) in [
        ("max_over_time(g[1h])", 0.0),
        ("min_over_time(c_total[6h])", 0.0),
        ("count_over_time(g[1d])", 0.0),
        ("last_over_time(c_total[1h])", 0.0),
        ("resets(c_total[1d])", 0.0),
        ("sum_over_time(g[1h])", 1e-12),
        ("avg_over_time(g[2h])", 1e-12),
        // By its step of an hour.
        ("c_total", 0.0),
    ] {
        let answer = file.ask(query, long, Resolution::Raw);
        assert_eq!(answer.stats.resolution(), "5m", "{query}");
        assert_eq!(answer.stats.samples, 0, "{query}");
        let (got, want) =
            (points(&answer), points(&ask(&file.memory, query, long, Resolution::Raw)));
        assert_eq!(got.len(), want.len(), "{query}");
        for ((t, v), (at, want)) in got.iter().zip(&want) {
            assert!(t == at && close(*v, *want, by), "{query} at {t}: {v}, not {want}");
        }
    }
    for (query, when) in [
        // Fewer samples than that.
        ("max_over_time(g[1h])", range(HOUR, 25 * DAY, HOUR)),
        ("max_over_time(g[1h])", range(10 * DAY, 11 * DAY, HOUR)),
        ("c_total", range(10 * DAY, 11 * DAY, HOUR)),
        // Narrow windows, and what buckets do not know.
        ("rate(c_total[59m])", long),
        ("quantile_over_time(0.9, g[1h])", long),
        ("c_total", range(HOUR, 28 * DAY, 59 * MINUTE)),
    ] {
        let answer = file.ask(query, when, Resolution::Raw);
        assert_eq!(
            (answer.stats.resolution().as_str(), answer.stats.buckets),
            ("raw", 0),
            "{query}"
        );
        let want = ask(&file.memory, query, when, Resolution::Raw);
        assert_eq!(bits(points(&answer)), bits(points(&want)), "{query}");
    }
}
