//! store: sealing: plain rows that nobody will change any more become compressed blocks. The plain
//! rows stay, as the window that any SQL client reads, until `prune` makes room.
//!
//! The samples come from the head, which has them by series.
//!
//! What is sealed is told by one number, `sealed_until`: every plain row up to it is in a block,
//! except those listed in `late`, which came after their time had been sealed.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::pack::{LATE, LONGEST, Packed, cut, insert, pack};
use super::stretch::STRETCH_MS;
use crate::store::file::limits::Limits;
use crate::store::file::state;
use crate::store::packed::block::GROUP;
use crate::store::packed::chunk::Scratch;
use crate::store::samples::head::{Head, Sample, Waiting};
use crate::store::{SqlError, from_column};

/// Plain rows that make a seal worth its while: about 200 samples of each series of one machine.
const ENOUGH_ROWS: usize = 32_768;
/// With many series a seal waits for this many samples of each; otherwise sealing and merging cost more
/// than all else.
const ENOUGH_EACH: usize = 64;
/// What waits to be sealed is held in memory, about 3 bytes a row.
const MOST_ROWS: usize = 6_400_000;
/// Series that are not written any more wait in memory for the next seal, a few hundred bytes each. If
/// there are more of them than this, and more than half as many as live ones, they are sealed at once.
const MANY_GONE: usize = 8_192;
/// Older rows are sealed even if they are few.
const OLDEST_MS: i64 = 2 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;

/// Bytes of a block beside its data: the numbers of its row, and its entry in the index.
const ROW: usize = 100;
/// The time that one step may take, so that the next commit is on time.
const STEP: Duration = Duration::from_millis(20);

/// A seal on its way. One of many series takes several steps, each its own transaction: what is
/// sealed counts once the last is done, and until then is read twice, with the same values.
#[derive(Debug)]
pub(in crate::store) struct Sealing {
    /// Everything up to this time is taken.
    pub(in crate::store) until: i64,
    groups: Vec<i64>,
    /// How many of them are done.
    next: usize,
}

/// Whether a seal is due at `now` (ms since 1970 UTC).
pub(in crate::store) fn due(
    conn: &Connection,
    head: &Head,
    limits: &Limits,
    sealed: i64,
    now: i64,
) -> Result<bool, SqlError> {
    let waiting = head.waiting(now, longest(limits));
    let few = waiting.is_none_or(|w| !w.is_worth_it(limits, now));
    // What an import brought does not wait until there is enough of what is measured here.
    Ok(!few
        || late_waits(conn, if waiting.is_none() { FEW_LATE } else { MANY_LATE })?
        || ahead(conn, waiting.map(|w| w.oldest), sealed, now)?.is_some())
}

/// How far time can be called sealed although nothing of what waits is: the newest block is not rolled
/// up, and what waits is newer. An import may have brought it, or nothing has come for hours. What is
/// not rolled up could not be deleted without losing its hours.
fn ahead(
    conn: &Connection,
    oldest: Option<i64>,
    sealed: i64,
    now: i64,
) -> Result<Option<i64>, SqlError> {
    // To look is quick, but not for nothing at every beat.
    if oldest.is_some() && state::get(conn, state::IMPORTED)?.is_none() {
        return Ok(None);
    }
    let newest: Option<i64> = conn
        .prepare_cached("SELECT max(end) FROM blocks WHERE resolution = 0 AND level >= 0")?
        .query_row([], |r| r.get(0))?;
    let Some(newest) = newest else { return Ok(None) };
    let may = oldest.map_or(now - HOUR_MS, |oldest| (now - HOUR_MS).min(oldest - 1));
    let whole = newest - newest.rem_euclid(STRETCH_MS) + STRETCH_MS;
    let rolled = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
    let until = if newest >= rolled && may >= whole { whole } else { newest.min(may) };
    Ok((until > sealed).then_some(until))
}

/// Samples of a series that are sealed at once: those of a group go into the file in one step.
fn longest(limits: &Limits) -> usize {
    // Sixteen series, nine bytes a sample that nobody could guess, in log and file.
    let fits = limits.step_most() / 2 / (GROUP as u64 * 9);
    usize::try_from(fits).unwrap_or(LONGEST).clamp(256, LONGEST)
}

/// Late rows that are sealed at once: each may be a block of its own.
fn most_late(limits: &Limits) -> usize {
    let fits = limits.max_size / 32 / (ROW as u64 + 28);
    usize::try_from(fits).unwrap_or(usize::MAX).clamp(1_024, 2 * ENOUGH_ROWS)
}

impl Waiting {
    /// Whether there is enough of it at `now` (ms since 1970 UTC), or it has waited for long enough.
    fn is_worth_it(&self, limits: &Limits, now: i64) -> bool {
        let enough = (self.live * ENOUGH_EACH).clamp(ENOUGH_ROWS, MOST_ROWS);
        // Long before senders are turned away.
        let enough = enough.min(usize::try_from(limits.most_rows() / 4).unwrap_or(enough));
        self.oldest < now - OLDEST_MS
            || self.samples > enough
            || self.gone > MANY_GONE.max(self.live / 2)
    }
}

/// Late rows that are sealed by themselves where nothing else waits.
const FEW_LATE: i64 = 1_000;
/// Late rows that do not wait for the next seal: until then they cannot be deleted and are not rolled
/// up.
const MANY_LATE: i64 = ENOUGH_ROWS as i64;

/// Whether more than `most` late rows wait. Few of them wait for the next seal.
fn late_waits(conn: &Connection, most: i64) -> Result<bool, SqlError> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM late LIMIT 1 OFFSET ?1)")?
        .query_row([most], |r| r.get(0))
}

impl Sealing {
    /// Plans a seal of the samples up to `now`; `None` if there is nothing to seal. `sealed` is the time
    /// up to which samples are sealed already; with `all`, samples that are not due yet count, too.
    ///
    /// When nothing is left before `now`, time itself is sealed up to an hour ago, because the last
    /// rollups of a machine that was switched off must not wait. Samples that come later are late.
    pub(in crate::store) fn begin(
        conn: &Connection,
        head: &Head,
        limits: &Limits,
        sealed: i64,
        now: i64,
        all: bool,
    ) -> Result<Option<Self>, SqlError> {
        let mut sealing = Self { until: sealed, groups: Vec::new(), next: 0 };
        match head.waiting(now, longest(limits)) {
            Some(w) if all || w.is_worth_it(limits, now) => {
                sealing.groups = head.groups();
                sealing.until = if w.all { w.until.max(now - HOUR_MS) } else { w.until };
            }
            waiting => {
                let late = "SELECT EXISTS (SELECT 1 FROM late)";
                let late: bool = conn.prepare_cached(late)?.query_row([], |r| r.get(0))?;
                let ahead = ahead(conn, waiting.map(|w| w.oldest), sealed, now)?;
                if !late && ahead.is_none() {
                    return Ok(None);
                }
                sealing.until = ahead.unwrap_or(sealed);
            }
        }
        Ok(Some(sealing))
    }

    /// A few groups more. True: that was the last step.
    pub(in crate::store) fn step(
        &mut self,
        conn: &Connection,
        head: &Head,
        limits: &Limits,
        scratch: &mut Scratch,
    ) -> Result<bool, SqlError> {
        let start = Instant::now();
        let (mut blocks, mut next) = (Vec::<Packed>::new(), self.next);
        // Each byte goes into the log and into the file.
        let most = usize::try_from(limits.step_most() / 4).unwrap_or(usize::MAX);
        let mut bytes = 0;
        while let Some(group) = self.groups.get(next)
            && (next == self.next || start.elapsed() < STEP && bytes < most)
        {
            let of_group = cut(&head.group(*group, self.until), scratch);
            bytes += of_group.iter().map(|block| block.data.len() + ROW).sum::<usize>();
            blocks.extend(of_group);
            next += 1;
        }
        if next < self.groups.len() {
            let tx = conn.unchecked_transaction()?;
            if self.next == 0 {
                state::set(&tx, state::SEALING_AFTER, state::get(&tx, state::SEQ)?.unwrap_or(0))?;
            }
            insert_all(&tx, 0, &blocks)?;
            for block in &blocks {
                super::stretch::mark_block(&tx, block)?;
            }
            state::set(&tx, state::SEALING, self.until)?;
            tx.commit()?;
            self.next = next;
            return Ok(false);
        }
        let (mut late, last_late) = late(conn, most_late(limits))?;
        let behind = pack(&mut late, scratch);
        let tx = conn.unchecked_transaction()?;
        insert_all(&tx, 0, &blocks)?;
        for block in &blocks {
            super::stretch::mark_block(&tx, block)?;
        }
        insert_all(&tx, LATE, &behind)?;
        super::stretch::mark_dirty(&tx, &late)?;
        state::set(&tx, state::SEALED_UNTIL, self.until)?;
        state::unset(&tx, state::SEALING)?;
        state::unset(&tx, state::SEALING_AFTER)?;
        tx.prepare_cached("DELETE FROM late WHERE id <= ?1")?.execute([last_late])?;
        tx.commit()?;
        Ok(true)
    }
}

/// Drops the blocks of a seal that was cut off: their rows are still there and not sealed.
pub(in crate::store) fn drop_unfinished(conn: &Connection) -> Result<(), SqlError> {
    if state::get(conn, state::SEALING)?.is_none() {
        return Ok(());
    }
    let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
    // An import brings blocks of that level, too, and may have done so before the seal began.
    let after = state::get(conn, state::SEALING_AFTER)?.unwrap_or(i64::MIN);
    let tx = conn.unchecked_transaction()?;
    tx.execute(
        "DELETE FROM blocks WHERE resolution = 0 AND level = 0 AND start > ?1 AND seq > ?2",
        [sealed, after],
    )?;
    state::unset(&tx, state::SEALING)?;
    state::unset(&tx, state::SEALING_AFTER)?;
    tx.commit()
}

fn insert_all(conn: &Connection, level: i64, blocks: &[Packed]) -> Result<(), SqlError> {
    blocks.iter().try_for_each(|block| insert(conn, 0, level, block))
}

/// Rows that came late, at most so many, and the number of the last one seen.
fn late(conn: &Connection, most: usize) -> Result<(Vec<Sample>, i64), SqlError> {
    let mut statement = conn.prepare_cached(
        "SELECT l.series_id, l.ts, s.value, l.id
         FROM late l JOIN samples s ON s.ts = l.ts AND s.series_id = l.series_id
         ORDER BY l.id LIMIT ?1",
    )?;
    let mut rows = statement.query([most as i64])?;
    let (mut samples, mut last) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if let Some(value) = from_column(row.get_ref(2)?) {
            samples.push((row.get(0)?, row.get(1)?, value));
        }
        last = row.get(3)?;
    }
    Ok((samples, last))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::keep::pack::{BYTES, LONG, LONGEST};
    use crate::store::packed::block::{Column, decode};
    use crate::store::packed::join::join_packed;

    /// Counters that grow by whole numbers that nobody can guess: some 1.3 bytes a sample.
    fn busy(series: i64, start: i64, step: i64, count: usize) -> Column {
        let (mut at, mut total) = (series as u64 + 1, 0);
        let values = (0..count).map(|_| {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            total += (at >> 33) % 1_000;
            total as f64
        });
        let ts = (0..count as i64).map(|i| start + i * step).collect();
        Column { series, part: 0, ts, values: values.collect() }
    }

    /// The blocks put together again.
    fn all(blocks: &[Packed]) -> Vec<Column> {
        let mut columns: Vec<Column> = Vec::new();
        for block in blocks {
            for (series, part, column) in
                decode(block.group, &block.data, &mut Scratch::default()).unwrap()
            {
                let (ts, values) = column.unwrap();
                assert!(ts.len() <= LONGEST);
                let place = columns.binary_search_by_key(&(series, part), |c| (c.series, c.part));
                let at = place.unwrap_or_else(|at| {
                    columns.insert(at, Column { series, part, ..Column::default() });
                    at
                });
                join_packed(&mut columns[at], &ts, 0..ts.len(), &values);
            }
        }
        columns
    }

    #[test]
    fn what_takes_many_bytes_is_cut_into_blocks_of_a_few_pages() {
        let mut scratch = Scratch::default();
        // One begins late, one ends early, and one is sparse.
        let mut columns: Vec<Column> =
            (0..13).map(|i| busy(32 + i, 1_000, 15_000, 8_000)).collect();
        columns.push(busy(45, 90_000_000, 15_000, 2_000));
        columns.push(busy(46, -5_000_000, 15_000, 700));
        columns.push(busy(47, 7, 300_000, 390));
        let blocks = cut(&columns, &mut scratch);
        assert!((4..8).contains(&blocks.len()), "{}", blocks.len());
        let few = BYTES / 2..BYTES * 2;
        assert!(blocks.iter().all(|b| b.full && few.contains(&b.data.len())));
        assert!(blocks.windows(2).all(|pair| pair[0].end < pair[1].start));
        assert_eq!(all(&blocks), columns);

        let still = |series| Column { values: vec![4.0; 8_000], ..busy(series, 0, 15_000, 8_000) };
        let quiet: Vec<Column> = (0..16).map(still).collect();
        assert_eq!(cut(&quiet, &mut scratch).len(), 1, "what compresses well stays together");
        assert_eq!(cut(&[busy(1, 0, 1_000, LONG - 1)], &mut scratch).len(), 1);
        let rollups: Vec<Column> =
            (0..7).map(|part| Column { part, ..busy(1, 0, 1_000, 9_000) }).collect();
        let blocks = cut(&rollups, &mut scratch);
        assert_eq!(
            blocks.iter().map(|b| b.longest).collect::<Vec<_>>(),
            [LONGEST, 9_000 - LONGEST]
        );
        assert!(blocks[0].full && !blocks[1].full);
        assert!(cut(&[], &mut scratch).is_empty());
    }

    /// Names of which so many are written every ten seconds, and so many of them are replaced each
    /// second by names that nobody knew, for so many seconds. What the head takes in bytes at most in
    /// each ten minutes, and how often it was sealed.
    fn churn(live: i64, replaced: i64, seconds: i64) -> (Vec<usize>, usize) {
        let (head, limits) = (Head::default(), Limits::default());
        let (mut first, mut seals) = (0, 0);
        let mut most = Vec::new();
        for second in 0..seconds {
            let now = second * 1_000;
            first += replaced;
            let due = (first..first + live).filter(|id| (id + second) % 10 == 0);
            head.append(&due.map(|id| (id, now, (id % 100) as f64)).collect::<Vec<_>>());
            if second % 600 == 0 {
                most.push(0);
            }
            let last = most.len() - 1;
            most[last] = most[last].max(head.bytes());
            // As often as the writer looks.
            let waiting = head
                .waiting(now, LONGEST)
                .filter(|w| second % 30 == 0 && w.is_worth_it(&limits, now));
            if let Some(w) = waiting {
                head.forget(w.until);
                seals += 1;
            }
        }
        (most, seals)
    }

    #[test]
    fn names_that_come_and_go_take_no_more_memory_with_time() {
        let (most, seals) = churn(2_000, 100, 3_000);
        assert!(most.iter().all(|bytes| *bytes < 6_000_000), "{most:?}");
        let (first, last) = (most[1], most[most.len() - 1]);
        assert!(last <= first + first / 10, "{most:?}");
        assert!((10..60).contains(&seals), "{seals}");
    }

    #[test]
    fn names_that_stay_are_sealed_when_there_is_enough_of_each() {
        // 32,768 rows of these are there after eighteen minutes.
        assert_eq!(churn(300, 0, 3_400).1, 3);
        // A few that go make no difference.
        assert_eq!(churn(3_000, 1, 1_500).1, 2);
    }

    proptest! {
        #[test]
        fn whatever_is_cut_comes_back(
            counts in prop::collection::vec(1usize..20_000, 1..5),
            starts in prop::collection::vec(any::<i32>(), 5),
            steps in prop::collection::vec(1i64..100_000, 5),
            quiet: u8,
        ) {
            let columns: Vec<Column> = (counts.iter().zip(&starts).zip(&steps).enumerate())
                .map(|(i, ((count, start), step))| busy(i as i64, i64::from(*start), *step, *count))
                .map(|c| if quiet >> c.series & 1 == 1 { Column { values: vec![1.5; c.ts.len()], ..c } } else { c })
                .collect();
            let blocks = cut(&columns, &mut Scratch::default());
            prop_assert!(blocks.iter().rev().skip(1).all(|b| b.full));
            prop_assert_eq!(all(&blocks), columns);
        }
    }
}
