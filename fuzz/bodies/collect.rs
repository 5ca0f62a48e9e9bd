//! collect: any bytes as one of the files that a collector reads, beside others that are right: each
//! reading ends in values or an error. The first byte chooses the file.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::collect::culprits::{Resource, culprits};
use plimsoll::collect::{COLLECTORS, Settings, filesystem, textfile};
use plimsoll::model::{Glob, Recorder, Registry};

/// Below the root: each file, who reads it, and what is right in it. `culprits` is no collector.
const FILES: &[(&str, &[&str], &str)] = &[
    ("proc/1/mountinfo", &["filesystem"], "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"),
    ("proc/diskstats", &["diskstats"], "8 0 sda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n"),
    ("proc/loadavg", &["loadavg"], "0.1 0.2 0.3 1/2 3\n"),
    ("proc/meminfo", &["meminfo"], "MemTotal: 4 kB\nMemFree: 1 kB\nMemAvailable: 2 kB\n"),
    ("proc/net/dev", &["netdev"], "a|b\nc|d\neth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"),
    ("proc/net/snmp", &["netstat"], "Tcp: ActiveOpens RetransSegs\nTcp: 1 2\n"),
    (
        "proc/net/sockstat",
        &["sockstat"],
        "sockets: used 9\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5\n",
    ),
    ("proc/pressure/cpu", &["pressure"], "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
    ("proc/pressure/memory", &["pressure"], "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"),
    (
        "proc/stat",
        &["cpu", "stat"],
        "cpu 1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\nbtime 1\n",
    ),
    ("proc/uptime", &["stat"], "1080.25 2000.00\n"),
    ("proc/sys/fs/file-nr", &["filefd"], "1 0 9\n"),
    ("proc/vmstat", &["vmstat"], "pgpgin 1\noom_kill 0\n"),
    ("sys/class/hwmon/hwmon0/name", &["hwmon"], "coretemp\n"),
    ("sys/class/hwmon/hwmon0/temp1_input", &["hwmon"], "45000\n"),
    ("etc/os-release", &["os"], "ID=debian\nVERSION_ID=\"12\"\n"),
    ("textfile/x.prom", &["textfile"], "a 1\n"),
    (
        "proc/77/stat",
        &["culprits"],
        "77 (a) S 1 7 7 0 -1 4 1 2 3 4 250 50 0 0 20 0 1 0 99 1 777 0\n",
    ),
    ("proc/77/cgroup", &["culprits"], "0::/system.slice/nginx.service\n"),
];

/// A machine for each file, of this thread alone, in memory where there is such a place; they go with
/// the thread.
struct Machines(PathBuf);

impl Machines {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id());
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        let machines =
            Self(place.join(format!("plimsoll-fuzz-collect-{}-{number}", std::process::id())));
        for at in 0..FILES.len() {
            for (file, _, right) in FILES {
                let path = machines.root(at).join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, right).unwrap();
            }
        }
        machines
    }

    fn root(&self, at: usize) -> PathBuf {
        self.0.join(at.to_string())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        let _unused = std::fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    static MACHINES: RefCell<Option<Machines>> = const { RefCell::new(None) };
}

pub fn run(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let at = usize::from(*which) % FILES.len();
    let (file, readers, _) = FILES[at];
    MACHINES.with_borrow_mut(|machines| {
        let root = machines.get_or_insert_with(Machines::new).root(at);
        std::fs::write(root.join(file), text).unwrap();
        let settings = Settings {
            proc: root.join("proc"),
            sys: root.join("sys"),
            root: root.clone(),
            ..Settings::default()
        };
        // The mount table is read whole; no mount of it is asked.
        let mounts = vec![Glob::new("/nowhere")];
        let settings = settings
            .with(filesystem::Options { mounts, ..filesystem::Options::default() })
            .with(textfile::Options { dir: Some(root.join("textfile")) });
        for reader in readers {
            match COLLECTORS.iter().find(|entry| entry.name == *reader) {
                Some(entry) => {
                    let mut collector = (entry.make)(&settings);
                    let mut out =
                        Recorder::new(Arc::new(Registry::default()), "node", Arc::default());
                    // What is kept between two readings is found again.
                    for _ in 0..2 {
                        out.begin();
                        if let Err(e) = collector.collect(&mut out) {
                            assert!(!e.to_string().is_empty());
                        }
                        assert!(out.samples().len() <= 20 * (text.len() + 20), "{reader}");
                    }
                }
                None => {
                    for one in culprits(&settings, Resource::Memory, Duration::ZERO) {
                        assert!(!one.words().contains(char::is_control));
                    }
                }
            }
        }
    });
}

/// Each name in the table is that of a collector.
#[allow(dead_code, reason = "a fuzz target does not look at it")]
pub fn files() -> usize {
    let known = |reader: &&str| COLLECTORS.iter().any(|entry| entry.name == *reader);
    assert!(
        FILES.iter().all(|(_, readers, _)| readers.iter().all(|r| known(r) || *r == "culprits"))
    );
    FILES.len()
}
