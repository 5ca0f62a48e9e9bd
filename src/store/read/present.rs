//! store: which series have samples in a stretch of time, from the beginning of the file on; without
//! unpacking more than the blocks that the ends of the stretch cut through.

use rusqlite::{Connection, params};

use super::reader::Reader;
use crate::store::SqlError;
use crate::store::file::state;
use crate::store::keep::stretch::FIVE_MINUTES_MS;
use crate::store::packed::chunk::Scratch;
use crate::store::samples::head::Head;
use crate::store::samples::series::strike_sealed;

const HOUR_MS: i64 = 3_600_000;

impl Reader {
    /// Those of these series that have a sample from `from` to `to` inclusive (ms since 1970 UTC),
    /// or, where samples are not kept any more, a rollup; in the order of their numbers.
    pub fn present(&self, from: i64, to: i64, series: &[i64]) -> Result<Vec<i64>, SqlError> {
        let mut all = series.to_vec();
        all.sort_unstable();
        all.dedup();
        let mut missing = all.clone();
        let tx = self.connection().unchecked_transaction()?;
        strike(&tx, self.head(), from, to, &mut self.scratch(), &mut missing)?;
        all.retain(|s| missing.binary_search(s).is_err());
        Ok(all)
    }
}

/// Takes out of `missing` what is there, the cheapest places first.
fn strike(
    conn: &Connection,
    head: Option<&Head>,
    from: i64,
    to: i64,
    scratch: &mut Scratch,
    missing: &mut Vec<i64>,
) -> Result<(), SqlError> {
    let covers = head.map(|head| head.strike(from, to, missing));
    let rows = covers.or(state::get(conn, state::SEALED_UNTIL)?).unwrap_or(i64::MIN);
    strike_sealed(conn, 0, from, to, scratch, missing)?;
    let plain = "SELECT DISTINCT series_id FROM samples WHERE ts BETWEEN ?1 AND ?2";
    if to > rows {
        strike_rows(conn, plain, from.max(rows.saturating_add(1)), to, missing)?;
    }
    let late = "SELECT DISTINCT series_id FROM late WHERE ts BETWEEN ?1 AND ?2";
    strike_rows(conn, late, from, to, missing)?;
    let pruned = state::get(conn, state::PRUNED_UNTIL)?.unwrap_or(i64::MIN);
    if from > pruned {
        return Ok(());
    }
    let to = to.min(pruned);
    strike_rows(conn, plain, from, to, missing)?;
    // A rollup goes by the time at which it begins.
    let begins = from.saturating_sub(FIVE_MINUTES_MS - 1);
    strike_sealed(conn, FIVE_MINUTES_MS, begins, to, scratch, missing)?;
    let mut hours = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM rollup_1h WHERE series_id = ?1 AND ts BETWEEN ?2 AND ?3)",
    )?;
    let begins = from.saturating_sub(HOUR_MS - 1);
    let mut failed = None;
    missing.retain(|series| {
        match hours.query_row(params![series, begins, to], |r| r.get::<_, bool>(0)) {
            Ok(there) => !there,
            Err(e) => {
                failed = Some(e);
                true
            }
        }
    });
    failed.map_or(Ok(()), Err)
}

fn strike_rows(
    conn: &Connection,
    sql: &str,
    from: i64,
    to: i64,
    missing: &mut Vec<i64>,
) -> Result<(), SqlError> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(sql)?;
    let there: Vec<i64> =
        statement.query_map([from, to], |r| r.get(0))?.collect::<Result<_, _>>()?;
    missing.retain(|s| !there.contains(s));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Registry;
    use crate::store::{Store, Times};

    const START: i64 = 1_700_000_100_000;
    const DAY: i64 = 24 * HOUR_MS;

    /// A series that ended, one with a gap, one that began later and is partly not sealed yet, and
    /// one of which only late samples are known.
    fn lives(key: &str, ts: i64) -> bool {
        let at = (ts - START) / HOUR_MS;
        match key {
            "ended" => at < 20,
            "gap" => !(10..40).contains(&at),
            "later" => at >= 60,
            _ => false,
        }
    }

    #[test]
    fn as_reading_the_samples_would_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.sqlite");
        let mut store = Store::open(&path, "here", Arc::new(Registry::default())).unwrap();
        let rows = |from: i64, to: i64| {
            (START + from..START + to)
                .step_by(20_000)
                .flat_map(|ts| ["ended", "gap", "later"].map(|key| (key, ts)))
                .filter(|(key, ts)| lives(key, *ts))
                .map(|(key, ts)| (key, ts, 1.0))
        };
        store.import(rows(0, 3 * DAY)).unwrap();
        store.compact(Times { wall: START + 3 * DAY, boot: 3 * DAY }).unwrap();
        store.import((0..5).map(|i| ("late", START + DAY + i * HOUR_MS, 2.0))).unwrap();
        store.import(rows(3 * DAY, 3 * DAY + HOUR_MS)).unwrap();
        let head = store.head();
        for reader in [
            Reader::open(&path).unwrap(),
            Reader::open(&path).unwrap().with_head(head),
            Reader::open(&path).unwrap().load_head().unwrap(),
        ] {
            let series: Vec<i64> = reader.series().unwrap().iter().map(|s| s.id).collect();
            let times = [0, 5, 12, 25, 26, 30, 45, 59, 61, 71, 73, 80];
            for from in times.map(|hour| START + hour * HOUR_MS - 10_000) {
                for length in [1, 30_000, HOUR_MS, DAY, 30 * DAY] {
                    let to = from + length;
                    let there = |s: &i64| !reader.samples(*s, from, to).unwrap().0.is_empty();
                    let mut read: Vec<i64> = series.iter().copied().filter(there).collect();
                    read.sort_unstable();
                    assert_eq!(reader.present(from, to, &series).unwrap(), read, "{from} {to}");
                }
            }
            assert_eq!(reader.present(START, START + DAY, &[]).unwrap(), [] as [i64; 0]);
        }
        // What is kept as rollups only is there, too.
        let gone = "DELETE FROM blocks WHERE resolution = 0; DELETE FROM samples; DELETE FROM late";
        store.conn().execute_batch(gone).unwrap();
        state::set(store.conn(), state::PRUNED_UNTIL, START + 4 * DAY).unwrap();
        let reader = Reader::open(&path).unwrap();
        let key =
            |id: i64| reader.series().unwrap().iter().find(|s| s.id == id).unwrap().key.clone();
        let all: Vec<i64> = reader.series().unwrap().iter().map(|s| s.id).collect();
        let ended = all.iter().copied().find(|id| key(*id) == "ended").unwrap();
        assert!(reader.samples(ended, START, START + DAY).unwrap().0.is_empty(), "pruned");
        let there = reader.present(START, START + HOUR_MS, &all).unwrap();
        assert_eq!(there.iter().map(|id| key(*id)).collect::<Vec<_>>(), ["ended", "gap"]);
    }
}
