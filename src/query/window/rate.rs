//! query: what a counter or gauge gained over a window: rate, increase, delta, irate, idelta.

use super::{Ends, Samples, each, is_reset};

/// Which of the differences over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slope {
    /// What a counter gained, per second.
    Rate,
    /// What a counter gained.
    Increase,
    /// What a gauge gained.
    Delta,
}

/// `rate`, `increase` and `delta`: from the first to the last sample, stretched to the edges of the
/// window where the samples come close enough to them. Each sample is looked at once: what the
/// windows share are the places where the counter began anew.
pub fn extrapolated(slope: Slope, samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let Samples { times, values } = samples;
    let counter = slope != Slope::Delta;
    let seconds = ends.range as f64 / 1000.0;
    // Indices of the values that are below the one before, in the windows so far; those from
    // `oldest` on may still be in one.
    let mut resets: Vec<usize> = Vec::new();
    let (mut oldest, mut seen) = (0, 1);
    each(times, ends, |w| {
        let last = w.hi - 1;
        if counter {
            seen = seen.max(w.lo + 1);
            while seen < w.hi {
                if is_reset(values[seen - 1], values[seen]) {
                    resets.push(seen);
                }
                seen += 1;
            }
        }
        if last == w.lo {
            return;
        }
        let mut gain = values[last] - values[w.lo];
        if counter {
            while resets.get(oldest).is_some_and(|at| *at <= w.lo) {
                oldest += 1;
            }
            for at in &resets[oldest..] {
                gain += values[at - 1];
            }
        }
        let start = w.end - ends.range;
        let sampled = (times[last] - times[w.lo]) as f64 / 1000.0;
        let mut to_start = (times[w.lo] - start) as f64 / 1000.0;
        let mut to_end = (w.end - times[last]) as f64 / 1000.0;
        let between = sampled / (last - w.lo) as f64;
        let threshold = between * 1.1;
        if to_start >= threshold {
            to_start = between / 2.0;
        }
        if counter {
            // A counter was never below zero: not further back than to where it was there.
            let to_zero = if gain > 0.0 && values[w.lo] >= 0.0 {
                sampled * (values[w.lo] / gain)
            } else {
                to_start
            };
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        if to_end >= threshold {
            to_end = between / 2.0;
        }
        let mut factor = (sampled + to_start + to_end) / sampled;
        if slope == Slope::Rate {
            factor /= seconds;
        }
        out[w.step] = gain * factor;
    });
}

/// `irate` (per second, from zero after a reset) and `idelta`: the last two samples of a window.
pub fn instant(per_second: bool, samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let Samples { times, values } = samples;
    each(times, ends, |w| {
        if w.hi - w.lo < 2 {
            return;
        }
        let (before, after) = (values[w.hi - 2], values[w.hi - 1]);
        let interval = times[w.hi - 1] - times[w.hi - 2];
        let reset = per_second && is_reset(before, after);
        let gain = if reset { after } else { after - before };
        out[w.step] = if per_second { gain / (interval as f64 / 1000.0) } else { gain };
    });
}
