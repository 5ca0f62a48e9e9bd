//! store: samples beside the database come back as they were, also from a damaged file.

use super::*;
use crate::model::{Identity, Kind, Labels, Series};
use crate::pipeline::Source;

fn registry(names: &[&str]) -> (Registry, Vec<SeriesRef>) {
    let registry = Registry::default();
    let refs = names
        .iter()
        .map(|name| {
            let labels = Labels::new([("device", "sd\"a")]);
            let mut series = Series::undescribed(Identity::local("node", name, labels));
            series.identity.system = name.starts_with("far").then(|| "web1".into());
            series.help = "Ä sentence.".into();
            registry.intern(series)
        })
        .collect();
    (registry, refs)
}

fn batch(series: &[SeriesRef], ts: i64, values: &[f64]) -> Batch {
    Batch::of(Source::Collect, ts, series.iter().copied().zip(values.iter().copied()).collect())
}

/// Key and machine, time, bits of the value.
type Row = (String, Option<String>, i64, u64);

fn rows(registry: &Registry, batches: &[Batch]) -> Vec<Row> {
    let of = |batch: &Batch| -> Vec<Row> {
        let times = batch.times.iter().copied().map(Some).chain(std::iter::repeat(None));
        let row = |(&(series, value), ts): (&(SeriesRef, f64), Option<i64>)| {
            let series = registry.get(series).expect("known");
            let system = series.identity.system.as_deref().map(str::to_owned);
            (series.identity.key(), system, ts.unwrap_or(batch.ts), value.to_bits())
        };
        batch.samples.iter().zip(times).map(row).collect()
    };
    batches.iter().flat_map(of).collect()
}

const ALL: u64 = u64::MAX;

#[test]
fn what_is_kept_comes_back_bit_for_bit_in_another_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("m.sqlite");
    let (here, refs) = registry(&["a_total", "far_b", "c"]);
    let mut spill = Spill::begin(&db).expect("begins");
    let mut pushed = batch(&refs[..2], 5, &[-0.0, f64::NAN]);
    pushed.times = vec![7, 8];
    pushed.source = Source::Json;
    let first = [batch(&refs[..1], 1_000, &[1.5]), pushed];
    spill.keep(&here, &first, ALL).expect("kept");
    let second = [batch(&refs, 2_000, &[1.0, 2.0, 3.0])];
    spill.keep(&here, &second, ALL).expect("kept");
    assert_eq!(spill.samples(), 6);
    drop(spill);

    let there = Registry::default();
    let mut spill = Spill::find(&db, &there, None).expect("readable").expect("it is there");
    assert_eq!(spill.samples(), 6);
    // What comes after the start goes behind it, with the numbers of this process.
    let more = there.intern(Series::undescribed(Identity::local("x", "d", Labels::default())));
    spill.keep(&there, &[batch(&[more], 3_000, &[4.0])], ALL).expect("kept");
    let one = spill.next(1).expect("readable");
    assert_eq!(rows(&there, &one.batches), rows(&here, &first));
    assert_eq!(one.batches[1].source, Source::Json);
    spill.took(&one);
    assert_eq!(spill.samples(), 4);
    let rest = spill.next(ALL).expect("readable");
    assert_eq!(rows(&there, &rest.batches[..1]), rows(&here, &second));
    assert_eq!(rest.batches.len(), 2);
    let series = there.get(rest.batches[0].samples[0].0).expect("known");
    assert_eq!((series.kind, &*series.help), (Kind::Counter, "Ä sentence."));
    spill.took(&rest);
    assert!(spill.is_empty());
    // A kill before it is removed: the database knows.
    let mark = Some(rest.mark);
    assert!(Spill::find(&db, &there, mark).expect("readable").expect("there").is_empty());
    // Another database does not.
    let all = Spill::find(&db, &there, Some(Mark { id: 1, ..rest.mark })).expect("readable");
    assert_eq!(all.expect("there").samples(), 7);
}

#[test]
fn it_ends_at_its_bound_and_keeps_nothing_by_halves() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("m.sqlite");
    let (here, refs) = registry(&["a", "b"]);
    let mut spill = Spill::begin(&db).expect("begins");
    spill.keep(&here, &[batch(&refs[..1], 1, &[1.0])], 400).expect("there is room");
    let bytes = spill.bytes();
    // The second series is new: its name is not known after a refusal.
    let refused = spill.keep(&here, &[batch(&refs, 2, &[1.0, 2.0])], bytes + 50);
    assert!(matches!(refused, Err(NotKept::Full)), "{refused:?}");
    assert_eq!((spill.bytes(), spill.samples()), (bytes, 1));
    spill.keep(&here, &[batch(&refs, 2, &[1.0, 2.0])], ALL).expect("there is room");
    let there = Registry::default();
    let found = Spill::find(&db, &there, None).expect("readable").expect("there");
    let all = found.next(ALL).expect("readable");
    assert_eq!((all.samples, all.nameless), (3, 0));
}

#[test]
fn a_file_cut_off_anywhere_keeps_all_whole_records() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("m.sqlite");
    let (here, refs) = registry(&["a", "b"]);
    let mut spill = Spill::begin(&db).expect("begins");
    spill.keep(&here, &[batch(&refs, 1, &[1.0, 2.0])], ALL).expect("kept");
    let whole = spill.bytes();
    spill.keep(&here, &[batch(&refs, 2, &[3.0, 4.0])], ALL).expect("kept");
    let path = spill_path(&db);
    let bytes = std::fs::read(&path).expect("readable");
    for length in whole as usize..bytes.len() {
        std::fs::write(&path, &bytes[..length]).expect("writable");
        let there = Registry::default();
        let mut found = Spill::find(&db, &there, None).expect("readable").expect("there");
        assert_eq!((found.samples(), found.bytes()), (2, whole), "cut at {length}");
        found.keep(&here, &[batch(&refs, 3, &[5.0, 6.0])], ALL).expect("kept");
        assert_eq!(found.next(ALL).expect("readable").samples, 4, "cut at {length}");
    }
}

#[test]
fn a_flipped_bit_costs_its_record_and_no_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("m.sqlite");
    let (here, refs) = registry(&["a", "b"]);
    let mut spill = Spill::begin(&db).expect("begins");
    for ts in 1..=3 {
        spill.keep(&here, &[batch(&refs, ts, &[1.0, 2.0])], ALL).expect("kept");
    }
    let path = spill_path(&db);
    let bytes = std::fs::read(&path).expect("readable");
    for at in 0..bytes.len() {
        let mut hurt = bytes.clone();
        hurt[at] ^= 0x40;
        std::fs::write(&path, &hurt).expect("writable");
        let there = Registry::default();
        match Spill::find(&db, &there, None) {
            Err(e) => {
                assert!(at < HEADER as usize, "{at}: {e}");
                continue;
            }
            Ok(found) => {
                let next = found.expect("there").next(ALL).expect("readable");
                // The first record has the names of all.
                let kept = next.samples - next.nameless;
                assert!(kept == 4 || next.nameless == 4, "{at}: {next:?}");
            }
        }
    }
}

#[test]
fn what_is_no_such_file_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let db = dir.path().join("m.sqlite");
    let path = spill_path(&db);
    let there = Registry::default();
    assert!(Spill::find(&db, &there, None).expect("nothing is no error").is_none());
    let mut later = std::fs::read({
        drop(Spill::begin(&db).expect("begins"));
        &path
    })
    .expect("readable");
    later[8] = 2;
    for (bytes, why) in [
        (&b""[..], "too short"),
        (b"a shopping list, long enough", "plimsoll did not write it"),
        (&later, "another version"),
    ] {
        std::fs::write(&path, bytes).expect("writable");
        let error = Spill::find(&db, &there, None).expect_err("refused").to_string();
        assert!(error.contains(why), "{error}");
        assert!(look(&db, None).expect("there").is_err());
    }
    std::fs::remove_file(&path).expect("ours");
    std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
    assert!(Spill::find(&db, &there, None).is_err());
    assert!(Spill::begin(&db).is_err());
}
