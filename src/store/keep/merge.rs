//! store: merging: small blocks of the recent past become larger ones as they age, and late ones
//! join those whose time they share. A sample is rewritten two or three times in its life.

use rusqlite::{Connection, params};

use super::pack::{FINAL, GAP_MS, LATE, LONG, LONGEST, Packed, cut, insert_as};
use crate::store::SqlError;
use crate::store::packed::block;
use crate::store::packed::block::{Column, decode};
use crate::store::packed::chunk::Scratch;
use crate::store::packed::join::{join, join_packed, report};
use crate::store::samples::head::Sample;

/// Blocks of one level that make a merge worth its while.
const FAN_IN: usize = 8;

/// A block without its data.
#[derive(Debug, Clone, Copy)]
struct Found {
    id: i64,
    level: i64,
    seq: i64,
    start: i64,
    end: i64,
    longest: usize,
}

/// One merge in one group, if one is due. `all`: also such as are not worth it yet.
pub(in crate::store) fn merge_one(
    conn: &Connection,
    resolution: i64,
    group: i64,
    all: bool,
    scratch: &mut Scratch,
) -> Result<bool, SqlError> {
    let found = list(conn, resolution, group)?;
    if let Some(late) = found.iter().find(|f| f.level == LATE) {
        return merge_late(conn, resolution, group, late, scratch).map(|()| true);
    }
    let Some(run) = choose(&found, all) else { return Ok(false) };
    let columns = load(conn, group, &run, scratch)?;
    let level = run.iter().map(|f| f.level).max().unwrap_or(0) + 1;
    let seq = run.iter().map(|f| f.seq).max().unwrap_or(0);
    replace(conn, resolution, &run, columns, level, seq, scratch)?;
    Ok(true)
}

fn found(r: &rusqlite::Row<'_>) -> Result<Found, SqlError> {
    Ok(Found {
        id: r.get(0)?,
        level: r.get(1)?,
        seq: r.get(2)?,
        start: r.get(3)?,
        end: r.get(4)?,
        longest: r.get::<_, i64>(5)? as usize,
    })
}

fn list(conn: &Connection, resolution: i64, group: i64) -> Result<Vec<Found>, SqlError> {
    conn.prepare_cached(
        "SELECT id, level, seq, start, end, longest FROM blocks
         WHERE resolution = ?1 AND grp = ?2 AND level < ?3 ORDER BY seq",
    )?
    .query_map(params![resolution, group, FINAL], found)?
    .collect()
}

/// The oldest run of neighbours that fits into one block and is worth it.
fn choose(found: &[Found], all: bool) -> Option<Vec<Found>> {
    let mut run: Vec<Found> = Vec::new();
    for f in found {
        let same = run.last().is_none_or(|last| all || last.level == f.level)
            && run.last().is_none_or(|last| !apart(last, f));
        let sum: usize = run.iter().map(|r| r.longest).sum::<usize>() + f.longest;
        if same && sum <= LONGEST {
            run.push(*f);
            if !all && (run.len() == FAN_IN || (run.len() > 1 && sum >= LONG)) {
                return Some(run);
            }
        } else if run.len() > 1 && (all || sum > LONGEST) {
            return Some(run);
        } else {
            run = vec![*f];
        }
    }
    (all && run.len() > 1).then_some(run)
}

/// Together they would be cut again at once.
fn apart(a: &Found, b: &Found) -> bool {
    a.start.max(b.start).saturating_sub(a.end.min(b.end)) > GAP_MS
}

/// The columns of these blocks; of two samples of one time that of the later block stays.
fn load(
    conn: &Connection,
    group: i64,
    blocks: &[Found],
    scratch: &mut Scratch,
) -> Result<Vec<Column>, SqlError> {
    let mut columns: Vec<Column> = Vec::new();
    for found in blocks {
        let data: Vec<u8> = conn
            .prepare_cached("SELECT data FROM blocks WHERE id = ?1")?
            .query_row([found.id], |r| r.get(0))?;
        let unpacked = decode(group, &data, scratch).unwrap_or_else(|e| {
            report(group * block::GROUP, found.start, found.end, &e);
            Vec::new()
        });
        for (series, part, unpacked) in unpacked {
            let (ts, values) = match unpacked {
                Ok(unpacked) => unpacked,
                Err(e) => {
                    report(series, found.start, found.end, &e);
                    continue;
                }
            };
            let place = columns.binary_search_by_key(&(series, part), |c| (c.series, c.part));
            let at = place.unwrap_or_else(|at| {
                columns.insert(at, Column { series, part, ..Column::default() });
                at
            });
            join_packed(&mut columns[at], &ts, 0..ts.len(), &values);
        }
    }
    Ok(columns)
}

/// Stores the columns, cut to length, in the place of the blocks they came from.
fn replace(
    conn: &Connection,
    resolution: i64,
    blocks: &[Found],
    columns: Vec<Column>,
    level: i64,
    seq: i64,
    scratch: &mut Scratch,
) -> Result<(), SqlError> {
    let pieces = cut(&columns, scratch);
    let tx = conn.unchecked_transaction()?;
    for found in blocks {
        tx.prepare_cached("DELETE FROM blocks WHERE id = ?1")?.execute([found.id])?;
    }
    for piece in &pieces {
        let level = if piece.full { FINAL } else { level.min(LATE - 1) };
        insert_as(&tx, resolution, level, seq, piece)?;
    }
    tx.commit()
}

/// Merges the beginning of a late block into the block that holds its time, or into the one after
/// the gap where it belongs; what lies further on stays late for the next step.
fn merge_late(
    conn: &Connection,
    resolution: i64,
    group: i64,
    late: &Found,
    scratch: &mut Scratch,
) -> Result<(), SqlError> {
    let sharing = conn
        .prepare_cached(
            "SELECT id, level, seq, start, end, longest FROM blocks
             WHERE resolution = ?1 AND grp = ?2 AND level <> ?3 AND end >= ?4 AND start <= ?5
             ORDER BY start, seq DESC",
        )?
        .query_map(params![resolution, group, LATE, late.start, late.end], found)?
        .collect::<Result<Vec<_>, _>>()?;
    // A late block that nothing shared time with may by now lie within a merged one. Into that of
    // the two that counts less nothing may go: it would not be seen.
    let holds = sharing.iter().filter(|f| f.start <= late.start).max_by_key(|f| f.seq);
    let Some(target) = holds.or(sharing.first()).copied() else {
        // Nothing shares its time: it is a block like others.
        conn.prepare_cached("UPDATE blocks SET level = ?2 WHERE id = ?1")?
            .execute([late.id, FINAL])?;
        return Ok(());
    };
    let over = sharing.iter().filter(|f| f.seq > target.seq && f.start > late.start);
    let until = over.fold(target.end, |until, f| until.min(f.start - 1));
    let newer = load(conn, group, &[*late], scratch)?;
    let mut columns = load(conn, group, &[target], scratch)?;
    let mut rest = Vec::new();
    // Moments of which two samples were told: which of them stays is settled here, and the rollups
    // may have been made of the other one.
    let mut changed = Vec::new();
    for mut column in newer {
        let at = column.ts.partition_point(|t| *t <= until);
        let rest_ts = column.ts.split_off(at);
        let rest_values = column.values.split_off(at);
        let (series, part) = (column.series, column.part);
        let there = columns.iter().find(|c| (c.series, c.part) == (series, part));
        changed.extend(there.into_iter().flat_map(|there| differing(there, &column)));
        match columns.binary_search_by_key(&(series, part), |c| (c.series, c.part)) {
            // The later of the two wins, as for a reader: a seal may have followed an import.
            Ok(place) if late.seq < target.seq => {
                let kept = std::mem::replace(&mut columns[place], column);
                join(&mut columns[place], &kept.ts, &kept.values);
            }
            Ok(place) => join(&mut columns[place], &column.ts, &column.values),
            Err(place) if !column.ts.is_empty() => columns.insert(place, column),
            Err(_) => {}
        }
        if !rest_ts.is_empty() {
            rest.push(Column { series, part, ts: rest_ts, values: rest_values });
        }
    }
    let pieces = cut(&columns, scratch);
    let tx = conn.unchecked_transaction()?;
    for id in [late.id, target.id] {
        tx.prepare_cached("DELETE FROM blocks WHERE id = ?1")?.execute([id])?;
    }
    for piece in &pieces {
        insert_as(&tx, resolution, target.level, target.seq, piece)?;
    }
    if let Some(rest) = Packed::new(&rest, scratch) {
        insert_as(&tx, resolution, LATE, late.seq, &rest)?;
    }
    if resolution == 0 {
        super::stretch::mark_dirty(&tx, &changed)?;
    }
    tx.commit()
}

/// The samples of a moment of which another column says something else.
fn differing<'c>(there: &'c Column, column: &'c Column) -> impl Iterator<Item = Sample> + 'c {
    column.ts.iter().zip(&column.values).filter_map(|(ts, value)| {
        let at = there.ts.binary_search(ts).ok()?;
        let other = there.values.get(at)?.to_bits() != value.to_bits();
        other.then_some((column.series, *ts, *value))
    })
}
