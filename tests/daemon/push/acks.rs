//! What a sender may rely on: an answer of 2xx says that its values are in the file, 503 that it has to
//! send them again. And what one sender does wrong is its own affair.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::{QUIET, gzip, post, send, stored};
use crate::support::*;

/// Samples of a key that are in the file at this moment.
fn there(daemon: &Daemon, key: &str) -> String {
    sqlite3(
        &daemon.db,
        &format!(
            "select count(*) from samples join series s on _id = series_id where s.key = '{key}'"
        ),
    )
}

#[test]
fn what_was_taken_is_in_the_file_when_it_is_answered() {
    let folder = Folder::new();
    // The next beat is a minute away.
    let daemon = folder.start(QUIET);
    for round in 1..=3 {
        let json =
            format!("{{\"key\": \"a\", \"value\": 1, \"timestamp\": {}}}", 1_700_000_000 + round);
        assert_eq!(post(&daemon, "/api/push", &json).status, 200);
        assert_eq!(there(&daemon, "a"), round.to_string());
        let influx = format!("b value=1 {}", 1_700_000_000 + round);
        assert_eq!(post(&daemon, "/write?precision=s", &influx).status, 204);
        assert_eq!(there(&daemon, "b"), round.to_string());
    }
    assert_eq!(post(&daemon, "/metrics/job/x", "c 1\n").status, 200);
    assert_eq!(there(&daemon, "c"), "1");
    assert_eq!(send(daemon.address(), "DELETE", "/metrics/job/x", &[], b"").status, 202);
    assert_eq!(there(&daemon, "c"), "2", "its end, too");
    // A bad record takes nothing away from the others.
    let mixed = "{\"key\": \"d\", \"value\": 1, \"timestamp\": 1700000000}\n{}\n";
    assert_eq!(post(&daemon, "/api/push", mixed).status, 400);
    let nothing = post(&daemon, "/api/push", "[]");
    assert_eq!((nothing.status, nothing.body.as_str()), (200, "{\"accepted\":0}"));
    assert_eq!(post(&daemon, "/api/push", "").status, 400);
    assert_eq!(post(&daemon, "/api/push", " \n").status, 400);
    assert_eq!(there(&daemon, "d"), "1");
    daemon.stop();
}

#[test]
fn what_could_not_be_written_is_sent_again_and_is_there_once() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    assert_eq!(post(&daemon, "/write", "a value=0 1700000000000000000").status, 204);
    let other = rusqlite::Connection::open(&daemon.db).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("it gets the lock");
    let again = "a value=1 1700000001000000000";
    let answer = post(&daemon, "/write", again);
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("2")), "{answer:?}");
    assert!(answer.body.contains("send it again"), "{answer:?}");
    other.execute_batch("ROLLBACK").expect("it lets go");
    eventually("it takes again", PATIENCE, || match post(&daemon, "/write", again).status {
        204 => Ok(()),
        status => Err(status.to_string()),
    });
    assert_eq!(there(&daemon, "a"), "2");
    daemon.stop();
}

#[test]
fn a_body_of_rubbish_is_given_up_and_what_came_before_it_stays() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let good = "{\"key\": \"good\", \"value\": 1, \"timestamp\": 1700000000}\n";
    let body = gzip(format!("{good}{}{good}", "{}\n".repeat(5_000)).as_bytes());
    let packed = [("Content-Encoding", "gzip")];
    let answer = send(daemon.address(), "POST", "/api/push", &packed, &body);
    assert_eq!(answer.status, 400);
    let said: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((&said["accepted"], &said["refused"]), (&1.into(), &1_000.into()));
    let stopped = said["stopped"].as_str().expect("a text");
    assert!(stopped.starts_with("stopped at line 1001, after 1000 bad ones"), "{stopped}");
    let answer = post(&daemon, "/write", &format!("good value=1\n{}", "bad\n".repeat(2_000)));
    assert!(
        answer.body.contains("1 values were taken") && answer.body.contains("stopped at line 1001")
    );
    // A group is taken as a whole, or not at all.
    let group = post(&daemon, "/metrics/job/x", &format!("good_text 1\n{}", "bad\n".repeat(2_000)));
    assert!(group.status == 400 && group.body.contains("nothing was taken"), "{group:?}");
    assert!(group.body.contains("stopped at line 1001"), "{group:?}");
    // Thousands of parts that were packed one by one are no body either.
    let parts = gzip(b"").repeat(10_000);
    let answer = send(daemon.address(), "POST", "/write", &packed, &parts);
    assert!(answer.status == 400 && answer.body.contains("packed one by one"), "{answer:?}");
    stored(&daemon, 2);
    daemon.stop();
}

#[test]
fn a_group_that_cannot_be_kept_is_refused() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let path = |value: &str| format!("/metrics/job/a/x/{value}");
    let long = path(&"x".repeat(1_001));
    for method in ["PUT", "POST"] {
        let answer = send(daemon.address(), method, &long, &[], b"");
        assert!(answer.status == 400, "{answer:?}");
        assert!(answer.body.contains("nothing was taken: label `x` has 1001 bytes"), "{answer:?}");
    }
    // An empty body is how a group begins that can be kept.
    assert_eq!(send(daemon.address(), "PUT", &path("y"), &[], b"").status, 200);
    let keys = sqlite3(&daemon.db, "select key from series where job = 'a'");
    assert_eq!(keys, "push_time_seconds{x=\"y\"}");
    daemon.stop();
}

/// As many as a listener holds.
const HOUSE: usize = 256;

#[test]
fn slow_bodies_shut_nobody_out() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let address = daemon.address();
    let connect = || {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("settable");
        stream
    };
    let slow: Vec<TcpStream> = (0..HOUSE)
        .map(|_| {
            let mut stream = connect();
            stream
                .write_all(
                    b"POST /api/push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n\r\n{",
                )
                .expect("it reads");
            stream
        })
        .collect();
    for round in 0..10 {
        // As a browser does: six at once, and then it asks.
        let mut six: Vec<TcpStream> = (0..6).map(|_| connect()).collect();
        for stream in &mut six {
            let ask = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(ask.as_bytes()).unwrap_or_else(|e| panic!("round {round}: {e}"));
            assert_eq!(answer(stream).status, 200, "round {round}");
        }
    }
    // Those had to go that were late first.
    let mut first = &slow[0];
    let mut byte = [0];
    assert!(matches!(first.read(&mut byte), Ok(0) | Err(_)));
    daemon.stop();
}

#[test]
fn nobody_writes_what_this_machine_measures_nor_what_another_token_is_for() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("system = \"hub\"\n{QUIET}"));
    let own = |key: &str, more: &str| format!("{{\"key\": \"{key}\", \"value\": 666{more}}}");
    for (body, why) in [
        (own("cpu", ""), "`cpu` is measured by plimsoll itself"),
        (own("cpu", ", \"instance\": \"hub\""), "`cpu` is measured by plimsoll itself"),
        (own("anything", ", \"job\": \"node\""), "job `node` of this machine"),
    ] {
        let answer = post(&daemon, "/api/push", &body);
        assert!(answer.status == 403 && answer.body.contains(why), "{answer:?}");
    }
    let answer = post(&daemon, "/write", "cpu,host=hub value=666\nfine value=1");
    assert!(answer.status == 403 && answer.body.contains("1 values were taken"), "{answer:?}");
    assert_eq!(send(daemon.address(), "PUT", "/metrics/job/node", &[], b"a 1\n").status, 403);
    // Another machine's are its own.
    assert_eq!(post(&daemon, "/api/push", &own("cpu", ", \"instance\": \"web\"")).status, 200);
    assert_eq!(sqlite3(&daemon.db, "select count(*) from metrics where value = 666"), "0");
    // From elsewhere, with tokens.
    let secret = |name: &str, words: &[&str]| {
        let words = [&["token", "add", name, "--scope", "push"], words].concat();
        folder.ask(&words).well().trim().to_owned()
    };
    let (any, web) = (secret("any", &[]), secret("web", &["--instance", "web"]));
    let list = folder.ask(&["token", "list"]).well();
    assert!(list.contains("instance") && list.contains("any  ") && list.contains("web"), "{list}");
    let by = |secret: &str, body: &str| {
        let bearer = format!("Bearer {secret}");
        let headers = [("Authorization", bearer.as_str()), ("X-Forwarded-For", "192.0.2.7")];
        send(daemon.address(), "POST", "/api/push", &headers, body.as_bytes())
    };
    let of = |instance: &str| own("load", &format!(", \"instance\": \"{instance}\""));
    assert_eq!(by(&any, &of("db")).status, 200);
    let hub = by(&any, &of("hub"));
    assert!(hub.status == 403 && hub.body.contains("instance `hub` is this machine"), "{hub:?}");
    assert_eq!(by(&web, &of("web")).status, 200);
    assert_eq!(by(&web, &own("unnamed", "")).status, 200);
    let db = by(&web, &of("db"));
    assert!(db.status == 403 && db.body.contains("this token is for instance `web`"), "{db:?}");
    let systems = "select group_concat(system || ' ' || key, ', ') from
                   (select system, key from series where value_key in ('load', 'unnamed') order by 1, 2)";
    let systems = systems.replace("value_key", "name");
    assert_eq!(sqlite3(&daemon.db, &systems), "db load, web load, web unnamed");
    folder.ask(&["interval", "100ms"]).well();
    let key = "plimsoll_samples_dropped_total{reason=\"forbidden\",source=\"json\"}";
    eventually("they are counted", PATIENCE, || match daemon.value(key) {
        Some(5.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    daemon.stop();
}

#[test]
fn readers_that_never_wait_are_never_refused() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let poll = || {
        for _ in 0..60 {
            let reader = rusqlite::Connection::open_with_flags(
                &daemon.db,
                rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
            )
            .expect("opens");
            reader.busy_timeout(Duration::ZERO).expect("settable");
            let sql = "select count(*) from (select * from metrics where key = 'cpu' limit 5)";
            let _rows: i64 = reader.query_row(sql, [], |r| r.get(0)).expect("it is never locked");
        }
    };
    // A sender makes commits of its own meanwhile.
    std::thread::scope(|scope| {
        let pollers: Vec<_> = (0..4).map(|_| scope.spawn(poll)).collect();
        while pollers.iter().any(|p| !p.is_finished()) {
            assert_eq!(post(&daemon, "/write", "a value=1").status, 204);
        }
    });
    daemon.stop();
}
