//! model: how a value behaves over time.

/// How a value behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows, and begins again at zero after a restart. Its rate is shown.
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
}
