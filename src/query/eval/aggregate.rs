//! query: many series into one: sum, avg, min, max, count, group, stddev, stdvar. Series come one
//! at a time and leave their mark on their group; they are never held together.

use super::super::ast::{Aggregate, AggregateOp, Expr};
use super::super::budget::Held;
use super::super::float::{ABSENT, Kahan, Mean, is_absent};
use super::error::Outcome;
use super::grid::{BESIDE, Choice, Classes, Grid, Metric, ROW};
use super::walk::{Evaluator, Frame};

impl Evaluator<'_> {
    pub(super) fn aggregate(&mut self, e: &Aggregate, frame: Frame) -> Outcome<Grid> {
        match e.op {
            AggregateOp::Sum => self.gather(e, frame, Sums::default()),
            AggregateOp::Avg => self.gather(e, frame, Means::default()),
            AggregateOp::Count => self.gather(e, frame, Plain::new(|_| 1.0, |n, _| n + 1.0)),
            AggregateOp::Group => self.gather(e, frame, Plain::new(|_| 1.0, |one, _| one)),
            AggregateOp::Max => {
                let larger = |a: f64, b: f64| if a < b || a.is_nan() { b } else { a };
                self.gather(e, frame, Plain::new(|v| v, larger))
            }
            AggregateOp::Min => {
                let smaller = |a: f64, b: f64| if a > b || a.is_nan() { b } else { a };
                self.gather(e, frame, Plain::new(|v| v, smaller))
            }
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let root = e.op == AggregateOp::Stddev;
                self.gather(e, frame, Spreads { cells: Vec::new(), root })
            }
            AggregateOp::Quantile => self.quantile(e, frame),
            AggregateOp::CountValues => self.count_values(e, frame),
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => self.ranked(e, frame),
        }
    }

    fn gather(&mut self, e: &Aggregate, frame: Frame, mut state: impl State) -> Outcome<Grid> {
        let choice = choice(e);
        let mut groups = Classes::new(Some(choice));
        let mut made = 0;
        let steps = frame.count;
        let limit = self.guard.left();
        let mut room = self.guard.hold();
        self.stream(&e.expr, frame, &mut |metric, row| {
            let group = groups.class(&metric);
            if group == made {
                made += 1;
                if (made * steps) as u64 > limit {
                    return Err(super::error::EvalError::TooManySamples);
                }
                state.grow(steps, &mut room)?;
                room.take(BESIDE + metric.size())?;
            }
            state.take(group * steps, row);
            Ok(())
        })?;
        self.guard.make(made * steps)?;
        let mut out = self.grid(steps);
        let mut pace = self.guard.pace();
        for metric in &groups.firsts {
            pace.work(ROW)?;
            out.name(group_metric(metric, e.without, &e.grouping))?;
        }
        out.room.take_for::<f64>(made * steps)?;
        out.values = state.values();
        Ok(out.drop_empty())
    }
}

/// Which labels make a group.
pub(super) fn choice(e: &Aggregate) -> Choice<'_> {
    if e.without { Choice::Without(&e.grouping) } else { Choice::By(&e.grouping) }
}

/// A group's labels, out of those of one of its series.
pub(super) fn group_metric(metric: &Metric, without: bool, grouping: &[Box<str>]) -> Metric {
    let choice = if without { Choice::Without(grouping) } else { Choice::By(grouping) };
    metric.keep(|name| choice.keeps(name))
}

/// An aggregation's parameter, with the parentheses around it taken off.
pub(super) fn param(e: &Aggregate) -> Option<&Expr> {
    e.param.as_ref().map(Expr::unwrap_parens)
}

/// The state of groups while their series are added, group after group, step after step.
trait State {
    /// Adds a group, if there is room for it.
    fn grow(&mut self, steps: usize, room: &mut Held) -> Outcome<()>;
    /// A series of the group whose cells begin at `from`.
    fn take(&mut self, from: usize, row: &[f64]);
    /// The results.
    fn values(self) -> Vec<f64>;
}

/// The cells of another group.
fn more<T: Clone>(cells: &mut Vec<T>, steps: usize, new: T, room: &mut Held) -> Outcome<()> {
    room.reserve(cells, steps)?;
    cells.resize(cells.len() + steps, new);
    Ok(())
}

/// A state of one number for each cell: its beginning, and its change by another value.
struct Plain<B, F> {
    cells: Vec<f64>,
    begin: B,
    fold: F,
}

impl<B: Fn(f64) -> f64, F: Fn(f64, f64) -> f64> Plain<B, F> {
    fn new(begin: B, fold: F) -> Self {
        Self { cells: Vec::new(), begin, fold }
    }
}

impl<B: Fn(f64) -> f64, F: Fn(f64, f64) -> f64> State for Plain<B, F> {
    fn grow(&mut self, steps: usize, room: &mut Held) -> Outcome<()> {
        more(&mut self.cells, steps, ABSENT, room)
    }

    fn take(&mut self, from: usize, row: &[f64]) {
        for (cell, value) in self.cells[from..].iter_mut().zip(row) {
            if !is_absent(*value) {
                let new = if is_absent(*cell) {
                    (self.begin)(*value)
                } else {
                    (self.fold)(*cell, *value)
                };
                *cell = new;
            }
        }
    }

    fn values(self) -> Vec<f64> {
        self.cells
    }
}

#[derive(Default)]
struct Sums {
    cells: Vec<Kahan>,
}

impl State for Sums {
    fn grow(&mut self, steps: usize, room: &mut Held) -> Outcome<()> {
        more(&mut self.cells, steps, Kahan { sum: ABSENT, c: 0.0 }, room)
    }

    fn take(&mut self, from: usize, row: &[f64]) {
        for (cell, value) in self.cells[from..].iter_mut().zip(row) {
            if is_absent(*value) {
                continue;
            }
            if is_absent(cell.sum) {
                cell.sum = *value;
            } else {
                cell.add(*value);
            }
        }
    }

    fn values(self) -> Vec<f64> {
        let value = |k: &Kahan| if is_absent(k.sum) { ABSENT } else { k.sum + k.c };
        self.cells.iter().map(value).collect()
    }
}

#[derive(Default)]
struct Means {
    cells: Vec<Option<Mean>>,
}

impl State for Means {
    fn grow(&mut self, steps: usize, room: &mut Held) -> Outcome<()> {
        more(&mut self.cells, steps, None, room)
    }

    fn take(&mut self, from: usize, row: &[f64]) {
        for (cell, value) in self.cells[from..].iter_mut().zip(row) {
            if is_absent(*value) {
                continue;
            }
            match cell {
                Some(mean) => mean.add(*value),
                None => *cell = Some(Mean::of(*value)),
            }
        }
    }

    fn values(self) -> Vec<f64> {
        self.cells.iter().map(|m| m.map_or(ABSENT, |m| m.value())).collect()
    }
}

/// Mean and sum of squares, each value at once (Welford).
#[derive(Clone, Copy)]
struct Spread {
    mean: f64,
    squares: f64,
    count: f64,
}

struct Spreads {
    cells: Vec<Spread>,
    root: bool,
}

impl State for Spreads {
    fn grow(&mut self, steps: usize, room: &mut Held) -> Outcome<()> {
        let none = Spread { mean: 0.0, squares: 0.0, count: 0.0 };
        more(&mut self.cells, steps, none, room)
    }

    fn take(&mut self, from: usize, row: &[f64]) {
        for (cell, value) in self.cells[from..].iter_mut().zip(row) {
            if is_absent(*value) {
                continue;
            }
            cell.count += 1.0;
            if cell.count == 1.0 {
                cell.mean = *value;
                cell.squares = if value.is_finite() { 0.0 } else { f64::NAN };
                continue;
            }
            let delta = value - cell.mean;
            cell.mean += delta / cell.count;
            cell.squares += delta * (value - cell.mean);
        }
    }

    fn values(self) -> Vec<f64> {
        let root = self.root;
        let value = |s: &Spread| {
            let variance = s.squares / s.count;
            match s.count {
                0.0 => ABSENT,
                _ if root => variance.sqrt(),
                _ => variance,
            }
        };
        self.cells.iter().map(value).collect()
    }
}
