//! wire: Munin: the output of plugins for `config` and for values, and the files with their
//! settings.
//!
//! ```text
//!   line      one line of a plugin's output              -> what it says, in place
//!   describe  all lines of `config`                      -> graphs with their fields
//!   range     `10:90`                                    -> a range of values that are fine
//!   cdef      `down,8,*`                                 -> a value, or PromQL
//!   settings  plugin-conf.d                              -> how each plugin is run
//!   command   what masters say to nodes, and nodes to masters
//!   name      names of plugins, fields and series
//!   datafile  what a master knows of its hosts, and the names of its RRD files
//! ```

mod cdef;
mod command;
mod datafile;
mod describe;
mod line;
mod name;
mod range;
mod settings;
#[cfg(test)]
mod tests;

pub use cdef::Cdef;
pub use command::{Command, Part, greeting, host_of, listed, relay};
pub use datafile::{Datafile, FileName, rrd_file};
pub use describe::{Described, FieldConfig, GraphConfig, Type};
pub use line::{Line, Reading, Time, lines, update_rate};
pub use name::{JOB, clean_field, clean_fields, identity, is_plugin_name};
pub use range::parse_range;
pub use settings::{Fault, PluginSettings, SettingsFile};
