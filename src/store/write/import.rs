//! store: taking in history: few samples become plain rows like any others; many go straight into
//! blocks, which is several times as fast and writes each of them once.

use std::iter::Peekable;

use rusqlite::Connection;

use super::open::Store;
use super::room::{Granted, Meter, ROW_MOST};
use crate::model::{Kind, Series};
use crate::store::SqlError;
use crate::store::file::state;
use crate::store::keep::pack::{FINAL, LATE, Packed, insert, pack};
use crate::store::keep::stretch;
use crate::store::keep::stretch::STRETCH_MS;
use crate::store::samples::head::Sample;
use crate::store::samples::insert::Inserter;
use crate::store::texts::dictionary::{Room, named};

/// Where series come from that an import brought and nobody knew before.
const JOB: &str = "import";
/// Somebody stands beside it: only a file that is all names is stopped.
const MAX_NAMES: usize = 1_000_000;
/// More than so many are sealed as they come.
const MANY: usize = 1_000_000;
/// Plain rows a transaction.
const ROWS: usize = 20_000;
/// A stretch of time that is to be rolled up once more.
const STRETCH_BYTES: u64 = 200;

/// An import on its way: samples are held in memory, 24 bytes each, until there are many or
/// [`Import::finish`] is called. Samples that have not been written when it is dropped are lost. To
/// import them again does no harm.
#[derive(Debug)]
pub struct Import<'s> {
    store: &'s mut Store,
    waiting: Vec<Sample>,
    /// An import with at least this many samples goes straight into blocks.
    pub(in crate::store) many: usize,
    sealed: bool,
    refused: u64,
}

impl Store {
    /// Begins an import of samples of this machine.
    pub fn begin_import(&mut self) -> Import<'_> {
        Import { store: self, waiting: Vec::new(), many: MANY, sealed: false, refused: 0 }
    }

    /// A whole import of a few. How many samples were refused.
    pub fn import<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a str, i64, f64)>,
    ) -> Result<u64, SqlError> {
        let mut import = self.begin_import();
        import.put(rows)?;
        import.finish()
    }

    /// Writes as many of these rows as there is room for, the first ones. How many that were.
    fn insert_rows(&mut self, rows: &[Sample], granted: Granted) -> Result<usize, SqlError> {
        let path = self.path().to_owned();
        let Self { conn, sealed_until, upkeep, head, fresh, .. } = self;
        let mut meter = Meter::new(conn, path, granted);
        let tx = conn.unchecked_transaction()?;
        let mut insert = Inserter::new(&tx, *sealed_until, fresh)?;
        let mut put = 0;
        for (id, ts, value) in rows {
            insert.put(*ts, *id, *value)?;
            put += 1;
            if meter.spend(ROW_MOST)? {
                break;
            }
        }
        upkeep.pruner.written(insert.finish()?);
        tx.commit()?;
        head.append(fresh);
        Ok(put)
    }

    /// Writes as many of these blocks as there is room for, the first ones. How many that were.
    fn insert_blocks(&mut self, blocks: &[Packed], granted: Granted) -> Result<usize, SqlError> {
        let path = self.path().to_owned();
        let Self { conn, upkeep, sealed_until, .. } = self;
        // New blocks of the lowest level would be taken for those of a seal that was cut off.
        let busy = upkeep.sealing.is_some();
        let mut meter = Meter::new(conn, path, granted);
        let tx = conn.unchecked_transaction()?;
        let mut put = 0;
        for block in blocks {
            // What shares time with what is there already is merged into it, be that from before the
            // last seal or from an import that was cut off and is repeated.
            let apart = block.start > *sealed_until && !busy && !shares_time(&tx, block)?;
            let level = if !apart {
                LATE
            } else if block.full {
                FINAL
            } else {
                0
            };
            insert(&tx, 0, level, block)?;
            stretch::mark_block(&tx, block)?;
            put += 1;
            if meter.spend(block_bytes(block))? {
                break;
            }
        }
        state::set(&tx, state::IMPORTED, 1)?;
        tx.commit()?;
        upkeep.groups = None;
        Ok(put)
    }
}

/// What a block adds to log and file together at most.
fn block_bytes(block: &Packed) -> u64 {
    let stretches = block.end.saturating_sub(block.start) / STRETCH_MS + 2;
    3 * block.data.len() as u64 + ROW_MOST + stretches.unsigned_abs() * STRETCH_BYTES
}

impl Import<'_> {
    /// Takes samples: key, ms since 1970 UTC, value. One whose key is one name too many is refused.
    pub fn put<'a>(
        &mut self,
        rows: impl Iterator<Item = (&'a str, i64, f64)>,
    ) -> Result<(), SqlError> {
        let mut rows = rows.peekable();
        while rows.peek().is_some() {
            self.take(&mut rows)?;
        }
        if self.waiting.len() >= self.many {
            self.seal()?;
        }
        Ok(())
    }

    /// Takes as many as there is room for with their new names, the first ones.
    fn take<'a>(
        &mut self,
        rows: &mut Peekable<impl Iterator<Item = (&'a str, i64, f64)>>,
    ) -> Result<(), SqlError> {
        let granted = self.room_for_names()?;
        let path = self.store.path().to_owned();
        let Store { conn, dictionary, .. } = &mut *self.store;
        let mut meter = Meter::new(conn, path, granted);
        let tx = conn.unchecked_transaction()?;
        let take = || {
            for (key, ts, value) in rows {
                match dictionary.id_of_key(&tx, key, JOB, Room::Own(MAX_NAMES))? {
                    Ok(id) => self.waiting.push((id, ts, value)),
                    Err(_) => self.refused += 1,
                }
                let new = dictionary.new_bytes();
                if new > 0 && meter.spend(new)? {
                    break;
                }
            }
            Ok(())
        };
        let taken = take();
        // The names of what waits.
        if let Err(e) = taken.and_then(|()| tx.commit()) {
            dictionary.forget();
            return Err(e);
        }
        if dictionary.committed() {
            self.store.count_names()?;
        }
        Ok(())
    }

    /// Says what a series is that nobody knows yet; what is known stays as it is. Where there is no room
    /// for one more name, nothing is said, and its samples are refused.
    pub fn describe(
        &mut self,
        key: &str,
        kind: Kind,
        unit: &str,
        help: &str,
    ) -> Result<(), SqlError> {
        let Store { conn, dictionary, .. } = &mut *self.store;
        if dictionary.knows(conn, key, JOB)? {
            return Ok(());
        }
        self.room_for_names()?;
        let Store { conn, dictionary, .. } = &mut *self.store;
        let identity = named(conn, key, JOB)?;
        let series = Series { identity, kind, unit: unit.into(), help: help.into() };
        dictionary.describe(conn, &series)
    }

    fn room_for_names(&mut self) -> Result<Granted, SqlError> {
        if self.store.dictionary.is_uncounted() {
            self.store.count_names()?;
        }
        self.store.room_to_import(0)
    }

    /// Writes what is left. How many samples were refused.
    pub fn finish(mut self) -> Result<u64, SqlError> {
        if self.sealed {
            self.seal()?;
        } else {
            let mut left = self.waiting.as_slice();
            while !left.is_empty() {
                let granted = self.store.room_to_import(0)?;
                let put = self.store.insert_rows(&left[..left.len().min(ROWS)], granted)?;
                left = &left[put..];
                self.store.checkpoint()?;
            }
        }
        Ok(self.refused)
    }

    fn seal(&mut self) -> Result<(), SqlError> {
        self.sealed = true;
        let blocks = pack(&mut self.waiting, &mut self.store.upkeep.scratch);
        self.waiting.clear();
        let mut left = blocks.as_slice();
        while let Some(first) = left.first() {
            let granted = self.store.room_to_import(block_bytes(first))?;
            let put = self.store.insert_blocks(left, granted)?;
            left = &left[put..];
            self.store.checkpoint()?;
        }
        Ok(())
    }
}

/// Whether blocks of this group hold something of this time.
fn shares_time(conn: &Connection, block: &Packed) -> Result<bool, SqlError> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM blocks
         WHERE resolution = 0 AND grp = ?1 AND end >= ?2 AND start <= ?3)",
    )?
    .query_row([block.group, block.start, block.end], |r| r.get(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::store::Reader;
    use crate::store::Times;

    const START: i64 = 1_700_000_000_000;
    const HOUR: i64 = 3_600_000;

    /// Many samples, in pieces, in no order, some twice, before and among and after what is there.
    #[test]
    fn many_samples_go_straight_into_blocks_and_none_is_lost() {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let path = dir.as_ref().expect("a folder").path().join("m.sqlite");
        let mut store = Store::open(&path, "here", Arc::default()).expect("opens");
        let now = Times { wall: START + 60 * HOUR, boot: 60 * HOUR };
        let keys: Vec<String> = (0..5).map(|i| format!("k{i}")).collect();
        let mut truth: BTreeMap<(String, i64), f64> = BTreeMap::new();
        let mut put = |store: &mut Store, from: i64, step: i64, count: i64, many: usize| {
            let mut import = store.begin_import();
            import.many = many;
            for piece in 0..4 {
                let rows: Vec<(&str, i64, f64)> = (0..count)
                    .map(|i| {
                        let n = (i * 7919 + piece) % count;
                        let key = &keys[(n % 5) as usize];
                        (key.as_str(), from + n / 5 * step, (piece * count + i) as f64)
                    })
                    .collect();
                for (key, ts, value) in &rows {
                    truth.insert(((*key).to_owned(), *ts), *value);
                }
                import.put(rows.into_iter()).expect("taken");
            }
            assert_eq!(import.finish().expect("written"), 0);
        };
        // What a daemon has: some of it sealed and rolled up, some not.
        put(&mut store, START + 20 * HOUR, 20_000, 12_000, usize::MAX);
        while store.upkeep(now, Duration::from_secs(1)).expect("upkeep") {}
        // Before it, across it, after it; once longer than a block's columns may be.
        put(&mut store, START, 30_000, 9_000, 7_000);
        put(&mut store, START + 19 * HOUR, 45_678, 2_000, 1);
        put(&mut store, START + 40 * HOUR, 1_000, 50_000, 60_000);
        let check = |what: &str| {
            let reader = Reader::open(&path).expect("opens");
            for known in reader.series().expect("series") {
                let (ts, values) = reader.samples(known.id, i64::MIN, i64::MAX).expect("reads");
                let want =
                    truth.range((known.key.clone(), i64::MIN)..=(known.key.clone(), i64::MAX));
                let want: Vec<(i64, f64)> = want.map(|((_, ts), v)| (*ts, *v)).collect();
                let got: Vec<(i64, f64)> = ts.into_iter().zip(values).collect();
                assert!(got == want, "{what}: {} has {} of {}", known.key, got.len(), want.len());
            }
        };
        check("imported");
        store.compact(now).expect("compacts");
        check("compacted");
        for finding in Reader::open(&path).expect("opens").examine(now.wall) {
            assert_eq!(finding.wrong, Vec::<String>::new(), "{}", finding.check);
        }
    }

    #[test]
    fn an_import_into_a_file_of_its_own_is_rolled_up() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.sqlite");
        let mut store = Store::open(&path, "here", Arc::default()).expect("opens");
        let mut import = store.begin_import();
        import.many = 1;
        import.put((0..2_880).map(|i| ("k", START + i * 60_000, i as f64))).expect("taken");
        import.finish().expect("written");
        let now = Times { wall: START + 60 * HOUR, boot: 60 * HOUR };
        while store.upkeep(now, Duration::from_secs(1)).expect("upkeep") {}
        let hours: i64 = store
            .conn
            .query_row("SELECT sum(count) FROM rollup_1h", [], |r| r.get(0))
            .expect("a number");
        // All but what lies in the last six hours begun.
        assert!((2_880 - 360..=2_880).contains(&hours), "{hours}");
    }

    #[test]
    fn what_is_imported_twice_is_held_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.sqlite");
        let mut store = Store::open(&path, "here", Arc::default()).expect("opens");
        for _ in 0..3 {
            let mut import = store.begin_import();
            import.many = 1;
            for piece in 0..3 {
                let rows = (0..10_000).map(|i| {
                    let n = piece * 10_000 + i;
                    ("k", START + n * 1_000, (n * n % 977) as f64)
                });
                import.put(rows).expect("taken");
            }
            import.finish().expect("written");
        }
        let now = Times { wall: START + 60 * HOUR, boot: 60 * HOUR };
        store.compact(now).expect("compacts");
        let held: i64 = store
            .conn
            .query_row("SELECT sum(samples) FROM blocks WHERE resolution = 0", [], |r| r.get(0))
            .expect("a number");
        assert_eq!(held, 30_000);
    }

    /// One sample of 1970 beside those of today: the half century between is no work.
    #[test]
    fn a_time_of_nothing_is_no_work() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m.sqlite");
        let mut store = Store::open(&path, "here", Arc::default()).expect("opens");
        store.upkeep.limits.raw_ms = i64::MAX / 4;
        let now = Times { wall: START + 60 * HOUR, boot: 60 * HOUR };
        store.import((0..600).map(|i| ("known", START + i * 60_000, 1.0))).expect("imports");
        store.compact(now).expect("compacts");
        // Straight into blocks, over what is rolled up; and by way of plain rows, late.
        for (key, many) in [("sealed", 1), ("late", usize::MAX)] {
            let mut import = store.begin_import();
            import.many = many;
            let rows = (0..600).map(|i| (key, START + i * 60_000, i as f64));
            import.put([(key, 0, 7.0)].into_iter().chain(rows)).expect("taken");
            import.finish().expect("written");
            let listed: i64 = store
                .conn
                .query_row("SELECT count(*) FROM dirty", [], |r| r.get(0))
                .expect("a number");
            assert!(listed < 100, "{key}: {listed}");
            store.compact(now).expect("compacts");
        }
        let longest: i64 = store
            .conn
            .query_row("SELECT max(end - start) FROM blocks WHERE resolution = 0", [], |r| r.get(0))
            .expect("a number");
        assert!(longest < 400 * 24 * HOUR, "{longest}");
        let reader = Reader::open(&path).expect("opens");
        for known in reader.series().expect("series") {
            let (ts, _) = reader.samples(known.id, i64::MIN, i64::MAX).expect("reads");
            assert_eq!(ts.len(), if known.key == "known" { 600 } else { 601 }, "{}", known.key);
        }
    }
}
