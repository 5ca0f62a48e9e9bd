//! The power is cut: a disk of our own (a file as a loop device, ext4) stops from one moment to the
//! next, with everything that was not yet told to be on it gone, and is mounted again. What was
//! called durable is there. More cuts: ci/torture/power.
#![allow(unsafe_code, reason = "unshare and ioctl have no safe wrapper")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::mount::{MountPropagationFlags, mount_change};

use crate::oracle::Ledger;
use crate::support::*;

/// Promised: ready within two seconds. Here while other tests take both cores.
const READY: Duration = Duration::from_secs(4);

/// `EXT4_IOC_SHUTDOWN`, and its flag for "without writing the journal first".
const SHUTDOWN: libc::Ioctl = 0x8004_587D;
const WITHOUT_LOG: u32 = 2;

/// A disk whose power can be cut, in a mount namespace of this thread and of what it starts.
struct Disk {
    image: PathBuf,
    point: PathBuf,
    folder: Folder,
}

impl Disk {
    fn new() -> Self {
        need_root("cutting the power of a disk");
        // SAFETY: takes no pointers; only this thread moves.
        let outcome = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        assert_eq!(outcome, 0, "unshare: {}", std::io::Error::last_os_error());
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).expect("our own mounts");
        let folder = Folder::new();
        let (image, point) = (folder.join("image"), folder.join("disk"));
        std::fs::create_dir(&point).expect("made");
        File::create(&image).and_then(|f| f.set_len(64 << 20)).expect("made");
        run(tool("mkfs.ext4", "e2fsprogs").args(["-q", "-F", "-b", "4096"]).arg(&image)).well();
        let disk = Self { image, point, folder };
        disk.mount();
        disk
    }

    fn mount(&self) {
        let mut command = tool("mount", "mount");
        run(command.args(["-o", "loop"]).arg(&self.image).arg(&self.point)).well();
    }

    fn db(&self) -> PathBuf {
        self.point.join("metrics.sqlite")
    }

    /// Everything that is not on the disk at the moment of the ioctl never gets there.
    fn switch(&self) -> impl FnOnce() + Send + 'static {
        let root = File::open(&self.point).expect("it is mounted");
        move || {
            // SAFETY: the kernel reads one number from behind the pointer.
            let outcome = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &WITHOUT_LOG) };
            assert_eq!(outcome, 0, "shutdown: {}", std::io::Error::last_os_error());
        }
    }

    /// The machine comes up again.
    fn power_on(&self) {
        eventually("nobody uses the dead disk", PATIENCE, || {
            let said = run(tool("umount", "mount").arg(&self.point));
            if said.status.success() { Ok(()) } else { Err(said.err) }
        });
        self.mount();
    }

    fn plimsoll(&self, config: &str) -> Command {
        let mut command = Command::new(PLIMSOLL);
        command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
        self.words(&mut command, config);
        command
    }

    fn words(&self, command: &mut Command, config: &str) {
        command.arg("run").arg("--db").arg(self.db());
        command.arg("--config").arg(self.folder.configure(config));
    }

    fn spawn(&self, command: Command) -> Daemon {
        Daemon::spawn(command, &self.folder.join("log"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // With the last user of the image its loop device goes too.
        let _unused = Command::new("umount").arg("--lazy").arg(&self.point).status();
    }
}

/// An SQL client that dies with the machine: Debian's sqlite3, one statement a line.
struct Client {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Client {
    fn new(db: &Path, synchronous: &str) -> Self {
        let mut child = tool("sqlite3", "sqlite3")
            .args(["-batch", "-bail", "-init", "/dev/null", "-cmd", ".timeout 5000"])
            .arg(db)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let to = child.stdin.take().expect("piped");
        let from = BufReader::new(child.stdout.take().expect("piped"));
        let mut client = Self { child, to, from };
        client.ask(&format!("PRAGMA synchronous = {synchronous};"));
        client
    }

    /// Whether it was carried out.
    fn ask(&mut self, sql: &str) -> bool {
        let mut line = String::new();
        let sent = writeln!(self.to, "{sql}\nSELECT 'done';").is_ok();
        sent && self.from.read_line(&mut line).is_ok() && line.trim() == "done"
    }

    fn send(&mut self, ledger: &mut Ledger, rows: i64) -> bool {
        let confirmed = self.ask(&ledger.next(rows));
        ledger.heard(rows, confirmed);
        confirmed
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _unused = self.child.kill();
        let _unused = self.child.wait();
    }
}

/// Rows between two cuts: the oracle reads all there are.
const MOST: i64 = 800;

/// Few series: the oracle reads the whole file after every cut.
const FEW: &str = "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
                   [collect]\ncollectors = [\"loadavg\"]\n";

#[test]
fn what_was_called_durable_survives_the_power() {
    let cuts = knob("PLIMSOLL_POWER_CUTS", 6);
    let seed = knob("PLIMSOLL_SEED", 2017);
    let mut dice = Dice::new(seed);
    let mut ledger = Ledger::default();
    let disk = Disk::new();
    let first = disk.spawn(disk.plimsoll(FEW));
    first.ready(PATIENCE);
    first.stop();
    let (mut ready, begun) = (Duration::ZERO, Instant::now());
    for round in 0..cuts {
        let daemon = disk.spawn(disk.plimsoll(FEW));
        let mut client = Client::new(&disk.db(), "FULL");
        let switch = disk.switch();
        // Every other time in the middle of its start, or of its first commits; else later, when
        // promises about readings have been made too.
        let patient = round % 2 == 1;
        if patient {
            ready = ready.max(daemon.ready(READY));
        }
        let moment = dice.millis(if patient { 1_500 } else { 250 });
        // What is heard while the file system is being stopped was heard by nobody: the kernel may
        // say yes to a sync that it is just about to abort.
        let dark = Arc::new(AtomicBool::new(false));
        let falls = Arc::clone(&dark);
        let cut = std::thread::spawn(move || {
            pause(moment);
            falls.store(true, SeqCst);
            switch();
        });
        let rows = [1, 1, 10, 200][dice.roll(4) as usize];
        let most = ledger.sent() + MOST;
        while !cut.is_finished() {
            if ledger.sent() >= most {
                pause(Duration::from_millis(5));
            } else {
                let confirmed = client.ask(&ledger.next(rows));
                ledger.heard(rows, confirmed && !dark.load(SeqCst));
            }
            if patient && !dark.load(SeqCst) {
                let status = daemon.json("/api/status");
                if !dark.load(SeqCst) {
                    ledger.note(&status);
                }
            }
        }
        cut.join().expect("it was cut");
        daemon.kill();
        drop(client);
        ledger.killed();
        disk.power_on();
        let broken = ledger.broken_by_copy(&disk.db());
        assert_eq!(broken, Vec::<String>::new(), "cut {round} of seed {seed}");
    }
    let daemon = disk.spawn(disk.plimsoll(FEW));
    ready = ready.max(daemon.ready(READY));
    daemon.rows_after(now_ms());
    daemon.stop();
    assert_eq!(ledger.broken_by(&disk.db()), Vec::<String>::new(), "seed {seed}");
    println!(
        "{cuts} cuts in {} s: {} rows sent, {} readings promised, none lost or doubled; ready \
         after {} ms at most",
        begun.elapsed().as_secs(),
        ledger.sent(),
        ledger.promised(),
        ready.as_millis()
    );
    assert!(ledger.sent() > cuts as i64 && ledger.promised() > 0, "it tested something");
}

/// Cuts until something promised is gone; how many cuts that took.
fn loses(what: &str, lose: impl Fn(&Disk, &mut Ledger)) -> u64 {
    let disk = Disk::new();
    let first = disk.spawn(disk.plimsoll(FEW));
    first.ready(PATIENCE);
    first.stop();
    let mut ledger = Ledger::default();
    for cut in 1..=5 {
        lose(&disk, &mut ledger);
        disk.power_on();
        let broken = ledger.broken_by_copy(&disk.db());
        if !broken.is_empty() {
            println!("{what}: after {cut} cuts {}, {} in all", broken[0], broken.len());
            return cut;
        }
    }
    panic!("{what}: nothing was lost; this disk cannot show that anything is durable");
}

#[test]
fn rows_that_were_not_synced_are_lost_so_the_disk_is_a_fair_one() {
    for synchronous in ["OFF", "NORMAL"] {
        loses(synchronous, |disk, ledger| {
            // Nobody else syncs the log meanwhile.
            let mut client = Client::new(&disk.db(), synchronous);
            for _ in 0..20 {
                assert!(client.send(ledger, 5));
            }
            disk.switch()();
        });
    }
}

#[test]
fn a_daemon_whose_syncs_do_nothing_breaks_its_promise() {
    loses("syncs that do nothing", |disk, ledger| {
        let mut command = tool("strace", "strace");
        // Grandchild as tracer: the daemon stays our child.
        command.args(["-D", "-f", "-qqq", "--seccomp-bpf", "-o", "/dev/null", "-e"]);
        command.args(["trace=fdatasync,fsync", "-e", "inject=fdatasync,fsync:retval=0"]);
        command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS).arg(PLIMSOLL);
        disk.words(&mut command, FEW);
        let daemon = disk.spawn(command);
        daemon.ready(PATIENCE);
        let from = now_ms();
        eventually("a promise", PATIENCE, || {
            ledger.note(&daemon.json("/api/status"));
            if ledger.promised_at(from) { Ok(()) } else { Err(daemon.log()) }
        });
        disk.switch()();
        daemon.kill();
        ledger.killed();
    });
}
