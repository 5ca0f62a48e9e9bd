//! store: the few numbers the store remembers about itself.

use rusqlite::{Connection, OptionalExtension};

use crate::store::SqlError;

/// Every plain row up to this time is in a block, but those in `late`.
pub(in crate::store) const SEALED_UNTIL: &str = "sealed_until";
/// There while a seal is between two of its steps: blocks without a gap in time after
/// [`SEALED_UNTIL`] are not finished.
pub(in crate::store) const SEALING: &str = "sealing";
/// The last number given to a block before that seal: only blocks with a larger one are its own.
pub(in crate::store) const SEALING_AFTER: &str = "sealing_after";
/// Rollups are made, or listed in `dirty`, up to this time.
pub(in crate::store) const ROLLED_UNTIL: &str = "rolled_until";
/// Blocks of samples up to this time may have been dropped: what plain rows still hold of it is not
/// in any block.
pub(in crate::store) const PRUNED_UNTIL: &str = "pruned_until";
/// Five-minute rollups that begin up to this time, and hours that begin before that one, may have
/// been dropped, whether their samples are there or not.
pub(in crate::store) const FIVE_MINUTES_GONE: &str = "five_minutes_gone";
pub(in crate::store) const HOURS_GONE: &str = "hours_gone";
/// An import has put samples straight into blocks: what plain rows hold of a time is then not all
/// that was measured.
pub(in crate::store) const IMPORTED: &str = "imported";
/// The last number given to a block.
pub(in crate::store) const SEQ: &str = "seq";
/// The time of the last sample that was judged by the rules of alerts.
pub(in crate::store) const JUDGED_UNTIL: &str = "judged_until";
/// The largest number that a change in the outbox ever had: none is used again.
pub(in crate::store) const LAST_NOTE: &str = "last_note";
/// How often something was said of charts.
pub(in crate::store) const GRAPHS_TOLD: &str = "graphs_told";
/// The time that retention goes by; see `prune`.
pub(in crate::store) const PRUNE_CLOCK: &str = "prune_clock";
/// The number of the file beside the database that samples were last taken in from, and up to which
/// byte; see `spill`.
pub(in crate::store) const SPILL: &str = "spill";
pub(in crate::store) const SPILL_AT: &str = "spill_at";
/// When the damaged database was set aside whose rows are being moved into this one, in seconds
/// since 1970: its name follows from that. The page to go on with.
pub(in crate::store) const SALVAGE_OF: &str = "salvage_of";
pub(in crate::store) const SALVAGE_AT: &str = "salvage_at";

/// Up to when the past of a series was imported from another tool.
pub(in crate::store) fn past_of(series: i64) -> String {
    format!("past:{series}")
}

/// From when on samples were recorded here, when the first past was imported; later ones would take
/// its samples for such.
pub(in crate::store) const PAST_OLDEST: &str = "past:oldest";

/// Whether a name is one of [`past_of`], or [`PAST_OLDEST`].
pub(in crate::store) fn is_past(name: &str) -> bool {
    name.starts_with("past:")
}

pub(in crate::store) fn get(conn: &Connection, name: &str) -> Result<Option<i64>, SqlError> {
    conn.prepare_cached("SELECT value FROM state WHERE name = ?1")?
        .query_row([name], |r| r.get(0))
        .optional()
}

pub(in crate::store) fn set(conn: &Connection, name: &str, value: i64) -> Result<(), SqlError> {
    conn.prepare_cached("INSERT OR REPLACE INTO state (name, value) VALUES (?1, ?2)")?
        .execute((name, value))
        .map(drop)
}

pub(in crate::store) fn unset(conn: &Connection, name: &str) -> Result<(), SqlError> {
    conn.prepare_cached("DELETE FROM state WHERE name = ?1")?.execute([name]).map(drop)
}
