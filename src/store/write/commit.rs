//! store: one transaction a beat: the batches, and what SQL clients left in the inbox.

use rusqlite::Connection;

use super::keeping::Upkeep;
use super::open::Store;
use super::room::{Granted, Meter, ROW_MOST};
use super::spill::Mark;
use super::spilling;
use crate::model::{Event, Graph};
use crate::pipeline::{Batch, Source};
use crate::store::samples::insert::{Inserter, Written};
use crate::store::texts::dictionary::Dictionary;
use crate::store::texts::inbox::{self, Taken};
use crate::store::texts::{alerts, events, graphs};
use crate::store::{AlertOp, SqlError};

/// What a commit has to write.
struct What<'w> {
    batches: &'w [Batch],
    events: &'w [Event],
    graphs: &'w [Graph],
    alerts: &'w [AlertOp],
    mark: Option<Mark>,
}

/// Where a transaction of it begins: at this sample of this batch.
#[derive(Debug, Clone, Copy, Default)]
struct From {
    batch: usize,
    sample: usize,
}

/// Puts samples, within the caller's transaction, until there are no more of them (true) or the
/// transaction has to end.
fn put(
    conn: &Connection,
    dictionary: &mut Dictionary,
    what: &What<'_>,
    from: &mut From,
    meter: &mut Meter<'_>,
    insert: &mut Inserter<'_>,
    written: &mut Written,
) -> Result<bool, SqlError> {
    while let Some(batch) = what.batches.get(from.batch) {
        let own = batch.source == Source::Collect;
        let (begin, mut nameless, mut full) = (from.sample, 0, false);
        for (at, &(series, value)) in batch.samples.iter().enumerate().skip(begin) {
            from.sample = at + 1;
            match dictionary.id(conn, series, own)? {
                Some(id) => {
                    insert.put(batch.times.get(at).copied().unwrap_or(batch.ts), id, value)?;
                }
                None => nameless += 1,
            }
            if meter.spend(ROW_MOST + dictionary.new_bytes())? {
                full = true;
                break;
            }
        }
        let rows = (from.sample - begin) as u64;
        written.batches = true;
        written.samples[batch.source as usize] += rows - nameless;
        written.nameless[batch.source as usize] += nameless;
        if own {
            written.newest_ts = written.newest_ts.max(batch.ts);
        }
        if full {
            return Ok(false);
        }
        *from = From { batch: from.batch + 1, sample: 0 };
    }
    Ok(true)
}

impl Store {
    /// Writes everything: in one transaction, or in several where one would take the files past their
    /// bound. After an error some of it may be in the database: to write it once more changes nothing.
    pub fn commit(&mut self, batches: &[Batch]) -> Result<Written, SqlError> {
        self.commit_all(batches, &[], &[])
    }

    /// Commits batches, and with them events and descriptions of charts.
    pub fn commit_all(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
    ) -> Result<Written, SqlError> {
        self.commit_with(batches, events, graphs, &[])
    }

    /// Commits batches, events and charts, and with them changes of alerts and of their messages.
    pub fn commit_with(
        &mut self,
        batches: &[Batch],
        events: &[Event],
        graphs: &[Graph],
        alerts: &[AlertOp],
    ) -> Result<Written, SqlError> {
        self.write_or_roll_back(&What { batches, events, graphs, alerts, mark: None })
    }

    /// Commits batches that waited beside the database, and records how far they were taken in.
    pub(super) fn commit_kept(
        &mut self,
        batches: &[Batch],
        mark: Mark,
    ) -> Result<Written, SqlError> {
        let (events, graphs, alerts) = (&[], &[], &[]);
        self.write_or_roll_back(&What { batches, events, graphs, alerts, mark: Some(mark) })
    }

    fn write_or_roll_back(&mut self, what: &What<'_>) -> Result<Written, SqlError> {
        let written = self.write(what);
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

    fn write(&mut self, what: &What<'_>) -> Result<Written, SqlError> {
        let What { batches, events, graphs, alerts, mark } = what;
        let nothing =
            batches.is_empty() && events.is_empty() && graphs.is_empty() && alerts.is_empty();
        if nothing && mark.is_none() && !inbox::waiting(&self.conn)? {
            return Ok(Written::default());
        }
        if self.dictionary.is_uncounted() {
            self.count_names()?;
        }
        self.make_room_for(batches)?;
        let (mut written, mut from) = (Written::default(), Some(From::default()));
        let mut first = true;
        while let Some(at) = from {
            let granted = self.room_to_commit(first)?;
            from = self.write_some(what, at, granted, &mut written)?;
            if from.is_some() {
                self.checkpoint()?;
            }
            first = false;
        }
        Ok(written)
    }

    /// One transaction: as much from this place on as there is room for. Where the next one begins;
    /// `None`: everything is written.
    fn write_some(
        &mut self,
        what: &What<'_>,
        mut from: From,
        granted: Granted,
        written: &mut Written,
    ) -> Result<Option<From>, SqlError> {
        let path = self.path().to_owned();
        let Self { conn, dictionary, sealed_until, upkeep, head, fresh, .. } = self;
        let mut meter = Meter::new(conn, path, granted);
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let whole;
        {
            let mut insert = Inserter::new(conn, *sealed_until, fresh)?;
            whole = put(conn, dictionary, what, &mut from, &mut meter, &mut insert, written)?;
            if whole {
                let Upkeep { held, limits, .. } = &mut *upkeep;
                let systems = dictionary.systems();
                written.events_refused = events::write(conn, systems, what.events, held, limits)?;
                written.graphs_refused = graphs::write(conn, systems, what.graphs, held, limits)?;
                if !what.alerts.is_empty() {
                    let applied = alerts::apply(conn, systems, what.alerts, held, limits)?;
                    written.alerts_refused = applied.refused;
                    written.events_refused += applied.events_refused;
                }
                let Taken { rows, refused, invalid, more } =
                    inbox::take(conn, dictionary, &mut insert, meter.rows())?;
                written.samples[Source::Sql as usize] += rows;
                written.refused = refused;
                written.invalid = invalid;
                written.more = more;
            }
            upkeep.pruner.written(insert.finish()?);
            if let Some(mark) = what.mark.filter(|_| whole) {
                spilling::remember(conn, mark)?;
            }
        }
        conn.prepare_cached("COMMIT")?.execute([])?;
        let made = dictionary.committed();
        head.append(fresh);
        if made {
            self.count_names()?;
        }
        Ok((!whole).then_some(from))
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
