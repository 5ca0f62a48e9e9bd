//! collect: reads this machine. One file a collector, one row each in [`COLLECTORS`]; parsers take
//! text and return values, and stand beside the reading, not in it. No database, no sockets here.

use std::path::PathBuf;

use crate::model::{Glob, Metric, Recorder};

mod cpu;
mod diskstats;
mod exclude;
mod file;
mod filefd;
pub mod filesystem;
mod hwmon;
mod loadavg;
pub mod locks;
mod meminfo;
mod netdev;
mod netstat;
mod os;
mod pressure;
pub mod regular;
mod scan;
mod sockstat;
mod stat;
mod textfile;
mod time;
mod uname;
mod vmstat;

/// What the collectors need to know; tests point the roots at fixture trees.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// `/`: put before every mount point and /etc path that is looked at.
    pub root: PathBuf,
    /// Mount points to watch; empty: every real one. One that is named in full is watched even if
    /// the built-in lists leave it out.
    pub mounts: Vec<Glob>,
    /// Mount points to leave out, beside the built-in list.
    pub exclude_mounts: Vec<Glob>,
    /// File system types to leave out, beside the built-in list.
    pub exclude_types: Vec<Glob>,
    /// Block devices to leave out, beside the built-in list.
    pub exclude_disks: Vec<Glob>,
    /// Network devices to leave out.
    pub exclude_interfaces: Vec<Glob>,
    /// The folder in which others leave `*.prom` files; nothing: there is none.
    pub textfiles: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            root: "/".into(),
            mounts: Vec::new(),
            exclude_mounts: Vec::new(),
            exclude_types: Vec::new(),
            exclude_disks: Vec::new(),
            exclude_interfaces: Vec::new(),
            textfiles: None,
        }
    }
}

/// Why a reading failed. What was reported before the failure counts.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// This machine does not have it (no swap, no PSI, no sensors): nobody is told.
    #[error("not on this machine")]
    Absent,
    /// A file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// A file says something that was not expected.
    #[error("{path}: {what}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What was missing or odd, with the text in question.
        what: String,
    },
    /// Some mounts did not answer; the others were reported.
    #[error("{0}")]
    Stuck(String),
    /// Several files could not be used; the others were reported. Each with its path and a reason.
    #[error("{0}")]
    Files(String),
}

/// One source of readings. The caller times it and records success, so no collector can forget.
pub trait Collector: Send {
    /// Takes one reading now. Keeps its descriptors and buffers: no allocation once warm.
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError>;
}

/// A row of the table of collectors.
pub struct Entry {
    /// The name used in the config, on the command line and in `plimsoll_collect_success`.
    pub name: &'static str,
    /// One line for `plimsoll collect --list` and the documentation.
    pub about: &'static str,
    /// What it can report: for the documentation, and to know all names without collecting.
    pub metrics: &'static [Metric],
    /// Makes one. Never fails: what is missing shows at the first reading.
    pub make: fn(&Settings) -> Box<dyn Collector>,
}

/// Every collector, in the order in which they run.
pub static COLLECTORS: &[Entry] = &[
    row(
        "loadavg",
        "load averages; `cpu` is the one over five minutes",
        &loadavg::METRICS,
        loadavg::make,
    ),
    row(
        "meminfo",
        "memory; `memory` is the share that is available",
        &meminfo::METRICS,
        meminfo::make,
    ),
    row(
        "filesystem",
        "file systems; `disk_…` is the used percentage of each",
        &filesystem::METRICS,
        filesystem::make,
    ),
    row("cpu", "how each CPU spent its time", &cpu::METRICS, cpu::make),
    row("stat", "boot time, interrupts, context switches, processes", &stat::METRICS, stat::make),
    row("time", "the wall clock", &time::METRICS, time::make),
    row("diskstats", "reads and writes of each disk", &diskstats::METRICS, diskstats::make),
    row("netdev", "traffic of each network device", &netdev::METRICS, netdev::make),
    row("vmstat", "paging, swapping, kills for want of memory", &vmstat::METRICS, vmstat::make),
    row(
        "pressure",
        "time lost waiting for CPU, disks and memory (PSI)",
        &pressure::METRICS,
        pressure::make,
    ),
    row("filefd", "open files of the whole machine", &filefd::METRICS, filefd::make),
    row("sockstat", "sockets in use", &sockstat::METRICS, sockstat::make),
    row("netstat", "TCP connections and retransmissions", &netstat::METRICS, netstat::make),
    row("hwmon", "temperatures", &hwmon::METRICS, hwmon::make),
    row("uname", "kernel and machine", &uname::METRICS, uname::make),
    row("os", "distribution", &os::METRICS, os::make),
    row(
        "textfile",
        "what other programs leave in a folder as *.prom files",
        &textfile::METRICS,
        textfile::make,
    ),
];

const fn row(
    name: &'static str,
    about: &'static str,
    metrics: &'static [Metric],
    make: fn(&Settings) -> Box<dyn Collector>,
) -> Entry {
    Entry { name, about, metrics, make }
}
