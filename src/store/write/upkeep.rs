//! store: the work behind the samples: sealing, rolling up, merging, pruning; a little after a
//! commit, on the thread that writes, which decides how often.

use std::time::{Duration, Instant};

use super::keeping::{Times, Upkeep};
use super::open::Store;
use super::room::{Meter, Room};
use crate::model::{format_size, unit};
use crate::store::SqlError;
use crate::store::damage::salvage::{self, Salvage};
use crate::store::file::limits::Limits;
use crate::store::keep::pack::{FINAL, LATE};
use crate::store::keep::prune;
use crate::store::keep::seal::Sealing;
use crate::store::keep::{merge, rollup, seal};
use crate::store::packed::chunk::Scratch;

/// How often age is looked at.
const PRUNE_EVERY_MS: i64 = 600_000;
/// Steps of pruning before anything else is done.
const FIRST_STEPS: usize = 8;

impl Store {
    /// Works for about this long. True: there is more to do.
    pub fn upkeep(&mut self, now: Times, budget: Duration) -> Result<bool, SqlError> {
        if self.salvage.is_some() {
            return self.move_on(budget);
        }
        let start = Instant::now();
        // First of all, as all else makes the file larger before it makes it smaller: a process that
        // is stopped again and again must not grow it without end.
        // Other processes may have brought names: an import beside this one.
        self.count_names()?;
        self.prune_some()?;
        while self.step(now, false)? {
            self.upkeep.worked = true;
            if start.elapsed() >= budget {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether upkeep did anything since the last call; its working space is given back.
    pub fn rest(&mut self) -> bool {
        self.upkeep.scratch = Scratch::default();
        // The page cache is full of blocks that nobody reads again soon.
        let _unused = self.conn.release_memory();
        std::mem::take(&mut self.upkeep.worked)
    }

    /// A little of what is to be salvaged. Nothing else is done meanwhile: what would be sealed or
    /// rolled up may not be there yet.
    fn move_on(&mut self, budget: Duration) -> Result<bool, SqlError> {
        let mut ends = "";
        let wants = self.salvage.as_ref().map_or(0, Salvage::wants);
        let need = self.upkeep.limits.step_most().max(wants);
        match self.room(need + self.upkeep.limits.rollups_most())? {
            Room::Left(granted) => {
                let path = self.path().to_owned();
                let Some(salvage) = &mut self.salvage else { return Ok(false) };
                let mut meter = Meter::new(&self.conn, path, granted);
                let spend = |bytes| meter.spend(bytes);
                if salvage.step(&self.conn, budget, &mut self.upkeep.scratch, spend)? {
                    return Ok(true);
                }
                if salvage.rests() {
                    return Ok(false);
                }
            }
            // A reader keeps the log from being emptied: it goes on when that is gone.
            Room::Held => return Ok(false),
            Room::Spent if self.give_way_to_salvage(need)? => return Ok(true),
            Room::Spent => {
                ends = "; it ended there, as the files have reached `max_size`";
                salvage::forget(&self.conn)?;
            }
        }
        let Some(salvage) = &self.salvage else { return Ok(false) };
        let s = salvage.salvaged();
        let what = format!(
            "salvaged from {}: {} plain rows, {} sealed samples, {} hourly rows; \
             {} pages and {} rows or columns could not be read{ends}; the file was kept",
            salvage.from().display(),
            s.rows,
            s.sealed,
            s.hours,
            s.pages_hurt,
            s.lost
        );
        tracing::info!("{what}");
        self.moved = Some(what);
        self.salvage = None;
        // Rows have come that were not counted, and that the head does not know.
        self.upkeep.forget();
        self.head.load(&self.conn)?;
        Ok(true)
    }

    /// Deletes a little of the oldest, so that there is room for so many bytes of what is salvaged. False:
    /// nothing can go.
    fn give_way_to_salvage(&mut self, bytes: u64) -> Result<bool, SqlError> {
        let Upkeep { scratch, pruner, limits, held, .. } = &mut self.upkeep;
        let bytes = bytes + 2 * limits.rollups_most();
        let before = prune::pages(&self.conn)?;
        let more = pruner.make_room_for(&self.conn, limits, held, bytes)?;
        // Samples do not go before their rollups are made.
        Ok(prune::pages(&self.conn)? < before
            || rollup::roll_some(&self.conn, scratch)?
            || rollup::advance(&self.conn)?
            || prune::give_back_pages(&self.conn, limits)?
            || more)
    }

    /// Does everything there is to do, also what is not worth it yet.
    pub fn compact(&mut self, now: Times) -> Result<(), SqlError> {
        while self.compact_some(now, Duration::from_millis(250))? {}
        Ok(())
    }

    /// Works on that for about this long. True: there is more to do; ask again with the same `now`,
    /// so that what comes meanwhile is not part of it.
    pub fn compact_some(&mut self, now: Times, budget: Duration) -> Result<bool, SqlError> {
        let start = Instant::now();
        self.upkeep.worked = true;
        while start.elapsed() < budget {
            self.checkpoint()?;
            if self.salvage.is_some() {
                if !self.move_on(budget)? {
                    let why = "salvage waits for room on the disk";
                    return Err(SqlError::ModuleError(why.into()));
                }
            } else if !self.step(now, true)?
                && !prune::give_back_pages(&self.conn, &self.upkeep.limits)?
            {
                self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
                self.files.set_length(self.path());
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One step of [`Store::compact`].
    #[cfg(test)]
    pub(in crate::store) fn compact_step(&mut self, now: Times) -> Result<bool, SqlError> {
        self.step(now, true)
    }

    /// Deletes what is too much, in some steps. Whether less is left.
    fn prune_some(&mut self) -> Result<bool, SqlError> {
        let (used, all) = prune::pages(&self.conn)?;
        for _ in 0..FIRST_STEPS {
            if self.may_step()?.is_none() {
                break;
            }
            let Upkeep { pruner, limits, held, .. } = &mut self.upkeep;
            if !pruner.by_size(&self.conn, limits, held)? {
                break;
            }
            self.upkeep.worked = true;
        }
        let (used_now, all_now) = prune::pages(&self.conn)?;
        Ok(used_now < used || all_now < all)
    }

    /// The next step of upkeep. False: there is no more to do, or a reader is in the way.
    pub(super) fn step(&mut self, now: Times, all: bool) -> Result<bool, SqlError> {
        let Some(room) = self.may_step()? else { return Ok(false) };
        let Self { conn, upkeep, sealed_until, head, .. } = self;
        let Upkeep { scratch, limits, groups, sealing, .. } = upkeep;
        if sealing.is_none() && (all || seal::due(conn, head, limits, *sealed_until, now.wall)?) {
            *sealing = Sealing::begin(conn, head, limits, *sealed_until, now.wall, all)?;
        }
        if let Some(job) = sealing {
            // What comes from now on for a time before that is late.
            *sealed_until = job.until;
            if job.step(conn, head, limits, scratch)? {
                head.forget(job.until);
                if head.is_partial() {
                    head.load(conn)?;
                }
                *sealing = None;
                *groups = None;
            }
            return Ok(true);
        }
        // Rollups make the file larger before anything can be deleted for them.
        if room == Room::Spent && self.prune_some()? {
            return Ok(true);
        }
        let Self { conn, upkeep, .. } = self;
        let Upkeep { scratch, pruner, limits, held, groups, pruned_at, worked, .. } = upkeep;
        if rollup::roll_some(conn, scratch)? || rollup::advance(conn)? {
            *groups = None;
            return Ok(true);
        }
        if groups.is_none() {
            let found = conn
                .prepare_cached(
                    "SELECT resolution, grp FROM blocks WHERE level < ?1 GROUP BY resolution, grp
                     HAVING count(*) > 1 OR max(level) = ?2",
                )?
                .query_map([FINAL, LATE], |r| Ok((r.get(0)?, r.get(1)?)))?
                .collect::<Result<Vec<_>, _>>()?;
            *groups = Some(found);
        }
        if let Some((resolution, group)) = groups.as_ref().and_then(|g| g.last().copied()) {
            if !merge::merge_one(conn, resolution, group, all, scratch)?
                && let Some(groups) = groups
            {
                groups.pop();
            }
            return Ok(true);
        }
        if pruned_at.is_none_or(|at| now.boot - at >= PRUNE_EVERY_MS) {
            let clock = pruner.clock(conn, now.wall, now.boot)?;
            if pruner.by_age(conn, limits, clock, held)? {
                return Ok(true);
            }
            *pruned_at = Some(now.boot);
            // What the look needed is given back, too: nothing else may happen for hours.
            *worked = true;
        }
        pruner.by_size(conn, limits, held)
    }

    /// That the file is over its bound for what no pruning can help, in a sentence with what to do.
    pub fn oversize(&mut self) -> Result<Option<String>, SqlError> {
        let Upkeep { limits, held, .. } = &mut self.upkeep;
        let limits = *limits;
        let fixed = held.fixed(&self.conn, &limits)?;
        let bytes: u64 = crate::store::sizes(self.path()).iter().map(|(_, bytes)| bytes).sum();
        if !limits.is_crowded(fixed) || bytes <= limits.max_size {
            return Ok(None);
        }
        Ok(Some(format!(
            "{} takes {}, and `max_size` is {}: names and descriptions of series take {} of it, which \
             no pruning gives back; history is kept short; set `max_size` under [store] to {} or more, \
             or begin a new file: stop plimsoll, move this one away, start it",
            self.path().display(),
            unit::bytes(bytes),
            unit::bytes(limits.max_size),
            unit::bytes(fixed),
            // Whole ones, and no fewer than that.
            format_size(fixed.saturating_mul(8).div_ceil(1 << 20) << 20),
        )))
    }

    /// How much is kept from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.upkeep.limits = limits;
        self.upkeep.pruned_at = None;
        // A failure of it is seen by the commit that follows.
        let _unused = self.count_names();
    }
}
