//! store: imports the history of another tool: samples, five-minute buckets and hours, written as
//! they are kept, a group of series at a time. docs/adr/0006-imported-history.md gives the reasons.
//!
//! A group is one transaction. It also records up to when the past of each of its series is there, so
//! an import that was killed continues where it stood, and a second one does nothing. An import works
//! beside a daemon, too: its transactions are those of any SQL client, and the daemon reads what they
//! touch again for each of its own.

mod pack;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use rusqlite::{Connection, OpenFlags, params};

use self::pack::{Made, Wanted, make};
use super::open::Store;
use super::room::{no_room, taken};
use crate::model::{Graph, Kind, Past, Series, unit};
use crate::pipeline::file_bytes_of;
use crate::store::file::allowance;
use crate::store::file::ours::check_ours;
use crate::store::file::state;
use crate::store::keep::pack::{FINAL, LATE, Packed, cut, cut_at, insert};
use crate::store::keep::rollup::{self, Hour, put_hours};
use crate::store::keep::stretch;
use crate::store::keep::stretch::{FIVE_MINUTES_MS, STRETCH_MS};
use crate::store::packed::block::{Column, GROUP};
use crate::store::packed::chunk::Scratch;
use crate::store::samples::series;
use crate::store::texts::dictionary::{Systems, find_or_make, is_known};
use crate::store::texts::{budget, graphs};
use crate::store::{Limits, OpenError, SqlError};

/// Series named in one transaction.
const NAMES: usize = 1_000;
/// A daemon's own commits wait for at most a quarter of a second.
const BUSY: Duration = Duration::from_secs(30);
/// An hour of a series, in log and file together.
const HOUR_BYTES: u64 = 160;
/// What is written with every group.
const MARKS_BYTES: u64 = 128 << 10;
/// A daemon prunes twice a minute; an import beside it waits for that, and so often looks.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// An import of history on its way.
#[derive(Debug)]
pub struct History<'s> {
    conn: Held<'s>,
    path: PathBuf,
    limits: Limits,
    samples_from: i64,
    /// Only what was imported lies before this time.
    rolled_until: i64,
}

#[derive(Debug)]
enum Held<'s> {
    Own(Connection),
    Of(&'s mut Store),
}

/// Where the past of one series goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its row in `series_dict`.
    pub id: i64,
    /// How it behaves: of a counter the past is rates.
    pub kind: Kind,
    /// Everything up to this time is there; `i64::MIN`: nothing is.
    pub after: i64,
    /// From this time on it was recorded here; `i64::MAX`: it was not.
    pub before: i64,
    samples_from: i64,
}

impl Place {
    /// The series that are written together have the same.
    pub fn group(&self) -> i64 {
        self.id.div_euclid(GROUP)
    }
}

/// The past of a group of series, ready to be written.
#[derive(Debug)]
pub struct Prepared {
    group: i64,
    samples: Vec<Packed>,
    fine: Vec<Packed>,
    hours: Vec<Hour>,
    /// Without what is above already.
    made: Vec<(Place, Made)>,
    size: u64,
}

impl Prepared {
    /// How many samples and five-minute buckets are in it.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it adds to log and file together at most.
    fn bytes(&self) -> u64 {
        let packed: usize = self.samples.iter().chain(&self.fine).map(|b| b.data.len()).sum();
        3 * packed as u64 + HOUR_BYTES * self.hours.len() as u64 + MARKS_BYTES
    }
}

/// Makes of the pasts of some series of one group, each once, what is to be written. Touches no
/// file, so that several threads can.
pub fn prepare(mut pasts: Vec<(Place, Past)>) -> Option<Prepared> {
    pasts.sort_by_key(|(place, _)| place.id);
    let group = pasts.first()?.0.group();
    // Rows of one length lie in blocks of their own: where each is one measurement, what a bucket
    // knows is that, seven times over, and packed once. The files of one master end together.
    let mut eras: Vec<i64> = pasts.first()?.1.stretches.iter().map(|s| s.until).collect();
    eras.retain(|until| *until < i64::MAX);
    eras.sort_unstable();
    eras.dedup();
    let mut scratch = Scratch::of_means();
    let (mut samples, mut fine, mut hours) = (Vec::new(), Vec::new(), Vec::new());
    let (mut all, mut size) = (Vec::new(), 0);
    for (place, past) in pasts {
        let Place { after, before, samples_from, .. } = place;
        let mut made = make(&past, place.kind, Wanted { after, before, samples_from });
        made.samples.series = place.id;
        size += (made.samples.ts.len() + made.fine.len()) as u64;
        fine.extend(made.parts(place.id));
        // A group has some 40 MB of columns; not twice, and not while it waits to be written.
        made.fine = Vec::new();
        hours.extend(std::mem::take(&mut made.hours).into_iter().map(|(at, b)| (place.id, at, b)));
        let column = std::mem::take(&mut made.samples);
        if !column.ts.is_empty() {
            samples.push(column);
        }
        all.push((place, made));
    }
    let mut pack = |columns: Vec<Column>, eras: &[i64]| -> Vec<Packed> {
        cut_at(columns, eras).iter().flat_map(|piece| cut(piece, &mut scratch)).collect()
    };
    let (samples, fine) = (pack(samples, &[]), pack(fine, &eras));
    Some(Prepared { group, samples, fine, hours, made: all, size })
}

impl Store {
    /// Begins an import of history; `now` is ms since 1970 UTC.
    pub fn begin_history(&mut self, now: i64) -> Result<History<'_>, SqlError> {
        if self.salvage.is_some() {
            return Err(salvage_first());
        }
        let (path, limits) = (self.path().to_owned(), self.upkeep.limits);
        History::new(Held::Of(self), path, now, limits)
    }
}

fn salvage_first() -> SqlError {
    let why = "a damaged database is being salvaged into this one; import when that is done";
    SqlError::ModuleError(why.into())
}

impl History<'static> {
    /// Begins an import beside the daemon that runs on this database and keeps to these limits.
    pub fn beside(path: &Path, now: i64, limits: Limits) -> Result<Self, OpenError> {
        let fail = |e| OpenError::from_sqlite(path, e);
        if !path.exists() {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        allowance::install();
        let conn = Connection::open_with_flags(path, flags).map_err(fail)?;
        conn.busy_timeout(BUSY).map_err(fail)?;
        if check_ours(&conn, path)? {
            return Err(OpenError::Missing { path: path.to_owned() });
        }
        if state::get(&conn, state::SALVAGE_OF).map_err(fail)?.is_some() {
            return Err(fail(salvage_first()));
        }
        Self::new(Held::Own(conn), path.to_owned(), now, limits).map_err(fail)
    }
}

impl<'s> History<'s> {
    fn new(conn: Held<'s>, path: PathBuf, now: i64, limits: Limits) -> Result<Self, SqlError> {
        let (samples_from, rolled_until) = (i64::MAX, i64::MAX);
        let mut this = Self { conn, path, limits, samples_from, rolled_until };
        let oldest: Option<i64> = this.conn().query_row(
            "SELECT min(oldest) FROM (SELECT min(start) AS oldest FROM blocks
             WHERE resolution = 0 AND level >= 0 UNION ALL SELECT min(ts) FROM samples)",
            [],
            |r| r.get(0),
        )?;
        let oldest = match state::get(this.conn(), state::PAST_OLDEST)? {
            Some(oldest) => oldest,
            None => {
                let oldest = oldest.unwrap_or(now);
                this.write(|conn| state::set(conn, state::PAST_OLDEST, oldest))?;
                oldest
            }
        };
        this.rolled_until = oldest;
        // Questions about an earlier time are answered from the buckets, for all series.
        this.samples_from = oldest.max(now.saturating_sub(limits.raw_ms));
        Ok(this)
    }

    fn conn(&self) -> &Connection {
        match &self.conn {
            Held::Own(conn) => conn,
            Held::Of(store) => &store.conn,
        }
    }

    /// In a transaction that has the write lock from its beginning: beside a daemon one that only
    /// asks for it later can fail halfway.
    fn write<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let conn = self.conn();
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let done = work(conn).and_then(|done| {
            conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(done)
        });
        if done.is_err() && !conn.is_autocommit() {
            // The error to report is the first one.
            let _unused = conn.execute_batch("ROLLBACK");
        }
        done
    }

    /// Room for so many bytes in log and file together, or an error that says that there is none.
    fn room(&mut self, bytes: u64) -> Result<(), SqlError> {
        if let Held::Of(store) = &mut self.conn {
            return store.room_to_import(bytes).map(drop);
        }
        let begun = Instant::now();
        while taken(self.conn(), &self.path)?.saturating_add(bytes) > self.limits.max_size {
            if begun.elapsed() > PATIENCE {
                return Err(no_room(&format!(
                    "the database has reached `max_size` ({}); stop plimsoll and import once more, or set \
                     `max_size` under [store] to more",
                    unit::bytes(self.limits.max_size)
                )));
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Whether something older had to go for what was imported, as the files have reached their bound.
    pub fn gave_way(&self) -> bool {
        match &self.conn {
            Held::Own(_) => false,
            Held::Of(store) => store.gave_way(),
        }
    }

    /// Refuses series whose names would take more of the file than names may.
    fn room_for_names(&mut self, wanted: &[Series]) -> Result<(), SqlError> {
        let budget = self.limits.names_budget();
        let (mut taken, _) = budget::Held::default().names(self.conn())?;
        let mut systems = Systems::default();
        for series in wanted {
            if !is_known(self.conn(), &mut systems, series)? {
                taken += file_bytes_of(&series.identity, series.help.len() + series.unit.len()).0;
            }
        }
        if taken > budget {
            return Err(no_room(&format!(
                "names of series would take {}, and an eighth of `max_size` is {}; set `max_size` under \
                 [store] to more, and import once more",
                unit::bytes(taken),
                unit::bytes(budget)
            )));
        }
        Ok(())
    }

    /// Finds or makes the series, and says where the past of each goes.
    pub fn places(&mut self, wanted: &[Series]) -> Result<Vec<Place>, SqlError> {
        self.room_for_names(wanted)?;
        let newest: i64 =
            self.conn()
                .query_row("SELECT coalesce(max(id), 0) FROM series_dict", [], |r| r.get(0))?;
        let mut places = Vec::with_capacity(wanted.len());
        let mut systems = Systems::default();
        for some in wanted.chunks(NAMES) {
            self.room(0)?;
            self.write(|conn| {
                for series in some {
                    let id = find_or_make(conn, &mut systems, series)?;
                    let kind: String = conn
                        .prepare_cached("SELECT kind FROM series_dict WHERE id = ?1")?
                        .query_row([id], |r| r.get(0))?;
                    let after = state::get(conn, &state::past_of(id))?.unwrap_or(i64::MIN);
                    places.push(Place {
                        id,
                        kind: Kind::from_word(&kind),
                        after,
                        before: i64::MAX,
                        samples_from: self.samples_from,
                    });
                }
                Ok(())
            })?;
        }
        let known: HashMap<i64, i64> =
            places.iter().filter(|p| p.id <= newest).map(|p| (p.id, p.after)).collect();
        if !known.is_empty() {
            let first = self.first_after(&known)?;
            for place in &mut places {
                place.before = first.get(&place.id).copied().unwrap_or(i64::MAX);
            }
        }
        Ok(places)
    }

    /// The first sample of each series after a time.
    fn first_after(&self, known: &HashMap<i64, i64>) -> Result<HashMap<i64, i64>, SqlError> {
        let conn = self.conn();
        let mut first: HashMap<i64, i64> = HashMap::new();
        let mut ids: Vec<i64> = known.keys().copied().collect();
        ids.sort_unstable();
        let mut scratch = Scratch::default();
        for group in ids.chunk_by(|a, b| a.div_euclid(GROUP) == b.div_euclid(GROUP)) {
            let mut columns: Vec<Column> =
                group.iter().map(|id| Column { series: *id, ..Column::default() }).collect();
            let from = group.iter().map(|id| known[id]).min().unwrap_or(i64::MIN);
            series::sealed(conn, 0, from.saturating_add(1), i64::MAX, &mut scratch, &mut columns)?;
            for column in columns {
                let at = column.ts.partition_point(|ts| *ts <= known[&column.series]);
                first.extend(column.ts.get(at).map(|ts| (column.series, *ts)));
            }
        }
        let mut statement = conn.prepare("SELECT ts, series_id FROM samples")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (ts, id): (i64, i64) = (row.get(0)?, row.get(1)?);
            if known.get(&id).is_some_and(|after| ts > *after) {
                let at = first.entry(id).or_insert(ts);
                *at = ts.min(*at);
            }
        }
        Ok(first)
    }

    /// Writes the past of a group; on disk when this returns.
    pub fn put(&mut self, prepared: &Prepared) -> Result<(), SqlError> {
        let Prepared { group, samples, fine, hours, made, .. } = prepared;
        let newest = made.iter().map(|(_, m)| m.until).max().unwrap_or(i64::MIN);
        if newest == i64::MIN {
            return Ok(());
        }
        self.room(prepared.bytes())?;
        self.write(|conn| {
            for (resolution, blocks) in [(0, samples), (FIVE_MINUTES_MS, fine)] {
                for block in blocks {
                    let shared: bool = conn
                        .prepare_cached(
                            "SELECT EXISTS (SELECT 1 FROM blocks WHERE resolution = ?1 AND grp = ?2
                             AND level >= 0 AND end >= ?3 AND start <= ?4)",
                        )?
                        .query_row(params![resolution, group, block.start, block.end], |r| {
                            r.get(0)
                        })?;
                    // What shares time with what is there already is merged into it.
                    insert(conn, resolution, if shared { LATE } else { FINAL }, block)?;
                }
            }
            put_hours(conn, hours)?;
            self.remember(conn, *group, made, newest)
        })?;
        if let Held::Of(store) = &mut self.conn {
            store.upkeep.groups = None;
            store.checkpoint()?;
        }
        Ok(())
    }

    /// Says how far it has come, and where buckets have to do for samples.
    fn remember(
        &self,
        conn: &Connection,
        group: i64,
        made: &[(Place, Made)],
        newest: i64,
    ) -> Result<(), SqlError> {
        let raise = |name: &str, to: i64| match state::get(conn, name)? {
            Some(there) if there >= to => Ok(()),
            _ => state::set(conn, name, to),
        };
        state::set(conn, state::IMPORTED, 1)?;
        let down = |time: i64| time - time.rem_euclid(STRETCH_MS);
        // Not up to what was recorded here, or rows between its samples would be next.
        let until = |place: &Place, made: &Made| made.until.min(place.before.saturating_sub(1));
        let new = || made.iter().filter(|(place, made)| made.until > place.after);
        for (place, made) in new() {
            if made.coarse_until > i64::MIN {
                raise(state::PRUNED_UNTIL, made.coarse_until - 1)?;
            }
            raise(&state::past_of(place.id), until(place, made))?;
        }
        rollup::skip_to(conn, down(newest.min(self.rolled_until)))?;
        let rolled = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
        for (place, made) in new() {
            let until = until(place, made);
            // The hours and buckets that lie across are made of both sides' samples.
            for across in [place.after, until] {
                if across != i64::MIN && down(across) < rolled {
                    stretch::mark(conn, down(across), group)?;
                }
            }
        }
        Ok(())
    }

    /// Writes the charts that nobody described yet.
    pub fn describe(&mut self, described: &[Graph]) -> Result<(), SqlError> {
        self.write(|conn| {
            let (mut count, limits) = (budget::Held::default(), self.limits);
            let mut systems = Systems::default();
            for graph in described {
                let known: bool = conn
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM graph_dict g JOIN system_dict s
                         ON s.id = g.system_id WHERE g.graph = ?1
                         AND CASE WHEN ?2 IS NULL THEN s.id = 1 ELSE s.name = ?2 END)",
                    )?
                    .query_row(params![graph.id, graph.system], |r| r.get(0))?;
                if !known {
                    graphs::write(
                        conn,
                        &mut systems,
                        std::slice::from_ref(graph),
                        &mut count,
                        &limits,
                    )?;
                }
            }
            Ok(())
        })
    }

    /// Which graphs of this machine's plugins are known: `munin/PLUGIN/GRAPH`.
    pub fn graph_ids(&self) -> Result<Vec<String>, SqlError> {
        self.conn()
            .prepare("SELECT graph FROM graph_dict WHERE system_id = 1")?
            .query_map([], |r| r.get(0))?
            .collect()
    }
}
