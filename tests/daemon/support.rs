//! A folder of one's own, a daemon in it, and patience with a deadline.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use plimsoll::model::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use random::Random;

#[path = "../random/mod.rs"]
mod random;

pub const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");

/// In the place of the Munin plugins of the machine that tests run on.
pub const NO_PLUGINS: &str = "/nonexistent";

/// For everything that has no bound of its own: two busy cores must not make a test fail.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// A beat as fast as it gets, and a port that is free.
pub const FAST: &str = "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n";

/// Looks again and again until there is an answer; panics with the last refusal.
pub fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let end = Instant::now() + within;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) if Instant::now() > end => panic!("{what}: not within {within:?}: {why}"),
            Err(_) => pause(Duration::from_millis(5)),
        }
    }
}

/// Lets time pass where time itself is what is tested.
pub fn pause(length: Duration) {
    let end = Instant::now() + length;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Milliseconds since 1970 UTC.
pub fn now_ms() -> i64 {
    SystemClock.wall_ms()
}

/// A program that must be there.
pub fn tool(name: &str, package: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    assert!(found, "{name} is missing: apt-get install {package}");
    Command::new(name)
}

/// For what only root may do.
pub fn need_root(what: &str) {
    assert!(
        rustix::process::geteuid().is_root(),
        "{what} takes root: run this test as root, as ci/test does"
    );
}

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Said {
    fn new(output: Output, took: Duration) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status, out: text(&output.stdout), err: text(&output.stderr), took }
    }

    /// It went well: what it printed.
    pub fn well(self) -> String {
        assert!(self.status.success(), "{self:?}");
        self.out
    }

    /// It was refused with exit code 1 and nothing like a panic: the sentence.
    pub fn refused(self) -> String {
        assert_eq!(self.status.code(), Some(1), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self.err
    }
}

/// Runs a program to its end; kills it when that does not come.
pub fn run(command: &mut Command) -> Said {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut out = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).map(|_| bytes)
    });
    let mut err = child.stderr.take().expect("piped");
    let errors = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        err.read_to_end(&mut bytes).map(|_| bytes)
    });
    let status = wait(&mut child, PATIENCE).unwrap_or_else(|| {
        child.kill().expect("it is ours");
        panic!("{command:?} hangs");
    });
    let took = start.elapsed();
    let bytes = |t: std::thread::JoinHandle<std::io::Result<Vec<u8>>>| {
        t.join().expect("joins").expect("reads")
    };
    Said::new(Output { status, stdout: bytes(reader), stderr: bytes(errors) }, took)
}

fn wait(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status);
        }
        if Instant::now() > end {
            return None;
        }
        pause(Duration::from_millis(2));
    }
}

/// Debian's sqlite3 on a file: what it prints.
pub fn sqlite3(db: &Path, sql: &str) -> String {
    let said = try_sqlite3(db, sql);
    assert!(said.status.success() && said.err.is_empty(), "{sql}: {said:?}");
    said.out.trim_end().to_owned()
}

/// The same when it may be refused.
pub fn try_sqlite3(db: &Path, sql: &str) -> Said {
    run(tool("sqlite3", "sqlite3")
        .args(["-batch", "-init", "/dev/null", "-cmd", ".timeout 5000"])
        .arg(db)
        .arg(sql))
}

/// A folder that goes away.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("plimsoll-").tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn db(&self) -> PathBuf {
        self.join("metrics.sqlite")
    }

    /// Writes the configuration. Only one daemon of a machine can have statsd's port, so these go
    /// without it, unless a test is about it.
    pub fn configure(&self, text: &str) -> PathBuf {
        let path = self.join("plimsoll.toml");
        let mut text = text.to_owned();
        if !text.contains("[statsd]") {
            text.push_str("\n[statsd]\nlisten = \"off\"\n");
        }
        std::fs::write(&path, text).expect("the folder can be written");
        path
    }

    /// `plimsoll VERB… --db … --config …`
    pub fn plimsoll(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PLIMSOLL);
        command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
        command.args(words).arg("--db").arg(self.db());
        command.arg("--config").arg(self.join("plimsoll.toml")).current_dir(self.path());
        command
    }

    /// A verb, run to its end.
    pub fn ask(&self, words: &[&str]) -> Said {
        run(&mut self.plimsoll(words))
    }

    /// Starts a daemon and waits until it listens.
    pub fn start(&self, config: &str) -> Daemon {
        self.configure(config);
        let daemon = Daemon::spawn(self.plimsoll(&["run"]), &self.join("log"));
        daemon.ready(PATIENCE);
        daemon
    }

    /// A database with some rows in it, and nobody writing.
    pub fn filled(&self) -> PathBuf {
        let daemon = self.start(FAST);
        daemon.rows_after(now_ms());
        daemon.stop();
        std::fs::remove_file(self.join("metrics.sqlite.lock")).expect("it was left");
        self.db()
    }
}

/// A running daemon; ends with the test.
pub struct Daemon {
    child: Child,
    pub db: PathBuf,
    log: PathBuf,
    /// When it was started.
    pub since: Instant,
}

impl Daemon {
    /// Starts it with its log in a file; does not wait.
    pub fn spawn(mut command: Command, log: &Path) -> Self {
        command.env_remove("NOTIFY_SOCKET");
        Self::launch(command, log)
    }

    /// Starts it as a service manager does, which listens at `notify`; does not wait.
    pub fn supervised(mut command: Command, log: &Path, notify: &Path) -> Self {
        command.env("NOTIFY_SOCKET", notify);
        Self::launch(command, log)
    }

    fn launch(mut command: Command, log: &Path) -> Self {
        let file = File::create(log).expect("the log can be written");
        let since = Instant::now();
        let child = command
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the daemon starts");
        let mut words = command.get_args();
        let db = words.find(|w| *w == "--db").and_then(|_| words.next());
        let db = db.map_or_else(|| log.with_file_name("metrics.sqlite"), PathBuf::from);
        Self { child, db, log: log.to_owned(), since }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Megabytes of its own that it has in memory now: not the program's text, of which whatever it
    /// does for the first time maps more.
    pub fn resident(&self) -> f64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("it runs");
        let line = status.lines().find(|l| l.starts_with("RssAnon:")).expect("what is resident");
        let kb = line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok());
        kb.expect("a number") / 1024.0
    }

    /// Everything it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_else(|e| e.to_string())
    }

    /// How many log lines contain the text.
    pub fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|l| l.contains(text)).count()
    }

    /// Waits for a line in the log.
    pub fn says(&self, text: &str) {
        eventually(&format!("{text:?} in the log"), PATIENCE, || {
            if self.logged(text) > 0 { Ok(()) } else { Err(self.log()) }
        });
    }

    /// Waits until it has said its third line; how long that took since the start.
    pub fn ready(&self, within: Duration) -> Duration {
        let left = within.saturating_sub(self.since.elapsed());
        eventually("ready", left, || {
            if self.logged(" listening ") > 0 { Ok(()) } else { Err(self.log()) }
        });
        self.since.elapsed()
    }

    /// Waits for readings of its own, taken after a moment, to be in the file.
    pub fn rows_after(&self, ms: i64) {
        eventually("rows in the file", PATIENCE, || match newest(&self.db) {
            Some(ts) if ts > ms => Ok(()),
            other => Err(format!("newest {other:?}, wanted {ms}; {}", self.log())),
        });
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        let log = self.log();
        let from = log.find("http://").expect("it said where") + "http://".len();
        let text = log[from..].split_whitespace().next().expect("an address");
        text.parse().expect("an address")
    }

    /// A request to it.
    pub fn http(&self, method: &str, path: &str) -> Answer {
        let text =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        exchange(self.address(), &text)
    }

    /// A document as JSON.
    pub fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.http("GET", path).body).expect("JSON")
    }

    /// The current value of a series, as /api/status shows it.
    pub fn value(&self, key: &str) -> Option<f64> {
        let status = self.json("/api/status");
        let values = status["values"].as_array().expect("values");
        values.iter().find(|v| v["key"] == key)?["value"].as_f64()
    }

    /// What /health complains of.
    pub fn problems(&self) -> Vec<String> {
        let health = self.json("/health");
        let problems = health["problems"].as_array().expect("problems");
        problems.iter().map(|p| format!("{}: {}", p["subject"], p["message"])).collect()
    }

    /// Waits until /health has nothing to complain of.
    pub fn healthy(&self) {
        eventually("health", PATIENCE, || match self.problems() {
            none if none.is_empty() => Ok(()),
            some => Err(format!("{some:?}")),
        });
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.own_pid(), signal).expect("it runs");
    }

    fn own_pid(&self) -> Pid {
        Pid::from_raw(self.pid() as i32).expect("a pid")
    }

    /// SIGKILL, and nothing else.
    pub fn kill(mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Sends the signal and waits for the end: exit code, and how long that took.
    pub fn end(&mut self, signal: Signal) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(signal);
        (self.wait(), start.elapsed())
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait(&mut self.child, PATIENCE).unwrap_or_else(|| panic!("it hangs: {}", self.log()))
    }

    /// SIGTERM; it must end well.
    pub fn stop(mut self) {
        let (status, _) = self.end(Signal::TERM);
        assert!(status.success(), "{status:?}: {}", self.log());
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _unused = self.child.kill();
            let _unused = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the daemon\n{}", self.log());
        }
    }
}

/// The newest reading of plimsoll's own in a file, ms since 1970; through SQLite's public face and
/// read-only, as any client may while the daemon writes.
pub fn newest(db: &Path) -> Option<i64> {
    timestamps(db, "plimsoll_commits_total").pop()
}

/// Every stored timestamp of a series, ms since 1970.
pub fn timestamps(db: &Path, key: &str) -> Vec<i64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let Ok(conn) = rusqlite::Connection::open_with_flags(db, flags) else { return Vec::new() };
    conn.busy_timeout(Duration::from_secs(5)).expect("settable");
    let sql = "SELECT ts FROM samples JOIN series ON _id = series_id WHERE key = ?1 ORDER BY ts";
    // Just created: no tables yet.
    let Ok(mut statement) = conn.prepare(sql) else { return Vec::new() };
    let rows = statement.query_map([key], |row| row.get(0)).expect("one text");
    rows.collect::<Result<_, _>>().expect("a readable file")
}

/// An answer to an HTTP request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Sends a text, reads until the other side closes.
pub fn exchange(address: SocketAddr, text: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("settable");
    stream.write_all(text.as_bytes()).expect("it reads");
    answer(&mut stream)
}

/// Reads an answer until the other side closes.
pub fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    if let Err(e) = stream.read_to_end(&mut bytes) {
        // A refusal may come before all was sent: what it said counts, then the reset.
        assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{e}");
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
    let headers = lines
        .filter_map(|l| l.split_once(": "))
        .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
        .collect();
    let answer = Answer { status: status.expect("a status line"), headers, body: body.to_owned() };
    match answer.header("transfer-encoding") {
        Some("chunked") => Answer { body: pieces(body), ..answer },
        _ => answer,
    }
}

/// What was sent in pieces, each behind its length in hexadecimal digits.
fn pieces(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).expect("a length");
        whole.push_str(&rest[..length]);
        text = &rest[length + 2..];
    }
    whole
}

/// Installs into a folder unless it was done before; tests run side by side.
pub fn once(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("cargo's folder can be written");
    let lock = std::fs::File::create(folder.join("lock")).expect("writable");
    lock.lock().expect("a lock");
    if !folder.join("done").exists() {
        install(&folder);
        std::fs::write(folder.join("done"), "").expect("writable");
    }
    folder
}

/// Runs an installer to its end.
pub fn installs(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// Clients from PyPI at fixed versions, by the machine's own pip: the folder for `PYTHONPATH`.
pub fn pip_installed(name: &str, packages: &[&str]) -> PathBuf {
    once(name, |folder| {
        let words = ["-m", "pip", "install", "--quiet", "--no-input", "--root-user-action=ignore"];
        installs(tool("python3", "python3").args(words).arg("--target").arg(folder).args(packages));
    })
}

/// Modules from npm at fixed versions, by the machine's own npm: the folder for `NODE_PATH`.
pub fn npm_installed(name: &str, packages: &[&str]) -> PathBuf {
    let folder = once(name, |folder| {
        let words = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"];
        let npm = &mut tool("npm", "npm");
        installs(npm.args(words).args(["--omit=optional", "--prefix"]).arg(folder).args(packages));
    });
    folder.join("node_modules")
}

/// Numbers that look random and come again.
pub struct Dice(Random);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1))
    }

    /// From 0 to `below` − 1.
    pub fn roll(&mut self, below: u64) -> u64 {
        (self.0.bits() >> 11) % below
    }

    pub fn millis(&mut self, below: u64) -> Duration {
        Duration::from_micros(self.roll(below * 1000))
    }
}

/// A number from the environment of the test, for the torture scripts: more rounds of the same.
pub fn knob(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number: {text:?}")),
        Err(_) => usual,
    }
}

/// The daemon under strace with these options. Its tracer is a grandchild, so the daemon stays our child,
/// and the tracer goes when the daemon goes. Each thread counts its calls for itself.
pub fn traced(folder: &Folder, options: &[&str]) -> Command {
    let mut command = tool("strace", "strace");
    command.args(["-D", "-f", "-qqq"]).args(options);
    command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
    command.arg(PLIMSOLL).arg("run").arg("--db").arg(folder.db());
    command.arg("--config").arg(folder.join("plimsoll.toml")).current_dir(folder.path());
    command
}

/// The daemon, which strace kills at its k-th write to a file, counted thread by thread.
pub fn doomed(folder: &Folder, write: u64) -> Command {
    // Without --seccomp-bpf: where strace stops by seccomp, no signal can be brought in.
    let inject = format!("inject=pwrite64:signal=SIGKILL:when={write}");
    traced(folder, &["-o", "/dev/null", "-e", "trace=pwrite64", "-e", &inject])
}
