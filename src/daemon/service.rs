//! daemon: services run beside the main thread. Each is one file in services/ and one row of the
//! table there; the greeting, `reload`, `check-config`, `/health`, the shutdown and plimsoll's
//! metrics about itself iterate that table.

use serde_json::Value;

use super::running::{Row, Started};
use super::shared::Shared;
use crate::config::Config;
use crate::store::Store;

/// A row of the table of services.
pub struct Service {
    /// Its name in `check-config`, in `/health` and in `plimsoll_service_up`.
    pub name: &'static str,
    /// The word before its line in the greeting, at most ten characters.
    pub greeting: &'static str,
    /// The subjects of its problems begin with these.
    pub subjects: &'static [&'static str],
    /// Its settings, and when a reload puts each to use.
    pub settings: &'static [Setting],
    /// A description of what would run, in lines; empty if the service is off.
    pub plan: fn(&Config) -> Vec<String>,
    /// Its settings for machines, as an object.
    pub json: fn(&Config) -> Value,
    /// Starts it, within the runtime; `None`: the configuration does not ask for it. Without a store
    /// it is a reload that starts it.
    pub start: Start,
}

impl Service {
    /// What the running service keeps of it.
    pub const fn row(&self) -> Row {
        Row { name: self.name, greeting: self.greeting, subjects: self.subjects }
    }
}

/// The way in which a service starts.
#[derive(Clone, Copy)]
pub enum Start {
    /// Only when plimsoll does.
    First(fn(&Shared, &Store) -> anyhow::Result<Option<Started>>),
    /// When plimsoll does, or at the first reload that asks for it.
    Any(fn(&Shared) -> anyhow::Result<Option<Started>>),
}

/// A setting that a reload may bring.
pub struct Setting {
    /// The name in the configuration file.
    pub name: &'static str,
    /// Whether a reload puts it to use; otherwise the next start does.
    pub at_once: bool,
    /// Whether both have the same value of it.
    pub same: fn(&Config, &Config) -> bool,
}

impl Setting {
    /// A reload puts it to use.
    pub const fn at_once(name: &'static str, same: fn(&Config, &Config) -> bool) -> Self {
        Self { name, at_once: true, same }
    }

    /// The next start puts it to use.
    pub const fn next_start(name: &'static str, same: fn(&Config, &Config) -> bool) -> Self {
        Self { name, at_once: false, same }
    }

    /// The line of a reload about this setting; `None` if `new` has the value that is used. `first`
    /// is the configuration of the start, `old` that of the last reload.
    pub fn change(&self, first: &Config, old: &Config, new: &Config) -> Option<String> {
        let name = self.name;
        match self.at_once {
            true if (self.same)(old, new) => None,
            true => Some(format!("the new `{name}` is in force")),
            false if (self.same)(first, new) => None,
            false => Some(format!("the new `{name}` takes effect at the next start")),
        }
    }
}
