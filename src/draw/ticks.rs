//! draw: the marks of the value axis, and their texts.

use crate::model::Unit;
use crate::model::unit::{digits, joined};

/// An axis of values.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Value and text, from low to high.
    pub(super) ticks: Vec<(f64, String)>,
}

/// Below this they are as good as zero.
const SMALLEST: f64 = 1e-290;
/// Beyond this, the difference of two values overflows.
const LARGEST: f64 = 1e300;

/// Lengths of time between two marks, in seconds, above the ones that are decimal.
const TIMES: [f64; 19] = [
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1_800.0,
    3_600.0,
    7_200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    432_000.0,
    864_000.0,
    1_728_000.0,
    4_320_000.0,
];

/// An axis for values from `low` to `high` with at most this many steps between its marks.
pub(super) fn axis(low: f64, high: f64, unit: &Unit, most: usize) -> Axis {
    let (low, high) = room(low, high);
    let most = most.max(1) as f64;
    let mut step = step_from((high - low) / most, high.abs().max(low.abs()), unit);
    // Rounding outwards may need one step more than there is room for.
    for _ in 0..3 {
        if (high / step).ceil() - (low / step).floor() <= most {
            break;
        }
        step = step_from(step * 1.01, high.abs().max(low.abs()), unit);
    }
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    let size = unit.size(first.abs().max(last.abs()) * step);
    let text = |value: f64| {
        let number = value / size.divisor;
        let each = step / size.divisor;
        if !(1e-6..1e7).contains(&each) {
            // As many digits as are needed to distinguish two marks.
            let largest = (high.abs().max(low.abs()) / step).log10().ceil();
            let places = largest.clamp(1.0, 9.0) as usize;
            return joined(&format!("{value:.places$e}"), &unit.size(0.0).word);
        }
        // As many decimal places as are needed to distinguish two marks.
        let places = (0..7).find(|p| {
            let scaled = each * 10f64.powi(*p);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        });
        match places {
            Some(places) => joined(&format!("{number:.*}", places as usize), &size.word),
            None => joined(&digits(number, 4, true), &size.word),
        }
    };
    let count = (last - first).clamp(1.0, 50.0) as i32;
    let ticks = (0..=count)
        .map(|i| {
            let value = (first + f64::from(i)) * step;
            // Zero needs no places behind the point.
            let zero = || joined("0", &size.word);
            (value, if value == 0.0 { zero() } else { text(value) })
        })
        .collect();
    Axis { low: first * step, high: (first + f64::from(count)) * step, ticks }
}

/// The range of the axis: from zero, unless that would flatten the values; never without height.
fn room(low: f64, high: f64) -> (f64, f64) {
    let (low, high) = (low.clamp(-LARGEST, LARGEST), high.clamp(-LARGEST, LARGEST));
    let (low, high) = if low >= 0.0 && low < high * 0.7 {
        (0.0, high)
    } else if high <= 0.0 && high > low * 0.7 {
        (low, 0.0)
    } else {
        (low, high)
    };
    // Noise in the last digit is no mountain.
    let least = (high.abs().max(low.abs()) * 0.01).max(SMALLEST);
    if high - low >= least {
        return (low, high);
    }
    match (low, high) {
        // Between very small numbers there are not enough others for marks.
        _ if high.abs().max(low.abs()) < SMALLEST => (if low < 0.0 { -1.0 } else { 0.0 }, 1.0),
        _ => {
            let middle = low / 2.0 + high / 2.0;
            let around = middle.abs() * 0.05;
            (middle - around, middle + around)
        }
    }
}

/// The smallest good step that is no smaller.
fn step_from(least: f64, largest: f64, unit: &Unit) -> f64 {
    match unit {
        Unit::Bytes | Unit::BytesPerSecond if least > 0.5 => {
            let mut step = 1.0;
            while step < least && step < LARGEST {
                step *= 2.0;
            }
            step
        }
        Unit::Seconds if largest >= 120.0 && least > 10.0 => {
            let days = |least: f64| decimal(least / 86_400.0) * 86_400.0;
            TIMES.iter().copied().find(|t| *t >= least).unwrap_or_else(|| days(least))
        }
        _ => decimal(least),
    }
}

/// 1, 2 or 5 times a power of ten.
fn decimal(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|m| m * power)
        .find(|s| *s >= least * 0.999_999)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(low: f64, high: f64, unit: &Unit, most: usize) -> Vec<String> {
        axis(low, high, unit, most).ticks.into_iter().map(|(_, t)| t).collect()
    }

    #[test]
    fn marks_are_round_numbers_in_one_size() {
        assert_eq!(texts(0.1, 0.93, &Unit::Plain, 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(0.0, 3.1e9, &Unit::Bytes, 4), ["0 GiB", "1 GiB", "2 GiB", "3 GiB"]);
        assert_eq!(texts(0.0, 0.4, &Unit::Share, 4), ["0 %", "10 %", "20 %", "30 %", "40 %"]);
        assert_eq!(
            texts(0.0, 7000.0, &Unit::Seconds, 4),
            ["0 h", "0.5 h", "1.0 h", "1.5 h", "2.0 h"]
        );
        assert_eq!(texts(-5.0, 4.0, &Unit::Celsius, 4), ["−5 °C", "0 °C", "5 °C"]);
    }

    #[test]
    fn whatever_the_values_there_is_an_axis_that_holds_them() {
        for (low, high) in [
            (0.0, 0.0),
            (5.0, 5.0),
            (-3.0, -3.0),
            (1e300, 1.7e308),
            (-1.7e308, 1.7e308),
            (1e-300, 2e-300),
            (5e-324, 5e-324),
            (1.7e9, 1.7e9 + 1.0),
            (0.999_999_999, 1.0),
            (-1.0, 1e12),
        ] {
            for unit in [Unit::Plain, Unit::Bytes, Unit::Seconds, Unit::Share] {
                for most in [1, 2, 4, 9] {
                    let axis = axis(low, high, &unit, most);
                    let (a, b) = (low.clamp(-LARGEST, LARGEST), high.clamp(-LARGEST, LARGEST));
                    assert!(axis.low <= a && axis.high >= b * 0.999_999, "{low} {high} {axis:?}");
                    assert!(axis.low < axis.high && axis.ticks.len() >= 2, "{axis:?}");
                    assert!(axis.ticks.len() <= most + 2, "{low} {high} {unit:?} {most} {axis:?}");
                    let mut texts: Vec<&String> = axis.ticks.iter().map(|(_, t)| t).collect();
                    texts.dedup();
                    assert_eq!(texts.len(), axis.ticks.len(), "two marks say the same: {axis:?}");
                }
            }
        }
    }
}
