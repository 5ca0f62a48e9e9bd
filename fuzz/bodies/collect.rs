//! collect: any bytes as every file that a collector reads: each reading ends in values or an error.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll::collect::{COLLECTORS, Settings, filesystem, textfile};
use plimsoll::model::{Glob, Recorder, Registry};

/// Below the root.
const FILES: &[&str] = &[
    "proc/1/mountinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/net/dev",
    "proc/net/netstat",
    "proc/net/snmp",
    "proc/net/sockstat",
    "proc/net/sockstat6",
    "proc/pressure/cpu",
    "proc/pressure/io",
    "proc/pressure/memory",
    "proc/self/mountinfo",
    "proc/stat",
    "proc/sys/fs/file-nr",
    "proc/vmstat",
    "sys/class/hwmon/hwmon0/name",
    "sys/class/hwmon/hwmon0/temp1_crit",
    "sys/class/hwmon/hwmon0/temp1_input",
    "sys/class/hwmon/hwmon0/temp1_label",
    "etc/os-release",
    "textfile/x.prom",
];

/// A machine of this thread alone, in memory where there is such a place; it goes with the thread.
struct Machine(PathBuf);

impl Machine {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id());
        let number: String = thread.chars().filter(char::is_ascii_digit).collect();
        let root = place.join(format!("plimsoll-fuzz-collect-{}-{number}", std::process::id()));
        for file in FILES {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        }
        Self(root)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _unused = std::fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

pub fn run(data: &[u8]) {
    MACHINE.with_borrow_mut(|machine| {
        let root = &machine.get_or_insert_with(Machine::new).0;
        for file in FILES {
            std::fs::write(root.join(file), data).unwrap();
        }
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
        for entry in COLLECTORS {
            let mut collector = (entry.make)(&settings);
            let mut out = Recorder::new(Arc::new(Registry::default()), "node", Arc::default());
            // What is kept between two readings is found again.
            for _ in 0..2 {
                out.begin();
                if let Err(e) = collector.collect(&mut out) {
                    assert!(!e.to_string().is_empty());
                }
                assert!(out.samples().len() <= 20 * (data.len() + 20), "{}", entry.name);
            }
        }
    });
}
