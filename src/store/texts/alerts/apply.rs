//! store: the orders on alerts, carried out within the caller's transaction.

use rusqlite::{Connection, params};

use super::super::budget::Held;
use super::super::dictionary::{Systems, labels_json};
use super::super::events;
use super::{AckRow, AlertOp, AlertRow, Applied, MOST_OPEN, OutboxRow, SilenceRow, ToldRow};
use crate::model::Event;
use crate::store::file::state;
use crate::store::{Limits, SqlError};

/// Carries them out in their order. An alert that is one too many is refused; everything else of the
/// orders stands.
pub(in crate::store) fn apply(
    conn: &Connection,
    systems: &mut Systems,
    ops: &[AlertOp],
    held: &mut Held,
    limits: &Limits,
) -> Result<Applied, SqlError> {
    let mut applied = Applied::default();
    let mut last_note = 0;
    for op in ops {
        match op {
            AlertOp::Put(row) => applied.refused += u64::from(!put(conn, row, held)?),
            AlertOp::Forget(fingerprint) => {
                conn.prepare_cached(
                    "DELETE FROM alert_state WHERE fingerprint = ?1 AND resolved_at IS NULL",
                )?
                .execute([hex(*fingerprint)])?;
            }
            AlertOp::Note(row) => {
                last_note = last_note.max(row.id);
                note(conn, row, held)?;
            }
            AlertOp::Tried { ids, attempts, due_at, said } => {
                let mut update = conn.prepare_cached(
                    "UPDATE outbox SET attempts = ?2, due_at = ?3, said = ?4 WHERE id = ?1",
                )?;
                for id in ids {
                    update.execute(params![id, attempts, due_at, said])?;
                }
            }
            AlertOp::Told { ids, row } => {
                let mut delete = conn.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
                for id in ids {
                    last_note = last_note.max(*id);
                    delete.execute([id])?;
                }
                told(conn, row, held)?;
            }
            AlertOp::Silence(row) => silence(conn, row)?,
            AlertOp::EndSilence { id, at } => {
                conn.prepare_cached("UPDATE silences SET ends_at = ?2 WHERE id = ?1")?
                    .execute([id, at])?;
            }
            AlertOp::Ack(row) => ack(conn, row)?,
            AlertOp::Event(_) => {}
            AlertOp::JudgedUntil(ts) => state::set(conn, state::JUDGED_UNTIL, *ts)?,
        }
    }
    if last_note > state::get(conn, state::LAST_NOTE)?.unwrap_or(0) {
        state::set(conn, state::LAST_NOTE, last_note)?;
    }
    let happened: Vec<Event> = (ops.iter())
        .filter_map(|op| if let AlertOp::Event(event) = op { Some(event.clone()) } else { None })
        .collect();
    applied.events_refused = events::write(conn, systems, &happened, held, limits)?;
    Ok(applied)
}

/// A fingerprint as it lies in the file.
pub(super) fn hex(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// False: it is new, and too many are open.
fn put(conn: &Connection, row: &AlertRow, held: &mut Held) -> Result<bool, SqlError> {
    let labels = labels_json(&row.labels);
    let fingerprint = hex(row.fingerprint);
    let values = params![
        fingerprint,
        row.rule,
        labels,
        row.state,
        row.frozen,
        row.severity.word(),
        row.active_at,
        row.held_ms,
        row.fired_at,
        row.clear_since,
        row.resolved_at,
        row.seen_at,
        row.value,
        row.peak,
        row.threshold,
        row.flaps,
        row.text,
        row.more,
    ];
    let known = conn
        .prepare_cached(
            "UPDATE alert_state SET rule = ?2, labels = ?3, state = ?4, frozen = ?5, severity = ?6,
               active_at = ?7, held_ms = ?8, fired_at = ?9, clear_since = ?10, resolved_at = ?11,
               seen_at = ?12, value = ?13, peak = ?14, threshold = ?15, flaps = ?16, text = ?17,
               more = ?18
             WHERE fingerprint = ?1 AND resolved_at IS NULL",
        )?
        .execute(values)?;
    if row.resolved_at.is_some() {
        conn.prepare_cached("DELETE FROM acks WHERE fingerprint = ?1")?.execute([&fingerprint])?;
    }
    if known > 0 {
        return Ok(true);
    }
    if row.resolved_at.is_none() {
        let open: i64 = conn
            .prepare_cached("SELECT count(*) FROM alert_state WHERE resolved_at IS NULL")?
            .query_row([], |r| r.get(0))?;
        if open >= MOST_OPEN {
            return Ok(false);
        }
    }
    held.alert_row(
        row.rule.len() + labels.len() + row.flaps.len() + row.text.len() + row.more.len(),
    );
    conn.prepare_cached(
        "INSERT INTO alert_state (fingerprint, rule, labels, state, frozen, severity, active_at,
           held_ms, fired_at, clear_since, resolved_at, seen_at, value, peak, threshold, flaps, text,
           more)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    )?
    .execute(values)?;
    Ok(true)
}

fn note(conn: &Connection, row: &OutboxRow, held: &mut Held) -> Result<(), SqlError> {
    held.alert_row(row.title.len() + row.said.len() + row.body.len() + row.shown.len());
    conn.prepare_cached(
        "INSERT OR REPLACE INTO outbox
         (id, channel, shown, made_at, due_at, severity, occasion, host, title, attempts, said, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        row.id,
        row.channel,
        row.shown,
        row.made_at,
        row.due_at,
        row.severity.word(),
        row.occasion,
        row.host,
        row.title,
        row.attempts,
        row.said,
        row.body,
    ])
    .map(drop)
}

fn told(conn: &Connection, row: &ToldRow, held: &mut Held) -> Result<(), SqlError> {
    held.alert_row(row.title.len() + row.text.len() + row.said.len() + row.shown.len());
    conn.prepare_cached(
        "INSERT INTO told (channel, shown, made_at, at, severity, occasion, host, key, title, text,
           result, said, attempts)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        row.channel,
        row.shown,
        row.made_at,
        row.at,
        row.severity.word(),
        row.occasion,
        row.host,
        row.key,
        row.title,
        row.text,
        row.result,
        row.said,
        row.attempts,
    ])
    .map(drop)
}

fn silence(conn: &Connection, row: &SilenceRow) -> Result<(), SqlError> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO silences (id, what, every, starts_at, ends_at, who, why)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![row.id, row.what, row.every, row.starts_at, row.ends_at, row.who, row.why])
    .map(drop)
}

fn ack(conn: &Connection, row: &AckRow) -> Result<(), SqlError> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO acks (fingerprint, fired_at, at, who, why)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![hex(row.fingerprint), row.fired_at, row.at, row.who, row.why])
    .map(drop)
}
