//! store: reading, beside the writer and without it. Read-only connections; nothing here can
//! change the file.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::model::{Glob, Kind, Labels};
use crate::store::file::allowance;
use crate::store::file::ours::{check_ours, wal_size};
use crate::store::file::ours::{copy_into, read_only_uri};
use crate::store::keep::stretch::FIVE_MINUTES_MS;
use crate::store::packed::block::{Column, GROUP};
use crate::store::packed::chunk::Scratch;
use crate::store::samples::series;
use crate::store::samples::series::Fetched;
use crate::store::texts::dictionary::labels_of;
use crate::store::{Head, Kept, OpenError, SqlError, from_column};

/// Pages of the file that a reader holds in memory, KiB.
const CACHE_KIB: i64 = 512;

/// A read-only view of the database.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    path: PathBuf,
    head: Option<Arc<Head>>,
    kept: Option<Arc<Kept>>,
    scratch: RefCell<Scratch>,
}

/// A series as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its row.
    pub id: i64,
    /// 1 is the machine the file belongs to.
    pub system_id: i64,
    /// That system's name.
    pub system: String,
    /// The series in one string.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Where it came from.
    pub job: String,
    /// How it behaves.
    pub kind: Kind,
    /// Base unit, or nothing.
    pub unit: String,
    /// One sentence, or nothing.
    pub help: String,
}

/// One plain row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRow {
    /// Its series.
    pub series_id: i64,
    /// Milliseconds since 1970 UTC.
    pub ts: i64,
    /// The value.
    pub value: f64,
}

/// A value in the answer to a free SQL statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL
    Null,
    /// INTEGER
    Integer(i64),
    /// REAL
    Real(f64),
    /// TEXT; what is not UTF-8 in it is replaced.
    Text(String),
    /// BLOB
    Blob(Vec<u8>),
}

/// The name of the plain rows among the parts.
pub const PLAIN: &str = "plain rows";
/// The name of the sealed samples among the parts.
pub const SEALED: &str = "sealed samples";
/// The part that five-minute rollups take; its samples are buckets.
pub const FIVE_MINUTES: &str = "5 min rollups";
/// The part that hourly rows take; its samples are rows.
pub const HOURLY: &str = "hourly rows";

/// What a kind of data takes in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Which kind.
    pub name: &'static str,
    /// Its pages, in bytes, with its indexes.
    pub bytes: u64,
    /// Its samples, or rollup buckets; 0 where that means nothing.
    pub samples: u64,
}

impl Usage {
    /// How well it is packed.
    pub fn bytes_a_sample(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.bytes as f64 / self.samples as f64)
    }
}

/// The columns of [`known`].
const KNOWN: &str = "_id, system_id, system, key, name, labels, job, kind, unit, help";

fn known(row: &rusqlite::Row<'_>) -> Result<Known, SqlError> {
    Ok(Known {
        id: row.get(0)?,
        system_id: row.get(1)?,
        system: row.get(2)?,
        key: row.get(3)?,
        name: row.get(4)?,
        labels: labels_of(row.get_ref(5)?.as_str()?).unwrap_or_default(),
        job: row.get(6)?,
        kind: Kind::from_word(row.get_ref(7)?.as_str()?),
        unit: row.get(8)?,
        help: row.get(9)?,
    })
}

impl Reader {
    /// Opens a database that exists; works beside a daemon, without one, and from read-only media.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        match std::fs::metadata(path) {
            // To open a named pipe would be to wait for somebody who writes.
            Ok(meta) if !meta.is_file() => {
                return Err(OpenError::NotSqlite { path: path.to_owned() });
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(OpenError::Missing { path: path.to_owned() });
            }
            Err(e) => {
                return Err(OpenError::Unwritable {
                    path: path.to_owned(),
                    reason: e.to_string(),
                    hint: "run this as a user who may read it, for example with sudo",
                });
            }
        }
        let attempt = |uri: Option<String>| -> Result<Self, OpenError> {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_NO_MUTEX
                | OpenFlags::SQLITE_OPEN_URI;
            allowance::install();
            let conn = match &uri {
                Some(uri) => Connection::open_with_flags(uri, flags),
                None => Connection::open_with_flags(path, flags & !OpenFlags::SQLITE_OPEN_URI),
            }
            .map_err(|e| OpenError::from_sqlite(path, e))?;
            conn.busy_timeout(Duration::from_secs(5))
                .map_err(|e| OpenError::from_sqlite(path, e))?;
            if check_ours(&conn, path)? {
                // Made, but nothing written yet: for a reader the same as not there.
                return Err(OpenError::Missing { path: path.to_owned() });
            }
            // Otherwise SQLite plans a statement again for each value that is bound to it.
            conn.set_db_config(SQLITE_DBCONFIG_ENABLE_QPSG, true)
                .map_err(|e| OpenError::from_sqlite(path, e))?;
            // Four at once are open while somebody looks. What one question reads twice fits into this;
            // the rest is in the kernel's cache.
            conn.pragma_update(None, "cache_size", -CACHE_KIB)
                .map_err(|e| OpenError::from_sqlite(path, e))?;
            super::table::register(&conn).map_err(|e| OpenError::from_sqlite(path, e))?;
            let path = path.to_owned();
            Ok(Self { conn, path, head: None, kept: None, scratch: RefCell::default() })
        };
        match attempt(None) {
            // A write-ahead database on read-only media: no log beside it, so it cannot change.
            Err(OpenError::Unwritable { .. } | OpenError::Sqlite { .. }) if wal_size(path) == 0 => {
                attempt(Some(read_only_uri(path, true)))
            }
            other => other,
        }
    }

    /// Gives back what it holds to be quick, until it is asked again.
    pub fn rest(&self) {
        let _unused = self.conn.release_memory();
        self.scratch.take();
    }

    /// Where the database is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_deref()
    }

    pub(in crate::store) fn connection(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn into_connection(self) -> Connection {
        self.conn
    }

    pub(super) fn scratch(&self) -> std::cell::RefMut<'_, Scratch> {
        self.scratch.borrow_mut()
    }

    /// How many blocks there are, and the time of the oldest sample or rollup in them or in plain
    /// rows; 0 where there is none.
    pub fn extent(&self) -> Result<(u64, i64), SqlError> {
        self.conn.query_row(
            "SELECT count(*), min(coalesce(min(start), 9e18), coalesce((SELECT min(ts) FROM samples), 9e18))
             FROM blocks",
            [],
            |r| {
                let oldest = r.get::<_, f64>(1)?;
                Ok((r.get::<_, i64>(0)? as u64, if oldest < 9e18 { oldest as i64 } else { 0 }))
            },
        )
    }

    /// Every series, in the order of their keys.
    pub fn series(&self) -> Result<Vec<Known>, SqlError> {
        self.conn
            .prepare(&format!("SELECT {KNOWN} FROM series ORDER BY system_id, key"))?
            .query_map([], known)?
            .collect()
    }

    /// Calls `each` with the series that have higher numbers than `after`, in no order, as far as `wanted`
    /// lets their names pass. It keeps none of them, because a file may have many times the names in use.
    pub fn each_series(
        &self,
        after: i64,
        wanted: impl Fn(&str) -> bool,
        mut each: impl FnMut(Known),
    ) -> Result<(), SqlError> {
        let sql = format!("SELECT {KNOWN} FROM series WHERE _id > ?1");
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([after])?;
        while let Some(row) = rows.next()? {
            if wanted(row.get_ref(4)?.as_str()?) {
                each(known(row)?);
            }
        }
        Ok(())
    }

    /// The number of the newest series: as long as it stays the same, so do all names and labels.
    pub fn newest_series(&self) -> Result<i64, SqlError> {
        self.conn
            .prepare_cached("SELECT coalesce(max(id), 0) FROM series_dict")?
            .query_row([], |r| r.get(0))
    }

    /// Every plain row from `from` on, from the newest back.
    pub fn rows_back(
        &self,
        from: i64,
        each: impl FnMut(SampleRow) -> std::ops::ControlFlow<()>,
    ) -> Result<(), SqlError> {
        let mut statement = self.conn.prepare(
            "SELECT ts, series_id, value FROM samples WHERE ts >= ?1
             ORDER BY ts DESC, series_id DESC",
        )?;
        hand_out(statement.query([from])?, each)
    }

    /// Every plain row from `from` on, from the oldest on.
    pub fn rows_from(
        &self,
        from: i64,
        each: impl FnMut(SampleRow) -> std::ops::ControlFlow<()>,
    ) -> Result<(), SqlError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT ts, series_id, value FROM samples WHERE ts >= ?1 ORDER BY ts, series_id",
        )?;
        hand_out(statement.query([from])?, each)
    }

    /// The samples of one series from `from` to `to` inclusive, in full resolution as far back as
    /// they are kept: times in ms since 1970 UTC, and values.
    pub fn samples(
        &self,
        series_id: i64,
        from: i64,
        to: i64,
    ) -> Result<(Vec<i64>, Vec<f64>), SqlError> {
        let mut column = Column { series: series_id, ..Column::default() };
        self.columns(from, to, std::slice::from_mut(&mut column))?;
        Ok((column.ts, column.values))
    }

    /// When the samples or five-minute rollups of a series begin, ms since 1970 UTC, or earlier: as
    /// exact as the blocks that it shares with others. Nothing where there are none at all.
    pub fn oldest(&self, series_id: i64) -> Result<Option<i64>, SqlError> {
        self.conn
            .prepare_cached(
                "SELECT min(ts) FROM (
                     SELECT min(start) AS ts FROM blocks WHERE resolution IN (0, ?2) AND grp = ?1
                     UNION ALL SELECT * FROM (SELECT ts FROM samples ORDER BY ts LIMIT 1))",
            )?
            .query_row([series_id.div_euclid(GROUP), FIVE_MINUTES_MS], |r| r.get(0))
    }

    /// Reads the samples of several series in one pass, which is much quicker than one by one. `columns`
    /// must be in the order of their series; each is filled in place.
    pub fn columns(&self, from: i64, to: i64, columns: &mut [Column]) -> Result<(), SqlError> {
        // One picture for all: what is sealed between two statements would be missed or doubled.
        let tx = self.conn.unchecked_transaction()?;
        let mut scratch = self.scratch.borrow_mut();
        series::raw(&tx, self.head(), (from, to), &mut scratch, columns)
    }

    /// Reads the samples of several series, in the order of their numbers, and leaves blocks packed. With
    /// `last_only` only the last sample of each series is guaranteed, and no block is read for a series
    /// whose last sample is in the head.
    pub fn fetch(
        &self,
        series: &[i64],
        from: i64,
        to: i64,
        last_only: bool,
    ) -> Result<Vec<Fetched>, SqlError> {
        let tx = self.conn.unchecked_transaction()?;
        series::fetch(&tx, (self.head(), self.kept()), (from, to), last_only, series)
    }

    /// Hands out the newest sample of each series up to `to` (ms since 1970 UTC) that is in memory, without
    /// a look at the file: by its place in the list, and nothing where memory has none. A series is left
    /// out where its samples are not in order. False: memory does not hold all that is new.
    pub fn newest_in_memory(
        &self,
        series: &[i64],
        to: i64,
        each: impl FnMut(usize, Option<(i64, f64)>),
    ) -> bool {
        self.head().is_some_and(|head| head.newest(series, to, each))
    }

    /// Replaces what is in a column by what was fetched, from `from` to `to` inclusive.
    pub fn unpack(&self, fetched: &Fetched, from: i64, to: i64, column: &mut Column) {
        column.ts.clear();
        column.values.clear();
        fetched.unpack(from, to, &mut self.scratch.borrow_mut(), column);
    }

    /// Reads what is not sealed into memory, which is worth it for somebody who then asks for many
    /// series. What comes later is not seen.
    pub fn load_head(self) -> Result<Self, SqlError> {
        let head = Head::default();
        head.load(&self.conn)?;
        Ok(self.with_head(Arc::new(head)))
    }

    /// Takes the newest samples from the memory of the process that writes them from now on.
    pub fn with_head(mut self, head: Arc<Head>) -> Self {
        self.head = Some(head);
        self
    }

    /// Shares what is kept of blocks with other readers of the same file.
    pub fn with_kept(mut self, kept: Arc<Kept>) -> Self {
        self.kept = Some(kept);
        self
    }

    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_deref()
    }

    /// Holds the present picture of the database until this reader is dropped.
    #[cfg(test)]
    pub(in crate::store) fn hold(&self) -> Result<(), SqlError> {
        self.conn.execute_batch("BEGIN; SELECT count(*) FROM state;")
    }

    /// Rows that SQL clients inserted and no daemon has taken in yet.
    pub fn inbox(&self) -> Result<u64, SqlError> {
        self.conn
            .query_row("SELECT count(*) FROM inbox", [], |r| r.get::<_, i64>(0))
            .map(|n| n as u64)
    }

    /// The file by kinds of data. Reads every page's header, so it takes a moment.
    pub fn parts(&self) -> Result<Vec<Usage>, SqlError> {
        let number = |sql: &str| {
            self.conn
                .query_row(sql, [], |r| r.get::<_, Option<i64>>(0))
                .map(|n| n.unwrap_or(0) as u64)
        };
        let pages = |what: &str| {
            number(&format!("SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND {what}"))
        };
        // The blocks' index and pages are shared by both resolutions, in proportion.
        let data =
            |r: &str| number(&format!("SELECT sum(length(data)) FROM blocks WHERE resolution {r}"));
        let (raw, rollups) = (data("= 0")?, data("> 0")?);
        let blocks = pages("name IN ('blocks', 'blocks_by_group')")?;
        let share = |bytes: u64| match raw + rollups {
            0 => 0,
            all => (u128::from(blocks) * u128::from(bytes) / u128::from(all)) as u64,
        };
        let named = ["samples", "blocks", "blocks_by_group", "rollup_1h"];
        let list = named.map(|n| format!("'{n}'")).join(", ");
        Ok(vec![
            Usage {
                name: PLAIN,
                bytes: pages("name = 'samples'")?,
                samples: number("SELECT count(*) FROM samples")?,
            },
            Usage {
                name: SEALED,
                bytes: share(raw),
                samples: number("SELECT sum(samples) FROM blocks WHERE resolution = 0")?,
            },
            Usage {
                name: FIVE_MINUTES,
                bytes: share(rollups),
                samples: number("SELECT sum(samples) / 7 FROM blocks WHERE resolution > 0")?,
            },
            Usage {
                name: HOURLY,
                bytes: pages("name = 'rollup_1h'")?,
                samples: number("SELECT count(*) FROM rollup_1h")?,
            },
            Usage {
                name: "names and the rest",
                bytes: pages(&format!("name NOT IN ({list})"))?,
                samples: 0,
            },
            Usage {
                name: "free",
                bytes: number(
                    "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
                )?,
                samples: 0,
            },
        ])
    }

    /// Runs a statement: the names of its columns, then each row until `row` says enough.
    pub fn query(
        &self,
        sql: &str,
        columns: impl FnOnce(&[&str]),
        mut row: impl FnMut(Vec<Cell>) -> std::ops::ControlFlow<()>,
    ) -> Result<(), SqlError> {
        // This one file is read, and none is made: `VACUUM INTO` attaches what it writes.
        self.conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        let mut statement = self.conn.prepare(sql)?;
        let count = statement.column_count();
        columns(&statement.column_names().collect::<Vec<_>>());
        let mut rows = statement.query([])?;
        while let Some(r) = rows.next()? {
            let cells = (0..count)
                .map(|i| {
                    Ok(match r.get_ref(i)? {
                        ValueRef::Null => Cell::Null,
                        ValueRef::Integer(v) => Cell::Integer(v),
                        ValueRef::Real(v) => Cell::Real(v),
                        ValueRef::Text(v) => Cell::Text(String::from_utf8_lossy(v).into_owned()),
                        ValueRef::Blob(v) => Cell::Blob(v.to_vec()),
                    })
                })
                .collect::<Result<_, SqlError>>()?;
            if row(cells).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Writes the database as it is at this moment into a new file: one consistent picture, beside
    /// a running daemon, without free pages and without a write-ahead log to forget.
    pub fn backup(&self, to: &Path) -> Result<(), SqlError> {
        copy_into(&self.conn, to)
    }

    /// The series whose key fits.
    pub fn matching(&self, key: &Glob) -> Result<Vec<Known>, SqlError> {
        Ok(self.series()?.into_iter().filter(|s| key.matches(&s.key)).collect())
    }
}

/// Hands rows to `each` until it has enough.
fn hand_out(
    mut rows: rusqlite::Rows<'_>,
    mut each: impl FnMut(SampleRow) -> std::ops::ControlFlow<()>,
) -> Result<(), SqlError> {
    while let Some(row) = rows.next()? {
        let Some(value) = from_column(row.get_ref(2)?) else { continue };
        let row = SampleRow { ts: row.get(0)?, series_id: row.get(1)?, value };
        if each(row).is_break() {
            break;
        }
    }
    Ok(())
}
