//! draw: samples, rollups or the steps of an answer -> one line: no more points than there is room
//! for, with the band of what they stand for, and where it is interrupted.

use crate::overview::together;
use crate::store::Summary;

/// One line of a chart. The columns are of one length; without a band `min` and `max` are empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// What it is called.
    pub name: String,
    /// Ms since 1970 UTC, ascending.
    pub ts: Vec<i64>,
    /// What is drawn: finite, or NaN where there is none.
    pub mean: Vec<f64>,
    /// The smallest value that each point stands for.
    pub min: Vec<f64>,
    /// The largest.
    pub max: Vec<f64>,
    /// Points further apart than this (ms) are not joined.
    pub gap: i64,
    /// The newest value; NaN without one, and so below.
    pub last: f64,
    /// The smallest of all.
    pub least: f64,
    /// The average over all.
    pub average: f64,
    /// The largest of all.
    pub most: f64,
}

/// A sample that is no number interrupts the line; infinite ones cannot be drawn either.
fn drawable(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

impl Line {
    /// The parts that hang together: ranges of points without a gap between them.
    pub(super) fn pieces(&self) -> Vec<std::ops::Range<usize>> {
        let mut out = Vec::new();
        let mut start = None;
        for i in 0..self.ts.len() {
            if self.mean[i].is_nan() {
                out.extend(start.take().map(|s| s..i));
                continue;
            }
            if let Some(s) = start
                && self.ts[i] - self.ts[i - 1] > self.gap
            {
                out.push(s..i);
                start = None;
            }
            start.get_or_insert(i);
        }
        out.extend(start.map(|s| s..self.ts.len()));
        out
    }

    /// A point without a value.
    fn interrupt(&mut self, ts: i64, from: i64, to: i64) {
        self.ts.push(ts.clamp(from, to));
        self.mean.push(f64::NAN);
        if !self.min.is_empty() {
            self.min.push(f64::NAN);
            self.max.push(f64::NAN);
        }
    }

    /// Fills in what the whole amounts to; `weights` say how much each point counts.
    fn sum_up(&mut self, weights: &[f64]) {
        let (mut sum, mut weight) = (0.0, 0.0);
        (self.last, self.least, self.most) = (f64::NAN, f64::NAN, f64::NAN);
        for (i, mean) in self.mean.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            self.least = self.least.min(*self.min.get(i).unwrap_or(mean));
            self.most = self.most.max(*self.max.get(i).unwrap_or(mean));
            let w = weights.get(i).copied().unwrap_or(1.0);
            sum += mean * w;
            weight += w;
            self.last = *mean;
        }
        self.average = sum / weight;
    }

    /// The value at a moment, between two points that are joined.
    fn at(&self, ts: i64, from: &mut usize) -> Option<f64> {
        while *from < self.ts.len() && self.ts[*from] < ts {
            *from += 1;
        }
        let next = *self.mean.get(*from)?;
        if self.ts[*from] == ts {
            return Some(next).filter(|v| v.is_finite());
        }
        let before = from.checked_sub(1)?;
        let (a, b) = (self.ts[before], self.ts[*from]);
        let share = (ts - a) as f64 / (b - a) as f64;
        let value = self.mean[before] + (next - self.mean[before]) * share;
        (b - a <= self.gap && value.is_finite()).then_some(value)
    }
}

/// The middle one.
fn median(mut all: Vec<i64>) -> i64 {
    let middle = all.len() / 2;
    if all.is_empty() { 0 } else { *all.select_nth_unstable(middle).1 }
}

/// The usual distance between two samples, ms.
fn interval(ts: &[i64]) -> i64 {
    median(ts.windows(2).map(|w| w[1] - w[0]).collect()).max(1)
}

/// A line of the samples of a gauge between `from` and `to`, with at most some `points` points.
pub fn gauge(name: String, ts: &[i64], values: &[f64], from: i64, to: i64, points: u32) -> Line {
    let weights = vec![1.0; ts.len()];
    bucketed(name, ts, values, &weights, (from, to, points), interval(ts))
}

/// The same of a counter: its rate a second, from one sample to the next. Samples from before
/// `from` give the first one.
pub fn counter(name: String, ts: &[i64], values: &[f64], from: i64, to: i64, points: u32) -> Line {
    let interval = interval(ts);
    let gap = interval.saturating_mul(7) / 2;
    let (mut times, mut rates, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for (t, v) in ts.windows(2).zip(values.windows(2)) {
        let length = t[1] - t[0];
        // Over a gap nobody knows when it was counted.
        if length <= 0 || length > gap {
            continue;
        }
        // A counter that has become smaller began anew.
        let grown = if v[1] >= v[0] { v[1] - v[0] } else { v[1] };
        times.push(t[1]);
        rates.push(grown * 1e3 / length as f64);
        weights.push(length as f64);
    }
    bucketed(name, &times, &rates, &weights, (from, to, points), interval)
}

fn bucketed(
    name: String,
    ts: &[i64],
    values: &[f64],
    weights: &[f64],
    (from, to, points): (i64, i64, u32),
    interval: i64,
) -> Line {
    let here = ts.partition_point(|t| *t < from)..ts.partition_point(|t| *t <= to);
    let here = here.start..here.end.max(here.start);
    let (ts, values, weights) = (&ts[here.clone()], &values[here.clone()], &weights[here]);
    let width = ((to - from) / i64::from(points.max(1))).max(1);
    let mut line = Line { name, gap: interval.saturating_mul(7) / 2, ..Line::default() };
    if ts.len() <= points as usize + points as usize / 4 {
        line.ts = ts.to_vec();
        line.mean = values.iter().map(|v| drawable(*v)).collect();
        line.sum_up(weights);
        return line;
    }
    line.gap = width + interval.saturating_mul(5) / 2;
    let mut whole = Vec::new();
    let mut at = 0;
    while let Some(first) = ts.get(at) {
        let start = from + (first - from).div_euclid(width) * width;
        let end = at + ts[at..].partition_point(|t| *t < start + width);
        let (mut sum, mut weight) = (0.0, 0.0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for (v, w) in values[at..end].iter().zip(&weights[at..end]).filter(|(v, _)| v.is_finite()) {
            sum += v * w;
            weight += w;
            min = min.min(*v);
            max = max.max(*v);
            line.last = *v;
        }
        if weight > 0.0 {
            line.ts.push((start + width / 2).min(to));
            line.mean.push(drawable(sum / weight));
            line.min.push(min);
            line.max.push(max);
            whole.push(weight);
        }
        at = end;
    }
    let last = values.iter().rev().find(|v| v.is_finite()).copied();
    line.sum_up(&whole);
    line.last = last.unwrap_or(f64::NAN);
    line
}

/// Whether each bucket is joined with the one before it, and the buckets' width.
fn spacing(buckets: &[Summary]) -> (Vec<bool>, i64) {
    let width = median(buckets.windows(2).map(|w| w[1].start - w[0].start).collect()).max(1);
    let samples: u64 = buckets.iter().map(|b| b.count).sum();
    let interval = width * buckets.len() as i64 / (samples.max(1) as i64);
    (together(buckets, width + interval * 5 / 2), width)
}

/// A line of what the file has rolled up of a gauge.
pub fn rolled_up_gauge(name: String, buckets: &[Summary], from: i64, to: i64) -> Line {
    let (joined, width) = spacing(buckets);
    // Gaps are told by points without a value.
    let mut line = Line { name, gap: i64::MAX, ..Line::default() };
    let mut weights = Vec::new();
    for (i, b) in buckets.iter().enumerate().filter(|(_, b)| b.count > 0) {
        if i.checked_sub(1).is_some_and(|at| !joined[at]) {
            line.interrupt(b.start, from, to);
            weights.push(0.0);
        }
        line.ts.push((b.start + width / 2).clamp(from, to));
        line.mean.push(drawable(b.mean()));
        line.min.push(if b.min.is_finite() { b.min } else { b.mean() });
        line.max.push(if b.max.is_finite() { b.max } else { b.mean() });
        weights.push(b.count as f64);
    }
    line.sum_up(&weights);
    if let Some(last) = buckets.last().map(|b| b.last).filter(|v| v.is_finite()) {
        line.last = last;
    }
    line
}

/// The same of a counter, read with [`crate::store::Want::Counter`]: the rate from the last sample of
/// one bucket to that of the next. What lies within a bucket is not known, so there is no band.
pub fn rolled_up_counter(name: String, buckets: &[Summary], from: i64, to: i64) -> Line {
    let (joined, width) = spacing(buckets);
    let mut line = Line { name, gap: i64::MAX, ..Line::default() };
    for (pair, joined) in buckets.windows(2).zip(joined) {
        let [a, b] = pair else { continue };
        let length = b.last_ts - a.last_ts;
        if !joined || length <= 0 {
            line.interrupt(b.start, from, to);
            continue;
        }
        let grown = (b.last - a.last + b.lost).max(0.0);
        line.ts.push((b.start + width / 2).clamp(from, to));
        line.mean.push(drawable(grown * 1e3 / length as f64));
    }
    line.sum_up(&[]);
    line
}

/// A line of the steps of an answer.
pub fn steps(name: String, points: impl Iterator<Item = (i64, f64)>, step: i64) -> Line {
    let mut line = Line { name, gap: step + step / 2, ..Line::default() };
    for (ts, value) in points {
        line.ts.push(ts);
        line.mean.push(drawable(value));
    }
    line.sum_up(&[]);
    line
}

/// A line of columns that are ready: where buckets of this width (ms) begin, and the mean, least and
/// most of each.
pub fn columns(name: String, ts: Vec<i64>, values: [Vec<f64>; 3], width: i64) -> Line {
    let [mean, min, max] = values;
    let mut line = Line { name, ts, mean, min, max, gap: width * 5 / 2, ..Line::default() };
    line.ts.iter_mut().for_each(|ts| *ts += width / 2);
    line.sum_up(&[]);
    line
}

/// Lines added up, each times a factor.
pub fn added(name: String, parts: Vec<(Line, f64)>) -> Line {
    let mut scaled: Vec<Line> = Vec::with_capacity(parts.len());
    for (mut line, factor) in parts {
        let times = |values: &mut Vec<f64>| values.iter_mut().for_each(|v| *v *= factor);
        [&mut line.mean, &mut line.min, &mut line.max].into_iter().for_each(times);
        if factor < 0.0 {
            std::mem::swap(&mut line.min, &mut line.max);
        }
        [&mut line.last, &mut line.average].into_iter().for_each(|v| *v *= factor);
        let (a, b) = (line.least * factor, line.most * factor);
        (line.least, line.most) = (a.min(b), a.max(b));
        scaled.push(line);
    }
    if scaled.len() == 1 {
        return Line { name, ..scaled.swap_remove(0) };
    }
    let mut sum = stack(&scaled).pop().unwrap_or_default();
    sum.name = name;
    sum.sum_up(&[]);
    sum
}

/// The lines one on top of the other, at all moments that any of them has; without bands.
pub(super) fn stack(lines: &[Line]) -> Vec<Line> {
    let mut ts: Vec<i64> = lines.iter().flat_map(|l| l.ts.iter().copied()).collect();
    ts.sort_unstable();
    ts.dedup();
    let mut sum = vec![0.0; ts.len()];
    // Where none of them is known, there is no stack.
    let mut known = vec![false; ts.len()];
    let gap = lines.iter().map(|l| l.gap).max().unwrap_or_default();
    let mut out: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        let mut from = 0;
        for (i, t) in ts.iter().enumerate() {
            if let Some(value) = line.at(*t, &mut from) {
                sum[i] += value;
                known[i] = true;
            }
        }
        out.push(Line { ts: ts.clone(), mean: sum.clone(), gap, ..Line::default() });
    }
    for line in &mut out {
        for (mean, known) in line.mean.iter_mut().zip(&known) {
            if !known {
                *mean = f64::NAN;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(seconds: i64, count: i64) -> Vec<i64> {
        (0..count).map(|i| i * seconds * 1000).collect()
    }

    #[test]
    fn few_samples_are_drawn_as_they_are_and_gaps_are_gaps() {
        let mut ts = every(10, 20);
        ts.drain(8..14);
        let values: Vec<f64> = ts.iter().map(|t| *t as f64).collect();
        let line = gauge("a".into(), &ts, &values, 0, 200_000, 100);
        assert_eq!(line.mean, values);
        assert_eq!(line.pieces(), [0..8, 8..14]);
        assert!(line.min.is_empty());
    }

    #[test]
    fn a_sample_that_is_late_or_missing_once_is_no_gap() {
        let mut ts = every(10, 20);
        ts.remove(5);
        let line = gauge("a".into(), &ts, &[1.0; 19], 0, 200_000, 100);
        assert_eq!(line.pieces(), vec![0..19]);
    }

    #[test]
    fn many_samples_keep_their_band() {
        let ts = every(1, 10_000);
        let mut values = vec![1.0; 10_000];
        values[5_000] = 100.0;
        let line = gauge("a".into(), &ts, &values, 0, 10_000_000, 100);
        assert_eq!(line.ts.len(), 100);
        assert_eq!(line.most, 100.0);
        assert_eq!(line.max.iter().filter(|v| **v == 100.0).count(), 1);
        assert!(line.mean.iter().all(|v| *v < 3.0));
        assert_eq!(line.pieces().len(), 1);
        assert!((line.average - 1.0099).abs() < 1e-9);
    }

    #[test]
    fn a_counter_is_its_rate_and_may_begin_anew() {
        let ts = every(10, 5);
        let line = counter("a".into(), &ts, &[100.0, 200.0, 300.0, 50.0, 150.0], 0, 40_000, 100);
        assert_eq!(line.mean, [10.0, 10.0, 5.0, 10.0]);
        assert_eq!(line.last, 10.0);
    }

    #[test]
    fn nan_and_infinite_interrupt() {
        let ts = every(10, 5);
        let values = [1.0, f64::NAN, 2.0, f64::INFINITY, 3.0];
        let line = gauge("a".into(), &ts, &values, 0, 50_000, 100);
        assert_eq!(line.pieces(), [0..1, 2..3, 4..5]);
        assert_eq!((line.least, line.most, line.average, line.last), (1.0, 3.0, 2.0, 3.0));
    }

    #[test]
    fn a_missing_bucket_is_a_gap_and_a_counter_that_began_anew_is_not_negative() {
        let bucket = |i: i64, min: f64, max: f64, last: f64, lost: f64| Summary {
            lost,
            last_ts: i * 300_000 + 290_000,
            start: i * 300_000,
            count: 30,
            sum: 30.0 * (min + max) / 2.0,
            min,
            max,
            last,
        };
        let buckets = [
            bucket(0, 0.0, 300.0, 300.0, 0.0),
            bucket(1, 310.0, 600.0, 600.0, 0.0),
            bucket(2, 0.0, 900.0, 30.0, 900.0),
            bucket(4, 40.0, 90.0, 90.0, 0.0),
            bucket(5, 90.0, 390.0, 390.0, 0.0),
        ];
        let line = rolled_up_gauge("a".into(), &buckets, 0, 2_000_000);
        assert_eq!(line.pieces(), [0..3, 4..6]);
        assert_eq!(line.min.len(), line.ts.len());
        let line = rolled_up_counter("a".into(), &buckets, 0, 2_000_000);
        assert_eq!(
            (&line.mean[..2], line.mean[2].is_nan(), line.mean[3]),
            (&[1.0, 1.1][..], true, 1.0)
        );
        assert_eq!(line.pieces(), [0..2, 3..4]);
    }

    #[test]
    fn a_stack_adds_up_where_moments_differ() {
        let a = steps("a".into(), [(0, 1.0), (10, 1.0), (20, 1.0)].into_iter(), 10);
        let b = steps("b".into(), [(5, 2.0), (15, 4.0)].into_iter(), 10);
        let sums = stack(&[a, b]);
        assert_eq!(sums[1].ts, [0, 5, 10, 15, 20]);
        assert_eq!(sums[1].mean, [1.0, 3.0, 4.0, 5.0, 1.0]);
        assert_eq!(sums[0].mean, [1.0; 5]);
    }
}
