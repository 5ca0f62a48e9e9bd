//! query: walks over an expression. Parts that are equal at every step are computed at the first
//! one only; the others are computed for all steps at once.

use std::time::Instant;

use super::super::annotation::{Annotation, Annotations};
use super::super::ast::{At, Call, Expr, VectorSelector};
use super::super::budget::Held;
use super::super::float::{self, ABSENT, is_absent};
use super::super::functions::FunctionId;
use super::super::source::{Columns, Hints, Source};
use super::super::types::ValueType;
use super::answer::{Answer, Matrix, Stats, Value, VectorSample};
use super::error::{EvalError, Outcome};
use super::frame::{Frame, Operand, Options, Row, Scalars, Sink, Wanted, When};
use super::grid::{Grid, Metric, ROW};
use super::guard::{Guard, Limits};
use super::watch::Watched;

/// A query during its evaluation.
pub(super) struct Evaluator<'a> {
    pub(super) source: &'a dyn Source,
    pub(super) options: &'a Options,
    /// Start, end and step of the whole query, for `start()`, `@ end()` and others.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) step: i64,
    pub(super) guard: Guard<'a>,
    pub(super) notes: Annotations,
    pub(super) watch: Option<Watched>,
    /// Room for one series, used again and again.
    pub(super) columns: Columns,
    /// The memory of an answer that holds none itself.
    answer: Option<Held>,
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
        answer: None,
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
    let (annotations, watched) = (evaluator.notes, evaluator.watch);
    Ok(Answer { value, annotations, stats, watched, _room: evaluator.answer })
}

impl<'a> Evaluator<'a> {
    fn whole_instant(&mut self, expr: &Expr, frame: Frame) -> Outcome<Value> {
        let expr = expr.unwrap_parens();
        let at = frame.start;
        if expr.value_type() == ValueType::Matrix {
            return Ok(Value::Matrix(self.matrix(expr, frame)?));
        }
        Ok(match self.eval(expr, frame)? {
            Operand::Scalar(value) => Value::Scalar(at, value.at(0)),
            Operand::Text(text) => Value::String(at, text),
            Operand::Vector(grid) => {
                let mut samples = Vec::new();
                let mut room = grid.room.another();
                let mut pace = self.guard.pace();
                for (metric, row) in grid.rows().filter(|(_, row)| !is_absent(row[0])) {
                    pace.work(ROW)?;
                    room.reserve(&mut samples, 1)?;
                    let labels = metric.labels();
                    room.take(metric.copied())?;
                    samples.push(VectorSample { labels, time: at, value: row[0] });
                }
                self.answer = Some(room);
                Value::Vector(samples)
            }
        })
    }

    fn whole_range(&mut self, expr: &Expr, frame: Frame) -> Outcome<Value> {
        let grid = match expr.value_type() {
            ValueType::Scalar => {
                let row = self.scalar(expr, frame)?.row(&self.guard, frame.count)?;
                let mut grid = self.grid(frame.count);
                grid.push(Metric::empty(), &row)?;
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
        let matrix = Matrix::of_steps(frame, grid, &self.guard)?;
        if let Some(watch) = &mut self.watch {
            watch.sorting = begin.elapsed();
        }
        Ok(Value::Matrix(matrix))
    }

    /// A part of the query, at the moments of the frame.
    pub(super) fn eval(&mut self, expr: &Expr, frame: Frame) -> Outcome<Operand> {
        self.guard.check()?;
        let expr = expr.unwrap_parens();
        if frame.count > 1 && is_invariant(expr) {
            let part = self.once(expr, frame.once())?;
            return self.repeat(part, frame.count);
        }
        self.once(expr, frame)
    }

    fn once(&mut self, expr: &Expr, frame: Frame) -> Outcome<Operand> {
        Ok(match expr {
            Expr::Number(n) => Operand::Scalar(Scalars::Same(n.value)),
            Expr::String(s) => Operand::Text(s.value.clone()),
            Expr::Vector(selector) => {
                Operand::Vector(self.newest(selector, frame, Wanted::Value)?)
            }
            Expr::Unary(e) => match self.eval(&e.expr, frame)? {
                part if !e.negate => part,
                Operand::Scalar(value) => Operand::Scalar(value.map(|v| -v)),
                Operand::Vector(mut grid) => {
                    grid.map(&self.guard, |v| -v)?;
                    Operand::Vector(grid.drop_names(&self.guard)?)
                }
                part => part,
            },
            Expr::Binary(e) => self.binary(e, frame)?,
            Expr::Aggregate(e) => Operand::Vector(self.aggregate(e, frame)?),
            Expr::Call(e) => self.call(e, frame)?,
            Expr::Paren(e) => self.eval(&e.expr, frame)?,
            Expr::Matrix(_) | Expr::Subquery(_) => {
                return Err(EvalError::at(expr.span(), "a range vector cannot stand here"));
            }
        })
    }

    /// Repeats the value of one step `count` times.
    fn repeat(&mut self, part: Operand, count: usize) -> Outcome<Operand> {
        Ok(match part {
            Operand::Scalar(value) => Operand::Scalar(Scalars::Same(value.at(0))),
            Operand::Vector(once) => {
                self.guard.make(once.len().saturating_mul(count))?;
                let mut grid = self.grid(count);
                let mut pace = self.guard.pace();
                for (metric, row) in once.rows() {
                    pace.work(count)?;
                    grid.add(metric.clone())?.fill(row[0]);
                }
                Operand::Vector(grid)
            }
            text => text,
        })
    }

    /// A grid without rows.
    pub(super) fn grid(&self, steps: usize) -> Grid {
        Grid::new(steps, self.guard.hold())
    }

    pub(super) fn vector(&mut self, expr: &Expr, frame: Frame) -> Outcome<Grid> {
        match self.eval(expr, frame)? {
            Operand::Vector(grid) => Ok(grid),
            _ => Err(EvalError::at(expr.span(), "an instant vector is needed here")),
        }
    }

    pub(super) fn scalar(&mut self, expr: &Expr, frame: Frame) -> Outcome<Scalars> {
        match self.eval(expr, frame)? {
            Operand::Scalar(value) => Ok(value),
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
        let mut pace = self.guard.pace();
        for (metric, row) in grid.metrics.iter().zip(grid.values.chunks_exact_mut(steps)) {
            pace.work(steps + ROW)?;
            sink(metric.clone(), row)?;
        }
        Ok(())
    }

    fn call(&mut self, call: &Call, frame: Frame) -> Outcome<Operand> {
        use FunctionId::*;
        let args = &call.args;
        if ranged(call).is_some() {
            if call.function.id == AbsentOverTime {
                return Ok(Operand::Vector(self.absent_over_time(call, frame)?));
            }
            let mut grid = self.grid(frame.count);
            let left = self.guard.left();
            self.over_ranges(call, frame, &mut |metric, row| grid.push_within(left, metric, row))?;
            self.guard.make(grid.values.len())?;
            return Ok(Operand::Vector(grid));
        }
        Ok(match call.function.id {
            Time => Operand::Scalar(Scalars::Steps(Row::of(&self.guard, frame.count, |i| {
                frame.time(i) as f64 / 1000.0
            })?)),
            Pi => Operand::Scalar(Scalars::Same(std::f64::consts::PI)),
            Start => Operand::Scalar(Scalars::Same(self.start as f64 / 1000.0)),
            End => Operand::Scalar(Scalars::Same(self.end as f64 / 1000.0)),
            Range => {
                Operand::Scalar(Scalars::Same(self.end.saturating_sub(self.start) as f64 / 1000.0))
            }
            Step => Operand::Scalar(Scalars::Same(self.step as f64 / 1000.0)),
            MaxOf | MinOf => {
                let a = self.scalar(&args[0], frame)?;
                let b = self.scalar(&args[1], frame)?;
                let pick = if call.function.id == MaxOf { float::max } else { float::min };
                Operand::Scalar(a.zip(b, &self.guard, frame.count, pick)?)
            }
            Scalar => {
                let grid = self.vector(&args[0], frame)?;
                Operand::Scalar(Scalars::Steps(only_values(&grid, &self.guard)?))
            }
            Vector => {
                let row = self.scalar(&args[0], frame)?.row(&self.guard, frame.count)?;
                let mut grid = self.grid(frame.count);
                grid.push(Metric::empty(), &row)?;
                Operand::Vector(grid)
            }
            Absent => {
                let grid = self.vector(&args[0], frame)?;
                let mut room = self.guard.hold();
                room.take_for::<bool>(frame.count)?;
                let mut seen = vec![false; frame.count];
                let mut pace = self.guard.pace();
                for (_, row) in grid.rows() {
                    pace.work(row.len())?;
                    mark(&mut seen, row);
                }
                Operand::Vector(absence(&args[0], &seen, self.grid(frame.count))?)
            }
            Timestamp => match args[0].unwrap_parens() {
                Expr::Vector(selector) => {
                    let grid = self.newest(selector, frame, Wanted::Time)?;
                    Operand::Vector(grid.drop_names(&self.guard)?)
                }
                other => {
                    let mut grid = self.vector(other, frame)?;
                    grid.by_steps(&self.guard, |from, values| {
                        for (i, value) in values.iter_mut().enumerate() {
                            if !is_absent(*value) {
                                *value = frame.time(from + i) as f64 / 1000.0;
                            }
                        }
                    })?;
                    Operand::Vector(grid.drop_names(&self.guard)?)
                }
            },
            Sort | SortDesc | SortByLabel | SortByLabelDesc => {
                let grid = self.vector(&args[0], frame)?;
                if frame.count > 1 {
                    self.notes.add(Annotation::sort_in_range(call.span));
                    return Ok(Operand::Vector(grid));
                }
                Operand::Vector(super::sorting::sort(call, grid, &self.guard)?)
            }
            _ => Operand::Vector(self.instants(call, frame)?),
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

/// The only value at each step; NaN if there is none, or more than one.
fn only_values(grid: &Grid, guard: &Guard<'_>) -> Outcome<Row> {
    let mut out = Row::of(guard, grid.steps, |_| ABSENT)?;
    let mut pace = guard.pace();
    for (_, row) in grid.rows() {
        pace.work(row.len())?;
        for (out, value) in out.iter_mut().zip(row).filter(|(_, v)| !is_absent(**v)) {
            *out = if is_absent(*out) { *value } else { f64::NAN };
        }
    }
    out.iter_mut().filter(|v| is_absent(**v)).for_each(|v| *v = f64::NAN);
    Ok(out)
}

/// Marks the steps at which a row has a value.
pub(super) fn mark(seen: &mut [bool], row: &[f64]) {
    for (seen, value) in seen.iter_mut().zip(row) {
        *seen |= !is_absent(*value);
    }
}

/// The series that says that nothing was there: 1 at the steps that are not marked. It has the
/// labels that the selector asked for by `=`, those asked for once. `grid` has no rows yet.
pub(super) fn absence(expr: &Expr, seen: &[bool], mut grid: Grid) -> Outcome<Grid> {
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
    let row = grid.add(Metric::of(labels))?;
    for (value, seen) in row.iter_mut().zip(seen) {
        if !seen {
            *value = 1.0;
        }
    }
    Ok(grid.drop_empty())
}
