//! store: all samples as they are at one moment, for somebody who asks for many series: what is
//! plain is read once for all of them. Full resolution.

use std::sync::Mutex;

use hashbrown::HashMap;
use rusqlite::{Transaction, params};

use super::block::Column;
use super::chunk::Scratch;
use super::join::join;
use super::{Reader, SqlError, from_column, series, state};

/// What is in the file does not change as long as this is held. Dropping it costs nothing.
#[derive(Debug)]
pub struct Picture<'a> {
    tx: Transaction<'a>,
    scratch: Mutex<Scratch>,
    pruned: i64,
    sealed: i64,
}

/// Plain rows of many series over a stretch of time.
#[derive(Debug, Default)]
pub struct Plain {
    from: i64,
    to: i64,
    columns: HashMap<i64, [Column; 2]>,
}

/// From so many series on the plain rows are read in one go.
const MANY: usize = 3;

impl Reader {
    /// Holds what is in the file now. One at a time for a reader.
    pub fn picture(&self) -> Result<Picture<'_>, SqlError> {
        let tx = self.connection().unchecked_transaction()?;
        let pruned = state::get(&tx, state::PRUNED_UNTIL)?.unwrap_or(i64::MIN);
        let sealed = state::get(&tx, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
        Ok(Picture { tx, scratch: Mutex::default(), pruned, sealed })
    }

    /// The number of the newest series: as long as it stays the same, so do all names and labels.
    pub fn newest_series(&self) -> Result<i64, SqlError> {
        self.connection()
            .query_row("SELECT coalesce(max(id), 0) FROM series_dict", [], |r| r.get(0))
    }
}

impl Picture<'_> {
    /// What is plain of these series from `from` to `to`, ms, both included; for
    /// [`Picture::samples`].
    pub fn plain(&self, series: &[i64], from: i64, to: i64) -> Result<Option<Plain>, SqlError> {
        if series.len() < MANY {
            return Ok(None);
        }
        let mut plain = Plain { from, to, columns: HashMap::with_capacity(series.len()) };
        for id in series {
            plain.columns.insert(*id, Default::default());
        }
        let mut statement = self.tx.prepare_cached(
            "SELECT ts, series_id, value FROM samples WHERE ts BETWEEN ?1 AND ?2
             ORDER BY ts, series_id",
        )?;
        // What outlived its block stands before what is sealed, what is not sealed yet after it.
        for (part, from, to) in
            [(0, from, to.min(self.pruned)), (1, from.max(self.sealed.saturating_add(1)), to)]
        {
            if from > to {
                continue;
            }
            let mut rows = statement.query(params![from, to])?;
            while let Some(row) = rows.next()? {
                let Some(columns) = plain.columns.get_mut(&row.get::<_, i64>(1)?) else { continue };
                if let Some(value) = from_column(row.get_ref(2)?) {
                    columns[part].ts.push(row.get(0)?);
                    columns[part].values.push(value);
                }
            }
        }
        Ok(Some(plain))
    }

    /// Appends the samples of one series from `from` to `to`, ms, both included, in the order of
    /// time. `plain` is what [`Picture::plain`] gave for the same time.
    pub fn samples(
        &self,
        id: i64,
        from: i64,
        to: i64,
        plain: Option<&mut Plain>,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), SqlError> {
        let mut scratch = self.scratch.lock().unwrap_or_else(|e| e.into_inner());
        let mut out = Column {
            ts: std::mem::take(times),
            values: std::mem::take(values),
            ..Column::default()
        };
        let known = plain.filter(|p| p.from == from && p.to == to);
        let result = match known.and_then(|p| p.columns.get_mut(&id)) {
            None => series::raw(&self.tx, id, from, to, &mut scratch, &mut out),
            Some([outlived, open]) => {
                join(&mut out, outlived.ts.iter().copied(), &outlived.values);
                series::sealed(&self.tx, 0, id, 0, from, to, &mut scratch, &mut out)
                    .and_then(|()| series::late(&self.tx, id, from, to))
                    .map(|mut newer| {
                        join(&mut newer, open.ts.iter().copied(), &open.values);
                        join(&mut out, newer.ts.into_iter(), &newer.values);
                    })
            }
        };
        (*times, *values) = (out.ts, out.values);
        result
    }
}
