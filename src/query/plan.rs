//! query: which resolution serves a selector. The rule, and nothing that reads. Pure.
//!
//! 1. Samples wherever they are held; before that five-minute buckets; before those hours.
//! 2. One exception: a selector that would read more than [`MANY`] samples and looks at an hour or
//!    more at a time (the length of its windows, or the step where it has none) is answered from
//!    five-minute buckets, if they hold all that its function asks for.

use super::source::{Hints, Part, Resolution};

/// More samples than this are too many for one selector, where buckets serve as well: one series
/// for a month at the default beat is still below.
pub const MANY: u64 = 300_000;

/// A selector that looks at this much at a time (ms), twelve buckets, may be answered from buckets.
pub const WIDE: i64 = 3_600_000;

/// How far back a store reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Every sample from this time on (ms).
    pub raw_from: i64,
    /// Buckets up to this time (ms), itself excluded.
    pub rolled_until: i64,
}

/// The time (ms) from which samples are read; buckets are read before it. `samples` returns the
/// approximate number of samples that the selector would read; it is only called where that
/// matters, with the earliest stored time.
pub fn raw_from<E>(
    held: Held,
    hints: &Hints,
    (start, end): (i64, i64),
    samples: impl FnOnce(i64) -> Result<u64, E>,
) -> Result<i64, E> {
    if hints.finest > Resolution::Raw {
        return Ok(held.rolled_until);
    }
    let hour = Resolution::Hour.width();
    // On an hour's edge, so that no bucket and no hour lies across it.
    let held_from = match held.raw_from.rem_euclid(hour) {
        _ if held.raw_from == i64::MIN => i64::MIN,
        0 => held.raw_from.min(held.rolled_until),
        past => held.raw_from.saturating_add(hour - past).min(held.rolled_until),
    };
    let rolled = end.min(held.rolled_until);
    let from = start.max(held_from);
    let wide = hints.range.max(if hints.range > 0 { 0 } else { hints.step }) >= WIDE;
    if wide && rolled > from && is_exact(hints.function) && samples(from)? > MANY {
        return Ok(held.rolled_until);
    }
    Ok(held_from)
}

/// Whether whole buckets say of a function's windows what the samples say.
pub fn is_exact(function: &str) -> bool {
    matches!(
        function,
        "" | "avg_over_time"
            | "min_over_time"
            | "max_over_time"
            | "sum_over_time"
            | "count_over_time"
            | "last_over_time"
            | "present_over_time"
            | "absent_over_time"
            | "rate"
            | "increase"
            | "delta"
            | "resets"
    )
}

/// The parts of a bucket that a function needs.
pub fn parts(function: &str) -> &'static [Part] {
    use Part::*;
    match function {
        "avg_over_time" | "deriv" | "predict_linear" => &[Count, Sum],
        "sum_over_time" => &[Sum],
        "count_over_time" => &[Count],
        "min_over_time" | "ts_of_min_over_time" => &[Min],
        "max_over_time" | "ts_of_max_over_time" => &[Max],
        "rate" | "increase" | "delta" | "irate" | "idelta" => &[Last, Lost],
        "resets" => &[Resets, Last],
        "quantile_over_time" | "stddev_over_time" | "stdvar_over_time" | "mad_over_time" => {
            &[Count, Sum, Min, Max]
        }
        _ => &[Last],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn chosen(held: Held, hints: Hints, span: (i64, i64), samples: u64) -> i64 {
        raw_from(held, &hints, span, |_| Ok::<u64, ()>(samples)).expect("no errors here")
    }

    #[test]
    fn samples_serve_wherever_they_are_held() {
        let held = Held { raw_from: i64::MIN, rolled_until: 100 * DAY };
        let hints = Hints { range: DAY, function: "max_over_time", ..Hints::default() };
        assert_eq!(chosen(held, hints, (0, 100 * DAY), MANY), i64::MIN);
        let held = Held { raw_from: 70 * DAY + 1, rolled_until: 100 * DAY };
        let edge = 70 * DAY + Resolution::Hour.width();
        assert_eq!(chosen(held, hints, (0, 100 * DAY), MANY), edge);
        // Samples that are not rolled up are read as they are, however old.
        let held = Held { raw_from: 70 * DAY + 1, rolled_until: 60 * DAY };
        assert_eq!(chosen(held, hints, (0, 100 * DAY), MANY), 60 * DAY);
    }

    #[test]
    fn many_samples_in_wide_windows_are_buckets_instead() {
        let held = Held { raw_from: i64::MIN, rolled_until: 100 * DAY };
        let wide = Hints { range: WIDE, function: "max_over_time", ..Hints::default() };
        let span = (0, 100 * DAY);
        assert_eq!(chosen(held, wide, span, MANY + 1), held.rolled_until);
        for spared in [
            Hints { range: WIDE - 1, ..wide },
            Hints { range: WIDE - 1, step: DAY, ..wide },
            Hints { function: "quantile_over_time", ..wide },
            Hints { range: 0, step: WIDE - 1, function: "", ..wide },
        ] {
            assert_eq!(chosen(held, spared, span, u64::MAX), i64::MIN, "{spared:?}");
        }
        let plain = Hints { range: 0, step: WIDE, function: "", ..wide };
        assert_eq!(chosen(held, plain, span, MANY + 1), held.rolled_until);
        // Newer than all rollups.
        assert_eq!(chosen(held, wide, (100 * DAY, 101 * DAY), u64::MAX), i64::MIN);
    }
}
