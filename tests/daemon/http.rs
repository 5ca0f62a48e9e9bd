//! What answers on the port, what does not, and who cannot bring it down. Larger crowds:
//! ci/torture/http.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::support::*;

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("settable");
    stream
}

fn with_host(address: SocketAddr, host: &str) -> Answer {
    exchange(address, &format!("GET /health HTTP/1.1\r\n{host}Connection: close\r\n\r\n"))
}

#[test]
fn only_by_its_own_names() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("{FAST}hosts = [\"monitor.example.org\"]\n"));
    let address = daemon.address();
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:99", "monitor.example.org:443"] {
        assert_eq!(with_host(address, &format!("Host: {host}\r\n")).status, 200, "{host}");
    }
    for lines in [
        "Host: evil.example\r\n",
        "Host: localhost.evil.example\r\n",
        "Host: localhost\r\nHost: evil.example\r\n",
        "Host: \r\n",
        "",
    ] {
        let answer = with_host(address, lines);
        assert!(answer.status == 421 || answer.status == 400, "{lines:?}: {answer:?}");
    }
    // A whole address in the first line names the host, whatever the header says.
    for (named, status) in [
        ("http://localhost/health", 200),
        ("http://[::1]:1876/health", 200),
        ("http://evil.example/health", 421),
        ("http://localhost@evil.example/health", 421),
        ("//evil.example/health", 404),
    ] {
        let text = format!("GET {named} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assert_eq!(exchange(address, &text).status, status, "{named}");
    }
    let answer = with_host(address, "Host: evil.example\r\n");
    assert_eq!(answer.status, 421);
    assert!(answer.body.contains("hosts") && answer.body.contains("plimsoll.toml"), "{answer:?}");
    // A new name needs no new start.
    let config = FAST.replace("100ms", "200ms") + "hosts = [\"other.example\"]\n";
    folder.configure(&config);
    folder.ask(&["reload"]).well();
    assert_eq!(with_host(address, "Host: other.example\r\n").status, 200);
    assert_eq!(with_host(address, "Host: monitor.example.org\r\n").status, 421);
    daemon.stop();
}

#[test]
fn every_answer_carries_the_security_headers() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/api/status", 200),
        ("GET", "/metrics", 200),
        ("HEAD", "/health", 200),
        ("GET", "/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("POST", "/health", 405),
        ("PUT", "/metrics", 405),
        ("DELETE", "/", 405),
    ] {
        let answer = daemon.http(method, path);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        let csp = answer.header("content-security-policy").expect("a policy");
        assert!(csp.contains("default-src 'none'") && csp.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{method} {path}");
        let policy = answer.header("cross-origin-resource-policy");
        assert_eq!(policy, Some("same-origin"), "{method} {path}");
    }
    assert!(daemon.http("GET", "/nothing").body.contains("try /metrics"), "says what there is");
    let head = daemon.http("HEAD", "/health");
    assert_eq!(head.body, "");
    assert!(head.header("content-length").is_some_and(|n| n != "0"), "{head:?}");
    daemon.stop();
}

/// A page elsewhere learns nothing, not even whether a picture could be drawn; a link is followed.
#[test]
fn pages_of_other_sites_look_at_nothing() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    let get = |path: &str, headers: &str| {
        let text = format!("GET {path} HTTP/1.0\r\nHost: localhost:80\r\n{headers}\r\n");
        exchange(daemon.address(), &text).status
    };
    let fetch = |site: &str, mode: &str, dest: &str| {
        format!("Sec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {dest}\r\n")
    };
    let picture = "/graph.png?expr=cpu&range=5m";
    for path in [picture, "/api/v1/query?query=1", "/metrics", "/health", "/", "/api/live?id=load"]
    {
        for site in ["cross-site", "same-site"] {
            assert_eq!(get(path, &fetch(site, "no-cors", "image")), 403, "{path} {site}");
            assert_eq!(get(path, &fetch(site, "navigate", "iframe")), 403, "{path} {site}");
        }
        assert_eq!(get(path, "Origin: http://evil.example\r\n"), 403, "{path}");
    }
    let link = fetch("cross-site", "navigate", "document");
    for (path, status) in [
        ("/", 200),
        ("/hosts", 200),
        (picture, 200),
        ("/api/v1/query?query=1", 403),
        ("/metrics", 403),
        ("/api/events", 403),
    ] {
        assert_eq!(get(path, &link), status, "{path}");
    }
    // Programs, the page itself, what is typed in, and browsers that say nothing of it.
    for headers in [
        "",
        &fetch("same-origin", "cors", "empty"),
        &fetch("none", "navigate", "document"),
        "Referer: http://wiki.example/\r\n",
        "Origin: http://localhost\r\n",
    ] {
        assert_eq!(get(picture, headers), 200, "{headers}");
    }
    daemon.stop();
}

#[test]
fn health_and_status_are_what_they_say() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    assert_eq!(daemon.json("/health")["status"], "healthy");
    let status = daemon.json("/api/status");
    assert_eq!(status["pid"], daemon.pid());
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["database"]["path"], folder.db().to_str().expect("text"));
    let main = status["database"]["bytes"]["main"].as_u64().expect("a number");
    assert!(main >= 4096, "{status}");
    daemon.stop();
}

/// promtool of Debian's prometheus has nothing to say but of names that are node_exporter's.
#[test]
fn the_metrics_page_is_clean() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    // Its own figures come with the first reading after the first commit.
    let page = eventually("all kinds of series", PATIENCE, || {
        let page = daemon.http("GET", "/metrics").body;
        let all = page.contains("\nmemory ") && page.contains("\nplimsoll_commits_total ");
        if all { Ok(page) } else { Err(page) }
    });
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool (apt-get install prometheus)");
    let mut input = promtool.stdin.take().expect("piped");
    input.write_all(page.as_bytes()).expect("it reads");
    drop(input);
    let said = promtool.wait_with_output().expect("it ends");
    let lines =
        String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
    let ours: Vec<&str> = lines.lines().filter(|l| !l.starts_with("node_")).collect();
    assert_eq!(ours, Vec::<&str>::new());
    assert!(lines.contains("node_memory_"), "promtool did not look: {lines}");
}

#[test]
fn too_much_of_a_request_is_refused() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let address = daemon.address();
    let head = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
    let large = format!("{head}X: {}\r\n\r\n", "x".repeat(64 << 10));
    let refused = exchange(address, &large);
    assert_eq!(refused.status, 431);
    assert!(refused.body.contains(r#""errorType":"bad_data""#), "{refused:?}");
    assert!(refused.body.contains("send a long query as a form, by POST"), "{refused:?}");
    assert_eq!(refused.header("x-content-type-options"), Some("nosniff"), "{refused:?}");
    let many: String = (0..2_000).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(exchange(address, &format!("{head}{many}\r\n")).status, 431);
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(64 << 10));
    assert!([414, 431].contains(&exchange(address, &long).status));
    assert_eq!(exchange(address, "\x16\x03\x01 this is not HTTP\r\n\r\n").status, 400);
    let odd = "GET /api/v1/query?query=up{a=\"b\"} HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let refused = exchange(address, odd);
    assert!(refused.status == 400 && refused.body.contains("%22 %7B"), "{refused:?}");
    assert_eq!(daemon.http("GET", "/health").status, 200);
    daemon.stop();
}

#[test]
fn one_connection_serves_many_requests() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let mut stream = connect(daemon.address());
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let last = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.repeat(9).as_bytes()).expect("it reads");
    stream.write_all(last.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 10, "{text}");
    daemon.stop();
}

/// One that never gets to the end of its request, and comes again when it is sent away.
struct Slow {
    begins: &'static str,
    stream: TcpStream,
}

impl Slow {
    fn new(address: SocketAddr, begins: &'static str) -> Self {
        let mut stream = connect(address);
        // It may have been closed already, to make room for another.
        let _unused = stream.write_all(begins.as_bytes());
        Self { begins, stream }
    }

    fn dribble(&mut self, address: SocketAddr) {
        if !self.begins.is_empty() && self.stream.write_all(b"x").is_err() {
            *self = Self::new(address, self.begins);
        }
    }
}

#[test]
fn a_crowd_of_slow_clients_keeps_nobody_out() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let address = daemon.address();
    let (slow, idle) = (knob("PLIMSOLL_SLOW_CLIENTS", 300), knob("PLIMSOLL_IDLE_CLIENTS", 300));
    let bound = Duration::from_millis(knob("PLIMSOLL_P99_MS", 1_000));
    let rounds = knob("PLIMSOLL_REQUESTS", 50);
    let header = "GET / HTTP/1.1\r\nHost: lo";
    let body = "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\nx";
    let mut crowd: Vec<Slow> = Vec::new();
    for (begins, count) in [(header, slow), (body, slow), ("", idle)] {
        crowd.extend((0..count).map(|_| Slow::new(address, begins)));
    }
    let mut turn = 0;
    let mut took: Vec<Duration> = Vec::new();
    for round in 0..rounds {
        let start = Instant::now();
        assert_eq!(daemon.http("GET", "/health").status, 200, "{round}");
        took.push(start.elapsed());
        for _ in 0..20 {
            let n = crowd.len();
            crowd[turn % n].dribble(address);
            turn += 7;
        }
    }
    took.sort_unstable();
    let p99 = took[(took.len() * 99).div_ceil(100) - 1];
    let median = took[took.len() / 2];
    println!(
        "{slow} slow headers, {slow} slow bodies, {idle} idle: {rounds} requests, \
         median {median:?}, p99 {p99:?}"
    );
    assert!(p99 < bound, "{p99:?}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("proc").count();
    assert!(open < 400, "{open} descriptors");
    daemon.stop();
}

#[test]
fn who_never_finishes_a_request_is_sent_away() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let address = daemon.address();
    let started = Instant::now();
    let waiting: Vec<(&str, TcpStream)> = [
        ("silent", ""),
        ("half a line", "GET / HT"),
        ("half a header", "GET / HTTP/1.1\r\nHost: localhost\r\nX"),
        ("idle after an answer", "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ]
    .map(|(what, text)| {
        let mut stream = connect(address);
        stream.write_all(text.as_bytes()).expect("it reads");
        (what, stream)
    })
    .into();
    for (what, mut stream) in waiting {
        // Promised: ten seconds. The end of the stream, or a last word and the end.
        let mut rest = Vec::new();
        if let Err(e) = stream.read_to_end(&mut rest) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{what}: {e}");
        }
        let took = started.elapsed();
        assert!((8..15).contains(&took.as_secs()), "{what}: {took:?}");
    }
    daemon.stop();
}

#[test]
fn a_port_that_is_taken_does_not_keep_it_from_collecting() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let daemon = folder.start(&format!("interval = \"100ms\"\n[http]\nlisten = \"{address}\"\n"));
    assert_eq!(daemon.logged(&format!("warn http: cannot listen on {address}")), 1);
    assert_eq!(daemon.logged(&format!("listening  http://{address} (not yet)")), 1);
    daemon.rows_after(now_ms());
    let said = folder.ask(&["status"]).well();
    assert!(said.contains("cannot listen on"), "the status tells it: {said}");
    // It is had as soon as it is free.
    drop(taken);
    let had = format!("listening  http://{address}");
    eventually("the address", PATIENCE, || {
        let log = daemon.log();
        if log.lines().any(|line| line.ends_with(&had)) { Ok(()) } else { Err(log) }
    });
    daemon.healthy();
    let said = folder.ask(&["status"]).well();
    assert!(said.contains(&format!("http://{address}")), "{said}");
    daemon.stop();
}

#[test]
fn switched_off_it_listens_nowhere() {
    let folder = Folder::new();
    let daemon = folder.start("interval = \"100ms\"\n[http]\nlisten = \"off\"\n");
    assert_eq!(daemon.logged("listening  nowhere"), 1);
    assert_eq!(daemon.logged(" warn "), 0, "as it was told: {}", daemon.log());
    let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", daemon.pid())).expect("proc");
    let inodes: Vec<&str> =
        (sockets.lines().skip(1)).filter_map(|l| l.split_ascii_whitespace().nth(9)).collect();
    let folder_of_fds = format!("/proc/{}/fd", daemon.pid());
    for fd in std::fs::read_dir(folder_of_fds).expect("proc") {
        let Ok(target) = std::fs::read_link(fd.expect("an entry").path()) else { continue };
        let target = target.to_string_lossy().into_owned();
        let inode = target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']'));
        assert!(!inode.is_some_and(|i| inodes.contains(&i)), "a TCP socket: {target}");
    }
    daemon.stop();
}
