//! store: odd values in the views, and the type of each of their columns.

use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::model::{Identity, Labels, Registry, Series};
use crate::pipeline::{Batch, Source};
use crate::store::read::guest::VIEWS;
use crate::store::{Store, Times};

const START: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn column(conn: &Connection, sql: &str) -> Vec<Value> {
    let mut statement = conn.prepare(sql).expect("SQL");
    let rows = statement.query_map([], |r| r.get(0)).expect("runs");
    rows.collect::<Result<_, _>>().expect("rows")
}

fn is_minus_zero(value: &Value) -> bool {
    matches!(value, Value::Real(v) if *v == 0.0 && v.is_sign_negative())
}

#[test]
fn minus_zero_is_a_number_and_nan_is_null() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    let registry = Arc::new(Registry::default());
    let mut store = Store::open(&path, "here", Arc::clone(&registry)).expect("opens");
    let values = [-0.0, f64::NAN, f64::INFINITY, 1.5];
    let names = ["zero", "nan", "inf", "plain"];
    let series = names.map(|name| {
        let identity = Identity::local("node", name, Labels::default());
        registry.intern(Series::undescribed(identity))
    });
    for i in 0..240 {
        let samples = series.iter().copied().zip(values).collect();
        let batch = Batch::of(Source::Collect, START + i * 60_000, samples);
        store.commit(&[batch]).expect("commits");
    }
    store.compact(Times { wall: START + 60 * HOUR, boot: 0 }).expect("compacts");
    let conn = Connection::open(&path).expect("opens");
    for view in ["metrics", "metrics_by_system"] {
        let of =
            |key: &str| column(&conn, &format!("SELECT value FROM {view} WHERE key = '{key}'"));
        assert_eq!(of("zero").len(), 240, "{view}");
        assert!(of("zero").iter().all(is_minus_zero), "{view}: {:?}", of("zero")[0]);
        assert!(of("nan").iter().all(|v| *v == Value::Null), "{view}");
        assert!(of("inf").iter().all(|v| *v == Value::Real(f64::INFINITY)), "{view}");
        assert!(of("plain").iter().all(|v| *v == Value::Real(1.5)), "{view}");
        let mean = column(&conn, &format!("SELECT avg(value) FROM {view} WHERE key = 'zero'"));
        assert_eq!(mean, [Value::Real(0.0)], "{view}");
    }
    for part in ["min", "max", "mean", "last"] {
        let of =
            |key: &str| column(&conn, &format!("SELECT {part} FROM history WHERE key = '{key}'"));
        assert!(of("zero").len() >= 3);
        // A sum begins with 0.0, so the mean of -0.0 is 0.0.
        let zero = |v: &Value| is_minus_zero(v) || part == "mean" && *v == Value::Real(0.0);
        assert!(of("zero").iter().all(zero), "{part}: {:?}", of("zero")[0]);
        assert!(of("plain").iter().all(|v| *v == Value::Real(1.5)), "{part}");
        assert_eq!(of("nan"), [], "{part}");
    }
}

/// A client that asks for the types of columns gets them, and a time is text.
#[test]
fn each_column_of_a_view_has_a_type() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("m.sqlite");
    drop(Store::open(&path, "here", Arc::default()).expect("opens"));
    let conn = Connection::open(&path).expect("opens");
    for (view, columns) in VIEWS.iter().filter(|(view, _)| *view != "samples_all") {
        let found: Vec<(String, String)> = conn
            .prepare(&format!("SELECT name, type FROM pragma_table_info('{view}')"))
            .expect("SQL")
            .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))
            .expect("runs")
            .collect::<Result<_, _>>()
            .expect("rows");
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.join(", "), *columns, "{view}");
        for (name, kind) in &found {
            let wanted = match name.as_str() {
                "_id" | "system_id" | "count" | "ts" | "series_id" | "attempts" => "INTEGER",
                "value" | "min" | "max" | "mean" | "last" | "peak" | "threshold" => "REAL",
                "warning_min" | "warning_max" | "critical_min" | "critical_max" => "REAL",
                _ => "TEXT",
            };
            assert_eq!(kind, wanted, "{view}.{name}");
        }
    }
}
