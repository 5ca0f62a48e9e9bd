//! plugin: other programs' readings: which plugins there are, running them safely, and what their
//! answers mean. Child processes stay in here. No database, no sockets, no threads of its own.
//!
//! ```text
//!   discover   folders, plugin-conf.d and the configuration -> plugins
//!   account    a user's name -> its numbers
//!   runner     runs them side by side, each with a deadline  -> what they printed
//!   stray      what a plugin leaves behind
//!   keeper     what they printed -> series and samples, graphs
//!   faults     what was wrong with an answer
//!   memory     where counters stood before a restart
//!   rate       one field's readings -> what is stored of them
//!   shelf      what each said last, for whoever passes it on
//!   links      enable, disable, suggest
//!   lint       what is wrong with a plugin, in words
//! ```

mod account;
mod discover;
mod faults;
mod keeper;
mod links;
mod lint;
mod memory;
mod rate;
mod runner;
mod shelf;
mod stray;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::model::Interval;

pub use account::Account;
pub use discover::{Found, Plugin, find, one};
pub use faults::Faults;
pub use keeper::{Keeper, Samples};
pub use links::{Suggestion, disable, enable, installed, suggest};
pub use lint::{Remark, lint};
pub use runner::{Action, End, Output, Runner, run_one};
pub use shelf::{Shelf, config_of, values_of};

/// Where Munin's packages keep the links to what shall run.
const FOLDER: &str = if cfg!(test) { "/nonexistent" } else { "/etc/munin/plugins" };

/// What sort of program a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Answers `config` and prints `field.value …`.
    Munin,
    /// Prints `key value` lines, JSON or the Prometheus text format.
    Simple,
    /// A check of Nagios: its exit status is its answer.
    Nagios,
}

impl Kind {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Munin => "munin",
            Self::Simple => "simple",
            Self::Nagios => "nagios",
        }
    }

    /// The reverse of [`Kind::as_str`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Munin, Self::Simple, Self::Nagios].into_iter().find(|k| k.as_str() == word)
    }
}

/// What is said of one plugin in the configuration; one without a command is looked for in the
/// folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its name.
    pub name: String,
    /// False: it does not run.
    pub enabled: bool,
    /// The program and its arguments; empty: a file in one of the folders.
    pub command: Vec<String>,
    /// What sort of program it is; nothing: it is found out.
    pub kind: Option<Kind>,
    /// How often it is asked.
    pub interval: Option<Interval>,
    /// How long it may take, in ms.
    pub timeout_ms: Option<i64>,
    /// Whose rights it has.
    pub user: Option<String>,
}

/// Where plugins are, and how they are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether any is run.
    pub enabled: bool,
    /// The folder in which every file is a plugin to be run; nothing: the usual one, see
    /// [`Settings::folder`].
    pub dir: Option<PathBuf>,
    /// Folders of files that say how.
    pub conf_dirs: Vec<PathBuf>,
    /// Munin's library: its folder `plugins` holds what can be enabled, and `plugin.sh`.
    pub libdir: PathBuf,
    /// How often a plugin is asked that says nothing of it.
    pub interval: Interval,
    /// How long a plugin may take, in ms.
    pub timeout_ms: i64,
    /// How many run at once.
    pub parallel: usize,
    /// Whose rights plugins have that say nothing of it, when plimsoll is root.
    pub user: String,
    /// What is said of single plugins.
    pub said: Vec<Said>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: None,
            conf_dirs: vec!["/etc/munin/plugin-conf.d".into()],
            libdir: "/usr/share/munin".into(),
            interval: Interval::MINUTE,
            timeout_ms: 10_000,
            parallel: 8,
            user: "nobody".into(),
            said: Vec::new(),
        }
    }
}

impl Settings {
    /// Where plugins lie, and where `enable` makes links: as configured, else what the environment
    /// says in PLIMSOLL_PLUGIN_DIR (tests use that), else Munin's own place.
    pub fn folder(&self) -> PathBuf {
        let told = || std::env::var_os("PLIMSOLL_PLUGIN_DIR").map(PathBuf::from);
        self.dir.clone().or_else(told).unwrap_or_else(|| FOLDER.into())
    }
}
