//! benches: what one commit of many series costs: a synthetic source of 10,000 series, one sample
//! each a second, through the same queue, transaction and upkeep as the daemon's.
//!
//! `cargo bench --bench append [-- SERIES [SECONDS]]`: CPU of the committing thread as a share of
//! the second that each commit stands for. The folder is the current one, so that fsync is real.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::model::{Identity, Labels, Registry, Series};
use plimsoll::pipeline::{Batch, Source};
use plimsoll::store::{Store, Times};

fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let series = numbers.first().copied().unwrap_or(10_000);
    let seconds = numbers.get(1).copied().unwrap_or(60) as i64;
    let dir = tempfile::tempdir_in(".").unwrap();
    let registry = Arc::new(Registry::default());
    let refs: Vec<_> = (0..series)
        .map(|i| {
            let labels = Labels::new([("n", i.to_string())]);
            registry.intern(Series::undescribed(Identity::local("bench", "synthetic", labels)))
        })
        .collect();
    let path: &Path = &dir.path().join("metrics.sqlite");
    let mut store = Store::open(path, "bench", registry).unwrap();
    let start_ms = 1_700_000_000_000;
    let (mut commit, mut upkeep, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for second in 0..seconds {
        let ts = start_ms + second * 1_000;
        let samples = refs
            .iter()
            .enumerate()
            .map(|(i, s)| (*s, (second * 7 % 100 + i as i64) as f64))
            .collect();
        let batch = Batch { source: Source::Collect, ts, arrived: ts, samples };
        let before = cpu();
        store.commit(&[batch]).unwrap();
        let between = cpu();
        // The first commit also names every series.
        if second > 0 {
            commit += between - before;
        }
        let from = Instant::now();
        while store.upkeep(Times { wall: ts, boot: ts }, Duration::from_millis(25)).unwrap() {
            store.checkpoint().unwrap();
        }
        longest = longest.max(from.elapsed());
        upkeep += cpu() - between;
    }
    let share = |d: Duration, n: i64| d.as_secs_f64() / n as f64 * 100.0;
    println!("{series} series, {seconds} commits");
    println!("commit   {:6.2} % of a core at one a second", share(commit, seconds - 1));
    println!("upkeep   {:6.2} %", share(upkeep, seconds));
    println!("longest upkeep after one commit {longest:.0?}");
    println!("file     {} bytes", std::fs::metadata(path).unwrap().len());
}
