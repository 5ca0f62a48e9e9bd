//! store: deletes old data: an age for each resolution, a budget for plain rows, one hard size for file,
//! write-ahead log and shared memory together. Each step is one short transaction.

use rusqlite::{Connection, OptionalExtension, params};

use super::stretch::{FIVE_MINUTES_MS, HOUR_MS, STRETCH_MS};
use crate::store::SqlError;
use crate::store::file::limits::{DAY_MS, Limits};
use crate::store::file::state;
use crate::store::texts::budget::Held;
use crate::store::texts::{alerts, events};

/// A plain row with its share of its page, measured.
const ROW_BYTES: u64 = 16;
/// Rows or blocks deleted in one step.
const STEP_ROWS: i64 = 4_096;
const STEP_BLOCKS: i64 = 8;
/// Alerts and messages deleted in one step.
const STEP_ALERTS: i64 = 250;
/// Rows counted in one step.
const COUNT_STEP: i64 = 50_000;
/// Series whose hours are looked at in one step.
const STEP_SERIES: usize = 256;
/// How much faster than time the clock of retention may run; see [`Pruner::clock`].
const CATCH_UP: i64 = 24;

/// Whether all rollups of a block of samples are made: else its hours would go with it.
const ROLLED_UP: &str = "(
    end < (SELECT coalesce(max(value), -9223372036854775808) FROM state WHERE name = 'rolled_until')
    AND NOT EXISTS (SELECT 1 FROM dirty d WHERE d.grp = blocks.grp
                    AND d.start > blocks.start - 21600000 AND d.start <= blocks.end))";

/// Gives some free pages back to the file system. False: there are none.
pub(in crate::store) fn give_back_pages(
    conn: &Connection,
    limits: &Limits,
) -> Result<bool, SqlError> {
    if Pages::of(conn)?.free == 0 {
        return Ok(false);
    }
    let mut vacuum =
        conn.prepare(&format!("PRAGMA incremental_vacuum({})", limits.step_pages()))?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(true)
}

/// Pages of the database file that are in use, and all of them.
pub(in crate::store) fn pages(conn: &Connection) -> Result<(u64, u64), SqlError> {
    let pages = Pages::of(conn)?;
    Ok((pages.all.saturating_sub(pages.free), pages.all))
}

/// What pruning remembers between steps.
#[derive(Debug, Default)]
pub(in crate::store) struct Pruner {
    /// Plain rows in the database, once they are counted.
    rows: Option<u64>,
    counting: (i64, u64),
    /// Rows that were written since then. Some may have taken the place of others, of the same series
    /// and time, so there may be fewer rows than `rows` says.
    uncertain: u64,
    last_boot: Option<i64>,
    hours: Hours,
}

/// What is known of the hourly rows. They lie by series, so the oldest of all is only found by
/// asking each series for its own, which goes on from step to step.
#[derive(Debug, Default)]
struct Hours {
    /// The series that was looked at last; `None`: it begins with the first.
    after: Option<i64>,
    /// The oldest row that was seen on the way.
    seen: Option<i64>,
    /// The oldest row when the last of them was seen; `None`: that has not been yet.
    oldest: Option<Option<i64>>,
}

impl Hours {
    /// Goes on through the series, and deletes the hours before `until`. True: there are more.
    fn pass(&mut self, conn: &Connection, until: i64) -> Result<bool, SqlError> {
        let mut next = conn.prepare_cached(
            "SELECT series_id, ts FROM rollup_1h WHERE series_id > ?1
             ORDER BY series_id, ts LIMIT 1",
        )?;
        let mut delete =
            conn.prepare_cached("DELETE FROM rollup_1h WHERE series_id = ?1 AND ts < ?2")?;
        let tx = conn.unchecked_transaction()?;
        let mut rows = 0;
        let mut more = true;
        for _ in 0..STEP_SERIES {
            let after = self.after.unwrap_or(i64::MIN);
            let row = next.query_row([after], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
            let Some((series, ts)): Option<(i64, i64)> = row else {
                more = false;
                break;
            };
            if ts >= until {
                self.seen = Some(self.seen.map_or(ts, |seen| seen.min(ts)));
                self.after = Some(series);
                continue;
            }
            // The series is looked at once more: rows of it may be left.
            let to = until.min(ts.saturating_add((STEP_ROWS - rows).max(1) * HOUR_MS));
            rows += delete.execute([series, to])? as i64;
            if rows >= STEP_ROWS {
                break;
            }
        }
        if rows > 0 {
            let before = state::get(&tx, state::HOURS_GONE)?.unwrap_or(i64::MIN);
            state::set(&tx, state::HOURS_GONE, before.max(until))?;
        }
        tx.commit()?;
        if !more {
            *self = Self { after: None, seen: None, oldest: Some(self.seen) };
        }
        Ok(more)
    }
}

impl Pruner {
    /// Plain rows were written.
    pub(in crate::store) fn written(&mut self, rows: u64) {
        // Until they are counted, the count will find them.
        if let Some(all) = &mut self.rows {
            *all += rows;
            self.uncertain += rows;
        }
    }

    /// Counts plain rows once more.
    fn recount(&mut self) {
        (self.rows, self.counting, self.uncertain) = (None, (0, 0), 0);
    }

    /// The time that retention by age goes by. It follows the wall clock, but a clock that jumps
    /// ten years ahead must not delete ten years: it runs at most [`CATCH_UP`] times as fast as
    /// time passes.
    pub(in crate::store) fn clock(
        &mut self,
        conn: &Connection,
        wall: i64,
        boot: i64,
    ) -> Result<i64, SqlError> {
        let passed = boot - self.last_boot.replace(boot).unwrap_or(boot);
        let now = match state::get(conn, state::PRUNE_CLOCK)? {
            None => wall,
            Some(before) => wall.min(before + passed.max(60_000) * CATCH_UP),
        };
        state::set(conn, state::PRUNE_CLOCK, now)?;
        Ok(now)
    }

    /// Deletes a little of what is too old. True: there may be more.
    pub(in crate::store) fn by_age(
        &mut self,
        conn: &Connection,
        limits: &Limits,
        now: i64,
        held: &mut Held,
    ) -> Result<bool, SqlError> {
        for (resolution, age) in [(0, limits.raw_ms), (FIVE_MINUTES_MS, limits.five_minutes_ms)] {
            let old = conn
                .prepare_cached(&format!(
                    "SELECT id, end FROM blocks
                     WHERE resolution = ?1 AND end < ?2 AND (?1 > 0 OR {ROLLED_UP}) LIMIT ?3"
                ))?
                .query_map(params![resolution, now - age, STEP_BLOCKS], |r| {
                    Ok((r.get(0)?, r.get(1)?))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let gone = drop_these(conn, resolution, &old)?;
            if gone {
                return Ok(true);
            }
        }
        let hours = self.hours.pass(conn, now - limits.hours_ms)?;
        alerts::prune(conn, now - limits.five_minutes_ms, now)?;
        // Who looks at a day of last year wants to know what happened on it.
        Ok(events::prune(conn, now - limits.five_minutes_ms, held)? || hours)
    }

    /// Deletes a little of what is too much. True: there may be more.
    pub(in crate::store) fn by_size(
        &mut self,
        conn: &Connection,
        limits: &Limits,
        held: &mut Held,
    ) -> Result<bool, SqlError> {
        // Before any sample.
        if events::prune_to(conn, held, limits.events_budget())? {
            return Ok(true);
        }
        if held.alerts_exceed(conn, limits.alerts_budget())?
            && alerts::drop_oldest(conn, held, STEP_ALERTS)? > 0
        {
            return Ok(true);
        }
        if self.rows_are_full(conn, limits, 0)? && self.uncertain > self.rows.unwrap_or(0) / 8 {
            self.recount();
        }
        if !self.counted(conn)? {
            return Ok(true);
        }
        if self.rows.unwrap_or(0) * ROW_BYTES > limits.plain_budget() && self.drop_rows(conn)? {
            return Ok(true);
        }
        let pages = Pages::of(conn)?;
        if pages.used() > limits.file_limit()
            && pages.used() > limits.prune_limit(held.fixed(conn, limits)?)
            && self.make_room(conn, limits, held)?
        {
            return Ok(true);
        }
        // Free pages are used again; they go back when they are many, or when the bound is near.
        let near = pages.all * pages.size > limits.file_limit();
        if pages.free > 0 && (near || pages.free > (pages.all / 4).max(1_024)) {
            return give_back_pages(conn, limits);
        }
        Ok(false)
    }

    /// Deletes a little of what would be too much after so many more bytes. True: there may be more.
    pub(in crate::store) fn make_room_for(
        &mut self,
        conn: &Connection,
        limits: &Limits,
        held: &mut Held,
        bytes: u64,
    ) -> Result<bool, SqlError> {
        let used = Pages::of(conn)?.used().saturating_add(bytes);
        if used <= limits.file_limit() || used <= limits.prune_limit(held.fixed(conn, limits)?) {
            return Ok(false);
        }
        if events::prune_to(conn, held, limits.events_budget())? || !self.counted(conn)? {
            return Ok(true);
        }
        self.make_room(conn, limits, held)
    }

    /// Deletes a little of what has most of the age that it may have: samples before all else, until
    /// they are shortened so much that it is the turn of what is kept longer. Without that, the hours
    /// of ten years would leave no room for the samples of a day. False: there is nothing to delete.
    fn make_room(
        &mut self,
        conn: &Connection,
        limits: &Limits,
        held: &mut Held,
    ) -> Result<bool, SqlError> {
        let Some(hours) = self.hours.oldest else {
            self.hours.pass(conn, i64::MIN)?;
            return Ok(true);
        };
        let newest = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MAX);
        let share = |oldest: Option<i64>, age: i64| {
            oldest.map_or(0.0, |oldest| newest.saturating_sub(oldest) as f64 / age.max(1) as f64)
        };
        let edge = |sql: &str| conn.prepare_cached(sql)?.query_row([], |r| r.get(0));
        let samples = match edge("SELECT min(end) FROM blocks WHERE resolution = 0")? {
            None => edge("SELECT min(ts) FROM samples")?,
            oldest => oldest,
        };
        let samples = share(samples, limits.raw_ms);
        let fine = edge("SELECT min(end) FROM blocks WHERE resolution = 300000")?;
        let fine = share(fine, limits.five_minutes_ms);
        if let Some(oldest) = hours.filter(|_| share(hours, limits.hours_ms) > samples.max(fine)) {
            self.hours.pass(conn, oldest.saturating_add(DAY_MS))?;
            return Ok(true);
        }
        if fine > samples && drop_blocks(conn, FIVE_MINUTES_MS)? {
            return Ok(true);
        }
        if drop_samples(conn)? || self.drop_rows(conn)? || drop_blocks(conn, FIVE_MINUTES_MS)? {
            return Ok(true);
        }
        if let Some(oldest) = hours {
            self.hours.pass(conn, oldest.saturating_add(DAY_MS))?;
            return Ok(true);
        }
        // Everything else has been given up.
        events::prune_to(conn, held, 0)
    }

    /// Whether plain rows with `coming` more go past their limit, so that senders have to wait until
    /// some are sealed. Rows that are not sealed cannot be deleted; history would be deleted instead.
    pub(in crate::store) fn rows_are_full(
        &self,
        conn: &Connection,
        limits: &Limits,
        coming: u64,
    ) -> Result<bool, SqlError> {
        let most = limits.most_rows();
        // More than that at once finds room when there are few.
        let rows = self.rows.unwrap_or(0) + coming.min(most / 2);
        if rows <= most / 2 {
            return Ok(false);
        }
        // A late one is listed, too. Numbers are given in order.
        let late: i64 = conn
            .prepare_cached(
                "SELECT coalesce((SELECT max(id) FROM late) - (SELECT min(id) FROM late) + 1, 0)",
            )?
            .query_row([], |r| r.get(0))?;
        Ok(rows.saturating_add(late.unsigned_abs()) > most)
    }

    /// Counts plain rows bit by bit after a start. True: done.
    fn counted(&mut self, conn: &Connection) -> Result<bool, SqlError> {
        if self.rows.is_some() {
            return Ok(true);
        }
        let (from, so_far) = self.counting;
        let from = if so_far == 0 { i64::MIN } else { from };
        let (count, last): (i64, Option<i64>) = conn
            .prepare_cached(
                "SELECT count(*), max(ts) FROM
                 (SELECT ts FROM samples WHERE ts > ?1 ORDER BY ts LIMIT ?2)",
            )?
            .query_row([from, COUNT_STEP], |r| Ok((r.get(0)?, r.get(1)?)))?;
        let all = so_far + count as u64;
        match last {
            Some(last) if count == COUNT_STEP => self.counting = (last, all),
            _ => self.rows = Some(all),
        }
        Ok(false)
    }

    /// Deletes the oldest plain rows, if they are all sealed.
    pub(in crate::store) fn drop_rows(&mut self, conn: &Connection) -> Result<bool, SqlError> {
        let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
        let until: Option<i64> = conn
            .prepare_cached("SELECT ts FROM samples ORDER BY ts LIMIT 1 OFFSET ?1")?
            .query_row([STEP_ROWS], |r| r.get(0))
            .optional()?;
        if until.is_none() && self.rows.is_some_and(|rows| rows > STEP_ROWS as u64) {
            // There are not even as many as that.
            self.recount();
        }
        let Some(until) = until.filter(|u| *u <= sealed) else { return Ok(false) };
        let waits: bool = conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM late WHERE ts <= ?1)")?
            .query_row([until], |r| r.get(0))?;
        if waits {
            return Ok(false);
        }
        let gone = conn.prepare_cached("DELETE FROM samples WHERE ts <= ?1")?.execute([until])?;
        if let Some(rows) = &mut self.rows {
            *rows = rows.saturating_sub(gone as u64);
        }
        Ok(gone > 0)
    }
}

/// Drops the oldest sealed samples, once their rollups are made. False: there are none.
fn drop_samples(conn: &Connection) -> Result<bool, SqlError> {
    let oldest: Vec<(i64, i64, bool)> = conn
        .prepare_cached(&format!(
            "SELECT id, end, {ROLLED_UP} FROM blocks WHERE resolution = 0 ORDER BY end LIMIT ?1"
        ))?
        .query_map([STEP_BLOCKS], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let ready: Vec<(i64, i64)> =
        oldest.iter().take_while(|(.., rolled)| *rolled).map(|(id, end, _)| (*id, *end)).collect();
    if !ready.is_empty() {
        return drop_these(conn, 0, &ready);
    }
    let Some((_, end, _)) = oldest.first() else { return Ok(false) };
    let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
    if end - end.rem_euclid(STRETCH_MS) + STRETCH_MS <= sealed {
        // Upkeep makes its rollups first.
        return Ok(true);
    }
    drop_blocks(conn, 0)
}

fn drop_blocks(conn: &Connection, resolution: i64) -> Result<bool, SqlError> {
    let oldest = conn
        .prepare_cached("SELECT id, end FROM blocks WHERE resolution = ?1 ORDER BY end LIMIT ?2")?
        .query_map([resolution, STEP_BLOCKS], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    drop_these(conn, resolution, &oldest)
}

/// Drops blocks, given by row and end, and remembers how far they are gone.
fn drop_these(conn: &Connection, resolution: i64, blocks: &[(i64, i64)]) -> Result<bool, SqlError> {
    let Some(until) = blocks.iter().map(|(_, end)| *end).max() else { return Ok(false) };
    let tx = conn.unchecked_transaction()?;
    for (id, _) in blocks {
        tx.prepare_cached("DELETE FROM blocks WHERE id = ?1")?.execute([id])?;
    }
    let gone = if resolution == 0 { state::PRUNED_UNTIL } else { state::FIVE_MINUTES_GONE };
    let before = state::get(&tx, gone)?.unwrap_or(i64::MIN);
    state::set(&tx, gone, before.max(until))?;
    tx.commit()?;
    Ok(true)
}

/// The database file in pages.
struct Pages {
    all: u64,
    free: u64,
    size: u64,
}

impl Pages {
    /// Bytes of those that are not free. Where the header is damaged, more may be free than there is.
    fn used(&self) -> u64 {
        self.all.saturating_sub(self.free).saturating_mul(self.size)
    }

    fn of(conn: &Connection) -> Result<Self, SqlError> {
        let pragma = |name: &str| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
        Ok(Self {
            all: pragma("page_count")? as u64,
            free: pragma("freelist_count")? as u64,
            size: pragma("page_size")? as u64,
        })
    }
}
