//! query: walks over an expression. What is the same at every step is computed at the first one
//! only; the rest is computed for all steps at once.

use std::borrow::Cow;
use std::time::Instant;

use super::super::annotation::{Annotation, Annotations};
use super::super::ast::{At, Call, Expr, ValueType, VectorSelector};
use super::super::float::{self, ABSENT, is_absent};
use super::super::functions::FunctionId;
use super::super::source::{Columns, Hints, Resolution, Source};
use super::answer::{Answer, Matrix, Stats, Value, VectorSample};
use super::error::{EvalError, Outcome};
use super::grid::{Grid, Metric};
use super::guard::{Guard, Limits};
use super::select::Wanted;
use super::watch::Watched;

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
        /// From one moment to the next; positive.
        step: i64,
    },
}

/// What a server settles for all queries.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How old the newest sample of a series may be, ms; positive. Prometheus: 5 minutes.
    pub lookback: i64,
    /// The step of a subquery that names none, ms; positive. Prometheus: 1 minute.
    pub subquery_step: i64,
    /// Nothing finer than this, even where it is held.
    pub finest: Resolution,
    /// Whether to write down what is looked at, by selector and step.
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
#[derive(Debug, Clone)]
pub(super) enum Scalars {
    Same(f64),
    Steps(Vec<f64>),
}

impl Scalars {
    #[inline]
    pub(super) fn at(&self, step: usize) -> f64 {
        match self {
            Scalars::Same(value) => *value,
            Scalars::Steps(values) => values[step],
        }
    }

    pub(super) fn row(&self, steps: usize) -> Cow<'_, [f64]> {
        match self {
            Scalars::Same(value) => vec![*value; steps].into(),
            Scalars::Steps(values) => values.into(),
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

    pub(super) fn zip(self, other: Self, steps: usize, f: impl Fn(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Scalars::Same(a), Scalars::Same(b)) => Scalars::Same(f(a, b)),
            (a, b) => Scalars::Steps((0..steps).map(|i| f(a.at(i), b.at(i))).collect()),
        }
    }
}

/// What a part of an expression comes to.
#[derive(Debug)]
pub(super) enum Part {
    Scalar(Scalars),
    Vector(Grid),
    Text(Box<str>),
}

/// The sink of rows that come one at a time.
pub(super) type Sink<'s> = dyn FnMut(Metric, &mut [f64]) -> Outcome<()> + 's;

/// One query on its way.
pub(super) struct Evaluator<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) options: &'a Options,
    /// The whole query's start, end and step, for `start()`, `@ end()` and the like.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) step: i64,
    pub(super) guard: Guard<'a>,
    pub(super) notes: Annotations,
    pub(super) watch: Option<Watched>,
    /// Room for one series, used again and again.
    pub(super) columns: Columns,
}

/// Evaluates an expression that the parser has checked. Errors are [`EvalError`]s.
pub fn evaluate(
    source: &dyn Source,
    expr: &Expr,
    when: When,
    options: &Options,
    limits: Limits<'_>,
) -> Result<Answer, EvalError> {
    let (start, end, step) = match when {
        When::Instant(at) => (at, at, 0),
        When::Range { start, end, step } => (start, end, step),
    };
    let range = matches!(when, When::Range { .. });
    let count = match (range, step > 0 && end >= start) {
        (false, _) => 1,
        (true, true) => {
            usize::try_from(end.saturating_sub(start) / step).unwrap_or(usize::MAX - 1) + 1
        }
        (true, false) => {
            return Err(EvalError::execution(
                "a range query needs a positive step and an end that is not before its start",
            ));
        }
    };
    let mut evaluator = Evaluator {
        source,
        options,
        start,
        end,
        step: if start == end { 0 } else { step },
        guard: Guard::new(limits),
        notes: Annotations::default(),
        watch: None,
        columns: Columns::default(),
    };
    evaluator.guard.make(count)?;
    let frame = Frame { start, step, count };
    evaluator.watch = options.watch.then(|| Watched::new(frame));
    let value = if range {
        evaluator.whole_range(expr, frame)?
    } else {
        evaluator.whole_instant(expr, frame)?
    };
    let Guard { series, samples, buckets, cells, served, .. } = evaluator.guard;
    let stats = Stats { series, samples, buckets, served, cells };
    Ok(Answer { value, annotations: evaluator.notes, stats, watched: evaluator.watch })
}

impl<'a> Evaluator<'a> {
    fn whole_instant(&mut self, expr: &Expr, frame: Frame) -> Outcome<Value> {
        let expr = expr.unwrap_parens();
        let at = frame.start;
        if expr.value_type() == ValueType::Matrix {
            return Ok(Value::Matrix(self.matrix(expr, frame)?));
        }
        Ok(match self.eval(expr, frame)? {
            Part::Scalar(value) => Value::Scalar(at, value.at(0)),
            Part::Text(text) => Value::String(at, text),
            Part::Vector(grid) => {
                let present = grid.rows().filter(|(_, row)| !is_absent(row[0]));
                let sample = |(metric, row): (&Metric, &[f64])| VectorSample {
                    labels: metric.labels(),
                    time: at,
                    value: row[0],
                };
                Value::Vector(present.map(sample).collect())
            }
        })
    }

    fn whole_range(&mut self, expr: &Expr, frame: Frame) -> Outcome<Value> {
        let grid = match expr.value_type() {
            ValueType::Scalar => {
                let row = self.scalar(expr, frame)?;
                let mut grid = Grid::new(frame.count);
                grid.push(Metric::empty(), &row.row(frame.count));
                grid
            }
            ValueType::Vector => self.vector(expr, frame)?.drop_empty(),
            other => {
                return Err(EvalError::question(
                    expr.span(),
                    format!(
                        "invalid expression type \"{}\" for range query, must be Scalar or \
                         instant Vector",
                        other.documented()
                    ),
                ));
            }
        };
        let begin = Instant::now();
        let matrix = Matrix::of_steps(frame, grid);
        if let Some(watch) = &mut self.watch {
            watch.sorting = begin.elapsed();
        }
        Ok(Value::Matrix(matrix))
    }

    /// A part of the query, at the moments of the frame.
    pub(super) fn eval(&mut self, expr: &Expr, frame: Frame) -> Outcome<Part> {
        self.guard.check()?;
        let expr = expr.unwrap_parens();
        if frame.count > 1 && is_invariant(expr) {
            let part = self.once(expr, frame.once())?;
            return self.repeat(part, frame.count);
        }
        self.once(expr, frame)
    }

    fn once(&mut self, expr: &Expr, frame: Frame) -> Outcome<Part> {
        Ok(match expr {
            Expr::Number(n) => Part::Scalar(Scalars::Same(n.value)),
            Expr::String(s) => Part::Text(s.value.clone()),
            Expr::Vector(selector) => Part::Vector(self.newest(selector, frame, Wanted::Value)?),
            Expr::Unary(e) => match self.eval(&e.expr, frame)? {
                part if !e.negate => part,
                Part::Scalar(value) => Part::Scalar(value.map(|v| -v)),
                Part::Vector(mut grid) => {
                    grid.map(|v| -v);
                    Part::Vector(grid.drop_names()?)
                }
                part => part,
            },
            Expr::Binary(e) => self.binary(e, frame)?,
            Expr::Aggregate(e) => Part::Vector(self.aggregate(e, frame)?),
            Expr::Call(e) => self.call(e, frame)?,
            Expr::Paren(e) => self.eval(&e.expr, frame)?,
            Expr::Matrix(_) | Expr::Subquery(_) => {
                return Err(EvalError::at(expr.span(), "a range vector cannot stand here"));
            }
        })
    }

    /// What was computed at one step, at so many.
    fn repeat(&mut self, part: Part, count: usize) -> Outcome<Part> {
        Ok(match part {
            Part::Scalar(value) => Part::Scalar(Scalars::Same(value.at(0))),
            Part::Vector(once) => {
                self.guard.make(once.len().saturating_mul(count))?;
                let mut grid = Grid::new(count);
                for (metric, row) in once.rows() {
                    grid.add(metric.clone()).fill(row[0]);
                }
                Part::Vector(grid)
            }
            text => text,
        })
    }

    pub(super) fn vector(&mut self, expr: &Expr, frame: Frame) -> Outcome<Grid> {
        match self.eval(expr, frame)? {
            Part::Vector(grid) => Ok(grid),
            _ => Err(EvalError::at(expr.span(), "an instant vector is needed here")),
        }
    }

    pub(super) fn scalar(&mut self, expr: &Expr, frame: Frame) -> Outcome<Scalars> {
        match self.eval(expr, frame)? {
            Part::Scalar(value) => Ok(value),
            _ => Err(EvalError::at(expr.span(), "a scalar is needed here")),
        }
    }

    /// A vector's rows one at a time: where they come straight from the store, they are never held
    /// together.
    pub(super) fn stream(&mut self, expr: &Expr, frame: Frame, sink: &mut Sink<'_>) -> Outcome<()> {
        let expr = expr.unwrap_parens();
        let invariant = frame.count > 1 && is_invariant(expr);
        match expr {
            Expr::Call(call) if !invariant && ranged(call).is_some() => {
                return self.over_ranges(call, frame, sink);
            }
            Expr::Vector(selector) if !invariant => {
                return self.each_newest(selector, frame, Wanted::Value, sink);
            }
            _ => {}
        }
        let mut grid = self.vector(expr, frame)?;
        let steps = grid.steps;
        for (metric, row) in grid.metrics.iter().zip(grid.values.chunks_exact_mut(steps)) {
            sink(metric.clone(), row)?;
        }
        Ok(())
    }

    fn call(&mut self, call: &Call, frame: Frame) -> Outcome<Part> {
        use FunctionId::*;
        let args = &call.args;
        if ranged(call).is_some() {
            if call.function.id == AbsentOverTime {
                return Ok(Part::Vector(self.absent_over_time(call, frame)?));
            }
            let mut grid = Grid::new(frame.count);
            self.over_ranges(call, frame, &mut |metric, row| {
                grid.push(metric, row);
                Ok(())
            })?;
            self.guard.make(grid.values.len())?;
            return Ok(Part::Vector(grid));
        }
        Ok(match call.function.id {
            Time => Part::Scalar(Scalars::Steps(
                (0..frame.count).map(|i| frame.time(i) as f64 / 1000.0).collect(),
            )),
            Pi => Part::Scalar(Scalars::Same(std::f64::consts::PI)),
            Start => Part::Scalar(Scalars::Same(self.start as f64 / 1000.0)),
            End => Part::Scalar(Scalars::Same(self.end as f64 / 1000.0)),
            Range => {
                Part::Scalar(Scalars::Same(self.end.saturating_sub(self.start) as f64 / 1000.0))
            }
            Step => Part::Scalar(Scalars::Same(self.step as f64 / 1000.0)),
            MaxOf | MinOf => {
                let a = self.scalar(&args[0], frame)?;
                let b = self.scalar(&args[1], frame)?;
                let pick = if call.function.id == MaxOf { float::max } else { float::min };
                Part::Scalar(a.zip(b, frame.count, pick))
            }
            Scalar => {
                let grid = self.vector(&args[0], frame)?;
                Part::Scalar(Scalars::Steps(only_values(&grid)))
            }
            Vector => {
                let value = self.scalar(&args[0], frame)?;
                let mut grid = Grid::new(frame.count);
                grid.push(Metric::empty(), &value.row(frame.count));
                Part::Vector(grid)
            }
            Absent => {
                let grid = self.vector(&args[0], frame)?;
                let mut seen = vec![false; frame.count];
                for (_, row) in grid.rows() {
                    mark(&mut seen, row);
                }
                Part::Vector(absence(&args[0], &seen))
            }
            Timestamp => match args[0].unwrap_parens() {
                Expr::Vector(selector) => {
                    Part::Vector(self.newest(selector, frame, Wanted::Time)?.drop_names()?)
                }
                other => {
                    let mut grid = self.vector(other, frame)?;
                    let steps = grid.steps;
                    for row in grid.values.chunks_exact_mut(steps) {
                        for (i, value) in row.iter_mut().enumerate() {
                            if !is_absent(*value) {
                                *value = frame.time(i) as f64 / 1000.0;
                            }
                        }
                    }
                    Part::Vector(grid.drop_names()?)
                }
            },
            Sort | SortDesc | SortByLabel | SortByLabelDesc => {
                let grid = self.vector(&args[0], frame)?;
                if frame.count > 1 {
                    self.notes.add(Annotation::sort_in_range(call.span));
                    return Ok(Part::Vector(grid));
                }
                Part::Vector(super::sorting::sort(call, grid))
            }
            _ => Part::Vector(self.instants(call, frame)?),
        })
    }

    /// The hints for a selector in this frame.
    pub(super) fn hints(&self, frame: Frame, range: i64, function: &'static str) -> Hints {
        let step = if frame.count > 1 { frame.step } else { 0 };
        Hints { step, range, function, finest: self.options.finest }
    }

    /// The moment of `@`.
    pub(super) fn moment(&self, at: Option<At>) -> Option<i64> {
        at.map(|at| match at {
            At::Time(ms) => ms,
            At::Start => self.start,
            At::End => self.end,
        })
    }
}

/// The argument of a function over windows, and where it stands.
pub(super) fn ranged(call: &Call) -> Option<usize> {
    call.args.iter().position(|a| a.value_type() == ValueType::Matrix)
}

/// Whether the expression comes to the same at all steps.
pub(super) fn is_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(e) => e.at.is_some(),
        Expr::Matrix(e) => e.selector.at.is_some(),
        Expr::Subquery(e) => e.at.is_some(),
        Expr::Unary(e) => is_invariant(&e.expr),
        Expr::Paren(e) => is_invariant(&e.expr),
        Expr::Binary(e) => is_invariant(&e.lhs) && is_invariant(&e.rhs),
        // Prometheus does not ask about the parameter either.
        Expr::Aggregate(e) => is_invariant(&e.expr),
        Expr::Call(e) => {
            use FunctionId::*;
            let safe = match e.function.id {
                // The moment of the evaluation is part of the result.
                DaysInMonth | DayOfMonth | DayOfWeek | DayOfYear | Hour | Minute | Month | Year
                | PredictLinear | Time => false,
                Timestamp => matches!(e.args[0].unwrap_parens(), Expr::Vector(_)),
                _ => true,
            };
            safe && e.args.iter().all(is_invariant)
        }
    }
}

/// The one value at each step; NaN where there is none, or more than one.
fn only_values(grid: &Grid) -> Vec<f64> {
    let mut out = vec![ABSENT; grid.steps];
    for (_, row) in grid.rows() {
        for (out, value) in out.iter_mut().zip(row).filter(|(_, v)| !is_absent(**v)) {
            *out = if is_absent(*out) { *value } else { f64::NAN };
        }
    }
    out.iter_mut().filter(|v| is_absent(**v)).for_each(|v| *v = f64::NAN);
    out
}

/// Marks the steps at which a row has a value.
pub(super) fn mark(seen: &mut [bool], row: &[f64]) {
    for (seen, value) in seen.iter_mut().zip(row) {
        *seen |= !is_absent(*value);
    }
}

/// The series that says that nothing was there: 1 at the steps that are not marked. It has the
/// labels that the selector asked for by `=`, those asked for once.
pub(super) fn absence(expr: &Expr, seen: &[bool]) -> Grid {
    let selector: Option<&VectorSelector> = match expr.unwrap_parens() {
        Expr::Vector(selector) => Some(selector),
        Expr::Matrix(matrix) => Some(&matrix.selector),
        _ => None,
    };
    let mut labels: Vec<(&str, &str)> = Vec::new();
    let mut known: Vec<&str> = Vec::new();
    for matcher in selector.iter().flat_map(|s| &s.matchers) {
        use super::super::matcher::{MatchOp, NAME};
        if matcher.name() == NAME {
            continue;
        }
        if matcher.op() == MatchOp::Equal && !known.contains(&matcher.name()) {
            labels.push((matcher.name(), matcher.value()));
            known.push(matcher.name());
        } else {
            labels.retain(|(name, _)| *name != matcher.name());
        }
    }
    let mut grid = Grid::new(seen.len());
    let row = grid.add(Metric::of(labels));
    for (value, seen) in row.iter_mut().zip(seen) {
        if !seen {
            *value = 1.0;
        }
    }
    grid.drop_empty()
}
