//! plugin: the values that are stored of one field, reading by reading.
//! docs/adr/0004-munin-series.md has the reasons. Pure: times come in, in ms.

use super::memory::Stood;
use crate::model::counter::is_correction;
use crate::model::{Kind, Range};
use crate::wire::munin::{FieldConfig, Type};

const BITS_32: f64 = 4_294_967_296.0;
/// How far back a reading may lie and still be a repetition after a restart. Beyond that, the clock
/// has been set.
const SET_BACK_MS: i64 = 60_000;
const BITS_64: f64 = 18_446_744_073_709_551_616.0;

/// The state of one field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rate {
    how: How,
    bounds: Range,
    /// Time and value of the last reading from the plugin; the value before it while that is held.
    last: Option<(i64, f64)>,
    /// The difference from the plugin's value to the stored one: wraps, and rates that were out of
    /// bounds. For an ABSOLUTE, the sum so far.
    offset: f64,
    /// `last` is from before a restart: the clock may have been set since.
    resumed: bool,
    /// Whether it has wrapped since the state was last saved.
    wrapped: bool,
    /// The plugin tells a little less than is stored, which is held.
    held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Gauge,
    /// A DERIVE that may fall: its rate.
    Change,
    /// A DERIVE that may not.
    Grows,
    Counter,
    Absolute,
    /// A counter of a plugin that describes nothing.
    Plain,
}

impl Rate {
    /// The state of a series that comes with its kind.
    pub(super) fn plain(kind: Kind) -> Self {
        let how = if kind == Kind::Counter { How::Plain } else { How::Gauge };
        Self { how, ..Self::new(&FieldConfig::default()) }
    }

    /// The value to store of a reading that has no bounds; see [`is_correction`].
    pub(super) fn store_plain(&mut self, ts: i64, value: f64) -> f64 {
        if !matches!(self.how, How::Plain | How::Counter) || value.is_nan() {
            return value;
        }
        match self.last {
            // A value older than the last one is a recording.
            Some((then, _)) if ts <= then => value,
            Some((_, before)) if is_correction(before, value) => {
                self.last = Some((ts, before));
                before
            }
            _ => {
                self.last = Some((ts, value));
                value
            }
        }
    }

    pub(super) fn new(field: &FieldConfig) -> Self {
        let how = match (field.kind, field.series_kind()) {
            (Type::Gauge, _) => How::Gauge,
            (Type::Derive, Kind::Gauge) => How::Change,
            (Type::Derive, Kind::Counter) => How::Grows,
            (Type::Counter, _) => How::Counter,
            (Type::Absolute, _) => How::Absolute,
        };
        let (resumed, wrapped, held) = (false, false, false);
        Self { how, bounds: field.bounds, last: None, offset: 0.0, resumed, wrapped, held }
    }

    /// Whether this state continues for the field with a new description.
    pub(super) fn continues(&self, with: &Self) -> bool {
        self.how == with.how && self.bounds == with.bounds
    }

    /// The state to save, if it is needed to continue: for counters, and for growing values whose
    /// stored value differs from the plugin's.
    pub(super) fn stands(&self) -> Option<Stood> {
        let (ts, told) = self.last?;
        let counts = match self.how {
            How::Counter => true,
            How::Grows => self.offset != 0.0 || self.held,
            _ => false,
        };
        counts.then_some(Stood { ts, told, offset: self.offset })
    }

    /// Continues from a saved state.
    pub(super) fn resume(&mut self, from: Stood) {
        if matches!(self.how, How::Counter | How::Grows) {
            (self.last, self.offset) = (Some((from.ts, from.told)), from.offset);
            self.resumed = true;
        }
    }

    /// Whether it has wrapped since this was last asked.
    pub(super) fn take_wrapped(&mut self) -> bool {
        std::mem::take(&mut self.wrapped)
    }

    /// The value to store of a reading; `None` if it is out of bounds, or a repetition.
    pub(super) fn store(&mut self, ts: i64, value: f64) -> Option<f64> {
        if self.how == How::Gauge {
            return self.bounds.holds(value).then_some(value);
        }
        if self.resumed && self.last.is_some_and(|(then, _)| ts < then - SET_BACK_MS) {
            self.last = None;
            self.offset = 0.0;
        }
        let Some((then, before)) = self.last.filter(|_| value.is_finite()) else {
            if !value.is_finite() {
                return None;
            }
            self.last = Some((ts, value));
            self.resumed = false;
            return match self.how {
                How::Change => None,
                How::Absolute => {
                    self.offset = value;
                    Some(value)
                }
                _ => Some(value),
            };
        };
        let seconds = (ts - then) as f64 / 1e3;
        if seconds <= 0.0 {
            return None;
        }
        self.last = Some((ts, value));
        self.resumed = false;
        // The moment of measuring differs from its stamp by up to a beat: an idle CPU at its bound
        // must not lose every other sample. A rate of twice the bound is really out of bounds.
        let fits = |change: f64, bounds: &Range| {
            let max = bounds.max.map(|max| max.max(max * 2.0));
            let min = bounds.min.map(|min| min.min(min / 2.0));
            Range { min, max }.holds(change / seconds)
        };
        if self.how == How::Absolute {
            // It counts the increase since the last reading, which cannot be negative.
            if value < 0.0 || !fits(value, &self.bounds) {
                return None;
            }
            self.offset += value;
            return Some(self.offset);
        }
        let mut change = value - before;
        let corrected = is_correction(before, value);
        match self.how {
            How::Change => {
                return fits(change, &self.bounds).then_some(change / seconds);
            }
            How::Counter if change < 0.0 => {
                let wrap = if before < BITS_32 { BITS_32 } else { BITS_64 };
                let plausible = match self.bounds.max {
                    // To fall a little by a wrap, it would have run through most of its range.
                    Some(_) if corrected && before < wrap / 2.0 => false,
                    Some(max) => (change + wrap) / seconds <= max * 2.0,
                    // Beyond half of the range a new beginning is more likely.
                    None => change + wrap < wrap / 2.0,
                };
                if plausible {
                    self.offset += wrap;
                    self.wrapped = true;
                    change += wrap;
                }
            }
            _ => {}
        }
        self.held = change < 0.0 && corrected;
        if self.held {
            self.last = Some((ts, before));
            return Some(before + self.offset);
        }
        if change < 0.0 {
            // It has begun again. So does the stored value, and rate() handles that.
            self.offset = 0.0;
            return Some(value);
        }
        if !fits(change, &self.bounds) {
            // The time in between is unknown: the stored value continues from its last one.
            self.offset -= change;
            return None;
        }
        Some(value + self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: Type, min: Option<f64>, max: Option<f64>) -> Rate {
        let bounds = Range { min, max };
        Rate::new(&FieldConfig { kind, bounds, ..FieldConfig::default() })
    }

    /// Readings ten seconds apart.
    fn stored(mut rate: Rate, values: &[f64]) -> Vec<Option<f64>> {
        (0..).zip(values).map(|(n, v)| rate.store(n * 10_000, *v)).collect()
    }

    #[test]
    fn gauges_within_their_bounds() {
        let got = stored(field(Type::Gauge, Some(0.0), Some(10.0)), &[0.0, -1.0, 10.0, 11.0, 5.0]);
        assert_eq!(got, [Some(0.0), None, Some(10.0), None, Some(5.0)]);
    }

    #[test]
    fn a_derive_that_may_fall_is_its_rate() {
        let got = stored(field(Type::Derive, None, None), &[100.0, 200.0, 150.0]);
        assert_eq!(got, [None, Some(10.0), Some(-5.0)]);
    }

    #[test]
    fn a_derive_that_may_not_begins_anew() {
        let got = stored(field(Type::Derive, Some(0.0), None), &[100.0, 200.0, 30.0, 40.0]);
        assert_eq!(got, [Some(100.0), Some(200.0), Some(30.0), Some(40.0)]);
    }

    #[test]
    fn a_counter_that_falls_a_little_is_held() {
        // Debian's plugin `cpu` reports iowait like this.
        let told = [548_281.0, 548_282.0, 548_281.0, 548_282.0, 548_281.0, 548_290.0];
        let expected = [548_281.0, 548_282.0, 548_282.0, 548_282.0, 548_282.0, 548_290.0].map(Some);
        assert_eq!(stored(field(Type::Derive, Some(0.0), None), &told), expected);
        assert_eq!(stored(field(Type::Counter, None, None), &told), expected);
        assert_eq!(stored(field(Type::Counter, None, Some(1e9)), &told), expected);
        // A wrap by which a busy line of 32 bits falls a little is one all the same.
        let rate = field(Type::Counter, None, Some(6e8));
        let got = stored(rate, &[4.2e9, 3.7e9]);
        assert_eq!(got, [Some(4.2e9), Some(3.7e9 + BITS_32)]);
        // The difference to the stored value stays, and the counter may begin again.
        let rate = field(Type::Derive, Some(0.0), Some(20.0));
        let got = stored(rate, &[0.0, 100.0, 1_000_100.0, 1_000_099.0, 1_000_150.0, 5.0]);
        let expected = [Some(0.0), Some(100.0), None, Some(100.0), Some(150.0), Some(5.0)];
        assert_eq!(got, expected);
    }

    #[test]
    fn what_is_held_is_held_over_a_restart() {
        let make = || field(Type::Derive, Some(0.0), None);
        let mut before = make();
        before.store(0, 100.0);
        assert_eq!(before.stands(), None);
        assert_eq!(before.store(10_000, 99.0), Some(100.0));
        let mut after = make();
        after.resume(before.stands().expect("it is held"));
        assert_eq!(after.store(20_000, 99.0), Some(100.0));
        assert_eq!(after.store(30_000, 101.0), Some(101.0));
        assert_eq!(after.stands(), None);
    }

    #[test]
    fn a_counter_that_is_told_as_it_is_is_held_as_well() {
        let mut rate = Rate::plain(Kind::Counter);
        let told = [(0, 20.0), (10, 19.0), (5, 15.0), (20, 21.0), (30, 1.0), (40, f64::NAN)];
        let got = told.map(|(ts, value)| rate.store_plain(ts, value));
        assert_eq!(got[..5], [20.0, 20.0, 15.0, 21.0, 1.0]);
        assert!(got[5].is_nan() && rate.stands().is_none());
        let mut gauge = Rate::plain(Kind::Gauge);
        assert_eq!([20.0, 19.0].map(|v| gauge.store_plain(v as i64, v)), [20.0, 19.0]);
    }

    #[test]
    fn an_absolute_never_counts_backwards() {
        let got = stored(field(Type::Absolute, None, None), &[7.0, -3.0, 2.0]);
        assert_eq!(got, [Some(7.0), None, Some(9.0)]);
    }

    #[test]
    fn a_rate_out_of_bounds_leaves_no_trace_in_what_is_stored() {
        let rate = field(Type::Derive, Some(0.0), Some(20.0));
        let got = stored(rate, &[0.0, 100.0, 1_000_100.0, 1_000_200.0, 5.0, 15.0]);
        assert_eq!(got, [Some(0.0), Some(100.0), None, Some(200.0), Some(5.0), Some(15.0)]);
    }

    #[test]
    fn counters_wrap() {
        let top = BITS_32 - 50.0;
        let got = stored(field(Type::Counter, None, None), &[top, 50.0, 150.0]);
        assert_eq!(got, [Some(top), Some(top + 100.0), Some(top + 200.0)]);
        let top = BITS_64 - 1e15;
        let got = stored(field(Type::Counter, None, None), &[top, 1e15]);
        assert_eq!(got, [Some(top), Some(BITS_64 + 1e15)]);
        // A reboot is not a wrap: by the bound, or by half of the range.
        let got = stored(field(Type::Counter, None, Some(1e6)), &[4e9, 50.0, 100.0]);
        assert_eq!(got, [Some(4e9), Some(50.0), Some(100.0)]);
        let got = stored(field(Type::Counter, None, None), &[1e9, 50.0]);
        assert_eq!(got, [Some(1e9), Some(50.0)]);
    }

    #[test]
    fn after_a_restart_a_counter_goes_on_where_it_stood() {
        let make = || field(Type::Counter, None, None);
        let (mut before, top) = (make(), BITS_32 - 50.0);
        before.store(0, top);
        assert_eq!(before.store(10_000, 50.0), Some(top + 100.0));
        assert_eq!((before.take_wrapped(), before.take_wrapped()), (true, false));
        let stood = before.stands().expect("a counter");
        let mut after = make();
        after.resume(stood);
        assert_eq!(after.store(60_000, 250.0), Some(top + 300.0));
        assert_eq!(after.store(70_000, 260.0), Some(top + 310.0));
        // It wraps between two readings.
        let mut after = make();
        after.resume(Stood { told: top, ..stood });
        assert_eq!(after.store(60_000, 250.0), Some(2.0 * BITS_32 + 250.0));
        // A repeated moment is a repetition.
        let mut after = make();
        after.resume(stood);
        assert_eq!(after.store(10_000, 50.0), None);
        assert_eq!(after.store(20_000, 60.0), Some(top + 110.0));
        // A clock that was set back must not silence the field for years.
        let mut after = make();
        after.resume(Stood { ts: 1_000_000, ..stood });
        assert_eq!(after.store(60_000, 250.0), Some(250.0));
        assert_eq!(field(Type::Gauge, None, None).stands(), None);
    }

    #[test]
    fn what_came_since_the_last_time_adds_up() {
        let got = stored(field(Type::Absolute, Some(0.0), Some(10.0)), &[7.0, 50.0, 201.0, 3.0]);
        assert_eq!(got, [Some(7.0), Some(57.0), None, Some(60.0)]);
    }

    #[test]
    fn a_reading_told_twice_counts_once() {
        let mut rate = field(Type::Absolute, None, None);
        assert_eq!(rate.store(1_000, 5.0), Some(5.0));
        assert_eq!(rate.store(1_000, 5.0), None);
        assert_eq!(rate.store(500, 5.0), None);
        assert_eq!(rate.store(2_000, 5.0), Some(10.0));
        assert_eq!(rate.store(3_000, f64::INFINITY), None);
    }
}
