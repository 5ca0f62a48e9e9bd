//! store: the samples of one series over a stretch of time, wherever they are: sealed blocks first,
//! then plain rows that are not sealed yet.

use rusqlite::{Connection, blob::Blob, params};

use super::block::{BlockError, Column, Directory, GROUP};
use super::chunk::Scratch;
use super::join::{join, report};
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

/// Appends to `out` the samples from `from` to `to` inclusive (ms since 1970 UTC) in the order of
/// time, each time once. A damaged block is reported in the log and leaves a gap.
pub(super) fn raw(
    conn: &Connection,
    series: i64,
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    out: &mut Column,
) -> Result<(), SqlError> {
    let pruned = state::get(conn, state::PRUNED_UNTIL)?.unwrap_or(i64::MIN);
    if from <= pruned {
        outlived(conn, series, from, to.min(pruned), out)?;
    }
    sealed(conn, 0, series, 0, from, to, scratch, out)?;
    plain(conn, series, from, to, out)
}

/// The same from blocks of one resolution alone.
#[allow(clippy::too_many_arguments, reason = "what identifies a column of a block")]
pub(super) fn sealed(
    conn: &Connection,
    resolution: i64,
    series: i64,
    part: u8,
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    out: &mut Column,
) -> Result<(), SqlError> {
    let group = series.div_euclid(GROUP);
    // In the order of sealing: where two blocks have the same time, the later one wins.
    let mut statement = conn.prepare_cached(
        "SELECT id, start, end FROM blocks
         WHERE resolution = ?1 AND grp = ?2 AND level >= 0 AND end >= ?3 AND start <= ?4
         ORDER BY seq",
    )?;
    let mut rows = statement.query(params![resolution, group, from, to])?;
    let mut blob: Option<Blob<'_>> = None;
    while let Some(row) = rows.next()? {
        let (id, start, end): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let blob = match &mut blob {
            Some(open) => {
                open.reopen(id)?;
                open
            }
            None => blob.insert(conn.blob_open("main", "blocks", "data", id, true)?),
        };
        match column_of(blob, series, part, from, to, scratch, out) {
            Ok(()) => {}
            Err(Failed::Sql(e)) => return Err(e),
            Err(Failed::Block(e)) => report(series, start, end, &e),
        }
    }
    Ok(())
}

fn column_of(
    blob: &Blob<'_>,
    series: i64,
    part: u8,
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    out: &mut Column,
) -> Result<(), Failed> {
    let mut length = HEAD.min(blob.size() as usize);
    let mut head = vec![0; length];
    let directory = loop {
        blob.read_at_exact(&mut head, 0)?;
        match Directory::read(&head)? {
            Some(directory) => break directory,
            None if length == blob.size() as usize => return Err(BlockError::Directory.into()),
            None => {
                length = (length * 4).min(blob.size() as usize);
                head.resize(length, 0);
            }
        }
    };
    let offset = series.rem_euclid(GROUP) as u8;
    for entry in directory.entries().iter().filter(|e| e.offset == offset && e.part == part) {
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
        let (ts, values) = directory.column(entry, get, scratch)?;
        let first = ts.partition(from);
        let last = ts.partition(to.saturating_add(1));
        join(out, (first..last).filter_map(|i| ts.get(i)), &values[first..last]);
    }
    Ok(())
}

/// Plain rows that outlived the blocks they were sealed into.
fn outlived(
    conn: &Connection,
    series: i64,
    from: i64,
    to: i64,
    out: &mut Column,
) -> Result<(), SqlError> {
    let mut rows = conn.prepare_cached(
        "SELECT ts, value FROM samples WHERE ts BETWEEN ?1 AND ?2 AND series_id = ?3 ORDER BY ts",
    )?;
    fill(rows.query(params![from, to, series])?, out)
}

/// Plain rows that are not sealed.
fn plain(
    conn: &Connection,
    series: i64,
    from: i64,
    to: i64,
    out: &mut Column,
) -> Result<(), SqlError> {
    let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
    let mut newer = late(conn, series, from, to)?;
    if to > sealed {
        let mut open = conn.prepare_cached(
            "SELECT ts, value FROM samples WHERE ts > ?1 AND ts BETWEEN ?2 AND ?3
             AND series_id = ?4 ORDER BY ts",
        )?;
        fill(open.query(params![sealed, from, to, series])?, &mut newer)?;
    }
    join(out, newer.ts.into_iter(), &newer.values);
    Ok(())
}

/// Plain rows that came too late to be sealed in order.
pub(super) fn late(conn: &Connection, series: i64, from: i64, to: i64) -> Result<Column, SqlError> {
    let mut out = Column::default();
    let mut rows = conn.prepare_cached(
        "SELECT DISTINCT s.ts, s.value
         FROM late l CROSS JOIN samples s ON s.ts = l.ts AND s.series_id = l.series_id
         WHERE l.series_id = ?1 AND l.ts BETWEEN ?2 AND ?3 ORDER BY s.ts",
    )?;
    fill(rows.query(params![series, from, to])?, &mut out)?;
    Ok(out)
}

fn fill(mut rows: rusqlite::Rows<'_>, into: &mut Column) -> Result<(), SqlError> {
    while let Some(row) = rows.next()? {
        if let Some(value) = from_column(row.get_ref(1)?) {
            into.ts.push(row.get(0)?);
            into.values.push(value);
        }
    }
    Ok(())
}
