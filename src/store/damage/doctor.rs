//! store: does the database hold what it should? Each check reads only, beside a running daemon if
//! there is one; `mend` in this room does what the checks say would be done.

use rusqlite::{Connection, params};

use crate::store::file::state;
use crate::store::keep::rollup;
use crate::store::keep::stretch::STRETCH_MS;
use crate::store::packed::block::{BlockError, GROUP, decode};
use crate::store::packed::chunk::Scratch;
use crate::store::texts::{alerts, inbox, not_utf8};
use crate::store::{Reader, SqlError};
use crate::wire::time::format_timestamp;

/// Of many of one kind, so many are named.
const NAMED: usize = 20;
const DAY_MS: i64 = 86_400_000;

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// What is wrong; nothing: all is well.
    pub wrong: Vec<String>,
    /// What `--repair` would do about it.
    pub remedy: &'static str,
}

impl Finding {
    fn new(
        check: &'static str,
        remedy: &'static str,
        found: Result<Vec<String>, SqlError>,
    ) -> Self {
        let wrong = found.unwrap_or_else(|e| vec![format!("the check could not be finished: {e}")]);
        Self { check, wrong, remedy }
    }
}

impl Reader {
    /// Checks everything inside the file. `now`: ms since 1970 UTC.
    pub fn examine(&self, now: i64) -> Vec<Finding> {
        let conn = self.connection();
        let mut scratch = Scratch::default();
        let whole = Finding::new(
            "SQLite's own check",
            "rebuild the indexes; if that does not help, set the file aside and move what can be read into a new one",
            integrity(conn),
        );
        // Before the second version nothing was sealed: there is nothing else to check.
        let version = conn.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0));
        if version.is_ok_and(|version| version < 2) {
            return vec![whole];
        }
        vec![
            whole,
            Finding::new(
                "sealed samples",
                "drop the damaged columns, keep the others; what is still there as plain rows is sealed again",
                blocks(conn, &mut scratch),
            ),
            Finding::new(
                "names",
                "delete what no name belongs to; give a lost system a name",
                orphans(conn),
            ),
            Finding::new("inbox", "delete the rows that are no samples", inbox_rows(conn)),
            Finding::new("texts", "put a mark in the place of each wrong byte", texts_of(conn)),
            Finding::new(
                "alerts",
                "delete the rows that are none; an alert that still holds fires again",
                alert_rows(conn),
            ),
            Finding::new("late samples", "forget about them", lost_late(conn)),
            Finding::new("state", "set it to what the samples say", numbers(conn, now)),
            Finding::new(
                "rollups",
                "make them again from the samples",
                rollups(conn, now, &mut scratch),
            ),
        ]
    }
}

/// What SQLite says, line by line.
pub(in crate::store) fn integrity(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let said: Vec<String> = conn
        .prepare(&format!("PRAGMA integrity_check({NAMED})"))?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

/// A block that is not whole.
#[derive(Debug)]
pub(in crate::store) struct Hurt {
    pub(in crate::store) id: i64,
    pub(in crate::store) resolution: i64,
    pub(in crate::store) start: i64,
    pub(in crate::store) end: i64,
    /// Series whose column is lost, and why; the directory's own damage has none.
    pub(in crate::store) columns: Vec<(Option<i64>, BlockError)>,
    /// Series that nobody knows.
    pub(in crate::store) nameless: Vec<i64>,
}

/// Looks at every column of every block.
pub(in crate::store) fn hurt_blocks(
    conn: &Connection,
    scratch: &mut Scratch,
    mut each: impl FnMut(Hurt) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let series: hashbrown::HashSet<i64> = conn
        .prepare("SELECT id FROM series_dict")?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    let mut after = i64::MIN;
    loop {
        // One statement a block: a long one would hold a picture of the whole file meanwhile.
        let mut next = conn.prepare_cached(
            "SELECT id, resolution, grp, start, end, data FROM blocks WHERE id > ?1 ORDER BY id LIMIT 1",
        )?;
        let mut rows = next.query([after])?;
        let Some(row) = rows.next()? else { return Ok(()) };
        let mut hurt = Hurt {
            id: row.get(0)?,
            resolution: row.get(1)?,
            start: row.get(3)?,
            end: row.get(4)?,
            columns: Vec::new(),
            nameless: Vec::new(),
        };
        after = hurt.id;
        let group: i64 = row.get(2)?;
        match decode(group, row.get_ref(5)?.as_blob()?, scratch) {
            Err(e) => hurt.columns.push((None, e)),
            Ok(columns) => {
                for (id, _, column) in columns {
                    match column {
                        Err(e) => hurt.columns.push((Some(id), e)),
                        Ok(_) if !series.contains(&id) => hurt.nameless.push(id),
                        Ok(_) => {}
                    }
                }
            }
        }
        drop(rows);
        if !hurt.columns.is_empty() || !hurt.nameless.is_empty() {
            each(hurt)?;
        }
    }
}

fn blocks(conn: &Connection, scratch: &mut Scratch) -> Result<Vec<String>, SqlError> {
    let mut list = List::default();
    hurt_blocks(conn, scratch, |hurt| {
        let what = if hurt.resolution == 0 { "samples" } else { "5 min rollups" };
        let (from, to) = (format_timestamp(hurt.start), format_timestamp(hurt.end));
        for (series, why) in hurt.columns {
            let whose = match series {
                Some(id) => key_of(conn, id)?,
                None => "every series of its block".to_owned(),
            };
            list.push(format!("{what} of {whose} from {from} to {to} are lost: {why}"));
        }
        for id in hurt.nameless {
            list.push(format!(
                "{what} from {from} to {to} belong to series {id}, which has no name"
            ));
        }
        Ok(())
    })?;
    Ok(list.end())
}

fn key_of(conn: &Connection, id: i64) -> Result<String, SqlError> {
    use rusqlite::OptionalExtension;
    let key = conn
        .prepare_cached("SELECT key FROM series_dict WHERE id = ?1")?
        .query_row([id], |r| r.get(0))
        .optional()?;
    Ok(key.unwrap_or_else(|| format!("series {id}, which has no name")))
}

fn orphans(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let mut wrong = Vec::new();
    for (sql, what) in [
        (
            "SELECT count(*) FROM series_dict WHERE system_id NOT IN (SELECT id FROM system_dict)",
            "series belong to a system that has no name",
        ),
        (
            "SELECT count(*) FROM samples WHERE series_id NOT IN (SELECT id FROM series_dict)",
            "plain rows belong to a series that has no name",
        ),
        (
            "SELECT count(*) FROM rollup_1h WHERE series_id NOT IN (SELECT id FROM series_dict)",
            "hourly rows belong to a series that has no name",
        ),
    ] {
        let count: i64 = conn.query_row(sql, [], |r| r.get(0))?;
        if count > 0 {
            wrong.push(format!("{count} {what}"));
        }
    }
    Ok(wrong)
}

fn inbox_rows(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let mut list = List::default();
    inbox::bad_rows(conn, |_, what| list.push(what))?;
    Ok(list.end())
}

fn texts_of(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let mut list = List::default();
    not_utf8::bad_texts(conn, |table, column, row, bytes| {
        list.push(not_utf8::describe(table, column, row, bytes));
    })?;
    Ok(list.end())
}

fn alert_rows(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let mut list = List::default();
    alerts::bad_rows(conn, |table, row| {
        list.push(format!("row {row} of {table} is not as plimsoll writes it"));
    })?;
    Ok(list.end())
}

/// Entries of `late` without their sample.
pub(in crate::store) const LOST_LATE: &str = "FROM late WHERE NOT EXISTS (SELECT 1 FROM samples s
     WHERE s.ts = late.ts AND s.series_id = late.series_id)";

fn lost_late(conn: &Connection) -> Result<Vec<String>, SqlError> {
    let count: i64 = conn.query_row(&format!("SELECT count(*) {LOST_LATE}"), [], |r| r.get(0))?;
    Ok(if count > 0 {
        vec![format!("{count} late samples wait to be sealed and are not there")]
    } else {
        Vec::new()
    })
}

/// The numbers of `state`, and what they should be instead, if not what they are.
pub(in crate::store) fn numbers_wrong(
    conn: &Connection,
    now: i64,
) -> Result<Vec<(&'static str, i64, i64)>, SqlError> {
    let edge = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, Option<i64>>(0));
    let newest = edge("SELECT max(end) FROM blocks WHERE resolution = 0")?;
    let seq = edge("SELECT max(seq) FROM blocks")?.unwrap_or(0);
    let mut wrong = Vec::new();
    let sealed = state::get(conn, state::SEALED_UNTIL)?;
    // Every sample after it is sealed one by one as a late one, so it may not lie ahead.
    let sane = sealed.map(|s| if s > now + DAY_MS { newest.unwrap_or(now).min(now) } else { s });
    if let (Some(is), Some(should)) = (sealed, sane.filter(|s| Some(*s) != sealed)) {
        wrong.push((state::SEALED_UNTIL, is, should));
    }
    if let Some(rolled) = state::get(conn, state::ROLLED_UNTIL)? {
        // The past of another tool, up to where samples were recorded here, needs no rollups made.
        let past = state::get(conn, state::PAST_OLDEST)?.filter(|oldest| *oldest <= now);
        let most = sane.unwrap_or(now).max(past.unwrap_or(i64::MIN));
        if rolled > most {
            wrong.push((state::ROLLED_UNTIL, rolled, most - most.rem_euclid(STRETCH_MS)));
        }
    }
    let is = state::get(conn, state::SEQ)?.unwrap_or(0);
    if is < seq {
        wrong.push((state::SEQ, is, seq));
    }
    if let Some(clock) = state::get(conn, state::PRUNE_CLOCK)?.filter(|c| *c > now + DAY_MS) {
        wrong.push((state::PRUNE_CLOCK, clock, now));
    }
    Ok(wrong)
}

fn numbers(conn: &Connection, now: i64) -> Result<Vec<String>, SqlError> {
    let line = |(name, is, should)| format!("{name} is {is} and should be {should}");
    Ok(numbers_wrong(conn, now)?.into_iter().map(line).collect())
}

/// Stretches whose rollups were made and whose samples are all there still: start, group, and how
/// many buckets are lacking or wrong.
pub(in crate::store) fn wrong_rollups(
    conn: &Connection,
    scratch: &mut Scratch,
    mut each: impl FnMut(i64, i64, u64) -> Result<(), SqlError>,
) -> Result<(), SqlError> {
    let Some(rolled) = state::get(conn, state::ROLLED_UNTIL)? else { return Ok(()) };
    let groups: Vec<(i64, i64)> = conn
        .prepare("SELECT grp, min(start) FROM blocks WHERE resolution = 0 GROUP BY grp")?
        .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (group, oldest) in groups {
        let mut start = rollup::after(oldest);
        while start < rolled {
            // Straight to the next samples, as `rollup::advance` does.
            let next: Option<i64> = conn
                .prepare_cached(
                    "SELECT min(max(start, ?1)) FROM blocks
                     WHERE resolution = 0 AND grp = ?2 AND end >= ?1",
                )?
                .query_row(params![start, group], |r| r.get(0))?;
            let Some(next) = next.filter(|n| *n < rolled) else { break };
            start = next - next.rem_euclid(STRETCH_MS);
            // In one picture of the file: a daemon may seal, merge and roll up meanwhile.
            let picture = conn.unchecked_transaction()?;
            let listed: bool = conn
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM dirty WHERE start = ?1 AND grp = ?2)",
                )?
                .query_row([start, group], |r| r.get(0))?;
            let compared = match listed {
                true => None,
                false => Some(rollup::compare(conn, start, group, scratch)?),
            };
            drop(picture);
            if let Some(compared) = compared.filter(|c| c.lacking + c.wrong > 0) {
                each(start, group, compared.lacking + compared.wrong)?;
            }
            start += STRETCH_MS;
        }
    }
    Ok(())
}

/// Up to when samples were deleted by age or size although no rollups were made of them; nothing: all
/// is well. Versions before schema 5 did that after some imports. What another tool remembered has
/// buckets of its own and needs none. Of the last day a small file may keep neither.
pub(in crate::store) fn deleted_unrolled(
    conn: &Connection,
    now: i64,
) -> Result<Option<i64>, SqlError> {
    if state::get(conn, state::PAST_OLDEST)?.is_some() {
        return Ok(None);
    }
    let rolled = state::get(conn, state::ROLLED_UNTIL)?.unwrap_or(i64::MIN);
    Ok(state::get(conn, state::PRUNED_UNTIL)?
        .filter(|pruned| *pruned > rolled && *pruned < now - DAY_MS))
}

fn rollups(conn: &Connection, now: i64, scratch: &mut Scratch) -> Result<Vec<String>, SqlError> {
    let mut list = List::default();
    if let Some(until) = deleted_unrolled(conn, now)? {
        list.push(format!(
            "samples up to {} were deleted before rollups were made of them; import them again",
            format_timestamp(until)
        ));
    }
    wrong_rollups(conn, scratch, |start, group, buckets| {
        let (from, to) = (format_timestamp(start), format_timestamp(start + STRETCH_MS));
        let ids = (group * GROUP, group * GROUP + GROUP - 1);
        list.push(format!(
            "{buckets} buckets of series {} to {} from {from} to {to} are not what the samples make",
            ids.0, ids.1
        ));
        Ok(())
    })?;
    Ok(list.end())
}

/// The first few of many.
#[derive(Default)]
struct List {
    lines: Vec<String>,
    more: usize,
}

impl List {
    fn push(&mut self, line: String) {
        if self.lines.len() < NAMED {
            self.lines.push(line);
        } else {
            self.more += 1;
        }
    }

    fn end(mut self) -> Vec<String> {
        if self.more > 0 {
            self.lines.push(format!("and {} more", self.more));
        }
        self.lines
    }
}
