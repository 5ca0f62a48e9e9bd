//! Starting without a word of configuration, and ending.

use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::*;

/// The promised second, and what two busy cores may add.
const A_SECOND: Duration = Duration::from_millis(1_500);

/// In a network namespace of its own, so that the default port is free whatever else runs here.
fn alone_in_the_network(folder: &Folder) -> Command {
    need_root("a network namespace");
    tool("ip", "iproute2");
    let mut command = tool("unshare", "util-linux");
    command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
    command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\"", PLIMSOLL]);
    command.current_dir(folder.path()).env_remove("STATE_DIRECTORY");
    command
}

#[test]
fn with_no_arguments_in_an_empty_folder_it_collects() {
    let folder = Folder::new();
    let daemon = Daemon::spawn(alone_in_the_network(&folder), &folder.join("log"));
    daemon.ready(PATIENCE);
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 4, "one line each, and nothing else: {log}");
    let database = format!(" database   {}", folder.db().display());
    assert!(lines[0].ends_with(&database), "{log}");
    assert!(lines[1].contains(" collecting "), "{log}");
    assert!(lines[2].contains(" listening  http://127.0.0.1:1876"), "{log}");
    assert!(lines[3].ends_with(" statsd     udp 127.0.0.1:8125, written every 10s"), "{log}");
    daemon.rows_after(0);
    assert!(daemon.since.elapsed() < Duration::from_secs(5), "the first rows come at once");
    let row = sqlite3(&folder.db(), "select * from metrics where key = 'plimsoll_commits_total'");
    assert!(row.starts_with("plimsoll_commits_total|"), "{row}");
    daemon.stop();
}

#[test]
fn sigterm_and_sigint_commit_everything_and_exit_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = Folder::new();
        let mut daemon = folder.start(FAST);
        daemon.rows_after(now_ms());
        // What it has seen, but most likely not written yet: commits are a second apart.
        let seen = daemon.json("/api/status")["values"].clone();
        let (status, took) = daemon.end(signal);
        assert!(status.success(), "{signal:?}: {status:?}: {}", daemon.log());
        assert!(took < A_SECOND, "{signal:?}: {took:?}");
        assert!(daemon.log().contains("stopped; everything is in "), "{}", daemon.log());
        for value in seen.as_array().expect("a list") {
            let (key, at) = (value["key"].as_str(), value["timestamp"].as_str());
            let (key, at) = (key.expect("a text"), at.expect("a text"));
            let ms = at.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond();
            assert!(timestamps(&folder.db(), key).contains(&ms), "{signal:?}: {key} at {at}");
        }
        assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
        let wal = std::fs::metadata(folder.join("metrics.sqlite-wal"));
        assert!(wal.is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound), "no -wal is left");
        assert!(!folder.join("metrics.sqlite.sock").exists(), "no socket is left");
    }
}

#[test]
fn sigterm_at_any_moment_of_the_start_leaves_a_good_file() {
    let folder = Folder::new();
    folder.configure(FAST);
    let mut dice = Dice::new(1);
    for round in 0..15 {
        let mut daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
        pause(dice.millis(60));
        let (status, took) = daemon.end(Signal::TERM);
        // Before it has a handler the kernel ends it; afterwards it does so itself.
        use std::os::unix::process::ExitStatusExt;
        assert!(
            status.success() || status.signal() == Some(15),
            "{round}: {status:?} {}",
            daemon.log()
        );
        assert!(took < A_SECOND, "{round}: {took:?}");
        if folder.db().exists() {
            assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok", "{round}");
        }
    }
    folder.start(FAST).stop();
}

#[test]
fn a_restart_goes_on_in_the_same_file() {
    let folder = Folder::new();
    folder.start(FAST).stop();
    let before = timestamps(&folder.db(), "plimsoll_commits_total");
    let daemon = folder.start(FAST);
    daemon.rows_after(*before.last().expect("a reading"));
    daemon.stop();
    let after = timestamps(&folder.db(), "plimsoll_commits_total");
    assert_eq!(after[..before.len()], before, "what was there stays");
    let systems = sqlite3(&folder.db(), "select count(*) from systems");
    assert_eq!(systems, "1");
}

#[test]
fn nobody_reading_its_log_does_not_stop_it() {
    let folder = Folder::new();
    folder.configure("interval = \"100ms\"\n[http]\nlisten = \"off\"\n");
    let mut child = folder
        .plimsoll(&["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    // As `plimsoll 2>&1 | head -1` does.
    drop(child.stderr.take());
    let db = folder.db();
    eventually("rows", PATIENCE, || newest(&db).ok_or_else(String::new));
    let said = folder.ask(&["reload"]);
    // A reload by signal and the end are logged: into nothing.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::HUP).expect("it runs");
    let from = now_ms();
    eventually("rows after the reload", PATIENCE, || match newest(&db) {
        Some(ts) if ts > from => Ok(()),
        other => Err(format!("{other:?}")),
    });
    rustix::process::kill_process(pid, Signal::TERM).expect("it runs");
    let status = child.wait().expect("it is ours");
    assert!(status.success(), "{status:?}");
    said.well();
}
