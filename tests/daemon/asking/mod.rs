//! What other programs ask, and how the daemon stands it: federation, SQL over HTTP, Grafana's and
//! other clients' requests, many questions at once, and `plimsoll query` with a daemon and without.

mod clients;
mod command_line;
mod federate;
mod grafana;
mod memory;
mod noise;
mod refused;
mod sql;
mod turns;

use std::io::Write;
use std::net::TcpStream;

use serde_json::Value;

use crate::support::*;

/// A request with a body. HTTP/1.0, so that the answer comes as it is and not in chunks.
pub fn send(daemon: &Daemon, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let mut text = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    exchange(daemon.address(), &format!("{text}Content-Length: {}\r\n\r\n{body}", body.len()))
}

/// A form, as Grafana and promtool send it.
pub fn form(daemon: &Daemon, path: &str, body: &str) -> Answer {
    let kind = "Content-Type: application/x-www-form-urlencoded";
    send(daemon, "POST", path, &[kind], body)
}

/// What a successful answer holds.
pub fn data(answer: &Answer) -> Value {
    let mut body: Value =
        serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
    assert_eq!((answer.status, body["status"].as_str()), (200, Some("success")), "{answer:?}");
    body["data"].take()
}

/// Sends a request and does not wait for the answer.
pub fn begin(daemon: &Daemon, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.address()).expect("it listens");
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(text.as_bytes()).expect("it reads");
    stream
}

/// Waits until so many questions run and so many wait.
pub fn at_work(daemon: &Daemon, running: u64, waiting: u64) {
    eventually("questions", PATIENCE, || {
        let queries = daemon.json("/api/status")["queries"].take();
        let fits = queries["running"] == running && queries["waiting"] == waiting;
        if fits { Ok(()) } else { Err(queries.to_string()) }
    });
}

/// The most memory the daemon has had, in KiB.
pub fn peak(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
