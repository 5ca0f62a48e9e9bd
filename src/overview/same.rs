//! overview: one set of samples that every view is tested with: a counter that has a gap of four
//! beats and begins at zero again, and gauges of every size. All views must show the same of it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Clock, Identity, Kind, Labels, Registry, Series, SystemClock};
use crate::pipeline::{Batch, Source};
use crate::store::Store;

/// The distance of two samples, ms.
pub(crate) const BEAT: i64 = 10_000;
/// The number of beats.
pub(crate) const COUNT: i64 = 90;
/// Beats that are missing: the sample behind them comes four beats after the one before them.
const MISSING: std::ops::Range<i64> = 40..43;
/// The beat at which the counter begins at zero again, and its value then.
const AGAIN: (i64, f64) = (60, 5e6);
/// The rate of the counter.
pub(crate) const RATE: f64 = 1.72e6;

/// Each sample of the counter: its beat and its value, and the rate that belongs to it.
pub(crate) fn counter() -> Vec<(i64, f64, Option<f64>)> {
    let each = RATE * BEAT as f64 / 1e3;
    let value =
        |i: i64| if i < AGAIN.0 { each * i as f64 } else { AGAIN.1 + each * (i - AGAIN.0) as f64 };
    let rate = |i: i64| match i {
        0 => None,
        i if i == MISSING.end => None,
        i if i == AGAIN.0 => Some(AGAIN.1 * 1e3 / BEAT as f64),
        _ => Some(RATE),
    };
    let there = (0..COUNT).filter(|i| !MISSING.contains(i));
    there.map(|i| (i, value(i), rate(i))).collect()
}

/// What the load is before the newest beat, and then: no mean of some minutes is that.
pub(crate) const LOAD: (f64, f64) = (1.0, 3.0);

/// Gauges that never change: key, unit, value, and the text that every view writes for it.
pub(crate) const GAUGES: [(&str, &str, f64, &str); 5] = [
    ("small_seconds", "", 0.000_412, "412 µs"),
    ("large_bytes", "", 5.4e9, "5.03 GiB"),
    ("plain", "", 1_234_567.0, "1.23 M"),
    ("share_ratio", "", 0.256, "25.6 %"),
    ("tension", "volts", 3.3, "3.30 volts"),
];

/// The counter in a file of its own, as what a disk has written, with the load and the gauges; and the time (ms since
/// 1970 UTC) of the beat that comes next.
pub(crate) fn file() -> (tempfile::TempDir, PathBuf, i64) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
    let next = SystemClock.wall_ms() / BEAT * BEAT;
    let at = |beat: i64| next - (COUNT - beat) * BEAT;
    let series = |job: &str, name: &str, labels: &[(&str, &str)], kind, unit: &str| {
        let labels = Labels::new(labels.iter().copied());
        let identity = Identity::local(job, name, labels);
        registry.intern(Series { identity, kind, unit: unit.into(), help: "".into() })
    };
    let disk = [("device", "vda")];
    let written = series("node", "node_disk_written_bytes_total", &disk, Kind::Counter, "bytes");
    let gauges =
        GAUGES.map(|(name, unit, value, _)| (series("push", name, &[], Kind::Gauge, unit), value));
    let load = series("node", "node_load1", &[], Kind::Gauge, "");
    let batch = |(beat, value, _): (i64, f64, Option<f64>)| {
        let mut samples = gauges.to_vec();
        samples.push((load, if beat == COUNT - 1 { LOAD.1 } else { LOAD.0 }));
        samples.push((written, value));
        Batch::of(Source::Collect, at(beat), samples)
    };
    store.commit(&counter().into_iter().map(batch).collect::<Vec<_>>()).expect("commits");
    (dir, path, next)
}
