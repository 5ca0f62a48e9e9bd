//! query: histogram_quantile, histogram_quantiles and histogram_fraction over classic histograms:
//! which series are the buckets of which histogram is found once, not at each step.

use hashbrown::HashSet;

use super::super::annotation::Annotation;
use super::super::ast::Call;
use super::super::buckets::{self, Bucket};
use super::super::budget::Held;
use super::super::float::{ABSENT, bound, is_absent, shortest};
use super::super::functions::FunctionId;
use super::error::Outcome;
use super::grid::{BESIDE, Choice, Classes, Collector, Grid, Metric, ROW};
use super::guard::Guard;
use super::relabel::{short, text};
use super::walk::{Evaluator, Frame, Row, Scalars};

/// A histogram: its labels without `le`, and its buckets' bounds and rows.
struct Histogram {
    metric: Metric,
    buckets: Vec<(f64, usize)>,
}

impl Evaluator<'_> {
    pub(super) fn histogram(&mut self, call: &Call, frame: Frame) -> Outcome<Grid> {
        match call.function.id {
            FunctionId::HistogramFraction => {
                let lower = self.scalar(&call.args[0], frame)?;
                let upper = self.scalar(&call.args[1], frame)?;
                let grid = self.vector(&call.args[2], frame)?;
                let (histograms, _room) = self.histograms(call, 2, &grid)?;
                let mut out = Collector::new(self.grid(frame.count));
                for histogram in &histograms {
                    let row = histogram.row(&grid, &self.guard, |i, b| {
                        buckets::fraction(lower.at(i), upper.at(i), b)
                    })?;
                    out.add(histogram.metric.clone(), &row)?;
                }
                Ok(out.grid)
            }
            FunctionId::HistogramQuantiles => {
                let grid = self.vector(&call.args[0], frame)?;
                let label = text(call, 1)?;
                let mut all = Vec::new();
                for i in 2..call.args.len() {
                    all.push(self.scalar(&call.args[i], frame)?);
                    self.check_quantile(call, i, frame, &all[i - 2]);
                }
                short(call, label.len())?;
                let (histograms, _room) = self.histograms(call, 0, &grid)?;
                let mut out = Collector::new(self.grid(frame.count));
                for q in &all {
                    for histogram in &histograms {
                        let row = self.quantile_row(call, 0, frame, histogram, &grid, q)?;
                        add_labelled(&mut out, &self.guard, histogram, label, q, &row)?;
                    }
                }
                Ok(out.grid)
            }
            _ => {
                let q = self.scalar(&call.args[0], frame)?;
                let grid = self.vector(&call.args[1], frame)?;
                self.check_quantile(call, 0, frame, &q);
                let (histograms, _room) = self.histograms(call, 1, &grid)?;
                let mut out = Collector::new(self.grid(frame.count));
                for histogram in &histograms {
                    let row = self.quantile_row(call, 1, frame, histogram, &grid, &q)?;
                    out.add(histogram.metric.clone(), &row)?;
                }
                Ok(out.grid)
            }
        }
    }

    fn check_quantile(&mut self, call: &Call, arg: usize, frame: Frame, q: &Scalars) {
        let mut told = None;
        for i in 0..frame.count {
            let bits = q.at(i).to_bits();
            if !(0.0..=1.0).contains(&q.at(i)) && told.replace(bits) != Some(bits) {
                let span = call.args[arg].unwrap_parens().span();
                self.notes.add(Annotation::invalid_quantile(q.at(i), span));
            }
        }
    }

    fn quantile_row(
        &mut self,
        call: &Call,
        arg: usize,
        frame: Frame,
        histogram: &Histogram,
        grid: &Grid,
        q: &Scalars,
    ) -> Outcome<Row> {
        let span = call.args[arg].unwrap_parens().span();
        let notes = &mut self.notes;
        histogram.row(grid, &self.guard, |i, b| {
            let (value, forced) = buckets::quantile(q.at(i), b);
            if let Some(f) = forced {
                notes.add(Annotation::forced_monotonicity(
                    frame.time(i),
                    f.lowest,
                    f.highest,
                    f.difference,
                    span,
                ));
            }
            value
        })
    }

    /// The histograms among the series, and their memory; those whose `le` is not a number are told and
    /// left out.
    fn histograms(
        &mut self,
        call: &Call,
        arg: usize,
        grid: &Grid,
    ) -> Outcome<(Vec<Histogram>, Held)> {
        let (mut room, mut pace) = (self.guard.hold(), self.guard.pace());
        let le: [Box<str>; 1] = ["le".into()];
        // The name tells histograms apart, too.
        let mut classes = Classes::new(Some(Choice::AllBut(&le)));
        let mut list: Vec<Histogram> = Vec::new();
        for (row, metric) in grid.metrics.iter().enumerate() {
            pace.work(ROW + grid.steps)?;
            if grid.row(row).iter().all(|v| is_absent(*v)) {
                continue;
            }
            let Some(bound) = bound(metric.get("le")) else {
                let span = call.args[arg].unwrap_parens().span();
                self.notes.add(Annotation::bad_bucket(metric.get("le"), span));
                continue;
            };
            let class = classes.class(metric);
            if class == list.len() {
                let metric = metric.keep(|n| n != "le").without_name();
                room.take(2 * BESIDE + metric.size())?;
                list.push(Histogram { metric, buckets: Vec::new() });
            }
            list[class].buckets.push((bound, row));
        }
        Ok((list, room))
    }
}

impl Histogram {
    /// Applies `f` to the buckets at each step that has any.
    fn row(
        &self,
        grid: &Grid,
        guard: &Guard<'_>,
        mut f: impl FnMut(usize, &mut Vec<Bucket>) -> f64,
    ) -> Outcome<Row> {
        let mut out = Row::of(guard, grid.steps, |_| ABSENT)?;
        let mut pace = guard.pace();
        let mut here = Vec::with_capacity(self.buckets.len());
        for (i, out) in out.iter_mut().enumerate() {
            pace.work(4 * self.buckets.len())?;
            here.clear();
            for (bound, row) in &self.buckets {
                let count = grid.row(*row)[i];
                if !is_absent(count) {
                    here.push(Bucket { bound: *bound, count });
                }
            }
            if !here.is_empty() {
                *out = f(i, &mut here);
            }
        }
        Ok(out)
    }
}

/// Adds a row with the quantile as a label; where that changes from step to step, a row for each.
fn add_labelled(
    out: &mut Collector,
    guard: &Guard<'_>,
    histogram: &Histogram,
    label: &str,
    q: &Scalars,
    row: &[f64],
) -> Outcome<()> {
    let mut done: HashSet<u64> = HashSet::new();
    for i in 0..row.len() {
        let bits = q.at(i).to_bits();
        if !done.insert(bits) {
            continue;
        }
        let part =
            Row::of(guard, row.len(), |j| if q.at(j).to_bits() == bits { row[j] } else { ABSENT })?;
        let value = quantile_text(q.at(i));
        out.add(histogram.metric.with(&[(label, &value)]), &part)?;
    }
    Ok(())
}

/// A quantile as OpenMetrics writes it: whole numbers with `.0`.
fn quantile_text(q: f64) -> String {
    let text = shortest(q);
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if plain { text + ".0" } else { text }
}
