//! store: which names senders have brought into the file, so that the bound on them holds over
//! restarts.
//!
//! Those of this machine's own collectors do not count, nor those of Munin and of imports, which no
//! sender brought. Nor do those that were not written for [`LONG_MS`]: a machine that is gone must not
//! keep a new one out. Such a name takes a place again when it comes back. All of them count in bytes
//! of the file, see `budget`.

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::Kind;
use crate::pipeline::{Found, Names, statsd};
use crate::store::SqlError;
use crate::store::file::state;

/// A name that was not written for so long takes no place.
const LONG_MS: i64 = 30 * 86_400_000;

/// Tells the names that count.
pub(in crate::store) fn tell(conn: &Connection, names: &Names) -> Result<(), SqlError> {
    let since = state::get(conn, state::ROLLED_UNTIL)?.map(|until| until.saturating_sub(LONG_MS));
    // Newer names than these have no hourly row yet.
    let rolled: Option<i64> =
        conn.query_row("SELECT max(series_id) FROM rollup_1h", [], |r| r.get(0))?;
    let mut hour = conn.prepare_cached(
        "SELECT ts FROM rollup_1h WHERE series_id = ?1 ORDER BY series_id DESC, ts DESC LIMIT 1",
    )?;
    let mut all = conn.prepare(
        "SELECT d.id, d.system_id, s.name, d.job, d.key, d.name, d.kind, d.help
         FROM series_dict d JOIN system_dict s ON s.id = d.system_id
         WHERE NOT (d.system_id = 1 AND d.job = 'node')
           AND d.job NOT IN ('munin', 'import', 'rrd', 'collectd') ORDER BY d.id",
    )?;
    let mut rows = all.query(params![])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let last: Option<i64> = hour.query_row([id], |r| r.get(0)).optional()?;
        let lives = match (last, since) {
            (Some(last), Some(since)) => last >= since,
            (None, Some(_)) => rolled.is_none_or(|rolled| id > rolled),
            _ => true,
        };
        let text = |at| row.get_ref(at).ok().and_then(|text| text.as_str().ok());
        let (Some(system), Some(job), Some(key), Some(name), Some(kind), Some(help)) =
            (text(2), text(3), text(4), text(5), text(6), text(7))
        else {
            // Only damage makes such a row.
            continue;
        };
        if lives {
            let system = (row.get::<_, i64>(1)? != 1).then_some(system);
            let counts =
                job != statsd::JOB || statsd::stands_for_a_name(name, Kind::from_word(kind), help);
            names.found([Found { system, job, key, counts }]);
        }
    }
    Ok(())
}
