//! What else than a file can lie where a file is opened, and whose the files are that root makes.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Daemon, FAST, Folder, PATIENCE, eventually, need_root, now_ms, run, tool};

/// Debian's nobody.
const NOBODY: u32 = 65_534;

/// A program that ends with the test, however that does.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _buried = self.0.wait();
    }
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("a pipe is made");
}

/// A verb as nobody.
fn as_nobody(folder: &Folder, words: &[&str]) -> std::process::Command {
    let plimsoll = folder.plimsoll(words);
    let mut command = tool("setpriv", "util-linux");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(plimsoll.get_program()).args(plimsoll.get_args());
    command.env("PLIMSOLL_PLUGIN_DIR", crate::support::NO_PLUGINS).current_dir(folder.path());
    command
}

/// The folder and a database in it that belong to nobody, as those of a service do.
fn of_nobody() -> Folder {
    need_root("giving files to another user");
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("set");
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).expect("given");
    folder.configure("[http]\nlisten = \"off\"\n");
    std::fs::write(folder.join("a.csv"), "key,timestamp,value\na,1700000000,1\n").expect("written");
    folder
}

fn owner(folder: &Folder, name: &str) -> u32 {
    folder.join(name).metadata().expect("it is there").uid()
}

#[test]
fn what_root_makes_beside_a_database_is_its_owners() {
    let folder = of_nobody();
    folder.ask(&["import", "a.csv"]).well();
    for name in ["metrics.sqlite", "metrics.sqlite.lock"] {
        assert_eq!(owner(&folder, name), NOBODY, "{name}");
    }
    let lock = folder.join("metrics.sqlite.lock").metadata().expect("it is there");
    assert_eq!(lock.mode() & 0o777, 0o600, "whoever reads it could hold it");
    // As an older plimsoll left it.
    chown(folder.join("metrics.sqlite.lock"), Some(0), Some(0)).expect("given");
    let err = run(&mut as_nobody(&folder, &["import", "a.csv"])).refused();
    assert!(err.contains("sudo plimsoll doctor --repair"), "{err}");
    let said = folder.ask(&["doctor"]);
    assert!(said.out.contains("belongs to another user than the database"), "{said:?}");
    folder.ask(&["doctor", "--repair"]).well();
    run(&mut as_nobody(&folder, &["import", "a.csv"])).well();
    // A damaged database is set aside, and the new one is of use to the same user.
    let mut bytes = std::fs::read(folder.db()).expect("read");
    bytes[4_096..].fill(7);
    std::fs::write(folder.db(), bytes).expect("written");
    folder.ask(&["doctor", "--repair"]).well();
    for name in ["metrics.sqlite", "metrics.sqlite-wal", "metrics.sqlite.lock"] {
        assert_eq!(owner(&folder, name), NOBODY, "{name}");
    }
    run(&mut as_nobody(&folder, &["import", "a.csv"])).well();
}

#[test]
fn no_lock_is_taken_through_a_link_or_in_something_else() {
    let folder = Folder::new();
    folder.filled();
    let victim = folder.join("victim");
    std::fs::write(&victim, "kept").expect("written");
    let lock = folder.join("metrics.sqlite.lock");
    symlink(&victim, &lock).expect("a link");
    for words in [&["run"][..], &["compact"], &["import", "victim"]] {
        let err = folder.ask(words).refused();
        assert!(err.contains("metrics.sqlite.lock: it is a symbolic link, not a file"), "{err}");
    }
    std::fs::remove_file(&lock).expect("removed");
    std::fs::hard_link(&victim, &lock).expect("a link");
    assert!(folder.ask(&["run"]).refused().contains("a hard link"));
    std::fs::remove_file(&lock).expect("removed");
    pipe(&lock);
    assert!(folder.ask(&["run"]).refused().contains("it is a named pipe, not a file"));
    assert_eq!(std::fs::read_to_string(victim).expect("read"), "kept");
}

#[test]
fn who_holds_the_lock_is_told_and_not_who_once_did() {
    let folder = Folder::new();
    folder.configure(FAST);
    let lock = folder.join("metrics.sqlite.lock");
    std::fs::write(&lock, "1\n").expect("written");
    let holder = tool("flock", "util-linux")
        .args(["-x", "-n", "-F"])
        .arg(&lock)
        .args(["sh", "-c", "echo held; exec sleep 600"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let (mut holder, mut said) = (Ends(holder), [0; 4]);
    std::io::Read::read_exact(holder.0.stdout.as_mut().expect("piped"), &mut said).expect("held");
    let err = folder.ask(&["run"]).refused();
    let named = format!("in use by process {} (", holder.0.id());
    // In a container the list of locks may leave out where the file is.
    let unseen = "a process that cannot be seen from here";
    assert!(err.contains(&named) || err.contains(unseen), "{err}");
    assert!(!err.contains("kill 1"), "{err}");
}

#[test]
fn a_database_that_is_no_file() {
    let folder = Folder::new();
    folder.configure(FAST);
    pipe(&folder.db());
    assert!(folder.ask(&["run"]).refused().contains("it is a named pipe, not a file"));
    for words in [&["status"][..], &["doctor"], &["sql", "select 1"], &["query", "cpu"]] {
        assert!(folder.ask(words).refused().contains("is not an SQLite database"), "{words:?}");
    }
}

#[test]
fn a_pipe_among_the_textfiles_stops_nothing() {
    let folder = Folder::new();
    let texts = folder.join("texts");
    std::fs::create_dir(&texts).expect("made");
    pipe(&texts.join("x.prom"));
    symlink("/dev/zero", texts.join("zero.prom")).expect("a link");
    std::fs::write(texts.join("good.prom"), "good 1\n").expect("written");
    let config = format!("{FAST}\n[collect.textfile]\ndir = {texts:?}\n");
    let daemon = folder.start(&config);
    daemon.rows_after(now_ms());
    eventually("all are told", PATIENCE, || {
        let problems = daemon.problems().join("\n");
        let both = problems.contains("x.prom: it is a named pipe, not a file")
            && problems.contains("zero.prom: it is a device, not a file");
        if both { Ok(()) } else { Err(problems) }
    });
    daemon.rows_after(now_ms());
    assert_eq!(daemon.value("good"), Some(1.0));
    daemon.stop();
}

/// A disk or a driver that does not answer, as strace plays it to this one thread.
#[test]
fn a_beat_that_hangs_is_never_healthy() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let name = |path: &Path| std::fs::read_to_string(path.join("comm")).unwrap_or_default();
    let mut tasks = tasks.flatten().map(|task| task.path());
    let beat = tasks.find(|task| name(task).trim() == "beat").expect("the thread is there");
    let thread = beat.file_name().expect("its number").to_string_lossy().into_owned();
    let strace = tool("strace", "strace")
        // Not in a collector, which others are read without, but before the first.
        .args(["-qq", "-o", "/dev/null", "-e", "trace=timerfd_settime"])
        .args(["-e", "inject=timerfd_settime:delay_enter=3600000000", "-p", &thread])
        .spawn()
        .expect("it starts");
    let strace = Ends(strace);
    eventually("it is told", PATIENCE, || {
        let answer = daemon.http("GET", "/health");
        let told = answer.status == 503 && answer.body.contains("nothing has been measured for");
        if told { Ok(()) } else { Err(answer.body) }
    });
    let verdict = daemon.json("/api/verdict");
    assert_eq!(verdict["verdict"]["level"], "bad", "{verdict}");
    daemon.says("error beat: nothing has been measured for");
    drop(strace);
    daemon.says("beat: it goes on");
    daemon.rows_after(now_ms());
    daemon.healthy();
    daemon.stop();
}

#[test]
fn what_is_no_configuration_certificate_token_or_setting() {
    let folder = Folder::new();
    folder.configure(FAST);
    let odd = folder.join("odd");
    pipe(&odd);
    std::fs::remove_file(folder.join("plimsoll.toml")).expect("removed");
    pipe(&folder.join("plimsoll.toml"));
    let err = folder.ask(&["run"]).refused();
    assert!(err.contains("cannot be read: it is a named pipe, not a file"), "{err}");
    std::fs::remove_file(folder.join("plimsoll.toml")).expect("removed");
    symlink("/dev/zero", folder.join("plimsoll.toml")).expect("a link");
    assert!(folder.ask(&["run"]).refused().contains("it is a device, not a file"));
    std::fs::remove_file(folder.join("plimsoll.toml")).expect("removed");

    folder.configure(FAST);
    pipe(&folder.join("metrics.sqlite.tokens"));
    let err = folder.ask(&["token", "list"]).refused();
    assert!(err.contains("metrics.sqlite.tokens") && err.contains("a named pipe"), "{err}");
    std::fs::remove_file(folder.join("metrics.sqlite.tokens")).expect("removed");

    let confs = folder.join("conf.d");
    std::fs::create_dir(&confs).expect("made");
    pipe(&confs.join("munin-node"));
    std::fs::create_dir(confs.join("more")).expect("made");
    let plugins = format!("[plugins]\ndir = {:?}\nconf_dir = {confs:?}\n", folder.path());
    let config = format!("{FAST}tls_cert = {odd:?}\ntls_key = {odd:?}\n{plugins}");
    folder.configure(&config);
    let daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
    daemon.ready(PATIENCE);
    daemon.says("odd: it is a named pipe, not a file");
    daemon.says("munin-node: it is a named pipe, not a file");
    daemon.rows_after(now_ms());
    daemon.stop();
}

#[test]
fn an_import_reads_from_a_pipe_if_it_is_told_to() {
    let folder = Folder::new();
    folder.configure(FAST);
    let odd = folder.join("odd");
    pipe(&odd);
    let writer = std::thread::spawn({
        let odd = odd.clone();
        move || std::fs::write(odd, "key,timestamp,value\na,1700000000,1\n")
    });
    folder.ask(&["import", "odd"]).well();
    writer.join().expect("joins").expect("written");
    for words in [&["import", "rrd", "odd"][..], &["import", "sar", "odd"]] {
        let said = folder.ask(words);
        let all = said.out.clone() + &said.err;
        assert!(all.contains("it is a named pipe, not a file"), "{said:?}");
    }
}

/// The other receivers; http.rs and statsd.rs have theirs.
#[test]
fn a_port_or_a_certificate_that_comes_late_is_had_all_the_same() {
    let folder = Folder::new();
    let taken = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let [node, graphite] = taken.each_ref().map(|t| t.local_addr().expect("an address"));
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let config = format!(
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\ntls_cert = {cert:?}\ntls_key = {key:?}\n\
         [munin_node]\nlisten = \"{node}\"\n[graphite]\nlisten = \"{graphite}\"\n"
    );
    folder.configure(&config);
    let daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
    daemon.ready(PATIENCE);
    for what in ["http: cannot speak TLS", &format!("munin_node {node}: cannot"), "graphite tcp"] {
        daemon.says(&format!("warn {what}"));
    }
    drop(taken);
    run(tool("openssl", "openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost"])
        .args([&*"-keyout".to_owned(), &key.to_string_lossy(), "-out", &cert.to_string_lossy()]))
    .well();
    daemon.says("listening  https://");
    daemon.says(&format!("munin_node {node}: works again"));
    daemon.says(&format!("graphite tcp {graphite}: works again"));
    for address in [node, graphite] {
        std::net::TcpStream::connect(address).expect("it listens");
    }
    daemon.stop();
}
