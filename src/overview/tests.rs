//! overview: artificial machines: their charts, their lines, and their verdicts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::alert::forecast::forecast;
use crate::model::{Graph, Identity, Kind, Labels, Registry, Series, SeriesRef};
use crate::pipeline::{Batch, Source};
use crate::store::{Reader, Store, Times};
use crate::wire::munin::Described;

mod heard;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Noon.
const NOW: i64 = 1_700_049_600_000;

/// A machine whose values are a function of name and time.
struct Machine {
    dir: tempfile::TempDir,
}

/// Name, labels, unit.
type Made = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const ROOT: &[(&str, &str)] = &[("mountpoint", "/"), ("device", "/dev/vda1"), ("fstype", "ext4")];
const SNAP: &[(&str, &str)] =
    &[("mountpoint", "/snap/core"), ("device", "/dev/loop0"), ("fstype", "squashfs")];

const SERIES: &[Made] = &[
    ("node_load1", &[], ""),
    ("node_load5", &[], ""),
    ("node_load15", &[], ""),
    ("node_memory_MemTotal_bytes", &[], "bytes"),
    ("node_memory_MemAvailable_bytes", &[], "bytes"),
    ("node_memory_MemFree_bytes", &[], "bytes"),
    ("disk", &[("mountpoint", "/")], "percent"),
    ("node_filesystem_avail_bytes", &[("mountpoint", "/"), ("device", "/dev/vda1")], "bytes"),
    ("node_filesystem_files", ROOT, ""),
    ("node_filesystem_files_free", ROOT, ""),
    ("node_filesystem_readonly", ROOT, ""),
    ("node_filesystem_readonly", SNAP, ""),
    ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "idle")], "seconds"),
    ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "user")], "seconds"),
    ("node_cpu_seconds_total", &[("cpu", "1"), ("mode", "idle")], "seconds"),
    ("node_cpu_seconds_total", &[("cpu", "1"), ("mode", "user")], "seconds"),
    ("node_network_receive_bytes_total", &[("device", "eth0")], "bytes"),
    ("node_network_transmit_bytes_total", &[("device", "eth0")], "bytes"),
    ("node_network_receive_bytes_total", &[("device", "lo")], "bytes"),
    ("node_pressure_io_waiting_seconds_total", &[], "seconds"),
    ("node_vmstat_oom_kill", &[], ""),
    ("plimsoll_collect_success", &[("collector", "hwmon")], ""),
    ("plimsoll_collect_success", &[("collector", "loadavg")], ""),
    ("munin_df", &[("field", "_dev_vda1")], ""),
    ("munin_if_eth0", &[("field", "down")], ""),
    ("munin_if_eth0", &[("field", "up")], ""),
    ("munin_memory", &[("field", "apps")], ""),
    ("munin_memory", &[("field", "free")], ""),
    ("munin_memory", &[("field", "odd")], ""),
];

fn job(name: &str) -> &'static str {
    if name.starts_with("munin_") { "munin" } else { "node" }
}

/// Descriptions of Munin plugins.
const CONFIGS: [(&str, &str); 3] = [
    (
        "df",
        "graph_title Disk usage in percent\ngraph_args --upper-limit 100 -l 0 -r\ngraph_vlabel %\n\
         graph_category disk\n_dev_vda1.label /\n_dev_vda1.warning 92\n_dev_vda1.critical 98",
    ),
    (
        "if_eth0",
        "graph_title eth0 traffic\ngraph_order down up\ngraph_vlabel bits in (-) / out (+) per second\n\
         graph_category network\ndown.label received\ndown.type DERIVE\ndown.min 0\ndown.graph no\n\
         down.cdef down,8,*\nup.label bps\nup.type DERIVE\nup.min 0\nup.negative down\nup.cdef up,8,*",
    ),
    (
        "memory",
        "graph_title Memory usage\ngraph_vlabel Bytes\ngraph_category system\ngraph_info Where it is.\n\
         apps.label apps\napps.draw AREA\nfree.label unused\nfree.draw STACK\nodd.label odd\n\
         odd.draw STACK\nodd.cdef apps,free,/,100,*",
    ),
];

fn described() -> Vec<(String, Graph)> {
    let of = |(plugin, text): (&str, &str)| {
        let graphs = Described::read(plugin, text.as_bytes()).graphs;
        graphs.into_iter().map(move |g| ("here".to_owned(), g.graph(plugin))).collect::<Vec<_>>()
    };
    CONFIGS.into_iter().flat_map(of).collect()
}

/// A machine with plugins: the values of their fields, `t` seconds after the start.
fn with_plugins(name: &str, labels: &Labels, t: f64) -> Option<f64> {
    match (name, labels.get("field")?) {
        ("munin_df", "_dev_vda1") => Some(if t < 80_000.0 { 50.0 } else { 93.5 }),
        ("munin_if_eth0", "down") => Some(1_000.0 * t),
        ("munin_if_eth0", "up") => Some(500.0 * t),
        ("munin_memory", "apps") => Some(6e9),
        ("munin_memory", _) => Some(2e9),
        _ => None,
    }
}

#[test]
fn charts_in_the_words_of_plugins() {
    let machine = Machine::new(DAY, |name, labels, t| {
        with_plugins(name, labels, t).or_else(|| at_rest(name, labels, t))
    });
    let known = machine.reader().series().expect("reads");
    let all = charts(&known, &described(), "here");
    let of_plugins: Vec<&Chart> = all.iter().filter(|c| c.group.starts_with("Plugins")).collect();
    let heads: Vec<_> =
        of_plugins.iter().map(|c| (&*c.id, &*c.title, &*c.group, &*c.unit)).collect();
    assert_eq!(
        heads,
        [
            ("munin/df", "Disk usage in percent", "Plugins: disk", "percent"),
            ("munin/if_eth0", "eth0 traffic", "Plugins: network", "bits/s"),
            ("munin/memory", "Memory usage", "Plugins: system", "bytes"),
        ]
    );
    let lines = |at: usize| -> Vec<_> {
        let chart = of_plugins[at];
        chart.lines.iter().map(|l| (&*l.name, l.rate, l.down, l.terms[0].factor)).collect()
    };
    assert_eq!(lines(0), [("/", false, false, 1.0)]);
    assert_eq!(of_plugins[0].marks, [(98.0, "critical".to_owned()), (92.0, "warning".to_owned())]);
    assert_eq!(of_plugins[0].top, Some(100.0));
    assert_eq!(lines(1), [("bps in", true, true, 8.0), ("bps out", true, false, 8.0)]);
    // A quotient of two series is no sum.
    assert_eq!(lines(2), [("apps", false, false, 1.0), ("unused", false, false, 1.0)]);
    assert!(of_plugins[2].stack && of_plugins[2].help == "Where it is.");
    let up = &of_plugins[1].lines[1];
    let drawn = read(&machine.reader(), up, NOW - HOUR, NOW, 300_000).expect("reads");
    assert!(drawn.mean.iter().all(|v| (*v - 4_000.0).abs() < 1e-6), "bits: {:?}", drawn.mean);
    assert!(!all.iter().any(|c| c.id == "munin:munin_df"), "each series once");

    let verdict = verdict(&machine.reader(), &all, NOW, &[], Whose::Ours).expect("reads");
    assert_eq!(said(&verdict), ["warning: Disk usage in percent / is 93.5 %, above 92 %"]);
    assert_eq!(verdict.findings[0].chart.as_deref(), Some("munin/df"));
}

/// A machine at rest, `t` seconds after it was started.
fn at_rest(name: &str, labels: &Labels, t: f64) -> Option<f64> {
    Some(match name {
        "node_load1" | "node_load5" | "node_load15" => 0.5,
        "node_memory_MemTotal_bytes" => 8e9,
        "node_memory_MemAvailable_bytes" => 6e9,
        "node_memory_MemFree_bytes" => 1e9,
        "disk" => 40.0,
        "node_filesystem_avail_bytes" => 60e9 + (t / 977.0).sin() * 1e8,
        "node_cpu_seconds_total" if labels.get("mode") == Some("user") => 0.25 * t,
        "node_cpu_seconds_total" => 0.75 * t,
        "node_network_receive_bytes_total" => 1000.0 * t,
        "node_network_transmit_bytes_total" => 500.0 * t,
        "plimsoll_collect_success" => 1.0,
        _ if name.starts_with("munin_") => return None,
        // Only for tests that use them.
        "node_filesystem_files" | "node_filesystem_files_free" | "node_filesystem_readonly" => {
            return None;
        }
        _ => 0.0,
    })
}

impl Machine {
    /// One sample a minute over this time until now.
    fn new(span: i64, value: impl Fn(&str, &Labels, f64) -> Option<f64>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let registry = Arc::new(Registry::default());
        let mut store = Store::open(&dir.path().join("m.sqlite"), "here", Arc::clone(&registry))
            .expect("opens");
        let mut samples: BTreeMap<i64, Vec<(SeriesRef, f64)>> = BTreeMap::new();
        for (name, labels, unit) in SERIES {
            let labels = Labels::new(labels.iter().copied());
            let counter = name.ends_with("_total") || *name == "node_vmstat_oom_kill";
            let series = registry.intern(Series {
                identity: Identity::local(job(name), name, labels.clone()),
                kind: if counter { Kind::Counter } else { Kind::Gauge },
                unit: (*unit).into(),
                help: "".into(),
            });
            if value(name, &labels, 0.0).is_none() {
                continue;
            }
            for ts in (NOW - span..NOW).step_by(60_000) {
                let t = (ts - (NOW - span)) as f64 / 1e3;
                if let Some(value) = value(name, &labels, t) {
                    samples.entry(ts).or_default().push((series, value));
                }
            }
        }
        let batches: Vec<Batch> =
            samples.into_iter().map(|(ts, s)| Batch::of(Source::Collect, ts, s)).collect();
        store.commit(&batches).expect("commits");
        store.compact(Times { wall: NOW, boot: span }).expect("compacts");
        Self { dir }
    }

    fn reader(&self) -> Reader {
        open(self.dir.path())
    }

    fn verdict(&self) -> Verdict {
        let reader = self.reader();
        verdict(&reader, &self.charts(), NOW, &[], Whose::Ours).expect("reads")
    }

    fn charts(&self) -> Vec<Chart> {
        charts(&self.reader().series().expect("reads"), &[], "here")
    }
}

fn open(dir: &Path) -> Reader {
    Reader::open(&dir.join("m.sqlite")).expect("opens")
}

fn said(verdict: &Verdict) -> Vec<String> {
    let line = |f: &Finding| format!("{}: {} {}", f.level.name(), f.subject, f.text);
    verdict.findings.iter().map(line).collect()
}

#[test]
fn the_first_view_then_everything_else_once() {
    let machine = Machine::new(HOUR, at_rest);
    let charts = machine.charts();
    let ids: Vec<&str> = charts.iter().map(|c| c.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "load",
            "memory",
            "disk:/",
            "cpu",
            "network",
            "pressure",
            "node:node_filesystem_avail_bytes",
            "node:node_vmstat_oom_kill",
            "node:plimsoll_collect_success",
        ]
    );
    let find = |id: &str| charts.iter().find(|c| c.id == id).expect("a chart");
    assert_eq!(find("load").marks, [(2.0, "2 CPUs".to_owned())]);
    assert_eq!(find("disk:/").title, "Disk /");
    let lines = |id| find(id).lines.iter().map(|l| l.name.as_str()).collect::<Vec<_>>();
    assert_eq!(lines("cpu"), ["user"], "idle is what is not filled");
    assert_eq!(lines("network"), ["eth0 in", "eth0 out"], "not the loopback");
    assert_eq!(lines("node:plimsoll_collect_success"), ["hwmon", "loadavg"]);
    assert_eq!(find("node:plimsoll_collect_success").group, "plimsoll itself");
    assert_eq!(super::charts(&machine.reader().series().expect("reads"), &[], "there"), []);
}

#[test]
fn lines_are_rates_sums_and_differences() {
    let machine = Machine::new(DAY, at_rest);
    let charts = machine.charts();
    let reader = machine.reader();
    // From samples and from rollups alike.
    for (span, width) in [(HOUR, 60_000), (6 * HOUR, 120_000), (DAY, 3_600_000)] {
        let value = |id: &str, line: &str| {
            let chart = charts.iter().find(|c| c.id == id).expect("a chart");
            let line = chart.lines.iter().find(|l| l.name == line).expect("a line");
            // Not from the first sample on, which has no rate.
            let from = NOW - span + width;
            let columns = read(&reader, line, from, NOW, width).expect("reads");
            assert!(columns.start.iter().all(|s| s % width == 0), "{columns:?}");
            assert!(columns.start.len() as i64 >= span / width - 2, "{id} {width}: {columns:?}");
            columns
        };
        for (id, line, expected) in [
            ("cpu", "user", 25.0),
            ("network", "eth0 in", 1000.0),
            ("network", "eth0 out", -500.0),
            ("memory", "used", 2e9),
            ("memory", "cache", 5e9),
        ] {
            let columns = value(id, line);
            for values in [&columns.mean, &columns.min, &columns.max] {
                for v in values {
                    let near = (v - expected).abs() <= expected.abs() * 0.01;
                    assert!(near, "{id} {line} {width}: {v}");
                }
            }
        }
    }
}

#[test]
fn the_band_keeps_a_peak_that_the_mean_hides() {
    let machine = Machine::new(DAY, |name, labels, t| match name {
        "node_load1" if t == 36_000.0 => Some(80.0),
        // A minute of 100 kB/s.
        "node_network_receive_bytes_total" if t > 36_000.0 => Some(1000.0 * t + 6e6),
        _ => at_rest(name, labels, t),
    });
    let (charts, reader) = (machine.charts(), machine.reader());
    for (id, least) in [("load", 80.0), ("network", 5_000.0)] {
        let chart = charts.iter().find(|c| c.id == id).expect("a chart");
        let columns = read(&reader, &chart.lines[0], NOW - DAY, NOW, 2 * HOUR).expect("reads");
        let most = columns.max.iter().copied().fold(0.0, f64::max);
        assert!(most >= least, "{id}: {most}");
        assert!(columns.mean.iter().all(|v| *v < least), "{columns:?}");
    }
}

#[test]
fn nothing_is_drawn_into_a_gap() {
    let machine = Machine::new(6 * HOUR, |name, labels, t| {
        let gone = (7_200.0..14_400.0).contains(&t);
        if gone { None } else { at_rest(name, labels, t) }
    });
    let (charts, reader) = (machine.charts(), machine.reader());
    for id in ["load", "network", "memory", "cpu"] {
        let chart = charts.iter().find(|c| c.id == id).expect("a chart");
        let columns = read(&reader, &chart.lines[0], NOW - 6 * HOUR, NOW, 120_000).expect("reads");
        let gap = NOW - 4 * HOUR..NOW - 2 * HOUR;
        assert!(!columns.start.iter().any(|s| gap.contains(s)), "{id}: {columns:?}");
        assert!(columns.start.len() > 100, "{id}: {}", columns.start.len());
    }
}

#[test]
fn widths_are_round_and_few_enough() {
    assert_eq!(nice_width(300_000, 300), 1_000);
    assert_eq!(nice_width(HOUR, 400), 10_000);
    assert_eq!(nice_width(365 * DAY, 400), DAY);
    assert_eq!(nice_width(0, 0), 100);
    for span in [HOUR, DAY, 400 * DAY, 40_000 * DAY] {
        let width = nice_width(span, 400);
        assert!(span / width <= 400 && width % 1_000 == 0);
        assert!(width < 300_000 || width % 300_000 == 0, "whole rollups: {width}");
    }
}

#[test]
fn a_machine_at_rest_is_well() {
    let verdict = Machine::new(2 * DAY, at_rest).verdict();
    assert_eq!((verdict.level, said(&verdict)), (Level::Well, vec![]));
    assert_eq!(verdict.newest, Some(NOW - 60_000));
}

#[test]
fn what_is_wrong_and_since_when() {
    // The last part of a day, from 20:00 on.
    const FROM: f64 = 20.0 * 3_600.0;
    let since = NOW - 4 * HOUR;
    for (metric, value, expected) in [
        ("disk", 93.0, "warning: Disk / 93 % used"),
        ("disk", 99.0, "bad: Disk / 99 % used"),
        ("node_load5", 6.0, "warning: Load is 6 on 2 CPUs"),
        ("node_load5", 11.0, "bad: Load is 11 on 2 CPUs"),
        ("node_memory_MemAvailable_bytes", 0.4e9, "warning: Memory 5 % left"),
        ("node_memory_MemAvailable_bytes", 0.1e9, "bad: Memory 1.25 % left"),
        ("plimsoll_collect_success", 0.0, "warning: collector hwmon fails"),
    ] {
        let machine = Machine::new(DAY, |name, labels, t| {
            let hit = name == metric && labels.get("collector") != Some("loadavg");
            if hit && t >= FROM { Some(value) } else { at_rest(name, labels, t) }
        });
        let verdict = machine.verdict();
        assert_eq!(said(&verdict), [expected]);
        assert_eq!(verdict.findings[0].since, Some(since), "{metric}");
    }
    let machine = Machine::new(DAY, |name, labels, t| match name {
        "node_pressure_io_waiting_seconds_total" => Some((t - FROM).max(0.0) * 0.75),
        "node_vmstat_oom_kill" => Some(if t > 86_000.0 { 1.0 } else { 0.0 }),
        _ => at_rest(name, labels, t),
    });
    assert_eq!(
        said(&machine.verdict()),
        [
            "bad: Memory ran out: the kernel ended 1 process",
            "warning: Pressure on disks: tasks wait 75 % of the time"
        ]
    );
}

#[test]
fn what_was_wrong_and_is_over_is_not_said() {
    let verdict = Machine::new(DAY, |name, labels, t| match name {
        "disk" if t < 80_000.0 => Some(99.0),
        "node_load5" if t > 86_250.0 => Some(50.0),
        _ => at_rest(name, labels, t),
    })
    .verdict();
    assert_eq!(said(&verdict), Vec::<String>::new(), "also not what has only just begun");
}

#[test]
fn a_machine_that_fell_silent() {
    let machine = Machine::new(
        DAY,
        |name, labels, t| {
            if t > 82_800.0 { None } else { at_rest(name, labels, t) }
        },
    );
    let verdict = machine.verdict();
    assert_eq!(said(&verdict), ["bad: No sample received"]);
    assert_eq!(verdict.findings[0].since, Some(NOW - HOUR));
}

#[test]
fn what_the_daemon_complains_of_comes_first_if_it_is_the_file() {
    let machine = Machine::new(HOUR, |name, labels, t| match name {
        "disk" => Some(91.0),
        _ => at_rest(name, labels, t),
    });
    let trouble = |subject: &str| Trouble {
        subject: subject.into(),
        since: NOW - 5,
        message: "is not well".into(),
    };
    let troubles = [trouble("collector hwmon"), trouble("database")];
    let verdict =
        verdict(&machine.reader(), &machine.charts(), NOW, &troubles, Whose::Ours).expect("reads");
    assert_eq!(
        said(&verdict),
        [
            "bad: database is not well",
            "warning: collector hwmon is not well",
            "warning: Disk / 91 % used"
        ]
    );
}

/// 20 GB a day go, of 60 GB at the end.
fn filling(name: &str, labels: &Labels, t: f64, days: f64) -> Option<f64> {
    match name {
        "node_filesystem_avail_bytes" => {
            let wave = (t / 5_000.0).sin() * 0.5e9;
            Some(60e9 + (days * 86_400.0 - t) * (20e9 / 86_400.0) + wave)
        }
        _ => at_rest(name, labels, t),
    }
}

#[test]
fn a_disk_that_fills_is_said_with_its_day() {
    let machine = Machine::new(4 * DAY, |name, labels, t| filling(name, labels, t, 4.0));
    let verdict = machine.verdict();
    assert_eq!(said(&verdict), ["warning: Disk / will be full soon"]);
    let days = (verdict.findings[0].until.expect("a day") - NOW) as f64 / DAY as f64;
    assert!((2.8..3.2).contains(&days), "{days}");
}

fn every_hour(days: i64, left: impl Fn(f64) -> f64) -> Option<f64> {
    let points: Vec<(i64, f64)> =
        (0..days * 24).map(|h| (NOW + (h - days * 24) * HOUR, left(h as f64 / 24.0))).collect();
    forecast(&points).map(|f| (f.at - NOW) as f64 / DAY as f64)
}

#[test]
fn a_trend_is_robust_or_there_is_none() {
    let near = |days: Option<f64>, expected: f64| {
        let off = days.map(|d| (d - expected).abs());
        assert!(off.is_some_and(|o| o < expected * 0.1 + 0.2), "{days:?}, not {expected}");
    };
    // 1 of 20 a day, a week seen: 13 are left.
    near(every_hour(7, |d| 20.0 - d), 13.0);
    let noise = |d: f64| (d * 7_919.0).sin();
    near(every_hour(7, |d| 20.0 - d + 0.3 * noise(d)), 13.0);
    // A backup that comes for two hours and goes again.
    near(every_hour(7, |d| if (3.0..3.1).contains(&d) { 2.0 } else { 20.0 - d }), 13.0);
    // In steps, at night.
    near(every_hour(7, |d| 20.0 - d.floor()), 13.0);
    for (what, days) in [
        ("nothing goes", every_hour(7, |_| 20.0)),
        ("it grows", every_hour(7, |d| 20.0 + d)),
        ("it wavers", every_hour(7, |d| 20.0 + 3.0 * noise(d))),
        ("it has stopped", every_hour(7, |d| 20.0 - d.min(3.5))),
        ("it was cleaned up", every_hour(7, |d| if d < 6.5 { 20.0 - d } else { 20.0 })),
        ("in many years", every_hour(7, |d| 2_000.0 - d)),
    ] {
        assert_eq!(days, None, "{what}");
    }
    assert_eq!(forecast(&[]), None);
    let few: Vec<(i64, f64)> = (0..23).map(|h| (h * HOUR, 50.0 - h as f64)).collect();
    assert_eq!(forecast(&few), None, "too short");
}
