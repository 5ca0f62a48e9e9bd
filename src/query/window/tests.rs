//! query: the windows against the plainest way of computing them, and by hand.

use proptest::prelude::*;

use super::super::float::{ABSENT, is_absent};
use super::*;

fn ends(first: i64, step: i64, count: usize, range: i64) -> Ends {
    Ends { first, step, count, range }
}

fn run(
    function: impl Fn(Samples<'_>, Ends, &mut [f64]),
    times: &[i64],
    values: &[f64],
    ends: Ends,
) -> Vec<f64> {
    let mut out = vec![ABSENT; ends.count];
    function(Samples { times, values }, ends, &mut out);
    out
}

#[test]
fn windows_are_open_on_the_left_and_closed_on_the_right() {
    let times = [0, 10, 20, 30];
    let out = run(count, &times, &[1.0; 4], ends(10, 10, 4, 10));
    assert_eq!(out[..3], [1.0; 3]);
    assert!(is_absent(out[3]));
}

#[test]
fn a_counter_is_stretched_to_the_edges_but_not_below_zero() {
    let times: Vec<i64> = (0..=10).map(|i| i * 10_000).collect();
    let values: Vec<f64> = (0..=10).map(|i| f64::from(i) * 10.0).collect();
    let rate = |s: Samples<'_>, e: Ends, o: &mut [f64]| extrapolated(Slope::Rate, s, e, o);
    let increase = |s: Samples<'_>, e: Ends, o: &mut [f64]| extrapolated(Slope::Increase, s, e, o);
    assert_eq!(run(rate, &times, &values, ends(100_000, 0, 1, 50_000)), [1.0]);
    // From 10 at 10 s on: zero was at 0 s, and no further back.
    assert_eq!(run(increase, &times[1..3], &values[1..3], ends(20_000, 0, 1, 60_000)), [15.0]);
    assert_eq!(run(increase, &times, &values, ends(100_000, 0, 1, 60_000)), [60.0]);
}

#[test]
fn a_reset_counts_what_came_after_it() {
    let times = [0, 10_000, 20_000, 30_000];
    let values = [50.0, 60.0, 5.0, 15.0];
    let increase = |s: Samples<'_>, e: Ends, o: &mut [f64]| extrapolated(Slope::Increase, s, e, o);
    // 10 + 5 + 10 over 30 s of 30.001 s.
    let out = run(increase, &times, &values, ends(30_000, 0, 1, 30_001));
    assert!((out[0] - 25.0).abs() < 0.01, "{out:?}");
    let irate = |s: Samples<'_>, e: Ends, o: &mut [f64]| instant(true, s, e, o);
    assert_eq!(run(irate, &times, &values, ends(20_000, 10_000, 2, 20_000)), [0.5, 1.0]);
}

/// Sample times with gaps, values with resets and NaN.
fn samples() -> impl Strategy<Value = (Vec<i64>, Vec<f64>)> {
    let value = prop_oneof![
        6 => (0..20_i32).prop_map(f64::from),
        2 => -1e3..1e3,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-0.0),
    ];
    prop::collection::vec((1..40_i64, value), 0..60).prop_map(|list| {
        let mut now = 0;
        list.into_iter()
            .map(|(gap, value)| {
                now += gap;
                (now, value)
            })
            .unzip()
    })
}

/// The plain formula of one window.
fn stretched(slope: Slope, times: &[i64], values: &[f64], end: i64, range: i64) -> f64 {
    let (last, counter) = (times.len() - 1, slope != Slope::Delta);
    let mut gain = values[last] - values[0];
    for pair in values.windows(2).filter(|pair| counter && pair[1] < pair[0]) {
        gain += pair[0];
    }
    let sampled = (times[last] - times[0]) as f64 / 1000.0;
    let mut to_start = (times[0] - (end - range)) as f64 / 1000.0;
    let mut to_end = (end - times[last]) as f64 / 1000.0;
    let between = sampled / last as f64;
    if to_start >= between * 1.1 {
        to_start = between / 2.0;
    }
    if counter {
        let zero = sampled * (values[0] / gain);
        let to_zero = if gain > 0.0 && values[0] >= 0.0 { zero } else { to_start };
        to_start = if to_zero < to_start { to_zero } else { to_start };
    }
    if to_end >= between * 1.1 {
        to_end = between / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    gain * if slope == Slope::Rate { factor / (range as f64 / 1000.0) } else { factor }
}

proptest! {
    #[test]
    fn a_stretch_that_is_kept_changes_no_bit(
        values in prop::collection::vec(
            prop_oneof![
                6 => (0..1000_i32).prop_map(f64::from),
                2 => any::<u64>().prop_map(f64::from_bits),
                1 => (0..1000_i32, -320..308_i32).prop_map(|(n, e)| f64::from(n) * 10f64.powi(e)),
            ],
            0..80,
        ),
        sorted in any::<bool>(),
        gaps in prop::collection::vec(1..4_i64, 80),
        (first, step, range) in (0..200_i64, 1..60_i64, 2..200_i64),
    ) {
        let mut values: Vec<f64> = values.into_iter().filter(|v| !is_absent(*v)).collect();
        if sorted {
            values.sort_by(f64::total_cmp);
        }
        // Mostly a grid, with a sample missing here and there.
        let gaps = gaps.iter().map(|gap| (gap / 3 + 1) * 5);
        let times: Vec<i64> = gaps.scan(0, |at, gap| { *at += gap; Some(*at) }).take(values.len()).collect();
        for slope in [Slope::Rate, Slope::Increase, Slope::Delta] {
            let all = ends(first, step, 20, range);
            let out = run(|s, e, o| extrapolated(slope, s, e, o), &times, &values, all);
            for (i, got) in out.iter().enumerate() {
                let end = first + step * i as i64;
                let (lo, hi) = (times.partition_point(|t| *t <= end - range), times.partition_point(|t| *t <= end));
                if hi < lo + 2 {
                    prop_assert!(is_absent(*got));
                } else {
                    let plain = stretched(slope, &times[lo..hi], &values[lo..hi], end, range);
                    let same = got.to_bits() == plain.to_bits() || got.is_nan() && plain.is_nan();
                    prop_assert!(same, "{got} but {plain}");
                }
            }
        }
    }

    /// State that moves from window to window gives the same bits as each window on its own.
    #[test]
    fn moving_along_changes_no_bit(
        (times, values) in samples(),
        first in -50..200_i64, step in 0..90_i64, count_ in 1..30_usize, range in 1..200_i64,
    ) {
        type Function = fn(Samples<'_>, Ends, &mut [f64]);
        let functions: [Function; 14] = [
            count,
            last,
            first_time,
            |s, e, o| extrapolated(Slope::Rate, s, e, o),
            |s, e, o| extrapolated(Slope::Delta, s, e, o),
            |s, e, o| neighbours(s, e, o, is_reset),
            |s, e, o| neighbours(s, e, o, is_change),
            |s, e, o| extreme(true, s, e, o),
            |s, e, o| extreme(false, s, e, o),
            |s, e, o| extreme_time(true, s, e, o),
            |s, e, o| extreme_time(false, s, e, o),
            sum,
            mean,
            |s, e, o| variance(true, s, e, o),
        ];
        let all = ends(first, step, count_, range);
        for (which, function) in functions.iter().enumerate() {
            let out = run(function, &times, &values, all);
            for (i, got) in out.iter().enumerate() {
                let end = first + step * i as i64;
                let inside: Vec<usize> =
                    (0..times.len()).filter(|j| times[*j] > end - range && times[*j] <= end).collect();
                let t: Vec<i64> = inside.iter().map(|j| times[*j]).collect();
                let v: Vec<f64> = inside.iter().map(|j| values[*j]).collect();
                let alone = run(function, &t, &v, ends(end, 0, 1, range))[0];
                prop_assert!(
                    got.to_bits() == alone.to_bits() || got.is_nan() && alone.is_nan() && is_absent(*got) == is_absent(alone),
                    "function {which} at {end}: {got} but alone {alone}"
                );
            }
        }
    }

    #[test]
    fn extremes_are_what_a_look_at_all_gives((times, values) in samples(), range in 1..500_i64) {
        let end = *times.last().unwrap_or(&0);
        let out = run(|s, e, o| extreme(true, s, e, o), &times, &values, ends(end, 0, 1, range))[0];
        let mut best: Option<f64> = None;
        for (t, v) in times.iter().zip(&values) {
            if *t > end - range && best.is_none_or(|b| *v > b || b.is_nan()) {
                best = Some(*v);
            }
        }
        match best {
            None => prop_assert!(is_absent(out)),
            Some(b) => prop_assert!(out == b || out.is_nan() && b.is_nan()),
        }
    }
}
