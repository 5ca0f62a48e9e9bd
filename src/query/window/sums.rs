//! query: sums over a window: sum, mean, variance. Computed for each window in the order of time: a
//! running sum would differ in its last bits.

use super::super::float::{Kahan, Mean};
use super::{Ends, Samples, each};

/// `sum_over_time`.
pub fn sum(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| {
        let mut total = Kahan::default();
        for value in &samples.values[w.lo..w.hi] {
            total.add(*value);
        }
        out[w.step] = if total.sum.is_infinite() { total.sum } else { total.sum + total.c };
    });
}

/// `avg_over_time`.
pub fn mean(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| {
        let mut total = Mean::of(samples.values[w.lo]);
        for value in &samples.values[w.lo + 1..w.hi] {
            total.add(*value);
        }
        out[w.step] = total.value();
    });
}

/// `stdvar_over_time`, or its square root, `stddev_over_time`.
pub fn variance(root: bool, samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    each(samples.times, ends, |w| {
        let (mut mean, mut squares) = (Kahan::default(), Kahan::default());
        let mut count = 0.0;
        for value in &samples.values[w.lo..w.hi] {
            count += 1.0;
            let delta = value - (mean.sum + mean.c);
            mean.add(delta / count);
            squares.add(delta * (value - (mean.sum + mean.c)));
        }
        let variance = (squares.sum + squares.c) / count;
        out[w.step] = if root { variance.sqrt() } else { variance };
    });
}
