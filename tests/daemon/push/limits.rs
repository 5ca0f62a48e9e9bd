//! Senders that bring too much: too many names, whichever way they come, and more than can be
//! written. Who can be told is told, everything else is counted.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::{post, send};
use crate::support::*;

/// The address behind the word that announces it in the log.
fn place(daemon: &Daemon, what: &str, kind: &str) -> SocketAddr {
    eventually(what, PATIENCE, || {
        let log = daemon.log();
        let line = log.lines().find(|l| l.contains(what)).ok_or(log.clone())?;
        let from = line.find(kind).ok_or(log.clone())? + kind.len();
        let text = line[from..].split([',', ' ']).next().ok_or(log.clone())?;
        text.parse().map_err(|_| log.clone())
    })
}

fn becomes(daemon: &Daemon, key: &str, value: f64) {
    eventually(&format!("{key} = {value}"), PATIENCE, || match daemon.value(key) {
        Some(found) if found == value => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn one_cap_on_names_for_all_ways_in() {
    let folder = Folder::new();
    let config = |most: u32| {
        format!(
            "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[push]\nmax_names = {most}\n\
             [graphite]\nlisten = \"127.0.0.1:0\"\n\
             [statsd]\nlisten = \"127.0.0.1:0\"\nflush = \"1s\"\n"
        )
    };
    let daemon = folder.start(&config(7));
    let statsd = place(&daemon, " statsd     ", "udp ");
    let graphite = place(&daemon, " graphite   ", "tcp ");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let by_statsd = |line: &str| udp.send_to(line.as_bytes(), statsd).expect("sent");
    let mut tcp = TcpStream::connect(graphite).expect("it listens");
    let insert = |key: &str| {
        sqlite3(&daemon.db, &format!("insert into metrics (key, value) values ('{key}', 1)"))
    };
    // Seven names, one of them of nine series; the text brings the time of the push, too.
    by_statsd("timer:5|ms");
    becomes(&daemon, "timer_count", 1.0);
    assert_eq!(post(&daemon, "/api/push", "{\"key\": \"json\", \"value\": 1}").status, 200);
    assert_eq!(post(&daemon, "/write", "influx value=1").status, 204);
    assert_eq!(post(&daemon, "/metrics/job/a", "text 1\n").status, 200);
    tcp.write_all(b"graphite 1 -1\n").expect("sent");
    insert("sql");
    becomes(&daemon, "plimsoll_pushed_names", 7.0);
    // One more, by each of them.
    let full = "one name too many: 7 are known";
    for (path, body) in [
        ("/api/push", "{\"key\": \"json2\", \"value\": 1}"),
        ("/write", "influx2 value=1"),
        ("/metrics/job/a", "text2 1\n"),
    ] {
        let answer = post(&daemon, path, body);
        assert!(answer.status == 400 && answer.body.contains(full), "{path}: {answer:?}");
    }
    by_statsd("timer2:5|ms\ntimer:7|ms");
    tcp.write_all(b"graphite2 1 -1\ngraphite 2 -1\n").expect("sent");
    insert("sql2");
    insert("sql");
    for source in ["json", "influx", "text", "graphite", "statsd", "sql"] {
        let key = format!(
            "plimsoll_samples_dropped_total{{reason=\"series_limit\",source=\"{source}\"}}"
        );
        becomes(&daemon, &key, 1.0);
    }
    becomes(&daemon, "plimsoll_statsd_refused_total{reason=\"series_limit\"}", 1.0);
    becomes(&daemon, "plimsoll_pushes_refused_total", 1.0);
    // Known ones went on meanwhile.
    becomes(&daemon, "timer_count", 2.0);
    assert_eq!(post(&daemon, "/api/push", "{\"key\": \"json\", \"value\": 2}").status, 200);
    let stored = "select count(*) from metrics where key in ('sql', 'graphite', 'json')";
    eventually("two of each", PATIENCE, || match &*sqlite3(&daemon.db, stored) {
        "6" => Ok(()),
        other => Err(other.to_owned()),
    });
    // The cap is raised without a restart.
    folder.configure(&config(8));
    folder.ask(&["reload"]).well();
    by_statsd("timer2:5|ms");
    becomes(&daemon, "timer2_count", 1.0);
    daemon.stop();
}

#[test]
fn the_cap_on_names_is_told_and_holds_over_a_restart() {
    let folder = Folder::new();
    let config = "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[push]\nmax_names = 40\n";
    let push = |daemon: &Daemon, host: &str, names: std::ops::Range<u32>| {
        let body: String = names
            .map(|i| format!("{{\"key\": \"n{i}{{instance='{host}'}}\", \"value\": 1}}\n"))
            .collect();
        post(daemon, "/api/push", &body.replace('\'', "\\\"")).status
    };
    let daemon = folder.start(config);
    // Forty places and ten in reserve: who has as many as are left gets no more.
    assert_eq!(push(&daemon, "noisy", 0..25), 200);
    assert_eq!(push(&daemon, "noisy", 25..60), 400);
    assert_eq!(push(&daemon, "web2", 0..10), 200);
    eventually("it is told", PATIENCE, || {
        let told = |p: &String| p.contains("names of senders") && p.contains("noisy 25");
        match daemon.problems() {
            problems if problems.iter().any(told) => Ok(()),
            problems => Err(format!("{problems:?}")),
        }
    });
    let said = daemon.log().lines().filter(|l| l.contains("names of senders")).count();
    assert_eq!(said, 1, "{}", daemon.log());
    let known = "select count(*) from series where key like 'n%' and system in ('noisy', 'web2')";
    eventually("they are written", PATIENCE, || match &*sqlite3(&daemon.db, known) {
        "35" => Ok(()),
        n => Err(n.to_owned()),
    });
    daemon.stop();
    let daemon = folder.start(config);
    becomes(&daemon, "plimsoll_pushed_names", 35.0);
    assert_eq!(push(&daemon, "noisy", 0..25), 200, "known ones go on");
    assert_eq!(push(&daemon, "noisy", 25..26), 400, "new ones do not");
    assert_eq!(push(&daemon, "web3", 0..7), 200, "a new machine finds room");
    assert_eq!(sqlite3(&daemon.db, "select count(*) from series where system = 'noisy'"), "25");
    daemon.stop();
}

#[test]
fn a_push_comes_again_when_too_much_waits_and_nothing_is_lost() {
    let folder = Folder::new();
    let daemon = folder.start(
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n[store]\nqueue = \"20s\"\n",
    );
    daemon.rows_after(now_ms());
    let mut accepted = 0;
    let mut push = || {
        let body = format!("waiting value={accepted} {}", 1_700_000_000_000i64 + accepted);
        let answer = send(daemon.address(), "POST", "/write?precision=ms", &[], body.as_bytes());
        assert_eq!(answer.header("retry-after").is_some(), answer.status == 503, "{answer:?}");
        match answer.status {
            503 => Some(answer),
            204 => {
                accepted += 1;
                None
            }
            _ => panic!("{answer:?}"),
        }
    };
    assert!(push().is_none(), "it is taken");
    // Another program keeps the database for itself.
    let other = rusqlite::Connection::open(&daemon.db).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it gets the lock");
    eventually("it is put off at once", PATIENCE * 2, || {
        pause(Duration::from_millis(20));
        let put_off = push().ok_or("taken")?;
        let at_once = "too much waits to be written; nothing of this was taken, send it again";
        if put_off.body.contains(at_once) { Ok(()) } else { Err(put_off.body) }
    });
    assert!(daemon.problems().iter().any(|p| p.contains("holds a write lock")));
    other.execute_batch("ROLLBACK").expect("it lets go");
    let count = "select count(*) || ' ' || max(value) from samples
                 join series on _id = series_id where key = 'waiting'";
    let all = format!("{accepted} {:.1}", accepted as f64 - 1.0);
    eventually("all that was taken is there", PATIENCE, || match sqlite3(&daemon.db, count) {
        found if found == all => Ok(()),
        found => Err(format!("{found}, not {all}")),
    });
    eventually("it takes again", PATIENCE, || {
        match post(&daemon, "/write", "again value=1").status {
            204 => Ok(()),
            status => Err(format!("{status}")),
        }
    });
    eventually("the counter", PATIENCE, || match daemon.value("plimsoll_pushes_put_off_total") {
        Some(n) if n >= 1.0 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let lost = "plimsoll_samples_dropped_total{reason=\"queue_full\",source=\"collect\"}";
    assert_eq!(daemon.value(lost), Some(0.0), "senders pushed nothing out");
    daemon.stop();
}

#[test]
fn events_that_do_not_fit_are_counted() {
    let folder = Folder::new();
    let daemon = folder.start(
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [statsd]\nlisten = \"127.0.0.1:0\"\nflush = \"1s\"\n",
    );
    daemon.rows_after(now_ms());
    let statsd = place(&daemon, " statsd     ", "udp ");
    let other = rusqlite::Connection::open(&daemon.db).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it gets the lock");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let sent = 3_000;
    let mut dropped = 0.0;
    for i in 0..sent {
        udp.send_to(format!("_e{{5,1}}:{i:05}|x").as_bytes(), statsd).expect("sent");
    }
    eventually("all of them came, and some were lost", PATIENCE, || {
        let value = |key: &str| daemon.value(key).unwrap_or(0.0);
        dropped = value("plimsoll_events_dropped_total");
        let came = value("plimsoll_statsd_lines_total");
        if came == f64::from(sent) && dropped > 0.0 {
            Ok(())
        } else {
            Err(format!("{came} {dropped}"))
        }
    });
    other.execute_batch("ROLLBACK").expect("it lets go");
    // Every one is in the file, or counted.
    eventually("the books balance", PATIENCE, || {
        let dropped = daemon.value("plimsoll_events_dropped_total").unwrap_or(0.0);
        let there: f64 =
            sqlite3(&daemon.db, "select count(*) from event_log where title glob '[0-9]*'")
                .parse()
                .expect("a number");
        if there + dropped == f64::from(sent) { Ok(()) } else { Err(format!("{there} {dropped}")) }
    });
    daemon.stop();
}

#[test]
fn alone_a_page_of_all_there_is_leaves_no_memory_behind() {
    let folder = Folder::new();
    let daemon = folder.start(
        "interval = \"1s\"\n[http]\nlisten = \"127.0.0.1:0\"\n[collect]\ncollectors = []\n\
         [statsd]\nlisten = \"127.0.0.1:0\"\nflush = \"5s\"\ntcp = \"127.0.0.1:0\"\n",
    );
    let names = 19_000;
    let mut statsd = TcpStream::connect(place(&daemon, " statsd     ", "tcp ")).expect("listens");
    let lines: String = (0..names).map(|i| format!("counter.number.{i:05}:1|c\n")).collect();
    statsd.write_all(lines.as_bytes()).expect("sent");
    // Nobody has asked for the page yet.
    let known = "select count(*) from series where name like 'counter.%'";
    eventually("all of them are written", PATIENCE, || match &*sqlite3(&daemon.db, known) {
        "19000" => Ok(()),
        n => Err(n.to_owned()),
    });
    let before = daemon.resident();
    for path in ["/api/status", "/metrics", "/api/status", "/metrics"] {
        let page = daemon.http("GET", path);
        assert_eq!(page.status, 200);
        assert!(page.body.matches("counter").count() >= names, "{path}");
    }
    let after = daemon.resident();
    assert!(after - before < 5.0, "{before} MB before, {after} MB after");
    daemon.stop();
}

#[test]
fn one_machine_too_many_is_told_and_the_table_of_hosts_says_how_many_it_leaves_out() {
    let folder = Folder::new();
    let config = "interval = \"1s\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let daemon = folder.start(config);
    let of = |machines: std::ops::Range<u32>| {
        machines.map(|i| format!("load,host=m{i} value={i}\n")).collect::<String>()
    };
    assert_eq!(post(&daemon, "/write", &of(0..1_000)).status, 204);
    let answer = post(&daemon, "/write", &of(1_000..1_001));
    assert!(
        answer.status == 400 && answer.body.contains("one machine too many: values of 1000"),
        "{answer:?}"
    );
    assert_eq!(post(&daemon, "/write", &of(0..1)).status, 204, "a known one goes on");
    eventually("it is on the board", PATIENCE, || {
        let health = daemon.http("GET", "/health").body;
        if health.contains("one machine too many") { Ok(()) } else { Err(health) }
    });
    eventually("all hosts are in the file", PATIENCE, || {
        let hosts = daemon.http("GET", "/api/hosts").body;
        if hosts.ends_with("],\"left_out\":801}") && hosts.matches("\"name\"").count() == 200 {
            Ok(())
        } else {
            Err(hosts)
        }
    });
}
