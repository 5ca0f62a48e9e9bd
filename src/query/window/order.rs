//! query: results that depend on the order of a window's values: quantiles, the median's deviation.

use super::super::float::quantile;
use super::{Ends, Samples, each};

/// `quantile_over_time`; `q` tells the quantile at each step.
pub fn quantiles(q: impl Fn(usize) -> f64, samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let mut scratch = Vec::new();
    each(samples.times, ends, |w| {
        scratch.clear();
        scratch.extend_from_slice(&samples.values[w.lo..w.hi]);
        out[w.step] = quantile(q(w.step), &mut scratch);
    });
}

/// `mad_over_time`: the median of what values are away from their median; NaN with a NaN among them.
pub fn mad(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let mut scratch: Vec<f64> = Vec::new();
    each(samples.times, ends, |w| {
        scratch.clear();
        scratch.extend_from_slice(&samples.values[w.lo..w.hi]);
        if scratch.iter().any(|v| v.is_nan()) {
            out[w.step] = f64::NAN;
            return;
        }
        let median = quantile(0.5, &mut scratch);
        for value in &mut scratch {
            *value = (*value - median).abs();
        }
        out[w.step] = quantile(0.5, &mut scratch);
    });
}
