//! query: the increase of a counter or gauge over a window: rate, increase, delta, irate, idelta.

use super::{Ends, Samples, each, is_reset};

/// Which of the differences over a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slope {
    /// The increase of a counter per second.
    Rate,
    /// The increase of a counter.
    Increase,
    /// The increase of a gauge.
    Delta,
}

/// `rate`, `increase` and `delta`: from the first to the last sample, stretched to the edges of the
/// window where the samples come close enough to them. Each sample is looked at once: what the
/// windows share are the places where the counter began again, and the extrapolation.
pub fn extrapolated(slope: Slope, samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let Samples { times, values } = samples;
    let counter = slope != Slope::Delta;
    let resets = if counter { resets(values) } else { Vec::new() };
    let mut oldest = 0;
    let mut stretch = Stretch::default();
    each(times, ends, |w| {
        let last = w.hi - 1;
        if last == w.lo {
            return;
        }
        let mut gain = values[last] - values[w.lo];
        while resets.get(oldest).is_some_and(|at| *at <= w.lo) {
            oldest += 1;
        }
        for at in resets.get(oldest..).unwrap_or_default() {
            if *at > last {
                break;
            }
            gain += values[at - 1];
        }
        let spans = (last - w.lo, times[last] - times[w.lo], times[w.lo] - (w.end - ends.range));
        if spans != stretch.spans {
            stretch = Stretch::new(slope, spans, (w.end - times[last], ends.range));
        }
        out[w.step] = gain * stretch.factor(values[w.lo], gain, counter);
    });
}

/// The places of the values that are below the one before.
fn resets(values: &[f64]) -> Vec<usize> {
    let Some((first, rest)) = values.split_first() else { return Vec::new() };
    // Nearly always there is none, so several are checked at a time, without a branch for each.
    let (mut before, mut any) = (*first, false);
    let (fours, odd) = rest.as_chunks::<4>();
    for [a, b, c, d] in fours {
        any |= is_reset(before, *a) | is_reset(*a, *b) | is_reset(*b, *c) | is_reset(*c, *d);
        before = *d;
    }
    for value in odd {
        any |= is_reset(before, *value);
        before = *value;
    }
    if !any {
        return Vec::new();
    }
    let pairs = values.windows(2).enumerate().filter(|(_, pair)| is_reset(pair[0], pair[1]));
    pairs.map(|(at, _)| at + 1).collect()
}

/// The extrapolation from the first and last sample to the edges. It is equal for all windows with
/// equal distances, which are nearly all on a regular grid.
#[derive(Default)]
struct Stretch {
    /// Distances between samples; ms from the first to the last; ms from the left edge to the first.
    spans: (usize, i64, i64),
    /// Seconds from the first to the last.
    sampled: f64,
    /// Seconds that are added to the left and to the right.
    to_start: f64,
    to_end: f64,
    /// The weight of a second of the window, for a rate.
    seconds: Option<f64>,
    /// By what the gain is multiplied, if it is stretched as far to the left.
    factor: f64,
}

impl Stretch {
    fn new(slope: Slope, spans: (usize, i64, i64), (right, range): (i64, i64)) -> Self {
        let (count, sampled, left) = spans;
        let sampled = sampled as f64 / 1000.0;
        let mut to_start = left as f64 / 1000.0;
        let mut to_end = right as f64 / 1000.0;
        let between = sampled / count as f64;
        let threshold = between * 1.1;
        if to_start >= threshold {
            to_start = between / 2.0;
        }
        if to_end >= threshold {
            to_end = between / 2.0;
        }
        let seconds = (slope == Slope::Rate).then_some(range as f64 / 1000.0);
        let mut stretch = Self { spans, sampled, to_start, to_end, seconds, factor: 0.0 };
        stretch.factor = stretch.factor_from(to_start);
        stretch
    }

    fn factor_from(&self, to_start: f64) -> f64 {
        let factor = (self.sampled + to_start + self.to_end) / self.sampled;
        self.seconds.map_or(factor, |seconds| factor / seconds)
    }

    #[inline]
    fn factor(&self, first: f64, gain: f64, counter: bool) -> f64 {
        if !counter {
            return self.factor;
        }
        // A counter was never below zero: not further back than to where it was there. Most are far
        // from it, further than what a rounded division could make a difference.
        let far = self.to_start * gain * 1.000_001;
        if far > 1e-290 && first * self.sampled > far {
            return self.factor;
        }
        if gain > 0.0 && first >= 0.0 {
            let to_zero = self.sampled * (first / gain);
            if to_zero < self.to_start {
                return self.factor_from(to_zero);
            }
        }
        self.factor
    }
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
