//! query: the largest and smallest of a window, by a queue of those that can still become it.

use std::collections::VecDeque;

use super::{Ends, Samples, Window, each};

/// `max_over_time` (`greater`) and `min_over_time`: NaN only where there is nothing else. Of equal
/// values the earlier one counts.
pub fn extreme(greater: bool, samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let values = samples.values;
    let beaten = |old: f64, new: f64| if greater { old < new } else { old > new };
    queue(samples, ends, beaten, |w, best| {
        out[w.step] = best.map_or(f64::NAN, |at| values[at]);
    });
}

/// `ts_of_max_over_time` (`greater`) and `ts_of_min_over_time`, seconds. Of equal values the later
/// one counts.
pub fn extreme_time(greater: bool, samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let times = samples.times;
    let beaten = |old: f64, new: f64| if greater { old <= new } else { old >= new };
    queue(samples, ends, beaten, |w, best| {
        out[w.step] = times[best.unwrap_or(w.hi - 1)] as f64 / 1000.0;
    });
}

fn queue(
    samples: Samples<'_>,
    ends: Ends,
    beaten: impl Fn(f64, f64) -> bool,
    mut tell: impl FnMut(Window, Option<usize>),
) {
    let values = samples.values;
    let mut waiting: VecDeque<usize> = VecDeque::new();
    let mut seen = 0;
    each(samples.times, ends, |w| {
        while waiting.front().is_some_and(|at| *at < w.lo) {
            waiting.pop_front();
        }
        for (at, value) in values.iter().enumerate().take(w.hi).skip(seen.max(w.lo)) {
            if value.is_nan() {
                continue;
            }
            while waiting.back().is_some_and(|old| beaten(values[*old], *value)) {
                waiting.pop_back();
            }
            waiting.push_back(at);
        }
        seen = w.hi;
        tell(w, waiting.front().copied());
    });
}
