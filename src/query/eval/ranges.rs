//! query: functions over windows: which window function a name means, with which arguments.

use super::super::annotation::Annotation;
use super::super::ast::{Call, Edges, Expr};
use super::super::float::{ABSENT, is_absent};
use super::super::functions::FunctionId;
use super::super::source::Part;
use super::super::window::{self, Ends, Mixed, Samples, Slope};
use super::error::{EvalError, Outcome};
use super::frame::{Frame, Row, Scalars, Sink};
use super::grid::{BESIDE, Classes, Grid, Metric, ROW};
use super::guard::Guard;
use super::select::Context;
use super::stretch;
use super::walk::{Evaluator, absence, mark, ranged};

/// The approximate number of samples between two looks at the clock.
const BLOCK: usize = 1 << 18;

/// A function over windows with its other arguments.
pub(super) struct Over<'c> {
    pub(super) call: &'c Call,
    frame: Frame,
    pub(super) args: Vec<Scalars>,
}

impl Evaluator<'_> {
    /// A function over windows, one series at a time; those without a result are left out.
    pub(super) fn over_ranges(
        &mut self,
        call: &Call,
        frame: Frame,
        sink: &mut Sink<'_>,
    ) -> Outcome<()> {
        use FunctionId::*;
        let id = call.function.id;
        let Some(at) = ranged(call) else { return Ok(()) };
        let mut args = Vec::new();
        for (_, arg) in call.args.iter().enumerate().filter(|(i, _)| *i != at) {
            args.push(self.scalar(arg, frame)?);
        }
        let range = call.args[at].unwrap_parens();
        check_edges(call, range)?;
        let lookback = self.options.lookback;
        let over = Over { call, frame, args };
        let keeps_name = matches!(id, LastOverTime | FirstOverTime);
        let counter = matches!(id, Rate | Increase);
        let mut row = Row::of(&self.guard, frame.count, |_| ABSENT)?;
        let mut room = self.guard.hold();
        // Without their names, series of different names may be the same.
        let mut name: Option<String> = None;
        let mut told: Option<String> = None;
        let mut outputs: Vec<Metric> = Vec::new();
        let mut mixed = false;
        let edges = edges_of(range);
        self.each_range(range, frame, call.function.name, &mut |r, metric, samples| {
            row.fill(ABSENT);
            match (r.old, edges) {
                // Between buckets there is no telling what lies at an edge.
                (Some(old), _) => over.with_buckets(old, r, samples, &mut row)?,
                (None, Edges::Plain) => over.run(r, 0, samples, r.ends, &mut row)?,
                (None, edges) => {
                    window::extended(edges, id, samples, r.ends, lookback, &mut row);
                }
            }
            if row.iter().all(|v| is_absent(*v)) {
                return Ok(());
            }
            if counter {
                let name = metric.get(super::super::matcher::NAME);
                if told.as_deref() != Some(name) {
                    told = Some(name.to_owned());
                    let ending = ["_total", "_sum", "_count", "_bucket"];
                    if !name.is_empty() && !ending.iter().any(|e| name.ends_with(e)) {
                        r.notes.add(Annotation::possible_non_counter(name, range.span()));
                    }
                }
            }
            let mut metric = metric.clone();
            if !keeps_name {
                let this = metric.get(super::super::matcher::NAME);
                mixed |= name.as_deref().is_some_and(|n| n != this);
                if name.is_none() {
                    name = Some(this.to_owned());
                }
                metric.drop_name();
                room.reserve(&mut outputs, 1)?;
                outputs.push(metric.clone());
            }
            sink(metric, &mut row)
        })?;
        if mixed {
            let mut classes = Classes::new(None);
            let mut pace = self.guard.pace();
            room.take(BESIDE * outputs.len())?;
            for (i, metric) in outputs.iter().enumerate() {
                pace.work(ROW)?;
                if classes.class(metric) != i {
                    return Err(EvalError::same_labelset());
                }
            }
        }
        Ok(())
    }

    /// `absent_over_time`: 1 where no series has a sample.
    pub(super) fn absent_over_time(&mut self, call: &Call, frame: Frame) -> Outcome<Grid> {
        let mut room = self.guard.hold();
        room.take_for::<bool>(frame.count)?;
        let mut seen = vec![false; frame.count];
        let mut row = Row::of(&self.guard, frame.count, |_| ABSENT)?;
        check_edges(call, call.args[0].unwrap_parens())?;
        self.each_range(&call.args[0], frame, call.function.name, &mut |reader, _, samples| {
            row.fill(ABSENT);
            let mut new = 0;
            if let Some(old) = reader.old {
                let mut mixed = Mixed::default();
                mixed.fill(old.rollups, &[Part::Last], samples, i64::MAX);
                for stretch in old.stretches(reader.ends) {
                    let out = &mut row[stretch.steps.clone()];
                    window::present(mixed.part(Part::Last), stretch.ends, out);
                }
                new = old.steps(reader.ends);
            }
            let ends = stretch::part(reader.ends, new..reader.ends.count);
            window::present(samples, ends, &mut row[new..]);
            mark(&mut seen, &row);
            Ok(())
        })?;
        absence(&call.args[0], &seen, self.grid(frame.count))
    }
}

fn edges_of(range: &Expr) -> Edges {
    match range {
        Expr::Matrix(matrix) => matrix.selector.edges,
        _ => Edges::Plain,
    }
}

/// `anchored` and `smoothed` change what a window holds; few functions can live with that.
fn check_edges(call: &Call, range: &Expr) -> Outcome<()> {
    use FunctionId::*;
    let id = call.function.id;
    let (word, able, names) = match edges_of(range) {
        Edges::Plain => return Ok(()),
        Edges::Anchored => (
            "anchored",
            matches!(id, Changes | Delta | Increase | Rate | Resets),
            "changes, delta, increase, rate, resets",
        ),
        Edges::Smoothed => {
            ("smoothed", matches!(id, Delta | Increase | Rate), "delta, increase, rate")
        }
    };
    if able {
        return Ok(());
    }
    let name = call.function.name;
    Err(EvalError::at(
        range.span(),
        format!("{word} modifier can only be used with: {names} - not with {name}"),
    ))
}

impl Over<'_> {
    /// The function over these windows of samples, of which the first is that of step `at`.
    pub(super) fn run(
        &self,
        reader: &mut Context<'_>,
        at: usize,
        samples: Samples<'_>,
        ends: Ends,
        row: &mut [f64],
    ) -> Outcome<()> {
        use FunctionId::*;
        match self.call.function.id {
            // These look at a sample once, or at no value at all.
            Rate => window::extrapolated(Slope::Rate, samples, ends, row),
            Increase => window::extrapolated(Slope::Increase, samples, ends, row),
            Delta => window::extrapolated(Slope::Delta, samples, ends, row),
            Irate => window::instant(true, samples, ends, row),
            Idelta => window::instant(false, samples, ends, row),
            CountOverTime => window::count(samples, ends, row),
            PresentOverTime => window::present(samples, ends, row),
            FirstOverTime => window::first(samples, ends, row),
            LastOverTime => window::last(samples, ends, row),
            TsOfFirstOverTime => window::first_time(samples, ends, row),
            TsOfLastOverTime => window::last_time(samples, ends, row),
            Resets => window::neighbours(samples, ends, row, window::is_reset),
            Changes => window::neighbours(samples, ends, row, window::is_change),
            MaxOverTime => window::extreme(true, samples, ends, row),
            MinOverTime => window::extreme(false, samples, ends, row),
            TsOfMaxOverTime => window::extreme_time(true, samples, ends, row),
            TsOfMinOverTime => window::extreme_time(false, samples, ends, row),
            DoubleExponentialSmoothing => {
                self.check_factors(at, samples, ends)?;
                self.blocks(reader, at, samples, ends, row, |from, s, e, out| {
                    let factors = |i| (self.args[0].at(from + i), self.args[1].at(from + i));
                    window::smoothed(factors, s, e, out);
                })?;
            }
            QuantileOverTime => {
                self.blocks(reader, at, samples, ends, row, |from, s, e, out| {
                    window::quantiles(|i| self.args[0].at(from + i), s, e, out);
                })?;
                self.check_quantiles(reader, at, row);
            }
            PredictLinear => self.blocks(reader, at, samples, ends, row, |from, s, e, out| {
                let now = |i: usize| self.frame.time(from + i);
                window::predict(now, |i| self.args[0].at(from + i), s, e, out);
            })?,
            SumOverTime => {
                self.blocks(reader, at, samples, ends, row, |_, s, e, o| window::sum(s, e, o))?
            }
            AvgOverTime => {
                self.blocks(reader, at, samples, ends, row, |_, s, e, o| window::mean(s, e, o))?
            }
            StddevOverTime => {
                self.blocks(reader, at, samples, ends, row, |_, s, e, o| {
                    window::variance(true, s, e, o)
                })?;
            }
            StdvarOverTime => {
                self.blocks(reader, at, samples, ends, row, |_, s, e, o| {
                    window::variance(false, s, e, o)
                })?;
            }
            MadOverTime => {
                self.blocks(reader, at, samples, ends, row, |_, s, e, o| window::mad(s, e, o))?
            }
            Deriv => {
                self.blocks(reader, at, samples, ends, row, |_, s, e, o| window::deriv(s, e, o))?
            }
            _ => {
                let name = self.call.function.name;
                return Err(EvalError::at(
                    self.call.span,
                    format!("{name}() is not a function over ranges that plimsoll knows"),
                ));
            }
        }
        Ok(())
    }

    /// Remarks on quantiles outside of 0 to 1, of the steps from `at` on.
    pub(super) fn check_quantiles(&self, reader: &mut Context<'_>, at: usize, row: &[f64]) {
        let mut told = None;
        for (i, _) in row.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
            let q = self.args[0].at(at + i);
            if !(0.0..=1.0).contains(&q) && told.replace(q.to_bits()) != Some(q.to_bits()) {
                let span = self.call.args[0].unwrap_parens().span();
                reader.notes.add(Annotation::invalid_quantile(q, span));
            }
        }
    }

    /// Runs a function that looks at every sample of every window, in blocks of steps, with a look
    /// at the clock between them. Its further argument is the first step of the block.
    fn blocks(
        &self,
        reader: &Context<'_>,
        at: usize,
        samples: Samples<'_>,
        ends: Ends,
        row: &mut [f64],
        run: impl Fn(usize, Samples<'_>, Ends, &mut [f64]),
    ) -> Outcome<()> {
        let guard: &Guard<'_> = reader.guard;
        let all = samples.times.len().max(1);
        let span = match samples.times {
            [first, .., last] => (last - first).max(1) as f64,
            _ => 1.0,
        };
        let window = (all as f64 * (ends.range as f64 / span)).min(all as f64).max(1.0);
        let steps = (BLOCK / window as usize).max(1);
        let mut from = 0;
        let mut rest = samples;
        for out in row.chunks_mut(steps) {
            let first = ends.first.saturating_add(ends.step.saturating_mul(from as i64));
            let lo = window::forward(rest.times, 0, first.saturating_sub(ends.range));
            rest = Samples { times: &rest.times[lo..], values: &rest.values[lo..] };
            run(at + from, rest, Ends { first, count: out.len(), ..ends }, out);
            from += out.len();
            guard.check()?;
        }
        Ok(())
    }

    fn check_factors(&self, at: usize, samples: Samples<'_>, ends: Ends) -> Outcome<()> {
        let inside = |v: f64| !(v <= 0.0 || v >= 1.0);
        let mut wrong = None;
        window::each(samples.times, ends, |w| {
            let names = [("smoothing factor", "sf"), ("trend factor", "tf")];
            for ((what, short), arg) in names.iter().zip(&self.args) {
                let value = arg.at(at + w.step);
                if wrong.is_none() && !inside(value) {
                    wrong =
                        Some(format!("invalid {what}. Expected: 0 < {short} < 1, got: {value:.6}"));
                }
            }
        });
        match wrong {
            Some(message) => Err(EvalError::at(self.call.span, message)),
            None => Ok(()),
        }
    }
}
