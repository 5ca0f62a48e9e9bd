//! Files that are none, and connections that are held and not used.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::{Siege, scale};
use crate::statsd::place;
use crate::support::*;

#[test]
fn files_that_are_none_stop_no_beat() {
    let siege = Siege::begin();
    let folder = siege.folder.join("textfile");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("pipe.prom"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a pipe");
    std::fs::create_dir(folder.join("folder.prom")).expect("a folder");
    std::os::unix::fs::symlink("/dev/zero", folder.join("zero.prom")).expect("a link");
    std::os::unix::fs::symlink("loop.prom", folder.join("loop.prom")).expect("a link");
    std::os::unix::fs::symlink("/etc/shadow", folder.join("secret.prom")).expect("a link");
    std::fs::write(folder.join("good.prom"), "good_file 1\n").expect("writable");
    eventually("the good file", PATIENCE, || {
        siege.daemon.value("good_file").ok_or_else(|| siege.daemon.log()).map(|_| ())
    });
    assert!(!siege.daemon.log().contains("root:"), "{}", siege.daemon.log());
    siege.holds();
}

#[test]
fn connections_that_are_held_lock_nobody_out() {
    let siege = Siege::begin();
    let http = siege.daemon.address();
    let (statsd, graphite) = (place(&siege.daemon, "tcp"), graphite(&siege.daemon));
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..300 * scale().min(4) {
        for (address, text) in [
            (http, "POST /write HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\nx"),
            (statsd, "held:1|c"),
            (graphite, "held 1"),
        ] {
            let mut stream = TcpStream::connect(address).expect("it listens");
            let _cut_off = stream.write_all(text.as_bytes());
            held.push(stream);
        }
    }
    for (address, line, key) in [
        (statsd, "late_statsd:5|g\n", "late_statsd"),
        (graphite, "late.graphite 5 -1\n", "late.graphite"),
    ] {
        eventually(key, PATIENCE, || {
            // A newcomer comes in at once, and so does one more where the first was cut off.
            if let Ok(mut stream) = TcpStream::connect(address) {
                let _cut_off = stream.write_all(line.as_bytes());
            }
            pause(Duration::from_millis(50));
            let sql = format!("select count(*) from metrics where key = '{key}' and value = 5");
            if sqlite3(&siege.daemon.db, &sql) == "0" { Err("not stored".into()) } else { Ok(()) }
        });
    }
    siege.holds();
}

fn graphite(daemon: &Daemon) -> std::net::SocketAddr {
    let log = daemon.log();
    let line = log.lines().find(|l| l.contains(" graphite ")).unwrap_or_else(|| panic!("{log}"));
    let text = line.split("tcp ").nth(1).and_then(|t| t.split([',', ' ']).next());
    text.and_then(|t| t.parse().ok()).unwrap_or_else(|| panic!("{line}"))
}
