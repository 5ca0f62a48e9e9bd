//! store: the data of a chart: a stretch of one series as a given number of buckets, from five-minute
//! rollups where they serve as well as the samples themselves.

use std::ops::Range;

use rusqlite::{Connection, params};

use super::coarse::{self, Rolled};
use super::reader::Reader;
use crate::store::SqlError;
use crate::store::file::state;
use crate::store::keep::stretch::{FIVE_MINUTES_MS, HOUR_MS, STRETCH_MS};
use crate::store::packed::block::{Column, GROUP};
use crate::store::packed::chunk::{Scratch, Timestamps};
use crate::store::samples::series;

/// What is wanted of a chart's buckets; what is not asked for is not read where it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// The average alone.
    Mean,
    /// The average, smallest and largest.
    Band,
    /// The average, smallest, largest and newest.
    All,
    /// Of a counter: its newest value, and its values before it began again. No average.
    Counter,
}

/// What the samples of one bucket amount to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The bucket's beginning, ms since 1970 UTC.
    pub start: i64,
    /// Samples that are numbers.
    pub count: u64,
    /// Their sum; anything where only a counter was asked for.
    pub sum: f64,
    /// The smallest; infinite if it was not asked for, and the next too.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The newest; NaN if it was not asked for.
    pub last: f64,
    /// When that was, ms since 1970 UTC; of rollups, where the last sample lies if they lie evenly
    /// from the beginning of five minutes on.
    pub last_ts: i64,
    /// The sum of a counter's values before it began again; 0 if it was not asked for. The
    /// increase since the bucket before is `last - last before + lost`.
    pub lost: f64,
}

impl Summary {
    /// The average.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

impl Want {
    /// Parts of a rollup by their place in `rollup::PARTS`: count, sum, min, max, last; of a counter
    /// count, last, lost.
    fn parts(self) -> &'static [u8] {
        match self {
            Want::Mean => &[0, 1],
            Want::Band => &[0, 1, 2, 3],
            Want::All => &[0, 1, 2, 3, 4],
            Want::Counter => &[0, 4, 6],
        }
    }
}

/// Buckets of one width, some still empty.
struct Buckets {
    from: i64,
    width: i64,
    all: Vec<Summary>,
    /// The sample before, of a counter.
    before: Option<f64>,
    counter: bool,
}

impl Buckets {
    fn new(from: i64, to: i64, width: i64, want: Want) -> Self {
        let count = (to - from).div_euclid(width) + 1;
        let empty = |i| Summary {
            start: from + i * width,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: f64::NAN,
            last_ts: from + i * width,
            lost: 0.0,
        };
        let all = (0..count).map(empty).collect();
        Self { from, width, all, before: None, counter: want == Want::Counter }
    }

    /// Samples in the order of time.
    fn samples(&mut self, column: &Column) {
        let mut at = 0;
        while let Some(first) = column.ts.get(at) {
            let Ok(number) = usize::try_from((first - self.from).div_euclid(self.width)) else {
                at += 1;
                continue;
            };
            let Some(bucket) = self.all.get_mut(number) else { return };
            let end = bucket.start + self.width;
            let length = column.ts[at..].partition_point(|t| *t < end);
            if self.counter {
                for value in column.values[at..at + length].iter().filter(|v| !v.is_nan()) {
                    if let Some(before) = self.before.filter(|b| value < b) {
                        bucket.lost += before;
                    }
                    self.before = Some(*value);
                }
            }
            let newest = (at..at + length).rev().find(|i| !column.values[*i].is_nan());
            if let Some(newest) = newest {
                bucket.last_ts = column.ts[newest];
            }
            for value in column.values[at..at + length].iter().filter(|v| !v.is_nan()) {
                bucket.count += 1;
                bucket.sum += value;
                bucket.min = bucket.min.min(*value);
                bucket.max = bucket.max.max(*value);
                bucket.last = *value;
            }
            at += length;
        }
    }

    /// Rollups of so many ms: their parts as [`Want::parts`] has them, all of one length.
    fn rollups(
        &mut self,
        resolution: i64,
        ts: &Timestamps,
        range: Range<usize>,
        parts: &[impl AsRef<[f64]>],
    ) {
        let [count, rest @ ..] = parts else { return };
        let count = count.as_ref();
        let mut at = range.start;
        while at < range.end {
            let Some(first) = ts.get(at) else { return };
            let number = usize::try_from((first - self.from).div_euclid(self.width));
            let Some(bucket) = number.ok().and_then(|n| self.all.get_mut(n)) else {
                at += 1;
                continue;
            };
            let end = ts.partition(bucket.start + self.width).min(range.end);
            let here = at..end.max(at + 1);
            // Whole numbers, of which a float holds enough.
            bucket.count += count[here.clone()].iter().sum::<f64>() as u64;
            if let Some(newest) = ts.get(here.end - 1) {
                let beat = resolution / (count[here.end - 1] as i64).max(1);
                bucket.last_ts = newest + resolution - beat;
            }
            if self.counter {
                let [last, lost] = rest else { return };
                bucket.lost += lost.as_ref()[here.clone()].iter().sum::<f64>();
                bucket.last = last.as_ref()[here.end - 1];
                self.before = Some(bucket.last);
            } else {
                let [sum, rest @ ..] = rest else { return };
                bucket.sum = sum.as_ref()[here.clone()].iter().fold(bucket.sum, |a, b| a + b);
                if let [min, max, last @ ..] = rest {
                    let (min, max) = (&min.as_ref()[here.clone()], &max.as_ref()[here.clone()]);
                    // One instruction each; what is no number is passed over as `min` does.
                    bucket.min = min.iter().fold(bucket.min, |a, b| if *b < a { *b } else { a });
                    bucket.max = max.iter().fold(bucket.max, |a, b| if *b > a { *b } else { a });
                    if let [last] = last {
                        bucket.last = last.as_ref()[here.end - 1];
                    }
                }
            }
            at = here.end;
        }
    }
}

impl Reader {
    /// The width in ms below which buckets of a series show nothing more, for what lies after `from`
    /// (ms since 1970 UTC): 1 where samples are kept, then five minutes, then an hour.
    pub fn finest(&self, series_id: i64, from: i64) -> Result<i64, SqlError> {
        if from >= self.reach()?.samples_from {
            return Ok(1);
        }
        let conn = self.connection();
        let oldest = oldest_rollup(conn, series_id)?.unwrap_or(i64::MAX);
        let only_hours = from < oldest
            && conn
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM rollup_1h
                                    WHERE series_id = ?1 AND ts >= ?2 AND ts < ?3)",
                )?
                .query_row(
                    params![series_id, from - HOUR_MS, oldest.saturating_sub(HOUR_MS)],
                    |r| r.get(0),
                )?;
        Ok(if only_hours { HOUR_MS } else { FIVE_MINUTES_MS })
    }

    /// One series from `from` to `to` (ms since 1970 UTC, `to` exclusive) as about `points` buckets
    /// of one width; those without a sample are left out. A bucket is at least a millisecond wide,
    /// and begins where a multiple of its width lies. One of five minutes or more is a whole number
    /// of five-minute rollups, or of hours where that makes few more of them; `from` and `to` are
    /// then taken as far apart as whole ones reach. Where only hours are kept, see
    /// [`Reader::finest`], each is in the bucket that it begins in.
    pub fn summary(
        &self,
        series_id: i64,
        from: i64,
        to: i64,
        points: u32,
        want: Want,
    ) -> Result<Vec<Summary>, SqlError> {
        if to <= from {
            return Ok(Vec::new());
        }
        let width = (to.saturating_sub(from) / i64::from(points.max(1))).max(1);
        let unit = unit(width, want);
        let (from, to) = (from - from.rem_euclid(unit), to.saturating_add(unit - 1));
        let (to, width) = (to - to.rem_euclid(unit), width - width % unit);
        let mut buckets = Buckets::new(from - from.rem_euclid(width), to - 1, width, want);
        let tx = self.connection().unchecked_transaction()?;
        let mut scratch = Scratch::default();
        let scratch = &mut scratch;
        let raw = |from: i64, to: i64, scratch: &mut Scratch, buckets: &mut Buckets| {
            let mut column = Column { series: series_id, ..Column::default() };
            let one = std::slice::from_mut(&mut column);
            series::raw(&tx, self.head(), (from, to - 1), scratch, one)?;
            buckets.samples(&column);
            Ok::<(), SqlError>(())
        };
        if unit == 1 {
            raw(from, to, scratch, &mut buckets)?;
            return Ok(buckets.filled());
        }
        // Rollups of these stretches are not made, or have to be made again.
        let dirty: Vec<i64> = tx
            .prepare_cached("SELECT start FROM dirty WHERE grp = ?1 AND start > ?2 AND start < ?3")?
            .query_map(params![series_id.div_euclid(GROUP), from - STRETCH_MS, to], |r| r.get(0))?
            .collect::<Result<_, _>>()?;
        let rolled = state::get(&tx, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN).clamp(from, to);
        // Samples may be kept for longer than rollups; hours are kept for longest.
        let oldest = oldest_rollup(&tx, series_id)?.unwrap_or(rolled);
        let mut at = (oldest - oldest.rem_euclid(unit)).clamp(from, rolled);
        let sampled = self.reach()?.samples_from.clamp(from, at);
        if from < sampled {
            hours(&tx, series_id, (from, sampled), want, &mut buckets)?;
        }
        if sampled < at {
            raw(sampled, at, scratch, &mut buckets)?;
        }
        let whole = if unit == HOUR_MS { hours_since(&tx, series_id)? } else { i64::MAX };
        for stretch in dirty.into_iter().chain([rolled]) {
            let end = stretch.clamp(at, rolled);
            let cut = whole.clamp(at, end);
            if at < cut {
                rolled_up(&tx, series_id, (at, cut - 1), want, scratch, &mut buckets)?;
            }
            if cut < end {
                hours(&tx, series_id, (cut, end), want, &mut buckets)?;
            }
            at = (stretch + STRETCH_MS).clamp(end, rolled.max(end));
            if end < at {
                raw(end, at, scratch, &mut buckets)?;
            }
        }
        if rolled < to {
            raw(rolled, to, scratch, &mut buckets)?;
        }
        Ok(buckets.filled())
    }
}

/// Samples in memory from `from` to `to` as [`Reader::summary`] would have them, which are made of samples
/// only.
pub fn summary_of(column: &Column, from: i64, to: i64, points: u32, want: Want) -> Vec<Summary> {
    if to <= from {
        return Vec::new();
    }
    let width = (to.saturating_sub(from) / i64::from(points.max(1))).max(1);
    let mut buckets = Buckets::new(from - from.rem_euclid(width), to - 1, width, want);
    buckets.samples(column);
    buckets.filled()
}

/// What a bucket of about this width is made of, ms: samples (1), five minutes, or hours, each of
/// which says as much as twelve of those, where whole ones make at most a seventh more buckets. Of a
/// counter never hours: at a gap they do not tell when it grew.
fn unit(width: i64, want: Want) -> i64 {
    match width {
        ..FIVE_MINUTES_MS => 1,
        HOUR_MS.. if want != Want::Counter && width % HOUR_MS <= width / 8 => HOUR_MS,
        _ => FIVE_MINUTES_MS,
    }
}

/// From where on each hour of a series is there, and made of samples: a long row that was imported
/// is one hour's, whatever it tells of.
fn hours_since(conn: &Connection, series: i64) -> Result<i64, SqlError> {
    let oldest: Option<i64> = conn
        .prepare_cached("SELECT min(ts) FROM rollup_1h WHERE series_id = ?1")?
        .query_row([series], |r| r.get(0))?;
    // A late sample may have made an hour before those that are gone.
    let known = [state::get(conn, &state::past_of(series))?, state::get(conn, state::HOURS_GONE)?];
    let after = known.into_iter().flatten().map(|ts| ts - ts.rem_euclid(HOUR_MS) + HOUR_MS);
    Ok(oldest.map_or(i64::MAX, |oldest| after.fold(oldest, i64::max)))
}

fn oldest_rollup(conn: &Connection, series: i64) -> Result<Option<i64>, SqlError> {
    conn.prepare_cached(
        "SELECT min(start) FROM blocks WHERE resolution = ?1 AND grp = ?2 AND level >= 0",
    )?
    .query_row([FIVE_MINUTES_MS, series.div_euclid(GROUP)], |r| r.get(0))
}

/// Takes the hours of a stretch.
fn hours(
    conn: &Connection,
    series: i64,
    (from, to): (i64, i64),
    want: Want,
    buckets: &mut Buckets,
) -> Result<(), SqlError> {
    let parts = want.parts();
    let mut rolled = Rolled { series, parts: vec![Vec::new(); parts.len()], ..Rolled::default() };
    coarse::hours(conn, parts, (from - from.rem_euclid(HOUR_MS), to), &mut rolled)?;
    let times = Timestamps::List(rolled.ends.iter().map(|end| end - HOUR_MS).collect());
    buckets.rollups(HOUR_MS, &times, 0..times.len(), &rolled.parts);
    Ok(())
}

/// Takes the five-minute rollups of a stretch.
fn rolled_up(
    conn: &Connection,
    series: i64,
    (from, to): (i64, i64),
    want: Want,
    scratch: &mut Scratch,
    buckets: &mut Buckets,
) -> Result<(), SqlError> {
    let parts = want.parts();
    let resolution = FIVE_MINUTES_MS;
    let in_order = series::visit_sealed(
        conn,
        resolution,
        series,
        parts,
        from,
        to,
        scratch,
        |ts, range, values| buckets.rollups(resolution, ts, range, values),
    )?;
    if !in_order {
        let mut columns: Vec<Column> =
            parts.iter().map(|part| Column { series, part: *part, ..Column::default() }).collect();
        series::sealed(conn, resolution, from, to, scratch, &mut columns)?;
        let times = Timestamps::List(std::mem::take(&mut columns[0].ts));
        let values: Vec<Vec<f64>> = columns.into_iter().map(|c| c.values).collect();
        if values.iter().all(|v| v.len() == times.len()) {
            buckets.rollups(resolution, &times, 0..times.len(), &values);
        }
    }
    Ok(())
}

impl Buckets {
    fn filled(mut self) -> Vec<Summary> {
        self.all.retain(|b| b.count > 0);
        self.all
    }
}
