//! store: from columns to blocks: where they are cut by time, and how they get into the file.

use rusqlite::{Connection, params};

use crate::store::SqlError;
use crate::store::file::state;
use crate::store::packed::block::{Column, GROUP, View, encode};
use crate::store::packed::chunk::Scratch;
use crate::store::samples::head::Sample;

/// The longest column a block gets.
pub(super) const LONGEST: usize = 8_192;

/// A column this long is not merged any further.
pub(super) const LONG: usize = LONGEST / 2;

/// About as many bytes as a block of samples gets: a reader of a moment takes one block, and a few
/// pages of SQLite are read in the time that it takes to find them. What compresses well is as long
/// as it may be.
pub(super) const BYTES: usize = 32 << 10;

/// The number of samples at the beginning that show how well all of them compress.
const FIRST: usize = 1_024;

/// A block does not reach over a longer time of nothing: of each six hours that it reaches over it is
/// asked what they hold, and an import may bring a sample of 1970 and one of today.
pub(super) const GAP_MS: i64 = 100 * 86_400_000;

/// Blocks of shorter columns would be all directory.
const LEAST: usize = 512;

/// pco packs so many at a time.
const BATCH: usize = 256;

/// Level of blocks that came late: they are merged into those whose time they share.
pub(in crate::store) const LATE: i64 = 8;

/// Level of blocks that are never merged again.
pub(in crate::store) const FINAL: i64 = 9;

/// A block ready to be stored.
#[derive(Debug)]
pub(in crate::store) struct Packed {
    pub(in crate::store) group: i64,
    pub(in crate::store) start: i64,
    pub(in crate::store) end: i64,
    pub(in crate::store) samples: usize,
    pub(in crate::store) longest: usize,
    pub(in crate::store) data: Vec<u8>,
    /// It is as large as it gets: merging it with others would cut it off again.
    pub(in crate::store) full: bool,
}

impl Packed {
    /// From the columns of one group; `None` if there are none.
    pub(in crate::store) fn new(columns: &[Column], scratch: &mut Scratch) -> Option<Self> {
        let views: Vec<View<'_>> = columns.iter().map(|c| View::of(c, 0..c.ts.len())).collect();
        Self::of(&views, scratch)
    }

    fn of(columns: &[View<'_>], scratch: &mut Scratch) -> Option<Self> {
        let first = columns.first()?;
        let longest = columns.iter().map(|c| c.ts.len()).max()?;
        let data = encode(columns, scratch);
        Some(Self {
            group: first.series.div_euclid(GROUP),
            start: columns.iter().filter_map(|c| c.ts.first()).min().copied()?,
            end: columns.iter().filter_map(|c| c.ts.last()).max().copied()?,
            samples: columns.iter().map(|c| c.ts.len()).sum(),
            longest,
            full: longest >= LONG || first.part == 0 && longest >= LEAST && data.len() >= BYTES / 2,
            data,
        })
    }
}

/// Samples in any order as blocks; of two of one series and time the later stays.
pub(in crate::store) fn pack(samples: &mut Vec<Sample>, scratch: &mut Scratch) -> Vec<Packed> {
    samples.sort_by_key(|(series, ts, _)| (*series, *ts));
    samples.dedup_by(|later, kept| {
        let same = (later.0, later.1) == (kept.0, kept.1);
        if same {
            *kept = *later;
        }
        same
    });
    let mut blocks = Vec::new();
    for group in samples.chunk_by(|a, b| a.0.div_euclid(GROUP) == b.0.div_euclid(GROUP)) {
        let columns: Vec<Column> = group
            .chunk_by(|a, b| a.0 == b.0)
            .map(|series| Column {
                series: series[0].0,
                part: 0,
                ts: series.iter().map(|s| s.1).collect(),
                values: series.iter().map(|s| s.2).collect(),
            })
            .collect();
        blocks.extend(cut(&columns, scratch));
    }
    blocks
}

/// Packs the columns of a group as blocks, cut by time: none is longer than [`LONGEST`], and of
/// samples none has many more than [`BYTES`]. Rollups have seven columns a series, of which a reader
/// wants few: theirs are cut by length only.
pub(in crate::store) fn cut(columns: &[Column], scratch: &mut Scratch) -> Vec<Packed> {
    let gaps = gaps(columns);
    if gaps.is_empty() {
        return cut_dense(columns, scratch);
    }
    let pieces = cut_at(columns.to_vec(), &gaps);
    pieces.iter().flat_map(|piece| cut_dense(piece, scratch)).collect()
}

/// Where columns go on after more than [`GAP_MS`] of nothing in any of them, ascending.
fn gaps(columns: &[Column]) -> Vec<i64> {
    let first = columns.iter().filter_map(|c| c.ts.first()).min();
    let last = columns.iter().filter_map(|c| c.ts.last()).max();
    match (first, last) {
        (Some(first), Some(last)) if last.saturating_sub(*first) > GAP_MS => {}
        _ => return Vec::new(),
    }
    let mut covered: Vec<(i64, i64)> = Vec::new();
    for column in columns {
        for piece in column.ts.chunk_by(|a, b| b.saturating_sub(*a) <= GAP_MS) {
            covered.extend(piece.first().copied().zip(piece.last().copied()));
        }
    }
    covered.sort_unstable();
    let mut gaps = Vec::new();
    let mut until = i64::MAX;
    for (from, to) in covered {
        if until != i64::MAX && from.saturating_sub(until) > GAP_MS {
            gaps.push(from);
        }
        until = if until == i64::MAX { to } else { until.max(to) };
    }
    gaps
}

fn cut_dense(columns: &[Column], scratch: &mut Scratch) -> Vec<Packed> {
    let samples = columns.iter().all(|c| c.part == 0);
    let mut blocks: Vec<Packed> = Vec::new();
    let mut places = vec![0; columns.len()];
    let longest = columns.iter().map(|c| c.ts.len()).max().unwrap_or(0);
    let mut length = if samples && longest >= LONG { FIRST } else { LONGEST };
    loop {
        let views = next(columns, &mut places, length);
        let taken = views.iter().map(|v| v.ts.len()).max().unwrap_or(0);
        let Some(block) = Packed::of(&views, scratch) else { break };
        if samples {
            let fits = taken.saturating_mul(BYTES) / block.data.len().max(1);
            length = fits.clamp(LEAST, LONGEST) / BATCH * BATCH;
        }
        if blocks.is_empty()
            && taken < longest.min(LONGEST)
            && one_is_enough(longest.min(LONGEST), length)
        {
            // It was only to see how much it is, and it is little.
            length = LONGEST;
            places.fill(0);
            continue;
        }
        blocks.push(block);
    }
    // But for the last, which others may follow.
    let last = blocks.len().saturating_sub(1);
    blocks[..last].iter_mut().for_each(|block| block.full = true);
    blocks
}

/// Whether so much is left that it is one block rather than two.
fn one_is_enough(left: usize, length: usize) -> bool {
    left <= LONGEST && left <= length + length / 2
}

/// What comes next of each column, up to a time at which none of them is longer than `length`, or to
/// the end; what has nothing is left out.
fn next<'c>(columns: &'c [Column], places: &mut [usize], length: usize) -> Vec<View<'c>> {
    let left = columns.iter().zip(&*places).map(|(c, at)| c.ts.len() - at).max().unwrap_or(0);
    let too_far = columns.iter().zip(&*places).filter_map(|(c, at)| c.ts.get(at + length));
    let end = too_far.min().filter(|_| !one_is_enough(left, length)).copied();
    let mut views = Vec::with_capacity(columns.len());
    for (column, at) in columns.iter().zip(places) {
        let to = match end {
            Some(end) => *at + column.ts[*at..].partition_point(|t| *t < end),
            None => column.ts.len(),
        };
        if *at < to {
            views.push(View::of(column, *at..to));
        }
        *at = to;
    }
    views
}

/// Cuts the columns of a group at these times, ascending: what lies at one of them or after it is in
/// the next piece. No piece is empty.
pub(in crate::store) fn cut_at(columns: Vec<Column>, times: &[i64]) -> Vec<Vec<Column>> {
    let mut pieces = Vec::with_capacity(times.len() + 1);
    let mut rest = columns;
    for time in times.iter().rev() {
        let mut piece = Vec::with_capacity(rest.len());
        for column in &mut rest {
            let at = column.ts.partition_point(|t| t < time);
            let (ts, values) = (column.ts.split_off(at), column.values.split_off(at));
            if !ts.is_empty() {
                piece.push(Column { series: column.series, part: column.part, ts, values });
            }
        }
        rest.retain(|c| !c.ts.is_empty());
        pieces.push(piece);
    }
    pieces.push(rest);
    pieces.retain(|p| !p.is_empty());
    pieces.reverse();
    pieces
}

/// Stores a block as the newest of its group.
pub(in crate::store) fn insert(
    conn: &Connection,
    resolution: i64,
    level: i64,
    block: &Packed,
) -> Result<(), SqlError> {
    let seq = state::get(conn, state::SEQ)?.unwrap_or(0) + 1;
    state::set(conn, state::SEQ, seq)?;
    insert_as(conn, resolution, level, seq, block)
}

/// Stores a block in the place of older ones.
pub(in crate::store) fn insert_as(
    conn: &Connection,
    resolution: i64,
    level: i64,
    seq: i64,
    b: &Packed,
) -> Result<(), SqlError> {
    conn.prepare_cached(
        "INSERT INTO blocks (resolution, grp, level, seq, start, end, samples, longest, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        resolution,
        b.group,
        level,
        seq,
        b.start,
        b.end,
        b.samples as i64,
        b.longest as i64,
        b.data
    ])
    .map(drop)
}
