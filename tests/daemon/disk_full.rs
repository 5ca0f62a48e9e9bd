//! A full disk: an 8 MiB one, in a mount namespace of its own. The monitor is needed most then.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::oracle::Ledger;
use crate::support::*;

const FILL: &str = "{ cat /dev/zero > ballast; } 2>/dev/null";

/// A daemon on a small disk that only it and those who enter its namespace see.
struct OnSmallDisk {
    daemon: Daemon,
    db: PathBuf,
    folder: Folder,
}

/// Mounts the disk, does what `first` says in it, becomes the daemon.
fn command(folder: &Folder, size: &str, first: &str) -> Command {
    need_root("mounting a small disk");
    let disk = folder.join("disk");
    std::fs::create_dir(&disk).expect("made");
    let script = format!(
        "mount -t tmpfs -o size={size} small \"$1\" || exit; cp old.sqlite \"$1/metrics.sqlite\"
         cd \"$1\" && shift; {first}; exec \"$0\" \"$@\""
    );
    let mut command = tool("unshare", "util-linux");
    command.current_dir(folder.path());
    command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, PLIMSOLL]).arg(&disk);
    command.arg("run").arg("--db").arg(disk.join("metrics.sqlite"));
    command.arg("--config").arg(folder.configure(FAST));
    command
}

impl OnSmallDisk {
    fn start(size: &str, first: &str) -> Self {
        let folder = Folder::new();
        let other = Folder::new();
        std::fs::copy(other.filled(), folder.join("old.sqlite")).expect("copied");
        Self::begin(folder, size, first)
    }

    fn begin(folder: Folder, size: &str, first: &str) -> Self {
        let daemon = Daemon::spawn(command(&folder, size, first), &folder.join("log"));
        daemon.ready(PATIENCE);
        Self { daemon, db: folder.join("disk/metrics.sqlite"), folder }
    }

    fn enter(&self, program: &str, package: &str) -> Command {
        tool(program, package);
        let mut command = tool("nsenter", "util-linux");
        command.args(["--mount", "--target", &self.daemon.pid().to_string(), program]);
        command
    }

    /// What Debian's sqlite3 prints, there.
    fn sqlite3(&self, sql: &str) -> String {
        let mut command = self.enter("sqlite3", "sqlite3");
        command.args(["-batch", "-init", "/dev/null", "-cmd", ".timeout 5000"]);
        run(command.arg(&self.db).arg(sql)).well().trim_end().to_owned()
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        let script = format!("cd \"$0\" && {FILL}; true");
        let disk = self.folder.join("disk");
        run(self.enter("sh", "dash").args(["-c", &script]).arg(disk)).well();
    }

    fn free(&self) {
        run(self.enter("rm", "coreutils").arg(self.folder.join("disk/ballast"))).well();
    }

    fn says_that_the_disk_is_full(&self) {
        eventually("it says that the disk is full", PATIENCE, || match self.daemon.problems() {
            p if p.iter().any(|p| p.contains("the disk is full")) => Ok(()),
            p => Err(format!("{p:?}")),
        });
    }

    /// Waits until what is measured after a moment is on disk, and looks there.
    fn writes_after(&self, ms: i64) {
        eventually("durable", PATIENCE, || {
            let mut ledger = Ledger::default();
            ledger.note(&self.daemon.json("/api/status"));
            if ledger.promised_at(ms) { Ok(()) } else { Err(self.daemon.log()) }
        });
        let newest = self.sqlite3("select max(ts) from samples");
        assert!(newest.parse::<i64>().expect("a number") >= ms, "{newest}");
    }

    /// A consistent copy, outside.
    fn copy(&self) -> PathBuf {
        let copy = self.folder.join(&format!("copy-{}.sqlite", now_ms()));
        self.sqlite3(&format!("VACUUM INTO '{}'", copy.display()));
        copy
    }
}

#[test]
fn collecting_and_answering_go_on_and_writing_resumes_by_itself() {
    let small = OnSmallDisk::start("8m", "true");
    let daemon = &small.daemon;
    small.writes_after(now_ms());
    small.fill();
    small.says_that_the_disk_is_full();
    let (from, newest) = (now_ms(), small.sqlite3("select max(ts) from samples"));
    let mut ledger = Ledger::default();
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        ledger.note(&daemon.json("/api/status"));
        pause(Duration::from_millis(50));
    }
    let to = now_ms();
    assert_eq!(daemon.http("GET", "/health").status, 503);
    assert_eq!(daemon.http("GET", "/metrics").status, 200);
    assert!(daemon.value("plimsoll_queue_samples").expect("a value") > 100.0, "samples wait");
    assert!(daemon.value("plimsoll_commit_errors_total").expect("a value") >= 2.0, "counted");
    assert_eq!(small.sqlite3("select max(ts) from samples"), newest, "it was full all the time");
    assert_eq!(daemon.logged(" warn "), 1, "one line for all failures: {}", daemon.log());
    assert_eq!(daemon.log().lines().count(), 4, "{}", daemon.log());

    small.free();
    let freed = Instant::now();
    small.writes_after(to);
    assert!(freed.elapsed() < Duration::from_secs(30), "{:?}", freed.elapsed());
    daemon.healthy();
    assert_eq!(daemon.logged("database: works again after"), 1, "{}", daemon.log());
    ledger.note(&daemon.json("/api/status"));
    assert!(ledger.promised() > 500, "{}", ledger.promised());
    assert_eq!(ledger.broken_by(&small.copy()), Vec::<String>::new());
    let outage = timestamps(&small.copy(), "plimsoll_commits_total");
    let outage = outage.iter().filter(|ts| (from..to).contains(ts)).count();
    assert!(outage > 25, "the outage is in the file: {outage} of 50");
    small.daemon.stop();
}

#[test]
fn a_disk_that_fills_up_while_the_log_is_large_gives_no_flood_of_lines() {
    let small = OnSmallDisk::start("8m", "true");
    small.writes_after(now_ms());
    // Far more than the log may hold before it is emptied into the file.
    small.sqlite3(
        "PRAGMA wal_autocheckpoint = 0;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
         INSERT INTO metrics (key, value, timestamp)
         SELECT 'bulk_' || (i % 10), i, 1500000000 + i FROM n",
    );
    small.fill();
    small.says_that_the_disk_is_full();
    pause(Duration::from_secs(5));
    assert_eq!(small.daemon.http("GET", "/health").status, 503);
    let log = small.daemon.log();
    assert!(small.daemon.logged("works again") <= 1, "no to and fro: {log}");
    assert!(log.lines().count() <= 6, "{log}");
    small.free();
    small.writes_after(now_ms());
    small.daemon.healthy();
    let kept = small.sqlite3("select count(*) from metrics where key like 'bulk_%'");
    assert_eq!(kept, "60000", "whether taken in yet or not");
    small.daemon.stop();
}

#[test]
fn ended_while_the_disk_is_full_it_says_what_was_lost() {
    let mut small = OnSmallDisk::start("8m", "true");
    small.writes_after(now_ms());
    small.fill();
    small.says_that_the_disk_is_full();
    let (status, took) = small.daemon.end(Signal::TERM);
    let log = small.daemon.log();
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("everything is in"), "{log}");
    assert!(log.contains("samples could not be written"), "{log}");
}

#[test]
fn without_room_for_a_new_file_it_waits_for_room_too() {
    let small = OnSmallDisk::begin(Folder::new(), "1m", FILL);
    small.says_that_the_disk_is_full();
    assert_eq!(small.daemon.http("GET", "/metrics").status, 200);
    let from = now_ms();
    small.free();
    small.writes_after(from);
    small.daemon.healthy();
    small.daemon.stop();
}

#[test]
fn started_on_a_disk_that_filled_up_since_it_waits_for_room() {
    let small = OnSmallDisk::start("1m", FILL);
    small.says_that_the_disk_is_full();
    let from = now_ms();
    small.free();
    small.writes_after(from);
    small.daemon.healthy();
    small.daemon.stop();
}

#[test]
fn a_compaction_does_not_wait_for_room() {
    let small = OnSmallDisk::start("8m", "true");
    small.writes_after(now_ms());
    small.fill();
    small.says_that_the_disk_is_full();
    let mut compact = small.enter(env!("CARGO_BIN_EXE_plimsoll"), "plimsoll");
    let told = run(compact.arg("--db").arg(&small.db).arg("compact")).refused();
    assert!(told.contains("cannot be written at present"), "{told}");
}
