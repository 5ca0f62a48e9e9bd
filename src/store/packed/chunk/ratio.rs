//! store: the divisor of values that are integers over one constant, such as MemAvailable /
//! MemTotal. One value tells it as long as numerator and divisor have fewer bits together than an
//! f64; for larger ones (the blocks of a 1 TB disk) small differences between values do.

use super::form::Form;

/// An f64 has 53 bits; a fraction of fewer bits than this in numerator and denominator together is
/// no coincidence, as one of 53 would be.
const FRACTION_BITS: f64 = (1u64 << 49) as f64;
/// Divisors above this are not looked for: two samples would have no fraction in common.
const MAX_FOUND: u64 = 1 << 40;

/// Differences looked at.
const DIFFERENCES: usize = 64;
/// The steps between the values may all be multiples of up to this.
const MAX_MULTIPLE: u32 = 32;
/// Divisors tried for each of these.
const CANDIDATES: u64 = 256;
/// Values each has to explain before it is tried on all.
const PROBES: usize = 8;

/// How a value comes of numerator and divisor, and what to divide it by to undo that nearly.
type Scale = (f64, fn(f64, f64) -> f64, fn(u64) -> Form);
const SCALES: [Scale; 2] =
    [(1.0, |n, d| n / d, Form::Ratio), (100.0, |n, d| n / d * 100.0, Form::Percent)];

/// The form that all of these samples have, if their divisor is a small one.
pub(super) fn by_fractions(samples: &[f64]) -> Option<Form> {
    SCALES.iter().find_map(|(scale, value, form)| common(samples, |x| x / scale, value).map(form))
}

/// The form that these values probably have, judged by how they change.
pub(super) fn by_differences(values: &[f64]) -> Option<Form> {
    let mut probes: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    probes.dedup();
    probes.truncate(DIFFERENCES + 1);
    SCALES.iter().find_map(|&(scale, value, form)| {
        let scaled: Vec<f64> = probes.iter().map(|x| x / scale).collect();
        let (step, precision) = common_step(&scaled)?;
        // The numerators may all differ by a multiple of something.
        (1..=MAX_MULTIPLE)
            .find_map(|multiple| {
                let about = f64::from(multiple) / step;
                let (first, last) = (about * (1.0 - precision), about * (1.0 + precision));
                if !(first > 1.0 && last < MAX_FOUND as f64) {
                    return None;
                }
                let all = first.floor() as u64..=last.ceil() as u64;
                all.take(CANDIDATES as usize).find(|&divisor| {
                    let divisor = divisor as f64;
                    probes.iter().take(PROBES).all(|&x| {
                        value((x / scale * divisor).round(), divisor).to_bits() == x.to_bits()
                    })
                })
            })
            .map(form)
    })
}

/// The greatest number that all differences between neighbours are nearly multiples of, and how
/// precise it is (relative).
fn common_step(values: &[f64]) -> Option<(f64, f64)> {
    let largest = values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    // Each value is off by up to two halves of its last bit, for a percentage is rounded twice.
    let error = largest * 4.0 * f64::EPSILON;
    let mut steps: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
    steps.retain(|&d| d > error);
    steps.sort_unstable_by(f64::total_cmp);
    let mut step = *steps.first()?;
    // Euclid's algorithm on all of them at once; each round at least halves the step.
    loop {
        if step.is_nan() || step <= 256.0 * error {
            return None;
        }
        let mut rests = steps.iter().map(|d| {
            let times = (d / step).round();
            (d - times * step).abs() - error * (times + 1.0)
        });
        match rests.find(|&rest| rest > 0.0) {
            Some(_) => {
                step = steps
                    .iter()
                    .map(|d| (d - (d / step).round() * step).abs())
                    .filter(|&rest| rest > 8.0 * error)
                    .fold(f64::INFINITY, f64::min);
                if step == f64::INFINITY {
                    return None;
                }
            }
            None => break,
        }
    }
    // The more steps a difference spans, the more precisely it tells their size.
    let mut span = step;
    for d in steps {
        let times = (d / step).round();
        if times * error < 0.25 * span {
            (step, span) = (d / times, d);
        }
    }
    Some((step, error / span))
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
