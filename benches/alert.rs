//! benches: what a pass over all rules costs: a file with the usual 230 series of a machine and an hour
//! of samples, the defaults and then fifty rules, with the newest samples in memory.
//!
//! `cargo bench --bench alert [-- PASSES [DAYS]]`: CPU of the judging thread, in ms a pass; then a replay
//! of the defaults over so many days (2), which are written first.

use std::sync::Arc;
use std::time::Duration;

use plimsoll::alert::replay::{Span, replay};
use plimsoll::alert::{Cause, Judge, Rule, RuleText, defaults};
use plimsoll::model::{Identity, Labels, Registry, Series, SeriesRef};
use plimsoll::pipeline::{Batch, Source};
use plimsoll::query::budget::Budget;
use plimsoll::query::eval::Limits;
use plimsoll::query::{Catalog, StoreSource};
use plimsoll::store::{Reader, Store, Times};

const BEAT: i64 = 10_000;
const START: i64 = 1_700_000_000_000;

fn cpu() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// The usual series of a machine with four CPUs, two disks and two networks: name, labels, whether it
/// is a counter, its size.
fn machine() -> Vec<(String, Labels, bool, f64)> {
    let mut all = Vec::new();
    let mut add = |name: &str, labels: &[(&str, &str)], counts: bool, value: f64| {
        all.push((name.to_owned(), Labels::new(labels.iter().copied()), counts, value));
    };
    for (mount, device) in [("/", "/dev/vda1"), ("/home", "/dev/vda2")] {
        let labels = [("mountpoint", mount), ("device", device), ("fstype", "ext4")];
        for (name, value) in [
            ("size_bytes", 100e9),
            ("free_bytes", 60e9),
            ("avail_bytes", 55e9),
            ("files", 6e6),
            ("files_free", 5e6),
            ("readonly", 0.0),
            ("device_error", 0.0),
        ] {
            add(&format!("node_filesystem_{name}"), &labels, false, value);
        }
        add("disk", &[("mountpoint", mount)], false, 40.0);
    }
    for cpu in ["0", "1", "2", "3"] {
        for mode in ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"] {
            add("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], true, 0.1);
        }
    }
    for device in ["eth0", "eth1"] {
        for way in ["receive", "transmit"] {
            for what in ["bytes", "packets", "errs", "drop"] {
                let name = format!("node_network_{way}_{what}_total");
                add(&name, &[("device", device)], true, if what == "errs" { 0.0 } else { 1e4 });
            }
        }
    }
    for what in ["cpu_waiting", "io_stalled", "io_waiting", "memory_stalled", "memory_waiting"] {
        add(&format!("node_pressure_{what}_seconds_total"), &[], true, 0.01);
    }
    for (name, value) in [
        ("node_load1", 1.0),
        ("node_load5", 1.0),
        ("node_load15", 1.0),
        ("node_memory_MemTotal_bytes", 8e9),
        ("node_memory_MemAvailable_bytes", 5e9),
        ("node_boot_time_seconds", 1.6e9),
        ("node_filefd_allocated", 1e3),
        ("node_filefd_maximum", 1e9),
    ] {
        add(name, &[], false, value);
    }
    add("node_vmstat_oom_kill", &[], true, 0.0);
    for sensor in ["temp1", "temp2", "temp3"] {
        add("node_hwmon_temp_celsius", &[("chip", "cpu"), ("sensor", sensor)], false, 50.0);
    }
    for collector in ["loadavg", "meminfo", "filesystem", "cpu", "stat", "diskstats", "netdev"] {
        add("plimsoll_collect_success", &[("collector", collector)], false, 1.0);
    }
    let rest = 230 - all.len();
    for n in 0..rest {
        let labels = Labels::new([("n", n.to_string())]);
        all.push(("node_memory_other_bytes".to_owned(), labels, false, 1e6));
    }
    all
}

fn fifty() -> Vec<Rule> {
    let wheres = [
        "node_load1 > 100",
        "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes * 100 < 1",
        "rate(node_network_receive_bytes_total[5m]) > 1e12",
        "100 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) * 100 > 99.9",
        "node_filesystem_avail_bytes / node_filesystem_size_bytes * 100 < 1",
        "increase(node_vmstat_oom_kill[10m]) > 0",
        "disk_/ > 99",
        "max_over_time(node_hwmon_temp_celsius[10m]) > 120",
        "sum by (device) (rate(node_network_transmit_errs_total[2m])) > 10",
        "node_filefd_allocated / node_filefd_maximum > 0.9",
    ];
    (0..50)
        .map(|n| {
            let when = wheres[n % wheres.len()].to_owned();
            let text = RuleText { name: Some(format!("rule {n}")), when, ..RuleText::default() };
            Rule::parse(&text).expect("a rule")
        })
        .collect()
}

fn main() {
    let numbers: Vec<u32> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let passes = numbers.first().copied().unwrap_or(500);
    let days = i64::from(numbers.get(1).copied().unwrap_or(2));
    let dir = tempfile::tempdir_in(".").expect("a folder");
    let path = dir.path().join("metrics.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "bench", Arc::clone(&registry)).expect("a store");
    let series: Vec<(SeriesRef, bool, f64)> = machine()
        .into_iter()
        .map(|(name, labels, counts, value)| {
            let identity = Identity::local("node", &name, labels);
            (registry.intern(Series::undescribed(identity)), counts, value)
        })
        .collect();
    let mut beat = 0_i64;
    let mut commit = |store: &mut Store| {
        beat += 1;
        let at = START + beat * BEAT;
        let value = |(series, counts, value): &(SeriesRef, bool, f64)| {
            (*series, if *counts { value * beat as f64 } else { *value })
        };
        let batch = Batch::of(Source::Collect, at, series.iter().map(value).collect());
        store.commit(&[batch]).expect("a commit");
        at
    };
    for _ in 0..360 {
        commit(&mut store);
    }
    let reader = Reader::open(&path).expect("a reader").with_head(store.head());
    let catalog = Catalog::read(&reader).expect("readable");
    let budget = Budget::new(64 << 20);
    let limits = Limits { budget: Some(&budget), ..Limits::default() };
    println!("{} series", catalog.len());
    for (name, rules) in [("defaults", defaults().expect("right")), ("fifty rules", fifty())] {
        let count = rules.len();
        let mut judge = Judge::new(rules, BEAT);
        let (mut first, mut all, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        for pass in 0..passes + 8 {
            let at = commit(&mut store);
            let before = cpu();
            let done =
                judge.pass(Cause::Beat, at, &reader, &catalog, limits, &[]).expect("readable");
            let took = cpu() - before;
            assert!(done.errors.is_empty() && done.changes.is_empty(), "{done:?}");
            match pass {
                0..8 => first += took,
                _ => {
                    all += took;
                    longest = longest.max(took);
                }
            }
        }
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        println!(
            "{name:12} {count:3} rules: {:.3} ms a pass, the longest {:.3}; the first eight {:.3}",
            ms(all) / f64::from(passes),
            ms(longest),
            ms(first)
        );
        let mut took: Vec<_> = judge.reports().map(|r| (r.took, r.rule.name.clone())).collect();
        took.sort_unstable();
        for (took, name) in took.iter().rev().take(5) {
            println!("    {:7.1} µs  {name}", took.as_secs_f64() * 1e6);
        }
    }
    let mut to = START;
    while to < START + days * 86_400_000 {
        to = commit(&mut store);
        if to % 3_600_000 == 0 {
            let times = Times { wall: to, boot: to };
            while store.upkeep(times, Duration::from_secs(1)).expect("upkeep") {}
        }
    }
    let source = StoreSource::new(&reader, &catalog);
    let span = Span { from: START, to, beat_ms: BEAT, samples_from: START };
    let before = cpu();
    let replayed = replay(&defaults().expect("right"), &source, span, limits).expect("readable");
    let took = (cpu() - before).as_secs_f64();
    println!(
        "replay of {days} days: {took:.2} s, {:.2} s for 30 days; {} incidents; at most {:.1} MiB held",
        took * 30.0 / days as f64,
        replayed.incidents.len(),
        budget.peak() as f64 / f64::from(1 << 20)
    );
}
