//! overview: the distances of readings on a line, place by place: imported history has rows of
//! minutes, hours and days, one after the other, and each kind belongs together. The increase of a
//! counter between two readings. Pure: all views use this.

use crate::store::Summary;

/// Distances looked at on either side.
const AROUND: usize = 4;

/// The usual distance (ms) of times around each pair of neighbours: that before it or after it,
/// whichever is larger. There is one distance less than times.
fn usual(times: &[i64]) -> Vec<i64> {
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

/// The largest distance (ms) of samples that are joined, for this usual distance: two may be
/// missing, and one may be late. Beyond that the values between are unknown.
pub fn gap(usual: i64) -> i64 {
    usual.saturating_mul(7) / 2
}

/// How far apart (ms) buckets of this width may begin and still hang together. Both reckon with the
/// samples in them, of which [`gap`] tells.
pub(super) fn gap_of_buckets(found: &[Summary], width: i64) -> i64 {
    let usual = distance_of_samples(found);
    width.max(usual).saturating_add(gap(usual) - usual)
}

/// The usual distance between two samples (ms) in buckets; 0 in fewer than two.
fn distance_of_samples(found: &[Summary]) -> i64 {
    let apart = median(found.windows(2).map(|p| p[1].last_ts - p[0].last_ts).collect());
    let each = median(found.iter().map(|b| i64::try_from(b.count).unwrap_or(1)).collect());
    apart / each.max(1)
}

fn median(mut all: Vec<i64>) -> i64 {
    let middle = all.len() / 2;
    if all.is_empty() { 0 } else { *all.select_nth_unstable(middle).1 }
}

/// Whether each bucket of this width (ms) is joined to the one before it: by the samples in them,
/// or because they are as close as rows are there. Before `old` there may be rows instead of
/// samples, and rows are never late. There is one result less than buckets.
pub(super) fn together(found: &[Summary], width: i64, old: i64) -> Vec<bool> {
    let times: Vec<i64> = found.iter().map(|b| b.last_ts).collect();
    let near = gap_of_buckets(&found[found.partition_point(|b| b.start < old)..], width);
    let pairs = found.windows(2).zip(usual(&times));
    pairs
        .map(|(pair, usual)| {
            let near = if pair[1].start < old { width } else { near };
            let apart = pair[1].last_ts - pair[0].last_ts;
            // A row that is missing makes it twice as far.
            pair[1].start - pair[0].start <= near || apart <= usual + usual / 4 * 3
        })
        .collect()
}

/// The increase of a counter from one value to the next. One that has become smaller began at zero
/// again.
pub fn grown(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now }
}

/// The increase of a counter from the newest sample of one bucket to that of the next, see
/// [`Summary::lost`].
pub(super) fn grown_over(before: &Summary, now: &Summary) -> f64 {
    (now.last - before.last + now.lost).max(0.0)
}

/// The rate of a counter whose samples come one by one.
#[derive(Debug, Clone, Default)]
pub struct Running {
    before: Option<(i64, f64)>,
    /// The last distances between two samples, ms; 0 if there were fewer.
    apart: [i64; 5],
    rate: Option<f64>,
}

impl Running {
    /// Takes a sample (its time in ms since 1970 UTC) and returns the rate since the one before it;
    /// `None` for the first, and beyond a [`gap`]. A sample that is not newer changes nothing.
    pub fn take(&mut self, ts: i64, value: f64) -> Option<f64> {
        let Some((before, was)) = self.before else {
            self.before = Some((ts, value));
            return None;
        };
        let apart = ts - before;
        if apart <= 0 {
            return self.rate;
        }
        let known = median(self.apart.iter().copied().filter(|a| *a > 0).collect());
        let joined = known == 0 || apart <= gap(known);
        self.rate = joined.then(|| grown(was, value) * 1e3 / apart as f64);
        self.apart.rotate_right(1);
        self.apart[0] = apart;
        self.before = Some((ts, value));
        self.rate
    }
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
        let joined = together(&at(&hours), HOUR, i64::MAX);
        let apart: Vec<i64> =
            (0..joined.len()).filter(|i| !joined[*i]).map(|i| hours[i + 1]).collect();
        assert_eq!(apart, [120, 185]);
        assert_eq!(together(&at(&[0]), HOUR, i64::MAX), [false; 0]);
        assert_eq!(together(&at(&[0, 9]), HOUR, i64::MAX), [false]);
    }

    #[test]
    fn two_samples_may_be_missing_and_not_three() {
        let seconds = |all: &[i64]| {
            all.iter().map(|s| Summary { last_ts: s * 1_000, ..at(&[0])[0] }).collect::<Vec<_>>()
        };
        let mut found = seconds(&[0, 10, 20, 50, 60, 70, 80, 120, 130]);
        found.iter_mut().for_each(|b| b.start = b.last_ts);
        let joined = together(&found, 2_000, i64::MIN);
        assert_eq!(joined, [true, true, true, true, true, true, false, true]);
    }

    #[test]
    fn samples_that_come_one_by_one_have_the_same_gaps() {
        let mut one = Running::default();
        let mut take = |s: i64, value: f64| one.take(s * 1_000, value);
        assert_eq!(take(0, 100.0), None);
        assert_eq!(take(10, 200.0), Some(10.0));
        assert_eq!(take(10, 900.0), Some(10.0), "not newer");
        assert_eq!(take(40, 500.0), Some(10.0));
        assert_eq!(take(50, 30.0), Some(3.0), "began at zero again");
        assert_eq!(take(60, 40.0), Some(1.0));
        assert_eq!(take(100, 80.0), None, "three are missing");
        assert_eq!(take(110, 90.0), Some(1.0));
    }
}
