//! store: sealing: plain rows that nobody will change any more become compressed blocks. The plain
//! rows stay, as the window that any SQL client reads, until `prune` makes room.
//!
//! What is sealed is told by one number, `sealed_until`: every plain row up to it is in a block,
//! except those listed in `late`, which came after their time had been sealed.

use rusqlite::{Connection, params};

use super::block::{Column, GROUP, encode};
use super::chunk::Scratch;
use super::{SqlError, from_column, state};

/// Plain rows that make a seal worth its while: about 200 samples of each series of one machine.
const ENOUGH_ROWS: i64 = 32_768;
/// With many series there are to be so many samples of each, or sealing and merging them costs more
/// than all else.
const ENOUGH_EACH: i64 = 64;
/// What a seal takes is held in memory: 24 bytes a row.
const MOST_ROWS: i64 = 1_000_000;
/// The longest column a block gets.
pub(super) const LONGEST: usize = 8_192;
/// Older rows are sealed even if they are few.
const OLDEST_MS: i64 = 2 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

/// Level of blocks that came late: they are merged into those whose time they share.
pub(super) const LATE: i64 = 8;
/// Level of blocks that are never merged again.
pub(super) const FINAL: i64 = 9;

/// A row on its way into a block.
type Sample = (i64, i64, f64);

/// Whether a seal is due at `now` (ms since 1970 UTC).
pub(super) fn due(conn: &Connection, now: i64) -> Result<bool, SqlError> {
    let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
    let mut oldest =
        conn.prepare_cached("SELECT ts FROM samples WHERE ts > ?1 ORDER BY ts LIMIT 1")?;
    let mut rows = oldest.query([sealed])?;
    let Some(first) = rows.next()? else { return late_waits(conn) };
    if first.get::<_, i64>(0)? < now - OLDEST_MS {
        return Ok(true);
    }
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM samples WHERE ts > ?1 AND ts <= ?2 LIMIT 1 OFFSET ?3)",
    )?
    .query_row(params![sealed, now, enough(conn)?], |r| r.get(0))
}

fn enough(conn: &Connection) -> Result<i64, SqlError> {
    let series: Option<i64> =
        conn.prepare_cached("SELECT max(id) FROM series_dict")?.query_row([], |r| r.get(0))?;
    Ok((series.unwrap_or(0) * ENOUGH_EACH).clamp(ENOUGH_ROWS, MOST_ROWS))
}

/// Late rows wait for company, or for the next seal.
fn late_waits(conn: &Connection) -> Result<bool, SqlError> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM late LIMIT 1 OFFSET 1000)")?
        .query_row([], |r| r.get(0))
}

/// Seals what there is up to `now`, twice [`enough`] at the most. False: there was nothing.
pub(super) fn seal(conn: &Connection, now: i64, scratch: &mut Scratch) -> Result<bool, SqlError> {
    let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
    let (mut samples, until) = unsealed(conn, sealed, now)?;
    let (mut late, last_late) = late(conn)?;
    if samples.is_empty() && late.is_empty() {
        return Ok(false);
    }
    let fresh = pack(&mut samples, scratch);
    let behind = pack(&mut late, scratch);
    let tx = conn.unchecked_transaction()?;
    for (blocks, level) in [(&fresh, 0), (&behind, LATE)] {
        for block in blocks {
            insert(&tx, 0, level, block)?;
        }
    }
    super::rollup::mark_dirty(&tx, &late)?;
    state::set(&tx, state::SEALED_UNTIL, until)?;
    tx.prepare_cached("DELETE FROM late WHERE id <= ?1")?.execute([last_late])?;
    tx.commit()?;
    Ok(true)
}

/// The rows after `sealed`, whole moments only, and the last moment taken.
///
/// When nothing is left before `now`, time itself is sealed up to an hour ago: a machine that was
/// switched off must not keep its last rollups waiting. Who sends later than that is late.
fn unsealed(conn: &Connection, sealed: i64, now: i64) -> Result<(Vec<Sample>, i64), SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT series_id, ts, value FROM samples WHERE ts > ?1 AND ts <= ?2 ORDER BY ts",
    )?;
    let most = enough(conn)? as usize * 2;
    let mut rows = statement.query([sealed, now])?;
    let mut samples: Vec<Sample> = Vec::new();
    let mut counts: hashbrown::HashMap<i64, usize, foldhash::fast::RandomState> =
        hashbrown::HashMap::default();
    let (mut until, mut full) = (sealed, false);
    while let Some(row) = rows.next()? {
        let ts = row.get(1)?;
        if full && ts != until {
            return Ok((samples, until));
        }
        until = ts;
        let series = row.get(0)?;
        if let Some(value) = from_column(row.get_ref(2)?) {
            samples.push((series, ts, value));
        }
        let count = counts.entry(series).or_insert(0);
        *count += 1;
        full |= samples.len() >= most || *count >= LONGEST;
    }
    Ok((samples, until.max(now - HOUR_MS)))
}

/// Rows that came late, and the number of the last one seen.
fn late(conn: &Connection) -> Result<(Vec<Sample>, i64), SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT l.series_id, l.ts, s.value, l.id
         FROM late l JOIN samples s ON s.ts = l.ts AND s.series_id = l.series_id
         ORDER BY l.id LIMIT ?1",
    )?;
    let mut rows = statement.query([ENOUGH_ROWS * 2])?;
    let (mut samples, mut last) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if let Some(value) = from_column(row.get_ref(2)?) {
            samples.push((row.get(0)?, row.get(1)?, value));
        }
        last = row.get(3)?;
    }
    Ok((samples, last))
}

/// A block ready to be stored.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) group: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) samples: usize,
    pub(super) longest: usize,
    pub(super) data: Vec<u8>,
}

impl Packed {
    /// From the columns of one group; `None` if there are none.
    pub(super) fn new(columns: &[Column], scratch: &mut Scratch) -> Option<Self> {
        let first = columns.first()?;
        Some(Self {
            group: first.series.div_euclid(GROUP),
            start: columns.iter().filter_map(|c| c.ts.first()).min().copied()?,
            end: columns.iter().filter_map(|c| c.ts.last()).max().copied()?,
            samples: columns.iter().map(|c| c.ts.len()).sum(),
            longest: columns.iter().map(|c| c.ts.len()).max()?,
            data: encode(columns, scratch),
        })
    }
}

fn pack(samples: &mut Vec<Sample>, scratch: &mut Scratch) -> Vec<Packed> {
    samples.sort_unstable_by_key(|(series, ts, _)| (*series, *ts));
    // What came late twice is listed twice, with the same row behind it.
    samples.dedup_by_key(|(series, ts, _)| (*series, *ts));
    let mut blocks = Vec::new();
    for group in samples.chunk_by(|a, b| a.0.div_euclid(GROUP) == b.0.div_euclid(GROUP)) {
        let columns: Vec<Column> = group
            .chunk_by(|a, b| a.0 == b.0)
            .flat_map(|series| series.chunks(LONGEST))
            .map(|piece| Column {
                series: piece[0].0,
                part: 0,
                ts: piece.iter().map(|s| s.1).collect(),
                values: piece.iter().map(|s| s.2).collect(),
            })
            .collect();
        blocks.extend(Packed::new(&columns, scratch));
    }
    blocks
}

/// Stores a block as the newest of its group.
pub(super) fn insert(
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
pub(super) fn insert_as(
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
