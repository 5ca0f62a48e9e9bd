//! benches: what one commit of many series costs: a synthetic source of 10,000 series, one sample
//! each a second, through the same queue, transaction and upkeep as the daemon's.
//!
//! `cargo bench --bench append [-- SERIES [SECONDS]]`: CPU of the committing thread as a share of
//! the second that each commit stands for; then the same samples as an import. The folder is the current one, so that fsync is real.

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
        let batch = Batch::of(Source::Collect, ts, samples);
        let before = cpu();
        store.commit(&[batch]).unwrap();
        let between = cpu();
        // The first commit also names every series.
        if second > 0 {
            commit += between - before;
        }
        let mut more = true;
        while more {
            // What the next commit may have to wait for.
            let from = cpu();
            more = store.upkeep(Times { wall: ts, boot: ts }, Duration::from_millis(25)).unwrap();
            longest = longest.max(cpu() - from);
            store.checkpoint().unwrap();
        }
        upkeep += cpu() - between;
    }
    let share = |d: Duration, n: i64| d.as_secs_f64() / n as f64 * 100.0;
    println!("{series} series, {seconds} commits");
    println!("commit   {:6.2} % of a core at one a second", share(commit, seconds - 1));
    println!("upkeep   {:6.2} %", share(upkeep, seconds));
    println!("longest piece of upkeep {longest:.0?} of CPU");
    println!("file     {} bytes", std::fs::metadata(path).unwrap().len());
    drop(store);
    let from = Instant::now();
    let store = Store::open(path, "bench", Arc::default()).unwrap();
    println!("opened   in {:.0?}; peak memory {} MB", from.elapsed(), peak_mb());
    drop(store);
    import(&dir.path().join("import.sqlite"), series, seconds);
}

/// The same number of samples through the way that `plimsoll import` takes.
fn import(path: &Path, series: usize, seconds: i64) {
    let keys: Vec<String> = (0..series).map(|i| format!("synthetic{{n=\"{i}\"}}")).collect();
    let mut store = Store::open(path, "bench", Arc::default()).unwrap();
    let (from, before) = (Instant::now(), process_cpu());
    let mut import = store.begin_import();
    for second in 0..seconds {
        let ts = 1_700_000_000_000 + second * 1_000;
        let value = |i: usize| (second * 7 % 100 + i as i64) as f64;
        import.put(keys.iter().enumerate().map(|(i, k)| (k.as_str(), ts, value(i)))).unwrap();
    }
    import.finish().unwrap();
    let (wall, cpu) = (from.elapsed().as_secs_f64(), (process_cpu() - before).as_secs_f64());
    let samples = series as f64 * seconds as f64;
    println!("import   {:.0} samples/s, {:.0} per CPU second", samples / wall, samples / cpu);
    println!(
        "file     {} bytes; peak memory {} MB",
        std::fs::metadata(path).unwrap().len(),
        peak_mb()
    );
}

fn process_cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// The most memory this process had so far (proc_pid_status(5)).
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1000
}
