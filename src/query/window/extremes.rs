//! query: the largest and smallest of a window, by a queue of those that can still become it.

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
    // Place and value of those that wait, from `first` on; what lies before has left the window.
    let mut waiting: Vec<(usize, f64)> = Vec::new();
    let (mut first, mut seen) = (0, 0);
    each(samples.times, ends, |w| {
        while waiting.get(first).is_some_and(|(at, _)| *at < w.lo) {
            first += 1;
        }
        let from = seen.max(w.lo);
        for (at, value) in samples.values[from..w.hi].iter().enumerate() {
            if value.is_nan() {
                continue;
            }
            while waiting.len() > first && beaten(waiting[waiting.len() - 1].1, *value) {
                waiting.pop();
            }
            waiting.push((from + at, *value));
        }
        seen = w.hi;
        tell(w, waiting.get(first).map(|(at, _)| *at));
        if first >= 1024 {
            waiting.drain(..first);
            first = 0;
        }
    });
}
