//! store: what a chart is drawn from: a stretch of one series as a given number of buckets, from
//! five-minute rollups where they serve as well as the samples themselves.

use rusqlite::params;

use super::block::{Column, GROUP};
use super::chunk::Scratch;
use super::rollup::{FIVE_MINUTES_MS, STRETCH_MS};
use super::{Reader, SqlError, series, state};

/// What the samples of one bucket amount to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The bucket's beginning, ms since 1970 UTC.
    pub start: i64,
    /// Samples that are numbers.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// The newest.
    pub last: f64,
}

impl Summary {
    /// The average.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Parts of a rollup, in the order of `rollup::PARTS`: count, sum, min, max, last.
const PARTS: u8 = 5;

/// Buckets of one width, some still empty.
struct Buckets {
    from: i64,
    width: i64,
    all: Vec<Summary>,
}

impl Buckets {
    fn new(from: i64, to: i64, width: i64) -> Self {
        let count = (to - from).div_euclid(width) + 1;
        let empty = |i| Summary {
            start: from + i * width,
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: f64::NAN,
        };
        Self { from, width, all: (0..count).map(empty).collect() }
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

    /// Rollups: columns of the parts, of one length.
    fn rollups(&mut self, parts: &[Column]) {
        let [count, sum, min, max, last] = parts else { return };
        for (i, ts) in count.ts.iter().enumerate() {
            let number = (ts - self.from).div_euclid(self.width);
            let bucket = usize::try_from(number).ok().and_then(|n| self.all.get_mut(n));
            let (Some(bucket), Some(last)) = (bucket, last.values.get(i)) else { continue };
            bucket.count += count.values[i] as u64;
            bucket.sum += sum.values[i];
            bucket.min = bucket.min.min(min.values[i]);
            bucket.max = bucket.max.max(max.values[i]);
            bucket.last = *last;
        }
    }
}

impl Reader {
    /// One series from `from` to `to` (ms since 1970 UTC, `to` exclusive) as about `points` buckets
    /// of one width; those without a sample are left out. A bucket is at least a millisecond wide,
    /// and begins where a multiple of its width lies; one of five minutes or more is a whole number
    /// of five-minute rollups.
    pub fn summary(
        &self,
        series_id: i64,
        from: i64,
        to: i64,
        points: u32,
    ) -> Result<Vec<Summary>, SqlError> {
        if to <= from {
            return Ok(Vec::new());
        }
        let width = (to.saturating_sub(from) / i64::from(points.max(1))).max(1);
        let coarse = width >= FIVE_MINUTES_MS;
        let width = if coarse { width - width % FIVE_MINUTES_MS } else { width };
        let mut buckets = Buckets::new(from - from.rem_euclid(width), to - 1, width);
        let tx = self.connection().unchecked_transaction()?;
        let mut scratch = Scratch::default();
        let mut raw = |from: i64, to: i64, buckets: &mut Buckets| -> Result<(), SqlError> {
            let mut column = Column { series: series_id, ..Column::default() };
            let one = std::slice::from_mut(&mut column);
            series::raw(&tx, self.head(), from, to - 1, &mut scratch, one)?;
            buckets.samples(&column);
            Ok(())
        };
        if !coarse {
            raw(from, to, &mut buckets)?;
            return Ok(buckets.filled());
        }
        // Rollups of these stretches are not made, or have to be made again.
        let dirty: Vec<i64> = tx
            .prepare_cached("SELECT start FROM dirty WHERE grp = ?1 AND start > ?2 AND start < ?3")?
            .query_map(params![series_id.div_euclid(GROUP), from - STRETCH_MS, to], |r| r.get(0))?
            .collect::<Result<_, _>>()?;
        let rolled = state::get(&tx, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN).clamp(from, to);
        let mut at = from;
        for stretch in dirty.into_iter().chain([rolled]) {
            let end = stretch.clamp(at, rolled);
            if at < end {
                let mut parts: Vec<Column> = (0..PARTS)
                    .map(|part| Column { series: series_id, part, ..Column::default() })
                    .collect();
                let resolution = FIVE_MINUTES_MS;
                series::sealed(&tx, resolution, at, end - 1, &mut Scratch::default(), &mut parts)?;
                buckets.rollups(&parts);
            }
            at = (stretch + STRETCH_MS).clamp(end, rolled.max(end));
            if end < at {
                raw(end, at, &mut buckets)?;
            }
        }
        if rolled < to {
            raw(rolled, to, &mut buckets)?;
        }
        Ok(buckets.filled())
    }
}

impl Buckets {
    fn filled(mut self) -> Vec<Summary> {
        self.all.retain(|b| b.count > 0);
        self.all
    }
}
