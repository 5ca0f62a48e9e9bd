//! What a stranger, a neighbour or an odd line can do, in bounded forms, to a daemon whose address
//! space is bounded. After each attack, and while it lasts: the daemon runs and answers, its memory
//! and its files keep their bounds, the beat goes on, and the history is still there.
//! `ci/torture/hostile` runs these tests with more of everything and tighter bounds.

mod bodies;
mod places;
mod questions;
mod senders;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::*;

/// What the configuration allows the files, bytes.
const MAX_SIZE: u64 = 16 << 20;
/// Series and samples of each in the history that no attack may cost.
const OLD_SERIES: u64 = 20;
const OLD_SAMPLES: u64 = 2_000;
/// The address space of the daemon, bytes: an attack that gets past all other bounds ends it.
const ADDRESSES: u64 = 3_000_000_000;

/// How many times the usual number of attacks.
fn scale() -> usize {
    knob("PLIMSOLL_HOSTILE", 1) as usize
}

/// A daemon under attack, and somebody who watches it.
struct Siege {
    daemon: Daemon,
    folder: Folder,
    /// Peak of memory before the attack, KiB.
    rest: u64,
    since: i64,
    done: Arc<AtomicBool>,
    watch: JoinHandle<Watched>,
}

/// What the watch saw.
struct Watched {
    /// How long each `/health` took, sorted.
    answers: Vec<Duration>,
    /// The most that database, log and shared memory took together, bytes.
    files: u64,
}

impl Siege {
    /// Imports a history, starts a daemon and the watch over it.
    fn begin() -> Self {
        Self::begin_with("")
    }

    /// As [`Siege::begin`], with more lines in `[store]`.
    fn begin_with(store: &str) -> Self {
        let folder = Folder::new();
        std::fs::create_dir(folder.join("textfile")).expect("the folder can be written");
        folder.configure(&format!(
            "interval = \"100ms\"\nsystem = \"here\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [statsd]\nlisten = \"127.0.0.1:0\"\ntcp = \"127.0.0.1:0\"\nflush = \"1s\"\n\
             [graphite]\nlisten = \"127.0.0.1:0\"\n\
             [collect.textfile]\ndir = \"{}\"\n\
             [store]\nmax_size = \"16MiB\"\nraw = \"100d\"\n{store}\n",
            folder.join("textfile").display()
        ));
        import_history(&folder);
        let plain = folder.plimsoll(&["run"]);
        let mut command = Command::new("prlimit");
        command.arg(format!("--as={ADDRESSES}")).arg(PLIMSOLL).args(plain.get_args());
        command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS).current_dir(folder.path());
        let daemon = Daemon::spawn(command, &folder.join("log"));
        daemon.ready(PATIENCE);
        daemon.rows_after(now_ms());
        let since = now_ms();
        let rest = crate::asking::peak(&daemon);
        let done = Arc::new(AtomicBool::new(false));
        let watch = watch(daemon.address(), folder.db(), Arc::clone(&done));
        Self { folder, daemon, rest, since, done, watch }
    }

    /// The attack is over: everything that was promised has to hold.
    fn holds(mut self) {
        assert!(self.daemon.runs(), "it ended: {}", self.daemon.log());
        self.daemon.rows_after(now_ms());
        self.done.store(true, Ordering::Relaxed);
        let seen = self.watch.join().expect("the watch ends");
        let most = seen.answers.len();
        let p99 = seen.answers[(most * 99).div_ceil(100) - 1];
        let grown = crate::asking::peak(&self.daemon).saturating_sub(self.rest) / 1024;
        let times = timestamps(&self.daemon.db, "plimsoll_commits_total");
        let times: Vec<i64> = times.into_iter().filter(|t| *t >= self.since).collect();
        let gap = times.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(i64::MAX);
        println!(
            "/health {most} times, p99 {p99:?}; memory +{grown} MB; files {} kB; longest gap {gap} ms",
            seen.files / 1000
        );
        let bound = |name: &str, usual: u64| knob(name, usual);
        assert!(p99 < Duration::from_millis(bound("PLIMSOLL_P99_MS", 5_000)), "/health: {p99:?}");
        assert!(grown < bound("PLIMSOLL_GROWN_MB", 190), "{grown} MB more memory");
        assert!(seen.files <= MAX_SIZE / 10 * 11, "{} bytes of files", seen.files);
        assert!(gap < bound("PLIMSOLL_GAP_MS", 10_000) as i64, "no reading for {gap} ms");
        assert_eq!(old_samples(&self.folder), OLD_SERIES * OLD_SAMPLES, "samples of the history");
        self.daemon.stop();
    }
}

/// Forty minutes between two samples, so that the history reaches over some fifty days.
fn import_history(folder: &Folder) {
    let mut text = String::from("key,timestamp,value\n");
    let end = now_ms() / 1000;
    for series in 0..OLD_SERIES {
        for n in 1..=OLD_SAMPLES {
            let value = (n * 37 + series * 11) % 1000;
            text.push_str(&format!("old_{series},{},{value}\n", end - (n * 2_400) as i64));
        }
    }
    let path = folder.join("history.csv");
    std::fs::write(&path, text).expect("the folder can be written");
    folder.ask(&["import", path.to_str().expect("UTF-8")]).well();
}

/// How many samples of the history are in the file.
fn old_samples(folder: &Folder) -> u64 {
    let sql = "select count(*) as n from samples_all('old_*', '-90d')";
    let said = folder.ask(&["sql", "--format", "csv", sql]).well();
    said.lines().last().and_then(|l| l.trim().parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

fn files_of(db: &Path) -> u64 {
    let size = |end: &str| {
        let path = format!("{}{end}", db.display());
        std::fs::metadata(path).map_or(0, |m| m.len())
    };
    size("") + size("-wal") + size("-shm")
}

/// Asks for `/health` and looks at the files, again and again, until it is told to stop.
fn watch(
    address: std::net::SocketAddr,
    db: std::path::PathBuf,
    done: Arc<AtomicBool>,
) -> JoinHandle<Watched> {
    std::thread::spawn(move || {
        let mut seen = Watched { answers: Vec::new(), files: 0 };
        while !done.load(Ordering::Relaxed) || seen.answers.is_empty() {
            let start = Instant::now();
            let text = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let answer = exchange(address, text);
            // It may well complain: an answer is what counts.
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            seen.answers.push(start.elapsed());
            seen.files = seen.files.max(files_of(&db));
            pause(Duration::from_millis(10));
        }
        seen.answers.sort_unstable();
        seen
    })
}

#[test]
fn without_an_attack_everything_holds() {
    let siege = Siege::begin();
    pause(Duration::from_secs(1));
    siege.holds();
}
