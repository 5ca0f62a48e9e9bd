//! store: events. They are written with the samples of a beat, kept for as long as five-minute
//! summaries, and bounded in number and in bytes: the oldest go, before anything else does.

use rusqlite::{Connection, params};

use super::budget::{EVENT_TEXTS, Gone, Held, event_bytes};
use super::dictionary::{Systems, labels_json};
use crate::model::Event;
use crate::pipeline::{MAX_MACHINES, check_name};
use crate::store::{Limits, SqlError};
use crate::wire::time::in_range;

/// The number of events that are kept; the oldest go first, also when all together have more bytes than
/// [`Limits::events_budget`].
const MOST: i64 = 100_000;
/// Characters of a title and of a text; the rest is cut off.
const TITLE: usize = 200;
const TEXT: usize = 4_000;
/// Deleted in one step.
const STEP: i64 = 1_000;

/// Within the caller's transaction. How many were refused: of a time outside the calendar, of one
/// machine too many, or too many at once. Where there is no room, the oldest go.
pub(in crate::store) fn write(
    conn: &Connection,
    systems: &mut Systems,
    events: &[Event],
    held: &mut Held,
    limits: &Limits,
) -> Result<u64, SqlError> {
    if events.is_empty() {
        return Ok(0);
    }
    let budget = limits.events_budget();
    let (mut refused, mut new) = (0, 0);
    for event in events {
        let tags = labels_json(&event.tags);
        let (title, text) = (cut(&event.title, TITLE), cut(&event.text, TEXT));
        let source = cut(&event.source, TITLE);
        let texts = title.len() + text.len() + tags.len() + source.len();
        let bytes = event_bytes(texts as u64);
        // What comes at once goes through the log, which has a bound of its own.
        let fits = new + bytes <= budget / 2;
        let Some(system) =
            system_of(conn, systems, event)?.filter(|_| fits && in_range(event.ts).is_some())
        else {
            refused += 1;
            continue;
        };
        new += bytes;
        while held.events(conn)? + bytes > budget {
            let gone = drop_oldest(conn, 50)?;
            held.events_gone(gone);
            if gone.rows == 0 {
                break;
            }
        }
        conn.prepare_cached(
            "INSERT INTO events (ts, system_id, kind, level, title, text, tags, priority, source)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            event.ts,
            system,
            event.kind,
            event.level,
            title,
            text,
            tags,
            event.priority,
            source,
        ])?;
    }
    held.events(conn)?;
    Ok(refused)
}

/// The machine that an event is of; `None`: nobody knows it, and there are [`MAX_MACHINES`] already.
fn system_of(
    conn: &Connection,
    systems: &mut Systems,
    event: &Event,
) -> Result<Option<i64>, SqlError> {
    let Some(name) = &event.system else { return Ok(Some(1)) };
    if let Some(known) = systems.known(conn, name)? {
        return Ok(Some(known));
    }
    let last: i64 =
        conn.prepare_cached("SELECT max(id) FROM system_dict")?.query_row([], |r| r.get(0))?;
    if last >= MAX_MACHINES as i64
        || check_name(Some(name), "event", "event", [].into_iter()).is_err()
    {
        return Ok(None);
    }
    systems.id(conn, name).map(Some)
}

fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(at, _)| &text[..at])
}

/// Deletes events by a condition; what they took.
fn delete(conn: &Connection, which: &str, numbers: &[i64]) -> Result<Gone, SqlError> {
    let sql = format!(
        "DELETE FROM events WHERE id IN (SELECT id FROM events {which}) RETURNING {EVENT_TEXTS}"
    );
    let mut delete = conn.prepare_cached(&sql)?;
    let mut rows = delete.query(rusqlite::params_from_iter(numbers))?;
    let mut gone = Gone::default();
    while let Some(row) = rows.next()? {
        gone.rows += 1;
        gone.bytes += event_bytes(row.get::<_, Option<u32>>(0)?.map_or(0, u64::from));
    }
    Ok(gone)
}

/// Deletes a little of what is too old or too much. True: there may be more.
pub(in crate::store) fn prune(
    conn: &Connection,
    oldest: i64,
    held: &mut Held,
) -> Result<bool, SqlError> {
    held.events(conn)?;
    let old = delete(conn, "WHERE ts < ?1 LIMIT ?2", &[oldest, STEP])?;
    held.events_gone(old);
    // Numbers are given in order, so the difference is at least the count.
    let many = "WHERE id <= (SELECT max(id) FROM events) - ?1 LIMIT ?2";
    let many = delete(conn, many, &[MOST, STEP])?;
    held.events_gone(many);
    Ok(old.rows + many.rows > 0)
}

/// Deletes a little of what is more than events may take. True: there may be more.
pub(in crate::store) fn prune_to(
    conn: &Connection,
    held: &mut Held,
    budget: u64,
) -> Result<bool, SqlError> {
    if held.events(conn)? <= budget {
        return Ok(false);
    }
    let gone = drop_oldest(conn, STEP / 4)?;
    held.events_gone(gone);
    Ok(gone.rows > 0)
}

/// Deletes so many, the oldest of what senders told before what plimsoll itself saw.
pub(super) fn drop_oldest(conn: &Connection, how_many: i64) -> Result<Gone, SqlError> {
    let told = "WHERE kind IN ('event', 'check') ORDER BY id LIMIT ?1";
    match delete(conn, told, &[how_many])? {
        Gone { rows: 0, .. } => delete(conn, "ORDER BY id LIMIT ?1", &[how_many]),
        gone => Ok(gone),
    }
}
