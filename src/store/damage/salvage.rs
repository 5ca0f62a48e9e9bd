//! store: moves all that can be read of a damaged database into the new one. Names come first and keep
//! their numbers, so collection goes on at once. The rest is moved page by page, a little after each
//! commit, and continues after a restart where it was. The old file is only read.

mod rows;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use rusqlite::types::Value;
use rusqlite::{Connection, params};

use self::rows::{Block, is_value, late_row};
use super::carve::{Carver, Row, Table, ascending};
use super::names::{Name, names};
use super::repair::aside_path;
use super::{alerts, events};
use crate::store::file::ours::usual_roots;
use crate::store::file::state;
use crate::store::keep::pack::{Packed, insert_as};
use crate::store::keep::rollup;
use crate::store::keep::stretch;
use crate::store::keep::stretch::STRETCH_MS;
use crate::store::packed::block::{Column, GROUP, decode};
use crate::store::packed::chunk::Scratch;
use crate::store::{OpenError, SqlError};

/// Less room than this on the disk, and moving rests: commits need it more.
const RESERVE: u64 = 16 << 20;
/// What the rows of a page add beside their bytes: pages of tables and indexes that are split.
const PAGE_MOST: u64 = 64 << 10;

/// How far it got.
#[derive(Debug, Clone)]
enum Stage {
    /// Which stretches of time have their blocks; nothing is written.
    Survey(u32),
    /// Pages up to here are in the new database.
    Move(u32),
    /// Stretches whose rollups are still to be looked at.
    Rollups(Vec<(i64, i64)>),
}

/// What was moved, and what was not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Plain rows.
    pub rows: u64,
    /// Samples in blocks.
    pub sealed: u64,
    /// Hourly rows.
    pub hours: u64,
    /// Pages that held something unreadable.
    pub pages_hurt: u64,
    /// Columns of blocks that were damaged, and rows without a name.
    pub lost: u64,
}

/// The work on one damaged database.
#[derive(Debug)]
pub(in crate::store) struct Salvage {
    carver: Carver,
    from: PathBuf,
    series: HashSet<i64>,
    /// By group: stretches of time whose blocks are whole.
    covered: HashMap<i64, Vec<(i64, i64)>>,
    late: HashSet<(i64, i64)>,
    stage: Stage,
    salvaged: Salvaged,
    rests: bool,
    /// Bytes of log and file that the next page takes, if it found no room.
    wants: u64,
}

impl Salvage {
    /// Moves the names, the few numbers and the alerts into a fresh database; the rest is for [`Self::step`].
    pub(in crate::store) fn begin(
        conn: &Connection,
        path: &Path,
        stamp: i64,
    ) -> Result<Self, OpenError> {
        let fail = |e| OpenError::from_sqlite(path, e);
        let (this, names) = Self::open(path, stamp)?;
        let tx = conn.unchecked_transaction().map_err(fail)?;
        this.carry_names(&tx, names)
            .and_then(|()| this.carry_state(&tx))
            .and_then(|()| alerts::salvage(&tx, |table| this.carver.all(table)))
            .and_then(|()| state::set(&tx, state::SALVAGE_OF, stamp))
            .and_then(|()| state::set(&tx, state::SALVAGE_AT, 1))
            .and_then(|()| tx.commit())
            .map_err(fail)?;
        Ok(this)
    }

    /// Goes on where the process before stopped, if it did.
    pub(in crate::store) fn resume(
        conn: &Connection,
        path: &Path,
    ) -> Result<Option<Self>, OpenError> {
        let fail = |e| OpenError::from_sqlite(path, e);
        let Some(stamp) = state::get(conn, state::SALVAGE_OF).map_err(fail)? else {
            return Ok(None);
        };
        if !aside_path(path, stamp).exists() {
            tracing::warn!("{} is gone: salvage ends", aside_path(path, stamp).display());
            forget(conn).map_err(fail)?;
            return Ok(None);
        }
        Ok(Some(Self::open(path, stamp)?.0))
    }

    fn open(path: &Path, stamp: i64) -> Result<(Self, Vec<Name>), OpenError> {
        let from = aside_path(path, stamp);
        let roots = usual_roots().map_err(|e| OpenError::from_sqlite(path, e))?;
        let carver = Carver::open(&from, &roots).map_err(|e| OpenError::Unwritable {
            path: from.clone(),
            reason: e.to_string(),
            hint: "make it readable, then start again",
        })?;
        let names = names(&carver);
        let this = Self {
            series: names.iter().map(|n| n.id).collect(),
            carver,
            from,
            covered: HashMap::new(),
            late: HashSet::new(),
            stage: Stage::Survey(1),
            salvaged: Salvaged::default(),
            rests: false,
            wants: 0,
        };
        Ok((this, names))
    }

    fn carry_names(&self, conn: &Connection, names: Vec<Name>) -> Result<(), SqlError> {
        let mut systems: Vec<(i64, String)> = (self.carver.all(Table::Systems).into_iter())
            .filter_map(|row| match row.values.as_slice() {
                [_, Value::Text(name)] => Some((row.rowid, name.clone())),
                _ => None,
            })
            .collect();
        for name in &names {
            if !systems.iter().any(|(id, _)| *id == name.system) {
                systems.push((name.system, format!("system {}", name.system)));
            }
        }
        let mut put =
            conn.prepare_cached("INSERT OR IGNORE INTO system_dict (id, name) VALUES (?1, ?2)")?;
        for (id, name) in systems {
            put.execute((id, name))?;
        }
        let mut put = conn.prepare_cached(
            "INSERT OR IGNORE INTO series_dict
             (id, system_id, job, name, labels, key, kind, unit, help)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for n in names {
            put.execute(params![
                n.id, n.system, n.job, n.name, n.labels, n.key, n.kind, n.unit, n.help
            ])?;
        }
        Ok(())
    }

    /// What the store knew of itself, as far as the blocks bear it out.
    fn carry_state(&self, conn: &Connection) -> Result<(), SqlError> {
        let told: HashMap<String, i64> = (self.carver.all(Table::State).into_iter())
            .filter_map(|row| match row.values.as_slice() {
                [Value::Text(name), Value::Integer(value)] => Some((name.clone(), *value)),
                _ => None,
            })
            .collect();
        let newest = (self.carver.all(Table::BlocksByGroup).into_iter())
            .filter_map(|row| match row.values.as_slice() {
                [Value::Integer(0), _, Value::Integer(..=9), Value::Integer(end), _] => Some(*end),
                _ => None,
            })
            .max();
        let sealed = match (told.get(state::SEALED_UNTIL).copied(), newest) {
            (Some(told), Some(newest)) => Some(told.min(newest)),
            (told, newest) => told.or(newest),
        };
        let rolled = told.get(state::ROLLED_UNTIL).copied().filter(|r| Some(*r) <= sealed);
        for (name, value) in [
            (state::SEALED_UNTIL, sealed),
            (state::ROLLED_UNTIL, rolled),
            (state::SEQ, told.get(state::SEQ).copied()),
            (state::PRUNE_CLOCK, told.get(state::PRUNE_CLOCK).copied()),
            (state::FIVE_MINUTES_GONE, told.get(state::FIVE_MINUTES_GONE).copied()),
            (state::HOURS_GONE, told.get(state::HOURS_GONE).copied()),
            (state::JUDGED_UNTIL, told.get(state::JUDGED_UNTIL).copied()),
            (state::LAST_NOTE, told.get(state::LAST_NOTE).copied()),
        ] {
            if let Some(value) = value {
                state::set(conn, name, value)?;
            }
        }
        // Imported history has no samples: questions about it have to be answered from its buckets.
        let past: Vec<_> = told.iter().filter(|(name, _)| state::is_past(name)).collect();
        let reach = told.get_key_value(state::PRUNED_UNTIL).filter(|_| !past.is_empty());
        past.into_iter().chain(reach).try_for_each(|(name, value)| state::set(conn, name, *value))
    }

    /// Works for about this long. False: everything is done.
    /// `spend` is told what is written, in bytes of log and file together, and says when that was enough.
    pub(in crate::store) fn step(
        &mut self,
        conn: &Connection,
        budget: Duration,
        scratch: &mut Scratch,
        spend: impl FnMut(u64) -> Result<bool, SqlError>,
    ) -> Result<bool, SqlError> {
        let end = Instant::now() + budget;
        match std::mem::replace(&mut self.stage, Stage::Rollups(Vec::new())) {
            Stage::Survey(page) => {
                self.stage = self.survey(conn, page, end, scratch)?;
                Ok(true)
            }
            Stage::Move(page) => {
                // Until the transaction is through, it is where it was.
                self.stage = Stage::Move(page);
                self.rests = !has_room(&self.from);
                if !self.rests {
                    self.stage = self.move_pages(conn, page, end, scratch, spend)?;
                }
                Ok(!self.rests)
            }
            Stage::Rollups(mut left) => {
                let Some((start, group)) = left.pop() else {
                    forget(conn)?;
                    return Ok(false);
                };
                if rollup::compare(conn, start, group, scratch)?.lacking > 0 {
                    stretch::mark(conn, start, group)?;
                }
                self.stage = Stage::Rollups(left);
                Ok(true)
            }
        }
    }

    /// Whether it waits for room on the disk.
    pub(in crate::store) fn rests(&self) -> bool {
        self.rests
    }

    /// What has to be left under the bound before it can go on, in bytes of log and file together.
    pub(in crate::store) fn wants(&self) -> u64 {
        self.wants
    }

    /// The damaged file.
    pub(in crate::store) fn from(&self) -> &Path {
        &self.from
    }

    /// What was moved since this process took it up.
    pub(in crate::store) fn salvaged(&self) -> Salvaged {
        self.salvaged
    }

    /// How much of the file is done.
    pub(in crate::store) fn percent(&self) -> u32 {
        match &self.stage {
            Stage::Survey(_) => 0,
            Stage::Move(page) => {
                (u64::from(*page) * 99 / u64::from(self.carver.count()).max(1)) as u32
            }
            Stage::Rollups(_) => 99,
        }
    }

    fn survey(
        &mut self,
        conn: &Connection,
        from: u32,
        end: Instant,
        scratch: &mut Scratch,
    ) -> Result<Stage, SqlError> {
        let mut rows = Vec::new();
        for page in from..=self.carver.count() {
            let owner = self.carver.owner(page);
            if !matches!(owner, Some(Table::Blocks | Table::Late)) {
                continue;
            }
            self.carver.rows(page, &mut rows);
            for row in rows.drain(..) {
                if let (Some(Table::Late), Some(late)) = (owner, late_row(&row)) {
                    self.late.insert(late);
                } else if let Some(block) = Block::read(row).filter(|b| b.resolution == 0)
                    && decode(block.group, &block.data, scratch)
                        .is_ok_and(|columns| columns.iter().all(|(_, _, c)| c.is_ok()))
                {
                    self.covered.entry(block.group).or_default().push((block.start, block.end));
                }
            }
            if Instant::now() >= end {
                return Ok(Stage::Survey(page + 1));
            }
        }
        self.covered.values_mut().for_each(|list| *list = united(std::mem::take(list)));
        let at = state::get(conn, state::SALVAGE_AT)?.unwrap_or(1);
        Ok(Stage::Move(u32::try_from(at).unwrap_or(1).max(1)))
    }

    fn move_pages(
        &mut self,
        conn: &Connection,
        from: u32,
        end: Instant,
        scratch: &mut Scratch,
        mut spend: impl FnMut(u64) -> Result<bool, SqlError>,
    ) -> Result<Stage, SqlError> {
        let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
        let before = self.salvaged;
        let tx = conn.unchecked_transaction()?;
        let mut page = from;
        while page <= self.carver.count() {
            let (table, rows, whole) = self.rows(page);
            let bytes = PAGE_MOST + 3 * rows.iter().map(Row::bytes).sum::<u64>();
            if !rows.is_empty() && spend(bytes)? {
                if page == from {
                    self.wants = 3 * bytes;
                    return Ok(Stage::Move(page));
                }
                break;
            }
            self.salvaged.pages_hurt += u64::from(!whole);
            if let Err(e) = table.map_or(Ok(()), |t| self.move_rows(&tx, t, rows, sealed, scratch))
            {
                self.salvaged = before;
                return Err(e);
            }
            page += 1;
            if Instant::now() >= end {
                break;
            }
        }
        self.wants = 0;
        state::set(&tx, state::SALVAGE_AT, i64::from(page))?;
        if page <= self.carver.count() {
            tx.commit()?;
            return Ok(Stage::Move(page));
        }
        tx.execute(
            "INSERT OR REPLACE INTO state (name, value)
             SELECT ?1, max(seq) FROM blocks HAVING max(seq) >
             coalesce((SELECT value FROM state WHERE name = ?1), 0)",
            [state::SEQ],
        )?;
        tx.commit()?;
        let rolled = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
        Ok(Stage::Rollups(self.stretches(rolled)))
    }

    /// Whole stretches of time that have raw samples and should have rollups.
    fn stretches(&self, rolled: i64) -> Vec<(i64, i64)> {
        let mut out = HashSet::new();
        for (group, list) in &self.covered {
            // The first may have been cut by retention: its rollups know more than its samples.
            let first = list.first().map_or(0, |(start, _)| rollup::after(*start));
            for (start, end) in list {
                let mut at = (start - start.rem_euclid(STRETCH_MS)).max(first);
                while at <= *end && at < rolled {
                    out.insert((at, *group));
                    at += STRETCH_MS;
                }
            }
        }
        out.into_iter().collect()
    }

    /// What is to be moved of a page: the table it belongs to, its rows, and whether all of them could be
    /// read.
    fn rows(&self, page: u32) -> (Option<Table>, Vec<Row>, bool) {
        let (owner, mut rows) = (self.carver.owner(page), Vec::new());
        let Some(table) = owner else { return (None, rows, true) };
        let whole = match table {
            Table::Samples
            | Table::Blocks
            | Table::Hours
            | Table::Inbox
            | Table::Late
            | Table::Events
            | Table::Dirty => self.carver.rows(page, &mut rows),
            _ => return (None, rows, true),
        };
        (owner, rows, whole)
    }

    fn move_rows(
        &mut self,
        conn: &Connection,
        table: Table,
        rows: Vec<Row>,
        sealed: i64,
        scratch: &mut Scratch,
    ) -> Result<(), SqlError> {
        match table {
            Table::Samples => self.move_samples(conn, &rows, sealed),
            Table::Hours => self.move_hours(conn, &rows),
            Table::Blocks => rows.into_iter().try_for_each(|row| match Block::read(row) {
                Some(block) => self.move_block(conn, block, scratch),
                None => {
                    self.salvaged.lost += 1;
                    Ok(())
                }
            }),
            Table::Inbox => rows.iter().try_for_each(|row| match row.values.as_slice() {
                [_, Value::Text(key), value, Value::Integer(ts)] if is_value(value) => conn
                    // A row that the table's own rules refuse was not there before.
                    .prepare_cached(
                        "INSERT OR IGNORE INTO inbox (key, value, ts) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![key, value, ts])
                    .map(drop),
                _ => Ok(()),
            }),
            Table::Late => rows.iter().filter_map(late_row).try_for_each(|(ts, series)| {
                conn.prepare_cached("INSERT INTO late (ts, series_id) VALUES (?1, ?2)")?
                    .execute([ts, series])
                    .map(drop)
            }),
            Table::Events => rows.iter().try_for_each(|row| events::write(conn, row)),
            Table::Dirty => rows.iter().try_for_each(|row| match row.values.as_slice() {
                [Value::Integer(start), Value::Integer(group)] if start % STRETCH_MS == 0 => {
                    stretch::mark(conn, *start, *group)
                }
                _ => Ok(()),
            }),
            _ => Ok(()),
        }
    }

    /// Plain rows. Those whose block is lost wait to be sealed again.
    fn move_samples(
        &mut self,
        conn: &Connection,
        rows: &[Row],
        sealed: i64,
    ) -> Result<(), SqlError> {
        let rows: Vec<(i64, i64, &Value)> = (rows.iter())
            .filter_map(|row| match row.values.as_slice() {
                [Value::Integer(ts), Value::Integer(series), value] if is_value(value) => {
                    Some((*ts, *series, value))
                }
                _ => None,
            })
            .collect();
        let keys: Vec<(i64, i64)> = rows.iter().map(|(ts, series, _)| (*ts, *series)).collect();
        let mut put = conn.prepare_cached(
            "INSERT OR IGNORE INTO samples (ts, series_id, value) VALUES (?1, ?2, ?3)",
        )?;
        let mut wait = conn.prepare_cached("INSERT INTO late (ts, series_id) VALUES (?1, ?2)")?;
        for ((ts, series, value), keep) in rows.into_iter().zip(ascending(&keys)) {
            if !keep || !self.series.contains(&series) {
                self.salvaged.lost += 1;
                continue;
            }
            let new = put.execute(params![ts, series, value])? > 0;
            self.salvaged.rows += u64::from(new);
            let known = self.late.contains(&(ts, series));
            if new && ts <= sealed && !known && !self.is_covered(series.div_euclid(GROUP), ts) {
                wait.execute([ts, series])?;
            }
        }
        Ok(())
    }

    fn is_covered(&self, group: i64, ts: i64) -> bool {
        let Some(list) = self.covered.get(&group) else { return false };
        let at = list.partition_point(|(start, _)| *start <= ts);
        at.checked_sub(1).is_some_and(|i| ts <= list[i].1)
    }

    fn move_hours(&mut self, conn: &Connection, rows: &[Row]) -> Result<(), SqlError> {
        let key = |row: &Row| match row.values.as_slice() {
            [Value::Integer(series), Value::Integer(ts), Value::Integer(_), rest @ ..]
                if rest.len() == 6 && rest.iter().all(is_value) =>
            {
                Some((*series, *ts))
            }
            _ => None,
        };
        let rows: Vec<&Row> = rows.iter().filter(|r| key(r).is_some()).collect();
        let keys: Vec<_> = rows.iter().map(|r| key(r)).collect();
        let mut put = conn.prepare_cached(
            "INSERT OR IGNORE INTO rollup_1h
             (series_id, ts, count, sum, min, max, last, resets, lost)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for ((row, key), keep) in rows.iter().zip(&keys).zip(ascending(&keys)) {
            if keep && key.is_some_and(|(series, _)| self.series.contains(&series)) {
                put.execute(rusqlite::params_from_iter(&row.values))?;
                self.salvaged.hours += 1;
            } else {
                self.salvaged.lost += 1;
            }
        }
        Ok(())
    }

    /// A block with those of its columns that are whole.
    fn move_block(
        &mut self,
        conn: &Connection,
        block: Block,
        scratch: &mut Scratch,
    ) -> Result<(), SqlError> {
        let Ok(columns) = decode(block.group, &block.data, scratch) else {
            self.salvaged.lost += 1;
            return Ok(());
        };
        let all = columns.len();
        let good: Vec<Column> = columns
            .into_iter()
            .filter_map(|(series, part, column)| {
                let (ts, values) = column.ok()?;
                Some(Column { series, part, ts: ts.iter().collect(), values })
            })
            .collect();
        self.salvaged.lost += (all - good.len()) as u64;
        let packed = if good.len() == all {
            Some(Packed {
                group: block.group,
                start: block.start,
                end: block.end,
                samples: good.iter().map(|c| c.ts.len()).sum(),
                longest: good.iter().map(|c| c.ts.len()).max().unwrap_or(0),
                data: block.data,
                full: false,
            })
        } else {
            Packed::new(&good, scratch)
        };
        if let Some(packed) = packed {
            self.salvaged.sealed += if block.resolution == 0 { packed.samples as u64 } else { 0 };
            insert_as(conn, block.resolution, block.level, block.seq, &packed)?;
        }
        Ok(())
    }
}

/// There is nothing left to salvage.
pub(in crate::store) fn forget(conn: &Connection) -> Result<(), SqlError> {
    conn.execute("DELETE FROM state WHERE name IN (?1, ?2)", [state::SALVAGE_OF, state::SALVAGE_AT])
        .map(drop)
}

fn has_room(path: &Path) -> bool {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    rustix::fs::statvfs(folder.unwrap_or(Path::new(".")))
        .map_or(true, |disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= RESERVE)
}

/// Sorted, and what touches made one. Blocks of whole seconds that follow each other do not touch.
fn united(mut list: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    list.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::with_capacity(list.len());
    for (start, end) in list {
        match out.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => out.push((start, end)),
        }
    }
    out
}
