//! model: a series is a name plus sorted labels on one system.

use std::fmt;
use std::sync::Arc;

use super::{Kind, Labels};

/// What makes two series the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The host it was measured on; `None` is this machine. Label `instance` outside.
    pub system: Option<Box<str>>,
    /// Where it came from: `node` for the built-in collectors, `statsd`, `sql`, … Label `job` outside.
    pub job: Arc<str>,
    /// The metric's name.
    pub name: Box<str>,
    /// Its labels, without `instance` and `job`.
    pub labels: Labels,
}

impl Identity {
    /// A series of this machine.
    pub fn local(job: &str, name: &str, labels: Labels) -> Self {
        Self { system: None, job: job.into(), name: name.into(), labels }
    }

    /// The series in one string, as views and the command line show it; see [`super::write_key`].
    pub fn key(&self) -> String {
        let mut key = String::new();
        super::write_key(&mut key, &self.name, self.labels.iter());
        key
    }
}

/// A series and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// What makes it this one.
    pub identity: Identity,
    /// How its values behave.
    pub kind: Kind,
    /// Base unit (`bytes`, `seconds`, `ratio`, `percent`, `celsius`), or nothing.
    pub unit: Arc<str>,
    /// One sentence for people.
    pub help: Arc<str>,
}

impl Series {
    /// A series that nobody described: its kind is guessed from its name.
    pub fn undescribed(identity: Identity) -> Self {
        let kind = Kind::guess(&identity.name);
        Self { identity, kind, unit: "".into(), help: "".into() }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity.key())
    }
}
