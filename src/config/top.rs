//! config: the options at the top of the file.

use std::path::PathBuf;

use crate::model::Interval;
use crate::model::options::{Given, Limit, Shape, Value, Wrong, options, quote};

options! {
    /// plimsoll.toml: all options. All of them are optional.
    ///
    /// Each option is shown with its default (or an example, if it has none) behind a #; remove
    /// the # to change it. `plimsoll check-config` checks the file, `plimsoll reload` (or systemctl
    /// reload plimsoll) applies it.
    ///
    /// Lengths of time: a number and ms, s, m, h, d, w or y; also 1.5s and 1m30s.
    pub struct TopOptions {
        /// The database file. Default: metrics.sqlite in /var/lib/plimsoll as a service, else in the
        /// current folder. For another folder, the service needs `systemctl edit plimsoll` with
        /// `[Service]` and `ReadWritePaths=/that/folder`.
        db: Option<Database> = None, like r#""/var/lib/plimsoll/metrics.sqlite""#;
        /// Interval of the collectors. Each can have its own, below.
        interval: Interval = Interval::DEFAULT, like r#""10s""#;
        /// Name of this machine. Default: its host name.
        system: Option<String> = None, in SystemName, like r#""web1""#;
    }
}

/// The path of the database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database(pub PathBuf);

impl Value for Database {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        match given.text() {
            "" => Err(vec![Wrong::new("the path is empty", "remove the line to use the default")]),
            path if path.ends_with('/') => Err(vec![Wrong::new(
                "the path is a directory",
                format!("name the file too: `{path}metrics.sqlite`"),
            )]),
            path => Ok(Self(path.into())),
        }
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0.to_string_lossy()))
    }
}

/// Allowed names of this machine.
struct SystemName;

impl Limit<String> for SystemName {
    fn check(&self, name: &String, _: &Given<'_>) -> Vec<Wrong> {
        if name.is_empty() {
            let hint = "remove the line to use the host name";
            return vec![Wrong::new("the name is empty", hint)];
        }
        if name.chars().any(char::is_control) || name.len() > 200 {
            let hint = "at most 200 bytes, without control characters";
            return vec![Wrong::new("the name is not usable", hint)];
        }
        Vec::new()
    }

    fn range(&self) -> Option<String> {
        None
    }
}
