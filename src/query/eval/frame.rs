//! query: at which moments something is evaluated, and what comes of it there: a number at each
//! moment, or series.

use super::super::budget::Held;
use super::super::source::Resolution;
use super::error::Outcome;
use super::grid::{Grid, Metric};
use super::guard::{Guard, STRIDE};

/// When to evaluate; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At one moment since 1970 UTC.
    Instant(i64),
    /// From `start` on every `step` until `end`, both included.
    Range {
        /// The first moment since 1970 UTC.
        start: i64,
        /// No moment is past this one.
        end: i64,
        /// The distance of two moments; positive.
        step: i64,
    },
}

/// The options that a server sets for all queries.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The largest age of a series' newest sample, ms; positive. Prometheus: 5 minutes.
    pub lookback: i64,
    /// The step of a subquery that names none, ms; positive. Prometheus: 1 minute.
    pub subquery_step: i64,
    /// The finest allowed resolution.
    pub finest: Resolution,
    /// Whether to record the data that is looked at, by selector and step.
    pub watch: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { lookback: 300_000, subquery_step: 60_000, finest: Resolution::Raw, watch: false }
    }
}

/// The moments at which something is evaluated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) start: i64,
    pub(super) step: i64,
    pub(super) count: usize,
}

impl Frame {
    pub(super) fn time(&self, step: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(step as i64))
    }

    pub(super) fn once(&self) -> Frame {
        Frame { count: 1, ..*self }
    }
}

/// A scalar at all steps.
#[derive(Debug)]
pub(super) enum Scalars {
    Same(f64),
    Steps(Row),
}

/// A value a step, and its memory.
#[derive(Debug)]
pub(super) struct Row {
    values: Vec<f64>,
    _room: Held,
}

impl Row {
    /// A value a step. Fails before they are made where there is no memory left for them.
    pub(super) fn of(
        guard: &Guard<'_>,
        steps: usize,
        mut value: impl FnMut(usize) -> f64,
    ) -> Outcome<Self> {
        let mut room = guard.hold();
        room.take_for::<f64>(steps)?;
        let mut values = Vec::with_capacity(steps);
        while values.len() < steps {
            guard.check()?;
            let until = steps.min(values.len() + STRIDE);
            values.extend((values.len()..until).map(&mut value));
        }
        Ok(Self { values, _room: room })
    }
}

impl std::ops::Deref for Row {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values
    }
}

impl std::ops::DerefMut for Row {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }
}

impl Scalars {
    #[inline]
    pub(super) fn at(&self, step: usize) -> f64 {
        match self {
            Scalars::Same(value) => *value,
            Scalars::Steps(values) => values[step],
        }
    }

    /// The value of each step.
    pub(super) fn row(self, guard: &Guard<'_>, steps: usize) -> Outcome<Row> {
        match self {
            Scalars::Same(value) => Row::of(guard, steps, |_| value),
            Scalars::Steps(values) => Ok(values),
        }
    }

    pub(super) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        match self {
            Scalars::Same(value) => Scalars::Same(f(value)),
            Scalars::Steps(mut values) => {
                values.iter_mut().for_each(|v| *v = f(*v));
                Scalars::Steps(values)
            }
        }
    }

    pub(super) fn zip(
        self,
        other: Self,
        guard: &Guard<'_>,
        steps: usize,
        f: impl Fn(f64, f64) -> f64,
    ) -> Outcome<Self> {
        Ok(match (self, other) {
            (Scalars::Same(a), Scalars::Same(b)) => Scalars::Same(f(a, b)),
            (a, b) => Scalars::Steps(Row::of(guard, steps, |i| f(a.at(i), b.at(i)))?),
        })
    }
}

/// The value of a part of an expression.
#[derive(Debug)]
pub(super) enum Operand {
    Scalar(Scalars),
    Vector(Grid),
    Text(Box<str>),
}

/// The sink of rows that come one at a time.
pub(super) type Sink<'s> = dyn FnMut(Metric, &mut [f64]) -> Outcome<()> + 's;

/// The requested part of a series' newest sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its value.
    Value,
    /// Its time, in seconds.
    Time,
}
