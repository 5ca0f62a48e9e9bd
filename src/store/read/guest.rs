//! store: statements of strangers: read-only, on the views that docs/SCHEMA.md promises and nothing
//! else, within bounds of time, memory and temporary files. What is not certainly harmless is
//! refused: actions, tables and functions are those of a list.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, ffi};

use super::functions::FUNCTIONS;
use super::reader::Reader;
use crate::store::file::allowance::{Bounded, More};
use crate::store::{OpenError, SqlError};

/// What may be asked, with their columns; docs/SCHEMA.md says what they mean.
pub const VIEWS: [(&str, &str); 12] = [
    ("metrics", "key, value, timestamp"),
    ("metrics_by_system", "system, key, value, timestamp"),
    ("samples_all", "key, timestamp, value, ts, system; samples_all(KEY, FROM, TO)"),
    ("history", "key, timestamp, count, min, max, mean, last"),
    ("series", "_id, system_id, system, key, name, labels, job, kind, unit, help"),
    ("systems", "_id, system"),
    ("event_log", "timestamp, system, kind, level, title, text, tags, priority, source"),
    ("samples", "ts, series_id, value"),
    ("graphs", "system, graph, title, category, unit, info, args"),
    (
        "graph_fields",
        "system, graph, field, label, key, kind, query, info, draw, colour, negative, warning_min, \
         warning_max, critical_min, critical_max",
    ),
    (
        "alerts",
        "rule, state, severity, text, since, fired, resolved, value, peak, threshold, labels, \
         fingerprint",
    ),
    (
        "notifications",
        "timestamp, channel, host, severity, occasion, title, text, result, said, attempts, done",
    ),
];

/// What the views are made of. SQLite tells which view wants to read one, but takes the name of a
/// common table expression for that of a view: so this list must hold nothing that the views do not
/// show anyway.
const BEHIND: [&str; 11] = [
    "system_dict",
    "series_dict",
    "samples",
    "inbox",
    "rollup_1h",
    "events",
    "graph_dict",
    "field_dict",
    "alert_state",
    "outbox",
    "told",
];

/// Views that those above are made of. They show nothing else.
const WITHIN: [&str; 7] = [
    "stored_metrics",
    "waiting_metrics",
    "stored_hours",
    "stored_events",
    "stored_alerts",
    "told_messages",
    "waiting_messages",
];

/// Tables that SQLite itself brings and that only look at what they are given.
const HARMLESS: [&str; 2] = ["json_each", "json_tree"];

/// One value, one row: so long at the most, in bytes. Functions such as trim() take the square of it,
/// and nothing can stop them midway.
const LONGEST: i32 = 64 << 10;
/// Bytes in temporary files; sorts and joins that need more are stopped.
const MOST_TEMPORARY: u64 = 256 << 20;
/// How often temporary files are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Steps of SQLite's machine between two looks at the clock: some 20 µs.
const STEPS: i32 = 1_000;

/// A value in a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Seen<'r> {
    /// NULL
    Null,
    /// INTEGER
    Integer(i64),
    /// REAL
    Real(f64),
    /// TEXT, or what somebody called so.
    Text(&'r [u8]),
    /// BLOB
    Blob(&'r [u8]),
}

/// The row at hand.
#[derive(Debug)]
pub struct Cells<'r> {
    row: &'r Row<'r>,
    count: usize,
}

impl Cells<'_> {
    /// Its values, from left to right.
    pub fn iter(&self) -> impl Iterator<Item = Seen<'_>> {
        (0..self.count).map(|i| match self.row.get_ref(i) {
            Ok(ValueRef::Integer(v)) => Seen::Integer(v),
            Ok(ValueRef::Real(v)) => Seen::Real(v),
            Ok(ValueRef::Text(v)) => Seen::Text(v),
            Ok(ValueRef::Blob(v)) => Seen::Blob(v),
            Ok(ValueRef::Null) | Err(_) => Seen::Null,
        })
    }
}

/// Why a statement was not answered, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// It is wrong; where, in bytes, if SQLite says so.
    #[error("{message}")]
    Wrong {
        /// What SQLite says.
        message: String,
        /// Where in the statement.
        offset: Option<usize>,
    },
    /// It wants what guests may not have.
    #[error("{0}")]
    Refused(String),
    /// It took longer than it may.
    #[error(
        "the statement took longer than it may; ask for less at once, or narrow it by key and time"
    )]
    Timeout,
    /// The client has gone.
    #[error("the client has gone")]
    Canceled,
    /// It was too large.
    #[error("the statement needs more than {} MiB of temporary files; ask for less at once", MOST_TEMPORARY >> 20)]
    TooLarge,
    /// It would take more memory than it may.
    #[error(
        "the statement needs more memory than it may have; ask for fewer rows, or shorter values"
    )]
    Memory,
    /// It failed on its way.
    #[error("{0}")]
    Failed(String),
    /// There is no database.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// How long a statement may take, and whether anybody still waits for it.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// When to give up.
    pub deadline: Instant,
    /// Set by another thread when nobody waits any more.
    pub cancel: Arc<AtomicBool>,
}

const FINE: u8 = 0;
const LATE: u8 = 1;
const GONE: u8 = 2;
const LARGE: u8 = 3;

/// Answers one statement: `columns` is told their names, then `row` each row until it says enough.
/// `memory` is asked before SQLite takes more of it.
pub fn ask(
    database: &Path,
    sql: &str,
    bounds: &Bounds,
    memory: More,
    columns: impl FnOnce(&[&str]),
    mut row: impl FnMut(&Cells<'_>) -> std::ops::ControlFlow<()>,
) -> Result<(), GuestError> {
    // Dropped after the connection, whose memory it counts.
    let _bounded = Bounded::new(memory).ok_or_else(|| {
        GuestError::Failed("the memory of statements cannot be bounded in this process".to_owned())
    })?;
    let mut conn = Reader::open(database)?.into_connection();
    let failed = |e: SqlError| GuestError::Failed(e.to_string());
    let refused: Arc<Mutex<Option<String>>> = Arc::default();
    let judging = confine(&mut conn, &refused).map_err(failed)?;
    let stopped = Arc::new(AtomicU8::new(FINE));
    watch(&mut conn, bounds, &stopped).map_err(failed)?;
    let explain = |e: SqlError| match stopped.load(Relaxed) {
        LATE => GuestError::Timeout,
        GONE => GuestError::Canceled,
        LARGE => GuestError::TooLarge,
        _ => explain(e, &refused),
    };
    let wrong = |e: SqlError| match explain(e) {
        // Before it has run, only its text can be at fault.
        GuestError::Failed(message) => GuestError::Wrong { message, offset: None },
        other => other,
    };

    judging.store(true, Relaxed);
    let statement = conn.prepare(sql);
    // What samples_all asks for its own rows is not the stranger's.
    judging.store(false, Relaxed);
    let mut statement = statement.map_err(wrong)?;
    let count = statement.column_count();
    if count == 0 || !statement.readonly() {
        let message = "there is nothing to answer: ask with SELECT, WITH or VALUES".to_owned();
        return Err(GuestError::Wrong { message, offset: None });
    }
    columns(&statement.column_names().collect::<Vec<_>>());
    let mut rows = statement.raw_query();
    while let Some(r) = rows.next().map_err(explain)? {
        if row(&Cells { row: r, count }).is_break() {
            break;
        }
    }
    Ok(())
}

/// Closes every door but those of the lists. The flag that comes back says whether what is being
/// prepared is the stranger's statement.
fn confine(
    conn: &mut Connection,
    refused: &Arc<Mutex<Option<String>>>,
) -> Result<Arc<AtomicBool>, SqlError> {
    // Its first use asks the database what it is; that is our own question.
    drop(conn.prepare("SELECT 1 FROM samples_all")?);
    let tables: Vec<String> = conn
        .prepare("SELECT lower(name) FROM sqlite_schema")?
        .query_map([], |r| r.get(0))?
        .collect::<Result<_, _>>()?;
    conn.pragma_update(None, "query_only", true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, LONGEST),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, LONGEST),
        (Limit::SQLITE_LIMIT_COLUMN, 100),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_VDBE_OP, 100_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 50),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 500),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 50),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        conn.set_limit(limit, most)?;
    }
    let judging = Arc::new(AtomicBool::new(false));
    let (flag, said) = (Arc::clone(&judging), Arc::clone(refused));
    let judge = move |context: AuthContext<'_>| {
        if !flag.load(Relaxed) {
            return Authorization::Allow;
        }
        match judged(&context, &tables) {
            Ok(()) => Authorization::Allow,
            Err(why) => {
                let mut said = said.lock().unwrap_or_else(|e| e.into_inner());
                said.get_or_insert(why);
                Authorization::Deny
            }
        }
    };
    conn.authorizer(Some(judge))?;
    Ok(judging)
}

/// Why a guest may not do it.
fn judged(context: &AuthContext<'_>, tables: &[String]) -> Result<(), String> {
    let is = |list: &[&str], name: &str| list.iter().any(|n| n.eq_ignore_ascii_case(name));
    let view = |name: &str| {
        VIEWS.iter().any(|(view, _)| view.eq_ignore_ascii_case(name)) || is(&WITHIN, name)
    };
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Ok(()),
        AuthAction::Function { function_name } => {
            match FUNCTIONS.binary_search(&&*function_name.to_ascii_lowercase()) {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("the function {function_name}() is not for guests")),
            }
        }
        AuthAction::Read { table_name, column_name } => {
            let behind = context.accessor.is_some_and(view) && is(&BEHIND, table_name);
            // A count(*) asks for no column of whatever it counts: common table expressions, and what
            // is behind a view, then without telling the view.
            let lower = table_name.to_ascii_lowercase();
            let own = column_name.is_empty()
                && (!tables.contains(&lower) || is(&BEHIND, &lower))
                && !["sqlite_", "pragma_", "dbstat", "fts"].iter().any(|p| lower.starts_with(p));
            if view(table_name) || is(&HARMLESS, table_name) || behind || own {
                return Ok(());
            }
            let names: Vec<&str> = VIEWS.iter().map(|(name, _)| *name).collect();
            Err(format!("{table_name} is not for guests; these are: {}", names.join(", ")))
        }
        _ => Err("only SELECT, WITH and VALUES are answered here".to_owned()),
    }
}

/// Stops the statement when its time is over, its client has gone, or it fills the disk.
fn watch(conn: &mut Connection, bounds: &Bounds, stopped: &Arc<AtomicU8>) -> Result<(), SqlError> {
    let (bounds, stopped) = (bounds.clone(), Arc::clone(stopped));
    let mut looked = Instant::now();
    let handler = move || {
        let now = Instant::now();
        let why = if bounds.cancel.load(Relaxed) {
            GONE
        } else if now >= bounds.deadline {
            LATE
        } else if now.duration_since(looked) >= LOOK {
            looked = now;
            if temporary_bytes() > MOST_TEMPORARY { LARGE } else { FINE }
        } else {
            FINE
        };
        if why != FINE {
            stopped.store(why, Relaxed);
        }
        why != FINE
    };
    conn.progress_handler(STEPS, Some(handler))
}

/// What SQLite's temporary files of this process take. They have no name any more, so that only
/// their descriptors tell; SQLite itself counts a sort when it is over.
fn temporary_bytes() -> u64 {
    use std::os::unix::ffi::OsStrExt;
    let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    let named = |path: &Path| path.as_os_str().as_bytes().windows(7).any(|w| w == b"etilqs_");
    descriptors
        .flatten()
        .filter(|d| std::fs::read_link(d.path()).is_ok_and(|to| named(&to)))
        .filter_map(|d| std::fs::metadata(d.path()).ok())
        .map(|m| m.len())
        .sum()
}

fn explain(e: SqlError, refused: &Mutex<Option<String>>) -> GuestError {
    if let Some(why) = refused.lock().unwrap_or_else(|e| e.into_inner()).take() {
        return GuestError::Refused(why);
    }
    match e {
        SqlError::SqlInputError { msg, offset, .. } => {
            GuestError::Wrong { message: msg, offset: usize::try_from(offset).ok() }
        }
        SqlError::MultipleStatement => {
            let message = "one statement at a time".to_owned();
            GuestError::Wrong { message, offset: None }
        }
        SqlError::SqliteFailure(code, message) => match (code.extended_code, message) {
            (ffi::SQLITE_TOOBIG, _) => {
                GuestError::Failed(format!("a value of more than {} KiB", LONGEST >> 10))
            }
            (ffi::SQLITE_NOMEM, _) => GuestError::Memory,
            (_, Some(message)) => GuestError::Failed(message),
            (_, None) => GuestError::Failed(code.to_string()),
        },
        other => GuestError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
