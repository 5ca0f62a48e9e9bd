//! Errors of the disk, injected into the system calls of the running daemon by strace: no panic,
//! counted, nothing called durable that is not in the file, and writing goes on afterwards. Every
//! call of a hundred commits: ci/torture/io. And which calls there are: a commit costs what it must.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::oracle::Ledger;
use crate::support::*;

const ERRORS: &str = "plimsoll_commit_errors_total";

/// A daemon whose k-th (and later) calls fail; the tracer goes when it goes.
fn injected(folder: &Folder, calls: &str, error: &str, when: &str) -> Command {
    folder.configure(FAST);
    let (calls, inject) =
        (format!("trace={calls}"), format!("inject={calls}:error={error}:when={when}"));
    traced(folder, &["--seccomp-bpf", "-o", "/dev/null", "-e", &calls, "-e", &inject])
}

fn errors(daemon: &Daemon) -> f64 {
    daemon.value(ERRORS).unwrap_or(0.0)
}

/// Lets it run into the error, get over it, and be killed; then the file is held to what was said.
/// How many commits failed; nothing if the start was refused.
fn one(folder: &Folder, calls: &str, error: &str, when: &str, heals: bool) -> Option<f64> {
    let what = format!("{calls}:error={error}:when={when}");
    let mut daemon = Daemon::spawn(injected(folder, calls, error, when), &folder.join("log"));
    let up = eventually(&format!("{what}: a start or a refusal"), PATIENCE, || {
        match (daemon.runs(), daemon.logged(" listening ")) {
            (false, _) => Ok(false),
            (true, 1) => Ok(true),
            _ => Err(daemon.log()),
        }
    });
    if !up {
        let (status, log) = (daemon.wait(), daemon.log());
        assert_eq!(status.code(), Some(1), "{what}: {log}");
        assert!(!log.contains("panicked"), "{what}: {log}");
        return None;
    }
    let mut ledger = Ledger::default();
    eventually(&format!("{what}: an error, counted"), PATIENCE, || {
        ledger.note(&daemon.json("/api/status"));
        // Only a commit is counted; opening the file again may fail as well, or upkeep.
        let seen = errors(&daemon) > 0.0 || daemon.logged(" warn ") > 0;
        if seen { Ok(()) } else { Err(daemon.log()) }
    });
    if heals {
        let from = now_ms();
        eventually(&format!("{what}: it goes on"), PATIENCE, || {
            ledger.note(&daemon.json("/api/status"));
            if ledger.promised_at(from) { Ok(()) } else { Err(daemon.log()) }
        });
        daemon.healthy();
    } else {
        let end = now_ms() + 1_500;
        while now_ms() < end {
            ledger.note(&daemon.json("/api/status"));
            pause(Duration::from_millis(50));
        }
        assert_eq!(daemon.http("GET", "/health").status, 503, "{what}");
    }
    let failed = errors(&daemon);
    let log = daemon.log();
    assert!(!log.contains("panicked"), "{what}: {log}");
    assert!(daemon.logged(" warn database: ") <= 1, "{what}: said once: {log}");
    daemon.kill();
    ledger.killed();
    assert_eq!(ledger.broken_by_copy(&folder.db()), Vec::<String>::new(), "{what}");
    Some(failed)
}

/// It comes back without the errors, with all that it had.
fn comes_back(folder: &Folder) {
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    daemon.stop();
    assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
}

/// Few calls a commit, so that each of them gets its turn.
const ITSELF: &str =
    "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[collect]\ncollectors = []\n";

/// Runs through so many commits while the calls number `first`, `first + step`, … fail; then it is
/// killed, and the file held to what was said. How many commits failed.
fn through(calls: &str, error: &str, first: u64, step: u64, commits: u64) -> f64 {
    let what = format!("{calls}:error={error}:when={first}+{step}");
    let folder = Folder::new();
    folder.filled();
    let command = injected(&folder, calls, error, &format!("{first}+{step}"));
    folder.configure(ITSELF);
    let mut daemon = Daemon::spawn(command, &folder.join("log"));
    let up = eventually(&format!("{what}: a start or a refusal"), PATIENCE, || {
        match (daemon.runs(), daemon.logged(" listening ")) {
            (false, _) => Ok(false),
            (true, 1) => Ok(true),
            _ => Err(daemon.log()),
        }
    });
    let mut failed = 0.0;
    let mut ledger = Ledger::default();
    if up {
        eventually(&what, PATIENCE * 2 + Duration::from_secs(3) * commits as u32, || {
            let status = daemon.json("/api/status");
            ledger.note(&status);
            let done = status["database"]["commits"].as_u64() >= Some(commits);
            if done { Ok(()) } else { Err(daemon.log()) }
        });
        failed = errors(&daemon);
        daemon.kill();
        ledger.killed();
    } else {
        // The file was being opened.
        assert_eq!(daemon.wait().code(), Some(1), "{what}: {}", daemon.log());
    }
    let log = std::fs::read_to_string(folder.join("log")).expect("readable");
    assert!(!log.contains("panicked"), "{what}: {log}");
    assert_eq!(ledger.broken_by_copy(&folder.db()), Vec::<String>::new(), "{what}");
    comes_back(&folder);
    failed
}

/// Every `step`-th call from each of so many first ones on: with as many as `step`, every call of
/// all commits fails in one of the runs.
fn every_call(calls: &'static str, error: &'static str, step: u64) {
    let commits = knob("PLIMSOLL_IO_COMMITS", 4);
    let runs = knob("PLIMSOLL_IO_RUNS", 3).min(step);
    let at_once = knob("PLIMSOLL_IO_AT_ONCE", 3);
    let next = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Relaxed);
                    if run >= runs {
                        return;
                    }
                    // Few runs begin where the store thread does its work.
                    let first = if runs == step { run + 1 } else { step / 2 + run };
                    let errors = through(calls, error, first, step, commits);
                    failed.fetch_add(errors as u64, Relaxed);
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{calls} {error}: {runs} runs of {commits} commits, {failed} commits failed");
    assert!(failed > 0, "something was tested");
}

/// SQLite's own habit is fsync, which writes the log's new time as well: .cargo/config.toml.
#[test]
fn a_commit_waits_for_its_bytes_and_not_for_their_time() {
    let folder = Folder::new();
    folder.configure(FAST);
    let trace = folder.join("trace");
    let into = trace.to_str().expect("UTF-8");
    let calls = ["--seccomp-bpf", "-y", "-e", "trace=fsync,fdatasync", "-o", into];
    let command = traced(&folder, &calls);
    let daemon = Daemon::spawn(command, &folder.join("log"));
    let synced = |call: &str| {
        let text = std::fs::read_to_string(&trace).unwrap_or_default();
        text.lines().filter(|l| l.contains(call) && l.contains("metrics.sqlite")).count()
    };
    daemon.ready(PATIENCE);
    let made = synced("fdatasync(");
    eventually("three commits", PATIENCE, || match synced("fdatasync(") - made {
        3.. => Ok(()),
        few => Err(format!("{few}: {}", daemon.log())),
    });
    assert_eq!(synced("fsync("), 0);
    daemon.stop();
}

#[test]
fn any_write_may_fail() {
    every_call("pwrite64", "EIO", 47);
}

#[test]
fn any_write_may_find_the_disk_full() {
    every_call("pwrite64", "ENOSPC", 47);
}

#[test]
fn any_sync_may_fail() {
    every_call("fsync,fdatasync", "EIO", 7);
}

#[test]
fn an_error_that_stays_is_lived_with() {
    let folder = Folder::new();
    folder.filled();
    for (calls, error, when) in [
        ("pwrite64", "EIO", "30+"),
        ("fsync,fdatasync", "EIO", "2+"),
        ("pwrite64", "ENOSPC", "90+"),
    ] {
        let failed = one(&folder, calls, error, when, false).expect("it starts");
        assert!(failed >= 1.0, "{calls} {error} {when}: {failed}");
        comes_back(&folder);
    }
}

#[test]
fn an_error_while_the_file_is_made_is_told() {
    for k in [1, 2, 4] {
        for calls in ["pwrite64", "fsync,fdatasync"] {
            let folder = Folder::new();
            // Whether it is the making or a later commit that fails, depends on k.
            one(&folder, calls, "EIO", &k.to_string(), true);
            comes_back(&folder);
        }
    }
}
