//! overview: what a chart is: its lines, what they are made of, and how bad a value of them is.

use crate::model::{Kind, Range, unit};
use crate::store::Known;

/// More lines than this say nothing in one chart; the others are counted.
pub const MOST_LINES: usize = 24;

/// A chart: what is drawn, not yet its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Names it in addresses: `load`, `disk:/home`, `node:node_forks_total`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// `percent`, `bytes`, `seconds`, `celsius`, `ratio`, with `/s` behind it for a rate; or nothing.
    pub unit: String,
    /// Where it stands: nothing for the first view, otherwise the source it came from.
    pub group: String,
    /// One sentence about it, or nothing.
    pub help: String,
    /// Areas on top of each other, not lines.
    pub stack: bool,
    /// Where the axis ends, if it always ends at the same place.
    pub top: Option<f64>,
    /// Thresholds: where each lies and what it is.
    pub marks: Vec<(f64, String)>,
    /// What is drawn, from the bottom.
    pub lines: Vec<Line>,
    /// Lines beyond [`MOST_LINES`] that are left out.
    pub more: usize,
    /// What is left of what this chart shows being used up: the number of a series in the file.
    pub left: Option<i64>,
    /// All mounts of the machine, for the verdict; in one of its charts only.
    pub mounts: Vec<Mount>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is called beside the others.
    pub name: String,
    /// Its series are counters, and it shows what they grow by in a second.
    pub rate: bool,
    /// Drawn below zero.
    pub down: bool,
    /// What is added up.
    pub terms: Vec<Term>,
    /// Where its source wants it to be.
    pub bounds: Bounds,
}

impl Line {
    /// One series as a line: a gauge as its values, a counter as what it grows by in a second.
    pub fn of_series(known: &Known) -> Self {
        Self { rate: known.kind == Kind::Counter, ..Self::of_values(known.id) }
    }

    /// The values of one series, by its number in the file.
    pub fn of_values(series: i64) -> Self {
        let terms = vec![Term { series, factor: 1.0 }];
        Self { name: String::new(), rate: false, down: false, terms, bounds: Bounds::default() }
    }

    /// What this line is a part of: of a difference, what something is taken from.
    pub fn whole(&self) -> Option<Self> {
        let terms: Vec<Term> = self.terms.iter().copied().filter(|t| t.factor > 0.0).collect();
        let part = terms.len() < self.terms.len() && !terms.is_empty();
        part.then(|| Self { name: String::new(), terms, ..self.clone() })
    }
}

impl Bounds {
    /// How bad a value is.
    pub fn level(&self, value: f64) -> Level {
        match value {
            v if !self.critical.holds(v) => Level::Bad,
            v if !self.warning.holds(v) => Level::Warning,
            _ => Level::Well,
        }
    }
}

/// What values of a line are fine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// Outside: somebody should look.
    pub warning: Range,
    /// Outside: somebody should look now. Goes before `warning`.
    pub critical: Range,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// A series by its number in the file ([`Known::id`]).
    pub series: i64,
    /// What its value or rate is multiplied by.
    pub factor: f64,
}

/// The word for what a series is shown in: its own unit, of a counter that a second.
pub fn unit_of(known: &Known) -> String {
    let own = unit::word(&known.unit, &known.name);
    if known.kind == Kind::Counter { unit::word_a_second(own) } else { own.to_owned() }
}

/// A mount with the numbers of its series in the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: String,
    /// The type of file system.
    pub fstype: String,
    /// How many files it can hold, and how many more.
    pub files: Option<i64>,
    /// See `files`.
    pub files_free: Option<i64>,
    /// 1 while nothing can be written to it.
    pub read_only: Option<i64>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    Well,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Bad,
}

impl Level {
    /// `well`, `warning` or `bad`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Well => "well",
            Level::Warning => "warning",
            Level::Bad => "bad",
        }
    }
}
