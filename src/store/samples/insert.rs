//! store: puts plain rows into the database, and what a commit says of what it wrote.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};

use super::head::Sample;
use crate::pipeline::Source;
use crate::store::{SqlError, to_sql};

/// The number of rows of one statement. A statement for each row would cost SQLite a cursor and a way
/// down the tree each time.
const ROWS: usize = 32;

/// Puts plain rows into the database, within the caller's transaction.
pub(in crate::store) struct Inserter<'c> {
    one: CachedStatement<'c>,
    many: CachedStatement<'c>,
    late: CachedStatement<'c>,
    sealed_until: i64,
    fresh: &'c mut Vec<Sample>,
    /// What waits for its statement.
    waiting: Vec<Sample>,
    rows: u64,
}

/// Of two samples of one series in one millisecond the later write wins.
fn insert(rows: usize) -> String {
    let rows = vec!["(?,?,?)"; rows].join(",");
    format!(
        "INSERT INTO samples (ts, series_id, value) VALUES {rows}
         ON CONFLICT (ts, series_id) DO UPDATE SET value = excluded.value"
    )
}

fn execute(statement: &mut CachedStatement<'_>, rows: &[Sample]) -> Result<(), SqlError> {
    for (i, &(id, ts, value)) in rows.iter().enumerate() {
        statement.raw_bind_parameter(3 * i + 1, ts)?;
        statement.raw_bind_parameter(3 * i + 2, id)?;
        statement.raw_bind_parameter(3 * i + 3, to_sql(value))?;
    }
    statement.raw_execute().map(drop)
}

impl<'c> Inserter<'c> {
    pub(in crate::store) fn new(
        conn: &'c Connection,
        sealed_until: i64,
        fresh: &'c mut Vec<Sample>,
    ) -> Result<Self, SqlError> {
        static SQL: LazyLock<[String; 2]> = LazyLock::new(|| [insert(1), insert(ROWS)]);
        fresh.clear();
        Ok(Self {
            one: conn.prepare_cached(&SQL[0])?,
            many: conn.prepare_cached(&SQL[1])?,
            late: conn.prepare_cached("INSERT INTO late (ts, series_id) VALUES (?1, ?2)")?,
            sealed_until,
            fresh,
            waiting: Vec::with_capacity(ROWS),
            rows: 0,
        })
    }

    /// One row, by [`Inserter::finish`] at the latest; if its time has been sealed already, it is
    /// listed to be sealed later.
    pub(in crate::store) fn put(&mut self, ts: i64, id: i64, value: f64) -> Result<(), SqlError> {
        self.waiting.push((id, ts, value));
        if self.waiting.len() == ROWS {
            execute(&mut self.many, &self.waiting)?;
            self.waiting.clear();
        }
        self.rows += 1;
        if ts <= self.sealed_until {
            self.late.execute((ts, id))?;
        } else {
            self.fresh.push((id, ts, value));
        }
        Ok(())
    }

    /// Puts what still waits. How many rows there were.
    pub(in crate::store) fn finish(mut self) -> Result<u64, SqlError> {
        self.waiting.chunks(1).try_for_each(|row| execute(&mut self.one, row))?;
        Ok(self.rows)
    }
}

/// What a commit brought to disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples by [`Source`].
    pub samples: [u64; Source::ALL.len()],
    /// Inbox rows refused because their sender brings too many names.
    pub refused: u64,
    /// Inbox rows refused because they are no samples: see docs/SCHEMA.md.
    pub invalid: u64,
    /// Samples by [`Source`] whose names found no room in the file.
    pub nameless: [u64; Source::ALL.len()],
    /// Events that were refused.
    pub events_refused: u64,
    /// Alerts that were refused.
    pub alerts_refused: u64,
    /// Descriptions of charts that were refused.
    pub graphs_refused: u64,
    /// Whether the inbox held more than one step takes.
    pub more: bool,
    /// Whether there were batches, and not the inbox alone.
    pub batches: bool,
    /// The newest beat among the batches, ms since 1970 UTC; 0 without one.
    pub newest_ts: i64,
}
