//! overview: a line over a range, bucket by bucket: its mean, smallest and largest value. Counters
//! become rates, also from rollups.

use hashbrown::HashMap;

use super::charts::Line;

use super::spacing::{gap_of_buckets, grown_over, together};
use crate::store::block::Column;
use crate::store::{Reader, SqlError, Summary, Want, summary_of};

/// A line as columns of one length; buckets without a sample are left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    /// The begin of each bucket, ms since 1970 UTC, ascending.
    pub start: Vec<i64>,
    /// The mean of each.
    pub mean: Vec<f64>,
    /// The least of each.
    pub min: Vec<f64>,
    /// The most of each.
    pub max: Vec<f64>,
    /// How wide each is, ms.
    pub width: i64,
    /// Buckets that begin further apart than this (ms) are not joined, because the values between
    /// are unknown.
    pub gap: i64,
}

/// The source of the buckets of a line's series.
pub trait Source {
    /// See [`Reader::summary`].
    ///
    /// # Errors
    /// The file cannot be read.
    fn summary(
        &self,
        series: i64,
        from: i64,
        to: i64,
        points: u32,
        want: Want,
    ) -> Result<Vec<Summary>, SqlError>;

    /// The time (ms since 1970 UTC) before which stored data may be coarser than samples.
    ///
    /// # Errors
    /// The file cannot be read.
    fn old(&self) -> Result<i64, SqlError>;
}

impl Source for Reader {
    fn summary(
        &self,
        series: i64,
        from: i64,
        to: i64,
        points: u32,
        want: Want,
    ) -> Result<Vec<Summary>, SqlError> {
        Reader::summary(self, series, from, to, points, want)
    }

    fn old(&self) -> Result<i64, SqlError> {
        Ok(self.reach()?.samples_from)
    }
}

/// Samples in memory, by the number of their series.
impl Source for HashMap<i64, Column> {
    fn summary(
        &self,
        series: i64,
        from: i64,
        to: i64,
        points: u32,
        want: Want,
    ) -> Result<Vec<Summary>, SqlError> {
        Ok(self.get(&series).map_or(Vec::new(), |c| summary_of(c, from, to, points, want)))
    }

    fn old(&self) -> Result<i64, SqlError> {
        Ok(i64::MIN)
    }
}

/// Widths that a clock's hands know, ms.
const WIDTHS: [i64; 31] = [
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    30_000,
    60_000,
    120_000,
    180_000,
    240_000,
    300_000,
    600_000,
    900_000,
    1_200_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    14_400_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    345_600_000,
    604_800_000,
    1_209_600_000,
    2_419_200_000,
    4_838_400_000,
];

const LAST: usize = WIDTHS.len() - 1;

/// The coarsest stored data.
const HOUR_MS: i64 = 3_600_000;
/// Five minutes and more are whole rollups.
const ROLLUP_MS: i64 = 300_000;
/// A rate wants a sample before the first bucket.
pub const BEFORE_MS: i64 = 300_000;
/// The newest value of a line is looked for in this time, ms.
const NEWEST_MS: i64 = 900_000;
/// A value counts as current for this long at any beat, ms.
pub const FRESH_MS: i64 = 30_000;
/// How many parts a bucket of a rate or of a sum is looked at in.
const PARTS: i64 = 8;

/// The width of buckets, ms, of which at most `points` cover this many ms.
pub fn nice_width(span: i64, points: u32) -> i64 {
    let wanted = span / i64::from(points.max(1));
    let found = WIDTHS.iter().find(|w| **w >= wanted);
    found.copied().unwrap_or(wanted - wanted % WIDTHS[LAST] + WIDTHS[LAST])
}

/// The width of about `points` buckets over this range, ms, and at least the resolution that is
/// kept of the line's series. Fails if the file cannot be read.
pub fn width(
    reader: &Reader,
    line: Option<&Line>,
    from: i64,
    to: i64,
    points: u32,
) -> Result<i64, SqlError> {
    let width = nice_width(to - from, points);
    let term = line.and_then(|l| l.terms.first()).filter(|_| width < HOUR_MS);
    let finest = term.map_or(Ok(1), |term| reader.finest(term.series, from))?;
    Ok(width.max(finest))
}

/// A bucket's part while terms are added up.
#[derive(Clone, Copy)]
struct Cell {
    start: i64,
    value: f64,
    /// How many terms are in it.
    terms: usize,
}

/// The line from `from` to `to` (ms since 1970 UTC) in buckets of this width. This decides for all
/// views how gaps, rates and counters that began again are shown. Fails if the file cannot be read.
pub fn read(
    source: &impl Source,
    line: &Line,
    from: i64,
    to: i64,
    width: i64,
) -> Result<Columns, SqlError> {
    let width = width.max(1);
    let (from, to) = (from - from.rem_euclid(width), to + (-to).rem_euclid(width));
    if to <= from {
        return Ok(Columns::default());
    }
    // Before this time, stored data may be coarser than the chart.
    let old = source.old()?;
    let recent = |found: &[Summary], width| {
        gap_of_buckets(&found[found.partition_point(|b| b.start < old)..], width)
    };
    if let ([term], false) = (&*line.terms, line.rate) {
        let found = source.summary(term.series, from, to, points(from, to, width), Want::Band)?;
        let gap = recent(&found, width);
        let found = spread(found, width, old);
        return Ok(Columns { width, gap, ..exact(&found, term.factor, line.down) });
    }
    let fine = part_width(width);
    let mut gap = width;
    // All terms on one grid of fine buckets.
    let places = usize::try_from((to - from) / fine).unwrap_or(0);
    let empty = |i: usize| Cell { start: from + i as i64 * fine, value: 0.0, terms: 0 };
    let mut cells: Vec<Cell> = (0..places).map(empty).collect();
    for term in &line.terms {
        let before = if line.rate { BEFORE_MS.max(fine) } else { 0 };
        let begin = from - (before + (-before).rem_euclid(fine));
        let want = if line.rate { Want::Counter } else { Want::Mean };
        let found = source.summary(term.series, begin, to, points(begin, to, fine), want)?;
        gap = gap.max(recent(&found, fine) + width - fine);
        if line.rate {
            // Beyond a gap it is unknown when it grew.
            for (pair, joined) in found.windows(2).zip(together(&found, fine, old)) {
                let seconds = (pair[1].last_ts - pair[0].last_ts) as f64 / 1e3;
                if !joined || seconds <= 0.0 {
                    continue;
                }
                let value = term.factor * grown_over(&pair[0], &pair[1]) / seconds;
                let mut at = pair[1].start;
                add(&mut cells, from, fine, at, value);
                // With constant speed, if nothing finer is known.
                while pair[1].start < old && at - fine > pair[0].start {
                    at -= fine;
                    add(&mut cells, from, fine, at, value);
                }
            }
        } else {
            for one in &spread(found, fine, old) {
                add(&mut cells, from, fine, one.start, term.factor * one.mean());
            }
        }
    }
    let wanted = if line.rate { 1 } else { line.terms.len() };
    cells.retain(|c| c.terms >= wanted);
    Ok(Columns { width, gap, ..gathered(&cells, width, line.down) })
}

/// The value of a line at this moment (ms since 1970 UTC): that of its newest samples, if they are
/// recent enough. Fails if the file cannot be read.
pub fn newest(source: &impl Source, line: &Line, now: i64) -> Result<Option<f64>, SqlError> {
    let columns = read(source, line, now - NEWEST_MS, now, 1_000)?;
    Ok(columns.newest(now))
}

impl Columns {
    /// The newest value, if it hangs together with this moment.
    pub fn newest(&self, now: i64) -> Option<f64> {
        let (start, value) = self.start.last().zip(self.mean.last())?;
        (now - start <= self.gap.max(FRESH_MS) + self.width).then_some(*value)
    }
}

fn points(from: i64, to: i64, width: i64) -> u32 {
    u32::try_from((to - from) / width).unwrap_or(u32::MAX).max(1)
}

/// The width of a bucket's parts: it goes into the bucket, and into rollups where those serve.
fn part_width(width: i64) -> i64 {
    let fits = |w: &&i64| {
        width % **w == 0 && width / **w <= PARTS && (width < ROLLUP_MS || **w >= ROLLUP_MS)
    };
    // Below a minute a bucket may hold a single sample: parts of it would be beside each other.
    if width < 60_000 { width } else { WIDTHS.iter().find(fits).copied().unwrap_or(width) }
}

/// Fills empty buckets with the value of the next one, as long as they belong together and lie
/// before `old`: a row covers all the time that ends with it.
fn spread(found: Vec<Summary>, width: i64, old: i64) -> Vec<Summary> {
    if found.first().is_none_or(|first| first.start >= old) {
        return found;
    }
    let mut out: Vec<Summary> = Vec::with_capacity(found.len());
    let joined = together(&found, width, old);
    for (i, one) in found.iter().enumerate() {
        let before = i.checked_sub(1).filter(|at| joined[*at] && one.start < old);
        if let Some(before) = before.and_then(|at| found.get(at)) {
            let gap = (one.start - before.start) / width;
            out.extend((1..gap).map(|n| Summary { start: before.start + n * width, ..*one }));
        }
        out.push(*one);
    }
    out
}

fn add(cells: &mut [Cell], from: i64, fine: i64, start: i64, value: f64) {
    let place = usize::try_from((start - from).div_euclid(fine)).ok();
    if let Some(cell) = place.and_then(|p| cells.get_mut(p)) {
        cell.value += value;
        cell.terms += 1;
    }
}

fn exact(found: &[Summary], factor: f64, down: bool) -> Columns {
    let factor = if down { -factor } else { factor };
    let edge = |of: fn(f64, f64) -> f64| {
        found.iter().map(|b| of(b.min * factor, b.max * factor)).collect::<Vec<f64>>()
    };
    Columns {
        start: found.iter().map(|b| b.start).collect(),
        mean: found.iter().map(|b| b.mean() * factor).collect(),
        min: edge(f64::min),
        max: edge(f64::max),
        ..Columns::default()
    }
}

fn gathered(cells: &[Cell], width: i64, down: bool) -> Columns {
    let mut out = Columns::default();
    let sign = if down { -1.0 } else { 1.0 };
    for bucket in cells.chunk_by(|a, b| a.start.div_euclid(width) == b.start.div_euclid(width)) {
        let values = || bucket.iter().map(|c| c.value * sign);
        out.start.push(bucket[0].start - bucket[0].start.rem_euclid(width));
        out.mean.push(values().sum::<f64>() / bucket.len() as f64);
        out.min.push(values().fold(f64::INFINITY, f64::min));
        out.max.push(values().fold(f64::NEG_INFINITY, f64::max));
    }
    out
}
