//! plugin: the faults of an answer: the first few in words, and the number of the others.

use std::fmt;

/// The number of faults that are kept in words.
const TOLD: usize = 5;

/// See the module's text. Nothing is allocated while nothing is wrong.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Faults {
    told: Vec<String>,
    more: usize,
}

impl Faults {
    /// Adds a fault. `what` is only called if the fault will be kept. A repeated fault is not
    /// added.
    pub fn add(&mut self, what: impl FnOnce() -> String) {
        if self.told.len() == TOLD {
            self.more += 1;
            return;
        }
        let what = what();
        if !self.told.contains(&what) {
            self.told.push(what);
        }
    }

    /// Whether nothing was wrong.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told.join("; "))?;
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}
