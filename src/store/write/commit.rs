//! store: one transaction a beat: the batches, and what SQL clients left in the inbox.

use super::keeping::Upkeep;
use super::open::Store;
use super::spill::Mark;
use super::spilling;
use crate::model::{Event, Graph};
use crate::pipeline::{Batch, Source};
use crate::store::samples::insert::{Inserter, Written};
use crate::store::texts::inbox::{self, Taken};
use crate::store::texts::{alerts, events, graphs};
use crate::store::{AlertOp, SqlError};

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
        self.commit_with(batches, events, graphs, &[])
    }

    /// The same with what has become of alerts and of messages about them.
    pub fn commit_with(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
        alerts: &[AlertOp],
    ) -> Result<Written, SqlError> {
        self.write_or_roll_back(batches, events, graphs, alerts, None)
    }

    /// The same with batches that waited beside the database, and how far that was taken in.
    pub(super) fn commit_kept(
        &mut self,
        batches: &[Batch],
        mark: Mark,
    ) -> Result<Written, SqlError> {
        self.write_or_roll_back(batches, &[], &[], &[], Some(mark))
    }

    fn write_or_roll_back(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
        alerts: &[AlertOp],
        mark: Option<Mark>,
    ) -> Result<Written, SqlError> {
        let written = self.write(batches, events, graphs, alerts, mark);
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
        alerts: &[AlertOp],
        mark: Option<Mark>,
    ) -> Result<Written, SqlError> {
        let nothing =
            batches.is_empty() && events.is_empty() && graphs.is_empty() && alerts.is_empty();
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
            if !alerts.is_empty() {
                let applied = alerts::apply(conn, dictionary.systems(), alerts, held, limits)?;
                written.alerts_refused = applied.refused;
                written.events_refused += applied.events_refused;
            }
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
    pub(in crate::store) fn sweep(&mut self) {
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
