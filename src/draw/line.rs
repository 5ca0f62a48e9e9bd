//! draw: from the samples of a line, or the steps of an answer, to one line with its band and its
//! interruptions. The room `overview` decides where there are gaps.

use crate::overview::Columns;

/// One line of a chart. All columns have the same length; without a band `min` and `max` are empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// Ms since 1970 UTC, ascending.
    pub ts: Vec<i64>,
    /// The drawn values: finite, or NaN for none.
    pub mean: Vec<f64>,
    /// The smallest value behind each point.
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
    pub fn pieces(&self) -> Vec<std::ops::Range<usize>> {
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

    /// A line as it was read from `from` to `to` (ms since 1970 UTC): each point in the middle of its
    /// bucket. Without a band where no bucket has one.
    pub fn of_columns(name: String, columns: Columns, from: i64, to: i64) -> Self {
        let Columns { start, mut mean, mut min, mut max, width, gap } = columns;
        mean.iter_mut().for_each(|v| *v = drawable(*v));
        for edge in [&mut min, &mut max] {
            for (edge, mean) in edge.iter_mut().zip(&mean).filter(|(e, _)| !e.is_finite()) {
                *edge = *mean;
            }
        }
        if min.iter().zip(&max).all(|(min, max)| min == max || min.is_nan()) {
            (min, max) = (Vec::new(), Vec::new());
        }
        let middle = |start: i64| (start + width / 2).clamp(from, to);
        let ts = start.into_iter().map(middle).collect();
        let mut line = Self { name, ts, mean, min, max, gap, ..Self::default() };
        line.sum_up();
        line
    }

    /// Computes the totals of the line.
    fn sum_up(&mut self) {
        let (mut sum, mut count) = (0.0, 0.0);
        (self.last, self.least, self.most) = (f64::NAN, f64::NAN, f64::NAN);
        for (i, mean) in self.mean.iter().enumerate().filter(|(_, v)| v.is_finite()) {
            self.least = self.least.min(*self.min.get(i).unwrap_or(mean));
            self.most = self.most.max(*self.max.get(i).unwrap_or(mean));
            sum += mean;
            count += 1.0;
            self.last = *mean;
        }
        self.average = sum / count;
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

/// A line of the steps of an answer.
pub fn steps(name: String, points: impl Iterator<Item = (i64, f64)>, step: i64) -> Line {
    let mut line = Line { name, gap: step + step / 2, ..Line::default() };
    for (ts, value) in points {
        line.ts.push(ts);
        line.mean.push(drawable(value));
    }
    line.sum_up();
    line
}

/// The lines one on top of the other, at all moments that any of them has; without bands.
pub(super) fn stack(lines: &[Line]) -> Vec<Line> {
    let mut ts: Vec<i64> = lines.iter().flat_map(|l| l.ts.iter().copied()).collect();
    ts.sort_unstable();
    ts.dedup();
    let mut sum = vec![0.0; ts.len()];
    // If all values are unknown, the stack is unknown, too.
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

    #[test]
    fn what_was_read_is_drawn_with_its_gaps_and_its_band() {
        let columns = Columns {
            start: vec![0, 10, 20, 60, 70],
            mean: vec![1.0, f64::NAN, 2.0, 3.0, 4.0],
            min: vec![1.0, f64::NAN, 2.0, 2.0, 4.0],
            max: vec![1.0, f64::NAN, 2.0, 3.0, f64::INFINITY],
            width: 10,
            gap: 35,
        };
        let line = Line::of_columns("a".into(), columns.clone(), 2, 74);
        assert_eq!(line.ts, [5, 15, 25, 65, 74]);
        assert_eq!(line.pieces(), [0..1, 2..3, 3..5]);
        assert_eq!((line.least, line.most, line.average, line.last), (1.0, 4.0, 2.5, 4.0));
        let flat = Columns { mean: vec![1.0; 5], min: vec![1.0; 5], max: vec![1.0; 5], ..columns };
        let line = Line::of_columns("a".into(), flat, 0, 80);
        assert!(line.min.is_empty() && line.max.is_empty());
        assert_eq!(line.pieces(), [0..3, 3..5]);
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
