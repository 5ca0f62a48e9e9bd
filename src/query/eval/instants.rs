//! query: functions over the values at a step: rounding, logarithms, angles, clamps, dates; and
//! which files compute the others.

use super::super::annotation::Annotation;
use super::super::ast::Call;
use super::super::float::{self, is_absent};
use super::super::functions::FunctionId;
use super::dates;
use super::error::{EvalError, Outcome};
use super::grid::{Grid, Metric};
use super::guard::Guard;
use super::walk::{Evaluator, Frame, Scalars};

impl Evaluator<'_> {
    /// The functions that take an instant vector and give one.
    pub(super) fn instants(&mut self, call: &Call, frame: Frame) -> Outcome<Grid> {
        use FunctionId::*;
        let id = call.function.id;
        let args = &call.args;
        if let Some(f) = simple(id) {
            let mut grid = self.vector(&args[0], frame)?;
            grid.map(&self.guard, f)?;
            return grid.drop_names(&self.guard);
        }
        match id {
            Round => {
                let mut grid = self.vector(&args[0], frame)?;
                let nearest = match args.get(1) {
                    Some(arg) => self.scalar(arg, frame)?,
                    None => Scalars::Same(1.0),
                };
                // Dividing by the inverse loses less than multiplying.
                let inverse = nearest.map(|v| 1.0 / v);
                by_step(&mut grid, &self.guard, |i, v| {
                    (v * inverse.at(i) + 0.5).floor() / inverse.at(i)
                })?;
                grid.drop_names(&self.guard)
            }
            Clamp => {
                let grid = self.vector(&args[0], frame)?;
                let (low, high) = (self.scalar(&args[1], frame)?, self.scalar(&args[2], frame)?);
                clamp(grid, &self.guard, &low, &high)
            }
            ClampMin => {
                let grid = self.vector(&args[0], frame)?;
                let low = self.scalar(&args[1], frame)?;
                clamp(grid, &self.guard, &low, &Scalars::Same(f64::INFINITY))
            }
            ClampMax => {
                let grid = self.vector(&args[0], frame)?;
                let high = self.scalar(&args[1], frame)?;
                clamp(grid, &self.guard, &Scalars::Same(f64::NEG_INFINITY), &high)
            }
            Year | Month | DayOfMonth | DaysInMonth | DayOfWeek | DayOfYear | Hour | Minute => {
                let part = |second| dates::part(id, second).unwrap_or(f64::NAN);
                let Some(arg) = args.first() else {
                    let mut grid = self.grid(frame.count);
                    grid.add(Metric::empty())?;
                    grid.by_steps(&self.guard, |from, values| {
                        for (i, value) in values.iter_mut().enumerate() {
                            *value = part(frame.time(from + i) / 1000);
                        }
                    })?;
                    return Ok(grid);
                };
                let mut grid = self.vector(arg, frame)?;
                grid.map(&self.guard, |v| part(float::whole(v)))?;
                grid.drop_names(&self.guard)
            }
            HistogramQuantile | HistogramQuantiles | HistogramFraction => {
                self.histogram(call, frame)
            }
            Info => self.info(call, frame),
            LabelReplace => self.label_replace(call, frame),
            LabelJoin => self.label_join(call, frame),
            // plimsoll knows no start of a sample: as Prometheus without that feature.
            StartTimestamp => {
                self.vector(&args[0], frame)?;
                Ok(self.grid(frame.count))
            }
            // They pass over plain numbers, as in Prometheus: nothing comes of them here, and
            // what stands beside them in the question is answered.
            HistogramAvg | HistogramCount | HistogramStddev | HistogramStdvar | HistogramSum => {
                if self.vector(&args[0], frame)?.len() > 0 {
                    self.notes.add(Annotation::native_only(call.function.name, call.span));
                }
                Ok(self.grid(frame.count))
            }
            _ => {
                let name = call.function.name;
                Err(EvalError::at(call.span, format!("{name}() is not supported by plimsoll")))
            }
        }
    }
}

/// Replaces each value by a function of itself and its step; absent values stay absent.
fn by_step(grid: &mut Grid, guard: &Guard<'_>, f: impl Fn(usize, f64) -> f64) -> Outcome<()> {
    grid.by_steps(guard, |from, values| {
        for (i, value) in values.iter_mut().enumerate() {
            if !is_absent(*value) {
                *value = f(from + i, *value);
            }
        }
    })
}

/// No value is left at a step whose limits cross.
fn clamp(mut grid: Grid, guard: &Guard<'_>, low: &Scalars, high: &Scalars) -> Outcome<Grid> {
    by_step(&mut grid, guard, |i, v| {
        let (low, high) = (low.at(i), high.at(i));
        if high < low { float::ABSENT } else { float::max(low, float::min(high, v)) }
    })?;
    grid.drop_names(guard)
}

/// The functions of one value.
fn simple(id: FunctionId) -> Option<fn(f64) -> f64> {
    use FunctionId::*;
    Some(match id {
        Abs => f64::abs,
        Ceil => f64::ceil,
        Floor => f64::floor,
        Exp => f64::exp,
        Sqrt => f64::sqrt,
        Ln => f64::ln,
        Log2 => f64::log2,
        Log10 => f64::log10,
        Sin => f64::sin,
        Cos => f64::cos,
        Tan => f64::tan,
        Asin => f64::asin,
        Acos => f64::acos,
        Atan => f64::atan,
        Sinh => f64::sinh,
        Cosh => f64::cosh,
        Tanh => f64::tanh,
        Asinh => f64::asinh,
        Acosh => f64::acosh,
        Atanh => f64::atanh,
        Rad => |v| v * std::f64::consts::PI / 180.0,
        Deg => |v| v * 180.0 / std::f64::consts::PI,
        Sgn => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        _ => return None,
    })
}
