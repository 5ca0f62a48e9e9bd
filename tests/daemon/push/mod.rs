//! What senders bring over HTTP ends in the file, or in an answer that says why not.

mod access;
mod acks;
mod clients;
mod document;
mod limits;
mod network;
mod prometheus;
mod send;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::support::*;

/// A beat that does not get in the way.
pub const QUIET: &str =
    "interval = \"1m\"\n[statsd]\nlisten = \"off\"\n[http]\nlisten = \"127.0.0.1:0\"\n";

/// A request with a body.
pub fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("settable");
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    // It may have seen enough already.
    let _any = stream.write_all(body);
    answer(&mut stream)
}

pub fn post(daemon: &Daemon, path: &str, body: &str) -> Answer {
    send(daemon.address(), "POST", path, &[], body.as_bytes())
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).expect("memory");
    packer.finish().expect("memory")
}

/// `system/job/key kind value` of all that was pushed, oldest first, once there are so many.
pub fn stored(daemon: &Daemon, count: usize) -> Vec<String> {
    eventually("pushed samples in the file", PATIENCE, || {
        let sql = "select s.system || '/' || s.job || '/' || s.key || ' ' || s.kind || ' ' ||
                   case typeof(value) when 'blob' then hex(value) else round(value, 6) end || ' ' || ts
                   from samples join series s on _id = series_id
                   where job <> 'node' and key <> 'push_time_seconds' order by ts, s.key, s.system";
        let rows: Vec<String> = sqlite3(&daemon.db, sql).lines().map(str::to_owned).collect();
        if rows.len() >= count { Ok(rows) } else { Err(format!("{rows:#?}")) }
    })
}

/// The rows without what precedes the key.
fn bare(rows: &[String]) -> Vec<&str> {
    rows.iter().map(|r| r.splitn(3, '/').nth(2).expect("three parts")).collect()
}

#[test]
fn json_one_many_and_lines() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("system = \"here\"\n{QUIET}"));
    let one =
        r#"{"key": "room", "value": 21.5, "timestamp": 1700000000, "labels": {"floor": "1"}}"#;
    let answer = post(&daemon, "/api/push", one);
    assert_eq!((answer.status, &*answer.body), (200, "{\"accepted\":1}"));
    let many = r#"[{"key": "a", "value": 1, "timestamp": 1700000001, "type": "counter"},
                   {"key": "b", "value": "x", "timestamp": 1700000001},
                   {"key": "c", "value": 3, "timestamp": 1700000002, "instance": "web2"},
                   {"key": "", "value": 4}]"#;
    let answer = post(&daemon, "/api/push", many);
    assert_eq!(answer.status, 400);
    let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&said["accepted"], &said["refused"]), (&2.into(), &2.into()));
    let errors = [
        serde_json::json!({"index": 1, "line": 2, "reason": "`x` is not a number"}),
        serde_json::json!({"index": 3, "line": 4, "reason": "no key"}),
    ];
    assert_eq!(said["errors"].as_array().expect("a list"), &errors);
    let lines = "{\"key\":\"d\",\"value\":1,\"timestamp\":1700000003,\"host\":\"x\"}\n\
                 {\"key\":\"d{host=\\\"web3\\\"}\",\"value\":\"NaN\",\"timestamp\":1700000004}\n";
    assert_eq!(post(&daemon, "/api/push", lines).body, "{\"accepted\":2}");
    let rows = stored(&daemon, 5);
    assert_eq!(
        rows,
        [
            "here/push/room{floor=\"1\"} gauge 21.5 1700000000000",
            "here/push/a counter 1.0 1700000001000",
            "web2/push/c gauge 3.0 1700000002000",
            "here/push/d gauge 1.0 1700000003000",
            "web3/push/d gauge 7FF8000000000000 1700000004000",
        ]
    );
    // What was sent and what was lost can be looked up.
    folder.ask(&["interval", "100ms"]).well();
    eventually("the counters", PATIENCE, || {
        let sent = daemon.value("plimsoll_samples_total{source=\"json\"}");
        let bad =
            daemon.value("plimsoll_samples_dropped_total{reason=\"invalid\",source=\"json\"}");
        if (sent, bad) == (Some(5.0), Some(2.0)) {
            Ok(())
        } else {
            Err(format!("{sent:?} {bad:?}"))
        }
    });
    daemon.stop();
}

#[test]
fn influx_of_both_versions() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    assert_eq!(send(daemon.address(), "GET", "/ping", &[], b"").status, 204);
    let answer =
        post(&daemon, "/write?db=x&precision=s", "cpu,host=web1 idle=1.5,name=\"x\" 1700000000");
    assert_eq!((answer.status, &*answer.body), (204, ""));
    let body =
        gzip(b"cpu,host=web1 idle=2.5 1700000001000000000\nt value=1i 1700000002000000000\n");
    let packed = [("Content-Encoding", "gzip")];
    let path = "/api/v2/write?org=o&bucket=b&precision=ns";
    let answer = send(daemon.address(), "POST", path, &packed, &body);
    assert_eq!((answer.status, &*answer.body), (204, ""));
    let answer = post(&daemon, "/write", "good value=4 1700000003000000000\nbad\n");
    assert_eq!(answer.status, 400);
    for said in ["partial write", "1 values were taken", "line 2: no field"] {
        assert!(answer.body.contains(said), "{}", answer.body);
    }
    assert_eq!(post(&daemon, "/write?precision=d", "a value=1").status, 400);
    let unknown = [("Content-Encoding", "br")];
    assert_eq!(send(daemon.address(), "POST", "/write", &unknown, b"x").status, 415);
    let rows = stored(&daemon, 4);
    assert_eq!(
        bare(&rows),
        [
            "cpu_idle gauge 1.5 1700000000000",
            "cpu_idle gauge 2.5 1700000001000",
            "t gauge 1.0 1700000002000",
            "good gauge 4.0 1700000003000",
        ]
    );
    assert!(rows[0].starts_with("web1/influx/"), "{rows:?}");
    daemon.stop();
}

#[test]
fn what_is_too_large_is_refused_before_it_is_unpacked() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let before = memory(&daemon);
    // 128 MiB of blanks pack into 128 KiB.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let blanks = vec![b'\n'; 1 << 20];
    for _ in 0..128 {
        bomb.write_all(&blanks).expect("memory");
    }
    let bomb = bomb.finish().expect("memory");
    let packed = [("Content-Encoding", "gzip")];
    for path in ["/write", "/api/v2/write", "/api/push", "/metrics/job/a"] {
        let answer = send(daemon.address(), "POST", path, &packed, &bomb);
        assert_eq!(answer.status, 413, "{path}: {answer:?}");
    }
    // Snappy says its length first: four gigabytes, and there is nothing behind it.
    let protobuf = [("Content-Encoding", "snappy"), ("Content-Type", "application/x-protobuf")];
    let lie = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    assert_eq!(send(daemon.address(), "POST", "/api/v1/write", &protobuf, &lie).status, 413);
    let honest = snap::raw::Encoder::new().compress_vec(&vec![0; 5 << 20]).expect("memory");
    assert!(honest.len() < 1 << 20);
    assert_eq!(send(daemon.address(), "POST", "/api/v1/write", &protobuf, &honest).status, 413);
    assert_eq!(send(daemon.address(), "POST", "/api/v1/write", &protobuf, b"\x05nope").status, 400);
    let long = [("Content-Length", "1048577")];
    assert_eq!(send(daemon.address(), "POST", "/write", &long, b"").status, 413);
    // Nor does it help to say no length at all.
    let mut stream = TcpStream::connect(daemon.address()).expect("it listens");
    let head =
        "POST /write HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n";
    stream.write_all(head.as_bytes()).expect("it reads");
    let _any = stream.write_all(&vec![b'\n'; 2 << 20]);
    assert_eq!(answer(&mut stream).status, 413);
    let grown = memory(&daemon) - before;
    assert!(grown < 8 << 20, "{grown} bytes more");
    daemon.stop();
}

/// The most memory it ever had, in bytes.
fn memory(daemon: &Daemon) -> i64 {
    let path = format!("/proc/{}/status", daemon.pid());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("a high-water mark");
    let kb: i64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    kb * 1024
}

#[test]
fn pages_of_other_sites_send_nothing() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let body = br#"{"key": "a", "value": 1}"#;
    let sent = |name: &str, value: &str| {
        send(daemon.address(), "POST", "/api/push", &[(name, value)], body).status
    };
    for (name, value, status) in [
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
        // Another port is another page, another scheme too.
        ("Origin", "http://localhost:1876", 403),
        ("Origin", "https://localhost", 403),
        ("Origin", "moz-extension://localhost", 403),
        ("Origin", "http://127.0.0.1", 403),
        ("Sec-Fetch-Site", "same-site", 403),
        // Whatever else a browser may say one day.
        ("Sec-Fetch-Site", "CROSS-SITE", 403),
        ("Sec-Fetch-Site", "near-site", 403),
        ("Sec-Fetch-Site", "none", 200),
        ("Origin", "http://localhost", 200),
        ("Origin", "http://LOCALHOST:80", 200),
        ("Sec-Fetch-Site", "same-origin", 200),
    ] {
        assert_eq!(sent(name, value), status, "{name}: {value}");
    }
    // Nothing changes by looking.
    for path in ["/api/push", "/write", "/api/v2/write", "/api/v1/write", "/metrics/job/a"] {
        let answer = send(daemon.address(), "GET", path, &[], b"");
        assert!(answer.status == 405 && answer.body.contains("POST to it"), "{path}: {answer:?}");
    }
    let lost = send(daemon.address(), "POST", "/api/pushh", &[], body);
    assert!(lost.status == 404 && lost.body.contains("/api/push,"), "{lost:?}");
    daemon.stop();
}

#[test]
fn groups_are_replaced_and_ended_as_pushgateway_does() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let to = |method: &str, path: &str, body: &str| {
        let answer = send(daemon.address(), method, path, &[], body.as_bytes());
        (answer.status, answer.body)
    };
    let path = "/metrics/job/backup/instance/web2/db/main";
    let first = "# TYPE done counter\ndone 1\nsize{part=\"a\"} 5\nsize{part=\"b\"} 6\nother 7\n";
    assert_eq!(to("PUT", path, first), (200, String::new()));
    let rows = stored(&daemon, 5);
    let keys: Vec<&str> = rows.iter().map(|r| r.split(' ').next().expect("a key")).collect();
    let at = |what: &str| format!("web2/backup/{what}");
    for key in [
        "done{db=\"main\"}",
        "size{db=\"main\",part=\"a\"}",
        "other{db=\"main\"}",
        "push_time_seconds{db=\"main\"}",
    ] {
        assert!(keys.contains(&&*at(key)), "{key}: {keys:?}");
    }
    assert!(rows.iter().any(|r| r.contains("done{db=\"main\"} counter 1")), "{rows:?}");
    // POST replaces what has the same names, and leaves the rest.
    assert_eq!(to("POST", path, "size{part=\"a\"} 8\n").0, 200);
    let stale = |rows: &[String]| {
        let mut ended: Vec<String> = rows
            .iter()
            .filter(|r| r.contains(" 7FF0000000000002 "))
            .map(|r| {
                r.split(' ').next().expect("a key").rsplit('/').next().expect("key").to_owned()
            })
            .collect();
        ended.sort();
        ended
    };
    let part_b = "size{db=\"main\",part=\"b\"}";
    assert_eq!(stale(&stored(&daemon, 8)), [part_b]);
    let (status, said) = to("POST", path, "fine 1\nbad{ 2\n");
    assert!(
        status == 400 && said.contains("nothing was taken") && said.contains("line 2"),
        "{said}"
    );
    // PUT replaces everything, DELETE ends it.
    assert_eq!(to("PUT", path, "new 9\n").0, 200);
    let ended = ["done{db=\"main\"}", "other{db=\"main\"}", "size{db=\"main\",part=\"a\"}", part_b];
    assert_eq!(stale(&stored(&daemon, 13)), ended);
    assert_eq!(to("DELETE", path, "").0, 202);
    assert_eq!(to("DELETE", path, "").0, 202, "and once more");
    let rows = stored(&daemon, 15);
    assert_eq!(stale(&rows).len(), 6, "{rows:#?}");
    assert_eq!(to("PUT", "/metrics/job/", "a 1\n").0, 400);
    assert_eq!(to("PUT", "/metrics/job/a/b", "a 1\n").0, 404);
    daemon.stop();
}

/// A token for one machine neither ends nor replaces what others have pushed to a path.
#[test]
fn a_group_is_ended_by_nobody_else() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("system = \"here\"\n{QUIET}"));
    let token = |name: &str, more: &[&str]| {
        let verb = [&["token", "add", name, "--scope", "push"], more].concat();
        format!("Bearer {}", folder.ask(&verb).well().trim())
    };
    let bound = token("web1", &["--instance", "web1"]);
    let free = token("any", &[]);
    let to = |method: &str, path: &str, token: Option<&str>, body: &str| {
        let far = [("X-Forwarded-For", "192.0.2.1"), ("Authorization", token.unwrap_or_default())];
        let headers = if token.is_some() { &far[..] } else { &[] };
        send(daemon.address(), method, path, headers, body.as_bytes()).status
    };
    let (here, other) = ("/metrics/job/j", "/metrics/job/j/instance/web2");
    assert_eq!(to("PUT", here, None, "a 1\n"), 200);
    assert_eq!(to("PUT", other, None, "b 2\n"), 200);
    assert_eq!(to("DELETE", other, Some(&bound), ""), 403, "web2's, by the token of web1");
    assert_eq!(to("DELETE", "/metrics/job/none/instance/web2", Some(&bound), ""), 403);
    assert_eq!(to("DELETE", here, Some(&bound), ""), 202, "web1 has no such group");
    assert_eq!(to("PUT", here, Some(&bound), "c 3\n"), 200);
    let own = "/metrics/job/j/instance/here";
    assert_eq!(to("DELETE", own, Some(&free), ""), 403, "this machine's, from elsewhere");
    let rows = stored(&daemon, 3);
    let mark = |rows: &[String]| rows.iter().filter(|r| r.contains(" 7FF0000000000002 ")).count();
    assert_eq!((rows.len(), mark(&rows)), (3, 0), "{rows:#?}");
    // A token for any machine may end what it may push, and web1 its own.
    assert_eq!(to("DELETE", other, Some(&free), ""), 202);
    assert_eq!(to("DELETE", here, Some(&bound), ""), 202);
    let rows = stored(&daemon, 5);
    let ended: Vec<&String> = rows.iter().filter(|r| r.contains(" 7FF0000000000002 ")).collect();
    assert!(
        ended.len() == 2 && ended.iter().all(|r| r.contains("/b ") || r.contains("web1/j/c ")),
        "{rows:#?}"
    );
    daemon.stop();
}
