//! store: how an f64 is an integer in disguise, proven for each value by the bits it gives back.

use super::Corrupt;
use super::bytes::{Bytes, put_varint};

/// What an integer `n` stands for. The divisor of a ratio is below [`MAX_DIVISOR`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `n`
    Integer,
    /// `n / 10^places`: what was written with that many decimals.
    Decimal(u8),
    /// `n / divisor`: MemAvailable / MemTotal.
    Ratio(u64),
    /// `n / divisor * 100`, rounded twice: the percentage of a disk in use.
    Percent(u64),
    /// `n * 10^-places`, which rounds otherwise than the division does: clock ticks * 0.01.
    Product(u8),
    /// The bits, in the order of the numbers they mean.
    Bits,
}

/// The first byte of a column, less its flags.
pub(super) mod id {
    pub const INTEGER: u8 = 0;
    pub const DECIMAL: u8 = 1;
    pub const RATIO: u8 = 2;
    pub const PERCENT: u8 = 3;
    pub const PRODUCT: u8 = 4;
    pub const BITS: u8 = 5;
    pub const PCO_FLOATS: u8 = 6;
}

/// The most decimals looked for; powers of ten are exact in an f64 up to 10^22.
pub(super) const MAX_PLACES: u8 = 18;
/// Divisors stay below this, so that they are exact in an f64.
pub(super) const MAX_DIVISOR: u64 = 1 << 53;
/// Scaled values stay below this, so that [`round`] is right.
const MAX_SCALED: f64 = (1u64 << 51) as f64;

const POWERS: [f64; MAX_PLACES as usize + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];
const PARTS: [f64; MAX_PLACES as usize + 1] = [
    1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14,
    1e-15, 1e-16, 1e-17, 1e-18,
];

/// To the nearest integer; without SSE 4.1 `f64::round` is a call.
fn round(scaled: f64) -> Option<i64> {
    const MAGIC: f64 = 1.5 * (1u64 << 52) as f64;
    (scaled.abs() < MAX_SCALED).then_some(((scaled + MAGIC) - MAGIC) as i64)
}

/// Bits whose order as integers is that of the numbers.
fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// Runs `$body` with `$to` (f64 -> nearest integer, if any) and `$from` (integer -> f64) of a form,
/// so that the loop over the values is compiled for each of them.
macro_rules! with_form {
    ($form:expr, |$to:ident, $from:ident| $body:expr) => {
        match $form {
            Form::Integer => {
                // 2^63 itself saturates, and is told apart by its bits.
                let ($to, $from) = (|x: f64| Some(x as i64), |n: i64| n as f64);
                $body
            }
            Form::Decimal(places) => {
                let power = POWERS[usize::from(places)];
                let ($to, $from) = (|x: f64| round(x * power), |n: i64| n as f64 / power);
                $body
            }
            Form::Ratio(divisor) => {
                let divisor = divisor as f64;
                let ($to, $from) = (|x: f64| round(x * divisor), |n: i64| n as f64 / divisor);
                $body
            }
            Form::Percent(divisor) => {
                let divisor = divisor as f64;
                let ($to, $from) =
                    (|x: f64| round(x / 100.0 * divisor), |n: i64| n as f64 / divisor * 100.0);
                $body
            }
            Form::Product(places) => {
                let (power, part) = (POWERS[usize::from(places)], PARTS[usize::from(places)]);
                let ($to, $from) = (|x: f64| round(x * power), |n: i64| n as f64 * part);
                $body
            }
            Form::Bits => {
                let ($to, $from) = (
                    |x: f64| Some(ordered(x.to_bits() as i64)),
                    |n: i64| f64::from_bits(ordered(n) as u64),
                );
                $body
            }
        }
    };
}

impl Form {
    /// Fills `numbers`, one a value; a value that is not of this form repeats the number before it
    /// and is listed in `others`. `false` as soon as these are more than `allowed`.
    pub fn fit(
        self,
        values: &[f64],
        allowed: usize,
        numbers: &mut Vec<i64>,
        others: &mut Vec<usize>,
    ) -> bool {
        numbers.clear();
        others.clear();
        with_form!(self, |to, from| {
            let mut last = 0;
            for (i, &value) in values.iter().enumerate() {
                match to(value) {
                    Some(n) if from(n).to_bits() == value.to_bits() => last = n,
                    _ if others.len() < allowed => others.push(i),
                    _ => return false,
                }
                numbers.push(last);
            }
        });
        // Those at the very front have nothing to repeat but what follows.
        let front = others.iter().enumerate().take_while(|&(i, &at)| i == at).count();
        if let Some(&first) = numbers.get(front) {
            numbers[..front].fill(first);
        }
        true
    }

    /// Whether this one value is of this form.
    pub fn fits(self, value: f64) -> bool {
        with_form!(self, |to, from| to(value).is_some_and(|n| from(n).to_bits() == value.to_bits()))
    }

    /// Appends the value of each number, times `step`, plus `base`.
    pub fn values(self, numbers: &[i64], base: i64, step: i64, out: &mut Vec<f64>) {
        with_form!(self, |_to, from| {
            if step == 1 {
                out.extend(numbers.iter().map(|&n| from(n.wrapping_add(base))));
            } else {
                out.extend(numbers.iter().map(|&n| from(n.wrapping_mul(step).wrapping_add(base))));
            }
        });
    }

    /// Appends the first byte of a column with `flags`, then what the form needs to know.
    pub fn write(self, flags: u8, out: &mut Vec<u8>) {
        let (id, parameter) = match self {
            Form::Integer => (id::INTEGER, None),
            Form::Decimal(places) => (id::DECIMAL, Some(places.into())),
            Form::Ratio(divisor) => (id::RATIO, Some(divisor)),
            Form::Percent(divisor) => (id::PERCENT, Some(divisor)),
            Form::Product(places) => (id::PRODUCT, Some(places.into())),
            Form::Bits => (id::BITS, None),
        };
        out.push(id | flags);
        if let Some(parameter) = parameter {
            put_varint(out, parameter);
        }
    }

    /// Reads what the form of this id needs to know.
    pub fn read(id: u8, bytes: &mut Bytes<'_>) -> Result<Self, Corrupt> {
        let mut places = || match bytes.varint()? {
            n @ 1.. if n <= u64::from(MAX_PLACES) => Ok(n as u8),
            _ => Err(Corrupt::Invalid("a number of decimals is out of range")),
        };
        match id {
            id::INTEGER => Ok(Form::Integer),
            id::DECIMAL => places().map(Form::Decimal),
            id::PRODUCT => places().map(Form::Product),
            id::RATIO => divisor(bytes).map(Form::Ratio),
            id::PERCENT => divisor(bytes).map(Form::Percent),
            id::BITS => Ok(Form::Bits),
            other => Err(Corrupt::UnknownEncoding(other)),
        }
    }
}

fn divisor(bytes: &mut Bytes<'_>) -> Result<u64, Corrupt> {
    match bytes.varint()? {
        n @ 1..MAX_DIVISOR => Ok(n),
        _ => Err(Corrupt::Invalid("a divisor is out of range")),
    }
}

/// The fewest decimals with which this value is written exactly; `None` for what has more than
/// [`MAX_PLACES`], or more digits than an f64 holds.
pub(super) fn places(value: f64) -> Option<u8> {
    if Form::Integer.fits(value) {
        return Some(0);
    }
    (1..=MAX_PLACES).find(|&places| Form::Decimal(places).fits(value))
}
