//! store: the samples of one series over a stretch of time, wherever they are: sealed blocks first,
//! then plain rows that are not sealed yet.

use std::ops::Range;

use rusqlite::{Connection, blob::Blob, params};

use super::block::{BlockError, Column, Directory, GROUP};
use super::chunk::{MAX_COUNT, Scratch, Timestamps};
use super::head::Head;
use super::join::{join, join_packed, report};
use super::{SqlError, from_column, state};

/// Enough of a block to hold its directory, nearly always.
const HEAD: usize = 1_024;

/// A failure of one column, or of the database.
enum Failed {
    Sql(SqlError),
    Block(BlockError),
}

impl From<SqlError> for Failed {
    fn from(e: SqlError) -> Self {
        Self::Sql(e)
    }
}

impl From<BlockError> for Failed {
    fn from(e: BlockError) -> Self {
        Self::Block(e)
    }
}

/// The samples of each column's series from `from` to `to` inclusive (ms since 1970 UTC) in the
/// order of time, each time once. `columns` come empty, in the order of their series. With a head
/// the newest come from there; it must have been the head of this database when the transaction
/// that `conn` is in began, or before. A damaged block is reported in the log and leaves a gap.
/// `last_only`: the last sample of each counts, others may be left out.
pub(super) fn raw(
    conn: &Connection,
    head: Option<&Head>,
    (from, to): (i64, i64),
    last_only: bool,
    scratch: &mut Scratch,
    columns: &mut [Column],
) -> Result<(), SqlError> {
    let empty = |c: &Column| Column { series: c.series, ..Column::default() };
    // Before anything is read from the file: what is sealed meanwhile is then found twice, and not
    // missed.
    let mut newest: Vec<Column> = columns.iter().map(empty).collect();
    let covers = head.map(|head| match last_only {
        true => head.read_newest(from, to, &mut newest),
        false => head.read(from, to, &mut newest),
    });
    let pruned = state::get(conn, state::PRUNED_UNTIL)?.unwrap_or(i64::MIN);
    if from <= pruned {
        plain(conn, from, to.min(pruned), columns)?;
    }
    // Up to the last sample that is known of a series no block says anything new.
    let mut known = Vec::new();
    if last_only {
        known.extend(newest.iter().map(|c| c.ts.last().copied().unwrap_or(i64::MIN)));
    }
    sealed_after(conn, 0, (from, to), &known, scratch, columns)?;
    let rows = covers.or(state::get(conn, state::SEALED_UNTIL)?).unwrap_or(i64::MIN);
    if to > rows {
        plain(conn, from.max(rows.saturating_add(1)), to, &mut newest)?;
    }
    late(conn, from, to, &mut newest)?;
    for (column, newest) in columns.iter_mut().zip(newest) {
        join(column, &newest.ts, &newest.values);
    }
    Ok(())
}

/// The same from blocks of one resolution alone; `part` of each column says which part of it.
pub(super) fn sealed(
    conn: &Connection,
    resolution: i64,
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    columns: &mut [Column],
) -> Result<(), SqlError> {
    sealed_after(conn, resolution, (from, to), &[], scratch, columns)
}

/// The same without blocks that end at or before the time that is `known` of each column of their
/// group; where nothing is said of a column, all are read.
fn sealed_after(
    conn: &Connection,
    resolution: i64,
    (from, to): (i64, i64),
    known: &[i64],
    scratch: &mut Scratch,
    columns: &mut [Column],
) -> Result<(), SqlError> {
    let mut blocks = Blocks::new(conn);
    let mut at = 0;
    for group in columns.chunk_by_mut(|a, b| group_of(a) == group_of(b)) {
        let mut found = blocks.list(resolution, group_of(&group[0]), from, to)?;
        let known = known.get(at..at + group.len()).and_then(|k| k.iter().min());
        found.retain(|block| known.is_none_or(|known| block.end > *known));
        at += group.len();
        let room = found.iter().map(|b| b.within(from, to)).sum();
        for column in &mut *group {
            column.ts.reserve(room);
            column.values.reserve(room);
        }
        for block in &found {
            blocks.read(block, group, (from, to), scratch, |out, ts, range, values| {
                join_packed(out, &ts, range, &values);
            })?;
        }
    }
    Ok(())
}

/// Hands over some parts of one series block by block, in the order of time: the times, the places
/// in them that lie from `from` to `to` inclusive, and the values of each part. False: blocks
/// overlap, so that they have to be joined first; nothing was handed over.
#[allow(clippy::too_many_arguments, reason = "what identifies the columns of a block")]
pub(super) fn visit_sealed(
    conn: &Connection,
    resolution: i64,
    series: i64,
    parts: &[u8],
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    mut each: impl FnMut(&Timestamps, Range<usize>, &[Vec<f64>]),
) -> Result<bool, SqlError> {
    let mut blocks = Blocks::new(conn);
    let mut found = blocks.list(resolution, series.div_euclid(GROUP), from, to)?;
    found.sort_by_key(|b| b.start);
    if found.windows(2).any(|pair| pair[1].start <= pair[0].end) {
        return Ok(false);
    }
    let mut wanted: Vec<Column> =
        parts.iter().map(|part| Column { series, part: *part, ..Column::default() }).collect();
    for block in &found {
        let mut times: Option<Timestamps> = None;
        let mut values = vec![Vec::new(); parts.len()];
        blocks.read(block, &mut wanted, EVER, scratch, |column, ts, _, decoded| {
            if let Some(at) = parts.iter().position(|part| *part == column.part) {
                values[at] = decoded;
                times = Some(ts);
            }
        })?;
        let Some(times) = times else { continue };
        // A damaged part takes the others with it: half a bucket says nothing.
        if values.iter().all(|v| v.len() == times.len()) {
            let range = times.partition(from)..times.partition(to.saturating_add(1));
            each(&times, range, &values);
        }
    }
    Ok(true)
}

/// All of a block.
const EVER: (i64, i64) = (i64::MIN, i64::MAX);
/// None of it but its times.
const NEVER: (i64, i64) = (i64::MAX, i64::MIN);

/// A block, without what is in it.
#[derive(Debug)]
struct Found {
    id: i64,
    start: i64,
    end: i64,
    longest: usize,
}

impl Found {
    /// About how many samples of a column lie in this stretch.
    fn within(&self, from: i64, to: i64) -> usize {
        let all = (self.end.saturating_sub(self.start)).max(1) as f64;
        let some = self.end.min(to).saturating_sub(self.start.max(from)).max(0) as f64;
        (self.longest as f64 * some / all) as usize + 1
    }
}

/// Reads blocks, one after the other.
struct Blocks<'c> {
    conn: &'c Connection,
    open: Option<Blob<'c>>,
}

impl<'c> Blocks<'c> {
    fn new(conn: &'c Connection) -> Self {
        Self { conn, open: None }
    }

    /// Those of a group that share this time, in the order of sealing: where two have the same
    /// time, the later one wins.
    fn list(
        &self,
        resolution: i64,
        group: i64,
        from: i64,
        to: i64,
    ) -> Result<Vec<Found>, SqlError> {
        self.conn
            .prepare_cached(
                "SELECT id, start, end, longest FROM blocks
                 WHERE resolution = ?1 AND grp = ?2 AND level >= 0 AND end >= ?3 AND start <= ?4
                 ORDER BY seq",
            )?
            .query_map(params![resolution, group, from, to], |r| {
                let longest = usize::try_from(r.get::<_, i64>(3)?).unwrap_or(0).min(MAX_COUNT);
                Ok(Found { id: r.get(0)?, start: r.get(1)?, end: r.get(2)?, longest })
            })?
            .collect()
    }

    fn open(&mut self, id: i64) -> Result<&mut Blob<'c>, SqlError> {
        Ok(match &mut self.open {
            Some(open) => {
                open.reopen(id)?;
                open
            }
            none => none.insert(self.conn.blob_open("main", "blocks", "data", id, true)?),
        })
    }

    /// The places in the group of the series that a block holds; none where it is damaged.
    fn offsets(&mut self, block: &Found) -> Result<Vec<u8>, SqlError> {
        match directory(self.open(block.id)?) {
            Ok(directory) => Ok(directory.entries().iter().map(|e| e.offset).collect()),
            Err(Failed::Sql(e)) => Err(e),
            Err(Failed::Block(_)) => Ok(Vec::new()),
        }
    }

    /// Unpacks the wanted columns of a block, of their values those within these times, inclusive.
    /// What is damaged is reported and left out.
    fn read(
        &mut self,
        block: &Found,
        wanted: &mut [Column],
        within: (i64, i64),
        scratch: &mut Scratch,
        each: impl FnMut(&mut Column, Timestamps, Range<usize>, Vec<f64>),
    ) -> Result<(), SqlError> {
        let blob = self.open(block.id)?;
        let lost = |series, e: &BlockError| report(series, block.start, block.end, e);
        match take(blob, scratch, wanted, within, each, lost) {
            Ok(()) => Ok(()),
            Err(Failed::Sql(e)) => Err(e),
            Err(Failed::Block(e)) => {
                wanted.iter().for_each(|c| lost(c.series, &e));
                Ok(())
            }
        }
    }
}

/// Takes out of `missing` (in the order of their numbers) the series that have a column in a block
/// of this resolution with a sample from `from` to `to` inclusive. Only blocks that the ends of the
/// stretch cut through are unpacked; what is damaged is reported and has nothing.
pub(super) fn strike_sealed(
    conn: &Connection,
    resolution: i64,
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    missing: &mut Vec<i64>,
) -> Result<(), SqlError> {
    let mut blocks = Blocks::new(conn);
    let mut left = Vec::new();
    for group in missing.chunk_by(|a, b| a.div_euclid(GROUP) == b.div_euclid(GROUP)) {
        let Some(number) = group.first().map(|s| s.div_euclid(GROUP)) else { continue };
        let mut group = group.to_vec();
        let found = blocks.list(resolution, number, from, to)?;
        let (whole, cut): (Vec<_>, Vec<_>) =
            found.iter().rev().partition(|b| b.start >= from && b.end <= to);
        for block in whole {
            if group.is_empty() {
                break;
            }
            let offsets = blocks.offsets(block)?;
            group.retain(|s| !offsets.contains(&(s.rem_euclid(GROUP) as u8)));
        }
        for block in cut {
            let mut columns: Vec<Column> =
                group.iter().map(|s| Column { series: *s, ..Column::default() }).collect();
            let mut there = Vec::new();
            blocks.read(block, &mut columns, NEVER, scratch, |column, ts, _, _| {
                if ts.partition(to.saturating_add(1)) > ts.partition(from) {
                    there.push(column.series);
                }
            })?;
            group.retain(|s| !there.contains(s));
        }
        left.extend(group);
    }
    *missing = left;
    Ok(())
}

fn group_of(column: &Column) -> i64 {
    column.series.div_euclid(GROUP)
}

/// What a block holds, and where.
fn directory(blob: &Blob<'_>) -> Result<Directory, Failed> {
    let mut length = HEAD.min(blob.size() as usize);
    let mut head = vec![0; length];
    loop {
        blob.read_at_exact(&mut head, 0)?;
        match Directory::read(&head)? {
            Some(directory) => return Ok(directory),
            None if length == blob.size() as usize => return Err(BlockError::Directory.into()),
            None => {
                length = (length * 4).min(blob.size() as usize);
                head.resize(length, 0);
            }
        }
    }
}

/// The wanted columns of one block. `lost` is told of those that are damaged.
fn take(
    blob: &Blob<'_>,
    scratch: &mut Scratch,
    wanted: &mut [Column],
    (from, to): (i64, i64),
    mut each: impl FnMut(&mut Column, Timestamps, Range<usize>, Vec<f64>),
    lost: impl Fn(i64, &BlockError),
) -> Result<(), Failed> {
    let directory = directory(blob)?;
    let get = |at: usize, bytes: usize, into: &mut Vec<u8>| -> Result<(), Failed> {
        let before = into.len();
        // What a damaged directory asks for is not allocated.
        if at.checked_add(bytes).is_none_or(|end| end > blob.size() as usize) {
            return Err(BlockError::Directory.into());
        }
        into.resize(before + bytes, 0);
        blob.read_at_exact(&mut into[before..], at)?;
        Ok(())
    };
    for entry in directory.entries() {
        let fits = |c: &&mut Column| {
            c.series.rem_euclid(GROUP) as u8 == entry.offset && c.part == entry.part
        };
        let Some(out) = wanted.iter_mut().find(fits) else { continue };
        match directory.column_within(entry, get, from, to, scratch) {
            Ok((ts, range, values)) => each(out, ts, range, values),
            Err(Failed::Sql(e)) => return Err(e.into()),
            Err(Failed::Block(e)) => lost(out.series, &e),
        }
    }
    Ok(())
}

/// Plain rows. One walk over all of them serves every column.
fn plain(conn: &Connection, from: i64, to: i64, columns: &mut [Column]) -> Result<(), SqlError> {
    if let [one] = columns {
        let mut rows = conn.prepare_cached(
            "SELECT series_id, ts, value FROM samples
             WHERE ts BETWEEN ?1 AND ?2 AND series_id = ?3 ORDER BY ts",
        )?;
        let rows = rows.query(params![from, to, one.series])?;
        return fill(rows, std::slice::from_mut(one));
    }
    let mut rows = conn.prepare_cached(
        "SELECT series_id, ts, value FROM samples WHERE ts BETWEEN ?1 AND ?2 ORDER BY ts",
    )?;
    fill(rows.query([from, to])?, columns)
}

/// Rows that came too late to be sealed in order, and are not sealed yet.
fn late(conn: &Connection, from: i64, to: i64, columns: &mut [Column]) -> Result<(), SqlError> {
    let mut rows = conn.prepare_cached(
        "SELECT l.series_id, l.ts, s.value
         FROM late l CROSS JOIN samples s ON s.ts = l.ts AND s.series_id = l.series_id
         WHERE l.ts BETWEEN ?1 AND ?2 ORDER BY l.ts",
    )?;
    let mut found: Vec<Column> =
        columns.iter().map(|c| Column { series: c.series, ..Column::default() }).collect();
    fill(rows.query([from, to])?, &mut found)?;
    for (column, late) in columns.iter_mut().zip(found) {
        join(column, &late.ts, &late.values);
    }
    Ok(())
}

/// Appends rows in the order of time to the columns of their series; a time that comes twice is
/// the same row.
fn fill(mut rows: rusqlite::Rows<'_>, columns: &mut [Column]) -> Result<(), SqlError> {
    while let Some(row) = rows.next()? {
        let Ok(at) = columns.binary_search_by_key(&row.get(0)?, |c| c.series) else { continue };
        let (column, ts) = (&mut columns[at], row.get(1)?);
        if column.ts.last() != Some(&ts)
            && let Some(value) = from_column(row.get_ref(2)?)
        {
            column.ts.push(ts);
            column.values.push(value);
        }
    }
    Ok(())
}
