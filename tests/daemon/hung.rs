//! A collector that hangs in the kernel: the others go on, the watchdog is fed, and it is found again.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use rustix::process::Signal;

use crate::fuse::{Fuse, Mounted, Relents, mount};
use crate::push;
use crate::support::*;

/// The number of open files is read here.
const FILES: &str = "/proc/sys/fs";

const CONFIG: &str = "interval = \"200ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
                      [collect]\ncollectors = [\"loadavg\", \"stat\", \"filefd\", \"uname\"]\n";

fn threads(daemon: &Daemon, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let names = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    names.filter(|found| found.as_deref().is_ok_and(|found| found.trim() == name)).count()
}

/// Waits until a series has that many values in the file.
fn values(daemon: &Daemon, key: &str, wanted: usize) -> Vec<i64> {
    eventually(key, PATIENCE, || match timestamps(&daemon.db, key) {
        enough if enough.len() >= wanted => Ok(enough),
        few => Err(format!("{} values", few.len())),
    })
}

/// Counts the signs of life that a service manager gets. A socket that nobody reads would hold up
/// the daemon.
fn count(manager: &UnixDatagram, fed: &AtomicUsize) {
    let mut text = [0; 4096];
    while let Ok(length) = manager.recv(&mut text) {
        match &text[..length] {
            b"STOPPING=1" => return,
            told => fed.fetch_add(usize::from(told.starts_with(b"WATCHDOG=1")), Relaxed),
        };
    }
}

#[test]
fn the_others_are_read_without_it() {
    let (fuse, folder, fed) = (Fuse::new(), Folder::new(), AtomicUsize::new(0));
    folder.configure(CONFIG);
    let manager = UnixDatagram::bind(folder.join("notify")).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("settable");
    std::thread::scope(|scope| {
        mount(&fuse, Path::new(FILES));
        // Only now: reading the device of no mount is an error.
        scope.spawn(|| fuse.serve());
        scope.spawn(|| count(&manager, &fed));
        let _mounted = Mounted(Path::new(FILES));
        let mut command = folder.plimsoll(&["run"]);
        command.env("WATCHDOG_USEC", "400000");
        let daemon = Daemon::supervised(command, &folder.join("log"), &folder.join("notify"));
        let _relents = Relents(&fuse);
        daemon.ready(PATIENCE);
        eventually("the collector is named", PATIENCE, || {
            let problems = daemon.problems();
            let fits = |p: &String| p.contains("filefd") && p.contains("it has not come back");
            if problems.iter().any(fits) { Ok(()) } else { Err(format!("{problems:?}")) }
        });
        // From the first moment on, in which it began to hang, those behind it in the table of
        // collectors have as many values as those before it.
        let behind = values(&daemon, "plimsoll_collect_success{collector=\"uname\"}", 25);
        let ahead = values(&daemon, "node_load1", behind.len());
        assert_eq!(ahead[..behind.len()], behind);
        let failed = "plimsoll_collect_success{collector=\"filefd\"}";
        values(&daemon, failed, 5);
        assert_eq!(daemon.value(failed), Some(0.0));
        assert_eq!(threads(&daemon, "beat"), 2, "one hangs, one goes on");

        let before = fed.load(Relaxed);
        eventually("the watchdog is fed", PATIENCE, || match fed.load(Relaxed) - before {
            3.. => Ok(()),
            times => Err(format!("{times} times")),
        });
        // It can be asked, and reloaded, meanwhile; that makes no second thread hang.
        folder.ask(&["interval"]).well();
        folder.ask(&["reload"]).well();
        let seen = timestamps(&daemon.db, failed).len();
        values(&daemon, failed, seen + 5);
        assert_eq!(threads(&daemon, "beat"), 2);

        fuse.relent();
        daemon.healthy();
        eventually("the thread that hung ends", PATIENCE, || match threads(&daemon, "beat") {
            1 => Ok(()),
            more => Err(format!("{more} threads")),
        });
        daemon.stop();
    });
}

/// Makes all calls of a thread wait, by strace, until the tracer is killed.
fn hold(daemon: &Daemon, thread: &str, calls: &str) -> Child {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let is = |task: &PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim_end() == thread)
    };
    let task = tasks.flatten().map(|t| t.path()).find(is).expect("a thread of that name");
    let tracer = tool("strace", "strace")
        .args(["-qqq", "-o", "/dev/null"])
        .args([format!("-etrace={calls}"), format!("-einject={calls}:delay_enter=600s")])
        .arg("-p")
        .arg(task.file_name().expect("a number"))
        .spawn()
        .expect("strace starts");
    eventually("strace holds the thread", PATIENCE, || {
        let status = std::fs::read_to_string(task.join("status")).expect("it runs");
        let held = status.lines().any(|l| l.starts_with("TracerPid:") && !l.ends_with("\t0"));
        if held { Ok(()) } else { Err(status) }
    });
    tracer
}

/// The thread that collects does not answer: a reload is refused whole.
#[test]
fn a_reload_that_cannot_be_done_changes_nothing() {
    let folder = Folder::new();
    let config = |rest: &str| {
        format!(
            "interval = \"30s\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [collect]\ncollectors = [\"loadavg\"{rest}\n"
        )
    };
    let daemon = folder.start(&config(", \"uname\"]"));
    daemon.rows_after(0);
    let mut tracer = hold(&daemon, "beat", "all");
    folder.configure(&config("]\n[store]\nmax_size = \"64MiB\"\n[push]\nmax_names = 1"));
    let said = folder.ask(&["reload"]).refused();
    assert!(said.contains("hangs"), "{said}");
    // What was before is in force: for those who ask, for senders, and for the thread that hears of the
    // reload late.
    let flags = push::send(daemon.address(), "GET", "/api/v1/status/flags", &[], b"").body;
    assert!(flags.contains("\"storage.tsdb.retention.size\":\"1GiB\""), "{flags}");
    let two = "{\"key\":\"a\",\"value\":1}\n{\"key\":\"b\",\"value\":1}\n";
    let answer = push::post(&daemon, "/api/push", two);
    assert!(answer.status < 300, "{answer:?}");
    tracer.kill().and_then(|()| tracer.wait()).expect("it is ours");
    eventually("it collects as before", PATIENCE, || {
        let said = folder.ask(&["interval"]);
        if said.out.contains("uname") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    daemon.stop();
}

#[test]
fn it_ends_in_time_beside_one_that_hangs() {
    let fuse = Fuse::new();
    let folder = Folder::new();
    folder.configure(CONFIG);
    std::thread::scope(|scope| {
        mount(&fuse, Path::new(FILES));
        scope.spawn(|| fuse.serve());
        let _mounted = Mounted(Path::new(FILES));
        let mut daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
        let relents = Relents(&fuse);
        daemon.ready(PATIENCE);
        daemon.says("collector filefd: it has not come back");
        daemon.signal(Signal::TERM);
        // On a busy machine the last commit may take longer than it gets.
        eventually("its last word", PATIENCE, || {
            let said = daemon.logged("stopped; everything is in");
            let late = daemon.logged("could not be written within a second");
            if said + late > 0 { Ok(()) } else { Err(daemon.log()) }
        });
        // The kernel keeps a process for as long as one of its threads waits for an answer.
        drop(relents);
        daemon.wait();
    });
}

/// A disk that hangs under the thread that writes: the calls wait, as strace makes them.
#[test]
fn a_writer_that_hangs_is_told() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let mut tracer = hold(&daemon, "store", "fdatasync");
    let found = eventually("the board tells", PATIENCE, || match daemon.problems() {
        none if none.is_empty() => Err(daemon.log()),
        some => Ok(some),
    });
    let [problem] = &*found else { panic!("{found:?}") };
    assert!(problem.contains("writer of the database") && problem.contains("hangs"), "{problem}");
    daemon.says("nothing has been written for");
    tracer.kill().and_then(|()| tracer.wait()).expect("it is ours");
    daemon.healthy();
    daemon.says("it goes on");
    daemon.stop();
}
