//! Under systemd: levels for the journal, readiness, reloading, the watchdog, the end.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

/// Starts it with standard error in a file, and JOURNAL_STREAM naming that file or another.
fn with_journal(folder: &Folder, named: &File) -> Child {
    let log = File::options().append(true).open(folder.join("log")).expect("writable");
    let meta = named.metadata().expect("a file");
    folder
        .plimsoll(&["run"])
        .env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()))
        .env_remove("NOTIFY_SOCKET")
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("the daemon starts")
}

fn log_of_a_run(folder: &Folder, named: &File) -> Vec<String> {
    let mut child = with_journal(folder, named);
    let log = || std::fs::read_to_string(folder.join("log")).expect("readable");
    eventually("it listens", PATIENCE, || {
        if log().contains("listening") { Ok(()) } else { Err(log()) }
    });
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert!(child.wait().expect("it is ours").success());
    log().lines().map(str::to_owned).collect()
}

#[test]
fn lines_for_the_journal_begin_with_their_level() {
    let folder = Folder::new();
    // Something to warn of: the port is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    folder.configure(&format!("[http]\nlisten = \"{address}\"\n"));
    let journal = File::create(folder.join("log")).expect("made");
    let lines = log_of_a_run(&folder, &journal);
    let level = |text: &str| {
        let line = lines.iter().find(|l| l.contains(text)).unwrap_or_else(|| panic!("{lines:?}"));
        line.get(..3).expect("a prefix").to_owned()
    };
    assert_eq!(level("database   "), "<6>");
    assert_eq!(level("cannot listen"), "<4>");
    assert!(lines.iter().all(|l| l.starts_with('<')), "{lines:?}");
    assert!(!lines.iter().any(|l| l.contains('\u{1b}')), "no colours: {lines:?}");
}

#[test]
fn a_journal_that_is_somebody_else_s_is_not_written_for() {
    let folder = Folder::new();
    folder.configure(FAST);
    File::create(folder.join("log")).expect("made");
    let other = File::create(folder.join("other")).expect("made");
    let lines = log_of_a_run(&folder, &other);
    assert!(lines.iter().all(|l| l.starts_with("20")), "with the time instead: {lines:?}");
}

struct Manager {
    socket: UnixDatagram,
}

impl Manager {
    fn new(folder: &Folder) -> Self {
        let socket = UnixDatagram::bind(folder.join("notify")).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("settable");
        Self { socket }
    }

    fn command(&self, folder: &Folder) -> Command {
        let mut command = folder.plimsoll(&["run"]);
        command.env("NOTIFY_SOCKET", folder.join("notify"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn next(&self) -> String {
        let mut text = [0; 4096];
        let n = self.socket.recv(&mut text).expect("it is told something");
        String::from_utf8_lossy(&text[..n]).trim_end().to_owned()
    }

    /// The next that is not a sign of life.
    fn next_change(&self) -> String {
        loop {
            let text = self.next();
            if text != "WATCHDOG=1" {
                return text;
            }
        }
    }
}

#[test]
fn the_service_manager_is_told_of_every_change() {
    let folder = Folder::new();
    folder.configure(FAST);
    let manager = Manager::new(&folder);
    let mut child = manager.command(&folder).spawn().expect("the daemon starts");
    let pid = Pid::from_child(&child);
    assert_eq!(manager.next(), "READY=1");
    // Ready means ready: it can be asked.
    folder.ask(&["interval"]).well();
    kill_process(pid, Signal::HUP).expect("it runs");
    assert_eq!(manager.next().lines().next(), Some("RELOADING=1"));
    assert_eq!(manager.next(), "READY=1");
    // A reload that fails is over, too.
    folder.configure("interval = \"never\"\n");
    folder.ask(&["reload"]).refused();
    assert_eq!(manager.next().lines().next(), Some("RELOADING=1"));
    assert_eq!(manager.next(), "READY=1");
    kill_process(pid, Signal::TERM).expect("it runs");
    assert_eq!(manager.next(), "STOPPING=1");
    assert!(child.wait().expect("it is ours").success());
}

#[test]
fn the_watchdog_is_fed_while_all_is_well() {
    let folder = Folder::new();
    folder.configure(FAST);
    let manager = Manager::new(&folder);
    let mut command = manager.command(&folder);
    let mut child = command.env("WATCHDOG_USEC", "400000").spawn().expect("the daemon starts");
    assert_eq!(manager.next(), "READY=1");
    for _ in 0..5 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert_eq!(manager.next_change(), "STOPPING=1");
    assert!(child.wait().expect("it is ours").success());
}

#[test]
fn a_refused_start_never_says_that_it_is_ready() {
    let folder = Folder::new();
    let first = folder.start(FAST);
    let manager = Manager::new(&folder);
    run(&mut manager.command(&folder)).refused();
    manager.socket.set_read_timeout(Some(Duration::from_millis(1))).expect("settable");
    assert!(manager.socket.recv(&mut [0; 64]).is_err());
    first.stop();
}
