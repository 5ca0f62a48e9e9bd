//! benches: what a chart costs inside the process: series that hold a year of 1-minute samples (a
//! seeded random walk with a daily wave, two decimals), read by the reader that queries use.
//!
//! `cargo bench --bench read [-- SERIES [FOLDER]]` (default 20): medians of warm reads. With a
//! folder the database stays there and is used again. `ci/bench/query.py` asks peers the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::model::Registry;
use plimsoll::store::block::Column;
use plimsoll::store::{Limits, Reader, Store, Times, Want};

const START: i64 = 1_735_689_600_000;
const MINUTE: i64 = 60_000;
const COUNT: i64 = 525_600;
const DAY: i64 = 86_400_000;
const END: i64 = START + COUNT * MINUTE;

fn main() {
    let mut words = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let series: i64 = words.next().and_then(|a| a.parse().ok()).unwrap_or(20);
    let keep = words.next().map(PathBuf::from);
    let scratch = tempfile::tempdir_in(".").unwrap();
    let folder = keep.as_deref().unwrap_or(scratch.path());
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("metrics.sqlite");
    if !path.exists() {
        fill(&path, series);
    }
    let registry = Arc::new(Registry::default());
    let store = Store::open(&path, "bench", registry).unwrap();
    let reader = Reader::open(&path).unwrap().with_head(store.head());
    let ids: Vec<i64> = reader.series().unwrap().into_iter().map(|s| s.id).collect();
    let one = &ids[..1];
    println!(
        "{} series x {COUNT} samples, {} bytes",
        ids.len(),
        std::fs::metadata(&path).unwrap().len()
    );
    show("a series, the last 24 h, every sample", || read(&reader, one, END - DAY, END));
    show("a series, a year, every sample", || read(&reader, one, START, END));
    show("a series, a year, 1,000 averages", || chart(&reader, one, Want::Mean));
    show("a series, a year, 1,000 averages with their band", || chart(&reader, one, Want::All));
    show("all series, a year, 1,000 averages each", || chart(&reader, &ids, Want::Mean));
}

fn fill(path: &Path, series: i64) {
    let mut store = Store::open(path, "bench", Arc::new(Registry::default())).unwrap();
    store.set_limits(Limits { raw_ms: i64::MAX / 4, max_size: 8 << 30, ..Limits::default() });
    let keys: Vec<String> = (0..series).map(|n| format!("s{n}")).collect();
    let mut walks: Vec<(f64, u64)> = (0..series).map(|n| (50.0, n as u64 + 1)).collect();
    let random = |seed: &mut u64| {
        *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (*seed >> 11) as f64 / (1u64 << 53) as f64
    };
    for from in (0..COUNT).step_by(1440) {
        let mut rows = Vec::new();
        for i in from..(from + 1440).min(COUNT) {
            let phase = std::f64::consts::TAU * (i % 1440) as f64 / 1440.0;
            for (n, (at, seed)) in walks.iter_mut().enumerate() {
                *at += (random(seed) - 0.5) * 0.6;
                *at += (50.0 - *at) * 0.0005;
                let value = *at + 15.0 * (phase + n as f64).sin() + (random(seed) - 0.5) * 2.0;
                rows.push((keys[n].as_str(), START + i * MINUTE, (value * 100.0).round() / 100.0));
            }
        }
        store.import(rows.into_iter()).unwrap();
        let now = Times { wall: START + (from + 1440) * MINUTE, boot: from * MINUTE };
        while store.upkeep(now, Duration::from_secs(1)).unwrap() {}
        store.checkpoint().unwrap();
    }
    store.compact(Times { wall: END, boot: END - START }).unwrap();
}

fn read(reader: &Reader, ids: &[i64], from: i64, to: i64) -> usize {
    let mut columns: Vec<Column> =
        ids.iter().map(|series| Column { series: *series, ..Column::default() }).collect();
    reader.columns(from, to - 1, &mut columns).unwrap();
    columns.iter().map(|c| c.ts.len()).sum()
}

fn chart(reader: &Reader, ids: &[i64], want: Want) -> usize {
    ids.iter().map(|id| reader.summary(*id, START, END, 1_000, want).unwrap().len()).sum()
}

fn show(what: &str, mut ask: impl FnMut() -> usize) {
    let points = ask();
    let mut times: Vec<Duration> = Vec::new();
    let begin = Instant::now();
    while times.len() < 5 || (begin.elapsed() < Duration::from_secs(2) && times.len() < 500) {
        let at = Instant::now();
        assert_eq!(ask(), points);
        times.push(at.elapsed());
    }
    times.sort();
    println!("{what}: {:.3} ms, {points} points", times[times.len() / 2].as_secs_f64() * 1e3);
}
