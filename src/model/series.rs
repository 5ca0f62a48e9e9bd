//! model: a series is a name plus sorted labels on one system.

use std::fmt;
use std::sync::Arc;

use super::{Kind, Labels};

/// The identity of a series: two series with equal identities are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The host it was measured on; `None` is this machine. Label `instance` outside.
    pub system: Option<Box<str>>,
    /// The origin: `node` for the built-in collectors, `statsd`, `sql`, … Outside, it is the label
    /// `job`.
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

/// A series with its description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Its identity.
    pub identity: Identity,
    /// How its values behave.
    pub kind: Kind,
    /// Base unit (`bytes`, `seconds`, `ratio`, `percent`, `celsius`), or nothing.
    pub unit: Arc<str>,
    /// A description in one sentence.
    pub help: Arc<str>,
}

impl Series {
    /// A series without a description; its kind is guessed from its name.
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
