//! store: damaged files: what is salvaged of them, and that nothing falls over them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hashbrown::HashMap;
use proptest::prelude::*;

use crate::random::Random;
use crate::store::damage::repair;
use crate::store::packed::block;
use crate::store::{Limits, OpenError, Reader, Store, Times};

const START: i64 = 1_700_000_000_000;
const STEP: i64 = 20_000;
const SERIES: i64 = 16;
const BEATS: i64 = 2_500;
const NOW: Times = Times { wall: START + BEATS * STEP, boot: BEATS * STEP };

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

fn open(path: &Path) -> Result<Store, OpenError> {
    let mut store = Store::open(path, "here", Arc::default())?;
    store.set_limits(Limits { raw_ms: i64::MAX / 4, ..Limits::default() });
    Ok(store)
}

/// A database of 16 series over 14 hours, most of it sealed, all of it also as plain rows.
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
                    rows.push((key.as_str(), START + beat * STEP, value));
                }
            }
            store.import(rows.into_iter()).expect("imports");
            if hour < 9 {
                let now = START + (hour + 1) * beats * STEP;
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
        Self { samples, plain: reader.parts().expect("counts")[0].samples, hours }
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

/// Returns the same numbers every time.
fn dice(seed: u64) -> impl FnMut(usize) -> usize {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    move |below| (random.bits() >> 11) as usize % below
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
    assert!(bytes.len() > 700_000, "{}", bytes.len());
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

#[test]
fn a_destroyed_beginning_is_told_from_a_stranger_s_file() {
    let (bytes, was) = original();
    for (from, to) in [(0, 100), (0, 4096), (16, 24), (100, 4096), (0, 16)] {
        let mut damaged = bytes.clone();
        damaged[from..to].fill(0x5A);
        let dir = folder();
        let path = salvage(&damaged, dir.path()).expect("salvaged");
        let now = Contents::of(&path);
        assert_eq!(now.kept(was), was.all(), "{from}..{to}");
        assert_eq!((now.plain, now.hours.len()), (was.plain, was.hours.len()), "{from}..{to}");
    }
    // Nothing in it speaks for us: it is left alone.
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    let stranger = vec![0x5A; 100_000];
    std::fs::write(&path, &stranger).expect("writable");
    assert!(matches!(open(&path), Err(OpenError::NotSqlite { .. })));
    assert!(std::fs::read(&path).expect("there") == stranger);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
    // A later plimsoll's, though damaged: that one knows better.
    let mut newer = bytes.clone();
    newer[60..64].copy_from_slice(&99u32.to_be_bytes());
    newer[100..2000].fill(0x5A);
    std::fs::write(&path, &newer).expect("writable");
    assert!(open(&path).is_err());
    assert!(std::fs::read(&path).expect("there") == newer);
}

#[test]
fn what_is_only_in_the_log_is_salvaged_too() {
    let (bytes, was) = original();
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    std::fs::write(&path, bytes).expect("writable");
    let mut store = open(&path).expect("opens");
    let after = START + BEATS * STEP;
    let rows = (0..500).map(|i| ("series_0_total", after + i * STEP, i as f64));
    store.import(rows).expect("imports");
    // As a kill leaves it.
    let copy = dir.path().join("copy.sqlite");
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(&path), name(&copy)).expect("copied");
    }
    drop(store);
    let mut file = std::fs::read(&copy).expect("readable");
    file[100..4096].fill(0);
    std::fs::write(&copy, file).expect("writable");
    let mut store = open(&copy).expect("opens");
    if store.salvaging().is_none() {
        // Page 1 is in the log: the damage does not show.
        store.damaged("the test says so".into());
        store.reopen().expect("reopens");
    }
    finish(&mut store);
    drop(store);
    assert_eq!(Contents::of(&copy).all(), was.all() + 500);
}

#[test]
fn salvage_goes_on_after_a_restart_while_samples_come() {
    let (bytes, was) = original();
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    let mut damaged = bytes.clone();
    let hit = pages(bytes, "samples", "internal")[0];
    damaged[(hit - 1) * 4096..hit * 4096].fill(0xFF);
    std::fs::write(&path, &damaged).expect("writable");
    let mut store = open(&path).expect("opens");
    assert!(store.salvaging().is_some(), "reading the newest rows met the damage");
    let after = START + BEATS * STEP;
    for i in 0..200 {
        // Both a series that was there and one that was not.
        let rows = [("series_3_total", after + i, 1.0), ("new_total", after + i, 2.0)];
        store.import(rows.into_iter()).expect("collection goes on");
        store.upkeep(NOW, Duration::ZERO).expect("a step");
        if i % 40 == 0 {
            drop(store);
            store = open(&path).expect("opens");
        }
    }
    finish(&mut store);
    drop(store);
    let now = Contents::of(&path);
    assert_eq!(now.all(), was.all() + 400);
    assert_eq!(now.samples["new_total"].len(), 200);
    assert!(now.kept(was) * 100 >= was.all() * 99, "{}", now.kept(was));
    let doubled =
        ask(&path, "SELECT 1 FROM blocks GROUP BY resolution, grp, seq HAVING count(*) > 1");
    assert_eq!(doubled.len(), 0, "no block came twice");
}

#[test]
fn a_file_cut_off_gives_what_it_still_has() {
    let (bytes, was) = original();
    for keep in [bytes.len() / 2, bytes.len() - 1, bytes.len() - 4096] {
        let dir = folder();
        let path = salvage(&bytes[..keep], dir.path()).expect("salvaged");
        let kept = Contents::of(&path).kept(was);
        // Also rows whose way down from the root was cut off with the end.
        assert!(kept * bytes.len() > was.all() * keep * 9 / 10, "{keep}: {kept} of {}", was.all());
    }
}

#[test]
fn a_time_that_was_hit_makes_no_sample_of_another_time() {
    let (bytes, was) = original();
    let hit = pages(bytes, "samples", "leaf");
    let page = (hit[hit.len() / 2] - 1) * 4096;
    let mut damaged = bytes.clone();
    let number = |at: usize| usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    for cell in 50..60 {
        // Its length, a header of four bytes, then the time in six.
        let time = page + number(page + 8 + 2 * cell) + 5;
        assert_eq!(damaged[time..time + 2], [0x01, 0x8B], "a time of 2023");
        damaged[time] ^= if cell % 2 == 0 { 0x10 } else { 0x01 };
    }
    let dir = folder();
    let path = salvage(&damaged, dir.path()).expect("salvaged");
    let now = Contents::of(&path);
    assert_eq!(now.plain, was.plain - 10);
    assert_eq!(now.samples, was.samples, "blocks have them all");
}

#[test]
fn a_disk_that_damages_everything_is_not_filled_with_files() {
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    std::fs::write(&path, small()).expect("writable");
    let mut store = open(&path).expect("opens");
    for round in 0..5 {
        store.damaged("the test says so".into());
        assert_eq!(store.reopen().is_ok(), round == 0, "round {round}");
    }
    let aside = (std::fs::read_dir(dir.path()).expect("a folder"))
        .filter(|e| e.as_ref().is_ok_and(|e| e.path().to_string_lossy().ends_with('Z')))
        .count();
    assert_eq!(aside, 1);
}

/// Takes all it can of a damaged file; whatever happens, no panic and an end.
fn live_with(bytes: &[u8]) {
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    std::fs::write(&path, bytes).expect("writable");
    if let Ok(reader) = Reader::open(&path) {
        for finding in reader.examine(NOW.wall) {
            assert!(!finding.check.is_empty());
        }
        for known in reader.series().unwrap_or_default() {
            let _unused = reader.samples(known.id, i64::MIN, i64::MAX);
        }
    }
    let Ok(mut store) = open(&path) else { return };
    let mut is_new = false;
    for round in 0..4 {
        let rows = [("series_3_total", START + BEATS * STEP + round, 1.0)];
        let wrote = store.import(rows.into_iter()).map(drop);
        let kept = (0..200).try_for_each(|_| store.upkeep(NOW, Duration::from_millis(5)).map(drop));
        if let Err(e) = wrote.and(kept) {
            // Damage may be found late, but a new file has none.
            assert!(!is_new, "{e}");
            store.damaged(e.to_string());
            store.reopen().expect("begins anew");
            is_new = true;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn flipped_bytes_never_bring_it_down(
        seed in any::<u64>(),
        flips in 1usize..64,
        front in any::<bool>(),
    ) {
        let mut bytes = small().clone();
        let mut dice = dice(seed);
        let span = if front { 16 * 4096 } else { bytes.len() };
        for _ in 0..flips {
            let at = dice(span.min(bytes.len()));
            bytes[at] ^= 1 + dice(255) as u8;
        }
        live_with(&bytes);
    }
}

/// A few dozen pages with something in every table.
fn small() -> &'static Vec<u8> {
    static SMALL: OnceLock<Vec<u8>> = OnceLock::new();
    SMALL.get_or_init(|| {
        let dir = folder();
        let path = dir.path().join("m.sqlite");
        let mut store = open(&path).expect("opens");
        for part in 0..3 {
            let row = |i: i64| {
                let key = if i % 2 == 0 { "series_3_total" } else { "gauge{a=\"b\"}" };
                (key, START + (part * 1000 + i) * STEP, (i * 7919 % 101) as f64)
            };
            store.import((0..1000).map(row)).expect("imports");
            store.import([row(3)].into_iter()).expect("imports");
            store.compact(NOW).expect("compacts");
        }
        drop(store);
        std::fs::read(&path).expect("readable")
    })
}

#[test]
fn a_kill_while_it_is_set_aside_leaves_nothing_behind() {
    let (bytes, was) = original();
    // What the kill left: all of it in its old place; the log gone ahead; everything moved; a new
    // file without a table, or with them, or one that salvage has begun with.
    for stage in 0..6 {
        let dir = folder();
        let path = dir.path().join("m.sqlite");
        let named = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
        std::fs::write(&path, bytes).expect("writable");
        std::fs::write(named("-shm"), b"").expect("writable");
        let stamp = repair::set_aside(&path, 1_700_000_000_000).expect("set aside");
        let aside = repair::aside_path(&path, stamp);
        let note = std::fs::read(named(".aside")).expect("it is written down");
        match stage {
            0 | 1 => std::fs::rename(&aside, &path).expect("back"),
            2 => {}
            3 => std::fs::write(&path, b"").expect("writable"),
            4 => {
                let fresh = folder();
                drop(open(&fresh.path().join("m.sqlite")).expect("opens"));
                std::fs::copy(fresh.path().join("m.sqlite"), &path).expect("copied");
            }
            _ => {
                drop(open(&path).expect("opens"));
                std::fs::write(named(".aside"), &note).expect("writable");
            }
        }
        if stage == 0 {
            std::fs::rename(format!("{}-shm", aside.display()), named("-shm")).expect("back");
        }
        let mut store = open(&path).expect("opens");
        assert!(store.salvaging().is_some(), "stage {stage}: salvage has begun");
        assert!(!named(".aside").exists() && aside.exists(), "stage {stage}");
        finish(&mut store);
        drop(store);
        let is = Contents::of(&path);
        assert_eq!((is.kept(was), is.all()), (was.all(), was.all()), "stage {stage}");
    }
}

#[test]
fn a_file_that_took_the_place_of_the_damaged_one_is_left_alone() {
    let (bytes, was) = original();
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    std::fs::write(&path, b"damaged").expect("writable");
    let stamp = repair::set_aside(&path, 1_700_000_000_000).expect("set aside");
    // Not moved yet when it was killed; then somebody brought the backup.
    std::fs::rename(repair::aside_path(&path, stamp), dir.path().join("hold")).expect("renamed");
    std::fs::write(&path, bytes).expect("writable");
    let store = open(&path).expect("opens");
    assert_eq!(store.salvaging(), None);
    drop(store);
    assert!(!repair::aside_path(&path, stamp).exists());
    assert_eq!(Contents::of(&path), *was);
}

#[test]
fn a_flipped_bit_in_the_number_of_a_series_takes_no_memory() {
    let dir = folder();
    let path = dir.path().join("m.sqlite");
    let mut store = open(&path).expect("opens");
    store.import([("a", START, 1.0), ("b", START, 2.0)].into_iter()).expect("imports");
    drop(store);
    let conn = rusqlite::Connection::open(&path).expect("opens");
    conn.execute_batch(&format!(
        "UPDATE samples SET series_id = series_id + (1 << 46) WHERE value = 2.0;
         INSERT INTO samples VALUES ({}, -(1 << 46), 3.0);
         UPDATE series_dict SET id = id + (1 << 45) WHERE key = 'b';",
        START + 1
    ))
    .expect("damaged");
    drop(conn);
    let mut store = open(&path).expect("opens");
    // A new series comes after the one with the largest number.
    store.import([("c", START + 2, 4.0), ("a", START + 2, 5.0)].into_iter()).expect("imports");
    store.compact(NOW).expect("compacts");
    let head = store.head();
    let reader = Reader::open(&path).expect("opens").with_head(head);
    let of = |key: &str| {
        let series = reader.series().expect("lists").into_iter().find(|s| s.key == key);
        let series = series.expect("known").id;
        let mut column = [block::Column { series, ..Default::default() }];
        reader.columns(START, START + 10, &mut column).expect("reads");
        let [column] = column;
        (column.ts, column.values)
    };
    assert_eq!(of("a"), (vec![START, START + 2], vec![1.0, 5.0]));
    assert_eq!(of("c"), (vec![START + 2], vec![4.0]));
}
