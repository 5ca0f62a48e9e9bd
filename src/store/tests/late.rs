//! store: samples that come late, and later ones in their place: the last that came is what is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::store::{Limits, Reader, Store, Times};

const START: i64 = 1_700_000_000_000 - 1_700_000_000_000 % (6 * HOUR);
const HOUR: i64 = 3_600_000;

/// A store that was opened again, and the values that its one series has to have.
struct Told<'p> {
    path: &'p Path,
    truth: BTreeMap<i64, f64>,
}

impl Told<'_> {
    fn open(&self) -> Store {
        let mut store = Store::open(self.path, "here", Arc::default()).expect("opens");
        store.set_limits(Limits { raw_ms: i64::MAX / 4, ..Limits::default() });
        store
    }

    fn put(&mut self, store: &mut Store, from: i64, step: i64, count: i64, first: f64) {
        let rows: Vec<_> =
            (0..count).map(|i| ("s", START + from + i * step, first + i as f64)).collect();
        self.truth.extend(rows.iter().map(|(_, ts, value)| (*ts, *value)));
        assert_eq!(store.import(rows.into_iter()).expect("imports"), 0);
    }

    fn check(&self, what: &str) {
        let reader = Reader::open(self.path).expect("opens");
        let (ts, values) = reader.samples(1, i64::MIN, i64::MAX).expect("reads");
        let wrong = ts.iter().zip(&values).zip(&self.truth).find(|(found, told)| *found != *told);
        assert_eq!(wrong, None, "{what}");
        assert_eq!(ts.len(), self.truth.len(), "{what}");

        let (from, to) = (START, START + 12 * HOUR);
        let mut last = BTreeMap::new();
        for (ts, value) in self.truth.range(..to) {
            last.insert(ts - ts % 300_000 + 300_000, *value);
        }
        let rolled = reader.rollups(&[1], &[4], from, to, false).expect("reads").remove(0);
        let rolled: BTreeMap<i64, f64> =
            rolled.ends.into_iter().zip(rolled.parts.concat()).collect();
        assert_eq!(rolled.iter().zip(&last).find(|(a, b)| a != b), None, "{what}, rolled up");
        assert_eq!(rolled.len(), last.len(), "{what}, rolled up");
    }
}

/// A machine was off for hours. What fills the gap makes a block of its own; those beside it are then
/// made one, which reaches over it. What corrects it must not end in the one that counts less.
#[test]
fn a_gap_that_was_filled_can_be_corrected() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let path = dir.path().join("m.sqlite");
    let mut told = Told { path: &path, truth: BTreeMap::new() };
    let now = Times { wall: START + 26 * HOUR, boot: 26 * HOUR };
    let upkeep = |store: &mut Store, hour: i64| {
        let now = Times { wall: START + hour * HOUR, boot: hour * HOUR };
        while store.upkeep(now, Duration::from_secs(5)).expect("upkeep") {}
    };
    let mut store = told.open();
    told.put(&mut store, 0, 10_000, 180, 0.0);
    upkeep(&mut store, 5);
    told.put(&mut store, 10 * HOUR, 10_000, 180, 0.0);
    upkeep(&mut store, 20);
    told.put(&mut store, 5 * HOUR, 1_000, 1_100, 1e4);
    upkeep(&mut store, 20);
    told.check("filled");
    drop(store);

    let mut store = told.open();
    store.compact(now).expect("compacts");
    let db = Connection::open(&path).expect("opens");
    let within = "SELECT count(*) FROM blocks a JOIN blocks b USING (resolution, grp)
                  WHERE a.start < b.start AND a.end > b.end AND a.seq < b.seq";
    let within: i64 = db.query_row(within, [], |r| r.get(0)).expect("a number");
    assert_eq!(within, 2, "one lies within the other, samples as well as rollups");
    told.check("made one");
    // Before it, on it, behind it.
    told.put(&mut store, 5 * HOUR - 100_000, 1_000, 1_300, 2e4);
    store.compact(now).expect("compacts");
    told.check("corrected");
    // Newer ones join the outer block, which then counts more.
    told.put(&mut store, 26 * HOUR, 10_000, 50, 0.0);
    store.compact(Times { wall: START + 40 * HOUR, boot: 40 * HOUR }).expect("compacts");
    told.put(&mut store, 5 * HOUR - 50_000, 1_000, 1_200, 3e4);
    store.compact(Times { wall: START + 40 * HOUR, boot: 40 * HOUR }).expect("compacts");
    told.check("corrected again");
}
