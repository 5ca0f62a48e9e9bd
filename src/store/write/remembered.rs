//! store: the last value of each series when the process before this one ended.

use std::collections::HashMap;

use rusqlite::params;

use super::open::Store;
use crate::model::Labels;
use crate::store::texts::dictionary::labels_of;
use crate::store::{SqlError, from_column};

/// The last values of some series.
#[derive(Debug, Default)]
pub struct Remembered {
    /// When the newest was written, ms since 1970 UTC.
    pub ts: i64,
    /// Name, labels, value.
    pub values: Vec<(String, Labels, f64)>,
}

impl Store {
    /// This machine's series of a job that have this help text, each with its newest value among
    /// those written in the last `window_ms` before the newest sample that is not after `now`. What
    /// was not written then had ended before the process did.
    pub fn remembered(
        &self,
        job: &str,
        help: &str,
        window_ms: i64,
        now: i64,
    ) -> Result<Remembered, SqlError> {
        let mut known: HashMap<i64, (String, String)> = self
            .conn
            .prepare(
                "SELECT id, name, labels FROM series_dict
                 WHERE system_id = 1 AND job = ?1 AND help = ?2",
            )?
            .query_map([job, help], |r| Ok((r.get(0)?, (r.get(1)?, r.get(2)?))))?
            .collect::<Result<_, _>>()?;
        let mut out = Remembered::default();
        if known.is_empty() {
            return Ok(out);
        }
        let newest: Option<i64> =
            self.conn
                .query_row("SELECT max(ts) FROM samples WHERE ts <= ?1", [now], |r| r.get(0))?;
        let Some(newest) = newest else { return Ok(out) };
        // Newest first: of each series the first row counts.
        let mut rows = self.conn.prepare(
            "SELECT ts, series_id, value FROM samples WHERE ts > ?1 AND ts <= ?2 ORDER BY ts DESC",
        )?;
        let mut rows = rows.query(params![newest - window_ms, newest])?;
        while let Some(row) = rows.next()? {
            let id: i64 = row.get(1)?;
            if let Some((name, labels)) = known.remove(&id) {
                out.ts = out.ts.max(row.get(0)?);
                if let Some(value) = from_column(row.get_ref(2)?) {
                    out.values.push((name, labels_of(&labels).unwrap_or_default(), value));
                }
            }
        }
        Ok(out)
    }
}
