//! collect: reads this machine. One file a collector, one row each in [`COLLECTORS`]; parsers take
//! text and return values, and stand beside the reading, not in it. No database, no sockets here.

use std::path::PathBuf;

use crate::model::{Glob, Recorder};

/// What the collectors need to know; tests point the roots at fixture trees.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// `/`: put before every mount point and /etc path that is looked at.
    pub root: PathBuf,
    /// Mount points to watch; empty: every real one.
    pub mounts: Vec<Glob>,
    /// Mount points to leave out, beside the built-in list.
    pub exclude_mounts: Vec<Glob>,
    /// File system types to leave out, beside the built-in list.
    pub exclude_types: Vec<Glob>,
    /// Block devices to leave out, beside the built-in list.
    pub exclude_disks: Vec<Glob>,
    /// Network devices to leave out.
    pub exclude_interfaces: Vec<Glob>,
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
    /// Makes one. Never fails: what is missing shows at the first reading.
    pub make: fn(&Settings) -> Box<dyn Collector>,
}

/// Every collector, in the order in which they run.
pub static COLLECTORS: &[Entry] = &[];
