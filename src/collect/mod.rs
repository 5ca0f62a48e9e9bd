//! collect: reads this machine. Each collector is one file, with its options and its row of
//! [`COLLECTORS`]. Parsers take text and return values, and are separate from the reading. No
//! database, no sockets here.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::options::{self, Options};
use crate::model::{Metric, Recorder};

mod cpu;
pub mod culprits;
pub mod diskstats;
mod exclude;
mod file;
mod filefd;
pub mod filesystem;
mod hwmon;
mod loadavg;
pub mod locks;
mod meminfo;
pub mod netdev;
mod netstat;
mod os;
mod pressure;
pub mod regular;
mod scan;
mod sockstat;
mod stat;
pub mod textfile;
mod time;
mod uname;
mod vmstat;

/// The job label of everything that this machine measures of itself.
pub const JOB: &str = "node";

/// The settings of all collectors; tests point the roots at fixture trees.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// `/`: put before every mount point and /etc path that is looked at.
    pub root: PathBuf,
    /// The options of single collectors that are not at their defaults; see [`Settings::with`].
    pub options: Vec<Arc<dyn Options>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), root: "/".into(), options: Vec::new() }
    }
}

impl Settings {
    /// Settings with these options of one collector.
    #[must_use]
    pub fn with(mut self, options: impl Options) -> Self {
        self.options.push(Arc::new(options));
        self
    }

    /// The options of the collector that has this type of them.
    pub fn of<O: Options + Default + Clone>(&self) -> O {
        options::find(&self.options)
    }
}

/// The reason why a reading failed. Values reported before the failure count.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// This machine does not have it (no swap, no PSI, no sensors). This is not reported.
    #[error("not on this machine")]
    Absent,
    /// A file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// The error of the kernel.
        source: std::io::Error,
    },
    /// A file has unexpected contents.
    #[error("{path}: {what}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// The missing or odd part, with the text in question.
        what: String,
    },
    /// Some mounts did not answer; the others were reported.
    #[error("{0}")]
    Stuck(String),
    /// Several files could not be used; the others were reported. Each with its path and a reason.
    #[error("{0}")]
    Files(String),
}

/// A source of readings. The caller times it and records its success, so no collector can forget
/// that.
pub trait Collector: Send {
    /// Takes one reading now. Keeps its descriptors and buffers: no allocation once warm.
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError>;
}

/// A row of the table of collectors; each collector's file has its own.
pub struct Entry {
    /// The name used in the config, on the command line and in `plimsoll_collect_success`.
    pub name: &'static str,
    /// A description in one line for `plimsoll collect --list` and the documentation.
    pub about: &'static str,
    /// All metrics that it can report, for the documentation and for tests.
    pub metrics: &'static [Metric],
    /// Its own options, at their defaults; `None`: it has only those that every collector has.
    pub options: Option<fn() -> Box<dyn Options>>,
    /// Makes the collector. It never fails: missing files show at the first reading.
    pub make: fn(&Settings) -> Box<dyn Collector>,
}

impl Entry {
    /// A collector without options of its own.
    const fn new(
        name: &'static str,
        about: &'static str,
        metrics: &'static [Metric],
        make: fn(&Settings) -> Box<dyn Collector>,
    ) -> Self {
        Self { name, about, metrics, options: None, make }
    }

    /// The collector has these options; [`Settings::of`] gives them to its `make`.
    const fn takes<O: Options + Default>(mut self) -> Self {
        self.options = Some(|| Box::new(O::default()));
        self
    }
}

/// All collectors, in the order in which they run.
pub static COLLECTORS: &[Entry] = &[
    loadavg::ENTRY,
    meminfo::ENTRY,
    filesystem::ENTRY,
    cpu::ENTRY,
    stat::ENTRY,
    time::ENTRY,
    diskstats::ENTRY,
    netdev::ENTRY,
    vmstat::ENTRY,
    pressure::ENTRY,
    filefd::ENTRY,
    sockstat::ENTRY,
    netstat::ENTRY,
    hwmon::ENTRY,
    uname::ENTRY,
    os::ENTRY,
    textfile::ENTRY,
];
