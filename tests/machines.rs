//! tests: what the collectors make of whole machines: a container, a VM and a big host.

mod reading;

use std::ffi::CStr;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use plimsoll::collect::filesystem::{Space, Statvfs};
use plimsoll::collect::{COLLECTORS, CollectError, diskstats, filesystem, netdev};
use plimsoll::model::{Kind, parse_key};
use proptest::prelude::*;
use reading::{MACHINES, Reader, machine, settings};

/// A disk that grows with the length of its path; somebody's private one.
fn pretend() -> Statvfs {
    Arc::new(|path: &CStr| {
        let path = path.to_string_lossy();
        let point = &path[path.find("/machines/").map_or(0, |at| at + 10)..];
        if point.ends_with("/mnt/remote") {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
        let blocks = 1_000_000.0 + 4096.0 * point.len() as f64;
        Ok(Space {
            size: blocks * 4096.0,
            free: blocks * 1024.0,
            avail: blocks * 512.0,
            files: 65536.0,
            files_free: point.len() as f64,
            used_percent: (!point.ends_with("/tank/vm")).then_some(75.0),
        })
    })
}

/// All but the two that ask the kernel itself.
fn reader(root: &Path) -> Reader {
    Reader::asking(&settings(root), pretend()).without(&["time", "uname"])
}

#[test]
fn every_series_of_each_machine() {
    for name in MACHINES {
        let mut text = String::new();
        for (collector, samples, result) in reader(&machine(name)).beat() {
            let outcome = result.err().map(|e| format!(": {e}")).unwrap_or_default();
            writeln!(text, "# {collector}{outcome}").unwrap();
            for (key, value) in samples {
                writeln!(text, "{key} {value}").unwrap();
            }
        }
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn a_second_beat_says_the_same_in_the_same_order() {
    for name in MACHINES {
        let mut reader = reader(&machine(name));
        let plain = |reader: &mut Reader| format!("{:?}", reader.beat());
        let first = plain(&mut reader);
        assert_eq!(plain(&mut reader), first);
    }
}

#[test]
fn the_exclusions_of_the_settings() {
    let globs = |list: &[&str]| list.iter().map(|g| plimsoll::model::Glob::new(g)).collect();
    let settings = settings(&machine("bighost"))
        .with(diskstats::Options { exclude_devices: globs(&["sd*", "dm-?"]) })
        .with(netdev::Options { exclude_devices: globs(&["veth*", "lo"]) })
        .with(filesystem::Options {
            mounts: Vec::new(),
            exclude_mounts: globs(&["/srv/*"]),
            exclude_types: globs(&["nfs*", "fuse.*"]),
        });
    let values = Reader::asking(&settings, pretend()).values();
    let label = |name: &'static str| {
        let mut found: Vec<_> = values
            .keys()
            .filter(|key| !key.contains("_cpu_"))
            .filter_map(|key| parse_key(key).1.get(name).map(str::to_owned))
            .collect();
        found.sort();
        found.dedup();
        found.join(" ")
    };
    assert_eq!(
        label("device"),
        "//nas.example.net/back\\040up /dev/mapper/vg0-home /dev/md0 /dev/nvme0n1p1 \
         /dev/nvme0n1p2 /dev/sdc1 bond0 bond0.120 br-7f3a2c docker0 eno1 eno2 enp129s0f0np0 \
         enp129s0f1np1 enx001122334455 md0 md127 nvme0n1 nvme1n1 sr0 tank/vm tmpfs tun-office wg0"
    );
    assert_eq!(label("mountpoint"), "/ /boot /boot/efi /home /mnt/backup /run /scratch /tank/vm");
}

#[test]
fn the_table_names_and_describes_all_it_reports() {
    let mut names: Vec<_> = COLLECTORS.iter().map(|e| e.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), COLLECTORS.len());
    for entry in COLLECTORS {
        assert!(!entry.about.is_empty() && !entry.about.ends_with('.'), "{}", entry.name);
        for metric in entry.metrics {
            let help = metric.help;
            assert!(help.ends_with('.') && help.len() > 12, "{}: {help}", metric.name);
            // What a machine with node_exporter sends is read as what this one measures.
            let guessed = metric.name.contains('*') || Kind::guess(metric.name) == metric.kind;
            assert!(guessed, "{}", metric.name);
            let total = metric.name.ends_with("_total");
            let odd = ["node_vmstat_", "node_netstat_"].iter().any(|p| metric.name.starts_with(p));
            assert!(odd || total == (metric.kind == Kind::Counter), "{}", metric.name);
            for unit in ["bytes", "seconds", "celsius"] {
                let named = metric.name.trim_end_matches("_total").ends_with(unit);
                assert_eq!(named, metric.unit == unit, "{}", metric.name);
            }
        }
    }
}

#[test]
fn a_machine_with_nothing_tells_only_what_every_linux_has() {
    let empty = tempfile::tempdir().unwrap();
    for (name, samples, result) in reader(empty.path()).beat() {
        assert!(samples.is_empty());
        match name {
            "loadavg" | "meminfo" | "cpu" | "stat" | "filesystem" => {
                let message = result.unwrap_err().to_string();
                assert!(
                    message.contains("/proc/") && message.contains("No such file"),
                    "{message}"
                );
            }
            _ => assert!(matches!(result, Err(CollectError::Absent)), "{name}: {result:?}"),
        }
    }
}

fn copy_of(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("machine");
    let copied = std::process::Command::new("cp").arg("-a").arg(machine(name)).arg(&root).status();
    assert!(copied.unwrap().success());
    (dir, root)
}

/// A collector, its file with one line that is odd, the words by which that is told, and how many
/// values are left.
const ODD_LINES: [(&str, &str, &str, &str, usize); 8] = [
    ("meminfo", "meminfo", "MemTotal: 8 kB\nX: y z\nMemAvailable: 4 kB\n", "line 2: no memory", 3),
    (
        "diskstats",
        "diskstats",
        "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n\0\0\n8 32 sdc 1 2 3 4 5 6 7 8 9 10 11\n",
        "line 2: no disk statistics in \"\\0",
        16,
    ),
    (
        "netdev",
        "net/dev",
        "a|b\na|b\nx\nlo: 1 2 3 4 5 6 7 8 9 10 11 12\neth0: 1\neth1: 1 2 3 4 5 6 7 8 9 10 11 12\n",
        "line 3: no network",
        16,
    ),
    ("sockstat", "net/sockstat", "sockets: used 5\nTCP: inuse x tw 3\nUDP: inuse 1\n", "line 2", 3),
    ("netstat", "net/snmp", "Tcp: CurrEstab RetransSegs\nTcp: x 7\n", "line 2: no CurrEstab", 1),
    ("vmstat", "vmstat", "pgpgin x\npgpgout 2\npgfault 3\n", "line 1: no number", 2),
    (
        "stat",
        "stat",
        "cpu0 1 2 3 4\nintr 1\nctxt x\nbtime 1700000000\nprocesses 1\nprocs_running 1\n\
        procs_blocked 0\n",
        "line 3: no number",
        5,
    ),
    // Last, for it is remembered: counters that fall a little are held.
    (
        "cpu",
        "stat",
        "cpu 1 1\ncpu0 1 2 3 4 5 6 7 8\ncpu1 1 2\ncpu2 1 2 3 4\n",
        "line 3: no CPU",
        16,
    ),
];

#[test]
fn an_odd_line_costs_itself_and_is_told() {
    let (_dir, root) = copy_of("vm");
    let mut reader = reader(&root);
    let whole = reader.beat();
    for (collector, file, text, told, counted) in ODD_LINES {
        let file = root.join("proc").join(file);
        let good = std::fs::read(&file).unwrap();
        std::fs::write(&file, text).unwrap();
        for ((name, before, _), (_, now, result)) in whole.iter().zip(reader.beat()) {
            if *name == collector {
                assert!(result.is_ok(), "{collector}: {result:?}");
                assert_eq!(now.len(), counted, "{collector}: {now:?}");
            } else if !file.ends_with("stat") {
                assert_eq!(*before, now, "{name} beside {collector}");
            }
        }
        std::fs::write(&file, good).unwrap();
        let (.., recorder) = reader.collectors.iter_mut().find(|c| c.0 == collector).unwrap();
        let (lines, words) = (recorder.take_odd(), recorder.take_told().join("\n"));
        assert!(lines >= 1 && words.contains(told), "{collector}: {lines} {words}");
        assert!(words.contains(&file.display().to_string()), "{words}");
    }
}

#[test]
fn what_was_read_before_an_error_counts_and_the_others_go_on() {
    let (_dir, root) = copy_of("vm");
    let mut reader = reader(&root);
    let whole = reader.beat();
    let damaged = [
        ("loadavg", "proc/loadavg", "0.5 0.25 x\n", 3),
        ("meminfo", "proc/meminfo", "MemTotal: 8 kB\nMemFree: 3 kB\n", 2),
        ("diskstats", "proc/diskstats", "8 16 sdb 1\nx\n", 0),
        ("pressure", "proc/pressure/io", "some total=7\n", 4),
        ("sockstat", "proc/net/sockstat", "sockets: used x\n", 0),
        ("netstat", "proc/net/snmp", "Tcp: CurrEstab\nTcp: x\n", 0),
        ("cpu", "proc/stat", "cpu 1 1\nintr 1\n", 0),
    ];
    for (collector, file, text, counted) in damaged {
        let good = std::fs::read(root.join(file)).unwrap();
        std::fs::write(root.join(file), text).unwrap();
        for ((name, before, _), (_, now, result)) in whole.iter().zip(reader.beat()) {
            if *name == collector {
                let Err(CollectError::Parse { path, what }) = result else { panic!("{result:?}") };
                assert!(path == root.join(file) && !what.is_empty());
                assert_eq!(now.len(), counted, "{collector}: {now:?}");
            } else if !file.ends_with("/stat") {
                assert_eq!(*before, now, "{name} beside {collector}");
            }
        }
        std::fs::write(root.join(file), good).unwrap();
    }
    std::fs::remove_file(root.join("proc/vmstat")).unwrap();
    std::fs::create_dir(root.join("proc/vmstat")).unwrap();
    let (_, _, result) = Reader::new(&settings(&root)).without(&[]).beat().swap_remove(8);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("proc/vmstat: it is a folder, not a file"), "{message}");
}

#[test]
fn counters_that_fall_a_little_are_held_by_every_collector() {
    let (_dir, root) = copy_of("vm");
    let write =
        |file: &str, text: &str| std::fs::write(root.join("proc").join(file), text).unwrap();
    let mut reader = reader(&root);
    let rest = "btime 1700000000\nprocs_running 1\nprocs_blocked 0\n";
    let mut beat = |cpus: &[(u32, u64)], count: u64| {
        let cpus: String =
            cpus.iter().map(|(n, ticks)| format!("cpu{n} 0 0 0 0 {ticks}\n")).collect();
        write("stat", &format!("{cpus}intr {count}\nctxt {count}\nprocesses {count}\n{rest}"));
        write("vmstat", &format!("pgfault {count}\n"));
        write("net/snmp", &format!("Tcp: CurrEstab RetransSegs\nTcp: {count} {count}\n"));
        write("net/dev", &format!("eth0:{}\n", format!(" {count}").repeat(12)));
        write("diskstats", &format!("8 0 sda{}\n", format!(" {count}").repeat(11)));
        write("pressure/cpu", &format!("some total={count}000000\n"));
        reader.values()
    };
    let iowait = |n: u32| format!("node_cpu_seconds_total{{cpu=\"{n}\",mode=\"iowait\"}}");
    let counters = [
        "node_intr_total",
        "node_forks_total",
        "node_vmstat_pgfault",
        "node_netstat_Tcp_RetransSegs",
        "node_network_receive_bytes_total{device=\"eth0\"}",
        "node_disk_reads_completed_total{device=\"sda\"}",
        "node_pressure_cpu_waiting_seconds_total",
    ];
    let values = beat(&[(5, 700), (6, 800), (7, 7_294)], 1_000);
    assert_eq!(values[&iowait(7)], 72.94);
    // One CPU goes offline, and everything falls by a little.
    let values = beat(&[(5, 700), (7, 7_293)], 990);
    assert_eq!((values[&iowait(7)], values.get(&iowait(6))), (72.94, None));
    assert_eq!(counters.map(|key| values[key]), [1_000.0; 7]);
    // What goes up and down does so.
    assert_eq!(values["node_netstat_Tcp_CurrEstab"], 990.0);
    assert_eq!(values["node_disk_io_now{device=\"sda\"}"], 990.0);
    // It comes back with a little less, and the others go on.
    let values = beat(&[(5, 700), (6, 799), (7, 7_400)], 1_010);
    assert_eq!((values[&iowait(6)], values[&iowait(7)]), (8.0, 74.0));
    assert_eq!(counters.map(|key| values[key]), [1_010.0; 7]);
    // The machine was started again.
    let values = beat(&[(5, 1), (6, 2), (7, 3)], 4);
    assert_eq!((values[&iowait(7)], counters.map(|key| values[key])), (0.03, [4.0; 7]));
}

/// One damage to one file of a machine.
#[derive(Debug, Clone)]
struct Damage {
    file: prop::sample::Index,
    at: prop::sample::Index,
    cut: usize,
    put: Vec<u8>,
}

fn damage() -> impl Strategy<Value = Damage> {
    let put = prop::collection::vec(any::<u8>(), 0..12);
    (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..40usize, put)
        .prop_map(|(file, at, cut, put)| Damage { file, at, cut, put })
}

fn files_below(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        match () {
            () if kind.is_dir() => files_below(&entry.path(), found),
            () if kind.is_file() => found.push(entry.path()),
            () => {}
        }
    }
}

#[test]
fn whatever_a_file_says_nobody_panics_and_the_file_is_named() {
    let (_dir, root) = copy_of("bighost");
    let mut files = Vec::new();
    files_below(&root, &mut files);
    files.sort();
    let mut config = ProptestConfig::with_cases(256);
    config.failure_persistence = None;
    proptest!(config, |(damages in prop::collection::vec(damage(), 1..5))| {
        let mut whole = Vec::new();
        let mut reader = reader(&root);
        let before = reader.beat().len();
        for damage in damages {
            let path = damage.file.get(&files);
            let good = std::fs::read(path).unwrap();
            let mut text = good.clone();
            let at = damage.at.index(text.len() + 1);
            let end = (at + damage.cut).min(text.len());
            text.splice(at..end, damage.put);
            std::fs::write(path, text).unwrap();
            whole.push((path, good));
        }
        for (name, _, result) in reader.beat() {
            match result {
                Ok(()) | Err(CollectError::Absent) => {}
                Err(error) => prop_assert!(error.to_string().contains('/'), "{}: {}", name, error),
            }
        }
        for (path, good) in whole.into_iter().rev() {
            std::fs::write(path, good).unwrap();
        }
        prop_assert_eq!(reader.beat().len(), before);
    });
}
