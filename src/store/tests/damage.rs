//! store: damaged files: what is salvaged of them, and that nothing falls over them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hashbrown::HashMap;
use proptest::prelude::*;

use crate::store::{Limits, OpenError, Reader, Store, Times, lock_path};

const START: i64 = 1_700_000_000_000;
const SERIES: i64 = 18;
const BEATS: i64 = 4_000;
const NOW: Times = Times { wall: START + BEATS * 10_000, boot: BEATS * 10_000 };

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

fn open(path: &Path) -> Result<Store, OpenError> {
    let mut store = Store::open(path, "here", Arc::default())?;
    store.set_limits(Limits { raw_ms: i64::MAX / 4, ..Limits::default() });
    Ok(store)
}

/// A database of 18 series over 11 hours, most of it sealed, all of it also as plain rows.
fn original() -> &'static (Vec<u8>, Contents) {
    static ORIGINAL: OnceLock<(Vec<u8>, Contents)> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let dir = folder();
        let path = dir.path().join("m.sqlite");
        let mut store = open(&path).expect("opens");
        let keys: Vec<String> = (0..SERIES).map(|i| format!("series_{i}_total")).collect();
        let mut noise = 1u64;
        for hour in 0..10 {
            let beats = BEATS / 10;
            let mut rows = Vec::new();
            for beat in hour * beats..(hour + 1) * beats {
                for (i, key) in keys.iter().enumerate() {
                    noise = noise.wrapping_mul(6364136223846793005).wrapping_add(1);
                    let value = (noise >> 40) as f64 / (i + 1) as f64;
                    rows.push((key.as_str(), START + beat * 10_000, value));
                }
            }
            store.import(rows.into_iter()).expect("imports");
            if hour < 9 {
                let now = START + (hour + 1) * beats * 10_000;
                store.compact(Times { wall: now, boot: now - START }).expect("compacts");
            }
        }
        store.checkpoint().expect("checkpoints");
        drop(store);
        (std::fs::read(&path).expect("readable"), Contents::of(&path))
    })
}

/// All there is to read.
#[derive(Debug, Clone, PartialEq, Default)]
struct Contents {
    samples: HashMap<String, HashMap<i64, u64>>,
    plain: u64,
    hours: Vec<String>,
}

impl Contents {
    fn of(path: &Path) -> Self {
        let reader = Reader::open(path).expect("opens");
        let samples = (reader.series().expect("names").into_iter())
            .map(|known| {
                let (ts, values) = reader.samples(known.id, i64::MIN, i64::MAX).expect("reads");
                (known.key, ts.into_iter().zip(values.into_iter().map(f64::to_bits)).collect())
            })
            .collect();
        let mut hours = Vec::new();
        let sql = "SELECT key, h.* FROM rollup_1h h JOIN series_dict d ON d.id = series_id";
        let each = |row| {
            hours.push(format!("{row:?}"));
            std::ops::ControlFlow::Continue(())
        };
        reader.query(sql, |_| {}, each).expect("reads");
        Self { samples, plain: reader.measure().expect("counts").samples, hours }
    }

    fn all(&self) -> usize {
        self.samples.values().map(HashMap::len).sum()
    }

    /// Samples that are there as they were.
    fn kept(&self, of: &Self) -> usize {
        let kept = |(key, was): (&String, &HashMap<i64, u64>)| {
            self.samples
                .get(key)
                .map_or(0, |now| was.iter().filter(|(ts, v)| now.get(*ts) == Some(*v)).count())
        };
        of.samples.iter().map(kept).sum()
    }
}

/// Opens a damaged file, sets it aside if opening did not, and moves what there is.
fn salvage(bytes: &[u8], dir: &Path) -> Result<PathBuf, OpenError> {
    let path = dir.join("m.sqlite");
    std::fs::write(&path, bytes).expect("writable");
    let mut store = open(&path)?;
    if store.salvaging().is_none() {
        store.damaged("the test says so".into());
        store.reopen()?;
    }
    assert!(store.salvaging().is_some(), "salvage has begun");
    finish(&mut store);
    Ok(path)
}

fn finish(store: &mut Store) {
    let mut steps = 0;
    while store.upkeep(NOW, Duration::from_millis(50)).expect("upkeep") {
        steps += 1;
        assert!(steps < 20_000, "it ends");
    }
    assert_eq!(store.salvaging(), None);
}

fn ask(path: &Path, sql: &str) -> Vec<Vec<rusqlite::types::Value>> {
    let conn = rusqlite::Connection::open(path).expect("opens");
    let mut statement = conn.prepare(sql).expect("SQL");
    let columns = statement.column_count();
    let rows = statement.query_map([], |r| (0..columns).map(|i| r.get(i)).collect()).expect("runs");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// Pages of a table of one kind: `leaf`, `internal`, `overflow`.
fn pages(bytes: &[u8], table: &str, kind: &str) -> Vec<usize> {
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    std::fs::write(&path, bytes).expect("writable");
    let sql = format!("SELECT pageno FROM dbstat WHERE name = '{table}' AND pagetype = '{kind}'");
    let number = |row: &Vec<rusqlite::types::Value>| match row[0] {
        rusqlite::types::Value::Integer(n) => n as usize,
        _ => panic!("a number"),
    };
    ask(&path, &sql).iter().map(number).collect()
}

/// The same numbers every time.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    }
}

fn flip(bytes: &mut [u8], page: usize, flips: usize, dice: &mut impl FnMut(usize) -> usize) {
    for _ in 0..flips {
        let at = (page - 1) * 4096 + dice(4096);
        bytes[at] ^= 1 + dice(255) as u8;
    }
}

#[test]
fn a_whole_file_is_moved_whole() {
    let (bytes, was) = original();
    assert!(bytes.len() > 1_000_000, "{}", bytes.len());
    assert!(was.hours.len() > 100 && was.all() == (SERIES * BEATS) as usize, "{}", was.all());
    let dir = folder();
    let path = salvage(bytes, dir.path()).expect("salvaged");
    let now = Contents::of(&path);
    assert_eq!(now.kept(was), was.all());
    assert_eq!((now.plain, &now.hours), (was.plain, &was.hours));
    assert_eq!(now.samples, was.samples);
    let aside: Vec<PathBuf> = (std::fs::read_dir(dir.path()).expect("a folder"))
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.to_string_lossy().contains(".corrupt-"))
        .filter(|p| p.to_string_lossy().ends_with('Z'))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(std::fs::read(&aside[0]).expect("kept") == *bytes, "the old file is as it was");
}

#[test]
fn one_page_hit_loses_less_than_a_twentieth() {
    let (bytes, was) = original();
    let mut dice = dice(7);
    for (table, kind) in [
        ("samples", "leaf"),
        ("samples", "internal"),
        ("blocks", "leaf"),
        ("blocks", "internal"),
        ("blocks", "overflow"),
        ("blocks_by_group", "leaf"),
        ("series_dict", "leaf"),
        ("rollup_1h", "leaf"),
        ("rollup_1h", "internal"),
        ("state", "leaf"),
        ("system_dict", "leaf"),
    ] {
        let pages = pages(bytes, table, kind);
        assert!(!pages.is_empty() || kind == "internal" && table != "samples", "{table} {kind}");
        for flips in [1, 64] {
            if pages.is_empty() {
                continue;
            }
            let page = pages[dice(pages.len())];
            let mut damaged = bytes.clone();
            flip(&mut damaged, page, flips, &mut dice);
            // Also where SQLite finds its way.
            if flips == 64 {
                damaged[(page - 1) * 4096..(page - 1) * 4096 + 12].fill(0xA5);
            }
            let what = format!("{table} {kind} page {page}, {flips} bytes");
            let dir = folder();
            let path = salvage(&damaged, dir.path()).expect(&what);
            let now = Contents::of(&path);
            let kept = now.kept(was);
            assert!(kept * 20 >= was.all() * 19, "{what}: {kept} of {}", was.all());
            assert!(now.plain * 20 >= was.plain * 19, "{what}: {} of {}", now.plain, was.plain);
            assert!(now.hours.len() * 20 >= was.hours.len() * 19, "{what}: {}", now.hours.len());
        }
    }
}
