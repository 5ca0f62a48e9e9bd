//! query: functions over windows of buckets, each of which stands for many samples, and of the
//! samples that follow them. A bucket counts for the window that its end lies in.

use super::super::float::{Kahan, nan_first};
use super::super::source::{Part, Rollups};
use super::{Ends, Samples, Slope, Window, each, is_reset};

/// Buckets and the samples after them in one row; a sample is a bucket of one.
#[derive(Debug, Default)]
pub struct Mixed {
    times: Vec<i64>,
    parts: [Vec<f64>; Part::COUNT],
}

/// A value and how many samples it stands for.
type Weighted = (f64, f64);

impl Mixed {
    /// Takes these parts of the buckets, and the samples up to `until` (ms).
    pub fn fill(&mut self, rollups: &Rollups, parts: &[Part], samples: Samples<'_>, until: i64) {
        let tail = samples.times.partition_point(|t| *t <= until);
        let values = &samples.values[..tail];
        // Room for both at once: otherwise a year would be moved for a handful of samples after it.
        let all = rollups.ends.len() + tail;
        self.times.clear();
        self.times.reserve(all);
        self.times.extend_from_slice(&rollups.ends);
        self.times.extend_from_slice(&samples.times[..tail]);
        for part in parts {
            let column = &mut self.parts[*part as usize];
            column.clear();
            column.reserve(all);
            column.extend_from_slice(rollups.part(*part));
            match part {
                Part::Count => column.resize(self.times.len(), 1.0),
                Part::Resets | Part::Lost => column.resize(self.times.len(), 0.0),
                _ => column.extend_from_slice(values),
            }
        }
        for part in parts.iter().filter(|p| matches!(p, Part::Resets | Part::Lost)) {
            self.find_resets(*part);
        }
    }

    /// Treats a value below the one before as a reset, whatever the bucket says: the store counts
    /// resets only for known counters.
    fn find_resets(&mut self, part: Part) {
        let [.., last, resets, lost] = &mut self.parts;
        let column = if part == Part::Lost { lost } else { resets };
        for (i, pair) in last.windows(2).enumerate() {
            if is_reset(pair[0], pair[1]) && column[i + 1] == 0.0 {
                column[i + 1] = if part == Part::Lost { pair[0] } else { 1.0 };
            }
        }
    }

    /// One part, as if it were samples.
    pub fn part(&self, part: Part) -> Samples<'_> {
        Samples { times: &self.times, values: &self.parts[part as usize] }
    }

    /// The mean of each, in the middle of buckets that are `width` (ms) long.
    pub fn middles(&mut self, width: i64) -> Samples<'_> {
        let [count, sum, _, _, mean, ..] = &mut self.parts;
        mean.clear();
        mean.extend(sum.iter().zip(count.iter()).map(|(sum, count)| sum / count));
        for (time, count) in self.times.iter_mut().zip(count.iter()) {
            *time -= if *count > 1.0 { width / 2 } else { 0 };
        }
        Samples { times: &self.times, values: mean }
    }

    fn of(&self, part: Part, w: Window) -> &[f64] {
        &self.parts[part as usize][w.lo..w.hi]
    }

    /// A part summed up, of windows that are as much longer than `asked` (ms) as whole buckets take.
    pub fn total(&self, part: Part, ends: Ends, asked: i64, out: &mut [f64]) {
        let scale = if ends.range == asked { 1.0 } else { asked as f64 / ends.range as f64 };
        each(&self.times, ends, |w| out[w.step] = sum(self.of(part, w)) * scale);
    }

    /// `avg_over_time`.
    pub fn mean(&self, ends: Ends, out: &mut [f64]) {
        each(&self.times, ends, |w| {
            out[w.step] = sum(self.of(Part::Sum, w)) / sum(self.of(Part::Count, w));
        });
    }

    /// The increase from the last bucket before a window to its last one, scaled to the length
    /// `asked` (ms). Needs the parts last and lost; buckets are `width` (ms) long.
    pub fn gain(&self, slope: Slope, ends: Ends, asked: i64, width: i64, out: &mut [f64]) {
        let counter = slope != Slope::Delta;
        let (times, last) = (&self.times, self.part(Part::Last).values);
        let lost = self.part(Part::Lost).values;
        // The places of losses in the windows so far; those before `oldest` are removed.
        let mut resets: Vec<usize> = Vec::new();
        let (mut oldest, mut seen) = (0, 1);
        each(times, ends, |w| {
            while counter && seen < w.hi {
                if lost[seen] != 0.0 {
                    resets.push(seen);
                }
                seen += 1;
            }
            let (start, newest) = (w.end.saturating_sub(ends.range), w.hi - 1);
            let before = w.lo.checked_sub(1).filter(|p| times[*p] > start.saturating_sub(width));
            let first = before.unwrap_or(w.lo);
            let sampled = (times[newest] - times[first]) as f64;
            if first == newest || sampled <= 0.0 {
                return;
            }
            while resets.get(oldest).is_some_and(|at| *at <= first) {
                oldest += 1;
            }
            let lost: f64 = resets[oldest..].iter().map(|at| lost[*at]).sum();
            let gain = last[newest] - last[first] + lost;
            let near = |gap: i64| if gap < width { gap as f64 } else { width as f64 / 2.0 };
            let mut reach = sampled + near(w.end - times[newest]);
            if before.is_none() {
                let mut ahead = near(times[first] - start);
                if counter && gain > 0.0 && last[first] >= 0.0 {
                    ahead = ahead.min(sampled * (last[first] / gain));
                }
                reach += ahead;
            }
            let gained = gain * (reach.min(asked as f64) / sampled);
            out[w.step] =
                if slope == Slope::Rate { gained / (asked as f64 / 1000.0) } else { gained };
        });
    }

    /// The increase between the last two buckets of a window, or the increase per second.
    pub fn instant(&self, per_second: bool, ends: Ends, out: &mut [f64]) {
        let (last, lost) = (self.part(Part::Last).values, self.part(Part::Lost).values);
        each(&self.times, ends, |w| {
            let newest = w.hi - 1;
            let Some(before) = newest.checked_sub(1) else { return };
            let length = self.times[newest] - self.times[before];
            if length <= 0 || length > ends.range.saturating_mul(2) {
                return;
            }
            let gain = last[newest] - last[before];
            out[w.step] =
                if per_second { (gain + lost[newest]) / (length as f64 / 1000.0) } else { gain };
        });
    }

    /// Calls `tell` with the values of each window, ascending, each with how many samples it stands
    /// for: a bucket is its smallest, its largest, and the mean of the others. That has the bucket's
    /// count, sum and extremes; what lies between is a guess.
    pub fn spread(&self, ends: Ends, mut tell: impl FnMut(usize, &mut Vec<Weighted>)) {
        let mut points: Vec<Weighted> = Vec::new();
        each(&self.times, ends, |w| {
            points.clear();
            for i in w.lo..w.hi {
                let of = |part: Part| self.parts[part as usize][i];
                let (count, sum) = (of(Part::Count), of(Part::Sum));
                let (min, max) = (of(Part::Min), of(Part::Max));
                points.push((min, 1.0));
                if count > 1.0 {
                    points.push((max, 1.0));
                }
                if count > 2.0 {
                    let rest = (sum - min - max) / (count - 2.0);
                    // Rounding must not carry it past the extremes.
                    points.push((rest.max(min).min(max), count - 2.0));
                }
            }
            points.sort_unstable_by(|a, b| nan_first(&a.0, &b.0));
            tell(w.step, &mut points);
        });
    }
}

fn sum(values: &[f64]) -> f64 {
    let mut total = Kahan::default();
    values.iter().for_each(|v| total.add(*v));
    if total.sum.is_infinite() { total.sum } else { total.sum + total.c }
}

/// The quantile `q` of ascending values with weights, as `quantile` has it of values.
pub fn weighted_quantile(q: f64, points: &[Weighted]) -> f64 {
    if points.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let all: f64 = points.iter().map(|p| p.1).sum();
    let rank = q * (all - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(all - 1.0);
    let (mut low, mut high, mut passed) = (f64::NAN, f64::NAN, 0.0);
    for (value, weight) in points {
        if lower >= passed {
            low = *value;
        }
        if upper >= passed {
            high = *value;
        } else {
            break;
        }
        passed += weight;
    }
    let part = rank - rank.floor();
    low * (1.0 - part) + high * part
}

/// The mean of squared distances from the mean.
pub fn weighted_variance(points: &[Weighted]) -> f64 {
    let all: f64 = points.iter().map(|p| p.1).sum();
    let mean = points.iter().map(|(v, n)| v * n).sum::<f64>() / all;
    points.iter().map(|(v, n)| (v - mean) * (v - mean) * n).sum::<f64>() / all
}

/// The median of what values are away from their median. Reorders.
pub fn weighted_mad(points: &mut [Weighted]) -> f64 {
    let median = weighted_quantile(0.5, points);
    points.iter_mut().for_each(|p| p.0 = (p.0 - median).abs());
    points.sort_unstable_by(|a, b| nan_first(&a.0, &b.0));
    weighted_quantile(0.5, points)
}
