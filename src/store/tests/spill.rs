//! store: samples that wait beside the database are taken in once, however the process ends.

use std::path::Path;
use std::sync::Arc;

use crate::model::{Identity, Labels, Registry, Series};
use crate::pipeline::{Batch, Source};
use crate::store::damage::repair;
use crate::store::write::spill;
use crate::store::write::spill::spill_path;
use crate::store::{Store, Times};

const START: i64 = 1_700_000_000_000;
/// As many as one step takes.
const STEP: usize = 20_000;

fn open(path: &Path) -> (Store, Arc<Registry>) {
    let registry = Arc::new(Registry::default());
    (Store::open(path, "here", Arc::clone(&registry)).expect("opens"), registry)
}

/// A step's worth of samples of one series.
fn batch(registry: &Registry, step: usize) -> Batch {
    let series = Identity::local("x", "kept", Labels::default());
    let series = registry.intern(Series::undescribed(series));
    let samples = (0..STEP).map(|n| (series, (step * STEP + n) as f64)).collect();
    let mut batch = Batch::of(Source::Json, START, samples);
    batch.times = (0..STEP).map(|n| START + (step * STEP + n) as i64 * 10).collect();
    batch
}

fn rows(store: &Store) -> (usize, f64) {
    let sql = "SELECT count(*), coalesce(sum(value), 0.0) FROM samples";
    store
        .conn()
        .query_row(sql, [], |r| Ok((r.get::<_, i64>(0)? as usize, r.get(1)?)))
        .expect("reads")
}

fn waiting(store: &Store) -> Option<u64> {
    store.spill().map(spill::Spill::samples)
}

#[test]
fn each_record_is_taken_in_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let (mut store, registry) = open(&path);
    for step in 0..3 {
        store.keep(&[batch(&registry, step)]).expect("kept");
    }
    drop(store);
    let file = std::fs::read(spill_path(&path)).expect("readable");
    for step in 0..3_usize {
        // Each step in a process of its own.
        let (mut store, _) = open(&path);
        assert_eq!(waiting(&store), Some(((3 - step) * STEP) as u64));
        let written = store.take_in_some().expect("taken in");
        assert_eq!(written.samples[Source::Json as usize], STEP as u64, "step {step}");
        assert_eq!(rows(&store).0, (step + 1) * STEP);
    }
    let all = 3 * STEP;
    let sum = (all * (all - 1) / 2) as f64;
    let (store, _) = open(&path);
    assert!(!spill_path(&path).exists() && waiting(&store).is_none());
    assert_eq!(rows(&store), (all, sum));
    drop(store);
    // A power cut brought the file back: the database knows that it was taken in.
    std::fs::write(spill_path(&path), &file).expect("writable");
    let (store, _) = open(&path);
    assert!(!spill_path(&path).exists() && waiting(&store).is_none());
    drop(store);
    // Another database does not.
    std::fs::write(spill_path(&path), &file).expect("writable");
    ["", "-wal", "-shm"].iter().for_each(|suffix| {
        let _unused = std::fs::remove_file(repair::with(&path, suffix));
    });
    let (mut store, _) = open(&path);
    store.take_in().expect("taken in");
    assert_eq!(rows(&store), (all, sum));
}

#[test]
fn a_step_that_cannot_be_committed_is_taken_in_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let (mut store, registry) = open(&path);
    store.keep(&[batch(&registry, 0)]).expect("kept");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("gets the lock");
    assert!(store.take_in_some().is_err());
    assert_eq!(waiting(&store), Some(STEP as u64));
    store.reopen().expect("opens");
    assert_eq!(waiting(&store), Some(STEP as u64));
    other.execute_batch("ROLLBACK").expect("lets go");
    // `doctor --repair` takes it in, too.
    assert!(store.path() == path);
    store.mend(Times { wall: START, boot: 0 }).expect("mended");
    assert_eq!((rows(&store).0, waiting(&store)), (STEP, None));
    assert!(!spill_path(&path).exists());
}

/// The file beside the database is deleted, replaced, cut off, or something else is put there, while samples
/// are kept in it: nothing is lost but what was cut off, and nothing of others is touched.
#[test]
fn a_file_that_others_meddle_with() {
    use std::os::unix::fs::symlink;
    let rows_after = |name: &str, meddle: &dyn Fn(&Path, &Path)| {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.sqlite");
        let beside = spill_path(&path);
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "mine").expect("writable");
        let (mut store, registry) = open(&path);
        if name == "before" {
            meddle(&beside, &victim);
        }
        for step in 0..3 {
            store.keep(&[batch(&registry, step)]).expect("kept");
            if step == 1 && name != "before" {
                meddle(&beside, &victim);
            }
        }
        // As a kill leaves it.
        drop(store);
        let (mut store, _) = open(&path);
        store.take_in().expect("taken in");
        assert!(!beside.exists(), "{name}");
        assert_eq!(std::fs::read_to_string(&victim).expect("there"), "mine", "{name}");
        rows(&store).0 / STEP
    };
    let cut = |to: fn(u64) -> u64| {
        move |beside: &Path, _: &Path| {
            let file = std::fs::File::options().write(true).open(beside).expect("there");
            file.set_len(to(file.metadata().expect("there").len())).expect("cut");
        }
    };
    let there = "before";
    let remove = |beside: &Path| std::fs::remove_file(beside).expect("there");
    for (name, meddle, steps) in [
        ("deleted", &|b: &Path, _: &Path| remove(b) as _, 3),
        (
            "a link",
            &|b: &Path, v: &Path| {
                remove(b);
                symlink(v, b).expect("made");
            },
            3,
        ),
        (
            "a folder",
            &|b: &Path, _: &Path| {
                remove(b);
                std::fs::create_dir(b).expect("made");
            },
            3,
        ),
        (
            "another file",
            &|b: &Path, v: &Path| {
                remove(b);
                std::fs::copy(v, b).expect("made");
            },
            3,
        ),
        (there, &|b: &Path, v: &Path| symlink(v, b).expect("made"), 3),
        (there, &|b: &Path, v: &Path| drop(std::fs::hard_link(v, b)), 3),
        (there, &|b: &Path, _: &Path| std::fs::create_dir(b).expect("made"), 3),
        // The second record is damaged, the third one is written behind what is left of it.
        ("cut off", &cut(|length| length - 1_000), 2),
        ("emptied", &cut(|_| 0), 1),
    ] as [(&str, &dyn Fn(&Path, &Path), usize); 9]
    {
        assert_eq!(rows_after(name, meddle), steps, "{name}");
    }
}

#[test]
fn another_file_in_its_place_is_not_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let (mut store, registry) = open(&path);
    store.keep(&[batch(&registry, 0)]).expect("kept");
    std::fs::remove_file(spill_path(&path)).expect("there");
    std::fs::write(spill_path(&path), "mine").expect("writable");
    store.take_in().expect("taken in");
    assert_eq!((rows(&store).0, waiting(&store)), (STEP, None));
    assert_eq!(std::fs::read_to_string(spill_path(&path)).expect("there"), "mine");
}
