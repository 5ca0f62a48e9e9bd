//! model: how bad something is.

use serde::{Deserialize, Serialize};

/// How bad something is, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Information; no action is needed.
    Info,
    /// Action is needed today.
    Warning,
    /// Action is needed now.
    Bad,
}

impl Severity {
    /// `info`, `warning` or `bad`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }

    /// The severity of a word. Prometheus' rules say `critical`, `error` and `page` for bad.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "info" | "none" | "informational" => Some(Self::Info),
            "warning" | "warn" | "minor" => Some(Self::Warning),
            "bad" | "critical" | "crit" | "error" | "page" | "major" => Some(Self::Bad),
            _ => None,
        }
    }
}
