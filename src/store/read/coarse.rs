//! store: buckets in place of samples that are gone, or too many to be read one by one: five-minute
//! buckets as far back as they are kept, hours before that. Stretches whose rollups are missing or out
//! of date are rolled up from samples while they are read, if the samples are still there.

use rusqlite::{Connection, params};

use super::reader::Reader;
use crate::store::file::state;
use crate::store::keep::rollup::{self, PARTS};
use crate::store::keep::stretch::{FIVE_MINUTES_MS, HOUR_MS, STRETCH_MS};
use crate::store::packed::block::{Column, GROUP};
use crate::store::packed::chunk::Scratch;
use crate::store::samples::series;
use crate::store::{Kept, SqlError, from_column};

/// How far back there is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Every sample from this time on (ms since 1970 UTC); `i64::MIN`: none has been dropped.
    pub samples_from: i64,
    /// Buckets for all before this time; a whole hour.
    pub rolled_until: i64,
}

/// The buckets of one series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rolled {
    /// Its row in `series_dict`.
    pub series: i64,
    /// Where each bucket ends, ms since 1970 UTC, ascending.
    pub ends: Vec<i64>,
    /// The parts asked for, each with a value a bucket.
    pub parts: Vec<Vec<f64>>,
    /// Buckets that end at this time or before are hours, the others five minutes.
    pub hours_until: i64,
}

/// What lies in a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Blocks.
    pub blocks: u64,
    /// About so many values of a series of the group.
    pub values: u64,
}

impl Reader {
    /// How far back samples and buckets reach.
    pub fn reach(&self) -> Result<Reach, SqlError> {
        // In one statement: outside of a transaction each takes and gives back a lock.
        let (pruned, rolled, imported, oldest): (Option<i64>, Option<i64>, bool, Option<i64>) =
            self.connection()
                .prepare_cached(
                    "SELECT (SELECT value FROM state WHERE name = ?1),
                        (SELECT value FROM state WHERE name = ?2),
                        EXISTS (SELECT 1 FROM state WHERE name = ?3),
                        (SELECT min(ts) FROM samples)",
                )?
                .query_row([state::PRUNED_UNTIL, state::ROLLED_UNTIL, state::IMPORTED], |r| {
                    Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
                })?;
        // Plain rows may outlive the blocks made of them: a small machine has years of them. From
        // the hour of the oldest: with what it lacks of that hour went the hours before.
        let rows = oldest.filter(|_| !imported).map(|o| o - o.rem_euclid(HOUR_MS));
        Ok(Reach {
            samples_from: pruned
                .map_or(i64::MIN, |p| p.saturating_add(1).min(rows.unwrap_or(i64::MAX))),
            rolled_until: rolled.unwrap_or(i64::MIN),
        })
    }

    /// What blocks of a resolution (ms; 0: samples) hold of a group from `from` to `to` inclusive.
    pub fn weight(
        &self,
        resolution: i64,
        group: i64,
        from: i64,
        to: i64,
    ) -> Result<Weight, SqlError> {
        let mut weight = Weight::default();
        let mut blocks = self.connection().prepare_cached(
            "SELECT start, end, longest FROM blocks
             WHERE resolution = ?1 AND grp = ?2 AND level >= 0 AND end >= ?3 AND start <= ?4",
        )?;
        let mut rows = blocks.query(params![resolution, group, from, to])?;
        while let Some(row) = rows.next()? {
            let (start, end, longest): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let all = end.saturating_sub(start).max(1) as f64;
            let some = end.min(to).saturating_sub(start.max(from)).max(0) as f64;
            weight.blocks += 1;
            weight.values += (longest.max(0) as f64 * (some / all)) as u64 + 1;
        }
        Ok(weight)
    }

    /// How many bytes the blocks of samples take that hold any of a group from `from` to `to` inclusive.
    pub fn packed(&self, group: i64, from: i64, to: i64) -> Result<u64, SqlError> {
        let bytes: Option<i64> = self
            .connection()
            .prepare_cached(
                "SELECT sum(length(data)) FROM blocks
                 WHERE resolution = 0 AND grp = ?1 AND level >= 0 AND end >= ?2 AND start <= ?3",
            )?
            .query_row(params![group, from, to], |r| r.get(0))?;
        Ok(bytes.unwrap_or(0) as u64)
    }

    /// The buckets of some series of one group, in the order of their numbers, that begin at `from`
    /// or later and end at `to` or before; both are whole hours. `parts` by their places in
    /// `rollup::PARTS`. With `hours_only`, hours even where finer buckets are held.
    pub fn rollups(
        &self,
        series: &[i64],
        parts: &[u8],
        from: i64,
        to: i64,
        hours_only: bool,
    ) -> Result<Vec<Rolled>, SqlError> {
        let mut out: Vec<Rolled> = series
            .iter()
            .map(|s| Rolled {
                series: *s,
                parts: vec![Vec::new(); parts.len()],
                hours_until: from,
                ..Rolled::default()
            })
            .collect();
        let Some(group) = series.first().map(|s| s.div_euclid(GROUP)).filter(|_| from < to) else {
            return Ok(out);
        };
        let tx = self.connection().unchecked_transaction()?;
        let mut scratch = self.scratch();
        let oldest: Option<i64> = tx
            .prepare_cached(
                "SELECT min(start) FROM blocks WHERE resolution = ?1 AND grp = ?2 AND level >= 0",
            )?
            .query_row([FIVE_MINUTES_MS, group], |r| r.get(0))?;
        let hours_until = match oldest {
            Some(oldest) if !hours_only => {
                let hour = oldest - oldest.rem_euclid(HOUR_MS);
                let mut older = tx.prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM rollup_1h WHERE series_id = ?1 AND ts < ?2)",
                )?;
                let mut hours = series.iter().map(|s| older.query_row([*s, hour], |r| r.get(0)));
                // Where the hour is the first there is, its five minutes are all there.
                match hours.try_fold(false, |any, one: Result<bool, _>| one.map(|o| any || o))? {
                    true if hour < oldest => hour.saturating_add(HOUR_MS),
                    true => hour,
                    false => from,
                }
            }
            _ => to,
        }
        .clamp(from, to);
        out.iter_mut().for_each(|o| o.hours_until = hours_until);
        for (at, end, made) in self.pieces(&tx, group, from, to)? {
            let cut = hours_until.clamp(at, end);
            if !made {
                from_samples(&tx, self, parts, (at, cut), HOUR_MS, &mut scratch, &mut out)?;
                from_samples(
                    &tx,
                    self,
                    parts,
                    (cut, end),
                    FIVE_MINUTES_MS,
                    &mut scratch,
                    &mut out,
                )?;
                continue;
            }
            if at < cut {
                out.iter_mut().try_for_each(|o| hours(&tx, parts, (at, cut), o))?;
            }
            if cut < end {
                five_minutes((&tx, self.kept()), parts, (cut, end), &mut scratch, &mut out)?;
            }
        }
        Ok(out)
    }

    /// A stretch of time in pieces whose rollups are made, and those whose samples have to do.
    fn pieces(
        &self,
        conn: &Connection,
        group: i64,
        from: i64,
        to: i64,
    ) -> Result<Vec<(i64, i64, bool)>, SqlError> {
        let Reach { samples_from, rolled_until } = self.reach()?;
        // Where some of the samples are gone, the old rollups know more.
        let first = samples_from.max(from.saturating_sub(STRETCH_MS - 1));
        let dirty: Vec<i64> = conn
            .prepare_cached(
                "SELECT start FROM dirty WHERE grp = ?1 AND start >= ?2 AND start < ?3
                 ORDER BY start",
            )?
            .query_map([group, first, to], |r| r.get(0))?
            .collect::<Result<_, _>>()?;
        let mut pieces = Vec::new();
        let mut at = from;
        for stretch in dirty.into_iter().chain([rolled_until]) {
            let start = stretch.clamp(at, to);
            let end = if stretch >= rolled_until { to } else { (stretch + STRETCH_MS).min(to) };
            pieces.extend([(at, start, true), (start, end.max(start), false)]);
            at = end.max(start);
        }
        pieces.push((at, to, true));
        pieces.retain(|(a, b, _)| a < b);
        Ok(pieces)
    }
}

/// Rolls samples up where nobody has yet.
fn from_samples(
    conn: &Connection,
    reader: &Reader,
    parts: &[u8],
    (from, to): (i64, i64),
    width: i64,
    scratch: &mut Scratch,
    out: &mut [Rolled],
) -> Result<(), SqlError> {
    if from >= to {
        return Ok(());
    }
    let mut columns: Vec<Column> =
        out.iter().map(|o| Column { series: o.series, ..Column::default() }).collect();
    series::raw(conn, reader.head(), (from, to - 1), scratch, &mut columns)?;
    let Some(group) = out.first().map(|o| o.series.div_euclid(GROUP)) else { return Ok(()) };
    let kinds = rollup::members(conn, group)?;
    for (out, column) in out.iter_mut().zip(&columns) {
        let Some((_, kind)) = kinds.iter().find(|(id, _)| *id == out.series) else { continue };
        let before = rollup::newest_before(conn, out.series, from)?;
        for (start, bucket) in rollup::buckets(column, width, *kind, before) {
            out.ends.push(start + width);
            for (into, part) in out.parts.iter_mut().zip(parts) {
                into.push(bucket.part(usize::from(*part)));
            }
        }
    }
    Ok(())
}

/// The hours of a stretch; the caller has made room for the parts.
pub(super) fn hours(
    conn: &Connection,
    parts: &[u8],
    (from, to): (i64, i64),
    out: &mut Rolled,
) -> Result<(), SqlError> {
    // Each column that is named is taken out of each row.
    let columns: String = parts.iter().map(|p| [", ", PARTS[usize::from(*p)]].concat()).collect();
    let mut rows = conn.prepare_cached(&format!(
        "SELECT ts{columns} FROM rollup_1h
         WHERE series_id = ?1 AND ts >= ?2 AND ts < ?3 ORDER BY ts"
    ))?;
    let mut rows = rows.query([out.series, from, to])?;
    while let Some(row) = rows.next()? {
        out.ends.push(row.get::<_, i64>(0)? + HOUR_MS);
        for (i, into) in out.parts.iter_mut().enumerate() {
            into.push(from_column(row.get_ref(i + 1)?).unwrap_or(f64::NAN));
        }
    }
    Ok(())
}

fn five_minutes(
    conn: (&Connection, Option<&Kept>),
    parts: &[u8],
    (from, to): (i64, i64),
    scratch: &mut Scratch,
    out: &mut [Rolled],
) -> Result<(), SqlError> {
    let mut columns: Vec<Column> = out
        .iter()
        .flat_map(|o| {
            parts.iter().map(|p| Column { series: o.series, part: *p, ..Column::default() })
        })
        .collect();
    series::sealed_or_kept(conn, FIVE_MINUTES_MS, (from, to - 1), scratch, &mut columns)?;
    for (out, columns) in out.iter_mut().zip(columns.chunks_exact_mut(parts.len().max(1))) {
        // A damaged part takes the others with it: half a bucket says nothing.
        if columns.iter().any(|c| c.ts != columns[0].ts) {
            continue;
        }
        let Some(first) = columns.first_mut() else { continue };
        first.ts.iter_mut().for_each(|ts| *ts += FIVE_MINUTES_MS);
        if out.ends.is_empty() {
            out.ends = std::mem::take(&mut first.ts);
        } else {
            out.ends.extend_from_slice(&first.ts);
        }
        for (into, column) in out.parts.iter_mut().zip(columns) {
            if into.is_empty() {
                *into = std::mem::take(&mut column.values);
            } else {
                into.extend_from_slice(&column.values);
            }
        }
    }
    Ok(())
}
