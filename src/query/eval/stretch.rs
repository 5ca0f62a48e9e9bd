//! query: which steps of a selector reach back to buckets, by the width of the buckets.

use std::ops::Range;

use super::super::source::{Resolution, Rollups};
use super::super::window::Ends;

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
