//! model: a series is a name plus sorted labels on one system; a sample is a time and a value.

use std::fmt;
use std::sync::Arc;

/// How a value behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Goes up and down; the value itself is what one looks at.
    Gauge,
    /// Only grows, and starts again at zero; one looks at its rate.
    Counter,
}

impl Kind {
    /// The word used in the database, in JSON and in the exposition format.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        }
    }

    /// The reverse of [`Kind::as_str`]; anything unknown is a gauge.
    pub fn from_word(word: &str) -> Self {
        if word == "counter" { Kind::Counter } else { Kind::Gauge }
    }

    /// What the name says of a series that nobody described: it is one of node_exporter's untyped ones,
    /// which are known, or the field's naming convention tells.
    pub fn guess(name: &str) -> Self {
        if let Some(kind) = super::kinds::untyped(name) {
            return kind;
        }
        if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge }
    }
}

/// Label pairs, sorted by label name, each name once. A copy costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Arc<[(Box<str>, Box<str>)]>);

impl Labels {
    /// How many copies of these labels there are; those of equal labels made apart do not count.
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Sorts the pairs; of two with the same name the later one stays. An empty value is no label
    /// (as in Prometheus).
    pub fn new<N: Into<Box<str>>, V: Into<Box<str>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut sorted: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in pairs {
            let (name, value) = (name.into(), value.into());
            match sorted.binary_search_by(|(n, _)| n.cmp(&name)) {
                Ok(at) => sorted[at].1 = value,
                Err(at) => sorted.insert(at, (name, value)),
            }
        }
        sorted.retain(|(_, value)| !value.is_empty());
        // The empty one is no allocation.
        if sorted.is_empty() { Self::default() } else { Self(sorted.into()) }
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }

    /// The value of one label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(n, _)| (**n).cmp(name)).ok().map(|at| &*self.0[at].1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

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

/// One value at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which series.
    pub series: super::SeriesRef,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub ts: i64,
    /// The value; NaN and infinities are values too.
    pub value: f64,
}
