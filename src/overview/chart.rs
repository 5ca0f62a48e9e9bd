//! overview: charts: their lines, the terms of these, and the level of a value.

use super::axis::unit_of_field;
use crate::model::{Kind, Range, unit};
use crate::store::Known;

/// The largest number of lines in a chart; more lines say nothing and are only counted.
pub const MOST_LINES: usize = 24;

/// A chart without its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Names it in addresses: `load`, `disk:/home`, `node:node_forks_total`.
    pub id: String,
    /// The title, in one line.
    pub title: String,
    /// `percent`, `bytes`, `seconds`, `celsius`, `ratio`, with `/s` behind it for a rate; or nothing.
    pub unit: String,
    /// The section of the chart: empty for the first view, otherwise the origin of its series.
    pub group: String,
    /// A description in one sentence, or empty.
    pub help: String,
    /// Areas on top of each other, not lines.
    pub stack: bool,
    /// The end of the axis, if it is fixed.
    pub top: Option<f64>,
    /// Thresholds: the value and word of each.
    pub marks: Vec<(f64, String)>,
    /// The lines, from the bottom.
    pub lines: Vec<Line>,
    /// Lines beyond [`MOST_LINES`] that are left out.
    pub more: usize,
    /// The series that says how much is left, for charts of something that is used up: its number
    /// in the file.
    pub left: Option<i64>,
    /// All mounts of the machine, for the verdict; only set in one of its charts.
    pub mounts: Vec<Mount>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// Whether its series are counters, whose rates are shown.
    pub rate: bool,
    /// Drawn below zero.
    pub down: bool,
    /// The terms that are added up.
    pub terms: Vec<Term>,
    /// The range in which its source wants it to be.
    pub bounds: Bounds,
}

impl Line {
    /// The line of one series: the values of a gauge, the rate of a counter.
    pub fn of_series(known: &Known) -> Self {
        Self { rate: known.kind == Kind::Counter, ..Self::of_values(known.id) }
    }

    /// The values of one series, by its number in the file.
    pub fn of_values(series: i64) -> Self {
        let terms = vec![Term { series, factor: 1.0 }];
        Self { name: String::new(), rate: false, down: false, terms, bounds: Bounds::default() }
    }

    /// The whole of which this line is a part: for a difference, its first term.
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

/// The good values of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// A value outside of this range is a warning.
    pub warning: Range,
    /// A value outside of this range is critical. It goes before `warning`.
    pub critical: Range,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// A series by its number in the file ([`Known::id`]).
    pub series: i64,
    /// The factor of its value or rate.
    pub factor: f64,
}

/// The unit in which a series is shown: its own, or for a counter that of its rate.
pub fn unit_of(known: &Known) -> String {
    if known.job == "munin" {
        return unit_of_field(&known.unit, known.kind == Kind::Counter).to_owned();
    }
    let own = unit::word(&known.unit, &known.name);
    if known.kind == Kind::Counter { unit::word_a_second(own) } else { own.to_owned() }
}

/// A mount with the numbers of its series in the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mount {
    /// The mount point.
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
    /// No problem.
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
