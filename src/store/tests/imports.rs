//! store: the bound on the files holds while history comes by itself: by an import, or out of a damaged
//! file.

use std::sync::Arc;
use std::time::Duration;

use super::bounds::{DAY, Rig, START, full_of_history, names, noise, rig};
use crate::model::{Clock, Identity, Kind, Labels, Past, Series, Stretch, SystemClock};
use crate::store::{History, Limits, Reader, Store, Times, prepare};

fn limits(max_size: u64) -> Limits {
    Limits { max_size, raw_ms: i64::MAX / 4, ..Limits::default() }
}

fn sound(rig: &Rig) {
    // An import goes by the clock of this machine.
    let now = SystemClock.wall_ms();
    for finding in Reader::open(&rig.path).expect("opens").examine(now) {
        assert_eq!(finding.wrong, Vec::<String>::new(), "{}", finding.check);
    }
}

/// An import is several times as large as the bound, by way of blocks and of plain rows: the files never
/// take more, and the newest of it is there in the end.
#[test]
fn an_import_keeps_to_the_bound_while_it_goes_on() {
    let cap = 4 << 20;
    for (many, count) in [(50_000, 800_000), (usize::MAX, 200_000)] {
        let mut rig = rig(&names(1), limits(cap));
        let rows = noise(START - 400 * DAY, count);
        let mut import = rig.store.begin_import();
        import.many = many;
        for rows in rows.chunks(20_000) {
            import.put(rows.iter().copied()).expect("taken");
        }
        import.finish().expect("imported");
        rig.within(cap);
        assert!(rig.store.gave_way());
        let reader = Reader::open(&rig.path).expect("opens");
        let id = reader.series().expect("series")[0].id;
        let (ts, _) = reader.samples(id, i64::MIN, i64::MAX).expect("reads");
        assert_eq!(ts.last(), rows.last().map(|(_, ts, _)| ts), "the newest of {cap}");
        assert!(ts.len() > cap as usize / 80, "{} of {cap} are left", ts.len());
        sound(&rig);
    }
}

#[test]
fn many_series_of_few_samples_keep_to_the_bound_too() {
    let cap = 8 << 20;
    let mut rig = rig(&names(1), limits(cap));
    let keys: Vec<String> = (0..600).map(|i| format!("k{i}")).collect();
    let rows = (0..29 * 24).flat_map(|hour| {
        let at = START - 30 * DAY + hour * 3_600_000;
        keys.iter().map(move |key| (key.as_str(), at, (hour % 7) as f64))
    });
    assert_eq!(rig.store.import(rows).expect("imports"), 0);
    rig.within(cap);
    sound(&rig);
}

#[test]
fn an_import_keeps_to_the_bound_of_names() {
    let cap = 4 << 20;
    let mut rig = rig(&names(1), limits(cap));
    let keys: Vec<String> = (0..20_000).map(|i| format!("k{i}_{}", "x".repeat(300))).collect();
    let mut import = rig.store.begin_import();
    for keys in keys.chunks(1_000) {
        for key in keys.iter().step_by(2) {
            import.describe(key, Kind::Gauge, "", "a text").expect("said");
        }
        import.put(keys.iter().map(|k| (k.as_str(), START, 1.0))).expect("taken");
    }
    let refused = import.finish().expect("imported");
    rig.within(cap);
    assert!((10_000..20_000).contains(&refused), "{refused} were refused");
    sound(&rig);
}

fn past_of(name: &str) -> Series {
    Series::undescribed(Identity::local("rrd", name, Labels::default()))
}

/// Hours and buckets of a year of eight series.
fn year() -> Past {
    let mean: Vec<f64> = noise(0, 365 * 24).into_iter().map(|(.., value)| value).collect();
    let (min, max) = (mean.clone(), mean.iter().map(|v| v * 1.5).collect());
    let (span, first_end) = (3_600_000, START - 365 * DAY);
    let stretch = Stretch { span, first_end, until: i64::MAX, mean, min, max };
    Past { stretches: vec![stretch], step: 300_000, anchor: None }
}

fn bring(history: &mut History<'_>, group: usize) {
    let wanted: Vec<Series> = (0..8).map(|i| past_of(&format!("p{group}_{i}"))).collect();
    let places = history.places(&wanted).expect("placed");
    for places in places.chunk_by(|a, b| a.group() == b.group()) {
        let pasts = places.iter().map(|place| (*place, year())).collect();
        history.put(&prepare(pasts).expect("something")).expect("written");
    }
}

#[test]
fn the_past_of_other_tools_keeps_to_the_bound_while_it_comes() {
    let cap = 40 << 20;
    let mut rig = rig(&names(1), limits(cap));
    let mut history = rig.store.begin_history(START).expect("begins");
    let groups = 12;
    for group in 0..groups {
        bring(&mut history, group);
    }
    assert!(history.gave_way(), "there was room for all of it");
    drop(history);
    rig.within(cap);
    sound(&rig);
    // More names than there is room for are refused before anything of them is written.
    let before = Reader::open(&rig.path).expect("opens").series().expect("reads").len();
    let wanted: Vec<Series> =
        (0..20_000).map(|i| past_of(&format!("n{i}_{}", "x".repeat(300)))).collect();
    let mut history = rig.store.begin_history(START).expect("begins");
    let why = history.places(&wanted).expect_err("too many").to_string();
    assert!(why.contains("names of series would take"), "{why}");
    drop(history);
    assert_eq!(Reader::open(&rig.path).expect("opens").series().expect("reads").len(), before);
}

/// A damaged file is larger than the bound, which was lowered: what is salvaged keeps to it, and ends.
#[test]
fn what_is_salvaged_keeps_to_the_bound() {
    let rig = full_of_history(12 << 20, 3);
    let path = &rig.path;
    let cap = 5 << 20;
    let copy = path.with_file_name("copy.sqlite");
    std::fs::copy(path, &copy).expect("copied");
    let mut bytes = std::fs::read(&copy).expect("readable");
    bytes[100..4_096].fill(0);
    std::fs::write(&copy, bytes).expect("writable");
    let mut store = Store::open(&copy, "here", Arc::default()).expect("opens");
    store.set_limits(limits(cap));
    assert!(store.salvaging().is_some(), "the damage was seen");
    let now = Times { wall: START, boot: 0 };
    let mut turns = 0;
    while store.salvaging().is_some() {
        store.upkeep(now, Duration::from_millis(5)).expect("upkeep");
        store.checkpoint().expect("checkpoint");
        turns += 1;
        assert!(turns < 20_000, "it does not end");
    }
    let peak = store.peak().get().max(store.taken().expect("looks"));
    assert!(peak <= cap + cap / 10, "{peak} bytes of {cap}");
    let reader = Reader::open(&copy).expect("opens");
    let old = reader.series().expect("reads").into_iter().find(|s| s.key == "old").expect("known");
    let (ts, _) = reader.samples(old.id, i64::MIN, i64::MAX).expect("reads");
    assert!(ts.len() > 300_000, "{} samples are left", ts.len());
}
