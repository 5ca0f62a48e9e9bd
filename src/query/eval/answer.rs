//! query: the result of an evaluation: a scalar, a string, a vector or a matrix, in Prometheus'
//! order.

use std::sync::Arc;

use super::super::annotation::Annotations;
use super::super::budget::Held;
use super::super::float::is_absent;
use super::super::source::{Columns, Resolution};
use super::error::Outcome;
use super::grid::{Grid, ROW};
use super::guard::Guard;
use super::walk::Frame;
use super::watch::Watched;
use crate::model::Labels;

/// A query's result and what came with it.
#[derive(Debug)]
pub struct Answer {
    /// The result.
    pub value: Value,
    /// Warnings and infos.
    pub annotations: Annotations,
    /// The cost of the query.
    pub stats: Stats,
    /// The data that was looked at, if `Options::watch` is set.
    pub watched: Option<Watched>,
    /// The memory of a vector; a matrix has its own.
    pub(super) _room: Option<Held>,
}

/// The cost of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Series read; one that two selectors select counts twice.
    pub series: u64,
    /// Samples read of them.
    pub samples: u64,
    /// Buckets read where samples are gone or too many.
    pub buckets: u64,
    /// Which resolutions served, by [`Resolution`].
    pub served: [bool; 3],
    /// Values made on the way.
    pub cells: u64,
}

impl Stats {
    /// The resolutions that served, finest first: `raw,1h`. Where nothing was selected, `raw`.
    pub fn resolution(&self) -> String {
        let words = Resolution::ALL.iter().filter(|r| self.served[**r as usize]).map(|r| r.word());
        let words: Vec<&str> = words.collect();
        if words.is_empty() { Resolution::Raw.word().to_owned() } else { words.join(",") }
    }
}

/// The result of a query.
#[derive(Debug)]
pub enum Value {
    /// A number at a moment (ms).
    Scalar(i64, f64),
    /// A text at a moment (ms).
    String(i64, Box<str>),
    /// A value of each series at one moment.
    Vector(Vec<VectorSample>),
    /// Many values of each series.
    Matrix(Matrix),
}

/// The value of a series at a moment.
#[derive(Debug, Clone)]
pub struct VectorSample {
    /// The series' labels, the name among them where it has one.
    pub labels: Arc<Labels>,
    /// Milliseconds since 1970 UTC.
    pub time: i64,
    /// The value.
    pub value: f64,
}

/// Series with many values each, in the order of their labels.
#[derive(Debug)]
pub struct Matrix {
    /// The labels of each series and its row in the body.
    series: Vec<(Arc<Labels>, usize)>,
    body: Body,
    /// The memory of the labels, and of samples.
    _room: Held,
}

#[derive(Debug)]
enum Body {
    Steps { frame: Frame, grid: Grid },
    Samples(Vec<Columns>),
}

impl Matrix {
    pub(super) fn of_steps(frame: Frame, grid: Grid, guard: &Guard<'_>) -> Outcome<Self> {
        let mut room = grid.room.another();
        let mut pace = guard.pace();
        let mut series = Vec::new();
        for (i, metric) in grid.metrics.iter().enumerate() {
            pace.work(ROW)?;
            room.reserve(&mut series, 1)?;
            room.take(metric.copied())?;
            series.push((metric.labels(), i));
        }
        Self::sorted(series, Body::Steps { frame, grid }, room, guard)
    }

    /// `room` is that of the samples.
    pub(super) fn of_samples(
        list: Vec<(Arc<Labels>, Columns)>,
        mut room: Held,
        guard: &Guard<'_>,
    ) -> Outcome<Self> {
        room.take_for::<(Arc<Labels>, Columns)>(2 * list.len())?;
        let (labels, columns): (Vec<_>, Vec<_>) = list.into_iter().unzip();
        let series = labels.into_iter().enumerate().map(|(i, l)| (l, i)).collect();
        Self::sorted(series, Body::Samples(columns), room, guard)
    }

    fn sorted(
        mut series: Vec<(Arc<Labels>, usize)>,
        body: Body,
        mut room: Held,
        guard: &Guard<'_>,
    ) -> Outcome<Self> {
        if !series.is_sorted_by(|(a, _), (b, _)| a <= b) {
            room.take_for::<(Arc<Labels>, usize)>(series.len())?;
            super::sorting::patiently(&mut series, guard, |(a, _), (b, _)| a.cmp(b))?;
        }
        Ok(Self { series, body, _room: room })
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The labels of each series, in order.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<Labels>> {
        self.series.iter().map(|(labels, _)| labels)
    }

    /// Time (ms) and value of each sample of a series; empty for a number beyond the last series.
    pub fn points(&self, series: usize) -> impl Iterator<Item = (i64, f64)> + '_ {
        let (steps, samples) = match (self.series.get(series), &self.body) {
            (Some((_, row)), Body::Steps { frame, grid }) => {
                let points = grid.row(*row).iter().enumerate().filter(|(_, v)| !is_absent(**v));
                (Some(points.map(|(i, v)| (frame.time(i), *v))), None)
            }
            (Some((_, row)), Body::Samples(columns)) => {
                let c = &columns[*row];
                (None, Some(c.times.iter().copied().zip(c.values.iter().copied())))
            }
            (None, _) => (None, None),
        };
        steps.into_iter().flatten().chain(samples.into_iter().flatten())
    }
}
