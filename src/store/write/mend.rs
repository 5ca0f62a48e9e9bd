//! store: putting right what `doctor` finds. Nothing that can still be read is thrown away.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::open::Store;
use crate::store::damage::doctor::{
    LOST_LATE, deleted_unrolled, hurt_blocks, integrity, numbers_wrong, wrong_rollups,
};
use crate::store::file::state;
use crate::store::keep::pack::{Packed, insert_as};
use crate::store::keep::rollup;
use crate::store::keep::stretch;
use crate::store::packed::block::{Column, GROUP, decode};
use crate::store::packed::chunk::Scratch;
use crate::store::samples::series;
use crate::store::texts::{alerts, inbox, not_utf8};
use crate::store::{OpenError, SqlError, Times};

impl Store {
    /// Puts right everything that [`crate::store::Reader::examine`] would find. Takes as long as it takes.
    /// Where that meant a new file, what could be moved into it, in a sentence.
    pub fn mend(&mut self, now: Times) -> Result<Option<String>, OpenError> {
        self.salvage_all(now)?;
        let sound = |conn: &Connection| integrity(conn).is_ok_and(|wrong| wrong.is_empty());
        if !sound(&self.conn) {
            // A failure of it is seen by the check that follows.
            let _unused = self.conn.execute_batch("REINDEX");
            if !sound(&self.conn) {
                self.damaged(format!("{} is damaged", self.path().display()));
                self.reopen()?;
                self.salvage_all(now)?;
            }
        }
        let mended = self.mend_rows(now);
        self.upkeep.forget();
        mended.map_err(|e| OpenError::from_sqlite(self.path(), e))?;
        self.reopen()?;
        self.take_in()?;
        Ok(self.moved.take())
    }

    fn salvage_all(&mut self, now: Times) -> Result<(), OpenError> {
        while self.salvaging().is_some() {
            let more = self.upkeep(now, Duration::from_millis(250));
            if !more.map_err(|e| OpenError::from_sqlite(self.path(), e))? {
                return Err(OpenError::Full { path: self.path().to_owned() });
            }
            self.checkpoint().map_err(|e| OpenError::from_sqlite(self.path(), e))?;
        }
        Ok(())
    }

    fn mend_rows(&mut self, now: Times) -> Result<(), SqlError> {
        let mut scratch = Scratch::default();
        let conn = &self.conn;
        conn.execute(
            "INSERT INTO system_dict (id, name)
             SELECT DISTINCT system_id, 'system ' || system_id FROM series_dict
             WHERE system_id NOT IN (SELECT id FROM system_dict)",
            [],
        )?;
        let mut no_samples = Vec::new();
        inbox::bad_rows(conn, |row, _| no_samples.push(row))?;
        for row in no_samples {
            conn.execute("DELETE FROM inbox WHERE id = ?1", [row])?;
        }
        not_utf8::mend(conn)?;
        let mut bad = Vec::new();
        alerts::bad_rows(conn, |table, row| bad.push((table, row)))?;
        for (table, row) in bad {
            conn.execute(&format!("DELETE FROM {table} WHERE id = ?1"), [row])?;
        }
        for (name, _, should) in numbers_wrong(conn, now.wall)? {
            state::set(conn, name, should)?;
        }
        let mut hurt = Vec::new();
        hurt_blocks(conn, &mut scratch, |h| {
            hurt.push(h.id);
            Ok(())
        })?;
        for id in hurt {
            mend_block(conn, id, &mut scratch)?;
            self.checkpoint()?;
        }
        conn.execute(&format!("DELETE {LOST_LATE}"), [])?;
        for table in ["samples", "rollup_1h"] {
            let nameless =
                format!("DELETE FROM {table} WHERE series_id NOT IN (SELECT id FROM series_dict)");
            conn.execute(&nameless, [])?;
        }
        let mut wrong = Vec::new();
        wrong_rollups(conn, &mut scratch, |start, group, _| {
            wrong.push((start, group));
            Ok(())
        })?;
        for (start, group) in wrong {
            stretch::mark(conn, start, group)?;
        }
        // Only what is left can be rolled up, and is.
        if let Some(until) = deleted_unrolled(conn, now.wall)? {
            rollup::skip_to(conn, rollup::after(until))?;
        }
        while rollup::roll_some(conn, &mut scratch)? {
            self.checkpoint()?;
        }
        Ok(())
    }
}

/// Puts the columns that are whole, and have a name, in the place of the block. Samples of the
/// others that are still there as plain rows are listed to be sealed again.
fn mend_block(conn: &Connection, id: i64, scratch: &mut Scratch) -> Result<(), SqlError> {
    let (resolution, group, level, seq, start, end, data): (i64, i64, i64, i64, i64, i64, Vec<u8>) =
        conn.query_row(
            "SELECT resolution, grp, level, seq, start, end, data FROM blocks WHERE id = ?1",
            [id],
            |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?)),
        )?;
    let named: Vec<i64> = conn
        .prepare_cached("SELECT id FROM series_dict WHERE id BETWEEN ?1 AND ?2")?
        .query_map([group * GROUP, group * GROUP + GROUP - 1], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let (mut good, mut lost) = (Vec::new(), Vec::new());
    match decode(group, &data, scratch) {
        Err(_) => lost.clone_from(&named),
        Ok(columns) => {
            for (series, part, column) in columns {
                match column {
                    Ok((ts, values)) if named.contains(&series) => {
                        good.push(Column { series, part, ts: ts.iter().collect(), values });
                    }
                    Ok(_) => {}
                    Err(_) => lost.push(series),
                }
            }
        }
    }
    let tx = conn.unchecked_transaction()?;
    tx.execute("DELETE FROM blocks WHERE id = ?1", [id])?;
    if let Some(packed) = Packed::new(&good, scratch) {
        insert_as(&tx, resolution, level, seq, &packed)?;
    }
    for series in lost {
        if resolution == 0 {
            list_again(&tx, series, start, end, scratch)?;
        }
    }
    tx.commit()
}

/// Lists the plain rows that no block has any more.
fn list_again(
    conn: &Connection,
    id: i64,
    start: i64,
    end: i64,
    scratch: &mut Scratch,
) -> Result<(), SqlError> {
    let mut sealed = Column { series: id, ..Column::default() };
    series::sealed(conn, 0, start, end, scratch, std::slice::from_mut(&mut sealed))?;
    let plain: Vec<i64> = conn
        .prepare_cached(
            "SELECT ts FROM samples s WHERE ts BETWEEN ?1 AND ?2 AND series_id = ?3
             AND NOT EXISTS (SELECT 1 FROM late l WHERE l.ts = s.ts AND l.series_id = s.series_id)",
        )?
        .query_map(params![start, end, id], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let mut put = conn.prepare_cached("INSERT INTO late (ts, series_id) VALUES (?1, ?2)")?;
    for ts in plain.into_iter().filter(|ts| sealed.ts.binary_search(ts).is_err()) {
        put.execute([ts, id])?;
    }
    Ok(())
}
