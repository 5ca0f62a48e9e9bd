//! store: rollups: six hours of samples become buckets of five minutes (blocks) and of an hour (plain
//! rows). They keep count, sum, min, max, last, and a counter's resets, so that
//! peaks and rates survive.
//!
//! `dirty` lists the stretches to be made, group by group: new ones as time is sealed, old ones
//! again when late samples fell into them.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::pack::{LATE, Packed, insert};
use super::stretch::{FIVE_MINUTES_MS, HOUR_MS, STRETCH_MS, mark};
use crate::model::Kind;
use crate::store::file::state;
use crate::store::packed::block::{Column, GROUP};
use crate::store::packed::chunk::Scratch;
use crate::store::samples::series;
use crate::store::{SqlError, to_sql};

/// The parts of a rollup, as blocks number them.
pub const PARTS: [&str; 7] = ["count", "sum", "min", "max", "last", "resets", "lost"];

/// What a bucket holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
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
    /// How often a counter began again.
    pub resets: u64,
    /// What it stood at before it did, summed; `last - last before + lost` is its increase.
    pub lost: f64,
}

impl Bucket {
    /// A bucket of one sample; `before` is the one ahead of it, for counters.
    fn new(value: f64, before: Option<f64>) -> Self {
        let mut bucket = Self {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            last: value,
            resets: 0,
            lost: 0.0,
        };
        bucket.add(value, before);
        bucket
    }

    fn add(&mut self, value: f64, before: Option<f64>) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.last = value;
        if let Some(before) = before.filter(|b| value < *b) {
            self.resets += 1;
            self.lost += before;
        }
    }

    pub(in crate::store) fn part(&self, part: usize) -> f64 {
        [self.count as f64, self.sum, self.min, self.max, self.last, self.resets as f64, self.lost]
            [part]
    }
}

/// The buckets of a column, oldest first, each with its beginning. Samples that are not numbers
/// (stale markers) do not count. `before` is the newest sample ahead of the column, for counters.
pub(in crate::store) fn buckets(
    column: &Column,
    width: i64,
    kind: Kind,
    before: Option<f64>,
) -> Vec<(i64, Bucket)> {
    let mut out: Vec<(i64, Bucket)> = Vec::new();
    let mut before = before.filter(|_| kind == Kind::Counter);
    for (ts, value) in column.ts.iter().zip(&column.values).filter(|(_, v)| !v.is_nan()) {
        let start = ts - ts.rem_euclid(width);
        match out.last_mut() {
            Some((at, bucket)) if *at == start => bucket.add(*value, before),
            _ => out.push((start, Bucket::new(*value, before))),
        }
        if kind == Kind::Counter {
            before = Some(*value);
        }
    }
    out
}

/// Counts as rolled up what lies before `to`, for the past of another tool needs none. What else
/// lies there and is not rolled up yet is listed.
pub(in crate::store) fn skip_to(conn: &Connection, to: i64) -> Result<(), SqlError> {
    let before = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
    if before >= to {
        return Ok(());
    }
    let blocks = conn
        .prepare_cached(
            "SELECT grp, max(start, ?1), end FROM blocks
             WHERE resolution = 0 AND end >= ?1 AND start < ?2",
        )?
        .query_map([before, to], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
        .collect::<Result<Vec<(i64, i64, i64)>, _>>()?;
    let mut scratch = Scratch::default();
    for (group, start, end) in blocks {
        let members = members(conn, group)?;
        let of = |(id, _): &(i64, Kind)| Column { series: *id, ..Column::default() };
        let mut columns: Vec<Column> = members.iter().map(of).collect();
        series::sealed(conn, 0, start, end.min(to - 1), &mut scratch, &mut columns)?;
        for column in columns {
            let past = state::get(conn, &state::past_of(column.series))?.unwrap_or(i64::MIN);
            let mut marked = i64::MIN;
            for ts in column.ts.iter().filter(|ts| **ts > past) {
                let stretch = ts - ts.rem_euclid(STRETCH_MS);
                if stretch != marked {
                    mark(conn, stretch, group)?;
                    marked = stretch;
                }
            }
        }
    }
    state::set(conn, state::ROLLED_UNTIL, to)
}

/// Stretches listed in one go: a few samples a year make a stretch of each six hours between them.
const STRETCHES: usize = 64;
/// Those go into one transaction for about so long; a stretch of a machine that measures takes longer.
const TOGETHER: Duration = Duration::from_millis(5);

/// Lists the next stretches if all of them is sealed. False: not yet.
pub(in crate::store) fn advance(conn: &Connection) -> Result<bool, SqlError> {
    let Some(sealed) = state::get(conn, state::SEALED_UNTIL)? else { return Ok(false) };
    let mut rolled = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
    let mut stretches = Vec::new();
    while stretches.len() < STRETCHES {
        // Straight to the next data: a machine that was off for a year has no work for that year.
        let next: Option<i64> = conn
            .prepare_cached(
                "SELECT min(max(start, ?1)) FROM blocks WHERE resolution = 0 AND end >= ?1",
            )?
            .query_row([rolled], |r| r.get(0))?;
        let Some(start) = next.map(|next| next - next.rem_euclid(STRETCH_MS)) else { break };
        if sealed < start + STRETCH_MS {
            break;
        }
        stretches.push(start);
        rolled = start + STRETCH_MS;
    }
    if stretches.is_empty() {
        return Ok(false);
    }
    let tx = conn.unchecked_transaction()?;
    for start in stretches {
        let groups: Vec<i64> = tx
            .prepare_cached(
                "SELECT DISTINCT grp FROM blocks
                 WHERE resolution = 0 AND end >= ?1 AND start < ?2",
            )?
            .query_map([start, start + STRETCH_MS], |r| r.get(0))?
            .collect::<Result<_, _>>()?;
        for group in groups {
            mark(&tx, start, group)?;
        }
    }
    state::set(&tx, state::ROLLED_UNTIL, rolled)?;
    tx.commit()?;
    Ok(true)
}

/// Makes the rollups of a listed stretch of one group, and of more if they take next to no time.
/// False: none is listed.
pub(in crate::store) fn roll_some(
    conn: &Connection,
    scratch: &mut Scratch,
) -> Result<bool, SqlError> {
    let begun = Instant::now();
    let Some(mut at) = listed(conn)? else { return Ok(false) };
    // What takes long is read before anybody has to wait for the lock.
    let mut made = make(conn, at, scratch)?;
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    loop {
        put(&tx, at, made, scratch)?;
        match listed(&tx)? {
            Some(next) if begun.elapsed() < TOGETHER => at = next,
            _ => break,
        }
        made = make(&tx, at, scratch)?;
    }
    tx.commit()?;
    Ok(true)
}

/// The first stretch that is listed, and its group.
fn listed(conn: &Connection) -> Result<Option<(i64, i64)>, SqlError> {
    conn.prepare_cached("SELECT start, grp FROM dirty ORDER BY start, grp LIMIT 1")?
        .query_row([], |r| Ok((r.get(0)?, r.get(1)?)))
        .optional()
}

/// Stores what was made of a stretch, and strikes it off the list.
fn put(
    conn: &Connection,
    (start, group): (i64, i64),
    (mut fine, hours): (Vec<Column>, Vec<Hour>),
    scratch: &mut Scratch,
) -> Result<(), SqlError> {
    leave_fuller(conn, start, &mut fine, scratch)?;
    if let Some(packed) = Packed::new(&fine, scratch) {
        let again: bool = conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM blocks WHERE resolution = ?1 AND grp = ?2
                 AND level >= 0 AND end >= ?3)",
            )?
            .query_row(params![FIVE_MINUTES_MS, group, start], |r| r.get(0))?;
        insert(conn, FIVE_MINUTES_MS, if again { LATE } else { 0 }, &packed)?;
    }
    put_hours(conn, &hours)?;
    conn.prepare_cached("DELETE FROM dirty WHERE start = ?1 AND grp = ?2")?
        .execute([start, group])
        .map(drop)
}

/// The number of hours that one statement writes: each statement costs SQLite a cursor.
const ROWS: usize = 16;

/// Not over what was made of more samples: see [`leave_fuller`].
fn insert_hours(rows: usize) -> String {
    let rows = vec!["(?,?,?,?,?,?,?,?,?)"; rows].join(",");
    format!(
        "INSERT INTO rollup_1h (series_id, ts, count, sum, min, max, last, resets, lost)
         VALUES {rows}
         ON CONFLICT (series_id, ts) DO UPDATE SET count = excluded.count, sum = excluded.sum,
         min = excluded.min, max = excluded.max, last = excluded.last,
         resets = excluded.resets, lost = excluded.lost WHERE excluded.count >= count"
    )
}

/// Stores hours, each a series, its beginning and what it amounts to; best in the order of series
/// and time.
pub(in crate::store) fn put_hours(conn: &Connection, hours: &[Hour]) -> Result<(), SqlError> {
    static SQL: LazyLock<[String; 2]> = LazyLock::new(|| [insert_hours(1), insert_hours(ROWS)]);
    let whole = hours.len() - hours.len() % ROWS;
    for (sql, rows, hours) in [(&SQL[1], ROWS, &hours[..whole]), (&SQL[0], 1, &hours[whole..])] {
        let mut statement = conn.prepare_cached(sql)?;
        for hours in hours.chunks(rows) {
            let mut at = 1..;
            let mut bind = |value: ToSqlOutput<'_>| match at.next() {
                Some(at) => statement.raw_bind_parameter(at, value),
                None => Ok(()),
            };
            for &(id, ts, b) in hours {
                bind(id.into())?;
                bind(ts.into())?;
                bind((b.count as i64).into())?;
                bind(to_sql(b.sum))?;
                bind(to_sql(b.min))?;
                bind(to_sql(b.max))?;
                bind(to_sql(b.last))?;
                bind((b.resets as i64).into())?;
                bind(to_sql(b.lost))?;
            }
            statement.raw_execute()?;
        }
    }
    Ok(())
}

/// Takes out the buckets that are stored already and were made of more samples than there are now:
/// what they were made of is gone by age, and a sample that comes late for that time must not wipe
/// out years of rollups.
fn leave_fuller(
    conn: &Connection,
    start: i64,
    fine: &mut Vec<Column>,
    scratch: &mut Scratch,
) -> Result<(), SqlError> {
    let mut counts: Vec<Column> = fine
        .iter()
        .filter(|c| c.part == 0)
        .map(|c| Column { series: c.series, ..Column::default() })
        .collect();
    let end = start + STRETCH_MS - 1;
    series::sealed(conn, FIVE_MINUTES_MS, start, end, scratch, &mut counts)?;
    let stored = |series: i64, ts: i64| {
        let column = counts.get(counts.binary_search_by_key(&series, |c| c.series).ok()?)?;
        column.values.get(column.ts.binary_search(&ts).ok()?).copied()
    };
    let mut fuller: Vec<(i64, i64)> = Vec::new();
    for column in fine.iter().filter(|c| c.part == 0) {
        let of = column.ts.iter().zip(&column.values);
        let of = of.filter(|(ts, count)| stored(column.series, **ts).is_some_and(|s| s > **count));
        fuller.extend(of.map(|(ts, _)| (column.series, *ts)));
    }
    if fuller.is_empty() {
        return Ok(());
    }
    for column in fine.iter_mut() {
        let stays = |ts: i64| fuller.binary_search(&(column.series, ts)).is_err();
        let of = column.ts.iter().zip(&column.values).filter(|(ts, _)| stays(**ts));
        (column.ts, column.values) = of.map(|(ts, value)| (*ts, *value)).unzip();
    }
    fine.retain(|c| !c.ts.is_empty());
    Ok(())
}

/// A series, the beginning of an hour, what it amounts to.
pub(in crate::store) type Hour = (i64, i64, Bucket);

/// The rollups of one stretch of one group, from its samples: columns of five minutes, and hours.
fn make(
    conn: &Connection,
    (start, group): (i64, i64),
    scratch: &mut Scratch,
) -> Result<(Vec<Column>, Vec<Hour>), SqlError> {
    let mut fine: Vec<Column> = Vec::new();
    let mut hours: Vec<Hour> = Vec::new();
    let members = members(conn, group)?;
    let mut columns: Vec<Column> =
        members.iter().map(|(id, _)| Column { series: *id, ..Column::default() }).collect();
    series::sealed(conn, 0, start, start + STRETCH_MS - 1, scratch, &mut columns)?;
    for ((id, kind), column) in members.into_iter().zip(columns) {
        if column.ts.is_empty() {
            continue;
        }
        let before = newest_before(conn, id, start)?;
        // What another tool remembered is not made again: its samples do not know what their buckets
        // do, the smallest and the largest of each.
        let past = state::get(conn, &state::past_of(id))?.unwrap_or(i64::MIN);
        let mut five = buckets(&column, FIVE_MINUTES_MS, kind, before);
        five.retain(|(at, _)| at + FIVE_MINUTES_MS > past);
        let mut hourly = buckets(&column, HOUR_MS, kind, before);
        hourly.retain(|(at, _)| at + HOUR_MS > past);
        hours.extend(hourly.into_iter().map(|(at, b)| (id, at, b)));
        if five.is_empty() {
            continue;
        }
        fine.extend((0..PARTS.len()).map(|part| Column {
            series: id,
            part: part as u8,
            ts: five.iter().map(|(at, _)| *at).collect(),
            values: five.iter().map(|(_, b)| b.part(part)).collect(),
        }));
    }
    Ok((fine, hours))
}

/// How the rollups of a stretch stand against its samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct Compared {
    /// Buckets looked at.
    pub(super) all: u64,
    /// They are not there, or know of fewer samples.
    pub(in crate::store) lacking: u64,
    /// They know of as many, and say something else.
    pub(in crate::store) wrong: u64,
}

impl Compared {
    fn add(&mut self, stored: Option<(f64, bool)>, count: f64) {
        self.all += 1;
        match stored {
            Some((stored, _)) if stored < count => self.lacking += 1,
            Some((stored, same)) => self.wrong += u64::from(stored == count && !same),
            None => self.lacking += 1,
        }
    }
}

/// Makes the rollups of a stretch again and compares. Buckets that know of more samples than there
/// are now are right: what they were made of was lost since. So are those that retention dropped
/// before their samples, which may be asked for, or be so where a block reaches over years.
pub(in crate::store) fn compare(
    conn: &Connection,
    start: i64,
    group: i64,
    scratch: &mut Scratch,
) -> Result<Compared, SqlError> {
    let (fine, hours) = make(conn, (start, group), scratch)?;
    let mut compared = Compared::default();
    let gone = |name| Ok::<_, SqlError>(state::get(conn, name)?.unwrap_or(i64::MIN));
    let (fine_gone, hours_gone) = (gone(state::FIVE_MINUTES_GONE)?, gone(state::HOURS_GONE)?);
    for parts in fine.chunk_by(|a, b| a.series == b.series) {
        let mut stored: Vec<Column> = parts
            .iter()
            .map(|p| Column { series: p.series, part: p.part, ..Column::default() })
            .collect();
        let end = start + STRETCH_MS - 1;
        series::sealed(conn, FIVE_MINUTES_MS, start, end, scratch, &mut stored)?;
        let value = |part: usize, ts: i64| {
            let at = stored[part].ts.binary_search(&ts).ok()?;
            stored[part].values.get(at).copied()
        };
        for (i, ts) in parts[0].ts.iter().enumerate() {
            let same = (0..parts.len()).all(|part| {
                value(part, *ts).map(f64::to_bits) == Some(parts[part].values[i].to_bits())
            });
            let stored = value(0, *ts).map(|count| (count, same));
            if stored.is_some() || *ts > fine_gone {
                compared.add(stored, parts[0].values[i]);
            }
        }
    }
    let mut stored = conn.prepare_cached(
        "SELECT count, sum, min, max, last, resets, lost FROM rollup_1h
         WHERE series_id = ?1 AND ts = ?2",
    )?;
    for (id, at, bucket) in hours {
        let row: Option<Vec<Option<f64>>> = stored
            .query_row([id, at], |r| {
                (0..PARTS.len()).map(|i| Ok(crate::store::from_column(r.get_ref(i)?))).collect()
            })
            .optional()?;
        let stored = row.map(|row| {
            let same = (0..PARTS.len())
                .all(|i| row[i].map(f64::to_bits) == Some(bucket.part(i).to_bits()));
            (row[0].unwrap_or(-1.0), same)
        });
        if stored.is_some() || at >= hours_gone {
            compared.add(stored, bucket.count as f64);
        }
    }
    Ok(compared)
}

/// The first stretch that begins at this time or later.
pub(in crate::store) fn after(ts: i64) -> i64 {
    ts + (-ts).rem_euclid(STRETCH_MS)
}

/// The series of a group, and how they behave.
pub(in crate::store) fn members(
    conn: &Connection,
    group: i64,
) -> Result<Vec<(i64, Kind)>, SqlError> {
    conn.prepare_cached("SELECT id, kind FROM series_dict WHERE id BETWEEN ?1 AND ?2 ORDER BY id")?
        .query_map([group * GROUP, group * GROUP + GROUP - 1], |r| {
            Ok((r.get(0)?, Kind::from_word(r.get_ref(1)?.as_str()?)))
        })?
        .collect()
}

/// The value that a series stood at before a stretch.
pub(in crate::store) fn newest_before(
    conn: &Connection,
    id: i64,
    start: i64,
) -> Result<Option<f64>, SqlError> {
    conn.prepare_cached(
        "SELECT last FROM rollup_1h WHERE series_id = ?1 AND ts < ?2 ORDER BY ts DESC LIMIT 1",
    )?
    .query_row([id, start], |r| Ok(crate::store::from_column(r.get_ref(0)?)))
    .optional()
    .map(Option::flatten)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(samples: &[(i64, f64)]) -> Column {
        Column {
            series: 1,
            part: 0,
            ts: samples.iter().map(|s| s.0 * 1000).collect(),
            values: samples.iter().map(|s| s.1).collect(),
        }
    }

    #[test]
    fn a_bucket_keeps_the_peaks() {
        let c = column(&[(0, 1.0), (10, 9.0), (20, f64::NAN), (299, 2.0), (300, 7.0)]);
        let got = buckets(&c, FIVE_MINUTES_MS, Kind::Gauge, Some(100.0));
        let first =
            Bucket { count: 3, sum: 12.0, min: 1.0, max: 9.0, last: 2.0, resets: 0, lost: 0.0 };
        assert_eq!(got[0], (0, first));
        assert_eq!((got.len(), got[1].0, got[1].1.max), (2, 300_000, 7.0));
    }

    #[test]
    fn a_counter_s_increase_is_exact_across_the_edges() {
        // 100 -> 110 | 120 -> reset -> 5 | -> 25 -> reset -> 1: 10 + 10 + 5 + 20 + 1 = 46
        let c = column(&[(0, 110.0), (300, 120.0), (310, 5.0), (600, 25.0), (610, 1.0)]);
        let got = buckets(&c, FIVE_MINUTES_MS, Kind::Counter, Some(100.0));
        let mut before = 100.0;
        let mut increase = 0.0;
        for (_, b) in &got {
            increase += b.last - before + b.lost;
            before = b.last;
        }
        assert_eq!(increase, 46.0);
        assert_eq!(got.iter().map(|(_, b)| b.resets).collect::<Vec<_>>(), [0, 1, 1]);
    }
}
