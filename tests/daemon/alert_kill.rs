//! kill -9 between the sample, the alert's state, the message and the receiver's answer: no message is
//! lost, nothing fires a second time, and a second copy comes only where the process died between the
//! receiver's yes and its own commit. More kills, and kills that aim at no moment: ci/torture/alert.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::alert_stub::{Heard, Manner, Stub};
use crate::support::*;

/// So long a round waits for the moment that it aims at.
const ROUND: Duration = Duration::from_secs(7);
/// The kill that aims at nothing: the last in the list of moments.
const ANY: u64 = 7;
/// Beyond so many messages an hour a channel gets digests: there are as many channels as that takes.
const MESSAGES: u64 = 8;

fn config(port: u16, rules: u64) -> String {
    let rule = |n: u64| {
        format!(
            "[[alert]]\nname = \"rule{n}\"\nwhen = 'probe{{rule=\"{n}\"}} > 5'\nfor = \"0s\"\n\
             severity = \"bad\"\nto = \"http://127.0.0.1:{port}/{n}\"\n"
        )
    };
    let rules: String = (0..rules).map(rule).collect();
    format!(
        "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
         [collect]\ncollectors = [\"loadavg\"]\n{rules}"
    )
}

/// Sends the probes that are wrong, again and again, to the daemon that runs.
struct Pusher {
    to: Arc<Mutex<(Option<std::net::SocketAddr>, String)>>,
    stop: Arc<AtomicBool>,
}

impl Pusher {
    fn new() -> Self {
        let to: Arc<Mutex<(Option<std::net::SocketAddr>, String)>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (to_too, stop_too) = (Arc::clone(&to), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stop_too.load(SeqCst) {
                let (address, lines) = to_too.lock().expect("no panic").clone();
                if let Some(address) = address.filter(|_| !lines.is_empty()) {
                    push(address, &lines);
                }
                pause(Duration::from_millis(200));
            }
        });
        Self { to, stop }
    }

    fn to(&self, address: Option<std::net::SocketAddr>) {
        self.to.lock().expect("no panic").0 = address;
    }

    fn add(&self, rule: u64, probe: u64) {
        let line = format!(
            "{{\"key\": \"probe{{n=\\\"{probe}\\\",rule=\\\"{rule}\\\"}}\", \"value\": 10}}\n"
        );
        self.to.lock().expect("no panic").1.push_str(&line);
    }
}

impl Drop for Pusher {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

/// The daemon may die meanwhile.
fn push(address: std::net::SocketAddr, lines: &str) {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return };
    let _settable = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let head = format!(
        "POST /api/push HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        lines.len()
    );
    let _gone = stream.write_all(format!("{head}{lines}").as_bytes());
    let mut answer = Vec::new();
    let _gone = stream.read_to_end(&mut answer);
}

/// A number out of the file, while the daemon writes.
fn number(db: &std::path::Path, sql: &str) -> i64 {
    let Ok(conn) = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return 0;
    };
    conn.busy_timeout(Duration::from_secs(5)).expect("settable");
    conn.query_row(sql, [], |row| row.get::<_, Option<i64>>(0)).ok().flatten().unwrap_or(0)
}

/// Waits for a change in the file for as long as a round may last.
fn file_changes(db: &std::path::Path, sql: &str, is_it: impl Fn(i64) -> bool) {
    let end = Instant::now() + ROUND;
    while !is_it(number(db, sql)) && Instant::now() < end {
        pause(Duration::from_millis(1));
    }
}

/// Every alert that a message says to fire: its probe, and when it began.
fn told(heard: &Heard) -> Vec<(u64, String)> {
    let json = heard.json();
    let alerts = json["alerts"].as_array().expect("alerts").clone();
    (alerts.iter())
        .map(|alert| {
            assert_eq!(alert["status"], "firing", "{json}");
            let probe =
                alert["labels"]["n"].as_str().expect("its label").parse().expect("a number");
            (probe, alert["startsAt"].as_str().expect("a time").to_owned())
        })
        .collect()
}

/// The probes that the receiver was told of.
fn arrived(stub: &Stub) -> BTreeSet<u64> {
    stub.heard().iter().flat_map(told).map(|(probe, _)| probe).collect()
}

/// Messages that the receiver has and the file does not know to be sent: of these a copy comes, and of
/// no others. A channel has one message on its way.
fn heard_and_waiting(db: &std::path::Path, arrived: &BTreeSet<u64>) -> u64 {
    let conn = Connection::open_with_flags(db, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("opens");
    conn.busy_timeout(Duration::from_secs(5)).expect("settable");
    let sql = "SELECT channel, json_extract(body, '$.alert.labels.n') FROM outbox";
    let mut statement = conn.prepare(sql).expect("its tables");
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .expect("two texts");
    let channels: BTreeSet<String> = rows
        .map(|row| row.expect("a readable file"))
        .filter(|(_, probe)| arrived.contains(&probe.parse().expect("a number")))
        .map(|(channel, _)| channel)
        .collect();
    channels.len() as u64
}

#[test]
fn killed_at_any_moment_every_alert_arrives_and_none_fires_twice() {
    let kills = knob("PLIMSOLL_KILL_ROUNDS", 12);
    let seed = knob("PLIMSOLL_SEED", 2017);
    let mut dice = Dice::new(seed);
    let any_moment = knob("PLIMSOLL_KILL_ANY", 0) > 0;
    let stub = Stub::new();
    let rules = kills.div_ceil(MESSAGES).max(4);
    let config = config(stub.port, rules);
    let folder = Folder::new();
    // A file that has been judged: what a new one holds is not told for a minute.
    let daemon = folder.start(&config);
    let judged = "SELECT value FROM state WHERE name = 'judged_until'";
    file_changes(&folder.db(), judged, |at| at > 0);
    daemon.stop();
    assert!(number(&folder.db(), judged) > 0, "it has judged");
    let pusher = Pusher::new();
    let (mut unanswered, mut between) = (0, 0);
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for round in 0..kills {
        let daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
        let moment = dice.millis(150);
        pusher.add(round % rules, round);
        // Each moment once, then any of them.
        let aim = match round {
            _ if any_moment => ANY,
            ..ANY => round,
            _ => dice.roll(ANY + 1),
        };
        if aim == 0 {
            // In the middle of the start, and of what is sent first.
            pause(moment * 4);
        } else {
            daemon.ready(PATIENCE);
            pusher.to(Some(daemon.address()));
        }
        let db = folder.db();
        let (asked, answered) = (stub.asked(), stub.answered());
        let what = match aim {
            0 => "start",
            // The sample is in the file, its alert is not.
            1 => {
                let newest = "SELECT max(ts) FROM samples";
                let due = number(&db, judged) + 5_000;
                file_changes(&db, newest, |at| at >= due);
                "sample"
            }
            // The alert is in the file, its message is not sent.
            2 => {
                let waits = number(&db, "SELECT max(id) FROM outbox");
                file_changes(&db, "SELECT max(id) FROM outbox", |id| id > waits);
                "state"
            }
            // The receiver has it, and has not answered.
            3 => {
                stub.set(Manner::Hold);
                if stub.grows(Stub::asked, asked, ROUND) {
                    unanswered += 1;
                }
                "send"
            }
            // It has answered, and that may not be in the file.
            4 | 5 => {
                if stub.grows(Stub::answered, answered, ROUND) {
                    pause(moment / 10);
                }
                "answer"
            }
            // It answers with an error: the pause until the next attempt is in the file.
            6 => {
                stub.set(Manner::Answer(503));
                if stub.grows(Stub::answered, answered, ROUND) {
                    pause(moment);
                }
                "error"
            }
            _ => {
                pause(Duration::from_millis(dice.roll(6_000)));
                "any"
            }
        };
        *ends.entry(what).or_default() += 1;
        pusher.to(None);
        daemon.kill();
        stub.set(Manner::Take);
        between += heard_and_waiting(&db, &arrived(&stub));
    }
    let daemon = folder.start(&config);
    pusher.to(Some(daemon.address()));
    let probes: BTreeSet<u64> = (0..kills).collect();
    // A pause after errors may have grown to minutes.
    let late = Duration::from_secs(12 * 60);
    eventually("every alert arrives", late, || {
        let missing: Vec<u64> = probes.difference(&arrived(&stub)).copied().collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("lost: {missing:?}, seed {seed}")) }
    });
    eventually("nothing waits", PATIENCE, || {
        match number(&folder.db(), "SELECT count(*) FROM outbox") {
            0 => Ok(()),
            n => Err(format!("{n} rows")),
        }
    });
    pusher.to(None);
    daemon.stop();
    let heard = stub.heard();
    let mut begins: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    let (mut copies, mut keys) = (0, BTreeSet::new());
    for message in &heard {
        assert!(!message.key.is_empty(), "{message:?}");
        let copy = !keys.insert((message.path.clone(), message.key.clone()));
        let mut again = false;
        for (probe, begin) in told(message) {
            again |= !begins.entry(probe).or_default().insert(begin);
        }
        copies += u64::from(copy || again);
    }
    let again: Vec<_> = begins.iter().filter(|(_, begins)| begins.len() > 1).collect();
    assert!(again.is_empty(), "fired again: {again:?}, seed {seed}");
    let twice = number(
        &folder.db(),
        "SELECT count(*) FROM (SELECT 1 FROM alert_state GROUP BY fingerprint HAVING count(*) > 1)",
    );
    assert_eq!(twice, 0, "one row an alert");
    println!(
        "{kills} kills {ends:?}: {} alerts in {} messages, 0 lost, 0 fired again, {copies} came twice, \
         {between} were killed between the receiver and the commit ({unanswered} answers held back)",
        begins.len(),
        heard.len(),
    );
    assert!(copies <= between, "{copies} copies of {between}, seed {seed}");
    assert!(heard.len() as u64 >= kills / 2, "it tested something");
}
