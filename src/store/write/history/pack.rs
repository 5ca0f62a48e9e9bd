//! store: from the rows that another tool remembers of a series to samples, five-minute buckets and
//! hours. No SQLite here.
//!
//! A row tells of the time that ends with it. Up to five minutes long it is a sample at its end.
//! A longer one is a bucket for each five minutes of it (each hour, if it is longer than one; each
//! six, if it is longer than six), all alike; where samples are held of that time, it is a sample for
//! each five minutes, too. The buckets
//! of a row lie within its time, so that none tells of two rows.

use crate::model::{Kind, Past};
use crate::store::keep::rollup::{Bucket, PARTS};
use crate::store::keep::stretch::{FIVE_MINUTES_MS, HOUR_MS};
use crate::store::packed::block::Column;

/// How far apart the five-minute buckets of a row lie: it takes seven numbers for each to be packed.
fn apart(span: i64) -> i64 {
    const SIX: i64 = 6 * HOUR_MS;
    if span <= HOUR_MS {
        FIVE_MINUTES_MS
    } else if span <= SIX {
        HOUR_MS
    } else {
        SIX
    }
}

/// What of a past is wanted, ms since 1970 UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Everything up to this time is there.
    pub(super) after: i64,
    /// From here on the series was recorded here.
    pub(super) before: i64,
    /// Samples are held from here on, so long rows are samples, too.
    pub(super) samples_from: i64,
}

/// What becomes of the past of one series.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) samples: Column,
    pub(super) fine: Vec<(i64, Bucket)>,
    pub(super) hours: Vec<(i64, Bucket)>,
    /// Where the newest row ends.
    pub(super) until: i64,
    /// Where the newest row ends of which there are buckets and no samples.
    pub(super) coarse_until: i64,
}

/// One row, or a part of it that a bucket is made of.
#[derive(Clone, Copy)]
struct Piece {
    end: i64,
    count: u64,
    mean: f64,
    min: f64,
    max: f64,
    last: f64,
}

fn add(buckets: &mut Vec<(i64, Bucket)>, width: i64, wanted: Wanted, p: Piece) {
    let start = p.end - 1 - (p.end - 1).rem_euclid(width);
    if start < wanted.after.saturating_sub(width - 1) || start + width > wanted.before {
        return;
    }
    let sum = p.mean * p.count as f64;
    match buckets.last_mut() {
        Some((at, b)) if *at >= start => {
            b.count += p.count;
            b.sum += sum;
            b.min = b.min.min(p.min);
            b.max = b.max.max(p.max);
            b.last = p.last;
        }
        _ => buckets.push((
            start,
            Bucket {
                count: p.count,
                sum,
                min: p.min,
                max: p.max,
                last: p.last,
                resets: 0,
                lost: 0.0,
            },
        )),
    }
}

/// How a row's value goes on within it.
#[derive(Clone, Copy)]
enum Course {
    Level {
        mean: f64,
        min: f64,
        max: f64,
    },
    /// Grows by so much a ms, and stands at `at_end` when the row ends.
    Grows {
        rate: f64,
        end: i64,
        at_end: f64,
    },
}

impl Course {
    fn at(self, ts: i64) -> f64 {
        match self {
            Self::Level { mean, .. } => mean,
            Self::Grows { rate, end, at_end } => at_end - (end - ts) as f64 * rate,
        }
    }

    fn piece(self, start: i64, end: i64, step: i64) -> Piece {
        let count = ((end - start) / step.max(1)).max(1) as u64;
        match self {
            Self::Level { mean, min, max } => Piece { end, count, mean, min, max, last: mean },
            Self::Grows { .. } => {
                let (min, max) = (self.at(start), self.at(end));
                Piece { end, count, mean: max, min, max, last: max }
            }
        }
    }
}

impl Made {
    fn sample(&mut self, wanted: Wanted, ts: i64, value: f64) {
        let newer = self.samples.ts.last().is_none_or(|last| *last < ts);
        if newer && ts > wanted.after && ts < wanted.before {
            self.samples.ts.push(ts);
            self.samples.values.push(value);
        }
    }

    fn row(&mut self, (start, end, span): (i64, i64, i64), course: Course, w: Wanted, step: i64) {
        if end <= w.after || start >= w.before {
            return;
        }
        let slots = |width: i64| {
            let n = ((end - start) + width - 1) / width;
            (0..n).rev().map(move |back| end - back * width)
        };
        if span <= FIVE_MINUTES_MS {
            self.sample(w, end, course.at(end));
            add(&mut self.fine, FIVE_MINUTES_MS, w, course.piece(start, end, step));
        } else {
            let sampled = end > w.samples_from;
            if sampled {
                slots(FIVE_MINUTES_MS).for_each(|ts| self.sample(w, ts, course.at(ts)));
            }
            if !sampled || start < w.samples_from {
                self.coarse_until = self.coarse_until.max(end.min(w.samples_from));
            }
            let width = apart(span);
            for slot in slots(width) {
                let piece = course.piece((slot - width).max(start), slot, step);
                add(&mut self.fine, FIVE_MINUTES_MS, w, piece);
            }
        }
        // One that is longer than an hour is one hour's row, its last one's: they are asked for when
        // buckets have gone by age, and each costs as much as a hundred buckets.
        let width = if span <= HOUR_MS { HOUR_MS.min(span) } else { span };
        for slot in slots(width) {
            add(&mut self.hours, HOUR_MS, w, course.piece((slot - width).max(start), slot, step));
        }
    }

    /// The parts of the five-minute buckets, as blocks have them.
    pub(super) fn parts(&self, series: i64) -> impl Iterator<Item = Column> {
        let filled = if self.fine.is_empty() { 0 } else { PARTS.len() };
        (0..filled).map(move |part| Column {
            series,
            part: part as u8,
            ts: self.fine.iter().map(|(at, _)| *at).collect(),
            values: self.fine.iter().map(|(_, b)| b.part(part)).collect(),
        })
    }
}

/// What becomes of a past. The rows of a counter are rates a second; they are summed up so that
/// they end at the anchor. Where rows are unknown it stands still.
pub(super) fn make(past: &Past, kind: Kind, wanted: Wanted) -> Made {
    let mut made = Made { until: i64::MIN, coarse_until: i64::MIN, ..Made::default() };
    let mut level = if kind == Kind::Counter { begin(past) } else { 0.0 };
    let mut known_until = i64::MIN;
    rows(past, |start, end, span, mean, min, max| {
        made.until = made.until.max(end);
        if mean.is_nan() {
            return;
        }
        let course = match kind {
            Kind::Gauge => Course::Level { mean, min, max },
            Kind::Counter => {
                if known_until != start {
                    // What grows needs a place to grow from.
                    let still = Course::Grows { rate: 0.0, end: start, at_end: level };
                    let before = start - span.min(FIVE_MINUTES_MS);
                    made.row((before, start, span), still, wanted, past.step);
                }
                level += mean * (end - start) as f64 / 1e3;
                Course::Grows { rate: mean / 1e3, end, at_end: level }
            }
        };
        known_until = end;
        made.row((start, end, span), course, wanted, past.step);
    });
    made
}

/// Where a counter begins.
fn begin(past: &Past) -> f64 {
    let Some((at, value)) = past.anchor else { return 0.0 };
    let (mut grown, mut last) = (0.0, (at, 0.0));
    rows(past, |start, end, _, rate, _, _| {
        if !rate.is_nan() {
            grown += rate * (end - start) as f64 / 1e3;
            last = (end, rate);
        }
    });
    // As fast as it was on the way from the last row to the anchor, if that is a moment only.
    let open = (at - last.0).clamp(0, past.step);
    value - last.1 * open as f64 / 1e3 - grown
}

fn rows(past: &Past, mut each: impl FnMut(i64, i64, i64, f64, f64, f64)) {
    for stretch in &past.stretches {
        let mut end = stretch.first_end;
        for (i, mean) in stretch.mean.iter().enumerate() {
            let start = end - stretch.span;
            let bound = |of: &[f64]| of.get(i).copied().filter(|v| !v.is_nan()).unwrap_or(*mean);
            // The mean is a sum divided: it may lie past its bounds by a bit.
            let (min, max) = (bound(&stretch.min), bound(&stretch.max));
            each(start, end.min(stretch.until), stretch.span, *mean, min, max);
            end += stretch.span;
        }
    }
}
