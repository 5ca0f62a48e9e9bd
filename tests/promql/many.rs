//! Many series in a file, sealed and not, against the same samples in memory, to the last bit.

use std::sync::Arc;

use plimsoll::model::{Identity, Labels, Registry, Series};
use plimsoll::pipeline::{Batch, Source as From};
use plimsoll::query::eval::{Limits, Options, Value, When, evaluate};
use plimsoll::query::source::{Columns, Hints, MemorySource, Selection, Source};
use plimsoll::query::{Catalog, StoreSource, parse};
use plimsoll::store::{Reader, Store, Times};

const START: i64 = 1_700_000_000_000;
const STEP: i64 = 15_000;
/// Steps until what follows stays unsealed, and steps in all.
const SEALED: i64 = 3_000;
const ALL: i64 = 3_060;
/// More than are read without a second thread, in groups that their labels mix.
const SERIES: i64 = 75;

fn value(series: i64, step: i64) -> f64 {
    match series % 5 {
        0 => (step * (series + 3)) as f64,
        1 => ((step * 7919 + series * 31) % 1009) as f64 / 8.0,
        2 => f64::from(step as i32 / 700),
        3 => ((step * series) as f64).sqrt(),
        _ if step % 97 < 5 => f64::NAN,
        _ => ((step * 13) % 11) as f64 / 10.0,
    }
}

/// Whether a series has a sample at a step: some have gaps, some end, some begin late.
fn is_there(series: i64, step: i64) -> bool {
    match series % 7 {
        0 => step % 400 > 30,
        1 => step < 2_980,
        2 => step > 1_500,
        3 => step < SEALED,
        _ => true,
    }
}

struct File {
    _folder: tempfile::TempDir,
    /// Held, for it has what is not sealed.
    store: Store,
    path: std::path::PathBuf,
    memory: MemorySource,
}

fn file() -> File {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
    let mut memory = MemorySource::default();
    let mut known = Vec::new();
    for series in 0..SERIES {
        // Neighbours by number are far apart by their labels.
        let device = format!("d{}", series % 10);
        let host = format!("h{}", series / 10);
        let own = Labels::new([("device", device.as_str()), ("host", host.as_str())]);
        let series = Series::undescribed(Identity::local("node", "m", own));
        known.push(registry.intern(series));
        let all = [
            ("__name__", "m"),
            ("device", device.as_str()),
            ("host", host.as_str()),
            ("instance", "here"),
            ("job", "node"),
        ];
        let number = known.len() as i64 - 1;
        let steps = (0..ALL).filter(|step| is_there(number, *step));
        let samples = steps.map(|step| (START + step * STEP, value(number, step)));
        memory.add(Labels::new(all), samples);
    }
    for step in 0..ALL {
        let there = (0..SERIES).filter(|series| is_there(*series, step));
        let samples = there.map(|series| (known[series as usize], value(series, step)));
        let batch = Batch::of(From::Collect, START + step * STEP, samples.collect());
        store.commit(&[batch]).expect("commits");
        if step == SEALED {
            let now = Times { wall: START + step * STEP, boot: step * STEP };
            store.compact(now).expect("seals");
        }
    }
    File { _folder: folder, store, path, memory }
}

/// What was answered: labels, times, bits.
fn answer(source: &dyn Source, query: &str, when: When) -> Vec<(String, Vec<(i64, u64)>)> {
    let tree = parse(query).expect(query);
    let answer = evaluate(source, &tree, when, &Options::default(), Limits::default());
    match answer.expect(query).value {
        Value::Vector(list) => list
            .iter()
            .map(|s| (format!("{:?}", s.labels), vec![(s.time, s.value.to_bits())]))
            .collect(),
        Value::Matrix(matrix) => (matrix.labels().enumerate())
            .map(|(i, labels)| {
                let points = matrix.points(i).map(|(t, v)| (t, v.to_bits())).collect();
                (format!("{labels:?}"), points)
            })
            .collect(),
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn many_series_of_a_file_are_what_they_are_in_memory() {
    let file = file();
    let reader = || Reader::open(&file.path).expect("opens");
    let end = START + (ALL - 1) * STEP;
    // With the head, as a daemon asks, and without it.
    for reader in [reader().with_head(file.store.head()), reader()] {
        let catalog = Catalog::read(&reader).expect("reads");
        let source = StoreSource::new(&reader, &catalog);
        for query in [
            "m",
            "sum by (host) (rate(m[5m]))",
            "sum(m) + on () group_left () m{device=\"d3\",host=\"h1\"}",
            "topk(5, m)",
            "quantile by (device) (0.3, m)",
            "max_over_time(m{host=~\"h[0-4]\"}[10m]) - m offset 3m",
            "timestamp(m)",
            "count by (__name__) ({__name__=~\".+\"})",
            "m{host=\"h3\"}",
        ] {
            let at = [end, end - 60 * STEP, end - 58 * STEP - 1, START + 1_000 * STEP + 7, START];
            let instants = at.map(When::Instant);
            let long = When::Range { start: START - STEP, end, step: 61_000 };
            let short = When::Range { start: end - 90 * STEP, end, step: STEP };
            for when in instants.into_iter().chain([long, short]) {
                let (ours, want) =
                    (answer(&source, query, when), answer(&file.memory, query, when));
                assert!(ours == want, "{query} {when:?}: {} series, {}", ours.len(), want.len());
            }
        }
        let range = When::Instant(end);
        assert!(answer(&source, "m[2h]", range) == answer(&file.memory, "m[2h]", range));
    }
}

#[test]
fn series_can_be_read_in_any_order_and_again() {
    let file = file();
    let reader = Reader::open(&file.path).expect("opens").with_head(file.store.head());
    let catalog = Catalog::read(&reader).expect("reads");
    let source = StoreSource::new(&reader, &catalog);
    let hints = Hints { range: 1, ..Hints::default() };
    let selection = Selection { matchers: &[], start: START, end: i64::MAX, hints };
    for order in [vec![0, 1, 2, 1, 0, 70, 3, 4], vec![40, 0, 1, 41], (0..75).rev().collect()] {
        let mut set = source.select(&selection).expect("finds them");
        let mut want = file.memory.select(&selection).expect("finds them");
        assert_eq!(set.labels(), want.labels());
        for series in order {
            let (mut ours, mut theirs) = (Columns::default(), Columns::default());
            set.read(series, &mut ours).expect("reads");
            want.read(series, &mut theirs).expect("reads");
            assert_eq!(ours.times, theirs.times, "{series}");
            let bits = |c: &Columns| c.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&ours) == bits(&theirs), "{series}");
        }
    }
}
