//! store: one transaction a beat: the batches, and what SQL clients left in the inbox.

use std::sync::LazyLock;

use rusqlite::{CachedStatement, Connection};

use super::head::Sample;
use super::inbox::{self, Taken};
use super::spill::Mark;
use super::spilling;
use super::upkeep::Upkeep;
use super::{SqlError, Store, to_sql};
use super::{events, graphs};
use crate::model::{Event, Graph};
use crate::pipeline::{Batch, Source};

/// So many rows go into one statement: a statement of its own for each costs SQLite a cursor, and a
/// way down the tree, for each.
const ROWS: usize = 32;

/// Puts plain rows into the database, within the caller's transaction.
pub(super) struct Inserter<'c> {
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
    pub(super) fn new(
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
    pub(super) fn put(&mut self, ts: i64, id: i64, value: f64) -> Result<(), SqlError> {
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
    pub(super) fn finish(mut self) -> Result<u64, SqlError> {
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
    /// Descriptions of charts that were refused.
    pub graphs_refused: u64,
    /// Whether the inbox held more than one step takes.
    pub more: bool,
    /// Whether there were batches, and not the inbox alone.
    pub batches: bool,
    /// The newest beat among the batches, ms since 1970 UTC; 0 without one.
    pub newest_ts: i64,
}

impl Store {
    /// Writes everything in one transaction; after an error nothing of it is in the database.
    pub fn commit(&mut self, batches: &[Batch]) -> Result<Written, SqlError> {
        self.commit_all(batches, &[], &[])
    }

    /// The same with what happened meanwhile, and what was said of charts.
    pub fn commit_all(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
    ) -> Result<Written, SqlError> {
        self.write_or_roll_back(batches, events, graphs, None)
    }

    /// The same with batches that waited beside the database, and how far that was taken in.
    pub(super) fn commit_kept(
        &mut self,
        batches: &[Batch],
        mark: Mark,
    ) -> Result<Written, SqlError> {
        self.write_or_roll_back(batches, &[], &[], Some(mark))
    }

    fn write_or_roll_back(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
        mark: Option<Mark>,
    ) -> Result<Written, SqlError> {
        let written = self.write(batches, events, graphs, mark);
        if written.is_err() {
            self.dictionary.forget();
            self.upkeep.held.forget();
            if !self.conn.is_autocommit() {
                // The error to report is the first one; a connection that cannot even roll back
                // is replaced by the caller.
                let _unused = self.conn.execute_batch("ROLLBACK");
            }
        }
        written
    }

    fn write(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
        mark: Option<Mark>,
    ) -> Result<Written, SqlError> {
        let nothing = batches.is_empty() && events.is_empty() && graphs.is_empty();
        if nothing && mark.is_none() && !inbox::waiting(&self.conn)? {
            return Ok(Written::default());
        }
        if self.dictionary.is_uncounted() {
            self.count_names()?;
        }
        self.make_room_for(batches)?;
        let Self { conn, dictionary, sealed_until, upkeep, head, fresh, .. } = self;
        let mut written = Written::default();
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        {
            let mut insert = Inserter::new(conn, *sealed_until, fresh)?;
            for batch in batches {
                let own = batch.source == Source::Collect;
                let mut nameless = 0;
                for (at, &(series, value)) in batch.samples.iter().enumerate() {
                    let Some(id) = dictionary.id(conn, series, own)? else {
                        nameless += 1;
                        continue;
                    };
                    insert.put(batch.times.get(at).copied().unwrap_or(batch.ts), id, value)?;
                }
                written.batches = true;
                written.samples[batch.source as usize] += batch.samples.len() as u64 - nameless;
                written.nameless[batch.source as usize] += nameless;
                if batch.source == Source::Collect {
                    written.newest_ts = written.newest_ts.max(batch.ts);
                }
            }
            let Upkeep { held, limits, .. } = upkeep;
            written.events_refused =
                events::write(conn, dictionary.systems(), events, held, limits)?;
            written.graphs_refused =
                graphs::write(conn, dictionary.systems(), graphs, held, limits)?;
            let Taken { rows, refused, invalid, more } =
                inbox::take(conn, dictionary, &mut insert)?;
            written.samples[Source::Sql as usize] += rows;
            written.refused = refused;
            written.invalid = invalid;
            written.more = more;
            upkeep.pruner.written(insert.finish()?);
            if let Some(mark) = mark {
                spilling::remember(conn, mark)?;
            }
        }
        conn.prepare_cached("COMMIT")?.execute([])?;
        let made = dictionary.committed();
        head.append(fresh);
        if made {
            self.count_names()?;
        }
        Ok(written)
    }

    /// Forgets series that have not been written for some minutes, which takes two calls a minute apart.
    /// Everything that was queued before the last call has to be written. A series that comes again is
    /// the same one in the file.
    pub(super) fn sweep(&mut self) {
        self.dictionary.sweep();
    }

    /// Counts what names take of the file, as far as new ones have come.
    pub(super) fn count_names(&mut self) -> Result<(), SqlError> {
        let Self { conn, dictionary, upkeep, .. } = self;
        let (taken, new) = upkeep.held.names(conn)?;
        dictionary.counted(taken, new, upkeep.limits.names_budget());
        Ok(())
    }
}
