//! query: numbers as PromQL counts them: where Go and Rust differ, Go's rule holds, so that answers
//! equal Prometheus' to the last bit. No labels, no times in here.

/// The bits of the NaN that ends a series ("staleness marker"). Inside the evaluator the same bits
/// mean "nothing at this step": no arithmetic makes them, as every operation sets the quiet bit.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The value that stands for "nothing at this step"; see [`STALE_BITS`].
pub const ABSENT: f64 = f64::from_bits(STALE_BITS);

/// Whether this is the staleness marker, alias "nothing at this step".
#[inline]
pub fn is_absent(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// A running sum after Kahan and Neumaier: `sum + c` is the sum, `c` what rounding lost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kahan {
    /// The sum so far.
    pub sum: f64,
    /// The lost part of the sum.
    pub c: f64,
}

impl Kahan {
    /// Adds one value. After an overflow nothing is compensated any more.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let t = self.sum + value;
        if t.is_infinite() {
            self.c = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.c += (self.sum - t) + value;
        } else {
            self.c += (value - t) + self.sum;
        }
        self.sum = t;
    }

    /// The sum with another value added.
    #[inline]
    #[must_use]
    pub fn plus(mut self, value: f64) -> Self {
        self.add(value);
        self
    }
}

/// A mean that sums up as long as the sum is finite, and is computed incrementally after that.
#[derive(Debug, Clone, Copy)]
pub struct Mean {
    total: Kahan,
    mean: f64,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// The mean of one value.
    #[inline]
    pub fn of(first: f64) -> Self {
        Self { total: Kahan { sum: first, c: 0.0 }, mean: 0.0, count: 1.0, incremental: false }
    }

    /// Takes in one more.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.count += 1.0;
        if !self.incremental {
            let next = self.total.plus(value);
            if !next.sum.is_infinite() {
                self.total = next;
                return;
            }
            self.incremental = true;
            self.mean = self.total.sum / (self.count - 1.0);
            self.total.c /= self.count - 1.0;
        }
        let q = (self.count - 1.0) / self.count;
        let next = Kahan { sum: q * self.mean, c: q * self.total.c }.plus(value / self.count);
        self.mean = next.sum;
        self.total.c = next.c;
    }

    /// The mean of all so far.
    #[inline]
    pub fn value(&self) -> f64 {
        if self.incremental {
            self.mean + self.total.c
        } else {
            self.total.sum / self.count + self.total.c / self.count
        }
    }
}

/// The larger one; NaN unless the other is +Inf, and +0 before -0.
#[inline]
pub fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// The smaller one; NaN unless the other is -Inf, and -0 before +0.
#[inline]
pub fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}

/// The quantile `q` of the values, NaN counting as the smallest; between two values it is their
/// weighted mean. NaN without values or with `q` NaN, the infinities outside of 0 to 1. Reorders.
pub fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let n = values.len() as f64;
    let rank = q * (n - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(n - 1.0);
    let weight = rank - rank.floor();
    let (_, low, above) = values.select_nth_unstable_by(lower as usize, nan_first);
    let low = *low;
    let high =
        if upper == lower { low } else { above.iter().copied().min_by(nan_first).unwrap_or(low) };
    low * (1.0 - weight) + high * weight
}

/// Ascending, with NaN before everything.
pub fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// A float as Go's `%g` writes it: the shortest digits that read back, with an exponent below 1e-4
/// and from 1e6 on; annotations carry such numbers.
pub fn shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A float with two significant digits, as Go's `%.2g` writes it.
pub fn two_digits(value: f64) -> String {
    if !value.is_finite() {
        return shortest(value);
    }
    let scientific = format!("{value:.1e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..2).contains(&exponent) {
        // Rounded to two digits already, so this prints no more than them.
        return format!("{}", scientific.parse::<f64>().unwrap_or(value));
    }
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A float as a label value of `count_values`: never an exponent.
pub fn plain(value: f64) -> String {
    if value.is_infinite() { shortest(value) } else { format!("{value}") }
}

/// A bucket's bound out of its label `le`; `None` where it is no number.
pub fn bound(text: &str) -> Option<f64> {
    let value = text.parse::<f64>().ok()?;
    // A number too large is an error, not infinity.
    let overflown = value.is_infinite() && text.contains(|c: char| c.is_ascii_digit());
    (!overflown).then_some(value)
}

/// `a` to the power of `b` as Go computes it: the whole part of the exponent by squares of a number
/// between one half and one, the rest by exp and ln. Libraries round otherwise.
pub fn pow(a: f64, b: f64) -> f64 {
    if b == 0.5 && a.is_finite() && a != 0.0 {
        return a.sqrt();
    }
    if b == -0.5 && a.is_finite() && a != 0.0 {
        return 1.0 / a.sqrt();
    }
    let (mut whole, mut rest) = (b.abs().trunc(), b.abs().fract());
    let settled = b == 0.0 || a == 0.0 || !a.is_finite() || !b.is_finite();
    if settled || rest != 0.0 && a < 0.0 || whole >= 9_223_372_036_854_775_808.0 {
        return a.powf(b);
    }
    if rest > 0.5 {
        rest -= 1.0;
        whole += 1.0;
    }
    let (mut product, mut exponent) =
        (if rest == 0.0 { 1.0 } else { (rest * a.ln()).exp() }, 0_i64);
    let (mut square, mut square_exponent) = split(a);
    let mut left = whole as u64;
    while left != 0 {
        if !(-4096..=4096).contains(&square_exponent) {
            // Too large or too small for any further digit to matter.
            exponent += square_exponent;
            break;
        }
        if left & 1 == 1 {
            product *= square;
            exponent += square_exponent;
        }
        square *= square;
        square_exponent *= 2;
        if square < 0.5 {
            square += square;
            square_exponent -= 1;
        }
        left >>= 1;
    }
    if b < 0.0 {
        product = 1.0 / product;
        exponent = -exponent;
    }
    scale(product, exponent)
}

/// A finite number other than 0 as one between a half and one, and a power of two.
fn split(value: f64) -> (f64, i64) {
    let (value, shift) =
        if value.abs() < f64::MIN_POSITIVE { (value * 2_f64.powi(52), 52) } else { (value, 0) };
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64 - 1022 - shift;
    (f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52), exponent)
}

/// A number times a power of two, rounded once.
fn scale(value: f64, exponent: i64) -> f64 {
    let (part, own) = split(value);
    let exponent = exponent.saturating_add(own);
    if exponent > 1024 {
        return f64::INFINITY.copysign(value);
    }
    if exponent < -1080 {
        return 0.0_f64.copysign(value);
    }
    // Both factors are normal powers of two; only the last product can round.
    let half = exponent.max(-1000);
    let power = |e: i64| f64::from_bits(((e + 1023) as u64) << 52);
    part * 2.0 * power(half - 1) * power(exponent - half)
}

/// A number of seconds or the like as whole milliseconds or units: toward zero, and the smallest
/// number where it does not fit (what Go does on this processor).
pub fn whole(value: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
    if fits { value as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kahan_keeps_what_plain_sums_lose() {
        let mut sum = Kahan::default();
        for v in [1.0, 1e100, 1.0, -1e100] {
            sum.add(v);
        }
        assert_eq!(sum.sum + sum.c, 2.0);
    }

    #[test]
    fn a_mean_survives_a_sum_that_overflows() {
        let mut mean = Mean::of(f64::MAX);
        mean.add(f64::MAX);
        assert_eq!(mean.value(), f64::MAX);
        let mut mean = Mean::of(1.0);
        mean.add(2.0);
        assert_eq!(mean.value(), 1.5);
    }

    #[test]
    fn max_and_min_are_go_s() {
        assert!(max(f64::NAN, 1.0).is_nan());
        assert_eq!(max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert_eq!(min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
        assert!(min(1.0, f64::NAN).is_nan());
        assert_eq!(min(1.0, 2.0), 1.0);
        assert!(max(-0.0, 0.0).is_sign_positive());
        assert!(min(0.0, -0.0).is_sign_negative());
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(quantile(0.75, &mut [0.0, 1.0]), 0.75);
        assert_eq!(quantile(0.25, &mut [f64::NAN, 1.0, 5.0, 3.0, 7.0]), 1.0);
        assert_eq!(quantile(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &mut [1.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut [1.0]).is_nan());
        assert!(quantile(0.5, &mut []).is_nan());
    }

    #[test]
    fn numbers_in_annotations_look_like_go_s() {
        for (value, text) in [
            (0.0, "0"),
            (1.1, "1.1"),
            (-1.0, "-1"),
            (100.0, "100"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (123_456.5, "123456.5"),
            (1e6, "1e+06"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(shortest(value), text);
        }
        for (value, text) in
            [(1.0, "1"), (10.0, "10"), (123.0, "1.2e+02"), (0.129, "0.13"), (1e5, "1e+05")]
        {
            assert_eq!(two_digits(value), text);
        }
        assert_eq!(plain(1e21), "1000000000000000000000");
        assert_eq!(plain(f64::NEG_INFINITY), "-Inf");
    }

    #[test]
    fn bounds_are_numbers() {
        assert_eq!(bound("+Inf"), Some(f64::INFINITY));
        assert_eq!(bound("0.1"), Some(0.1));
        for bad in ["", "x", "1e999", "1 "] {
            assert_eq!(bound(bad), None, "{bad}");
        }
    }

    #[test]
    fn powers_are_powers() {
        for (a, b, power) in [
            (2.0, 10.0, 1024.0),
            (-3.0, 3.0, -27.0),
            (10.0, -2.0, 0.01),
            (2.0, -1074.0, 5e-324),
            (5e-324, 1.0, 5e-324),
            (5e-324, 2.0, 0.0),
            (2.0, 1023.0, 2_f64.powi(1023)),
            (2.0, 1024.0, f64::INFINITY),
            (-2.0, 1025.0, f64::NEG_INFINITY),
            (0.0, 0.0, 1.0),
            (1.0, f64::NAN, 1.0),
            (0.0, -1.0, f64::INFINITY),
            (f64::INFINITY, -1.0, 0.0),
            (4.0, 0.5, 2.0),
            (-1.0, f64::INFINITY, 1.0),
        ] {
            assert_eq!(pow(a, b), power, "{a} ^ {b}");
        }
        assert!(pow(-8.0, 1.0 / 3.0).is_nan());
        assert!(pow(-0.0, 0.5).is_sign_positive());
        assert_eq!(pow(-0.0, -0.5), f64::INFINITY);
        for i in 1..40 {
            let (mine, theirs) = (pow(1.1, f64::from(i)), 1.1_f64.powi(i));
            assert!((mine / theirs - 1.0).abs() < 1e-14, "{i}: {mine} {theirs}");
        }
    }

    #[test]
    fn whole_numbers_that_do_not_fit_are_the_smallest() {
        assert_eq!(whole(-1.9), -1);
        assert_eq!(whole(f64::NAN), i64::MIN);
        assert_eq!(whole(1e300), i64::MIN);
    }
}
