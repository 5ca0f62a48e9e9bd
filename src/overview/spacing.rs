//! overview: how far apart readings of a line lie, place by place: what another tool remembered has
//! rows of minutes, of hours and of days, one after the other, and each hangs together. Pure.

use crate::store::Summary;

/// Distances looked at on either side.
const AROUND: usize = 4;

/// How far apart (ms) times usually lie around each pair of neighbours: as those before it, or as
/// those after it, whichever is further. One distance less than there are times.
pub fn usual(times: &[i64]) -> Vec<i64> {
    let apart: Vec<i64> = times.windows(2).map(|w| w[1] - w[0]).collect();
    let median = |some: &[i64]| {
        let mut some = some.to_vec();
        some.sort_unstable();
        some.get(some.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    };
    let around = |i: usize| {
        let before = &apart[i.saturating_sub(AROUND)..i];
        let after = &apart[i + 1..(i + 1 + AROUND).min(apart.len())];
        median(before).max(median(after))
    };
    (0..apart.len()).map(around).collect()
}

/// Whether each bucket hangs together with the one before it: they lie side by side, or no further
/// apart than readings do there. `near`: so far apart (ms) they do in any case. One less than there
/// are buckets.
pub fn together(found: &[Summary], near: i64) -> Vec<bool> {
    let times: Vec<i64> = found.iter().map(|b| b.last_ts).collect();
    let usual = usual(&times);
    let pairs = found.windows(2).zip(usual);
    pairs
        .map(|(pair, usual)| {
            let apart = pair[1].last_ts - pair[0].last_ts;
            // One that is missing makes it twice as far.
            pair[1].start - pair[0].start <= near || apart <= usual + usual / 4 * 3
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(hours: &[i64]) -> Vec<Summary> {
        let one = |h: &i64| Summary {
            start: h * HOUR,
            count: 1,
            sum: 0.0,
            min: 0.0,
            max: 0.0,
            last: 0.0,
            last_ts: h * HOUR,
            lost: 0.0,
        };
        hours.iter().map(one).collect()
    }

    #[test]
    fn rows_of_each_length_hang_together_and_what_is_missing_does_not() {
        // Days, one of them missing; then two hours; then hours, some of them missing.
        let hours =
            [0, 24, 48, 72, 120, 144, 168, 170, 172, 174, 176, 177, 178, 179, 185, 186, 187];
        let joined = together(&at(&hours), HOUR);
        let apart: Vec<i64> =
            (0..joined.len()).filter(|i| !joined[*i]).map(|i| hours[i + 1]).collect();
        assert_eq!(apart, [120, 185]);
        assert_eq!(together(&at(&[0]), HOUR), [false; 0]);
        assert_eq!(together(&at(&[0, 9]), HOUR), [false]);
    }
}
