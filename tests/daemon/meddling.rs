//! Somebody meddles with what belongs to a running daemon: its lock, its log, its database, its sockets,
//! its configuration.

use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

fn told(daemon: &Daemon, words: &str) {
    eventually(words, PATIENCE, || match daemon.http("GET", "/health").body {
        body if body.contains(words) => Ok(()),
        body => Err(body),
    });
}

#[test]
fn nobody_who_says_nothing_keeps_a_reload_from_getting_through() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let socket = folder.join("metrics.sqlite.sock");
    let silent: Vec<_> =
        (0..200).map(|_| UnixStream::connect(&socket).expect("it listens")).collect();
    assert!(folder.ask(&["reload"]).well().contains("reloaded"));
    folder.ask(&["interval"]).well();
    folder.ask(&["compact"]).well();
    drop(silent);
    daemon.stop();
}

#[test]
fn a_deleted_lock_lets_no_second_daemon_in() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let lock = folder.join("metrics.sqlite.lock");
    std::fs::remove_file(&lock).expect("it is there");
    let err = folder.ask(&["run"]).refused();
    assert!(err.contains("is in use by"), "{err}");
    eventually("the lock is taken again", PATIENCE, || match lock.exists() {
        true => Ok(()),
        false => Err(daemon.log()),
    });
    daemon.rows_after(now_ms());
    daemon.stop();
}

#[test]
fn a_deleted_log_is_told_and_costs_no_reading() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    std::fs::remove_file(folder.join("metrics.sqlite-wal")).expect("it is there");
    told(&daemon, "restart plimsoll");
    let until = daemon.json("/api/status")["database"]["durable_until"].clone();
    let until = until.as_str().expect("a time").to_owned();
    kill_process(Pid::from_raw(daemon.pid() as i32).expect("it runs"), Signal::KILL)
        .expect("it is ours");
    drop(daemon);
    let newest = sqlite3(
        &folder.db(),
        "SELECT strftime('%Y-%m-%dT%H:%M:%S', max(ts) / 1000, 'unixepoch') FROM samples",
    );
    assert!(newest.as_str() >= &until[..19], "{newest} is before {until}");
}

/// SQLite maps the index of the log into memory, so the kernel ends a process that touches what was cut
/// off. What was committed is in the log.
#[test]
fn a_cut_index_of_the_log_costs_a_restart_and_no_reading() {
    let folder = Folder::new();
    let mut daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let before = timestamps(&folder.db(), "node_load1");
    assert!(!before.is_empty());
    let index = std::fs::OpenOptions::new().write(true).open(folder.join("metrics.sqlite-shm"));
    index.and_then(|file| file.set_len(0)).expect("can be cut");
    let status = daemon.wait();
    assert_eq!(status.signal(), Some(Signal::BUS.as_raw()), "{status:?}: {}", daemon.log());
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    daemon.healthy();
    let after = timestamps(&folder.db(), "node_load1");
    assert!(before.iter().all(|ts| after.contains(ts)), "{before:?}, then {after:?}");
    daemon.stop();
    assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
}

#[test]
fn a_database_that_was_cut_is_told_and_begun_again() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    folder.ask(&["compact"]).well();
    let file = std::fs::OpenOptions::new().write(true).open(folder.db()).expect("writable");
    file.set_len(5 * 4096).expect("can be cut");
    daemon.says("it was set aside as");
    daemon.rows_after(now_ms());
    daemon.stop();
}

#[test]
fn a_configuration_of_a_thousand_mistakes_is_refused_in_words() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let wrong: String = (0..1_000).map(|n| format!("[[burst]]\nwhen = \"cpu{n} >\"\n")).collect();
    folder.configure(&format!("{}{FAST}{wrong}", "x".repeat(100_000) + " = 1\n"));
    let err = folder.ask(&["reload"]).refused();
    assert!(err.contains("more like these") && err.contains("nothing was changed"), "{err}");
    assert!(err.len() < 64 << 10, "{} bytes", err.len());
    daemon.healthy();
    daemon.stop();
}

#[test]
fn a_socket_on_which_somebody_listens_stays_his() {
    let folder = Folder::new();
    let path = folder.join("page.sock");
    let other = UnixListener::bind(&path).expect("a socket");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound");
    let daemon = folder
        .start(&format!("{FAST}socket = \"{}\"\n[statsd]\nlisten = \"{port}\"\n", path.display()));
    told(&daemon, "another program listens there");
    told(&daemon, "(not yet)");
    UnixStream::connect(&path).expect("it is there");
    assert!(other.accept().is_ok(), "the other program is still asked");
    drop((other, taken));
    daemon.healthy();
    let body = daemon.http("GET", "/health").body;
    assert!(!body.contains("not yet") && body.contains("page.sock"), "{body}");
    daemon.stop();
}
