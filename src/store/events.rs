//! store: what happened: written with the samples of a beat, kept for as long as five-minute
//! summaries, and bounded in number.

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use super::carve::Row;
use super::dictionary::{labels_json, system_id};
use super::{Reader, SqlError};
use crate::model::Event;

/// So many are kept; the oldest go first. With the bounds below they take 60 MB at worst, and a few
/// hundred kilobytes where people write them.
const MOST: i64 = 100_000;
/// Characters of a title and of a text; the rest is cut off.
const TITLE: usize = 200;
const TEXT: usize = 4_000;
/// Deleted in one step.
const STEP: i64 = 1_000;

/// An event as it lies in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// See [`Event::kind`].
    pub kind: String,
    /// See [`Event::level`].
    pub level: String,
    /// One line for people.
    pub title: String,
    /// Any number of lines, or nothing.
    pub text: String,
}

impl Reader {
    /// What happened on a system from `from` to `to` (ms since 1970 UTC, both included): the newest
    /// `most`, newest first.
    pub fn events(
        &self,
        system: &str,
        from: i64,
        to: i64,
        most: u32,
    ) -> Result<Vec<Happened>, SqlError> {
        self.connection()
            .prepare_cached(
                "SELECT e.ts, e.kind, e.level, e.title, e.text
                 FROM events e JOIN system_dict s ON s.id = e.system_id
                 WHERE e.ts BETWEEN ?1 AND ?2 AND s.name = ?3 ORDER BY e.ts DESC LIMIT ?4",
            )?
            .query_map(params![from, to, system, most], |r| {
                Ok(Happened {
                    ts: r.get(0)?,
                    kind: r.get(1)?,
                    level: r.get(2)?,
                    title: r.get(3)?,
                    text: r.get(4)?,
                })
            })?
            .collect()
    }
}

/// Within the caller's transaction.
pub(super) fn write(conn: &Connection, events: &[Event]) -> Result<(), SqlError> {
    for event in events {
        let system = match &event.system {
            None => 1,
            Some(name) => system_id(conn, name)?,
        };
        conn.prepare_cached(
            "INSERT INTO events (ts, system_id, kind, level, title, text, tags, priority, source)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            event.ts,
            system,
            event.kind,
            event.level,
            cut(&event.title, TITLE),
            cut(&event.text, TEXT),
            labels_json(&event.tags),
            event.priority,
            cut(&event.source, TITLE),
        ])?;
    }
    Ok(())
}

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

/// Deletes a little of what is too old or too much. True: there may be more.
pub(super) fn prune(conn: &Connection, oldest: i64) -> Result<bool, SqlError> {
    let old = conn
        .prepare_cached(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE ts < ?1 LIMIT ?2)",
        )?
        .execute([oldest, STEP])?;
    // Numbers are given in order, so the difference is at least the count.
    let many = conn
        .prepare_cached(
            "DELETE FROM events WHERE id IN
             (SELECT id FROM events WHERE id <= (SELECT max(id) FROM events) - ?1 LIMIT ?2)",
        )?
        .execute([MOST, STEP])?;
    Ok(old + many > 0)
}

/// For when everything else has been given up and the file is still too large.
pub(super) fn drop_oldest(conn: &Connection) -> Result<bool, SqlError> {
    let gone = conn
        .prepare_cached(
            "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?1)",
        )?
        .execute([STEP])?;
    Ok(gone > 0)
}

/// A row as it lay in a damaged file. One that this file has no system for is left away.
pub(super) fn salvage(conn: &Connection, row: &Row) -> Result<(), SqlError> {
    let [_, Value::Integer(ts), Value::Integer(system), texts @ ..] = row.values.as_slice() else {
        return Ok(());
    };
    let [
        Value::Text(kind),
        Value::Text(level),
        Value::Text(title),
        Value::Text(text),
        Value::Text(tags),
        Value::Text(priority),
        Value::Text(source),
    ] = texts
    else {
        return Ok(());
    };
    conn.prepare_cached(
        "INSERT INTO events (ts, system_id, kind, level, title, text, tags, priority, source)
         SELECT ?1, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM system_dict WHERE id = ?2",
    )?
    .execute(params![ts, system, kind, level, title, text, tags, priority, source])
    .map(drop)
}
