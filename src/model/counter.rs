//! model: counters that are held, for sources that let a counter fall a little. Pure; one number a
//! counter.
//!
//! A counter that falls has begun again at zero: that is how PromQL, and everything else that asks
//! for a rate, reads it. So one tick less in a counter of 548,282 becomes a rate of 54,828 %. Sources
//! do that: the kernel corrects its estimate of idle and iowait downwards, a hypervisor its estimate
//! of stolen time, programs add up what their parts tell while a part goes, clients of statsd
//! decrement. A real restart begins near zero. docs/ARCHITECTURE.md says where this rule holds.

/// A value of at least this share of the one before is a correction; less is a new beginning.
const CORRECTION: f64 = 0.5;

/// The stored value of one counter.
///
/// A fall to less than `CORRECTION` of the value counts as a restart. A larger share would turn
/// corrections into restarts, a smaller one restarts into corrections. The second mistake is cheaper:
/// a restart that is held costs at most the counts before it, while a correction that is passed on
/// adds all of them again. So the share is small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Held(f64);

impl Default for Held {
    fn default() -> Self {
        // Lower than all values, so the first value is stored as it is.
        Self(f64::NAN)
    }
}

impl Held {
    /// A counter whose stored value is `value`.
    pub fn at(value: f64) -> Self {
        Self(value)
    }

    /// The value to store when the source reports `now`: the last stored value until the source has
    /// passed it, or `now` if it is larger, or so much smaller that the source has begun again.
    #[inline]
    pub fn store(&mut self, now: f64) -> f64 {
        if now.is_nan() {
            return now;
        }
        if !is_correction(self.0, now) {
            self.0 = now;
        }
        self.0
    }

    /// The value to store when the source reports `now` and cannot have begun again: never less
    /// than before.
    #[inline]
    pub fn rise(&mut self, now: f64) -> f64 {
        self.0 = self.0.max(now);
        self.0
    }
}

/// Whether a counter that falls from one value to another has been corrected, and not begun again.
#[inline]
pub fn is_correction(before: f64, now: f64) -> bool {
    now < before && now >= before * CORRECTION
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(values: &[f64]) -> Vec<f64> {
        let mut held = Held::default();
        values.iter().map(|v| held.store(*v)).collect()
    }

    #[test]
    fn a_small_fall_is_held_until_the_source_has_passed_it() {
        assert_eq!(stored(&[72.94, 72.93, 72.94, 73.07]), [72.94, 72.94, 72.94, 73.07]);
        assert_eq!(stored(&[15.0, 12.0, 11.0, 16.0]), [15.0, 15.0, 15.0, 16.0]);
        // Small falls one after the other do not lower it.
        assert_eq!(stored(&[100.0, 60.0, 49.0]), [100.0, 100.0, 49.0]);
    }

    #[test]
    fn a_new_beginning_is_passed_on() {
        assert_eq!(stored(&[1e6, 0.0, 3.0, 2.0]), [1e6, 0.0, 3.0, 3.0]);
        let runaway = 1.844_674_406e19;
        assert_eq!(
            stored(&[runaway, runaway - 8e8, 500.0, 600.0]),
            [runaway, runaway, 500.0, 600.0]
        );
    }

    #[test]
    fn what_is_no_number_leaves_no_trace() {
        let values = stored(&[5.0, f64::NAN, 4.0, f64::INFINITY, 6.0]);
        assert!(values[1].is_nan());
        assert_eq!((values[0], values[2], values[4]), (5.0, 5.0, 6.0));
    }

    #[test]
    fn what_cannot_begin_again_only_rises() {
        let mut held = Held::at(0.0);
        assert_eq!(
            [-1.0, 15.0, 12.0, 1.0, 16.0].map(|v| held.rise(v)),
            [0.0, 15.0, 15.0, 15.0, 16.0]
        );
    }
}
