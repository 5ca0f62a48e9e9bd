//! store: the samples of one series over a stretch of time, wherever they are: sealed blocks first,
//! then plain rows that are not sealed yet.

use std::ops::Range;

use rusqlite::{Connection, blob::Blob, params};

use super::block::{BlockError, Column, Directory, GROUP, Taken};
use super::chunk::{MAX_COUNT, Scratch, Timestamps};
use super::head::Head;
use super::join::{join, join_packed, report};
use super::slices::{self, Slice};
use super::{SqlError, from_column, state};

/// Enough of a block or slice to hold its directory, nearly always.
const HEAD: usize = 1_024;
/// So much is read at once where most of it is wanted.
const WHOLE: usize = 64 << 10;
/// So many columns of a group are most of it.
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
pub(super) fn fetch(
    conn: &Connection,
    head: Option<&Head>,
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
    let mut blocks = Blocks::new(conn);
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
            blocks.read(block, group, (from, to), |i, span, taken| {
                packed[places.start + i].push((span, taken));
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

/// The same, unpacked: `columns` come empty, in the order of their series.
pub(super) fn raw(
    conn: &Connection,
    head: Option<&Head>,
    (from, to): (i64, i64),
    scratch: &mut Scratch,
    columns: &mut [Column],
) -> Result<(), SqlError> {
    let series: Vec<i64> = columns.iter().map(|c| c.series).collect();
    let fetched = fetch(conn, head, (from, to), false, &series)?;
    for (fetched, column) in fetched.into_iter().zip(columns) {
        fetched.unpack(from, to, scratch, column);
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
    let mut blocks = Blocks::new(conn);
    for group in columns.chunk_by_mut(|a, b| group_of(&key(a)) == group_of(&key(b))) {
        let keys: Vec<Key> = group.iter().map(key).collect();
        let found = blocks.list(resolution, group_of(&keys[0]), from, to)?;
        let room = found.iter().map(|b| b.within(from, to)).sum();
        for column in &mut *group {
            column.ts.reserve(room);
            column.values.reserve(room);
        }
        for block in &found {
            blocks.read(block, &keys, (from, to), |i, span, taken| {
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
    let wanted: Vec<Key> = parts.iter().map(|part| (series, *part)).collect();
    for block in &found {
        let mut slices: Vec<(Span, Timestamps, Vec<Vec<f64>>)> = Vec::new();
        blocks.read(block, &wanted, (from, to), |at, span, taken| {
            let ts = taken.times(scratch)?;
            if slices.last().is_none_or(|(last, _, _)| *last != span) {
                slices.push((span, ts, vec![Vec::new(); parts.len()]));
            }
            let Some((_, ts, values)) = slices.last_mut() else { return Ok(()) };
            Ok(taken.values(0..ts.len(), scratch, &mut values[at])?)
        })?;
        for (_, times, values) in &slices {
            // A damaged part takes the others with it: half a bucket says nothing.
            if values.iter().all(|v| v.len() == times.len()) {
                let range = times.partition(from)..times.partition(to.saturating_add(1));
                each(times, range, values);
            }
        }
    }
    Ok(true)
}

/// A column of a block: its series and its part.
type Key = (i64, u8);

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
    open: Option<Blob<'c>>,
    /// Room for what is read at once.
    room: Vec<u8>,
}

impl<'c> Blocks<'c> {
    fn new(conn: &'c Connection) -> Self {
        Self { conn, open: None, room: Vec::new() }
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
        let Self { conn, open, room } = self;
        let blob = match open {
            Some(open) => {
                open.reopen(id)?;
                open
            }
            none => none.insert(conn.blob_open("main", "blocks", "data", id, true)?),
        };
        Ok(Bytes { blob, room, at: 0, length: 0 })
    }

    /// The places in the group of the series that a block holds; none where it is damaged.
    fn offsets(&mut self, block: &Found) -> Result<Vec<u8>, SqlError> {
        let mut bytes = self.open(block.id)?;
        let mut all = || -> Result<Vec<u8>, Failed> {
            let mut offsets = Vec::new();
            for slice in bytes.slices()? {
                let directory = bytes.directory(slice, HEAD)?;
                offsets.extend(directory.entries().iter().map(|e| e.offset));
            }
            Ok(offsets)
        };
        match all() {
            Ok(offsets) => Ok(offsets),
            Err(Failed::Sql(e)) => Err(e),
            Err(Failed::Block(_)) => Ok(Vec::new()),
        }
    }

    /// Hands over the wanted columns of a block, slice by slice where those have samples from `from`
    /// to `to`: their places among those wanted, when they begin and end, their bytes. What is damaged
    /// is reported and left out.
    fn read(
        &mut self,
        block: &Found,
        wanted: &[Key],
        (from, to): Span,
        mut each: impl FnMut(usize, Span, Taken) -> Result<(), BlockError>,
    ) -> Result<(), SqlError> {
        let mut bytes = self.open(block.id)?;
        let lost = |(start, end): Span, e: &BlockError| {
            wanted.iter().for_each(|(series, _)| report(*series, start, end, e));
        };
        let slices = match bytes.slices() {
            Ok(slices) => slices,
            Err(Failed::Sql(e)) => return Err(e),
            Err(Failed::Block(e)) => {
                lost((block.start, block.end), &e);
                return Ok(());
            }
        };
        for at in slices::within(&slices, from, to) {
            let end = slices.get(at + 1).map_or(block.end, |next| next.start.saturating_sub(1));
            let span = (slices[at].start.max(block.start), end.min(block.end));
            match bytes.take(slices[at], wanted, span, &mut each) {
                Ok(()) => {}
                Err(Failed::Sql(e)) => return Err(e),
                Err(Failed::Block(e)) => lost(span, &e),
            }
        }
        Ok(())
    }
}

/// A block's bytes, of which some are in memory.
struct Bytes<'b, 'c> {
    blob: &'b Blob<'c>,
    room: &'b mut Vec<u8>,
    /// Where those begin that are.
    at: usize,
    /// How many are.
    length: usize,
}

impl Bytes<'_, '_> {
    /// Those from `at` on; they stay in memory until others are asked for.
    fn get(&mut self, at: usize, length: usize) -> Result<&[u8], Failed> {
        let inside = at.checked_sub(self.at).filter(|from| from + length <= self.length);
        let from = match inside {
            Some(from) => from,
            None => {
                self.check(at, length)?;
                if self.room.len() < length {
                    self.room.resize(length, 0);
                }
                self.blob.read_at_exact(&mut self.room[..length], at)?;
                (self.at, self.length) = (at, length);
                0
            }
        };
        Ok(&self.room[from..from + length])
    }

    /// Appends those from `at` on.
    fn append(&self, at: usize, length: usize, into: &mut Vec<u8>) -> Result<(), Failed> {
        let inside = at.checked_sub(self.at).filter(|from| from + length <= self.length);
        if let Some(from) = inside {
            into.extend_from_slice(&self.room[from..from + length]);
            return Ok(());
        }
        self.check(at, length)?;
        let before = into.len();
        into.resize(before + length, 0);
        Ok(self.blob.read_at_exact(&mut into[before..], at)?)
    }

    /// What a damaged directory asks for is not allocated.
    fn check(&self, at: usize, length: usize) -> Result<(), BlockError> {
        let end = at.checked_add(length).filter(|end| *end <= self.blob.size() as usize);
        end.map(drop).ok_or(BlockError::Directory)
    }

    /// Reads as much from `at` on as it takes, `first` bytes to begin with, `size` at the most.
    fn parse<T>(
        &mut self,
        at: usize,
        size: usize,
        first: usize,
        parse: impl Fn(&[u8]) -> Result<Option<T>, BlockError>,
    ) -> Result<T, Failed> {
        let mut length = first.min(size);
        loop {
            match parse(self.get(at, length)?)? {
                Some(parsed) => return Ok(parsed),
                None if length == size => return Err(BlockError::Directory.into()),
                None => length = (length * 4).min(size),
            }
        }
    }

    fn slices(&mut self) -> Result<Vec<Slice>, Failed> {
        let size = self.blob.size() as usize;
        self.parse(0, size, HEAD, |bytes| slices::table(bytes, size))
    }

    fn directory(&mut self, slice: Slice, first: usize) -> Result<Directory, Failed> {
        self.parse(slice.at, slice.bytes, first, Directory::read)
    }

    /// The wanted columns of a slice.
    fn take(
        &mut self,
        slice: Slice,
        wanted: &[Key],
        span: Span,
        each: &mut impl FnMut(usize, Span, Taken) -> Result<(), BlockError>,
    ) -> Result<(), Failed> {
        let all = wanted.len() >= MOST && slice.bytes <= WHOLE;
        let directory = self.directory(slice, if all { slice.bytes } else { HEAD })?;
        for entry in directory.entries() {
            let fits = |(series, part): &Key| {
                series.rem_euclid(GROUP) as u8 == entry.offset && *part == entry.part
            };
            let Some(at) = wanted.iter().position(fits) else { continue };
            let get = |at: usize, length: usize, into: &mut Vec<u8>| -> Result<(), Failed> {
                self.append(slice.at.saturating_add(at), length, into)
            };
            match directory.take(entry, get).and_then(|taken| Ok(each(at, span, taken)?)) {
                Ok(()) => {}
                Err(Failed::Sql(e)) => return Err(e.into()),
                Err(Failed::Block(e)) => report(wanted[at].0, span.0, span.1, &e),
            }
        }
        Ok(())
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
            let wanted: Vec<Key> = group.iter().map(|s| (*s, 0)).collect();
            let mut there = Vec::new();
            blocks.read(block, &wanted, (from, to), |at, _, taken| {
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
