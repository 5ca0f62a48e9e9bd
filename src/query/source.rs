//! query: the source of samples: the evaluator's interface to a store, and a store in memory for
//! tests. No expressions in here.

use std::sync::Arc;

use super::matcher::Matcher;
#[doc(no_inline)]
pub use super::matcher::NAME;
use crate::model::Labels;

/// The request of a selector to a store.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// All of them have to hold; the name is the label [`NAME`].
    pub matchers: &'a [Matcher],
    /// The oldest time that can matter, ms, itself included.
    pub start: i64,
    /// The newest time that can matter, ms, itself included.
    pub end: i64,
    /// The purpose, from which a store chooses a resolution.
    pub hints: Hints,
}

/// The purpose of a selector's samples.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints {
    /// The distance of evaluations, ms; 0 for a single one.
    pub step: i64,
    /// The length of the windows, ms; 0 where only the newest sample counts.
    pub range: i64,
    /// The function over the windows or over the vector; empty without one.
    pub function: &'static str,
    /// The finest allowed resolution.
    pub finest: Resolution,
}

/// A resolution of stored samples. Finer ones come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// Every sample.
    #[default]
    Raw,
    /// Buckets of five minutes.
    FiveMinutes,
    /// Buckets of an hour.
    Hour,
}

impl Resolution {
    /// All of them, finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::FiveMinutes, Self::Hour];

    /// `raw`, `5m` or `1h`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }

    /// The length of a bucket, ms; 0 where there are none.
    pub fn width(self) -> i64 {
        match self {
            Self::Raw => 0,
            Self::FiveMinutes => 300_000,
            Self::Hour => 3_600_000,
        }
    }
}

/// The samples of one series; reused from series to series.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Milliseconds since 1970 UTC, strictly ascending.
    pub times: Vec<i64>,
    /// The value at each time; a staleness marker says that the series ended.
    pub values: Vec<f64>,
}

impl Columns {
    /// Forgets all samples and keeps the room.
    pub fn clear(&mut self) {
        self.times.clear();
        self.values.clear();
    }
}

/// The buckets of one series, reused from series to series. Columns that were not requested are
/// empty.
#[derive(Debug, Clone, Default)]
pub struct Rollups {
    /// The end of each bucket, ms since 1970 UTC, ascending. A bucket covers times before its end
    /// and not before its beginning.
    pub ends: Vec<i64>,
    /// By [`Part`]: as many values as there are ends.
    pub parts: [Vec<f64>; Part::COUNT],
    /// Buckets that end at this time or before are hours, the others five minutes.
    pub hours_until: i64,
}

/// A number of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The number of samples that are not NaN.
    Count,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The newest.
    Last,
    /// How often a counter began again.
    Resets,
    /// The sum of its values before that; `last - last before + lost` is its increase.
    Lost,
}

impl Part {
    /// The number of parts.
    pub const COUNT: usize = 7;
}

impl Rollups {
    /// Forgets all buckets and keeps the room.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.parts.iter_mut().for_each(Vec::clear);
        self.hours_until = i64::MIN;
    }

    /// One part of all buckets.
    pub fn part(&self, part: Part) -> &[f64] {
        &self.parts[part as usize]
    }
}

/// The cost of reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Blocks of packed samples or buckets.
    pub blocks: u64,
}

/// A store could not answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);

/// A store of samples.
pub trait Source {
    /// The series that match, without their samples. Fails where the store cannot be read.
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError>;
}

/// The series that matched a selection.
pub trait SeriesSet {
    /// Their labels with [`NAME`] among them, each series once, in the order of the labels.
    fn labels(&self) -> &[Arc<Labels>];

    /// Replaces the contents of `into` by the samples of one series in the requested time, from
    /// [`SeriesSet::raw_from`] on; further samples around it do no harm. Fails if the store cannot
    /// be read.
    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError>;

    /// Before this time (ms) there are buckets instead of samples.
    fn raw_from(&self) -> i64 {
        i64::MIN
    }

    /// Replaces the contents of `into` by the buckets of one series that end by
    /// [`SeriesSet::raw_from`], and two more at the left. Fails if the store cannot be read.
    fn read_rollups(
        &mut self,
        _series: usize,
        _parts: &[Part],
        into: &mut Rollups,
    ) -> Result<(), SourceError> {
        into.clear();
        Ok(())
    }

    /// The cost of reading all of them. Fails if the store cannot be read.
    fn cost(&self) -> Result<Cost, SourceError> {
        Ok(Cost::default())
    }
}

/// A store in memory.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    series: Vec<(Arc<Labels>, Columns)>,
}

impl MemorySource {
    /// Adds samples of a series; of two at the same time the later added one counts.
    pub fn add(&mut self, labels: Labels, samples: impl IntoIterator<Item = (i64, f64)>) {
        let at = match self.series.binary_search_by(|(known, _)| (**known).cmp(&labels)) {
            Ok(at) => at,
            Err(at) => {
                self.series.insert(at, (Arc::new(labels), Columns::default()));
                at
            }
        };
        let columns = &mut self.series[at].1;
        for (time, value) in samples {
            match columns.times.binary_search(&time) {
                Ok(at) => columns.values[at] = value,
                Err(at) => {
                    columns.times.insert(at, time);
                    columns.values.insert(at, value);
                }
            }
        }
    }

    /// All series and their samples.
    pub fn iter(&self) -> impl Iterator<Item = (&Labels, &Columns)> {
        self.series.iter().map(|(labels, columns)| (&**labels, columns))
    }
}

impl Source for MemorySource {
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
        let matching = |labels: &Labels| {
            selection.matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()))
        };
        let mut set = MemorySet {
            labels: Vec::new(),
            columns: Vec::new(),
            start: selection.start,
            end: selection.end,
        };
        for (labels, columns) in self.series.iter().filter(|(labels, _)| matching(labels)) {
            set.labels.push(Arc::clone(labels));
            set.columns.push(columns);
        }
        Ok(Box::new(set))
    }
}

struct MemorySet<'a> {
    labels: Vec<Arc<Labels>>,
    columns: Vec<&'a Columns>,
    start: i64,
    end: i64,
}

impl SeriesSet for MemorySet<'_> {
    fn labels(&self) -> &[Arc<Labels>] {
        &self.labels
    }

    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError> {
        into.clear();
        let Some(columns) = self.columns.get(series) else { return Ok(()) };
        let from = columns.times.partition_point(|t| *t < self.start);
        let to = columns.times.partition_point(|t| *t <= self.end).max(from);
        into.times.extend_from_slice(&columns.times[from..to]);
        into.values.extend_from_slice(&columns.values[from..to]);
        Ok(())
    }
}
