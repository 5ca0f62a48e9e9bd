//! store: buckets against the samples they were made of, also where they are not made yet.

use crate::model::Kind;
use crate::store::Reader;
use crate::store::keep::rollup::{PARTS, buckets};
use crate::store::keep::stretch::{FIVE_MINUTES_MS, HOUR_MS};
use crate::store::packed::block::Column;
use crate::store::tests::summary::{HOUR, LENGTH, START, store};

const ALL: [u8; PARTS.len()] = [0, 1, 2, 3, 4, 5, 6];

#[test]
fn buckets_say_what_the_samples_say() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = store(dir.path());
    let path = dir.path().join("m.sqlite");
    let reader = Reader::open(&path).expect("opens").with_head(store.head());
    let reach = reader.reach().expect("reads");
    assert_eq!(reach.samples_from, i64::MIN);
    let first = START - START % HOUR;
    let until = reach.rolled_until;
    assert!(until > START + LENGTH - 12 * HOUR && until % HOUR == 0);
    let check = |from: i64, to: i64, hours_only: bool| {
        let width = if hours_only { HOUR_MS } else { FIVE_MINUTES_MS };
        let (ts, values) = reader.samples(1, from, to - 1).expect("reads");
        let column = Column { series: 1, part: 0, ts, values };
        let want = buckets(&column, width, Kind::Gauge, None);
        let got = reader.rollups(&[1], &ALL, from, to, hours_only).expect("reads").remove(0);
        assert_eq!(got.ends, want.iter().map(|(at, _)| at + width).collect::<Vec<_>>());
        for (part, values) in got.parts.iter().enumerate() {
            assert_eq!(*values, want.iter().map(|(_, b)| b.part(part)).collect::<Vec<_>>());
        }
        assert_eq!(got.hours_until, if hours_only { to } else { from });
    };
    let dirty = "SELECT count(*) FROM dirty WHERE grp = 0";
    let dirty: i64 = store.conn().query_row(dirty, [], |r| r.get(0)).expect("a number");
    assert!(dirty > 0, "nothing to be made again: the test shows less than it should");
    for hours_only in [false, true] {
        check(first, until, hours_only);
        // Begins and ends within the stretch that has to be made again.
        check(first + 28 * HOUR, first + 33 * HOUR, hours_only);
        check(first + 31 * HOUR, first + 32 * HOUR, hours_only);
    }
    // Where five-minute buckets are gone, hours have to do.
    store.conn().execute("DELETE FROM blocks WHERE resolution > 0", []).expect("deleted");
    let (from, to) = (first + HOUR, first + 12 * HOUR);
    let rolled = reader.rollups(&[1], &[0], from, to, false).expect("reads").remove(0);
    assert_eq!((rolled.hours_until, rolled.ends.len()), (to, 11));
    assert_eq!(reader.rollups(&[], &[0], from, to, false).expect("reads"), []);
}

#[test]
fn blocks_say_about_how_much_they_hold() {
    let dir = tempfile::tempdir().expect("a folder");
    let _store = store(dir.path());
    let reader = Reader::open(&dir.path().join("m.sqlite")).expect("opens");
    let samples = |from, to| reader.samples(1, from, to).expect("reads").0.len() as f64;
    for (from, to) in [(START, START + LENGTH), (START + 40 * HOUR, START + 50 * HOUR)] {
        let weight = reader.weight(0, 0, from, to).expect("reads");
        let off = (weight.values as f64 / samples(from, to) - 1.0).abs();
        assert!(weight.blocks > 0 && off < 0.05, "{weight:?}, {} samples", samples(from, to));
    }
    assert_eq!(reader.weight(0, 7, START, START + LENGTH).expect("reads").values, 0);
}
