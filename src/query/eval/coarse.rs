//! query: the steps of a selector that reach back to where buckets stand for samples: which they
//! are, and what each function makes of them. Steps that only see samples never come here.

use std::ops::Range;

use super::super::annotation::Annotation;
use super::super::functions::FunctionId;
use super::super::plan;
use super::super::source::{Part, Resolution, Rollups};
use super::super::window::{
    Ends, Mixed, Samples, Slope, weighted_mad, weighted_quantile, weighted_variance,
};
use super::error::Outcome;
use super::ranges::Over;
use super::select::Reader;

/// The buckets of one series ahead of its samples, and which steps need them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Old<'r> {
    pub(super) rollups: &'r Rollups,
    /// The time from which there are samples, ms.
    pub(super) raw_from: i64,
}

/// Steps whose buckets are of one width.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    /// Which steps.
    pub(super) steps: Range<usize>,
    /// Their windows, as long as whole buckets take.
    pub(super) ends: Ends,
    /// The length of a bucket.
    pub(super) width: i64,
}

impl Old<'_> {
    /// The number of steps, from the first, that see buckets.
    pub(super) fn steps(&self, ends: Ends) -> usize {
        before(ends, self.raw_from.saturating_sub(1).saturating_add(ends.range))
    }

    /// Those steps by the width of their buckets.
    pub(super) fn stretches(&self, ends: Ends) -> [Stretch; 2] {
        let old = self.steps(ends);
        let whole = |width: i64| {
            let more = (width - ends.range.rem_euclid(width)) % width;
            ends.range.saturating_add(more).max(width)
        };
        let (hour, five) = (Resolution::Hour.width(), Resolution::FiveMinutes.width());
        let hours = before(ends, self.rollups.hours_until.saturating_add(whole(five))).min(old);
        let stretch = |steps: Range<usize>, width: i64| Stretch {
            ends: Ends { range: whole(width), ..part(ends, steps.clone()) },
            steps,
            width,
        };
        [stretch(0..hours, hour), stretch(hours..old, five)]
    }
}

/// The number of windows that end before this time.
fn before(ends: Ends, time: i64) -> usize {
    if ends.first >= time {
        return 0;
    }
    if ends.step <= 0 {
        return ends.count;
    }
    let more = (i128::from(time) - 1 - i128::from(ends.first)) / i128::from(ends.step);
    usize::try_from(more).map_or(ends.count, |more| ends.count.min(more.saturating_add(1)))
}

/// Some of the windows.
pub(super) fn part(ends: Ends, steps: Range<usize>) -> Ends {
    let first = ends.first.saturating_add(ends.step.saturating_mul(steps.start as i64));
    Ends { first, count: steps.len(), ..ends }
}

impl Over<'_> {
    /// A function over the windows of a series some of which see buckets.
    pub(super) fn with_buckets(
        &self,
        old: Old<'_>,
        reader: &mut Reader<'_>,
        samples: Samples<'_>,
        row: &mut [f64],
    ) -> Outcome<()> {
        let (id, name) = (self.call.function.id, self.call.function.name);
        let (ends, parts) = (reader.ends, plan::parts(name));
        let mut mixed = Mixed::default();
        for stretch in old.stretches(ends) {
            let Stretch { steps, ends: whole, width } = stretch;
            if steps.is_empty() {
                continue;
            }
            let last =
                whole.first.saturating_add(whole.step.saturating_mul(steps.len() as i64 - 1));
            mixed.fill(old.rollups, parts, samples, last);
            let out = &mut row[steps.clone()];
            self.stretch(id, &mut mixed, width, ends.range, whole, steps.start, reader, out)?;
            let even = ends.range % width == 0 || id == FunctionId::LastOverTime;
            if !even || !plan::is_exact(name) {
                let span = self.call.span;
                reader.notes.add(Annotation::approximate(name, width, span));
            }
        }
        let new = old.steps(ends);
        self.run(reader, new, samples, part(ends, new..ends.count), &mut row[new..])
    }

    #[allow(clippy::too_many_arguments, reason = "what tells windows over buckets apart")]
    fn stretch(
        &self,
        id: FunctionId,
        mixed: &mut Mixed,
        width: i64,
        asked: i64,
        ends: Ends,
        from: usize,
        reader: &mut Reader<'_>,
        out: &mut [f64],
    ) -> Outcome<()> {
        use FunctionId::*;
        match id {
            Rate => mixed.gain(Slope::Rate, ends, asked, width, out),
            Increase => mixed.gain(Slope::Increase, ends, asked, width, out),
            Delta => mixed.gain(Slope::Delta, ends, asked, width, out),
            Irate => mixed.instant(true, ends, out),
            Idelta => mixed.instant(false, ends, out),
            CountOverTime => mixed.total(Part::Count, ends, asked, out),
            SumOverTime => mixed.total(Part::Sum, ends, asked, out),
            Resets => mixed.total(Part::Resets, ends, ends.range, out),
            AvgOverTime => mixed.mean(ends, out),
            QuantileOverTime => {
                let q = |step: usize| self.args[0].at(from + step);
                mixed.spread(ends, |step, points| out[step] = weighted_quantile(q(step), points));
                self.check_quantiles(reader, from, out);
            }
            StddevOverTime => {
                mixed.spread(ends, |step, points| out[step] = weighted_variance(points).sqrt());
            }
            StdvarOverTime => {
                mixed.spread(ends, |step, points| out[step] = weighted_variance(points));
            }
            MadOverTime => mixed.spread(ends, |step, points| out[step] = weighted_mad(points)),
            Deriv | PredictLinear => {
                return self.run(reader, from, mixed.middles(width), ends, out);
            }
            _ => {
                let part = match plan::parts(self.call.function.name) {
                    [part @ (Part::Min | Part::Max)] => *part,
                    _ => Part::Last,
                };
                return self.run(reader, from, mixed.part(part), ends, out);
            }
        }
        reader.guard.check()
    }
}
