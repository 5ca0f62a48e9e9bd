//! plimsoll among Munin's own: a master that asks it, a node that it asks, and strangers of all kinds.

mod master;
mod peers;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;

use crate::plugins::{plugins, put};
use crate::support::*;

/// A port that was free a moment ago.
fn free_port() -> SocketAddr {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    port.local_addr().expect("bound")
}

/// A plimsoll that is a node; `more` stands in `[munin_node]`.
fn node(folder: &Folder, more: &str) -> (Daemon, SocketAddr) {
    let address = free_port();
    let text = format!(
        "{FAST}[plugins]\nenabled = false\n[munin_node]\nlisten = \"{address}\"\n\
         host_name = \"ours\"\n{more}"
    );
    let daemon = folder.start(&text);
    (daemon, address)
}

/// A master by hand.
struct Line(BufReader<TcpStream>);

impl Line {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("settable");
        let mut line = Self(BufReader::new(stream));
        assert_eq!(line.line(), "# munin node at ours\n");
        line
    }

    fn say(&mut self, text: &str) {
        writeln!(self.0.get_mut(), "{text}").expect("it listens");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it answers");
        line
    }

    /// The answer up to its dot.
    fn ask(&mut self, text: &str) -> String {
        self.say(text);
        let mut out = String::new();
        loop {
            let line = self.line();
            if line == ".\n" || line.is_empty() {
                return out;
            }
            out.push_str(&line);
        }
    }
}

/// What is left to read.
fn rest(mut stream: impl Read) -> String {
    let mut text = Vec::new();
    // A connection that was reset has nothing more to say.
    let _unused = stream.read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// A counter of the daemon's own, once it is as large as that.
fn counted(daemon: &Daemon, key: &str, least: f64) {
    eventually(key, PATIENCE, || match daemon.value(key) {
        Some(value) if value >= least => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// Waits until the collectors have been read once.
fn measured(daemon: &Daemon) {
    eventually("a load", PATIENCE, || daemon.value("node_load5").map(drop).ok_or("none".into()));
}

#[test]
fn a_master_by_hand() {
    let folder = Folder::new();
    let (daemon, address) = node(&folder, "");
    measured(&daemon);
    let mut master = Line::to(address);
    master.say("list\r");
    assert!(!master.line().contains("diskstats"), "it is not for who takes no multigraph");
    master.say("cap multigraph dirtyconfig\r");
    assert_eq!(master.line(), "cap multigraph dirtyconfig\n");
    master.say("LIST ours");
    let list = master.line();
    for name in ["load", "memory", "cpu", "uptime", "forks", "interrupts"] {
        assert!(list.split_whitespace().any(|n| n == name), "{name}: {list}");
    }
    assert!(master.ask("config load\r").starts_with("graph_title Load average\n"));
    assert!(master.ask("fetch load").starts_with("load.value "));
    assert_eq!(master.ask("fetch nothing"), "# Unknown service\n");
    master.say("help");
    assert_eq!(
        master.line(),
        "# Unknown command. Try cap, list, nodes, config, fetch, version or quit\n"
    );
    master.say("quit");
    assert_eq!(rest(master.0), "");
    counted(&daemon, "plimsoll_munin_node_connections_total", 1.0);
    daemon.stop();
}

#[test]
fn plugins_are_passed_on_and_go_before_what_is_measured_here() {
    let folder = Folder::new();
    let dir = plugins(&folder);
    put(
        &dir,
        "load",
        "#!/bin/sh\nif [ \"$1\" = config ]; then\necho 'graph_title Mine'\necho 'load.label mine'\n\
         echo 'sent.label sent'\necho 'sent.type DERIVE'\necho 'sent.min 0'\nexit 0\nfi\n\
         echo 'load.value 4711'\necho 'sent.value 1234567890123'\n",
    );
    put(&dir, "room", "#!/bin/sh\necho users 3\n");
    let address = free_port();
    let daemon = folder.start(&format!(
        "{FAST}[plugins]\ndir = \"{}\"\ninterval = \"200ms\"\n[munin_node]\n\
         listen = \"{address}\"\nhost_name = \"ours\"\n",
        dir.display()
    ));
    let mut master = Line::to(address);
    let fetched = |master: &mut Line, name: &str, wanted: &str| {
        eventually(name, PATIENCE, || {
            let told = master.ask(&format!("fetch {name}"));
            if told == wanted { Ok(()) } else { Err(told) }
        });
    };
    fetched(&mut master, "load", "load.value 4711\nsent.value 1234567890123\n");
    fetched(&mut master, "room", "users.value 3\n");
    assert!(master.ask("config load").starts_with("graph_title Mine\nload.label mine\n"));
    assert!(master.ask("config room").contains("users.label users\n"));
    // A plugin's values are in the spool as well, once they are stored.
    eventually("a spool", PATIENCE, || {
        let told = master.ask("spoolfetch 1");
        let has =
            |start: &str, end: &str| told.lines().any(|l| l.starts_with(start) && l.ends_with(end));
        let all = told.contains("multigraph load\ngraph_title Mine\n")
            && has("load.value 1", ":4711")
            && has("sent.value 1", ":1234567890123")
            && has("users.value 1", ":3");
        if all { Ok(()) } else { Err(told) }
    });
    // One that is taken away leaves its name to what is measured here.
    std::fs::remove_file(dir.join("load")).expect("there");
    folder.ask(&["reload"]).well();
    eventually("the collector's", PATIENCE, || {
        let told = master.ask("config load");
        if told.contains("Load average") { Ok(()) } else { Err(told) }
    });
    daemon.stop();
}

/// A connection from another address of the loopback.
fn from_127_0_0_2(to: SocketAddr) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);
    bind(&socket, &own).expect("bound");
    connect(&socket, &to).expect("it listens");
    TcpStream::from(socket)
}

#[test]
fn who_is_not_allowed_gets_no_word() {
    let folder = Folder::new();
    let (daemon, address) = node(&folder, "allow = \"127.0.0.1\"\n");
    assert_eq!(rest(from_127_0_0_2(address)), "");
    counted(&daemon, "plimsoll_munin_node_refused_total{reason=\"denied\"}", 1.0);
    daemon.says("127.0.0.2 was turned away");
    assert!(Line::to(address).ask("nodes").contains("ours"));
    daemon.stop();
}

#[test]
fn too_many_and_too_slow_ones_keep_nobody_out() {
    let folder = Folder::new();
    let (daemon, address) = node(&folder, "");
    measured(&daemon);
    // These say half a word and no more.
    let mut first = Line::to(address);
    first.0.get_mut().write_all(b"fet").expect("it listens");
    let others: Vec<Line> = (0..40)
        .map(|_| {
            let mut line = Line::to(address);
            line.0.get_mut().write_all(b"fet").expect("it listens");
            line
        })
        .collect();
    assert_eq!(rest(first.0), "", "the oldest had to go");
    assert!(Line::to(address).ask("fetch load").starts_with("load.value "));
    counted(&daemon, "plimsoll_munin_node_refused_total{reason=\"too_many\"}", 9.0);
    drop(others);
    daemon.stop();
}

#[test]
fn garbage_and_lines_without_end() {
    let folder = Folder::new();
    let (mut daemon, address) = node(&folder, "");
    let mut dice = Dice::new(7);
    for _ in 0..20 {
        let mut line = Line::to(address);
        let bytes: Vec<u8> = (0..500).map(|_| dice.roll(256) as u8).collect();
        let _unused = line.0.get_mut().write_all(&bytes);
        let _unused = line.0.get_mut().write_all(b"\nnodes\nquit\n");
        rest(line.0);
    }
    let mut line = Line::to(address);
    // It may be hung up on before all of it is sent.
    let _unused = line.0.get_mut().write_all(&[b'x'; 100_000]);
    rest(line.0);
    counted(&daemon, "plimsoll_munin_node_refused_total{reason=\"long_line\"}", 1.0);
    assert!(daemon.runs());
    assert!(Line::to(address).ask("nodes").contains("ours"));
    daemon.stop();
}

/// A certificate of its own making.
fn certificate(folder: &Folder) -> String {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    run(tool("openssl", "openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "3", "-subj", "/CN=ours", "-addext", "subjectAltName=DNS:ours"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&cert))
    .well();
    format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", cert.display(), key.display())
}

#[test]
fn tls_that_is_asked_for_and_nothing_said_before_it() {
    let folder = Folder::new();
    let files = certificate(&folder);
    let (daemon, address) = node(&folder, &files);
    measured(&daemon);
    // What is sent in the same breath as STARTTLS is not taken for said within TLS.
    let mut line = Line::to(address);
    line.0.get_mut().write_all(b"STARTTLS\nfetch load\n").expect("it listens");
    assert_eq!(rest(line.0), "");
    // No handshake at all.
    let mut line = Line::to(address);
    line.say("starttls");
    assert_eq!(line.line(), "TLS OK\n");
    line.say("fetch load");
    assert!(!rest(line.0).contains("load.value"));
    counted(&daemon, "plimsoll_munin_node_refused_total{reason=\"tls\"}", 2.0);
    // Plain ones are still served.
    assert!(Line::to(address).ask("fetch load").starts_with("load.value "));
    daemon.stop();
}

/// Lets another user read and enter.
fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect("modes");
}
