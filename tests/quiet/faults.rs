//! Each default rule and each of its limits with a fault that it has to tell: one message when it begins,
//! one when it is over. A rule without a row here, or one that its row does not make fire, fails the test.

use plimsoll::alert::defaults;
use plimsoll::model::Severity;
use plimsoll::model::Severity::{Bad, Info, Warning};
use plimsoll::notify::Occasion;

use crate::scene::{Given, Got, Scene};
use crate::world::{SERVER, World};
use crate::{HOUR, MINUTE, SECOND};

/// Tuesday, 24 March 2026, 17:00 in Berlin: no backup and no job for nine hours.
const BEGIN: i64 = 1_774_368_000_000;

struct Fault {
    rule: &'static str,
    severity: Severity,
    /// How long it lasts, minutes.
    lasts: i64,
    /// How far apart beats are, s.
    beat: i64,
    /// What it does to the readings; the seconds since it began.
    plant: fn(&mut World, &mut Given, f64),
}

/// A counter of the world that grows by so much more in each second.
fn grows(world: &mut World, name: &'static str, labels: &[(&str, &str)], by: f64) {
    let value = world.get(name, labels);
    world.put(name, labels, value + by);
}

const IO: &str = "node_pressure_io_stalled_seconds_total";
const WAITING: &str = "node_pressure_memory_waiting_seconds_total";
const STALLED: &str = "node_pressure_memory_stalled_seconds_total";
const AVAILABLE: &str = "node_memory_MemAvailable_bytes";
const HEAT: &str = "node_hwmon_temp_celsius";

const fn fault(
    rule: &'static str,
    severity: Severity,
    lasts: i64,
    plant: fn(&mut World, &mut Given, f64),
) -> Fault {
    Fault { rule, severity, lasts, beat: 30, plant }
}

fn faults() -> Vec<Fault> {
    let day = |fault| Fault { beat: 300, ..fault };
    vec![
        fault("disk_full", Warning, 30, |w, _, _| w.left("/", 8e9)),
        fault("disk_full", Bad, 30, |w, _, _| w.left("/", 1e9)),
        // 120 GB are left at first.
        day(fault("disk_fills", Warning, 30 * 60, |w, _, s| w.left("/backup", 120e9 - s * 347e3))),
        day(fault("disk_fills", Bad, 25 * 60, |w, _, s| w.left("/backup", 120e9 - s * 926e3))),
        fault("inodes", Warning, 40, |w, _, _| {
            w.of_mount("node_filesystem_files_free", "/", 0.2e6)
        }),
        fault("inodes", Bad, 40, |w, _, _| w.of_mount("node_filesystem_files_free", "/", 0.05e6)),
        fault("disk_readonly", Bad, 20, |w, _, _| w.of_mount("node_filesystem_readonly", "/", 1.0)),
        fault("disk_stuck", Bad, 20, |w, _, _| {
            w.lose("mountpoint", "/mnt/nas");
            w.of_mount("node_filesystem_device_error", "/mnt/nas", 1.0);
        }),
        // It leaks: less and less is left, and more and more waits for it.
        fault("memory", Warning, 60, |w, _, s| {
            w.put(AVAILABLE, &[], 64e9 * (0.3 - s / 12_000.0).max(0.07));
            grows(w, WAITING, &[], (s - 1_800.0).max(0.0) * 0.2);
        }),
        fault("memory", Bad, 30, |w, _, s| {
            w.put(AVAILABLE, &[], 64e9 * 0.02);
            grows(w, WAITING, &[], s * 0.4);
            grows(w, STALLED, &[], s * 0.15);
        }),
        fault("oom", Warning, 20, |w, _, _| w.put("node_vmstat_oom_kill", &[], 2.0)),
        fault("pressure_io", Warning, 40, |w, _, s| {
            grows(w, IO, &[], s * 0.7);
            w.put("node_procs_blocked", &[], 9.0);
        }),
        fault("pressure_memory", Warning, 40, |w, _, s| grows(w, STALLED, &[], s * 0.4)),
        fault("load", Warning, 40, |w, _, _| w.put("node_load5", &[], 44.0)),
        fault("steal", Warning, 60, |w, _, s| {
            for cpu in ["0", "1", "2", "3", "4", "5", "6", "7"] {
                grows(w, "node_cpu_seconds_total", &[("cpu", cpu), ("mode", "steal")], s * 0.25);
            }
        }),
        fault("hot", Warning, 30, |w, _, _| {
            w.put(HEAT, &[("chip", "coretemp"), ("sensor", "temp1")], 93.0)
        }),
        fault("hot", Bad, 30, |w, _, _| {
            w.put(HEAT, &[("chip", "coretemp"), ("sensor", "temp1")], 104.0)
        }),
        fault("raid", Bad, 20, |w, _, _| {
            w.put("node_md_disks", &[("device", "md0"), ("state", "active")], 1.0)
        }),
        fault("smart", Bad, 20, |w, _, _| {
            w.put("smartmon_device_smart_healthy", &[("disk", "/dev/sda")], 0.0)
        }),
        fault("zfs", Bad, 20, |w, _, _| {
            w.put("node_zfs_zpool_state", &[("state", "degraded"), ("zpool", "tank")], 1.0);
        }),
        fault("unit_failed", Warning, 30, |w, _, _| {
            let unit = [("name", "postgresql.service"), ("state", "failed")];
            w.put("node_systemd_unit_state", &unit, 1.0);
        }),
        fault("unit_loops", Warning, 30, |w, _, s| {
            let unit = [("name", "postgresql.service")];
            grows(w, "node_systemd_service_restart_total", &unit, (s / 60.0).floor());
        }),
        fault("clock", Warning, 40, |w, _, _| {
            w.put("node_timex_sync_status", &[], 0.0);
            w.put("node_timex_maxerror_seconds", &[], 16.0);
        }),
        fault("conntrack", Warning, 20, |w, _, _| {
            w.put("node_nf_conntrack_entries", &[], 250_000.0)
        }),
        fault("file_descriptors", Warning, 40, |w, _, _| {
            w.put("node_filefd_allocated", &[], 96_000.0)
        }),
        // A cable: one of thirty packets.
        fault("net_errors", Warning, 60, |w, _, s| {
            grows(w, "node_network_receive_errs_total", &[("device", "eth0")], s * 12.0)
        }),
        fault("rebooted", Info, 20, |_, _, _| ()),
        fault("crashed", Warning, 20, |w, _, _| w.put("plimsoll_unclean_boot", &[], 1.0)),
        fault("silent", Bad, 20, |_, g, s| g.silent = 120.0 + s),
        fault("collector", Warning, 30, |w, _, _| {
            w.put("plimsoll_collect_success", &[("collector", "hwmon")], 0.0)
        }),
        fault("store", Bad, 20, |_, g, s| g.commit = 60.0 + s),
        fault("unsent", Warning, 20, |_, g, s| g.waits = 600.0 + s),
        fault("limits", Warning, 20, |_, g, _| g.limits = 1.0),
        fault("limits", Bad, 20, |_, g, _| g.limits = 2.0),
    ]
}

/// What arrived of a fault.
fn told_of(fault: &Fault) -> Vec<Got> {
    let beat = fault.beat * SECOND;
    let mut scene = Scene::new(SERVER, 3, BEGIN, beat);
    let calm = 4 * beat.max(5 * MINUTE);
    scene.run(calm);
    scene.is_quiet(fault.rule);
    if matches!(fault.rule, "rebooted" | "crashed") {
        scene.reboot(0);
    }
    scene.run_with(fault.lasts * MINUTE, fault.plant);
    scene.given = Given::default();
    scene.run(if fault.beat > 60 { 4 * HOUR } else { 80 * MINUTE });
    let since = |got: Got| Got { after: got.after - calm, ..got };
    scene.got.drain(..).map(since).collect()
}

/// Whether it was told once, as bad as it is, and its end once; what just happens has no end.
fn is_right(fault: &Fault, got: &[Got]) -> bool {
    let begins = |got: &Got| {
        got.message.occasion == Occasion::Fire && got.message.severity == fault.severity
    };
    match got {
        [only] => begins(only) && matches!(fault.rule, "rebooted" | "crashed"),
        [first, last] => begins(first) && last.message.occasion == Occasion::Over,
        _ => false,
    }
}

/// The first lines of the messages stand in the snapshot, with the minute since the fault began.
#[test]
fn every_default_rule_tells_of_its_fault_once_and_of_its_end_once() {
    let table = faults();
    for rule in defaults().expect("the rules can be read") {
        for limit in &rule.limits {
            let row = |f: &Fault| *rule.name == *f.rule && f.severity == limit.severity;
            assert!(table.iter().any(row), "no fault for {} {:?}", rule.name, limit.severity);
        }
    }
    let told: Vec<Vec<Got>> = std::thread::scope(|scope| {
        let parts: Vec<_> = (table.chunks(table.len().div_ceil(4)))
            .map(|part| scope.spawn(move || part.iter().map(told_of).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("it ends")).collect()
    });
    let (mut shown, mut wrong) = (String::new(), Vec::new());
    for (fault, got) in table.iter().zip(told) {
        let name = format!("{} {}", fault.rule, fault.severity.word());
        shown.push_str(&format!("{name}\n"));
        for got in &got {
            shown.push_str(&format!("{:6} {}\n", got.after / MINUTE, got.message.title));
        }
        if !is_right(fault, &got) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "not told once with one end: {wrong:?}\n{shown}");
    insta::assert_snapshot!(shown);
}
