//! query: selectors and subqueries as series, one at a time: each selector is one question to the
//! store, and one series' samples are held at once.

use std::sync::Arc;
use std::time::Instant;

use super::super::ast::{Edges, Expr, MatrixSelector, Subquery, VectorSelector};
use super::super::budget::Held;
use super::super::float::is_absent;
use super::super::plan;
use super::super::source::{Columns, Hints, Part, Resolution, Rollups, Selection};
use super::super::window::{self, Ends, Mixed, Samples, forward, onward};
use super::answer::Matrix;
use super::error::{EvalError, Outcome};
use super::frame::{Frame, Row, Sink, Wanted};
use super::grid::{BESIDE, Grid, Metric};
use super::stretch::{Old, Stretch, part};
use super::walk::Evaluator;
use crate::model::Labels;

/// Sees a series with its samples (no staleness markers among them) and where its windows end.
pub(super) type SeriesSink<'s> =
    dyn FnMut(&mut Context<'_>, &Metric, Samples<'_>) -> Outcome<()> + 's;

/// The parts of the evaluator that stay usable while its sample buffers are borrowed.
pub(super) struct Context<'r> {
    /// The ends of the windows.
    pub(super) ends: Ends,
    /// For remarks.
    pub(super) notes: &'r mut super::super::annotation::Annotations,
    /// For long work within one series.
    pub(super) guard: &'r super::guard::Guard<'r>,
    /// The steps that reach back to buckets, if any.
    pub(super) old: Option<Old<'r>>,
}

impl Evaluator<'_> {
    /// The newest sample of each series at each step.
    pub(super) fn newest(
        &mut self,
        selector: &VectorSelector,
        frame: Frame,
        wanted: Wanted,
    ) -> Outcome<Grid> {
        let mut grid = self.grid(frame.count);
        let left = self.guard.left();
        self.each_newest(selector, frame, wanted, &mut |metric, row| {
            grid.push_within(left, metric, row)
        })?;
        self.guard.make(grid.values.len())?;
        Ok(grid)
    }

    /// Calls `each` with the newest samples of one series at a time; series without a sample are
    /// left out.
    pub(super) fn each_newest(
        &mut self,
        selector: &VectorSelector,
        frame: Frame,
        wanted: Wanted,
        sink: &mut Sink<'_>,
    ) -> Outcome<()> {
        if selector.edges == Edges::Smoothed && wanted == Wanted::Value {
            return self.each_smoothed(selector, frame, sink);
        }
        let offset = match (wanted, selector.at) {
            // With `@`, Prometheus' timestamp() looks at that moment whatever the offset.
            (Wanted::Time, Some(_)) => 0,
            _ => self.offset(&selector.offset)?,
        };
        self.each_newest_at(selector, offset, frame, wanted, sink)
    }

    /// The value at each step on the line between the samples around it. (`anchored` changes
    /// nothing about a selector without a range, as in Prometheus.)
    fn each_smoothed(
        &mut self,
        selector: &VectorSelector,
        frame: Frame,
        sink: &mut Sink<'_>,
    ) -> Outcome<()> {
        let (offset, lookback) = (self.offset(&selector.offset)?, self.options.lookback);
        let ends = self.ends(selector, offset, frame, lookback);
        // All samples around the steps are wanted, and no staleness marker among them: a range.
        let hints = self.hints(frame, lookback.saturating_mul(2), "");
        let mut row = vec![super::super::float::ABSENT; frame.count];
        let mut mixed = Mixed::default();
        self.each_series(selector, frame, ends, (0, lookback), hints, &mut |r, metric, samples| {
            row.fill(super::super::float::ABSENT);
            let mut new = 0;
            if let Some(old) = r.old {
                new = old.steps(ends);
                mixed.fill(old.rollups, &[Part::Last], samples, i64::MAX);
                for Stretch { steps, ends, width } in old.stretches(ends) {
                    let after = lookback.max(width);
                    window::between(mixed.part(Part::Last), ends, after, &mut row[steps]);
                }
            }
            window::between(samples, part(ends, new..ends.count), lookback, &mut row[new..]);
            if row.iter().all(|v| is_absent(*v)) {
                return Ok(());
            }
            sink(metric.clone(), &mut row)
        })
    }

    /// Calls `each` with the newest samples, at an offset (ms) of its own.
    pub(super) fn each_newest_at(
        &mut self,
        selector: &VectorSelector,
        offset: i64,
        frame: Frame,
        wanted: Wanted,
        sink: &mut Sink<'_>,
    ) -> Outcome<()> {
        let ends = self.ends(selector, offset, frame, self.options.lookback);
        let function = match wanted {
            Wanted::Value => "",
            Wanted::Time => "timestamp",
        };
        let hints = self.hints(frame, 0, function);
        let mut row = Row::of(&self.guard, frame.count, |_| super::super::float::ABSENT)?;
        let mut mixed = Mixed::default();
        self.each_series(selector, frame, ends, (0, 0), hints, &mut |r, metric, samples| {
            let (mut any, mut new) = (false, 0);
            if let Some(old) = r.old {
                new = old.steps(ends);
                mixed.fill(old.rollups, &[Part::Last], samples, i64::MAX);
                for Stretch { steps, ends, .. } in old.stretches(ends) {
                    any |= newest(mixed.part(Part::Last), ends, wanted, &mut row[steps]);
                }
            }
            any |= newest(samples, part(ends, new..ends.count), wanted, &mut row[new..]);
            if any { sink(metric.clone(), &mut row) } else { Ok(()) }
        })
    }

    /// The ends of a selector's windows, each `range` long.
    fn ends(&self, selector: &VectorSelector, offset: i64, frame: Frame, range: i64) -> Ends {
        let (from, step) = match self.moment(selector.at) {
            Some(at) => (at, 0),
            None => (frame.start, frame.step),
        };
        Ends { first: from.saturating_sub(offset), step, count: frame.count, range }
    }

    /// The series of a range: of a selector's samples or of a subquery's steps.
    pub(super) fn each_range(
        &mut self,
        expr: &Expr,
        frame: Frame,
        function: &'static str,
        see: &mut SeriesSink<'_>,
    ) -> Outcome<()> {
        match expr.unwrap_parens() {
            Expr::Matrix(matrix) => {
                let range = self.length(&matrix.range)?;
                let offset = self.offset(&matrix.selector.offset)?;
                let ends = self.ends(&matrix.selector, offset, frame, range);
                let hints = self.hints(frame, range, function);
                let around = around(matrix.selector.edges, self.options.lookback);
                self.each_series(&matrix.selector, frame, ends, around, hints, see)
            }
            Expr::Subquery(subquery) => self.each_of_subquery(subquery, frame, see),
            other => Err(EvalError::at(other.span(), "a range vector is needed here")),
        }
    }

    fn each_series(
        &mut self,
        selector: &VectorSelector,
        frame: Frame,
        ends: Ends,
        (before, after): (i64, i64),
        hints: Hints,
        see: &mut SeriesSink<'_>,
    ) -> Outcome<()> {
        let last = ends.first.saturating_add(ends.step.saturating_mul(ends.count as i64 - 1));
        let start = ends.first.saturating_sub(ends.range.saturating_add(before)).saturating_add(1);
        let end = last.saturating_add(after);
        let selection = Selection { matchers: &selector.matchers, start, end, hints };
        let source = self.source;
        let mut begin = self.watch.is_some().then(Instant::now);
        let mut room = self.guard.hold();
        let mut set = source.select(&selection).map_err(|e| self.guard.failed(e))?;
        let (raw_from, parts) = (set.raw_from(), plan::parts(hints.function));
        let mut rollups = Rollups::default();
        if raw_from <= end {
            self.guard.saw(Resolution::Raw);
        }
        room.take_for::<Arc<Labels>>(set.labels().len())?;
        let labels: Vec<Arc<Labels>> = set.labels().to_vec();
        if let (Some(watch), Some(begin)) = (&mut self.watch, begin) {
            watch.begin(selector.span, labels.len(), begin.elapsed());
        }
        let mut columns = std::mem::take(&mut self.columns);
        for (i, labels) in labels.into_iter().enumerate() {
            begin = begin.map(|_| Instant::now());
            set.read(i, &mut columns).map_err(|e| self.guard.failed(e))?;
            let mut old = None;
            if start < raw_from {
                set.read_rollups(i, parts, &mut rollups).map_err(|e| self.guard.failed(e))?;
                self.guard.saw_buckets(&rollups, start);
                old = Some(Old { rollups: &rollups, raw_from });
            }
            self.guard.read(columns.times.len())?;
            if hints.range > 0 {
                drop_markers(&mut columns);
            }
            let samples = Samples { times: &columns.times, values: &columns.values };
            if let (Some(watch), Some(begin)) = (&mut self.watch, begin) {
                let newest_only = hints.range == 0;
                watch.series(frame, ends, newest_only, samples, &rollups, begin.elapsed());
            }
            let mut reader = Context { ends, notes: &mut self.notes, guard: &self.guard, old };
            see(&mut reader, &Metric::new(labels), samples)?;
        }
        if let Some(watch) = &mut self.watch {
            watch.end(set.cost()?);
        }
        columns.clear();
        if columns.times.capacity() <= MOST_KEPT {
            self.columns = columns;
        }
        Ok(())
    }

    /// The steps of a subquery within the frame, and where its windows end.
    fn subframe(&self, subquery: &Subquery, frame: Frame) -> Outcome<(Option<Frame>, Ends)> {
        let offset = self.offset(&subquery.offset)?;
        let range = self.length(&subquery.range)?;
        let step = match &subquery.step {
            Some(step) => self.length(step)?,
            None => self.options.subquery_step,
        }
        .max(1);
        let ends = match self.moment(subquery.at) {
            Some(at) => {
                Ends { first: at.saturating_sub(offset), step: 0, count: frame.count, range }
            }
            None => Ends {
                first: frame.start.saturating_sub(offset),
                step: frame.step,
                count: frame.count,
                range,
            },
        };
        let before = ends.first.saturating_sub(range);
        // Steps are whole multiples of their length; the first one lies past the left edge.
        let mut start = step * (before / step);
        if start <= before {
            start = start.saturating_add(step);
        }
        let end = ends.first.saturating_add(ends.step.saturating_mul(ends.count as i64 - 1));
        if end < start {
            return Ok((None, ends));
        }
        let count = usize::try_from(end.saturating_sub(start) / step).unwrap_or(usize::MAX - 1) + 1;
        Ok((Some(Frame { start, step, count }), ends))
    }

    /// A subquery's inner values at all its steps.
    fn inner(&mut self, subquery: &Subquery, frame: Frame) -> Outcome<(Option<Frame>, Ends, Grid)> {
        let (inner, ends) = self.subframe(subquery, frame)?;
        let Some(inner) = inner else { return Ok((None, ends, self.grid(1))) };
        self.guard.make(inner.count)?;
        let grid = match self.eval(&subquery.expr, inner)? {
            super::frame::Operand::Vector(grid) => grid,
            super::frame::Operand::Scalar(value) => {
                let row = value.row(&self.guard, inner.count)?;
                let mut grid = self.grid(inner.count);
                grid.push(Metric::empty(), &row)?;
                grid
            }
            super::frame::Operand::Text(_) => {
                return Err(EvalError::at(subquery.span, "a subquery needs an instant vector"));
            }
        };
        Ok((Some(inner), ends, grid))
    }

    fn each_of_subquery(
        &mut self,
        subquery: &Subquery,
        frame: Frame,
        see: &mut SeriesSink<'_>,
    ) -> Outcome<()> {
        let (Some(inner), ends, grid) = self.inner(subquery, frame)? else { return Ok(()) };
        let mut columns = Columns::default();
        let mut room = self.guard.hold();
        for (metric, row) in grid.rows() {
            self.guard.check()?;
            present(inner, row, &mut columns, &mut room)?;
            let samples = Samples { times: &columns.times, values: &columns.values };
            let mut reader =
                Context { ends, notes: &mut self.notes, guard: &self.guard, old: None };
            see(&mut reader, metric, samples)?;
        }
        Ok(())
    }

    /// A range as the answer itself, at one moment.
    pub(super) fn matrix(&mut self, expr: &Expr, frame: Frame) -> Outcome<Matrix> {
        let mut list = Vec::new();
        let mut room = self.guard.hold();
        match expr {
            Expr::Matrix(MatrixSelector { selector, .. }) => {
                let edges = selector.edges;
                let lookback = self.options.lookback;
                let mut mixed = Mixed::default();
                self.each_range(expr, frame, "", &mut |reader, metric, samples| {
                    let (mut samples, mut ends) = (samples, reader.ends);
                    if let Some(old) = reader.old.filter(|old| old.steps(ends) > 0) {
                        mixed.fill(old.rollups, &[Part::Last], samples, i64::MAX);
                        samples = mixed.part(Part::Last);
                        let stretches = old.stretches(ends);
                        ends = stretches
                            .into_iter()
                            .find(|s| !s.steps.is_empty())
                            .map_or(ends, |s| s.ends);
                    }
                    let end = ends.first;
                    let start = end.saturating_sub(ends.range);
                    let (before, after) = around(edges, lookback);
                    let lo = forward(samples.times, 0, start.saturating_sub(before));
                    let hi = forward(samples.times, lo, end.saturating_add(after));
                    if edges != Edges::Plain {
                        room.take(metric.copied() + BESIDE)?;
                        // A point on each edge may come to the samples between.
                        room.take_for::<(i64, f64)>(hi - lo + 2)?;
                        room.reserve(&mut list, 1)?;
                        let (times, values) = (&samples.times[lo..hi], &samples.values[lo..hi]);
                        let wide = Samples { times, values };
                        if let Some((times, values)) = window::with_edges(edges, wide, (start, end))
                        {
                            list.push((metric.labels(), Columns { times, values }));
                        }
                        return Ok(());
                    }
                    if lo < hi {
                        room.take(metric.copied() + BESIDE)?;
                        room.take_for::<(i64, f64)>(hi - lo)?;
                        room.reserve(&mut list, 1)?;
                        let times = samples.times[lo..hi].to_vec();
                        let values = samples.values[lo..hi].to_vec();
                        list.push((metric.labels(), Columns { times, values }));
                    }
                    Ok(())
                })?;
            }
            Expr::Subquery(subquery) => {
                let (Some(inner), _, grid) = self.inner(subquery, frame)? else {
                    return Matrix::of_samples(list, room, &self.guard);
                };
                for (metric, row) in grid.rows() {
                    self.guard.check()?;
                    let mut columns = Columns::default();
                    present(inner, row, &mut columns, &mut room)?;
                    if !columns.times.is_empty() {
                        room.take(metric.copied() + BESIDE)?;
                        room.reserve(&mut list, 1)?;
                        list.push((metric.labels(), columns));
                    }
                }
            }
            other => return Err(EvalError::at(other.span(), "a range vector is needed here")),
        }
        Matrix::of_samples(list, room, &self.guard)
    }
}

/// The number of samples whose memory is kept from one selector to the next.
const MOST_KEPT: usize = 1 << 16;

/// How far before and after the windows samples are read, ms.
fn around(edges: Edges, lookback: i64) -> (i64, i64) {
    match edges {
        Edges::Plain => (0, 0),
        Edges::Anchored => (lookback, 0),
        Edges::Smoothed => (lookback, lookback),
    }
}

/// The newest sample at each step that is not older than the range; whether there is any.
fn newest(samples: Samples<'_>, ends: Ends, wanted: Wanted, out: &mut [f64]) -> bool {
    let Samples { times, values } = samples;
    let (mut hi, mut any, mut stride) = (0, false, 0);
    let mut end = ends.first;
    for out in out.iter_mut() {
        hi = onward(times, hi, end, &mut stride);
        *out = super::super::float::ABSENT;
        if hi > 0 && times[hi - 1] > end.saturating_sub(ends.range) && !is_absent(values[hi - 1]) {
            any = true;
            *out = match wanted {
                Wanted::Value => values[hi - 1],
                Wanted::Time => times[hi - 1] as f64 / 1000.0,
            };
        }
        end = end.saturating_add(ends.step);
    }
    any
}

/// Takes the staleness markers out.
fn drop_markers(columns: &mut Columns) {
    // Nearly always there is none, so several are checked at a time.
    let (fours, odd) = columns.values.as_chunks::<4>();
    let four =
        |[a, b, c, d]: &[f64; 4]| is_absent(*a) | is_absent(*b) | is_absent(*c) | is_absent(*d);
    if !fours.iter().fold(false, |any, f| any | four(f)) && !odd.iter().any(|v| is_absent(*v)) {
        return;
    }
    let mut kept = 0;
    for at in 0..columns.values.len() {
        if !is_absent(columns.values[at]) {
            columns.values[kept] = columns.values[at];
            columns.times[kept] = columns.times[at];
            kept += 1;
        }
    }
    columns.values.truncate(kept);
    columns.times.truncate(kept);
}

/// The steps at which a row has a value, as samples; `room` is that of the columns.
fn present(frame: Frame, row: &[f64], into: &mut Columns, room: &mut Held) -> Outcome<()> {
    into.clear();
    let count = row.iter().filter(|v| !is_absent(**v)).count();
    room.reserve(&mut into.times, count)?;
    room.reserve(&mut into.values, count)?;
    for (i, value) in row.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
        into.times.push(frame.time(i));
        into.values.push(*value);
    }
    Ok(())
}
