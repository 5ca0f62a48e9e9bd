//! query: lines through a window: deriv, predict_linear, double_exponential_smoothing.

use super::super::float::Kahan;
use super::{Ends, Samples, each};

/// Slope per second and the value at `zero` (ms) of the line with the least squares.
fn line(times: &[i64], values: &[f64], zero: i64) -> (f64, f64) {
    let (mut x, mut y) = (Kahan::default(), Kahan::default());
    let (mut xy, mut xx) = (Kahan::default(), Kahan::default());
    let first = values[0];
    let mut constant = true;
    for (i, (time, value)) in times.iter().zip(values).enumerate() {
        constant &= i == 0 || *value == first;
        let seconds = time.saturating_sub(zero) as f64 / 1e3;
        x.add(seconds);
        y.add(*value);
        xy.add(seconds * value);
        xx.add(seconds * seconds);
    }
    if constant {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = times.len() as f64;
    let (x, y) = (x.sum + x.c, y.sum + y.c);
    let (xy, xx) = (xy.sum + xy.c, xx.sum + xx.c);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

/// `deriv`, per second; two samples at least.
pub fn deriv(samples: Samples<'_>, ends: Ends, out: &mut [f64]) {
    let Samples { times, values } = samples;
    each(times, ends, |w| {
        if w.hi - w.lo >= 2 {
            out[w.step] = line(&times[w.lo..w.hi], &values[w.lo..w.hi], times[w.lo]).0;
        }
    });
}

/// `predict_linear`: the line's value `ahead` seconds past the moment of evaluation, `now` (ms),
/// which is not the window's end where the selector has an offset.
pub fn predict(
    now: impl Fn(usize) -> i64,
    ahead: impl Fn(usize) -> f64,
    samples: Samples<'_>,
    ends: Ends,
    out: &mut [f64],
) {
    let Samples { times, values } = samples;
    each(times, ends, |w| {
        if w.hi - w.lo >= 2 {
            let (slope, at_zero) = line(&times[w.lo..w.hi], &values[w.lo..w.hi], now(w.step));
            out[w.step] = slope * ahead(w.step) + at_zero;
        }
    });
}

/// `double_exponential_smoothing` with the factors at each step, both between 0 and 1; two samples
/// at least.
pub fn smoothed(
    factors: impl Fn(usize) -> (f64, f64),
    samples: Samples<'_>,
    ends: Ends,
    out: &mut [f64],
) {
    each(samples.times, ends, |w| {
        let values = &samples.values[w.lo..w.hi];
        if values.len() < 2 {
            return;
        }
        let (smoothing, trending) = factors(w.step);
        let (mut before, mut level) = (0.0, values[0]);
        let mut trend = values[1] - values[0];
        for (i, value) in values.iter().enumerate().skip(1) {
            let scaled = smoothing * value;
            if i > 1 {
                trend = trending * (level - before) + (1.0 - trending) * trend;
            }
            let rest = (1.0 - smoothing) * (level + trend);
            before = level;
            level = scaled + rest;
        }
        out[w.step] = level;
    });
}
