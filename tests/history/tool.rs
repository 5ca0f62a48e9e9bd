//! tests: RRD files made and read by rrdtool, and what is in a database, for comparison.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use plimsoll::query::eval::{Limits, Options, Value, When, evaluate};
use plimsoll::query::{Catalog, StoreSource, parse};
use plimsoll::store::Reader;

use crate::support::*;

pub const MUNIN_ROWS: &str = "RRA:AVERAGE:0.5:1:576 RRA:MIN:0.5:1:576 RRA:MAX:0.5:1:576 \
     RRA:AVERAGE:0.5:6:432 RRA:MIN:0.5:6:432 RRA:MAX:0.5:6:432 \
     RRA:AVERAGE:0.5:24:540 RRA:MIN:0.5:24:540 RRA:MAX:0.5:24:540 \
     RRA:AVERAGE:0.5:288:450 RRA:MIN:0.5:288:450 RRA:MAX:0.5:288:450";

/// Seconds since 1970, on a multiple of five minutes, a while ago.
pub fn recent() -> i64 {
    let now = now_ms() / 1000 - 600;
    now - now % 300
}

/// Commands to one rrdtool.
pub fn rrdtool(commands: &str) -> String {
    let mut child = tool("rrdtool", "rrdtool")
        .arg("-")
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("rrdtool starts");
    let mut input = child.stdin.take().expect("piped");
    let text = commands.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let said = child.wait_with_output().expect("it ends");
    writer.join().expect("joins").expect("it reads");
    let said = String::from_utf8(said.stdout).expect("text");
    assert!(!said.contains("ERROR"), "{}", &said[..said.len().min(2_000)]);
    said
}

/// An RRD given these values ("U" is one) at these times, a thousand with each command.
pub fn make(path: &Path, step: i64, sources: &str, rows: &str, updates: &[(i64, String)]) {
    let path = path.display();
    let start = updates.first().expect("some").0 - step;
    let mut text = format!("create {path} --start {start} --step {step} {sources} {rows}\n");
    for some in updates.chunks(500) {
        write!(text, "update {path}").expect("a string");
        for (ts, value) in some {
            write!(text, " {ts}:{value}").expect("a string");
        }
        text.push('\n');
    }
    rrdtool(&text);
}

/// What `rrdtool fetch` says of one source: rows by the second at which they end.
pub fn fetch(
    path: &Path,
    how: &str,
    span: i64,
    from: i64,
    to: i64,
    source: usize,
) -> BTreeMap<i64, f64> {
    let path = path.display();
    let text = rrdtool(&format!("fetch {path} {how} -r {span} -s {from} -e {to}\n"));
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let Some((ts, values)) = line.split_once(':') else { continue };
        let Ok(ts) = ts.trim().parse::<i64>() else { continue };
        let value = values.split_whitespace().nth(source).expect("a value");
        rows.insert(ts, value.parse().unwrap_or(f64::NAN));
    }
    let spans: Vec<i64> = rows.keys().zip(rows.keys().skip(1)).map(|(a, b)| b - a).collect();
    assert!(spans.iter().all(|s| *s == span), "rrdtool took rows of another length: {spans:?}");
    rows
}

/// A database, and what it answers.
pub struct File {
    pub reader: Reader,
    catalog: Catalog,
}

impl File {
    pub fn open(db: &Path) -> Self {
        let reader = Reader::open(db).expect("opens");
        let catalog = Catalog::read(&reader).expect("reads");
        Self { reader, catalog }
    }

    pub fn id(&self, key: &str) -> i64 {
        let known = self.reader.series().expect("series");
        let keys: Vec<&str> = known.iter().map(|k| k.key.as_str()).collect();
        let found: Vec<i64> = known.iter().filter(|k| k.key == key).map(|k| k.id).collect();
        assert_eq!(found.len(), 1, "{key} among {keys:?}");
        found[0]
    }

    /// Samples by second.
    pub fn samples(&self, key: &str) -> BTreeMap<i64, f64> {
        let (ts, values) = self.reader.samples(self.id(key), i64::MIN, i64::MAX).expect("reads");
        ts.into_iter().map(|ts| ts / 1000).zip(values).collect()
    }

    /// Five-minute buckets by the second at which they end: count, sum, min, max, last.
    pub fn buckets(&self, key: &str, from: i64, to: i64) -> BTreeMap<i64, [f64; 5]> {
        let hour = |s: i64| (s - s.rem_euclid(3_600)) * 1000;
        let rolled = self
            .reader
            .rollups(&[self.id(key)], &[0, 1, 2, 3, 4], hour(from), hour(to + 3_600), false)
            .expect("reads");
        let rolled = &rolled[0];
        let part = |i: usize| std::array::from_fn(|p| rolled.parts[p][i]);
        rolled.ends.iter().enumerate().map(|(i, end)| (end / 1000, part(i))).collect()
    }

    /// One series in PromQL at each step, by second.
    pub fn ask(&self, text: &str, start: i64, end: i64, step: i64) -> BTreeMap<i64, f64> {
        let expr = parse(text).expect("parses");
        let source = StoreSource::new(&self.reader, &self.catalog);
        let when = When::Range { start: start * 1000, end: end * 1000, step: step * 1000 };
        let answer = evaluate(&source, &expr, when, &Options::default(), Limits::default())
            .expect("answers");
        let Value::Matrix(rows) = answer.value else { panic!("{text}: not rows") };
        assert!(rows.len() <= 1, "{text}: {} series", rows.len());
        rows.points(0).map(|(ts, value)| (ts / 1000, value)).collect()
    }

    /// Everything of all series, for comparison of two files.
    pub fn all(&self) -> BTreeMap<String, (BTreeMap<i64, u64>, String)> {
        let known = self.reader.series().expect("series");
        let of = |key: &str| {
            let samples = self.samples(key).into_iter().map(|(ts, v)| (ts, v.to_bits())).collect();
            let end = now_ms() / 1000;
            (samples, format!("{:?}", self.buckets(key, end - 500 * 86_400, end)))
        };
        known.iter().map(|k| (k.key.clone(), of(&k.key))).collect()
    }

    /// What `doctor` finds wrong.
    pub fn wrong(&self) -> Vec<String> {
        self.reader.examine(now_ms()).into_iter().flat_map(|f| f.wrong).collect()
    }
}

pub fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1e-3)
}

/// Whether rrdtool would print this as it printed that: ten digits behind the point.
pub fn same(value: f64, printed: f64) -> bool {
    format!("{value:.10e}").parse() == Ok(printed) || value.is_nan() && printed.is_nan()
}

/// What is there, and what rrdtool says is.
pub fn agree(value: Option<f64>, printed: f64) -> bool {
    value.map_or(printed.is_nan(), |value| same(value, printed))
}
