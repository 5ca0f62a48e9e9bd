//! query: the steps of a selector that reach back to where buckets stand for samples: which they
//! are, and what each function makes of them. Steps that only see samples never come here.

use super::super::annotation::Annotation;
use super::super::functions::FunctionId;
use super::super::plan;
use super::super::source::Part;
use super::super::window::{
    Ends, Mixed, Samples, Slope, weighted_mad, weighted_quantile, weighted_variance,
};
use super::error::Outcome;
use super::ranges::Over;
use super::select::Context;
use super::stretch::{Old, Stretch, part};

impl Over<'_> {
    /// A function over the windows of a series some of which see buckets.
    pub(super) fn with_buckets(
        &self,
        old: Old<'_>,
        reader: &mut Context<'_>,
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
        reader: &mut Context<'_>,
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
