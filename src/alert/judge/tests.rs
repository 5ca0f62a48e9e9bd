//! alert: tests of passes: the defaults over made machines, and memory against the file.

use std::sync::Arc;

use super::*;
use crate::alert::defaults::defaults;
use crate::alert::when::RuleText;
use crate::model::{Identity, Registry, Series, SeriesRef, Severity};
use crate::pipeline::{Batch, Source as From};
use crate::query::source::MemorySource;
use crate::store::{Store, Times};

const BEAT: i64 = 10_000;
const HOUR: i64 = 3_600_000;
const NOW: i64 = 1_700_049_600_000;

type Pairs = &'static [(&'static str, &'static str)];

const ROOT: Pairs = &[("mountpoint", "/"), ("device", "/dev/vda1"), ("fstype", "ext4")];
const SNAP: Pairs = &[("mountpoint", "/snap/x"), ("device", "/dev/loop0"), ("fstype", "squashfs")];

/// A machine that is well: name, labels, value by time (ms since the beginning).
/// A series: its name, its labels, and its value at each time.
type Made = (&'static str, Pairs, fn(i64) -> f64);

fn well() -> Vec<Made> {
    vec![
        ("node_filesystem_size_bytes", ROOT, |_| 100e9),
        ("node_filesystem_free_bytes", ROOT, |_| 60e9),
        ("node_filesystem_avail_bytes", ROOT, |_| 55e9),
        ("node_filesystem_files", ROOT, |_| 1e6),
        ("node_filesystem_files_free", ROOT, |_| 5e5),
        ("node_filesystem_readonly", ROOT, |_| 0.0),
        ("node_filesystem_device_error", ROOT, |_| 0.0),
        ("node_filesystem_size_bytes", SNAP, |_| 1e8),
        ("node_filesystem_free_bytes", SNAP, |_| 0.0),
        ("node_filesystem_avail_bytes", SNAP, |_| 0.0),
        ("node_filesystem_readonly", SNAP, |_| 1.0),
        ("node_memory_MemTotal_bytes", &[], |_| 8e9),
        ("node_memory_MemAvailable_bytes", &[], |_| 5e9),
        ("node_load5", &[], |_| 1.0),
        ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "idle")], |t| t as f64 / 1000.0),
        ("node_cpu_seconds_total", &[("cpu", "1"), ("mode", "idle")], |t| t as f64 / 1000.0),
        ("node_cpu_seconds_total", &[("cpu", "0"), ("mode", "steal")], |_| 0.0),
        ("node_pressure_io_stalled_seconds_total", &[], |t| t as f64 / 100_000.0),
        ("node_pressure_memory_stalled_seconds_total", &[], |_| 5.0),
        ("node_pressure_memory_waiting_seconds_total", &[], |_| 5.0),
        ("node_vmstat_oom_kill", &[], |_| 0.0),
        ("node_hwmon_temp_celsius", &[("chip", "cpu"), ("sensor", "temp1")], |_| 60.0),
        ("node_boot_time_seconds", &[], |_| 1_600_000_000.0),
        ("plimsoll_collect_success", &[("collector", "loadavg")], |_| 1.0),
        ("node_filefd_allocated", &[], |_| 1000.0),
        ("node_filefd_maximum", &[], |_| 100_000.0),
    ]
}

/// A store in memory, and a judge with the defaults over it.
struct Scene {
    source: MemorySource,
    judge: Judge,
    at: i64,
    told: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let judge = Judge::new(defaults().expect("right"), BEAT);
        Self { source: MemorySource::default(), judge, at: NOW, told: Vec::new() }
    }

    /// Runs this many beats of a machine that is well except for some series.
    fn run(&mut self, beats: usize, but: &[(&'static str, Pairs, f64)]) -> Vec<String> {
        for _ in 0..beats {
            self.at += BEAT;
            let mut add = |name: &str, labels: Pairs, value: f64| {
                let own = [("__name__", name), ("instance", "web1"), ("job", "node")];
                let labels = Labels::new(labels.iter().copied().chain(own));
                self.source.add(labels, [(self.at, value)]);
            };
            for (name, labels, value) in well() {
                add(name, labels, value(self.at - NOW));
            }
            for (name, labels, value) in but {
                add(name, labels, *value);
            }
            let pass = self.judge.pass_over(self.at, &self.source, Limits::default(), &[]);
            assert!(pass.errors.is_empty(), "{:?}", pass.errors);
            for Change { turn, at, alert } in pass.changes {
                let after = (at - NOW) / 1000;
                let severity = alert.severity.word();
                self.told
                    .push(format!("{after} {turn:?} {severity} {}: {}", alert.rule, alert.text));
            }
        }
        std::mem::take(&mut self.told)
    }
}

#[test]
fn a_machine_that_is_well_is_not_talked_about() {
    let mut scene = Scene::new();
    assert_eq!(scene.run(720, &[]), [""; 0]);
    assert_eq!(scene.judge.instances().count(), 0);
}

#[test]
fn a_disk_that_is_full_is_told_with_what_is_left() {
    let mut scene = Scene::new();
    scene.run(20, &[]);
    // Per cent alone are nothing: 5 % of a large disk are much.
    let large = [
        ("node_filesystem_size_bytes", ROOT, 4e12),
        ("node_filesystem_free_bytes", ROOT, 0.1e12),
        ("node_filesystem_avail_bytes", ROOT, 0.1e12),
    ];
    assert_eq!(scene.run(100, &large), [""; 0]);
    scene.run(10, &[]);
    let full =
        [("node_filesystem_free_bytes", ROOT, 7e9), ("node_filesystem_avail_bytes", ROOT, 2e9)];
    assert_eq!(
        scene.run(40, &full),
        ["1370 Fires bad disk_full: disk / is 97.9 % full, 1.86 GiB left"]
    );
    let alert = scene.judge.instances().next().expect("an alert").clone();
    assert_eq!(alert.labels.get("mountpoint"), Some("/"));
    assert_eq!((alert.severity, alert.limit), (Severity::Bad, Some(97.0)));
    let told = scene.run(60, &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Resolves bad disk_full: disk /"), "{told:?}");
}

#[test]
fn little_memory_is_told_only_where_something_waits_for_it() {
    let mut scene = Scene::new();
    scene.run(40, &[]);
    let little = [("node_memory_MemAvailable_bytes", &[][..], 0.5e9)];
    assert_eq!(scene.run(200, &little), [""; 0]);
    // The same, and tasks wait 20 % of the time.
    let mut told = Vec::new();
    for beat in 0..130 {
        let waits =
            ("node_pressure_memory_waiting_seconds_total", &[][..], 5.0 + f64::from(beat) * 2.0);
        told.extend(scene.run(1, &[little[0], waits]));
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].ends_with("Fires warning memory: memory is short, 6.25 % left (477 MiB)"));
}

#[test]
fn what_happens_once_is_told_at_once() {
    let mut scene = Scene::new();
    scene.run(30, &[]);
    let killed = [("node_vmstat_oom_kill", &[][..], 1.0), ("node_filesystem_readonly", ROOT, 1.0)];
    let told = scene.run(3, &killed);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("310 Fires bad disk_readonly: disk / has become read-only"),
        "{told:?}"
    );
    assert!(
        told[1].contains("Fires warning oom: memory has run out, processes ended by the kernel: 1"),
        "{told:?}"
    );
}

#[test]
fn a_reboot_is_told_once_and_a_first_start_is_not() {
    let mut scene = Scene::new();
    let seconds = |at: i64| (at / 1000) as f64;
    let first = [("node_boot_time_seconds", &[][..], seconds(NOW))];
    assert_eq!(scene.run(30, &first), [""; 0], "nothing is known of the time before");
    scene.at += 2 * 60_000;
    let again = [("node_boot_time_seconds", &[][..], seconds(scene.at - 30_000))];
    let told = scene.run(100, &again);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Fires info rebooted: was started"), "{told:?}");
}

#[test]
fn a_power_cut_is_a_warning_and_no_reboot_besides() {
    let mut scene = Scene::new();
    let seconds = |at: i64| (at / 1000) as f64;
    scene.run(30, &[("node_boot_time_seconds", &[][..], seconds(NOW))]);
    scene.at += 2 * 60_000;
    let boot = ("node_boot_time_seconds", &[][..], seconds(scene.at - 30_000));
    let told = scene.run(100, &[boot, ("plimsoll_unclean_boot", &[][..], 1.0)]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Fires warning crashed: was started"), "{told:?}");
    assert!(told[0].ends_with("after it went down without a shutdown"), "{told:?}");
}

#[test]
fn a_silent_machine_is_what_the_daemon_says() {
    let mut scene = Scene::new();
    scene.run(20, &[]);
    let silence =
        |seconds: f64| [("silence", vec![(Labels::new([("instance", "web2")]), seconds)])];
    let mut pass = |seconds: f64| {
        scene.at += BEAT;
        let pass =
            scene.judge.pass_over(scene.at, &scene.source, Limits::default(), &silence(seconds));
        pass.changes.iter().map(|c| format!("{:?} {}", c.turn, c.alert.text)).collect::<Vec<_>>()
    };
    assert_eq!(pass(0.0), [""; 0]);
    assert_eq!(pass(130.0), ["Fires web2 has sent nothing for 2.17 min"]);
    assert_eq!([pass(0.0), pass(0.0)].concat(), [""; 0]);
    assert_eq!(pass(0.0), ["Resolves web2 has sent nothing for 2.17 min"]);
}

#[test]
fn alerts_are_series_that_end() {
    let text =
        RuleText { when: "cpu > 8".into(), r#for: Some("20s".into()), ..RuleText::default() };
    let mut judge = Judge::new(vec![Rule::parse(&text).expect("a rule")], BEAT);
    let mut source = MemorySource::default();
    let mut samples = Vec::new();
    let values = [1.0, 9.0, 9.0, 9.0, 1.0];
    let at = |beat: usize| NOW + beat as i64 * BEAT;
    judge.load(Vec::new(), Some(at(0) - BEAT));
    for (beat, value) in values.iter().enumerate() {
        let labels = Labels::new([("__name__", "cpu"), ("instance", "web1")]);
        source.add(labels, [(at(beat), *value)]);
        let pass = judge.pass_over(at(beat), &source, Limits::default(), &[]);
        let of = |(labels, value): &(Labels, f64)| {
            let name = labels.get("__name__").unwrap_or_default();
            let state = labels.get("alertstate").unwrap_or_default();
            format!("{name} {state} {value}")
        };
        samples.push(pass.samples.iter().map(of).collect::<Vec<_>>());
    }
    let since = (at(1) / 1000).to_string();
    let pending = vec!["ALERTS pending 1".to_owned(), format!("ALERTS_FOR_STATE  {since}")];
    let firing = vec![
        "ALERTS firing 1".to_owned(),
        format!("ALERTS_FOR_STATE  {since}"),
        "ALERTS pending NaN".to_owned(),
    ];
    assert_eq!(samples[..4], [vec![], pending.clone(), pending, firing]);
    assert_eq!(samples[4][0], "ALERTS firing 1", "recovering");
}

#[test]
fn other_rules_go_on_with_the_alerts_of_rules_of_the_same_name() {
    let rule = |name: &str| {
        let text =
            RuleText { name: Some(name.into()), when: "cpu > 8".into(), ..RuleText::default() };
        Rule::parse(&text).expect("a rule")
    };
    let mut judge = Judge::new(vec![rule("a"), rule("b"), rule("a")], BEAT);
    let names: Vec<&str> = judge.rules().map(|r| &*r.name).collect();
    assert_eq!(names, ["a", "b", "a#2"]);
    judge.load(Vec::new(), Some(NOW - BEAT));
    let mut source = MemorySource::default();
    source.add(Labels::new([("__name__", "cpu")]), [(NOW, 9.0), (NOW + BEAT, 9.0)]);
    assert_eq!(judge.pass_over(NOW, &source, Limits::default(), &[]).changes.len(), 3);
    let left = judge.reload(vec![rule("b"), rule("c")], BEAT);
    assert_eq!(left.len(), 2);
    let pass = judge.pass_over(NOW + BEAT, &source, Limits::default(), &[]);
    assert!(pass.changes.is_empty(), "b goes on, c is in its time of grace");
    assert_eq!(judge.instances().map(|a| a.rule.clone()).collect::<Vec<_>>(), ["b"]);
}

/// What memory says is what the file says, whatever is sealed between, and over holes.
#[test]
fn memory_says_what_the_file_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("metrics.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "web1", Arc::clone(&registry)).expect("a store");
    let reader = Reader::open(&path).expect("a reader").with_head(store.head());
    let rules = || {
        let mut rules = defaults().expect("right");
        for when in ["rate(node_cpu_seconds_total[1m]) > 0.5", "count(up) offset 1m > 1"] {
            let text =
                RuleText { when: when.into(), r#for: Some("30s".into()), ..RuleText::default() };
            rules.extend(Rule::parse(&text));
        }
        rules
    };
    let (mut memory, mut file) = (Judge::new(rules(), BEAT), Judge::new(rules(), BEAT));
    let (mut fired, mut catalog) = (0, Catalog::default());
    let mut at = NOW;
    for beat in 0..400_i64 {
        at += if beat == 200 { HOUR } else { BEAT };
        let mut samples: Vec<(SeriesRef, f64)> = Vec::new();
        for (name, labels, value) in well() {
            let identity = Identity::local("node", name, Labels::new(labels.iter().copied()));
            let series = registry.intern(Series::undescribed(identity));
            let full = name.starts_with("node_filesystem_") && (100..160).contains(&beat);
            let value = value(at - NOW);
            // One goes and comes again.
            if name != "node_load5" || !(50..120).contains(&beat) {
                samples.push((series, if full { value / 50.0 } else { value }));
            }
        }
        if beat > 300 {
            let identity = Identity::local("node", "up", Labels::new([("late", "1")]));
            samples.push((registry.intern(Series::undescribed(identity)), 1.0));
        }
        store.commit(&[Batch::of(From::Collect, at, samples)]).expect("a commit");
        if !catalog.is_current(&reader).expect("readable") {
            catalog = Catalog::read(&reader).expect("readable");
        }
        let one = memory
            .pass(Cause::Beat, at, &reader, &catalog, Limits::default(), &[])
            .expect("readable");
        for (mine, known) in file.rules.iter_mut().zip(&memory.rules) {
            mine.lookback_ms = known.lookback_ms;
        }
        let source = StoreSource::new(&reader, &catalog);
        let other = file.pass_over(at, &source, Limits::default(), &[]);
        assert_eq!(one.changes, other.changes, "beat {beat}");
        assert_eq!(one.changed, other.changed, "beat {beat}");
        assert_eq!((&one.errors, &other.errors), (&vec![], &vec![]), "beat {beat}");
        fired += one.changes.len();
        if beat % 70 == 0 {
            // What is sealed is no longer in memory of the store.
            while store
                .upkeep(Times { wall: at, boot: at }, std::time::Duration::from_secs(5))
                .expect("upkeep")
            {}
        }
    }
    assert!(fired >= 2, "{fired}");
}
