//! store: sealing: plain rows that nobody will change any more become compressed blocks. The plain
//! rows stay, as the window that any SQL client reads, until `prune` makes room.
//!
//! The samples come from the head, which has them by series.
//!
//! What is sealed is told by one number, `sealed_until`: every plain row up to it is in a block,
//! except those listed in `late`, which came after their time had been sealed.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::block::{Column, GROUP};
use super::chunk::Scratch;
use super::head::{Head, Sample};
use super::slices::encode;
use super::{SqlError, from_column, state};

/// Plain rows that make a seal worth its while: about 200 samples of each series of one machine.
const ENOUGH_ROWS: usize = 32_768;
/// With many series there are to be so many samples of each, or sealing and merging them costs more
/// than all else.
const ENOUGH_EACH: usize = 64;
/// What waits to be sealed is held in memory, about 3 bytes a row.
const MOST_ROWS: usize = 6_400_000;
/// The longest column a block gets.
pub(super) const LONGEST: usize = 8_192;
/// Older rows are sealed even if they are few.
const OLDEST_MS: i64 = 2 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

/// Level of blocks that came late: they are merged into those whose time they share.
pub(super) const LATE: i64 = 8;
/// Level of blocks that are never merged again.
pub(super) const FINAL: i64 = 9;

/// What one step may take, so that the next commit is on time.
const STEP: Duration = Duration::from_millis(20);

/// A seal on its way. One of many series takes several steps, each its own transaction: what is
/// sealed counts once the last is done, and until then is read twice, with the same values.
#[derive(Debug)]
pub(super) struct Sealing {
    /// Everything up to this time is taken.
    pub(super) until: i64,
    groups: Vec<i64>,
    /// How many of them are done.
    next: usize,
}

/// Whether a seal is due at `now` (ms since 1970 UTC).
pub(super) fn due(conn: &Connection, head: &Head, sealed: i64, now: i64) -> Result<bool, SqlError> {
    let Some(waiting) = head.waiting(now, LONGEST) else {
        return Ok(late_waits(conn)? || imported_until(conn, now)?.is_some_and(|u| u > sealed));
    };
    Ok(waiting.oldest < now - OLDEST_MS || waiting.samples > enough(head))
}

fn enough(head: &Head) -> usize {
    (head.series() * ENOUGH_EACH).clamp(ENOUGH_ROWS, MOST_ROWS)
}

/// How far blocks reach that an import brought, an hour ago at the latest: where nothing waits to be
/// sealed before that, it counts as sealed, and is rolled up.
fn imported_until(conn: &Connection, now: i64) -> Result<Option<i64>, SqlError> {
    let newest: Option<i64> = conn
        .prepare_cached("SELECT max(end) FROM blocks WHERE resolution = 0 AND level >= 0")?
        .query_row([], |r| r.get(0))?;
    Ok(newest.map(|newest| newest.min(now - HOUR_MS)))
}

/// Late rows wait for company, or for the next seal.
fn late_waits(conn: &Connection) -> Result<bool, SqlError> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM late LIMIT 1 OFFSET 1000)")?
        .query_row([], |r| r.get(0))
}

impl Sealing {
    /// Of what there is up to `now`; `None`: nothing. `sealed`: how far it has come.
    ///
    /// When nothing is left before `now`, time itself is sealed up to an hour ago: a machine that
    /// was switched off must not keep its last rollups waiting. Who sends later than that is late.
    pub(super) fn begin(
        conn: &Connection,
        head: &Head,
        sealed: i64,
        now: i64,
    ) -> Result<Option<Self>, SqlError> {
        let mut sealing = Self { until: sealed, groups: Vec::new(), next: 0 };
        match head.waiting(now, LONGEST) {
            Some(w) => {
                sealing.groups = head.groups();
                sealing.until = if w.all { w.until.max(now - HOUR_MS) } else { w.until };
            }
            None => {
                let late = "SELECT EXISTS (SELECT 1 FROM late)";
                let late: bool = conn.prepare_cached(late)?.query_row([], |r| r.get(0))?;
                let ahead = imported_until(conn, now)?.filter(|until| *until > sealed);
                if !late && ahead.is_none() {
                    return Ok(None);
                }
                sealing.until = ahead.unwrap_or(sealed);
            }
        }
        Ok(Some(sealing))
    }

    /// A few groups more. True: that was the last step.
    pub(super) fn step(
        &mut self,
        conn: &Connection,
        head: &Head,
        scratch: &mut Scratch,
    ) -> Result<bool, SqlError> {
        let start = Instant::now();
        let (mut blocks, mut next) = (Vec::new(), self.next);
        while let Some(group) = self.groups.get(next)
            && (next == self.next || start.elapsed() < STEP)
        {
            blocks.extend(Packed::new(&head.group(*group, self.until), scratch));
            next += 1;
        }
        if next < self.groups.len() {
            let tx = conn.unchecked_transaction()?;
            insert_all(&tx, 0, &blocks)?;
            state::set(&tx, state::SEALING, self.until)?;
            tx.commit()?;
            self.next = next;
            return Ok(false);
        }
        let (mut late, last_late) = late(conn)?;
        let behind = pack(&mut late, scratch);
        let tx = conn.unchecked_transaction()?;
        insert_all(&tx, 0, &blocks)?;
        insert_all(&tx, LATE, &behind)?;
        super::rollup::mark_dirty(&tx, &late)?;
        state::set(&tx, state::SEALED_UNTIL, self.until)?;
        state::unset(&tx, state::SEALING)?;
        tx.prepare_cached("DELETE FROM late WHERE id <= ?1")?.execute([last_late])?;
        tx.commit()?;
        Ok(true)
    }
}

/// Drops the blocks of a seal that was cut off: their rows are still there and not sealed.
pub(super) fn drop_unfinished(conn: &Connection) -> Result<(), SqlError> {
    if state::get(conn, state::SEALING)?.is_none() {
        return Ok(());
    }
    let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
    let tx = conn.unchecked_transaction()?;
    tx.execute("DELETE FROM blocks WHERE resolution = 0 AND level = 0 AND start > ?1", [sealed])?;
    state::unset(&tx, state::SEALING)?;
    tx.commit()
}

fn insert_all(conn: &Connection, level: i64, blocks: &[Packed]) -> Result<(), SqlError> {
    blocks.iter().try_for_each(|block| insert(conn, 0, level, block))
}

/// Rows that came late, and the number of the last one seen.
fn late(conn: &Connection) -> Result<(Vec<Sample>, i64), SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT l.series_id, l.ts, s.value, l.id
         FROM late l JOIN samples s ON s.ts = l.ts AND s.series_id = l.series_id
         ORDER BY l.id LIMIT ?1",
    )?;
    let mut rows = statement.query([ENOUGH_ROWS as i64 * 2])?;
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

/// Samples in any order as blocks; of two of one series and time the later stays.
pub(super) fn pack(samples: &mut Vec<Sample>, scratch: &mut Scratch) -> Vec<Packed> {
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
        blocks.extend(cut(columns).iter().filter_map(|c| Packed::new(c, scratch)));
    }
    blocks
}

/// Cuts the columns of a group by time, so that none is longer than [`LONGEST`].
pub(super) fn cut(columns: Vec<Column>) -> Vec<Vec<Column>> {
    if columns.iter().all(|c| c.ts.len() <= LONGEST) {
        return vec![columns];
    }
    let mut places = vec![0; columns.len()];
    let mut pieces = Vec::new();
    loop {
        let too_far = columns.iter().zip(&places).filter_map(|(c, at)| c.ts.get(at + LONGEST));
        let end = too_far.min().copied();
        let mut piece = Vec::new();
        for (column, at) in columns.iter().zip(&mut places) {
            let to = match end {
                Some(end) => *at + column.ts[*at..].partition_point(|t| *t < end),
                None => column.ts.len(),
            };
            if *at < to {
                piece.push(Column {
                    series: column.series,
                    part: column.part,
                    ts: column.ts[*at..to].to_vec(),
                    values: column.values[*at..to].to_vec(),
                });
            }
            *at = to;
        }
        pieces.push(piece);
        if end.is_none() {
            return pieces;
        }
    }
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
