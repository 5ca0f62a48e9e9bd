//! store: the stretches of time that are rolled up, and the list of those whose samples have changed
//! since.

use rusqlite::Connection;

use super::pack::Packed;
use crate::store::SqlError;
use crate::store::file::state;
use crate::store::packed::block::GROUP;

/// What is rolled up in one go.
pub(in crate::store) const STRETCH_MS: i64 = 6 * 3_600_000;

/// Buckets of the finer rollup.
pub const FIVE_MINUTES_MS: i64 = 300_000;

pub(in crate::store) const HOUR_MS: i64 = 3_600_000;

/// Lists the stretches that these late samples fell into, and those after them, whose first reset
/// may change.
pub(super) fn mark_dirty(conn: &Connection, late: &[(i64, i64, f64)]) -> Result<(), SqlError> {
    let rolled = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
    for (series, ts, _) in late {
        let start = ts - ts.rem_euclid(STRETCH_MS);
        for start in [start, start + STRETCH_MS] {
            if start < rolled {
                mark(conn, start, series.div_euclid(GROUP))?;
            }
        }
    }
    Ok(())
}

/// Lists the stretches of a new block of samples that count as rolled up: they are made again. An
/// import may bring it, and the history of another tool may have moved `rolled_until` past what was
/// still to be sealed.
pub(in crate::store) fn mark_block(conn: &Connection, block: &Packed) -> Result<(), SqlError> {
    let rolled = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
    // One further: the first reset of the next stretch may change.
    let end = block.end.saturating_add(STRETCH_MS + 1).min(rolled);
    mark_from(conn, block.group, block.start, end)
}

/// Lists the stretches of a group from that of a moment on, up to another one.
fn mark_from(conn: &Connection, group: i64, from: i64, to: i64) -> Result<(), SqlError> {
    let mut start = from - from.rem_euclid(STRETCH_MS);
    while start < to {
        mark(conn, start, group)?;
        start += STRETCH_MS;
    }
    Ok(())
}

pub(in crate::store) fn mark(conn: &Connection, start: i64, group: i64) -> Result<(), SqlError> {
    conn.prepare_cached("INSERT OR IGNORE INTO dirty (start, grp) VALUES (?1, ?2)")?
        .execute([start, group])
        .map(drop)
}
