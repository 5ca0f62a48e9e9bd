//! config: plimsoll.toml becomes the settings of the rooms above it; the rooms below use those that
//! are kept here. The only I/O here is reading that one file.
//!
//! ```text
//!   sections   the table of sections; the sample file
//!   row        a row of that table; an option and what it amounts to
//!   raw        a section of the file, checked against its options
//!   resolve    the whole file -> settings
//!   resolver   what all sections share on that way
//!   top        the options at the top of the file
//!   collect, http, store, statsd, push, plugins, munin, burst, alerts
//!              the options of each section, and the settings that are made of them
//!   claim      the addresses and sockets that options name
//!   places     no two options may name one place to listen at
//!   edit       changes one option of a file and nothing else
//!   values     types of options
//!   error      what is said of mistakes
//!   running    the configuration in force
//!   host       this machine's name
//! ```
//!
//! An option is a field of a struct made by `options!` (model/options.rs); a collector's
//! own are in the collector's file.

mod alerts;
mod burst;
mod claim;
mod collect;
pub mod edit;
mod error;
mod host;
mod http;
mod munin;
mod places;
mod plugins;
mod push;
mod raw;
mod resolve;
mod resolver;
mod row;
mod running;
mod sections;
mod statsd;
mod store;
#[cfg(test)]
mod tests;
mod top;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use alerts::{AlertOptions, Alerts, AlertsOptions, LimitsOptions, Secret, SmtpOptions};
pub use error::{ConfigError, Content, Mistake, nearest};
pub use host::host_name;
pub use http::TlsSettings;
pub use munin::MuninNodeSettings;
pub use push::PushOptions;
pub use row::Listed;
pub use running::Running;
pub use sections::sample;

use crate::collect::{self as collecting, regular};
use crate::model::options::{self, Options};
use crate::model::{Condition, Interval, KeyFilter};
use crate::pipeline;
use crate::plugin;
use crate::reach;
use crate::receive;
use crate::store::Limits;

/// Every option with its default and meaning; `plimsoll install` writes it. A test compares it with
/// [`sample`].
pub const SAMPLE: &str = include_str!("sample.toml");

/// The default path of the configuration.
pub const DEFAULT_PATH: &str = "/etc/plimsoll/plimsoll.toml";

/// More than a person writes; it keeps `--config /dev/zero` from eating the memory.
const MAX_BYTES: u64 = 1024 * 1024;

/// The configuration, with defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from; `None` for the built-in defaults.
    pub source: Option<PathBuf>,
    /// Its text; empty for the defaults.
    pub text: String,
    /// The database; `None`: from the command line or the service manager.
    pub db: Option<PathBuf>,
    /// The name of this machine; `None`: its host name.
    pub system: Option<String>,
    /// The interval of collectors without their own.
    pub interval: Interval,
    /// The collectors that run, in their order.
    pub collectors: Vec<CollectorConfig>,
    /// The settings of collectors.
    pub collect: collecting::Settings,
    /// Which series are kept.
    pub filter: KeyFilter,
    /// When to look closer.
    pub bursts: Vec<Burst>,
    /// What is judged, and who is told.
    pub alerts: Alerts,
    /// The page and the API.
    pub http: Http,
    /// The receiver of statsd.
    pub statsd: Statsd,
    /// Which plugins run, and how.
    pub plugins: plugin::Settings,
    /// The listener for Munin masters.
    pub munin_node: MuninNode,
    /// Munin's nodes that are asked.
    pub munin_peers: Vec<reach::NodeSettings>,
    /// The receiver of Graphite's lines; none by default.
    pub graphite: receive::Settings,
    /// The options of the sections that need no more than that; see [`Config::of`].
    pub options: Vec<Arc<dyn Options>>,
    /// For how long beats wait in memory when the disk takes no more, in milliseconds.
    pub queue_ms: i64,
    /// The size and ages of the database.
    pub limits: Limits,
}

/// A collector that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorConfig {
    /// Its name in [`crate::collect::COLLECTORS`].
    pub name: &'static str,
    /// The interval of the collector.
    pub interval: Interval,
}

/// A rule: while something is the case, and for a while after, look more often.
#[derive(Debug, Clone, PartialEq)]
pub struct Burst {
    /// The condition.
    pub when: Condition,
    /// The condition as written, to show it.
    pub text: String,
    /// The interval while it holds.
    pub interval: Interval,
    /// How long it lasts after the condition was last true, in milliseconds.
    pub duration_ms: i64,
    /// Which collectors; none means all that run.
    pub collectors: Vec<&'static str>,
}

/// The page and the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// The listening address; `None` for none. Beyond the loopback only with TLS, or behind a
    /// proxy.
    pub listen: Option<SocketAddr>,
    /// A unix socket where it listens too.
    pub socket: Option<PathBuf>,
    /// The certificate with which `listen` speaks TLS.
    pub tls: Option<TlsSettings>,
    /// Whether a proxy with TLS stands before it; then every client needs a token.
    pub behind_proxy: bool,
    /// Names by which a browser may ask for it beside the address itself; lower case, no port.
    pub hosts: Vec<String>,
}

/// The settings for Munin masters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MuninNode {
    /// Addresses, allowed masters, and name.
    pub node: MuninNodeSettings,
    /// The certificate for masters that ask for TLS.
    pub tls: Option<TlsSettings>,
}

/// The settings of statsd.
#[derive(Debug, Clone, PartialEq)]
pub struct Statsd {
    /// The sockets.
    pub receive: receive::Settings,
    /// The gatherer.
    pub gather: pipeline::statsd::Settings,
}

impl Default for Config {
    fn default() -> Self {
        resolve::defaults()
    }
}

impl Config {
    /// The configuration in `text`; `origin` is what errors call the file.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        resolve::resolve(text, origin)
    }

    /// The configuration in a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let mut config = Self::parse(&text, &path.to_string_lossy())?;
        config.source = Some(path.into());
        Ok(config)
    }

    /// The options of the plain section that has this type of them.
    pub fn of<O: Options + Default + Clone>(&self) -> O {
        options::find(&self.options)
    }

    /// Every option with the value in force, its default and its meaning, in the order of the sample
    /// file.
    pub fn listed(&self) -> Vec<Listed> {
        resolve::read(&self.text, "").map(|(_, listed)| listed).unwrap_or_default()
    }

    /// The configuration in the file that was named; else in [`DEFAULT_PATH`], if there is one;
    /// else the defaults.
    pub fn find(explicit: Option<&Path>) -> Result<Self, ConfigError> {
        Self::find_from(explicit, Path::new(DEFAULT_PATH))
    }

    fn find_from(explicit: Option<&Path>, default: &Path) -> Result<Self, ConfigError> {
        match explicit {
            Some(path) => Self::load(path),
            // A dangling link counts as a file, because it was made on purpose.
            None if default.symlink_metadata().is_err_and(|e| absent(&e)) => Ok(Self::default()),
            None => Self::load(default),
        }
    }
}

fn absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let bytes = regular::read(path, MAX_BYTES).map_err(|e| unreadable(path, &e))?;
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(e.as_bytes());
        let mistake = Mistake {
            key: String::new(),
            message: "this is not UTF-8 text".into(),
            hint: "save the file as UTF-8".into(),
            // The replacement character takes three bytes.
            span: at..at + 3,
        };
        ConfigError::content(&path.to_string_lossy(), &text, vec![mistake])
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    use std::io::ErrorKind;
    let name = path.display();
    let (message, hint) = match error.kind() {
        ErrorKind::IsADirectory => (
            format!("{name} is a directory, not a configuration file"),
            format!("name the file in it: {}", path.join("plimsoll.toml").display()),
        ),
        ErrorKind::FileTooLarge => (
            format!("{name} is larger than {} KiB", MAX_BYTES / 1024),
            "this is hardly a configuration file; name another one".into(),
        ),
        ErrorKind::PermissionDenied => (
            format!("{name} may not be read by this user"),
            "run this as a user who may, for example with sudo; the service reads it as the user \
             plimsoll"
                .into(),
        ),
        _ if absent(error) => (
            format!("there is no configuration file {name}"),
            format!(
                "leave --config out to run with the defaults, or start from the sample: \
                 plimsoll check-config --sample > {name}"
            ),
        ),
        _ => (format!("{name} cannot be read: {error}"), "name another file".into()),
    };
    ConfigError::File { message, hint }
}
