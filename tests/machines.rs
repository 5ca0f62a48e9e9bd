//! tests: what the collectors make of whole machines: a container, a VM and a big host.

mod reading;

use std::ffi::CStr;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use plimsoll::collect::filesystem::{Space, Statvfs};
use plimsoll::collect::{COLLECTORS, CollectError, Settings};
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
    let settings = Settings {
        exclude_disks: globs(&["sd*", "dm-?"]),
        exclude_interfaces: globs(&["veth*", "lo"]),
        exclude_mounts: globs(&["/srv/*"]),
        exclude_types: globs(&["nfs*", "fuse.*"]),
        ..settings(&machine("bighost"))
    };
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

#[test]
fn what_was_read_before_an_error_counts_and_the_others_go_on() {
    let (_dir, root) = copy_of("vm");
    let mut reader = reader(&root);
    let whole = reader.beat();
    let damaged = [
        ("loadavg", "proc/loadavg", "0.5 0.25 x\n", 3),
        ("meminfo", "proc/meminfo", "MemTotal: 8 kB\nMemAvailable: 4 kB\nMemFree:\n", 3),
        ("diskstats", "proc/diskstats", "8 0 sda 1 2 3 4 5 6 7 8 9 10 11\n8 16 sdb 1", 8),
        ("pressure", "proc/pressure/io", "some total=7\n", 4),
        ("sockstat", "proc/net/sockstat", "sockets: used 5\nTCP: inuse 3\n", 2),
        // Last, for it is remembered: CPU times that fall a little are held.
        ("cpu", "proc/stat", "cpu 1 1\ncpu0 1 2 3 4 5 6 7 8\ncpu1 1 2\n", 8),
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
