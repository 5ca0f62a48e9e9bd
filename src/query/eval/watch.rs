//! query: the data that a query looked at, by selector and by step, for plans and statistics. It
//! costs a little, so it is only recorded on request.

use std::time::Duration;

use super::super::ast::Span;
use super::super::float::is_absent;
use super::super::source::{Cost, Rollups};
use super::super::window::{Ends, Samples, each};
use super::walk::Frame;

/// The cost of one selector; a selector that is evaluated several times appears as often.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// Its place in the query.
    pub span: Span,
    /// Series that match.
    pub series: u64,
    /// Samples read.
    pub samples: u64,
    /// Buckets of five minutes read.
    pub five_minutes: u64,
    /// Buckets of an hour read.
    pub hours: u64,
    /// Blocks of the file that they lie in.
    pub blocks: u64,
    /// The time for finding and reading them.
    pub took: Duration,
}

/// The data that a query looked at.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Samples that the windows of each step held, those of several windows several times; times
    /// in ms.
    pub per_step: Vec<(i64, u64)>,
    /// Selectors in the order in which they were asked.
    pub selectors: Vec<Looked>,
    /// The time for finding the series.
    pub preparing: Duration,
    /// The time for sorting the answer.
    pub sorting: Duration,
}

impl Watched {
    pub(super) fn new(whole: Frame) -> Self {
        let per_step = (0..whole.count).map(|i| (whole.time(i), 0)).collect();
        Self { per_step, ..Self::default() }
    }

    /// Records that a selector matches this many series.
    pub(super) fn begin(&mut self, span: Span, series: usize, took: Duration) {
        self.preparing += took;
        self.selectors.push(Looked { span, series: series as u64, took, ..Looked::default() });
    }

    /// Records that a series was read, for windows that belong to the steps of `frame`.
    pub(super) fn series(
        &mut self,
        frame: Frame,
        ends: Ends,
        newest_only: bool,
        samples: Samples<'_>,
        rollups: &Rollups,
        took: Duration,
    ) {
        let count = |times: &[i64], values: Option<&[f64]>, per_step: &mut Vec<(i64, u64)>| {
            each(times, ends, |w| {
                if newest_only && values.is_some_and(|v| is_absent(v[w.hi - 1])) {
                    return;
                }
                let time = frame.time(w.step);
                // A subquery's step belongs to the next one of the query itself.
                let at = per_step.partition_point(|(t, _)| *t < time).min(per_step.len() - 1);
                per_step[at].1 += if newest_only { 1 } else { (w.hi - w.lo) as u64 };
            });
        };
        if !self.per_step.is_empty() {
            count(samples.times, Some(samples.values), &mut self.per_step);
            count(&rollups.ends, None, &mut self.per_step);
        }
        let hours = rollups.ends.partition_point(|end| *end <= rollups.hours_until);
        if let Some(looked) = self.selectors.last_mut() {
            looked.samples += samples.times.len() as u64;
            looked.hours += hours as u64;
            looked.five_minutes += (rollups.ends.len() - hours) as u64;
            looked.took += took;
        }
    }

    /// All series of the newest selector are read.
    pub(super) fn end(&mut self, cost: Cost) {
        if let Some(looked) = self.selectors.last_mut() {
            looked.blocks = cost.blocks;
        }
    }

    /// Samples that all windows held.
    pub fn samples(&self) -> u64 {
        self.per_step.iter().map(|(_, n)| n).sum()
    }
}
