//! kill -9 while upkeep works: sealing, merging, rolling up, pruning, compacting. A file in which
//! all of that happens all the time, and a book of every sample that went into it. More rounds:
//! ci/torture/upkeep.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use plimsoll::store::Reader;
use rusqlite::{Connection, OpenFlags};

use crate::oracle::copy;
use crate::support::*;

/// Promised: ready within two seconds. Here while other tests take both cores.
const READY: Duration = Duration::from_secs(4);
/// Three groups of series, neighbours of the daemon's own.
const SERIES: i64 = 40;
/// Moments of the past that are sent before each start: more than upkeep leaves waiting.
const PAST: i64 = 30;
/// About so many writes to the file bring them in and do all upkeep they ask for.
const WRITES: u64 = 250;
/// Kills that one file lives through.
const LIFE: u64 = 10;
/// Names, of a kilobyte each and kept several times, that fill a small file nearly to its bound.
const NAMES: i64 = 320;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// What retention a file lives under.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    /// A day.
    Age,
    /// As little as the configuration allows.
    Size,
}

const MAX_SIZE: i64 = 4 << 20;

impl Bound {
    fn config(self) -> String {
        let keep = match self {
            Self::Age => "raw = \"1d\"".to_owned(),
            Self::Size => format!("max_size = \"{}MiB\"", MAX_SIZE >> 20),
        };
        format!(
            "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[collect]\ncollectors = \
             [\"loadavg\"]\n[store]\nplain_rows = \"100kB\"\n{keep}\n"
        )
    }
}

fn key(series: i64) -> String {
    format!("numbered_{series}")
}

/// Every sample that was sent and confirmed.
struct Book {
    rows: HashMap<String, BTreeMap<i64, f64>>,
    sent: i64,
    /// The last moment given to samples of now; how far those of the past have come.
    newest: i64,
    past: i64,
    bound: Bound,
}

impl Book {
    fn new(bound: Bound) -> Self {
        let now = now_ms();
        // The past begins before what retention by age keeps.
        Self { rows: HashMap::new(), sent: 0, newest: now, past: now - 30 * HOUR_MS, bound }
    }

    fn value(&self) -> f64 {
        // Not to be compressed, so that few samples fill a file.
        let mixed = (self.sent as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Samples of all series at so many moments, in one transaction: of now, or of the past.
    fn send(&mut self, client: &mut Connection, moments: i64, of_now: bool) {
        let step = if of_now { 1 } else { 30 * HOUR_MS / (LIFE as i64 * moments) };
        let begin = if of_now { self.newest.max(now_ms() - moments) } else { self.past };
        let tx = client.transaction().expect("begins");
        let mut rows = Vec::new();
        {
            let mut insert = tx
                .prepare_cached("INSERT INTO inbox (key, value, ts) VALUES (?1, ?2, ?3)")
                .expect("a table");
            for moment in 1..=moments {
                for series in 0..SERIES {
                    self.sent += 1;
                    let (key, ts, value) = (key(series), begin + moment * step, self.value());
                    insert.execute((&key, value, ts)).expect("taken");
                    rows.push((key, ts, value));
                }
            }
        }
        tx.commit().expect("committed");
        for (key, ts, value) in rows {
            self.rows.entry(key).or_default().insert(ts, value);
        }
        let end = begin + moments * step;
        *(if of_now { &mut self.newest } else { &mut self.past }) = end;
    }

    /// Every promise that a file breaks; it is not in use.
    fn broken_by(&self, file: &Path) -> Vec<String> {
        let mut wrong = Vec::new();
        let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .expect("the file opens");
        let text: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap_or_else(|e| e.to_string());
        if text != "ok" {
            return vec![format!("integrity_check: {text}")];
        }
        let number = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, Option<i64>>(0));
        let state = |name: &str| {
            number(&format!("SELECT max(value) FROM state WHERE name = '{name}'")).expect("state")
        };
        let pruned = state("pruned_until").unwrap_or(i64::MIN);
        if self.bound == Bound::Age && pruned > now_ms() - DAY_MS {
            wrong.push(format!("pruned up to {pruned}, younger than a day"));
        }
        let mut waiting: HashMap<(String, i64), (u32, f64)> = HashMap::new();
        let mut inbox = conn
            .prepare("SELECT key, ts, value FROM inbox WHERE key GLOB 'numbered_*'")
            .expect("a table");
        let mut rows = inbox.query([]).expect("runs");
        while let Some(row) = rows.next().expect("readable") {
            let (key, ts) = (row.get(0).expect("a text"), row.get(1).expect("a number"));
            waiting.entry((key, ts)).or_insert((0, row.get(2).expect("a number"))).0 += 1;
        }
        drop(rows);
        let reader = Reader::open(file).expect("opens");
        let mut found: HashMap<String, BTreeMap<i64, f64>> = HashMap::new();
        for known in reader.series().expect("names") {
            if !known.key.starts_with("numbered_") {
                continue;
            }
            let (ts, values) = reader.samples(known.id, i64::MIN, i64::MAX).expect("reads");
            if !ts.is_sorted_by(|a, b| a < b) {
                wrong.push(format!("{}: a time comes twice", known.key));
            }
            found.insert(known.key, ts.into_iter().zip(values).collect());
        }
        for (key, book) in &self.rows {
            let mut there = found.remove(key).unwrap_or_default();
            for (ts, value) in book {
                let waits = waiting.remove(&(key.clone(), *ts));
                match (there.remove(ts), waits) {
                    (Some(v), None) | (None, Some((1, v))) if v == *value => {}
                    (None, None) if *ts <= pruned => {}
                    (None, None) => wrong.push(format!("{key} at {ts} is lost")),
                    (Some(_), Some(_)) => wrong.push(format!("{key} at {ts} is there twice")),
                    (v, w) => wrong.push(format!("{key} at {ts}: {v:?} {w:?}, not {value}")),
                }
            }
            wrong.extend(there.keys().map(|ts| format!("{key} at {ts} was never sent")));
        }
        wrong.extend(waiting.keys().map(|(key, ts)| format!("{key} at {ts} waits twice")));
        for finding in reader.examine(now_ms()) {
            wrong.extend(finding.wrong.iter().map(|w| format!("{}: {w}", finding.check)));
        }
        wrong.truncate(20);
        wrong
    }

    /// After everything was sealed and rolled up: the hours against the book itself.
    fn wrong_hours(&self, file: &Path) -> (u64, Vec<String>) {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = Connection::open_with_flags(file, flags).expect("the file opens");
        let pruned: Option<i64> = conn
            .query_row("SELECT max(value) FROM state WHERE name = 'pruned_until'", [], |r| r.get(0))
            .expect("state");
        let mut select = conn
            .prepare(
                "SELECT d.key, h.ts, h.count, h.sum, h.min, h.max, h.last
                 FROM rollup_1h h JOIN series_dict d ON d.id = h.series_id",
            )
            .expect("tables");
        let mut rows = select.query([]).expect("runs");
        let (mut checked, mut wrong) = (0, Vec::new());
        while let Some(row) = rows.next().expect("readable") {
            let key: String = row.get(0).expect("a text");
            let start: i64 = row.get(1).expect("a number");
            let Some(book) = self.rows.get(&key) else { continue };
            let values: Vec<f64> = book.range(start..start + HOUR_MS).map(|(_, v)| *v).collect();
            let edge = |f: fn(f64, f64) -> f64| values.iter().copied().reduce(f).unwrap_or(0.0);
            let should = [
                values.len() as f64,
                values.iter().sum(),
                edge(f64::min),
                edge(f64::max),
                values.last().copied().unwrap_or(0.0),
            ];
            let is: Vec<f64> = (2..7).map(|i| row.get(i).expect("a number")).collect();
            // What came for an hour of which some was gone already.
            let some_gone = pruned.is_some_and(|p| start <= p) && is[0] <= should[0];
            checked += 1;
            if !some_gone && is != should {
                wrong.push(format!("{key}, hour {start}: {is:?}, not {should:?}"));
            }
        }
        wrong.truncate(20);
        (checked, wrong)
    }
}

/// What upkeep has come to, as anybody may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    sealed: i64,
    pruned: i64,
    dirty: i64,
    blocks: i64,
    seq: i64,
    oldest: i64,
}

impl Progress {
    fn of(client: &Connection) -> Option<Self> {
        let sql = "SELECT (SELECT value FROM state WHERE name = 'sealed_until'),
            (SELECT value FROM state WHERE name = 'pruned_until'), (SELECT count(*) FROM dirty),
            (SELECT count(*) FROM blocks), (SELECT value FROM state WHERE name = 'seq'),
            (SELECT min(ts) FROM samples)";
        let number = |r: &rusqlite::Row<'_>, i| r.get::<_, Option<i64>>(i).map(|n| n.unwrap_or(0));
        let mut statement = client.prepare_cached(sql).ok()?;
        let progress = statement.query_row([], |r| {
            Ok(Self {
                sealed: number(r, 0)?,
                pruned: number(r, 1)?,
                dirty: number(r, 2)?,
                blocks: number(r, 3)?,
                seq: number(r, 4)?,
                oldest: number(r, 5)?,
            })
        });
        progress.ok()
    }

    /// What was done since.
    fn step_since(&self, before: &Self) -> &'static str {
        if self.sealed != before.sealed {
            "seal"
        } else if self.dirty != before.dirty {
            "rollup"
        } else if self.pruned != before.pruned || self.oldest != before.oldest {
            "prune"
        } else if self.blocks != before.blocks || self.seq != before.seq {
            "merge"
        } else {
            "nothing"
        }
    }
}

/// Samples, a start that has to seal them, one kill. What upkeep was seen doing just before.
fn one(folder: &Folder, book: &mut Book, dice: &mut Dice, ready: &mut Duration) -> &'static str {
    let mut client = Connection::open(folder.db()).expect("opens");
    client.busy_timeout(Duration::from_secs(10)).expect("settable");
    // The first commit takes them in, and upkeep begins right after it.
    book.send(&mut client, 20 + dice.roll(60) as i64, true);
    book.send(&mut client, PAST, false);
    let aim = dice.roll(8);
    let command = match aim {
        0..3 => doomed(folder, 1 + dice.roll(WRITES)),
        _ => folder.plimsoll(&["run"]),
    };
    let mut last = Progress::of(&client);
    let mut daemon = Daemon::spawn(command, &folder.join("log"));
    let mut compact = None;
    if dice.roll(4) == 0 {
        // One that is to die by a write may be gone before it is ready.
        eventually("ready or gone", READY, || {
            if daemon.logged(" listening ") > 0 || !daemon.runs() {
                Ok(())
            } else {
                Err(daemon.log())
            }
        });
        if daemon.logged(" listening ") > 0 {
            *ready = (*ready).max(daemon.ready(READY));
        }
        compact =
            folder.plimsoll(&["compact"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
    }
    let mut seen = "nothing";
    match aim {
        // In the middle of a write.
        0..3 => {
            let end = Instant::now() + Duration::from_secs(2);
            while daemon.runs() && Instant::now() < end {
                pause(Duration::from_millis(1));
            }
            seen = if daemon.runs() { "nothing" } else { "a write" };
        }
        3 => {
            pause(dice.millis(300));
            seen = "not looked";
        }
        // When a step of the kind that is aimed at was just done, a moment into the next.
        _ => {
            let kind = ["seal", "rollup", "merge", "prune", "prune"][dice.roll(5) as usize];
            let end = Instant::now() + Duration::from_millis(800);
            while Instant::now() < end && seen != kind {
                let now = Progress::of(&client);
                if let (Some(now), Some(before)) = (now, last)
                    && now != before
                {
                    seen = now.step_since(&before);
                }
                last = now.or(last);
            }
            pause(Duration::from_micros(dice.roll(2_000)));
        }
    }
    daemon.kill();
    if let Some(mut compact) = compact {
        // It was told that it is done, or nothing more.
        compact.kill().expect("it is ours");
        compact.wait().expect("it is ours");
    }
    seen
}

#[test]
fn killed_in_the_middle_of_upkeep_it_keeps_every_sample_and_its_rollups() {
    let rounds = knob("PLIMSOLL_UPKEEP_KILLS", 20);
    let seed = knob("PLIMSOLL_SEED", 2017);
    let mut dice = Dice::new(seed);
    let begun = Instant::now();
    let (mut ready, mut seen) = (Duration::ZERO, BTreeMap::<&str, u64>::new());
    let (mut samples, mut blocks, mut hours, mut life) = (0, 0, 0, 0);
    while life * LIFE < rounds {
        let bound = if life % 2 == 0 { Bound::Age } else { Bound::Size };
        let folder = Folder::new();
        folder.start(&bound.config()).stop();
        let mut book = Book::new(bound);
        if bound == Bound::Size {
            let client = Connection::open(folder.db()).expect("opens");
            let sql =
                "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                 INSERT INTO inbox (key, value, ts) SELECT printf('%0990d', i), 1, ?2 FROM n";
            client.execute(sql, (NAMES, now_ms())).expect("taken");
        }
        for round in 0..LIFE.min(rounds - life * LIFE) {
            *seen.entry(one(&folder, &mut book, &mut dice, &mut ready)).or_default() += 1;
            let copied = Folder::new();
            let broken = book.broken_by(&copy(&folder.db(), &copied));
            assert_eq!(broken, Vec::<String>::new(), "{bound:?}, round {round} of seed {seed}");
        }
        let daemon = folder.start(&bound.config());
        // Thousands of rows may wait after the kills: on a busy machine that takes a while.
        eventually("all is taken in", PATIENCE * 3, || {
            match sqlite3(&folder.db(), "SELECT count(*) FROM inbox").as_str() {
                "0" => Ok(()),
                rows => Err(format!("{rows} rows wait; {:?}; {}", daemon.problems(), daemon.log())),
            }
        });
        daemon.stop();
        folder.ask(&["compact"]).well();
        assert_eq!(book.broken_by(&folder.db()), Vec::<String>::new(), "{bound:?}, seed {seed}");
        let (checked, wrong) = book.wrong_hours(&folder.db());
        assert_eq!(wrong, Vec::<String>::new(), "{bound:?}, seed {seed}");
        folder.ask(&["doctor"]).well();
        samples += book.sent;
        hours += checked;
        let seq = sqlite3(&folder.db(), "select value from state where name = 'seq'");
        blocks += seq.parse::<u64>().expect("a number");
        life += 1;
    }
    println!(
        "{rounds} kills in {} s, seen just before: {seen:?}; {samples} samples, {blocks} blocks and \
         {hours} hours were made; none lost or doubled; ready after {} ms at most",
        begun.elapsed().as_secs(),
        ready.as_millis()
    );
    assert!(blocks > rounds && hours > 0, "it tested something");
}

#[test]
fn the_book_sees_what_is_lost_doubled_or_wrong() {
    let folder = Folder::new();
    folder.start(&Bound::Age.config()).stop();
    let mut book = Book::new(Bound::Age);
    let mut client = Connection::open(folder.db()).expect("opens");
    // Young enough to be kept, over several hours.
    book.past = now_ms() - 20 * HOUR_MS;
    for of_now in [false, true, false] {
        book.send(&mut client, 40, of_now);
    }
    drop(client);
    let daemon = folder.start(&Bound::Age.config());
    eventually("all is taken in", PATIENCE, || {
        match sqlite3(&folder.db(), "SELECT count(*) FROM inbox").as_str() {
            "0" => Ok(()),
            rows => Err(format!("{rows} rows wait")),
        }
    });
    daemon.stop();
    folder.ask(&["compact"]).well();
    assert_eq!(book.broken_by(&folder.db()), Vec::<String>::new());
    let (checked, wrong) = book.wrong_hours(&folder.db());
    assert!(checked > 100 && wrong.is_empty(), "{checked}: {wrong:?}");
    let row = "(SELECT ts FROM samples JOIN series_dict ON id = series_id WHERE key = 'numbered_3' \
               ORDER BY ts DESC LIMIT 1)";
    for (harm, complaint) in [
        // Plain rows go too, or they would stand in for it.
        (
            "DELETE FROM samples; DELETE FROM blocks WHERE id = (SELECT id FROM blocks WHERE \
             resolution = 0 ORDER BY start LIMIT 1)"
                .to_owned(),
            " is lost",
        ),
        (
            format!("INSERT INTO inbox (key, value, ts) VALUES ('numbered_3', 0.5, {row})"),
            " is there twice",
        ),
        (
            "INSERT INTO inbox (key, value, ts) VALUES ('numbered_3', 0.5, 7), \
             ('numbered_3', 0.5, 7)"
                .to_owned(),
            " waits twice",
        ),
        (
            "UPDATE blocks SET data = substr(data, 1, length(data) - 9) || zeroblob(9) WHERE \
             resolution = 0; DELETE FROM samples"
                .to_owned(),
            " is lost",
        ),
        ("UPDATE rollup_1h SET max = max + 1".to_owned(), "rollups: "),
    ] {
        let copied = Folder::new();
        let file = copy(&folder.db(), &copied);
        sqlite3(&file, &harm);
        let broken = book.broken_by(&file);
        assert!(broken.iter().any(|b| b.contains(complaint)), "{harm}: {broken:?}");
    }
    let copied = Folder::new();
    let file = copy(&folder.db(), &copied);
    sqlite3(&file, "UPDATE rollup_1h SET count = count - 1");
    assert!(!book.wrong_hours(&file).1.is_empty());
}
