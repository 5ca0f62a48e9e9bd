//! store: `samples_all(key_glob, from, to)`: full resolution in SQL, back to the first sample that is
//! kept, as a table-valued function of the connections that [`super::reader::Reader`] opens, and of any
//! other SQLite that loads `extension/`.
#![allow(unsafe_code, reason = "SQLite's interface of virtual tables is in C")]

use std::borrow::Cow;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

use rusqlite::types::ValueRef;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConnection, VTabCursor,
};
use rusqlite::{Connection, ffi};

use crate::model::{Clock, Glob, SystemClock};
use crate::store::SqlError;
use crate::store::file::schema::{APPLICATION_ID, SCHEMA_VERSION};
use crate::store::packed::block::Column;
use crate::store::packed::chunk::Scratch;
use crate::store::samples::series;
use crate::wire::time::{format_timestamp, from_number, parse_when};

const NAME: &CStr = c"samples_all";
const DECLARATION: &CStr = c"CREATE TABLE x(key TEXT, timestamp TEXT, value REAL, ts INTEGER, \
     system TEXT, key_glob TEXT HIDDEN, \"from\" HIDDEN, \"to\" HIDDEN)";

/// The first of the hidden columns, which are the function's arguments.
const FIRST_ARGUMENT: c_int = 5;

/// Makes the function known to a connection.
pub(in crate::store) fn register(conn: &Connection) -> Result<(), SqlError> {
    const MODULE: Module<Table> = Module::eponymous_only_module();
    conn.create_module(NAME, &MODULE, None::<()>)
}

#[repr(C)]
struct Table {
    /// SQLite's part; must be first.
    base: ffi::sqlite3_vtab,
    db: *mut ffi::sqlite3,
}

// SAFETY: the struct begins with SQLite's and is repr(C).
unsafe impl<'v> VTab<'v> for Table {
    type Aux = ();
    type Cursor = Cursor<'v>;

    fn connect(
        db: &mut VTabConnection,
        _aux: Option<&()>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _args: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self), SqlError> {
        // SAFETY: the handle lives as long as the connection, and so longer than its tables.
        let db = unsafe { db.handle() };
        // SAFETY: the same; the connection does not own it.
        check(&unsafe { Connection::from_handle(db) }?)?;
        Ok((Cow::Borrowed(DECLARATION), Self { base: ffi::sqlite3_vtab::default(), db }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool, SqlError> {
        let mut places = [None; 3];
        for (i, constraint) in info.constraints().enumerate() {
            let argument = constraint.column() - FIRST_ARGUMENT;
            let Ok(argument) = usize::try_from(argument) else { continue };
            if constraint.operator() != IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ {
                continue;
            }
            if !constraint.is_usable() {
                return Ok(false);
            }
            if let Some(place) = places.get_mut(argument) {
                *place = Some(i);
            }
        }
        // Which of the arguments are given, as bits; they come in this order.
        let (mut given, mut count) = (0, 0);
        for (argument, place) in places.into_iter().enumerate() {
            if let Some(i) = place {
                count += 1;
                given |= 1 << argument;
                let mut usage = info.constraint_usage(i);
                usage.set_argv_index(count);
                usage.set_omit(true);
            }
        }
        info.set_idx_num(given);
        info.set_estimated_cost(if given & 1 == 0 { 1e9 } else { 1e5 });
        Ok(true)
    }

    fn open(&'v mut self) -> Result<Cursor<'v>, SqlError> {
        Ok(Cursor {
            base: ffi::sqlite3_vtab_cursor::default(),
            db: self.db,
            pending: Vec::new(),
            key: String::new(),
            system: String::new(),
            column: Column::default(),
            at: 0,
            range: (i64::MIN, i64::MAX),
            scratch: Scratch::default(),
            table: PhantomData,
        })
    }
}

#[repr(C)]
struct Cursor<'v> {
    /// SQLite's part; must be first.
    base: ffi::sqlite3_vtab_cursor,
    db: *mut ffi::sqlite3,
    /// Series still to come, last first.
    pending: Vec<(i64, String, String)>,
    key: String,
    system: String,
    column: Column,
    at: usize,
    range: (i64, i64),
    scratch: Scratch,
    table: PhantomData<&'v Table>,
}

impl Cursor<'_> {
    fn connection(&self) -> Result<Connection, SqlError> {
        // SAFETY: the handle is valid while the statement runs; the connection does not own it.
        unsafe { Connection::from_handle(self.db) }
    }

    /// Goes on to the next series that has a sample.
    fn advance(&mut self) -> Result<(), SqlError> {
        let conn = self.connection()?;
        while let Some((id, key, system)) = self.pending.pop() {
            self.column = Column { series: id, ..Column::default() };
            let (from, to) = self.range;
            let wanted = std::slice::from_mut(&mut self.column);
            series::raw(&conn, None, (from, to), &mut self.scratch, wanted)?;
            if !self.column.ts.is_empty() {
                self.key = key;
                self.system = system;
                self.at = 0;
                return Ok(());
            }
        }
        self.column.ts.clear();
        self.at = 0;
        Ok(())
    }
}

fn failed(message: String) -> SqlError {
    SqlError::ModuleError(message)
}

/// Checks that the database can be read. The first use on a connection checks, not the loading: users
/// who load the extension from ~/.sqliterc open other databases, too.
fn check(conn: &Connection) -> Result<(), SqlError> {
    let pragma = |name: &str| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0));
    if pragma("application_id")? != APPLICATION_ID {
        return Err(failed("samples_all: this database is not one of plimsoll's".into()));
    }
    let version = pragma("user_version")?;
    if version > SCHEMA_VERSION {
        return Err(failed(format!(
            "samples_all: the database has schema version {version}, this samples_all knows \
             versions up to {SCHEMA_VERSION}; use that of the newer plimsoll"
        )));
    }
    Ok(())
}

/// A time in any form that the command line takes.
fn when(value: ValueRef<'_>, default: i64) -> Result<i64, SqlError> {
    match value {
        ValueRef::Null => Ok(default),
        ValueRef::Integer(n) => {
            from_number(n as f64).ok_or_else(|| failed(format!("samples_all: {n} is no time")))
        }
        ValueRef::Real(n) => {
            from_number(n).ok_or_else(|| failed(format!("samples_all: {n} is no time")))
        }
        ValueRef::Text(text) => parse_when(&String::from_utf8_lossy(text), SystemClock.wall_ms())
            .map_err(|e| failed(format!("samples_all: {e}"))),
        ValueRef::Blob(_) => Err(failed("samples_all: a blob is no time".into())),
    }
}

// SAFETY: the struct begins with SQLite's and is repr(C).
unsafe impl VTabCursor for Cursor<'_> {
    fn filter(
        &mut self,
        given: c_int,
        _name: Option<&str>,
        args: &Filters<'_>,
    ) -> Result<(), SqlError> {
        let mut values = args.iter();
        let mut argument = |bit: c_int| {
            if given & bit == 0 { ValueRef::Null } else { values.next().unwrap_or(ValueRef::Null) }
        };
        let glob = match argument(1) {
            ValueRef::Null => Glob::new("*"),
            ValueRef::Text(text) => Glob::new(&String::from_utf8_lossy(text)),
            _ => {
                return Err(failed(
                    "samples_all: the first argument is a key, with * and ?".into(),
                ));
            }
        };
        self.range = (when(argument(2), i64::MIN)?, when(argument(4), i64::MAX)?);
        let conn = self.connection()?;
        let mut all = conn.prepare(
            "SELECT d.id, d.key, coalesce(s.name, '') FROM series_dict d
             LEFT JOIN system_dict s ON s.id = d.system_id ORDER BY d.key DESC, d.id DESC",
        )?;
        self.pending = all
            .query_map([], |r| Ok((r.get(0)?, r.get::<_, String>(1)?, r.get(2)?)))?
            .filter(|row| row.as_ref().map_or(true, |(_, key, _)| glob.matches(key)))
            .collect::<Result<_, _>>()?;
        drop(all);
        self.advance()
    }

    fn next(&mut self) -> Result<(), SqlError> {
        self.at += 1;
        if self.at >= self.column.ts.len() { self.advance() } else { Ok(()) }
    }

    fn eof(&self) -> bool {
        self.at >= self.column.ts.len()
    }

    fn column(&self, ctx: &mut Context, i: c_int) -> Result<(), SqlError> {
        let (ts, value) = (self.column.ts[self.at], self.column.values[self.at]);
        match i {
            0 => ctx.set_result(self.key.as_str()),
            1 => ctx.set_result(format_timestamp(ts)),
            2 if value.is_nan() => ctx.set_result(rusqlite::types::Null),
            2 => ctx.set_result(value),
            3 => ctx.set_result(ts),
            4 => ctx.set_result(self.system.as_str()),
            _ => ctx.set_result(rusqlite::types::Null),
        }
    }

    fn rowid(&self) -> Result<i64, SqlError> {
        Ok(self.at as i64)
    }
}
