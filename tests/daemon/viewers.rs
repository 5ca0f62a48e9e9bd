//! Who looks at live values and does not read them is let go, and costs little until then; who reads
//! stays.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};

use crate::support::*;

/// So much may wait in the kernel for one who does not read, bytes; it would take 2.5 MB.
const MOST_UNSENT: u64 = 384 << 10;

const DROPPED: &str = "plimsoll_viewers_dropped_total{reason=\"slow\"}";

/// Connected, with room for hardly anything that arrives.
fn narrow(address: SocketAddr) -> TcpStream {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    sockopt::set_socket_recv_buffer_size(&fd, 4_096).expect("settable");
    connect(&fd, &address).expect("it listens");
    TcpStream::from(fd)
}

/// What waits to be sent from the first port to the second, bytes: the kernel's table.
fn unsent(from: u16, to: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("readable");
    let port = |place: &str| u16::from_str_radix(place.rsplit(':').next()?, 16).ok();
    let ours = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().and_then(port) == Some(from) && words.next().and_then(port) == Some(to)
    };
    let queue = table.lines().find(ours).and_then(|line| line.split_whitespace().nth(4));
    queue.map_or(0, |q| u64::from_str_radix(q.split(':').next().unwrap_or(q), 16).expect("hex"))
}

/// The chart of most lines that this machine measures itself.
fn widest(daemon: &Daemon) -> Result<String, String> {
    let overview = daemon.json("/api/overview");
    let charts = overview["charts"].as_array().ok_or("no charts")?;
    let lines = |c: &serde_json::Value| c["lines"].as_array().map_or(0, Vec::len);
    let own = charts.iter().filter(|c| c["id"].as_str().is_some_and(|id| id.starts_with("node:")));
    let widest = own.max_by_key(|c| lines(c)).filter(|c| lines(c) > 7).ok_or("none is wide")?;
    Ok(widest["id"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_viewer_that_does_not_read_is_let_go_and_counted() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let address = daemon.address();
    let id = eventually("a wide chart", PATIENCE, || widest(&daemon));
    let mut look = String::from("GET /api/live?x=");
    for _ in 0..200 {
        let _infallible = write!(look, "&id={id}");
    }
    look.push_str(" HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut slow = narrow(address);
    slow.set_read_timeout(Some(PATIENCE)).expect("settable");
    slow.write_all(look.as_bytes()).expect("taken");
    let mut quick = TcpStream::connect(address).expect("it listens");
    quick.set_read_timeout(Some(PATIENCE)).expect("settable");
    quick.write_all(look.as_bytes()).expect("taken");
    let gone = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&gone);
    let reader = std::thread::spawn(move || {
        let (mut frames, mut after) = (0, 0);
        for line in BufReader::new(quick).lines() {
            let line = line.expect("it goes on");
            if line.starts_with("data: {\"c\":[[0,") {
                frames += 1;
                after += usize::from(over.load(Relaxed));
            }
            if after == 2 {
                return frames;
            }
        }
        panic!("it was let go after {frames} frames");
    });
    let before = daemon.resident();
    let ports = (address.port(), slow.local_addr().expect("bound").port());
    let mut most = 0;
    eventually("a viewer that was let go", 6 * PATIENCE, || {
        // A frame goes out every second.
        pause(Duration::from_millis(200));
        most = most.max(unsent(ports.0, ports.1));
        match daemon.value(DROPPED) {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?}, {most} bytes of {id} unsent")),
        }
    });
    assert!(most > 0 && most <= MOST_UNSENT, "{most} bytes waited in the kernel");
    let grown = daemon.resident() - before;
    assert!(grown < 4.0, "{grown} MB more");
    // It is cut off: nothing more comes than what was on its way.
    let mut rest = Vec::new();
    let ended = slow.read_to_end(&mut rest);
    assert!(rest.len() < 1 << 20, "{} bytes, {ended:?}", rest.len());
    assert!(!rest.ends_with(b"\r\n0\r\n\r\n"), "a last word waits for ever to be read");
    gone.store(true, Relaxed);
    assert!(reader.join().expect("it was not let go") > 3);
    assert_eq!(daemon.value(DROPPED), Some(1.0));
    daemon.stop();
}

#[test]
fn a_viewer_goes_with_its_token() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let token = folder.ask(&["token", "add", "web", "--scope", "read"]).well();
    let mut stream = TcpStream::connect(daemon.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("settable");
    let look = format!(
        "GET /api/live?id=load HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\
         Authorization: Bearer {}\r\nConnection: close\r\n\r\n",
        token.trim()
    );
    stream.write_all(look.as_bytes()).expect("taken");
    let mut lines = BufReader::new(stream).lines();
    let mut first = lines.by_ref().map(|line| line.expect("it goes on"));
    assert!(first.any(|line| line.starts_with("data: ")), "nothing was shown");
    folder.ask(&["token", "revoke", "web"]).well();
    let until = std::time::Instant::now() + PATIENCE;
    for line in lines {
        line.expect("it ends in order");
        assert!(std::time::Instant::now() < until, "it goes on without its token");
    }
    daemon.stop();
}
