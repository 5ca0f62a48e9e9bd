//! Many questions at once: four run, the others wait; whoever goes frees his place.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{at_work, begin, data, send};
use crate::promql::START;
use crate::support::*;

/// Sorting 20,000 values at each of 10,000 steps takes far longer than a test.
const LONG: &str = "/api/v1/query_range?query=quantile_over_time(0.5,ticks[20000s])\
                    &start=1700020000&end=1700030000&step=1";

/// A series with a value a second for most of a day.
fn ticking() -> (Folder, Daemon) {
    let folder = Folder::new();
    let mut rows = String::from("key,timestamp,value\n");
    for i in 0..60_000 {
        rows.push_str(&format!("ticks,{},{}\n", START + i, (i * 7_919) % 10_007));
    }
    std::fs::write(folder.join("rows.csv"), rows).expect("writable");
    folder.ask(&["import", "rows.csv"]).well();
    let daemon = folder.start(FAST);
    (folder, daemon)
}

#[test]
fn four_run_and_the_others_wait_for_them() {
    let (_folder, daemon) = ticking();
    let mut clients: Vec<_> = (0..6).map(|_| begin(&daemon, "GET", LONG, "")).collect();
    at_work(&daemon, 4, 2);
    // Their clients go: those that waited come to their turn.
    clients.drain(..4);
    at_work(&daemon, 2, 0);
    clients.clear();
    at_work(&daemon, 0, 0);
    let answer = send(
        &daemon,
        "GET",
        "/api/v1/query?query=count_over_time(ticks[1h])&time=1700010000",
        &[],
        "",
    );
    assert_eq!(data(&answer)["result"][0]["value"][1], "3600");
    daemon.healthy();
    daemon.stop();
}

#[test]
fn who_waits_too_long_is_told_to_come_again() {
    let (_folder, daemon) = ticking();
    let _clients: Vec<_> = (0..8).map(|_| begin(&daemon, "GET", LONG, "")).collect();
    at_work(&daemon, 4, 4);
    // Behind two rounds of ten seconds each; another's patience ends after one.
    let answer = send(&daemon, "GET", "/api/v1/query?query=1", &[], "");
    // Its turn may come just before its time is over, or too late for an answer.
    let late = answer.body.contains("ask again later");
    let timed_out = answer.body.contains("timed out");
    assert!(answer.status == 200 || (answer.status == 503 && (late || timed_out)), "{answer:?}");
    let refused = daemon.json("/api/status")["queries"]["refused"].as_u64().unwrap_or(0);
    assert!(refused > 0 || !late, "{}", daemon.json("/api/status")["queries"]);
    daemon.stop();
}

#[test]
fn long_answers_are_packed_for_those_who_take_it() {
    let (_folder, daemon) = ticking();
    let long = "/api/v1/query?query=ticks[1000s]&time=1700010000";
    let packed = |path: &str, accept: &str| {
        let answer = send(&daemon, "GET", path, &[accept], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"));
        answer.header("content-encoding").map(str::to_owned)
    };
    for accept in ["Accept-Encoding: gzip", "Accept-Encoding: deflate, GZIP;q=0.5"] {
        assert_eq!(packed(long, accept).as_deref(), Some("gzip"), "{accept}");
    }
    for accept in ["Accept: */*", "Accept-Encoding: gzip;q=0", "Accept-Encoding: br"] {
        assert_eq!(packed(long, accept), None, "{accept}");
    }
    assert_eq!(packed("/api/v1/query?query=1", "Accept-Encoding: gzip"), None);
    let curl = |words: &[&str]| {
        run(tool("curl", "curl")
            .args(["-gsS"])
            .args(words)
            .arg(format!("http://{}{long}", daemon.address())))
        .well()
    };
    assert_eq!(curl(&["--compressed"]), curl(&[]));
    daemon.stop();
}

/// How often threads of the pool were run.
fn pool_runs(daemon: &Daemon) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let runs = tasks.flatten().filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let runs = times.split_ascii_whitespace().nth(2)?.parse::<u64>().ok()?;
        name.starts_with("tokio").then_some(runs)
    });
    runs.sum()
}

#[test]
fn no_question_is_worked_on_by_the_thread_that_reads_requests() {
    let (_folder, daemon) = ticking();
    let small = "/api/v1/query?query=absent(nothing)&time=1700010000";
    let ask = || {
        let answer = send(&daemon, "GET", small, &[], "");
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    ask();
    let before = pool_runs(&daemon);
    for _ in 0..20 {
        ask();
    }
    let runs = pool_runs(&daemon) - before;
    assert!(runs >= 20, "{runs}");
    daemon.stop();
}

#[test]
fn the_page_has_places_of_its_own_and_so_has_another_client() {
    let (_folder, daemon) = ticking();
    let _clients: Vec<_> = (0..8).map(|_| begin(&daemon, "GET", LONG, "")).collect();
    at_work(&daemon, 4, 4);
    for path in ["/api/overview", "/api/chart?id=first", "/api/events", "/api/graphs", "/health"] {
        let answer = send(&daemon, "GET", path, &[], "");
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    // One client has four of the five places at most, so there is one for another.
    let question = "GET /api/v1/query?query=1 HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let answer = other_client(&daemon, question);
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    at_work(&daemon, 4, 4);
    daemon.stop();
}

#[test]
fn no_client_has_all_places_of_live_values() {
    let (_folder, daemon) = ticking();
    let look = "GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let begins = |mut stream: TcpStream| {
        stream.set_read_timeout(Some(PATIENCE)).expect("settable");
        stream.write_all(look.as_bytes()).expect("it reads");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("it answers");
        (stream, String::from_utf8_lossy(&head).into_owned())
    };
    let mut viewers = Vec::new();
    let refused = loop {
        let stream = TcpStream::connect(daemon.address()).expect("it listens");
        match begins(stream) {
            (stream, head) if head == "HTTP/1.1 200" => viewers.push(stream),
            (_, head) => break head,
        }
    };
    assert_eq!((&*refused, viewers.len()), ("HTTP/1.1 503", 24));
    let (_stream, head) = begins(from_elsewhere(&daemon));
    assert_eq!(head, "HTTP/1.1 200");
    daemon.stop();
}

/// A connection that comes from another address of this machine.
fn from_elsewhere(daemon: &Daemon) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let fd = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let elsewhere: std::net::SocketAddr = ([127, 0, 0, 2], 0).into();
    bind(&fd, &elsewhere).expect("an address of the loopback");
    connect(&fd, &daemon.address()).expect("it listens");
    TcpStream::from(fd)
}

/// What another client is answered.
fn other_client(daemon: &Daemon, question: &str) -> String {
    let mut stream = from_elsewhere(daemon);
    stream.set_read_timeout(Some(PATIENCE)).expect("settable");
    stream.write_all(question.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

#[test]
fn series_that_several_threads_unpack_come_in_their_order() {
    let folder = Folder::new();
    let mut rows = String::from("key,timestamp,value\n");
    for series in 0..48 {
        for i in 0..3_000 {
            let key = format!("\"many{{n=\"\"{series:02}\"\"}}\"");
            rows.push_str(&format!("{key},{},{}\n", START + i, series * 10_000 + i));
        }
    }
    std::fs::write(folder.join("rows.csv"), rows).expect("writable");
    folder.ask(&["import", "rows.csv"]).well();
    let daemon = folder.start(FAST);
    let (start, end) = (START + 10, START + 2_990);
    let path = format!("/api/v1/query_range?query=many&start={start}&end={end}&step=20");
    for _ in 0..4 {
        let answer = send(&daemon, "GET", &path, &[], "");
        let result = &data(&answer)["result"];
        for series in 0..48 {
            let one = &result[series];
            assert_eq!(one["metric"]["n"], format!("{series:02}"));
            for step in 0..150 {
                let value = series * 10_000 + 10 + step * 20;
                assert_eq!(one["values"][step][1], value.to_string(), "{series} {step}");
            }
        }
    }
    daemon.stop();
}
