//! docs/SCHEMA.md says "read as much as you like": a program that holds an old picture of the database
//! keeps its log from being emptied. Samples then wait in a file beside it, and none is lost.

use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};

use crate::push::send;
use crate::support::*;

/// Few series of its own, so that what is pushed counts; little of everything else.
fn config(max_size: &str, queue: &str) -> String {
    format!(
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [collect]\ncollectors = [\"loadavg\"]\n\
         [store]\nmax_size = \"{max_size}\"\nqueue = \"{queue}\"\n"
    )
}

const SERIES: usize = 500;

/// A folder with a daemon's files, somebody who reads them, and what was acknowledged.
struct Held {
    folder: Folder,
    reader: Option<Connection>,
    pushed: i64,
    began: i64,
}

impl Held {
    /// Somebody holds a picture of the database, and the files reach their bound.
    fn begin(config: &str, max_size: u64) -> (Self, Daemon) {
        let folder = Folder::new();
        let daemon = folder.start(config);
        daemon.rows_after(0);
        let filler = Connection::open(folder.db()).expect("opens");
        filler.busy_timeout(PATIENCE).expect("settable");
        filler
            .execute_batch("CREATE TABLE filler (b BLOB); INSERT INTO filler VALUES (x'00')")
            .expect("takes it");
        let reader = Connection::open_with_flags(folder.db(), OpenFlags::SQLITE_OPEN_READ_ONLY)
            .expect("readable");
        reader.execute_batch("BEGIN; SELECT count(*) FROM series").expect("a picture");
        let log = folder.join("metrics.sqlite-wal");
        while std::fs::metadata(&log).map_or(0, |m| m.len()) <= max_size {
            filler.execute_batch("UPDATE filler SET b = randomblob(400000)").expect("takes it");
        }
        let began = now_ms() - 40_000_000;
        (Self { folder, reader: Some(reader), pushed: 0, began }, daemon)
    }

    fn spill(&self) -> PathBuf {
        self.folder.join("metrics.sqlite-spill")
    }

    fn spilled(&self) -> u64 {
        std::fs::metadata(self.spill()).map_or(0, |m| m.len())
    }

    /// One push of a sample of each series: what it was answered.
    fn push(&mut self, daemon: &Daemon) -> u16 {
        let ts = self.began + self.pushed * 1_000;
        let lines: Vec<String> =
            (0..SERIES).map(|n| format!("m{n} value={} {ts}", self.pushed)).collect();
        let body = lines.join("\n");
        let path = "/write?precision=ms";
        let answer = send(daemon.address(), "POST", path, &[], body.as_bytes());
        if answer.status == 204 {
            self.pushed += 1;
        }
        answer.status
    }

    fn push_many(&mut self, daemon: &Daemon, times: usize) {
        for _ in 0..times {
            assert_eq!(self.push(daemon), 204, "{}", daemon.log());
        }
    }

    fn waits_for_spill(&self) {
        eventually("a spill", PATIENCE, || match self.spilled() {
            0 => Err("none".into()),
            _ => Ok(()),
        });
    }

    /// The reader goes.
    fn let_go(&mut self) {
        self.reader = None;
    }

    fn taken_in(&self, daemon: &Daemon) {
        eventually("all is taken in", PATIENCE, || match self.spilled() {
            0 => Ok(()),
            bytes => Err(format!("{bytes} bytes wait; {}", daemon.log())),
        });
        daemon.healthy();
    }

    /// Each sample that was acknowledged is there, once, with its value.
    fn is_all_there(&self) {
        let sql = "select count(*) n, count(distinct key || ts) d, cast(sum(value) as integer) s \
                   from samples_all('m*') where key <> 'memory'";
        let said = self.folder.ask(&["sql", "--format", "csv", sql]).well();
        let (series, pushes) = (SERIES as i64, self.pushed);
        let all = series * pushes;
        let sum = series * pushes * (pushes - 1) / 2;
        assert_eq!(said.lines().last(), Some(&*format!("{all},{all},{sum}")), "{said}");
        assert_eq!(sqlite3(&self.folder.db(), "PRAGMA integrity_check"), "ok");
    }
}

/// Samples that were counted as lost, of whatever source.
fn lost(daemon: &Daemon) -> Vec<String> {
    let metrics = daemon.http("GET", "/metrics").body;
    metrics
        .lines()
        .filter(|l| l.starts_with("plimsoll_samples_dropped_total") && !l.ends_with(" 0"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_program_may_hold_its_picture_and_no_sample_is_lost() {
    let config = config("16MiB", "5s");
    let (mut held, daemon) = Held::begin(&config, 16 << 20);
    held.waits_for_spill();
    held.push_many(&daemon, 60);
    let own = format!("{} daemon", std::process::id());
    eventually("/health says who", PATIENCE, || match daemon.problems().join("; ") {
        p if p.contains(&own) && p.contains("samples are kept in") => Ok(()),
        p => Err(p),
    });
    let doctor = held.folder.ask(&["doctor"]);
    assert!(doctor.out.contains("samples wait in "), "{doctor:?}");
    assert!(doctor.out.contains(&own), "{doctor:?}");
    assert!(!doctor.out.contains(&format!("{} ", daemon.pid())), "not plimsoll itself: {doctor:?}");
    let log = held.folder.join("metrics.sqlite-wal");
    let size = || std::fs::metadata(&log).map_or(0, |m| m.len());
    let before = size();
    held.push_many(&daemon, 60);
    assert_eq!(size(), before, "the log has its bound");
    // The queue holds five seconds.
    let from = now_ms();
    pause(std::time::Duration::from_secs(8));
    held.let_go();
    held.taken_in(&daemon);
    held.is_all_there();
    assert_eq!(lost(&daemon), Vec::<String>::new());
    // Its own readings of that time are there too.
    let own = timestamps(&held.folder.db(), "plimsoll_commits_total");
    let (first, last) = (from + 500, from + 7_500);
    assert!(own.iter().filter(|ts| (first..last).contains(*ts)).count() > 3, "{own:?}");
    // Each was taken in once.
    let stored = "plimsoll_samples_total{source=\"influx\"}";
    let all = (held.pushed * SERIES as i64) as f64;
    eventually("the counter", PATIENCE, || match daemon.value(stored) {
        Some(n) if n == all => Ok(()),
        n => Err(format!("{n:?} of {all}")),
    });
    daemon.stop();
    held.folder.ask(&["doctor"]).well();
}

#[test]
fn killed_while_samples_wait_beside_the_database_it_takes_all_in() {
    let config = config("16MiB", "15m");
    let (mut held, daemon) = Held::begin(&config, 16 << 20);
    held.waits_for_spill();
    held.push_many(&daemon, 15);
    daemon.kill();
    let daemon = held.folder.start(&config);
    held.push_many(&daemon, 15);
    daemon.stop();
    let before = held.spilled();
    assert!(before > 0, "a stop keeps what waits");
    // Nothing was told of what was being written.
    let mut bytes = std::fs::read(held.spill()).expect("readable");
    bytes.extend(b"SPIL half a record");
    std::fs::write(held.spill(), bytes).expect("writable");
    let daemon = held.folder.start(&config);
    held.push_many(&daemon, 5);
    daemon.kill();
    held.let_go();
    let daemon = held.folder.start(&config);
    held.taken_in(&daemon);
    held.is_all_there();
    daemon.stop();
}

#[test]
fn killed_while_it_takes_them_in_it_goes_on_where_it_was() {
    let config = config("16MiB", "15m");
    let (mut held, daemon) = Held::begin(&config, 16 << 20);
    held.waits_for_spill();
    held.push_many(&daemon, 160);
    daemon.kill();
    held.let_go();
    let mut dice = Dice::new(knob("PLIMSOLL_SEED", 2017));
    let mut halfway = 0;
    let mut taken_in = 0;
    while held.spilled() > 0 {
        let daemon = Daemon::spawn(held.folder.plimsoll(&["run"]), &held.folder.join("log"));
        // A step further than before, and some time of the next.
        taken_in = eventually("a step is taken in", PATIENCE, || {
            let sql = "select coalesce((select value from state where name = 'spill_at'), 0)";
            let at = sqlite3(&held.folder.db(), sql).parse::<u64>().unwrap_or(0);
            if at != taken_in || held.spilled() == 0 { Ok(at) } else { Err(daemon.log()) }
        });
        pause(dice.millis(20));
        daemon.kill();
        halfway += usize::from(held.spilled() > 0);
    }
    assert!(halfway > 0, "no kill came between two steps: the test shows nothing");
    let daemon = held.folder.start(&config);
    held.taken_in(&daemon);
    held.is_all_there();
    daemon.stop();
}

#[test]
fn the_file_beside_the_database_has_a_bound_that_is_told() {
    let config = config("4MiB", "2s");
    let (mut held, daemon) = Held::begin(&config, 4 << 20);
    held.waits_for_spill();
    // A busy machine may refuse one earlier.
    eventually("it is full, and /health says so", PATIENCE, || {
        let status = held.push(&daemon);
        match daemon.problems().join("; ") {
            p if p.contains("has reached its bound of") => Ok(()),
            p => Err(format!("{status}, {} bytes: {p}", held.spilled())),
        }
    });
    assert!(held.spilled() <= 1 << 20, "{}", held.spilled());
    eventually("what is lost is counted", PATIENCE, || {
        let lost = lost(&daemon).join("; ");
        let own = lost.contains("source=\"collect\"") && lost.contains("queue_full");
        if own { Ok(()) } else { Err(lost) }
    });
    held.let_go();
    held.taken_in(&daemon);
    // The one that was refused was not written.
    held.is_all_there();
    assert_eq!(held.push(&daemon), 204);
    held.is_all_there();
    daemon.stop();
}

#[test]
fn a_file_that_is_no_spill_is_set_aside() {
    let folder = Folder::new();
    let spill = folder.join("metrics.sqlite-spill");
    std::fs::write(&spill, "my notes, do not delete").expect("writable");
    let daemon = folder.start(&config("16MiB", "2s"));
    daemon.rows_after(0);
    daemon.healthy();
    daemon.says("set aside as");
    assert!(!spill.exists());
    let kept = std::fs::read_dir(folder.path()).expect("readable").flatten().find(|entry| {
        entry.file_name().to_string_lossy().starts_with("metrics.sqlite-spill.aside-")
    });
    let kept = std::fs::read_to_string(kept.expect("it is there").path()).expect("readable");
    assert_eq!(kept, "my notes, do not delete");
    daemon.stop();
}
