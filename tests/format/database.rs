//! Databases that the real binary made: what was put in, what plimsoll says of it and what the
//! reader says are one, through sealing, late samples, rollups, retention and damage.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use plimsoll::model::{Clock, SystemClock};
use plimsoll::store::{Reader, Store, Times};
use rusqlite::Connection;

use super::{KINDS, Random, next_value, read, reader};

/// A long time ago, so that all of it is sealed; the middle of five minutes.
const START: i64 = 1_700_000_000_000;
/// Those of which no text tells which NaN it is.
const NOT_IN_TEXT: [usize; 4] = [24, 25, 26, 27];

/// Bits by series and time.
type Samples = BTreeMap<(String, i64), u64>;
/// The bits of the seven parts by series and bucket.
type Rollups = BTreeMap<(String, i64), Vec<u64>>;

/// Without printing thousands of them.
#[track_caller]
fn assert_same<V: PartialEq + std::fmt::Debug>(
    found: &BTreeMap<(String, i64), V>,
    expected: &BTreeMap<(String, i64), V>,
) {
    assert_eq!(found.iter().zip(expected).find(|(a, b)| a != b), None);
    assert_eq!(found.len(), expected.len());
}

/// A folder with a database, and what it is to hold.
struct Database {
    dir: tempfile::TempDir,
    expected: Samples,
}

impl Database {
    fn path(&self) -> PathBuf {
        self.dir.path().join("m.sqlite")
    }

    fn plimsoll(&self, args: &[&str]) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(["--config", "plimsoll.toml", "--db", "m.sqlite"])
            .args(args)
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn configure(&self, raw: &str) {
        let limits = format!(
            "[store]\nplain_rows = \"1MB\"\nraw = \"{raw}\"\nfive_minutes = \"100y\"\nhours = \"100y\"\n"
        );
        fs::write(self.dir.path().join("plimsoll.toml"), limits).unwrap();
    }

    fn expect(&mut self, rows: &[(String, i64, f64)]) {
        let rows = rows.iter().map(|(key, ts, value)| ((key.clone(), *ts), value.to_bits()));
        self.expected.extend(rows);
    }

    fn import(&mut self, rows: &[(String, i64, f64)]) {
        let mut csv = String::from("key,timestamp,value\n");
        for (key, ts, value) in rows {
            writeln!(csv, "\"{}\",{ts},{value:?}", key.replace('"', "\"\"")).unwrap();
        }
        fs::write(self.dir.path().join("rows.csv"), csv).unwrap();
        self.plimsoll(&["import", "rows.csv"]);
        self.expect(rows);
    }

    /// As the daemon takes them in.
    fn write(&mut self, rows: &[(String, i64, f64)]) {
        let mut store = Store::open(&self.path(), "here", std::sync::Arc::default()).unwrap();
        let taken = rows.iter().map(|(key, ts, value)| (key.as_str(), *ts, *value));
        assert_eq!(store.import(taken).unwrap(), 0, "refused");
        self.expect(rows);
    }

    fn number(&self, statement: &str) -> i64 {
        let db = Connection::open(self.path()).unwrap();
        db.query_row(statement, [], |row| row.get(0)).unwrap()
    }

    /// A month of a few machines in a few hours: beaten together, each at its own time, for long,
    /// now and then.
    fn new() -> Self {
        let mut database = Self { dir: tempfile::tempdir().unwrap(), expected: Samples::new() };
        database.configure("100y");
        let mut random = Random(0x5EA1ED);
        let (mut in_text, mut others) = (Vec::new(), Vec::new());
        for kind in 0..KINDS {
            let name = if [3, 4, 5, 6].contains(&kind) { "_total" } else { "" };
            // Ten seconds, but for a machine that was off, and readings of its own that failed.
            let mut level = 0;
            let together = (0..1_200).filter(|i| !(700..760).contains(i)).filter_map(|i| {
                let value = next_value(kind, i, &mut level, &mut random);
                let fails = kind % 5 == 1 && i % 311 == 9;
                (!fails).then_some((START + i as i64 * 10_000, value))
            });
            let key = format!("together{name}{{kind=\"{kind}\",of=\"a, b\"}}");
            let list = if NOT_IN_TEXT.contains(&kind) { &mut others } else { &mut in_text };
            list.extend(together.map(|(ts, value)| (key.clone(), ts, value)));
            let (mut level, mut at) = (0, START + 77);
            for i in 0..[400, 1, 90][kind % 3] {
                at += if kind % 2 == 0 { 1 + random.below(45_000) } else { 60_000 };
                let value = next_value(kind, i, &mut level, &mut random);
                list.push((format!("alone{name}_{kind}"), at, value));
            }
        }
        for (key, kind) in [("long_decimals", 14), ("long_floats", 19), ("long_counter_total", 5)] {
            let mut level = 0;
            in_text.extend((0..9_000).map(|i| {
                let value = next_value(kind, i, &mut level, &mut random);
                (key.to_owned(), START + i as i64 * 1_000, value)
            }));
        }
        // What lo receives it sends, and a share of it is a share.
        let mut level = 0;
        for i in 0..1_500 {
            let value = next_value(4, i, &mut level, &mut random);
            for (key, times) in [("lo_in_total", 1.0), ("lo_out_total", 1.0), ("lo_bits", 8.0)] {
                in_text.push((key.to_owned(), START + i as i64 * 10_000, value * times));
            }
        }
        database.import(&in_text);
        database.write(&others);
        database
    }

    /// Readings of a minute ago, which nobody seals yet.
    fn go_on(&mut self) {
        let now = SystemClock.wall_ms();
        let mut level = 0;
        let mut random = Random(9);
        let rows = (0..300).map(|i| {
            let value = next_value(24, i, &mut level, &mut random);
            (format!("new_{}", i % 3), now - 60_000 + i as i64, value)
        });
        self.write(&rows.collect::<Vec<_>>());
    }

    /// What the daemon does when there is time, until blocks share time.
    fn seal_late(&mut self) {
        let mut store = Store::open(&self.path(), "here", std::sync::Arc::default()).unwrap();
        let now = Times { wall: SystemClock.wall_ms(), boot: 3_600_000 };
        let sharing = "SELECT count(*) FROM blocks a JOIN blocks b USING (resolution, grp)
                       WHERE a.seq < b.seq AND a.start <= b.end AND a.end >= b.start";
        while self.number(sharing) < 2 {
            assert!(store.upkeep(now, Duration::ZERO).unwrap(), "nothing left to do");
        }
    }

    /// Late ones, more than upkeep leaves waiting: between the others, in their place, of new series,
    /// before everything.
    fn come_late(&mut self) {
        let mut random = Random(3);
        let known: Vec<(String, i64)> = self.expected.keys().cloned().collect();
        let mut rows = Vec::new();
        for i in 0..1_500 {
            let (key, ts) = &known[random.below(known.len() as i64) as usize];
            let key = if i % 9 == 0 { format!("late_{}", i % 4) } else { key.clone() };
            let ts = match i % 3 {
                0 => *ts,
                1 => ts + random.below(20_000),
                _ => START - random.below(40_000_000),
            };
            rows.push((key, ts, random.below(100_000) as f64 / 8.0));
        }
        self.import(&rows);
    }
}

fn reader_samples(text: &str) -> Samples {
    let mut all = Samples::new();
    for line in text.lines() {
        let mut words = line.rsplitn(3, ',');
        let bits = u64::from_str_radix(words.next().unwrap(), 16).unwrap();
        let ts = words.next().unwrap().parse().unwrap();
        let before = all.insert((words.next().unwrap().to_owned(), ts), bits);
        assert_eq!(before, None, "twice: {line}");
    }
    all
}

fn reader_rollups(text: &str) -> Rollups {
    text.lines()
        .map(|line| {
            let mut words = line.rsplitn(9, ',');
            let mut parts: Vec<u64> =
                (&mut words).take(7).map(|word| u64::from_str_radix(word, 16).unwrap()).collect();
            parts.reverse();
            let ts = words.next().unwrap().parse().unwrap();
            ((words.next().unwrap().to_owned(), ts), parts)
        })
        .collect()
}

/// What plimsoll itself finds.
fn own_samples(path: &Path) -> Samples {
    let reader = Reader::open(path).unwrap();
    let mut all = Samples::new();
    for known in reader.series().unwrap() {
        let (ts, values) = reader.samples(known.id, i64::MIN, i64::MAX).unwrap();
        let values = values.iter().map(|v| v.to_bits());
        all.extend(ts.iter().map(|ts| (known.key.clone(), *ts)).zip(values));
    }
    all
}

fn own_rollups(path: &Path) -> Rollups {
    let reader = Reader::open(path).unwrap();
    let (from, to) = (START - START % 3_600_000 - 30 * 3_600_000, START + 30 * 3_600_000);
    let to = to - to % 3_600_000;
    let mut all = Rollups::new();
    for known in reader.series().unwrap() {
        let parts = [0, 1, 2, 3, 4, 5, 6];
        for rolled in reader.rollups(&[known.id], &parts, from, to, false).unwrap() {
            assert_eq!(rolled.hours_until, from, "five minutes throughout");
            for (i, end) in rolled.ends.iter().enumerate() {
                let bits = rolled.parts.iter().map(|part| part[i].to_bits()).collect();
                all.insert((known.key.clone(), end - 300_000), bits);
            }
        }
    }
    all
}

#[test]
fn every_sample_and_every_rollup_is_found() {
    let mut database = Database::new();
    let path = database.path();
    let db = path.to_str().unwrap();
    let check = |database: &Database| {
        assert_same(&reader_samples(&read(&["samples", db], "")), &database.expected);
        assert_same(&own_samples(&path), &database.expected);
    };

    check(&database); // nothing is sealed
    database.plimsoll(&["compact"]);
    let groups = database.number("SELECT count(DISTINCT grp) FROM blocks");
    let blocks = database.number("SELECT count(*) FROM blocks WHERE resolution = 0");
    assert!(groups > 3 && blocks > groups, "{blocks} blocks of {groups} groups");
    check(&database);
    database.come_late();
    assert!(database.number("SELECT count(*) FROM late") > 1_000);
    check(&database);
    database.seal_late();
    check(&database);
    database.go_on();
    check(&database);
    database.plimsoll(&["compact"]);
    assert_eq!(database.number("SELECT count(*) FROM late"), 0);
    check(&database);

    let rollups = reader_rollups(&read(&["rollups", db], ""));
    assert!(rollups.len() > 2_000, "{}", rollups.len());
    assert_same(&rollups, &own_rollups(&path));

    // And as anybody asks for them. SQL has no NaN, and its texts no sign of zero.
    let listed = database.plimsoll(&[
        "sql",
        "--format",
        "list",
        "select key, ts, value from samples_all() where value is not null and value <> 0",
    ]);
    let listed: Samples = listed
        .lines()
        .map(|line| {
            let mut words = line.rsplitn(3, '|');
            let value: f64 = words.next().unwrap().parse().unwrap();
            let ts = words.next().unwrap().parse().unwrap();
            ((words.next().unwrap().to_owned(), ts), value.to_bits())
        })
        .collect();
    let mut numbers = database.expected.clone();
    numbers.retain(|_, bits| !f64::from_bits(*bits).is_nan() && f64::from_bits(*bits) != 0.0);
    assert_same(&listed, &numbers);

    // Most blocks are too old by now, all but that which the rows of now were merged into; what plain
    // rows still hold of their time is there all the same.
    database.configure("1d");
    database.plimsoll(&["compact"]);
    assert!(database.number("SELECT count(*) FROM blocks WHERE resolution = 0") < 3);
    let left = reader_samples(&read(&["samples", db], ""));
    assert!((1_000..database.expected.len()).contains(&left.len()), "{}", left.len());
    assert!(left.iter().all(|(at, bits)| database.expected.get(at) == Some(bits)));
    assert_same(&left, &own_samples(&path));
}

/// One bit of every block is turned: each is named, and what is read of the others is right.
#[test]
fn every_turned_bit_is_noticed() {
    let mut database = Database::new();
    database.come_late();
    database.plimsoll(&["compact"]);
    let path = database.path();
    let db = path.to_str().unwrap();
    let rollups = reader_rollups(&read(&["rollups", db], ""));
    let original = database.dir.path().join("original.sqlite");
    Reader::open(&path).unwrap().backup(&original).unwrap();

    let mut random = Random(77);
    // The directories first, then bits of anything.
    for round in 0..4 {
        let turned = database.dir.path().join(format!("turned{round}.sqlite"));
        fs::copy(&original, &turned).unwrap();
        let mut by_resolution = BTreeMap::from([(0, BTreeSet::new()), (300_000, BTreeSet::new())]);
        {
            let mut db = Connection::open(&turned).unwrap();
            let tx = db.transaction().unwrap();
            let blocks: Vec<(i64, i64, Vec<u8>)> = tx
                .prepare("SELECT id, resolution, data FROM blocks")
                .unwrap()
                .query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            for (id, resolution, mut data) in blocks {
                let within = if round < 3 { 220 } else { data.len() };
                let at = random.below(within.min(data.len()) as i64) as usize;
                data[at] ^= 1 << random.below(8);
                tx.execute("UPDATE blocks SET data = ?2 WHERE id = ?1", (id, data)).unwrap();
                by_resolution.get_mut(&resolution).unwrap().insert(id);
            }
            tx.commit().unwrap();
        }
        for (resolution, what) in [(0, "samples"), (300_000, "rollups")] {
            let output = reader(&[what, turned.to_str().unwrap()], "");
            assert_eq!(output.status.code(), Some(1), "{what}");
            let told: BTreeSet<i64> = String::from_utf8(output.stderr)
                .unwrap()
                .lines()
                .map(|line| {
                    let id = line.strip_prefix("damaged: block ").expect("a complaint");
                    id[..id.find([':', ',']).unwrap()].parse().unwrap()
                })
                .collect();
            assert_eq!(told, by_resolution[&resolution], "{what}");
            let left = String::from_utf8(output.stdout).unwrap();
            if resolution == 0 {
                let left = reader_samples(&left);
                assert!(left.iter().all(|(at, bits)| database.expected.get(at) == Some(bits)));
                assert!(left.len() < database.expected.len());
                // A column that is lost takes no other one with it.
                assert!(round < 3 || left.len() > database.expected.len() / 10);
            } else {
                let left = reader_rollups(&left);
                assert!(left.iter().all(|(at, parts)| rollups.get(at) == Some(parts)));
            }
        }
    }
}
