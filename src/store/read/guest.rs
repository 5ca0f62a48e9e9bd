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
    /// Whoever asked has gone.
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
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::model::Registry;
    use crate::store::{Store, Times};

    const START: i64 = 1_700_000_000_000;

    /// Half of the samples are sealed, the rest are plain rows.
    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.sqlite");
        let mut store = Store::open(&path, "here", Arc::new(Registry::default())).unwrap();
        let rows =
            |from: i64| (from..from + 2_000).map(|i| ("load", START + i * 10_000, (i % 7) as f64));
        store.import(rows(0)).unwrap();
        store.compact(Times { wall: START + 20_000_000, boot: 20_000_000 }).unwrap();
        store.import(rows(2_000)).unwrap();
        (dir, path)
    }

    fn within(seconds: u64) -> Bounds {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        Bounds { deadline, cancel: Arc::default() }
    }

    fn asked(path: &Path, sql: &str, bounds: &Bounds) -> Result<Vec<Vec<String>>, GuestError> {
        let mut out = Vec::new();
        ask(
            path,
            sql,
            bounds,
            Box::new(|_| true),
            |_| {},
            |cells| {
                out.push(
                    cells
                        .iter()
                        .map(|c| match c {
                            Seen::Text(t) => String::from_utf8_lossy(t).into_owned(),
                            Seen::Integer(i) => i.to_string(),
                            Seen::Real(r) => r.to_string(),
                            other => format!("{other:?}"),
                        })
                        .collect(),
                );
                ControlFlow::Continue(())
            },
        )?;
        Ok(out)
    }

    #[test]
    fn the_views_are_open() {
        let (_dir, path) = database();
        let one =
            |sql: &str| asked(&path, sql, &within(20)).unwrap_or_else(|e| panic!("{sql}: {e}"));
        for (view, _) in VIEWS {
            one(&format!("SELECT * FROM {view} LIMIT 3"));
            one(&format!("SELECT count(*) FROM {view}"));
        }
        assert_eq!(one("SELECT count(*) FROM samples_all('load', '1970-01-01')"), [["4000"]]);
        assert_eq!(one("SELECT count(*), max(value) FROM SAMPLES_ALL"), [["4000", "6"]]);
        let lag =
            "WITH w AS (SELECT value - lag(value) OVER (ORDER BY ts) AS step FROM samples_all)
                   SELECT max(step), count(*) FROM w";
        assert_eq!(one(lag), [["1", "4000"]]);
        assert_eq!(
            one("WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c LIMIT 9)
                        SELECT count(*) FROM c"),
            [["9"]]
        );
        assert_eq!(one("SELECT value FROM json_each('[7]')"), [["7"]]);
        let joined = "SELECT DISTINCT d.key FROM samples s JOIN series d ON d._id = s.series_id";
        assert_eq!(one(joined), [["load"]]);
    }

    #[test]
    fn everything_else_is_shut() {
        let (dir, path) = database();
        let before = std::fs::read(&path).unwrap();
        let other = dir.path().join("other.sqlite");
        for sql in [
            &format!("ATTACH '{}' AS o", other.display()),
            "DETACH main",
            "PRAGMA journal_mode = DELETE",
            "PRAGMA table_info(blocks)",
            "SELECT * FROM pragma_table_info('blocks')",
            "SELECT count(*) FROM pragma_database_list",
            "INSERT INTO metrics (key, value) VALUES ('x', 1)",
            "UPDATE samples SET value = 0",
            "DELETE FROM samples",
            "WITH a AS (SELECT 1) DELETE FROM samples",
            "CREATE TABLE t (x)",
            "CREATE TEMP TABLE t (x)",
            "CREATE TEMP VIEW metrics AS SELECT data FROM blocks",
            "CREATE TABLE t AS SELECT 1",
            "DROP VIEW metrics",
            "ALTER TABLE samples RENAME TO s",
            "VACUUM",
            &format!("VACUUM INTO '{}'", other.display()),
            "BEGIN IMMEDIATE",
            "COMMIT",
            "SAVEPOINT s",
            "REINDEX",
            "ANALYZE",
            "SELECT load_extension('/tmp/x.so')",
            "SELECT writefile('x', 'y')",
            "SELECT readfile('/etc/passwd')",
            "SELECT fts3_tokenizer('simple')",
            "SELECT sqlite_compileoption_get(1)",
            "SELECT * FROM blocks",
            "SELECT count(*) FROM blocks",
            "SELECT data FROM main.blocks",
            "SELECT * FROM state",
            "SELECT sql FROM sqlite_schema",
            "SELECT count(*) FROM sqlite_master",
            "SELECT * FROM sqlite_temp_schema",
            "SELECT * FROM dbstat",
            "SELECT * FROM sqlite_dbpage",
            "SELECT * FROM inbox",
            "SELECT (SELECT max(id) FROM blocks)",
            "SELECT * FROM metrics WHERE value IN (SELECT id FROM blocks)",
            // A common table expression that goes by a view's name.
            "WITH metrics AS (SELECT data FROM blocks) SELECT * FROM metrics",
            "WITH metrics AS (SELECT * FROM state) SELECT * FROM metrics",
            "WITH samples_all AS (SELECT sql FROM sqlite_schema) SELECT * FROM samples_all",
        ] {
            match asked(&path, sql, &within(20)) {
                Err(GuestError::Refused(_) | GuestError::Wrong { .. }) => {}
                other => panic!("{sql}: {other:?}"),
            }
        }
        assert_eq!(std::fs::read(&path).unwrap(), before, "not a byte was written");
        assert!(!other.exists());
    }

    #[test]
    fn memory_is_bounded_while_a_statement_works() {
        use std::cell::Cell;
        use std::rc::Rc;
        let (_dir, path) = database();
        let most = 16 << 20;
        let within_memory = |sql: &str| {
            let taken = Rc::new(Cell::new(0_usize));
            let count = Rc::clone(&taken);
            let more = move |bytes: usize| {
                let fits = count.get() + bytes <= most;
                count.set(count.get() + if fits { bytes } else { 0 });
                fits
            };
            let mut rows = 0;
            let done = ask(
                &path,
                sql,
                &within(60),
                Box::new(more),
                |_| {},
                |_| {
                    rows += 1;
                    ControlFlow::Continue(())
                },
            );
            (done.map(|()| rows), taken.get())
        };
        for hungry in [
            "SELECT json_group_array(printf('%.*c', 60000, 'a')) FROM samples",
            "SELECT json_group_object(ts, printf('%.*c', 60000, 'a')) FROM samples",
            "SELECT json_pretty(printf('%.*c', 1000, '[') || printf('%.*c', 1000, ']'), \
             printf('%.*c', 60000, 'x'))",
        ] {
            let (done, taken) = within_memory(hungry);
            assert!(taken <= most, "{hungry}: {taken}");
            assert!(matches!(done, Err(GuestError::Memory)), "{hungry}: {done:?}");
        }
        // The next one on this thread has all of it again, and other threads were never bounded.
        let (done, taken) = within_memory("SELECT key, value FROM samples_all");
        assert!(matches!(done, Ok(4_000)), "{done:?}");
        assert!(taken < 4 << 20, "{taken}");
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        let big = "SELECT length(group_concat(hex(zeroblob(1000000)))) FROM json_each('[1,2,3]')";
        let length: i64 = conn.query_row(big, [], |r| r.get(0)).unwrap();
        assert_eq!(length, 3 * 2_000_000 + 2);
    }

    #[test]
    fn mistakes_say_where() {
        let (_dir, path) = database();
        for (sql, place, text) in [
            ("SELECT valve FROM metrics", Some(7), "no such column: valve"),
            ("SELEC 1", Some(0), "syntax error"),
            ("SELECT * FROM nowhere", None, "no such table: nowhere"),
            ("SELECT 1; SELECT 2", None, "one statement at a time"),
            ("  ", None, "nothing to answer"),
            ("-- only a remark", None, "nothing to answer"),
        ] {
            match asked(&path, sql, &within(20)) {
                Err(GuestError::Wrong { message, offset }) => {
                    assert!(message.contains(text), "{sql}: {message}");
                    assert!(place.is_none() || offset == place, "{sql}: {offset:?}");
                }
                other => panic!("{sql}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_would_never_end_is_stopped() {
        let (_dir, path) = database();
        let cross = "SELECT count(*) FROM samples a, samples b, samples c, samples d";
        let doubling: String = (1..30)
            .map(|i| format!(", c{i} AS (SELECT a.x FROM c{} a, c{} b)", i - 1, i - 1))
            .collect();
        let doubling =
            format!("WITH c0(x) AS (SELECT value FROM metrics){doubling} SELECT count(*) FROM c29");
        for sql in [
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
            "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c) SELECT sum(x) FROM c ORDER BY 1",
            cross,
            "SELECT count(*) FROM samples_all a, samples_all b, samples_all c",
            &doubling,
        ] {
            let start = Instant::now();
            match asked(&path, sql, &within(1)) {
                Err(GuestError::Timeout | GuestError::Failed(_) | GuestError::Wrong { .. }) => {}
                other => panic!("{sql}: {other:?}"),
            }
            assert!(start.elapsed() < Duration::from_secs(8), "{sql}: {:?}", start.elapsed());
        }
        let gone = within(60);
        gone.cancel.store(true, Relaxed);
        assert!(matches!(asked(&path, cross, &gone), Err(GuestError::Canceled)));
        for sql in [
            "SELECT randomblob(1000000000)",
            "SELECT zeroblob(1000000)",
            "SELECT printf('%.*c', 1000000000, 'x')",
            "SELECT replace(hex(zeroblob(30000)), '0', hex(zeroblob(30000)))",
            "SELECT group_concat(hex(zeroblob(1000))) FROM samples",
        ] {
            match asked(&path, sql, &within(20)) {
                Err(GuestError::Failed(why)) => assert!(why.contains("64 KiB"), "{sql}: {why}"),
                other => panic!("{sql}: {other:?}"),
            }
        }
    }
}
