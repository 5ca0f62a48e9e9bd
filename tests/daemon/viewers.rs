//! Who looks at live values and does not read them is let go, and costs little until then; who reads
//! stays.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, connect, socket, sockopt};

use crate::support::*;

/// So much may wait in the kernel for one who does not read, bytes; it would take 2.5 MB.
const MOST_UNSENT: u64 = 384 << 10;

/// Connected, with room for hardly anything that arrives.
fn narrow(address: SocketAddr) -> TcpStream {
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    sockopt::set_socket_recv_buffer_size(&fd, 4_096).expect("settable");
    connect(&fd, &address).expect("it listens");
    TcpStream::from(fd)
}

/// 24 values that are new each time.
fn push(address: SocketAddr, round: u32) {
    let one = |n| format!(r#"{{"key":"wide","labels":{{"n":"{n}"}},"value":{round}{n}}}"#);
    let body = (1000..1024).map(one).collect::<Vec<_>>().join("\n");
    let length = body.len();
    let text = format!(
        "POST /api/push HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    assert!((200..300).contains(&exchange(address, &text).status));
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

#[test]
fn a_viewer_that_does_not_read_is_let_go_and_counted() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let address = daemon.address();
    push(address, 1);
    let id = eventually("its chart", PATIENCE, || {
        let charts = daemon.json("/api/overview")["charts"].clone();
        let all = charts.as_array().expect("an array");
        let wide = all.iter().find(|c| c["title"] == "wide").and_then(|c| c["id"].as_str());
        wide.map(str::to_owned).ok_or_else(|| format!("{} charts", all.len()))
    });
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
    let reader = std::thread::spawn(move || {
        let mut frames = 0;
        for line in BufReader::new(quick).lines() {
            let line = line.expect("it goes on");
            frames += usize::from(line.starts_with("data: {\"c\":[[0,"));
            if line.contains("[77777") {
                return frames;
            }
        }
        panic!("it was let go after {frames} frames");
    });
    let before = daemon.resident();
    let (mut round, mut most) = (1, 0);
    let ports = (address.port(), slow.local_addr().expect("bound").port());
    eventually("a viewer that was let go", 4 * PATIENCE, || {
        // A frame goes out every second, with what is new.
        pause(Duration::from_millis(200));
        round += 1;
        push(address, round);
        most = most.max(unsent(ports.0, ports.1));
        match daemon.value("plimsoll_viewers_dropped_total{reason=\"slow\"}") {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?}, {most} bytes unsent after {round} rounds")),
        }
    });
    assert!(most > 0 && most <= MOST_UNSENT, "{most} bytes waited in the kernel");
    let grown = daemon.resident() - before;
    assert!(grown < 3.0, "{grown} MB more");
    // Nothing more comes to it than what was on its way.
    let mut rest = Vec::new();
    let ended = slow.read_to_end(&mut rest);
    assert!(rest.len() < 1 << 20, "{} bytes, {ended:?}", rest.len());
    eventually("the quick one's last frame", PATIENCE, || {
        push(address, 77_777);
        if reader.is_finished() { Ok(()) } else { Err("still reading".to_owned()) }
    });
    assert!(reader.join().expect("it was not let go") > 3);
    assert_eq!(daemon.value("plimsoll_viewers_dropped_total{reason=\"slow\"}"), Some(1.0));
    daemon.stop();
}
