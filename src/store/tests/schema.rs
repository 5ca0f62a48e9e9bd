//! store: files of older versions are brought up to date. tests/fixtures/schema holds a database of each
//! version as stock sqlite3 makes it from src/store/sql.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use crate::store::file::schema::SCHEMA;
use crate::store::write::open::migrate;
use crate::store::{OpenError, Reader, SCHEMA_VERSION, Store};

fn fixture(version: i64, dir: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/fixtures/schema/v{version}.sqlite"));
    let to = dir.join("metrics.sqlite");
    std::fs::copy(from, &to).expect("there is one of each version");
    to
}

fn backup(path: &Path, version: i64) -> PathBuf {
    PathBuf::from(format!("{}.v{version}-backup", path.display()))
}

fn open(path: &Path) -> Result<Store, OpenError> {
    Store::open(path, "here", Arc::default())
}

/// Everything a schema consists of.
fn schema(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).expect("opens");
    let pragma = |name: &str| {
        let value: i64 = conn.pragma_query_value(None, name, |r| r.get(0)).expect("a number");
        format!("{name} = {value}")
    };
    let mut all: Vec<String> = (conn
        .prepare("SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema ORDER BY rowid"))
    .expect("SQL")
    .query_map([], |r| {
        let text = |i| r.get::<_, Option<String>>(i);
        Ok(format!(
            "{:?} {:?} {:?} {} {:?}",
            text(0)?,
            text(1)?,
            text(2)?,
            r.get::<_, i64>(3)?,
            text(4)?
        ))
    })
    .expect("runs")
    .collect::<Result<_, _>>()
    .expect("rows");
    all.extend(["application_id", "user_version", "auto_vacuum"].map(pragma));
    all
}

fn rows(path: &Path) -> Vec<(i64, i64, u64)> {
    let reader = Reader::open(path).expect("opens");
    let mut out = Vec::new();
    for known in reader.series().expect("names") {
        let (ts, values) = reader.samples(known.id, i64::MIN, i64::MAX).expect("reads");
        out.extend(ts.into_iter().zip(values).map(|(t, v)| (known.id, t, v.to_bits())));
    }
    out.sort_unstable();
    out
}

fn written() -> Vec<(i64, i64, u64)> {
    [
        (1, 1_700_000_000_000, 0.5),
        (1, 1_700_000_010_000, -0.0),
        (2, 1_700_000_000_000, 4096.0),
        (2, 1_700_000_010_000, 8192.0),
        (3, 1_700_000_010_000, 7.25),
    ]
    .map(|(id, ts, value): (i64, i64, f64)| (id, ts, value.to_bits()))
    .to_vec()
}

#[test]
fn upgraded_equals_fresh() {
    let dir = tempfile::tempdir().expect("a folder");
    let fresh = dir.path().join("fresh.sqlite");
    drop(open(&fresh).expect("made"));
    for version in 1..=SCHEMA_VERSION {
        let dir = tempfile::tempdir().expect("a folder");
        let path = fixture(version, dir.path());
        drop(open(&path).expect("opens"));
        assert_eq!(schema(&path), schema(&fresh), "version {version}");
        assert_eq!(rows(&path), written(), "version {version}");
        assert_eq!(Reader::open(&path).expect("opens").inbox().expect("counts"), 1);
        assert_eq!(Reader::open(&path).expect("opens").series().expect("names")[2].system, "there");
    }
}

#[test]
fn an_older_file_is_copied_before_it_is_changed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = fixture(1, dir.path());
    let was = schema(&path);
    drop(open(&path).expect("opens"));
    let copy = backup(&path, 1);
    assert!(schema(&copy).contains(&"user_version = 1".to_owned()));
    assert_eq!(schema(&copy).len(), was.len(), "the copy is of the version before");
    // And holds everything: brought up to date, it is the same database.
    let kept = dir.path().join("kept.sqlite");
    std::fs::copy(&copy, &kept).expect("copied");
    drop(open(&kept).expect("opens"));
    assert_eq!(rows(&kept), rows(&path));
    // What is up to date needs none.
    let dir = tempfile::tempdir().expect("a folder");
    let path = fixture(SCHEMA_VERSION, dir.path());
    drop(open(&path).expect("opens"));
    assert!(!backup(&path, SCHEMA_VERSION).exists());
}

#[test]
fn a_migration_that_fails_leaves_the_file_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = fixture(1, dir.path());
    let was = schema(&path);
    let mut conn = Connection::open(&path).expect("opens");
    // In the middle of a step, after tables were made and rows deleted.
    let steps = [SCHEMA[0], SCHEMA[1], "DELETE FROM samples; CREATE TABLE x (a); CREATE NONSENSE;"];
    assert!(migrate(&mut conn, &path, &steps).is_err());
    drop(conn);
    assert_eq!(schema(&path), was);
    drop(open(&path).expect("opens"));
    assert_eq!(rows(&path), written());
}

#[test]
fn a_later_version_is_refused_untouched() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = fixture(SCHEMA_VERSION, dir.path());
    let conn = Connection::open(&path).expect("opens");
    conn.pragma_update(None, "user_version", SCHEMA_VERSION + 1).expect("set");
    drop(conn);
    let was = std::fs::read(&path).expect("readable");
    let found = open(&path);
    assert!(matches!(found, Err(OpenError::Newer { found, .. }) if found == SCHEMA_VERSION + 1));
    assert!(std::fs::read(&path).expect("readable") == was);
}
