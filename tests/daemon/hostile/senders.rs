//! Senders without a token: names, events, sets and rows that fill what they can reach.

use std::net::UdpSocket;
use std::time::Duration;

use super::{Siege, scale};
use crate::push::{gzip, send};
use crate::statsd::place;
use crate::support::*;

/// Tags of some 10 kB.
fn long_tags() -> String {
    let tags: Vec<String> = (0..54).map(|n| format!("t{n:02}:{}", "x".repeat(190))).collect();
    tags.join(",")
}

#[test]
fn names_that_are_longer_than_the_history() {
    let siege = Siege::begin();
    let udp = place(&siege.daemon, "udp");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let tags = long_tags();
    for n in 0..2_000 * scale() {
        let line = format!("flood{n}:1|c|#{tags}");
        // What the kernel has no room for is lost, as datagrams are.
        let _lost = socket.send_to(line.as_bytes(), udp);
        if n % 100 == 0 {
            pause(Duration::from_millis(20));
        }
    }
    for round in 0..4 * scale() {
        let labels = "y".repeat(900);
        let lines: Vec<String> = (0..500)
            .map(|n| {
                format!(
                    "{{\"key\":\"http{round}_{n}\",\"value\":1,\"labels\":{{\"a\":\"{labels}\"}}}}"
                )
            })
            .collect();
        send(siege.daemon.address(), "POST", "/api/push", &[], lines.join("\n").as_bytes());
    }
    siege.daemon.rows_after(now_ms() + 2_000);
    siege.holds();
}

#[test]
fn events_that_are_longer_than_the_history() {
    let siege = Siege::begin();
    let udp = place(&siege.daemon, "udp");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let text = "\u{1F525}".repeat(3_900);
    let tags: Vec<String> = (0..60).map(|n| format!("t{n:02}:{}", "x".repeat(690))).collect();
    let event = format!("_e{{5,{}}}:title|{text}|#{}", text.len(), tags.join(","));
    assert!(event.len() < 65_000, "{}", event.len());
    for n in 0..1_000 * scale() {
        let _lost = socket.send_to(event.as_bytes(), udp);
        if n % 4 == 0 {
            pause(Duration::from_millis(10));
        }
    }
    siege.daemon.rows_after(now_ms() + 2_000);
    siege.holds();
}

/// Samples of other times than now: of long ago, which wait to be sealed out of order, and of the
/// hours to come, which cannot be sealed before their time.
#[test]
fn samples_of_other_times_leave_history_its_place() {
    let siege = Siege::begin();
    let now = now_ms() / 1000;
    let lines = |from: i64, step: i64| {
        let line =
            |i: i64| format!("f,n={} value={} {}", i % 1_000, i % 7, from + i / 1_000 * step);
        let lines: Vec<String> = (0..60_000).map(line).collect();
        gzip(lines.join("\n").as_bytes())
    };
    let pushes = |body: &[u8]| {
        let packed = [("Content-Encoding", "gzip")];
        send(siege.daemon.address(), "POST", "/write?precision=s", &packed, body).status
    };
    assert_eq!(pushes(&lines(now + 100_000, 1)), 400, "more than a day ahead");
    for round in 0..8 * scale().min(8) as i64 {
        for body in
            [lines(946_684_800 + round * 500_000, 400), lines(now + 1_000 + round * 600, 10)]
        {
            let status = pushes(&body);
            assert!([204, 503].contains(&status), "{status}");
        }
    }
    siege.holds();
}

#[test]
fn sets_of_many_members() {
    let siege = Siege::begin();
    let mut stream = std::net::TcpStream::connect(place(&siege.daemon, "tcp")).expect("listens");
    for set in 0..1_000 * scale() {
        let lines: Vec<String> = (0..1_000).map(|n| format!("set{set}:m{n}|s")).collect();
        std::io::Write::write_all(&mut stream, (lines.join("\n") + "\n").as_bytes())
            .expect("it reads");
    }
    siege.daemon.rows_after(now_ms() + 2_000);
    siege.holds();
}

#[test]
fn rows_of_sql_that_are_no_text() {
    let siege = Siege::begin();
    let rows = [
        "cast(x'746d70e9' as text), 1",
        "'e' || char(0) || printf('%.*c', 20000000, 'A'), 1",
        "'esc' || char(27) || '[31m', 1",
        "'two' || char(10) || 'lines', 1",
        "x'00ff', 1",
        "'good_row', 1",
    ];
    for row in rows {
        // A refusal is as good as a row that is left out later.
        let sql = format!("insert into metrics (key, value) values ({row})");
        try_sqlite3(&siege.daemon.db, &sql);
    }
    eventually("the good row", PATIENCE, || {
        let sql = "select count(*) from series where key = 'good_row'";
        if sqlite3(&siege.daemon.db, sql) == "1" { Ok(()) } else { Err("not yet".into()) }
    });
    siege.holds();
}

#[test]
fn a_reader_that_never_ends_costs_no_sample() {
    // The queue holds three seconds: what is not written by then would be lost.
    let siege = Siege::begin_with("queue = \"3s\"");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = rusqlite::Connection::open_with_flags(&siege.daemon.db, flags).expect("readable");
    reader.execute_batch("BEGIN; SELECT count(*) FROM series;").expect("a snapshot");
    for round in 0..20 * scale() {
        let lines: Vec<String> = (0..1_000).map(|n| format!("m{n} value={round}")).collect();
        send(siege.daemon.address(), "POST", "/write", &[], lines.join("\n").as_bytes());
    }
    pause(Duration::from_secs(8));
    drop(reader);
    siege.daemon.rows_after(now_ms());
    let times = timestamps(&siege.daemon.db, "plimsoll_commits_total");
    let gap = times.windows(2).map(|w| w[1] - w[0]).max().expect("readings");
    assert!(gap < 3_000, "readings of {gap} ms are lost");
    siege.holds();
}
