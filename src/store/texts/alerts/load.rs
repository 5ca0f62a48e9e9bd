//! store: reads the stored alerts, for a process that starts and for people who only look.

use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::{AckRow, AlertRow, OutboxRow, SilenceRow, ToldRow};
use crate::model::{Labels, Severity};
use crate::store::SqlError;
use crate::store::file::state;
use crate::store::texts::dictionary::labels_of;

/// Everything that a process has to know to go on with alerts where the one before it stopped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertStore {
    /// Alerts that are open.
    pub open: Vec<AlertRow>,
    /// Changes that are still to be told, in their order.
    pub outbox: Vec<OutboxRow>,
    /// The newest messages that were told, the newest first.
    pub told: Vec<ToldRow>,
    /// Silences, also those that are over and not deleted yet.
    pub silences: Vec<SilenceRow>,
    /// Acknowledgements.
    pub acks: Vec<AckRow>,
    /// The time of the last sample that was judged, ms since 1970 UTC.
    pub judged_until: Option<i64>,
    /// The largest number that a change in the outbox ever had.
    pub last_note: i64,
}

/// Messages that are looked at for what each channel was told lately.
const TOLD: u32 = 1_000;

impl AlertStore {
    /// Out of a file; nothing in one of an older version.
    pub(in crate::store) fn of(conn: &Connection) -> Result<Self, SqlError> {
        if !conn.table_exists(None, "alert_state")? {
            // A file of an older version that is only read.
            return Ok(Self::default());
        }
        Ok(Self {
            open: alerts(conn, "WHERE resolved_at IS NULL ORDER BY id", u32::MAX)?,
            outbox: outbox(conn)?,
            told: messages(conn, TOLD)?,
            silences: silences(conn)?,
            acks: acks(conn)?,
            judged_until: state::get(conn, state::JUDGED_UNTIL)?,
            last_note: state::get(conn, state::LAST_NOTE)?.unwrap_or(0),
        })
    }
}

/// The newest alerts that are over, the newest first.
pub(in crate::store) fn alerts_over(
    conn: &Connection,
    most: u32,
) -> Result<Vec<AlertRow>, SqlError> {
    if !conn.table_exists(None, "alert_state")? {
        return Ok(Vec::new());
    }
    alerts(conn, "WHERE resolved_at IS NOT NULL ORDER BY id DESC", most)
}

/// The newest messages that were told, the newest first.
pub(in crate::store) fn told(conn: &Connection, most: u32) -> Result<Vec<ToldRow>, SqlError> {
    if !conn.table_exists(None, "told")? {
        return Ok(Vec::new());
    }
    messages(conn, most)
}

fn alerts(conn: &Connection, which: &str, most: u32) -> Result<Vec<AlertRow>, SqlError> {
    conn.prepare_cached(&format!(
        "SELECT fingerprint, rule, labels, state, frozen, severity, active_at, held_ms, fired_at,
           clear_since, resolved_at, seen_at, value, peak, threshold, flaps, text, more
         FROM alert_state {which} LIMIT ?1"
    ))?
    .query_map([most], |r| {
        Ok(AlertRow {
            fingerprint: fingerprint(r, 0)?,
            rule: r.get(1)?,
            labels: labels(r, 2)?,
            state: r.get(3)?,
            frozen: r.get(4)?,
            severity: severity(r, 5)?,
            active_at: r.get(6)?,
            held_ms: r.get(7)?,
            fired_at: r.get(8)?,
            clear_since: r.get(9)?,
            resolved_at: r.get(10)?,
            seen_at: r.get(11)?,
            value: r.get::<_, Option<f64>>(12)?.unwrap_or(f64::NAN),
            peak: r.get::<_, Option<f64>>(13)?.unwrap_or(f64::NAN),
            threshold: r.get(14)?,
            flaps: r.get(15)?,
            text: r.get(16)?,
            more: r.get(17)?,
        })
    })?
    .filter(is_legible)
    .collect()
}

fn outbox(conn: &Connection) -> Result<Vec<OutboxRow>, SqlError> {
    conn.prepare_cached(
        "SELECT id, channel, shown, made_at, due_at, severity, occasion, host, title, attempts, said,
           body
         FROM outbox ORDER BY id",
    )?
    .query_map([], |r| {
        Ok(OutboxRow {
            id: r.get(0)?,
            channel: r.get(1)?,
            shown: r.get(2)?,
            made_at: r.get(3)?,
            due_at: r.get(4)?,
            severity: severity(r, 5)?,
            occasion: r.get(6)?,
            host: r.get(7)?,
            title: r.get(8)?,
            attempts: r.get(9)?,
            said: r.get(10)?,
            body: r.get(11)?,
        })
    })?
    .filter(is_legible)
    .collect()
}

fn messages(conn: &Connection, most: u32) -> Result<Vec<ToldRow>, SqlError> {
    conn.prepare_cached(
        "SELECT channel, shown, made_at, at, severity, occasion, host, key, title, text, result, said,
           attempts
         FROM told ORDER BY id DESC LIMIT ?1",
    )?
    .query_map(params![most], |r| {
        Ok(ToldRow {
            channel: r.get(0)?,
            shown: r.get(1)?,
            made_at: r.get(2)?,
            at: r.get(3)?,
            severity: severity(r, 4)?,
            occasion: r.get(5)?,
            host: r.get(6)?,
            key: r.get(7)?,
            title: r.get(8)?,
            text: r.get(9)?,
            result: r.get(10)?,
            said: r.get(11)?,
            attempts: r.get(12)?,
        })
    })?
    .filter(is_legible)
    .collect()
}

fn silences(conn: &Connection) -> Result<Vec<SilenceRow>, SqlError> {
    conn.prepare_cached(
        "SELECT id, what, every, starts_at, ends_at, who, why FROM silences ORDER BY id",
    )?
    .query_map([], |r| {
        Ok(SilenceRow {
            id: r.get(0)?,
            what: r.get(1)?,
            every: r.get(2)?,
            starts_at: r.get(3)?,
            ends_at: r.get(4)?,
            who: r.get(5)?,
            why: r.get(6)?,
        })
    })?
    .filter(is_legible)
    .collect()
}

fn acks(conn: &Connection) -> Result<Vec<AckRow>, SqlError> {
    conn.prepare_cached("SELECT fingerprint, fired_at, at, who, why FROM acks ORDER BY id")?
        .query_map([], |r| {
            Ok(AckRow {
                fingerprint: fingerprint(r, 0)?,
                fired_at: r.get(1)?,
                at: r.get(2)?,
                who: r.get(3)?,
                why: r.get(4)?,
            })
        })?
        .filter(is_legible)
        .collect()
}

/// Whether a row can be read. Any program that can write the file may put a row there that cannot be (text
/// that is not UTF-8, a word for a number). It costs itself, and not every silence and every open alert.
/// `plimsoll doctor` names it, and deletes it with `--repair`.
fn is_legible<T>(row: &Result<T, SqlError>) -> bool {
    !matches!(
        row,
        Err(SqlError::FromSqlConversionFailure(..)
            | SqlError::InvalidColumnType(..)
            | SqlError::IntegralValueOutOfRange(..)
            | SqlError::Utf8Error(..))
    )
}

/// A text that is none of what it should be is an error of the row, as SQLite's own are.
fn wrong(at: usize, what: &str) -> SqlError {
    SqlError::FromSqlConversionFailure(at, Type::Text, what.into())
}

fn fingerprint(row: &Row<'_>, at: usize) -> Result<u64, SqlError> {
    u64::from_str_radix(row.get_ref(at)?.as_str()?, 16).map_err(|_| wrong(at, "no fingerprint"))
}

fn severity(row: &Row<'_>, at: usize) -> Result<Severity, SqlError> {
    Severity::of_word(row.get_ref(at)?.as_str()?).ok_or_else(|| wrong(at, "no severity"))
}

fn labels(row: &Row<'_>, at: usize) -> Result<Labels, SqlError> {
    labels_of(row.get_ref(at)?.as_str()?).ok_or_else(|| wrong(at, "no labels"))
}
