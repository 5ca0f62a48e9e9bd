//! store: the samples of one series over a stretch of time, wherever they are: sealed blocks first,
//! then plain rows that are not sealed yet.

use std::ops::Range;

use rusqlite::{Connection, blob::Blob, params};

use super::head::Head;
use super::kept::{Keep, Kept, Key};
use crate::store::file::state;
use crate::store::packed::block::{BlockError, Column, Directory, GROUP, Taken};
use crate::store::packed::chunk::{MAX_COUNT, Scratch, Timestamps};
use crate::store::packed::join::{join, join_packed, report};
use crate::store::{SqlError, from_column};

/// Enough of a block to hold its directory, nearly always.
const HEAD: usize = 1_024;
/// Bytes that are read at once where most of them are wanted.
const WHOLE: usize = 64 << 10;
/// From this many columns on, most of a group is wanted.
const MOST: usize = 4;

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

/// The samples of one series as they were read, those of blocks not unpacked yet.
#[derive(Debug, Clone)]
pub struct Fetched {
    series: i64,
    /// Plain rows older than any block.
    oldest: Column,
    /// Blocks in the order of their sealing.
    packed: Vec<(Span, Taken)>,
    /// What no block has.
    newest: Column,
}

/// From when to when, both inclusive.
type Span = (i64, i64);

impl Fetched {
    /// About how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        let rows = (self.oldest.ts.len() + self.newest.ts.len()) * 16;
        self.packed.iter().map(|(_, taken)| taken.size()).sum::<usize>() + rows
    }

    /// About how many samples from `from` to `to` there are in it.
    pub fn samples(&self, from: i64, to: i64) -> usize {
        let packed = self
            .packed
            .iter()
            .map(|((start, end), taken)| within(taken.count(), (*start, *end), (from, to)));
        packed.sum::<usize>() + self.oldest.ts.len() + self.newest.ts.len()
    }

    /// Appends the samples from `from` to `to` inclusive (ms since 1970 UTC) to an empty column, in
    /// the order of time, each time once. What is damaged is reported in the log and leaves a gap.
    pub fn unpack(&self, from: i64, to: i64, scratch: &mut Scratch, out: &mut Column) {
        join(out, &self.oldest.ts, &self.oldest.values);
        for (span, taken) in &self.packed {
            unpack(self.series, *span, taken, (from, to), scratch, out);
        }
        join(out, &self.newest.ts, &self.newest.values);
    }
}

/// Adds what newer bytes hold from `from` to `to` inclusive.
fn unpack(
    series: i64,
    (start, end): Span,
    taken: &Taken,
    (from, to): (i64, i64),
    scratch: &mut Scratch,
    out: &mut Column,
) {
    let mut add = || -> Result<(), BlockError> {
        let ts = taken.times(scratch)?;
        let range = ts.partition(from)..ts.partition(to.saturating_add(1));
        let Some(first) = ts.get(range.start).filter(|_| !range.is_empty()) else { return Ok(()) };
        if out.ts.last().is_none_or(|last| *last < first) {
            taken.values(range.clone(), scratch, &mut out.values)?;
            ts.extend(range, &mut out.ts);
        } else {
            let mut values = Vec::new();
            taken.values(range.clone(), scratch, &mut values)?;
            join_packed(out, &ts, range, &values);
        }
        Ok(())
    };
    if let Err(e) = add() {
        report(series, start, end, &e);
    }
}

/// The samples of some series, in the order of their numbers, from `from` to `to` inclusive (ms
/// since 1970 UTC), as they lie in the file; blocks that the ends cut come whole. With a head the
/// newest come from there; it must have been the head of this database when the transaction that
/// `conn` is in began, or before. `last_only`: the last sample of each counts, others may be left out.
pub(in crate::store) fn fetch(
    conn: &Connection,
    (head, kept): (Option<&Head>, Option<&Kept>),
    (from, to): (i64, i64),
    last_only: bool,
    series: &[i64],
) -> Result<Vec<Fetched>, SqlError> {
    let empty = |series: &i64| Column { series: *series, ..Column::default() };
    // Before anything is read from the file: what is sealed meanwhile is then found twice, and not
    // missed.
    let mut newest: Vec<Column> = series.iter().map(empty).collect();
    let covers = head.map(|head| match last_only {
        true => head.read_newest(from, to, &mut newest),
        false => head.read(from, to, &mut newest),
    });
    let mut oldest: Vec<Column> = series.iter().map(empty).collect();
    let pruned = state::get(conn, state::PRUNED_UNTIL)?.unwrap_or(i64::MIN);
    if from <= pruned {
        plain(conn, from, to.min(pruned), &mut oldest)?;
    }
    let mut packed: Vec<Vec<(Span, Taken)>> = series.iter().map(|_| Vec::new()).collect();
    let keys: Vec<Key> = series.iter().map(|series| (*series, 0)).collect();
    let mut blocks = Blocks { kept, ..Blocks::new(conn) };
    let mut at = 0;
    for group in keys.chunk_by(|a, b| group_of(a) == group_of(b)) {
        let places = at..at + group.len();
        at = places.end;
        let mut found = blocks.list(0, group_of(&group[0]), from, to)?;
        if last_only {
            // Up to the last sample that is known of a series no block says anything new.
            let known = newest[places.clone()].iter().map(|c| c.ts.last().copied());
            let known = known.min().flatten().unwrap_or(i64::MIN);
            found.retain(|block| block.end > known);
        }
        for block in &found {
            blocks.read(block, group, |i, taken| {
                packed[places.start + i].push(((block.start, block.end), taken));
                Ok(())
            })?;
        }
    }
    let rows = covers.or(state::get(conn, state::SEALED_UNTIL)?).unwrap_or(i64::MIN);
    if to > rows {
        plain(conn, from.max(rows.saturating_add(1)), to, &mut newest)?;
    }
    late(conn, from, to, &mut newest)?;
    let columns = oldest.into_iter().zip(packed).zip(newest);
    Ok((series.iter().zip(columns))
        .map(|(series, ((oldest, packed), newest))| Fetched {
            series: *series,
            oldest,
            packed,
            newest,
        })
        .collect())
}

/// Reads samples and unpacks them into `columns`, which come empty and in the order of their series.
pub(in crate::store) fn raw(
    conn: &Connection,
    head: Option<&Head>,
    (from, to): (i64, i64),
    scratch: &mut Scratch,
    columns: &mut [Column],
) -> Result<(), SqlError> {
    let series: Vec<i64> = columns.iter().map(|c| c.series).collect();
    let fetched = fetch(conn, (head, None), (from, to), false, &series)?;
    for (fetched, column) in fetched.into_iter().zip(columns) {
        fetched.unpack(from, to, scratch, column);
    }
    Ok(())
}

/// Reads from blocks of one resolution only; each column's `part` says which part of a bucket.
pub(in crate::store) fn sealed(
    conn: &Connection,
    resolution: i64,
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    columns: &mut [Column],
) -> Result<(), SqlError> {
    sealed_or_kept((conn, None), resolution, (from, to), scratch, columns)
}

/// Like [`sealed`], through the cache of columns.
pub(in crate::store) fn sealed_or_kept(
    (conn, kept): (&Connection, Option<&Kept>),
    resolution: i64,
    (from, to): (i64, i64),
    scratch: &mut Scratch,
    columns: &mut [Column],
) -> Result<(), SqlError> {
    let mut blocks = Blocks { kept, ..Blocks::new(conn) };
    for group in columns.chunk_by_mut(|a, b| group_of(&key(a)) == group_of(&key(b))) {
        let keys: Vec<Key> = group.iter().map(key).collect();
        let found = blocks.list(resolution, group_of(&keys[0]), from, to)?;
        let room = found.iter().map(|b| b.within(from, to)).sum();
        for column in &mut *group {
            column.ts.reserve(room);
            column.values.reserve(room);
        }
        for block in &found {
            let span = (block.start, block.end);
            blocks.read(block, &keys, |i, taken| {
                unpack(keys[i].0, span, &taken, (from, to), scratch, &mut group[i]);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Hands over some parts of one series block by block, in the order of time: the times, the places
/// in them that lie from `from` to `to` inclusive, and the values of each part. False: blocks
/// overlap, so that they have to be joined first; nothing was handed over.
#[allow(clippy::too_many_arguments, reason = "what identifies the columns of a block")]
pub(in crate::store) fn visit_sealed(
    conn: &Connection,
    resolution: i64,
    series: i64,
    parts: &[u8],
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    mut each: impl FnMut(&Timestamps, Range<usize>, &[&[f64]]),
) -> Result<bool, SqlError> {
    let mut blocks = Blocks::new(conn);
    let mut found = blocks.list(resolution, series.div_euclid(GROUP), from, to)?;
    found.sort_by_key(|b| b.start);
    if found.windows(2).any(|pair| pair[1].start <= pair[0].end) {
        return Ok(false);
    }
    let wanted: Vec<Key> = parts.iter().map(|part| (series, *part)).collect();
    let mut values = vec![Vec::new(); parts.len()];
    for block in &found {
        let mut times: Option<Timestamps> = None;
        values.iter_mut().for_each(Vec::clear);
        // Where each part's values are: where one sample makes a bucket, most parts are that sample,
        // in the same bytes.
        let mut places: Vec<usize> = (0..parts.len()).collect();
        let mut before: Option<(usize, Taken)> = None;
        blocks.read(block, &wanted, |at, taken| {
            if let Some((same, _)) = before.as_ref().filter(|(_, before)| *before == taken) {
                places[at] = *same;
                return Ok(());
            }
            let ts = taken.times(scratch)?;
            taken.values(0..ts.len(), scratch, &mut values[at])?;
            times = Some(ts);
            before = Some((at, taken));
            Ok(())
        })?;
        let Some(times) = times else { continue };
        let found: Vec<&[f64]> = places.iter().map(|at| &*values[*at]).collect();
        // A damaged part takes the others with it: half a bucket says nothing.
        if found.iter().all(|v| v.len() == times.len()) {
            let range = times.partition(from)..times.partition(to.saturating_add(1));
            each(&times, range, &found);
        }
    }
    Ok(true)
}

fn key(column: &Column) -> Key {
    (column.series, column.part)
}

fn group_of((series, _): &Key) -> i64 {
    series.div_euclid(GROUP)
}

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
        within(self.longest, (self.start, self.end), (from, to))
    }
}

/// About how many of `count` samples that lie from `start` to `end` lie from `from` to `to`.
fn within(count: usize, (start, end): Span, (from, to): Span) -> usize {
    let all = end.saturating_sub(start).max(1) as f64;
    let some = end.min(to).saturating_sub(start.max(from)).max(0) as f64;
    (count as f64 * some / all) as usize + 1
}

/// Reads blocks, one after the other.
struct Blocks<'c> {
    conn: &'c Connection,
    kept: Option<&'c Kept>,
    open: Option<Blob<'c>>,
    /// Room for what is read at once.
    room: Vec<u8>,
}

impl<'c> Blocks<'c> {
    fn new(conn: &'c Connection) -> Self {
        Self { conn, kept: None, open: None, room: Vec::new() }
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

    /// A block's bytes.
    fn open(&mut self, id: i64) -> Result<Bytes<'_, 'c>, SqlError> {
        let Self { conn, open, room, .. } = self;
        let blob = match open {
            Some(open) => {
                open.reopen(id)?;
                open
            }
            none => none.insert(conn.blob_open("main", "blocks", "data", id, true)?),
        };
        Ok(Bytes { blob, room, length: 0 })
    }

    /// The places in the group of the series that a block holds; none where it is damaged.
    fn offsets(&mut self, block: &Found) -> Result<Vec<u8>, SqlError> {
        match self.open(block.id)?.directory(HEAD) {
            Ok(directory) => Ok(directory.entries().iter().map(|e| e.offset).collect()),
            Err(Failed::Sql(e)) => Err(e),
            Err(Failed::Block(_)) => Ok(Vec::new()),
        }
    }

    /// Hands over the wanted columns of a block, by their places among those wanted. What is damaged
    /// is reported and left out.
    fn read(
        &mut self,
        block: &Found,
        wanted: &[Key],
        mut each: impl FnMut(usize, Taken) -> Result<(), BlockError>,
    ) -> Result<(), SqlError> {
        let lost = |series, e: &BlockError| report(series, block.start, block.end, e);
        let kept = self.kept;
        let known = kept.and_then(|kept| kept.directory(block.id));
        let mut bytes = self.open(block.id)?;
        if let (Some(kept), Some(length)) = (kept, known) {
            let begins = bytes.begin(length)?;
            if let Some(columns) = kept.find(block.id, begins, wanted) {
                for (at, taken) in columns.into_iter().enumerate() {
                    let Some(Err(e)) = taken.map(|taken| each(at, taken)) else { continue };
                    lost(wanted[at].0, &e);
                }
                return Ok(());
            }
        }
        let keep = kept.map(|kept| Keep::new(kept, block.id, wanted));
        match bytes.take(wanted, keep, each, lost) {
            Ok(()) => Ok(()),
            Err(Failed::Sql(e)) => Err(e),
            Err(Failed::Block(e)) => {
                wanted.iter().for_each(|(series, _)| lost(*series, &e));
                Ok(())
            }
        }
    }
}

/// A block's bytes, of which the first are in memory.
struct Bytes<'b, 'c> {
    blob: &'b Blob<'c>,
    room: &'b mut Vec<u8>,
    /// How many are.
    length: usize,
}

impl Bytes<'_, '_> {
    /// The first so many bytes, or all there are.
    fn begin(&mut self, length: usize) -> Result<&[u8], SqlError> {
        let length = length.min(self.blob.size() as usize);
        if self.room.len() < length {
            self.room.resize(length, 0);
        }
        self.blob.read_at_exact(&mut self.room[..length], 0)?;
        self.length = length;
        Ok(&self.room[..length])
    }

    /// What the block holds, and where; after so many bytes were read, or more if it takes more.
    fn directory(&mut self, first: usize) -> Result<Directory, Failed> {
        let size = self.blob.size() as usize;
        let mut length = first.min(size);
        loop {
            match Directory::read(self.begin(length)?)? {
                Some(directory) => return Ok(directory),
                None if length == size => return Err(BlockError::Directory.into()),
                None => length = (length * 4).min(size),
            }
        }
    }

    /// Appends some of them.
    fn append(&self, at: usize, length: usize, into: &mut Vec<u8>) -> Result<(), Failed> {
        // What a damaged directory asks for is not allocated.
        let end = at.checked_add(length).filter(|end| *end <= self.blob.size() as usize);
        let end = end.ok_or(BlockError::Directory)?;
        if end <= self.length {
            into.extend_from_slice(&self.room[at..end]);
            return Ok(());
        }
        let before = into.len();
        into.resize(before + length, 0);
        Ok(self.blob.read_at_exact(&mut into[before..], at)?)
    }

    /// The wanted columns. `lost` is told of those that are damaged.
    fn take(
        &mut self,
        wanted: &[Key],
        mut keep: Option<Keep<'_>>,
        mut each: impl FnMut(usize, Taken) -> Result<(), BlockError>,
        lost: impl Fn(i64, &BlockError),
    ) -> Result<(), Failed> {
        let size = self.blob.size() as usize;
        let all = wanted.len() >= MOST && size <= WHOLE;
        let directory = self.directory(if all { size } else { HEAD })?;
        for entry in directory.entries() {
            let fits = |(series, part): &Key| {
                series.rem_euclid(GROUP) as u8 == entry.offset && *part == entry.part
            };
            let Some(at) = wanted.iter().position(fits) else { continue };
            let taken = directory.take(entry, |at, length, into| self.append(at, length, into));
            if let (Some(keep), Ok(taken)) = (&mut keep, &taken) {
                keep.found(at, taken);
            }
            match taken.and_then(|taken| Ok(each(at, taken)?)) {
                Ok(()) => {}
                Err(Failed::Sql(e)) => return Err(e.into()),
                Err(Failed::Block(e)) => {
                    if let Some(keep) = &mut keep {
                        keep.damaged(at);
                    }
                    lost(wanted[at].0, &e);
                }
            }
        }
        if let Some(keep) = keep {
            keep.keep(&self.room[..directory.size()], wanted);
        }
        Ok(())
    }
}

/// Takes out of `missing` (in the order of their numbers) the series that have a column in a block
/// of this resolution with a sample from `from` to `to` inclusive. Only blocks that the ends of the
/// stretch cut through are unpacked; what is damaged is reported and has nothing.
pub(in crate::store) fn strike_sealed(
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
            let wanted: Vec<Key> = group.iter().map(|s| (*s, 0)).collect();
            let mut there = Vec::new();
            blocks.read(block, &wanted, |at, taken| {
                let ts = taken.times(scratch)?;
                if ts.partition(to.saturating_add(1)) > ts.partition(from) {
                    there.push(group[at]);
                }
                Ok(())
            })?;
            group.retain(|s| !there.contains(s));
        }
        left.extend(group);
    }
    *missing = left;
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
    let ends = columns.first().zip(columns.last()).map(|(a, b)| (a.series, b.series));
    let Some((first, last)) = ends else { return Ok(()) };
    let mut rows = conn.prepare_cached(
        "SELECT l.series_id, l.ts, s.value
         FROM late l CROSS JOIN samples s ON s.ts = l.ts AND s.series_id = l.series_id
         WHERE l.ts BETWEEN ?1 AND ?2 AND l.series_id BETWEEN ?3 AND ?4 ORDER BY l.ts",
    )?;
    let mut found: Vec<Column> =
        columns.iter().map(|c| Column { series: c.series, ..Column::default() }).collect();
    fill(rows.query([from, to, first, last])?, &mut found)?;
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
