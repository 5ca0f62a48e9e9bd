//! query: functions over the windows of one series: columns of times and values in, one number a
//! step out. Windows are left-open, as in Prometheus 3: a sample exactly at the left edge is out.
//! No labels, no expressions in here.

mod extended;
mod extremes;
mod order;
mod rate;
mod regress;
mod rollup;
mod sums;

pub use extended::{between, extended, with_edges};
pub use extremes::{extreme, extreme_time};
pub use order::{mad, quantiles};
pub use rate::{Slope, extrapolated, instant};
pub use regress::{deriv, predict, smoothed};
pub use rollup::{Mixed, weighted_mad, weighted_quantile, weighted_variance};
pub use sums::{mean, sum, variance};

/// The samples of one series: times in ms, ascending, and as many values, none of them a staleness
/// marker.
#[derive(Debug, Clone, Copy)]
pub struct Samples<'a> {
    /// Milliseconds since 1970 UTC, strictly ascending.
    pub times: &'a [i64],
    /// The value at each time.
    pub values: &'a [f64],
}

/// The ends of windows: `count` of them, `step` ms apart, each `range` ms long.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// The end of the first one, ms; this moment is in.
    pub first: i64,
    /// The distance of two ends, ms; 0 if all windows are the same one.
    pub step: i64,
    /// The number of windows.
    pub count: usize,
    /// The length, ms; the moment `end - range` is out.
    pub range: i64,
}

/// The samples of one window: `lo..hi`, not empty.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Which step.
    pub step: usize,
    /// The first sample in.
    pub lo: usize,
    /// The first sample past it.
    pub hi: usize,
    /// Its end, ms.
    pub end: i64,
}

/// Calls `see` with every window that holds a sample, in order. Both edges only move forward: all
/// windows together look at each time about once.
#[inline]
pub fn each(times: &[i64], ends: Ends, mut see: impl FnMut(Window)) {
    let (mut lo, mut hi) = (0, 0);
    let (mut lo_stride, mut hi_stride) = (0, 0);
    let mut end = ends.first;
    for step in 0..ends.count {
        hi = onward(times, hi, end, &mut hi_stride);
        lo = onward(times, lo, end.saturating_sub(ends.range), &mut lo_stride);
        if lo < hi {
            see(Window { step, lo, hi, end });
        }
        end = end.saturating_add(ends.step);
    }
}

/// Finds the same index as [`forward`], but looks first at the distance of the last one: on a
/// regular grid all are equal.
#[inline(always)]
pub fn onward(times: &[i64], at: usize, moment: i64, stride: &mut usize) -> usize {
    let guess = at + *stride;
    if let Some(next) = times.get(guess)
        && *next > moment
        && (guess == at || times[guess - 1] <= moment)
    {
        return guess;
    }
    let found = forward(times, at, moment);
    *stride = found - at;
    found
}

/// The first index from `at` on whose time is past `moment`: a few looks one by one, then doubling
/// strides, because steps are often wider than the distance of samples.
#[inline]
pub fn forward(times: &[i64], mut at: usize, moment: i64) -> usize {
    let near = times.len().min(at + 8);
    while at < near {
        if times[at] > moment {
            return at;
        }
        at += 1;
    }
    let mut stride = 8;
    while at + stride < times.len() && times[at + stride] <= moment {
        at += stride;
        stride *= 2;
    }
    let far = times.len().min(at + stride + 1);
    at + times[at.min(far)..far].partition_point(|t| *t <= moment)
}

/// `count_over_time`: how many samples.
pub fn count(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| out[w.step] = (w.hi - w.lo) as f64);
}

/// `present_over_time`: 1 where there is a sample.
pub fn present(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| out[w.step] = 1.0);
}

/// `first_over_time`.
pub fn first(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| out[w.step] = samples.values[w.lo]);
}

/// `last_over_time`.
pub fn last(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| out[w.step] = samples.values[w.hi - 1]);
}

/// `ts_of_first_over_time`, seconds.
pub fn first_time(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| out[w.step] = samples.times[w.lo] as f64 / 1000.0);
}

/// `ts_of_last_over_time`, seconds.
pub fn last_time(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| out[w.step] = samples.times[w.hi - 1] as f64 / 1000.0);
}

/// The number of neighbours that differ in a given way: `resets` and `changes`.
pub fn neighbours(
    samples: Samples<'_>,
    ends: Ends,
    out: &mut [f64],
    differ: impl Fn(f64, f64) -> bool,
) {
    let Samples { times, values } = samples;
    // Counts the pairs (i - 1, i) with `from <= i < to` that differ.
    let (mut from, mut to, mut found) = (1, 1, 0_usize);
    let pair = |i: usize| usize::from(differ(values[i - 1], values[i]));
    each(times, ends, |w| {
        if w.lo + 1 >= to {
            (from, to, found) = (w.lo + 1, w.lo + 1, 0);
        }
        while to < w.hi {
            found += pair(to);
            to += 1;
        }
        while from <= w.lo {
            found -= pair(from);
            from += 1;
        }
        out[w.step] = found as f64;
    });
}

/// Whether a counter began again between two samples.
#[inline]
pub fn is_reset(before: f64, after: f64) -> bool {
    after < before
}

/// Whether a value is another one than before; from NaN to NaN nothing changes.
#[inline]
pub fn is_change(before: f64, after: f64) -> bool {
    after != before && !(after.is_nan() && before.is_nan())
}

#[cfg(test)]
mod tests;
