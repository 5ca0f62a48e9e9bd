//! store: the common divisor of values that are integers over one constant, such as
//! MemAvailable / MemTotal, found by continued fractions.

use super::form::Form;

/// An f64 has 53 bits; a fraction of fewer bits than this in numerator and denominator together is
/// no coincidence, as one of 53 would be.
const FRACTION_BITS: f64 = (1u64 << 49) as f64;
/// Divisors above this are not looked for: two samples would have no fraction in common.
const MAX_FOUND: u64 = 1 << 40;

/// The form, [`Form::Ratio`] or [`Form::Percent`], that all of these samples have, if there is one.
pub(super) fn find(samples: &[f64]) -> Option<Form> {
    common(samples, |x| x, |p, q| p / q)
        .map(Form::Ratio)
        .or_else(|| common(samples, |x| x / 100.0, |p, q| p / q * 100.0).map(Form::Percent))
}

fn common(
    samples: &[f64],
    unscale: impl Fn(f64) -> f64,
    value: impl Fn(f64, f64) -> f64,
) -> Option<u64> {
    let mut all = 1;
    for &sample in samples {
        // One that earlier ones' divisor explains says nothing new.
        let n = (unscale(sample) * all as f64).round();
        if value(n, all as f64).to_bits() != sample.to_bits() {
            let one = denominator(unscale(sample).abs(), |p, q| value(p, q) == sample.abs())?;
            all = lcm(all, one)?;
        }
    }
    (all > 1).then_some(all)
}

/// The denominator of the simplest fraction p / q near `x` for which `exact`.
fn denominator(x: f64, exact: impl Fn(f64, f64) -> bool) -> Option<u64> {
    if !(x.is_finite() && x > 0.0) {
        return None;
    }
    let (mut p, mut p_before) = (1.0, 0.0);
    let (mut q, mut q_before) = (0.0, 1.0);
    let mut rest = x;
    loop {
        let whole = rest.floor();
        (p, p_before) = (whole * p + p_before, p);
        (q, q_before) = (whole * q + q_before, q);
        // Not "greater": what is not a number must end the loop too.
        if !(p.max(1.0) * q <= FRACTION_BITS && q <= MAX_FOUND as f64) {
            return None;
        }
        if exact(p, q) {
            return Some(q as u64);
        }
        rest = 1.0 / (rest - whole);
    }
}

fn lcm(a: u64, b: u64) -> Option<u64> {
    (a / gcd(a, b)).checked_mul(b).filter(|&m| m <= MAX_FOUND)
}

/// The greatest number that divides both; `gcd(0, b)` is `b`.
pub(super) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while a != 0 {
        (a, b) = (b % a, a);
    }
    b
}
