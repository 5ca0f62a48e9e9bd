//! plugin: readings of other programs: finds plugins, runs them safely, and interprets their
//! answers. Child processes stay in here. No database, no sockets, no threads of its own.
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
//!   shelf      the last output of each, for masters of Munin
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

/// The folder of enabled plugins in Munin's packages.
const FOLDER: &str = if cfg!(test) { "/nonexistent" } else { "/etc/munin/plugins" };

/// The kind of a plugin.
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

/// The settings of one plugin in the configuration. A plugin without a command is searched in the
/// folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub enabled: bool,
    /// The program and its arguments; empty: a file in one of the folders.
    pub command: Vec<String>,
    /// The kind of program; `None`: recognised by its output.
    pub kind: Option<Kind>,
    /// How often it is asked.
    pub interval: Option<Interval>,
    /// How long it may take, in ms.
    pub timeout_ms: Option<i64>,
    /// The user it runs as.
    pub user: Option<String>,
}

/// The settings of all plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether any is run.
    pub enabled: bool,
    /// The folder in which every file is a plugin to be run; nothing: the usual one, see
    /// [`Settings::folder`].
    pub dir: Option<PathBuf>,
    /// Folders with settings files.
    pub conf_dirs: Vec<PathBuf>,
    /// Munin's library: its folder `plugins` has the installed plugins, and it contains
    /// `plugin.sh`.
    pub libdir: PathBuf,
    /// The interval of plugins without their own.
    pub interval: Interval,
    /// How long a plugin may take, in ms.
    pub timeout_ms: i64,
    /// How many run at once.
    pub parallel: usize,
    /// The user of plugins that name none, if plimsoll is root.
    pub user: String,
    /// The settings of single plugins.
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
    /// The folder of enabled plugins, in which `enable` makes links: the configured one, else that
    /// of PLIMSOLL_PLUGIN_DIR in the environment (for tests), else Munin's own.
    pub fn folder(&self) -> PathBuf {
        let told = || std::env::var_os("PLIMSOLL_PLUGIN_DIR").map(PathBuf::from);
        self.dir.clone().or_else(told).unwrap_or_else(|| FOLDER.into())
    }
}
