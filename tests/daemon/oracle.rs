//! The book of what was promised, and the check of a file against it. Two promises: a row whose
//! INSERT was committed is there once with its value; a reading up to the moment that the daemon
//! called durable is there with its value. Everything that loses or doubles data is held to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::{Connection, OpenFlags};

use crate::support::*;

/// Any time gone by; numbered rows are a millisecond apart from here.
const BASE_MS: i64 = 1_501_474_167_000;

/// What was promised so far.
#[derive(Debug, Default, Clone)]
pub struct Ledger {
    /// Numbered rows whose commit was confirmed to the client.
    sent: i64,
    /// Those among them that were sent without an answer: they may be there or not.
    unanswered: BTreeSet<i64>,
    /// Readings the daemon has shown: series and time, and the value.
    shown: BTreeMap<(i64, String), f64>,
    /// Up to when the daemon said that all is on disk.
    durable: i64,
}

impl Ledger {
    /// Sends the next numbered row as any SQL client would; returns when it is committed.
    pub fn send(&mut self, client: &Connection) {
        let n = self.sent + 1;
        client
            .prepare_cached("INSERT INTO metrics (key, value, timestamp) VALUES (?1, ?2, ?3)")
            .and_then(|mut s| s.execute((format!("numbered_{}", n % 7), n, BASE_MS + n)))
            .expect("the row is taken");
        self.sent = n;
    }

    /// Pushes the next numbered row by HTTP: an answer of 200 is a promise, and any other end is none.
    pub fn push(&mut self, address: std::net::SocketAddr) {
        let n = self.sent + 1;
        let key = format!("numbered_{}", n % 7);
        let body =
            serde_json::json!({"key": key, "value": n, "timestamp": BASE_MS + n, "job": "sql"});
        let body = body.to_string();
        let head = format!(
            "POST /api/push HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let asked = || -> std::io::Result<bool> {
            let mut stream = std::net::TcpStream::connect(address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{head}{body}").as_bytes())?;
            let mut said = Vec::new();
            stream.read_to_end(&mut said)?;
            Ok(said.starts_with(b"HTTP/1.1 200"))
        };
        self.heard(1, asked().unwrap_or(false));
    }

    /// The next numbered rows as one transaction in SQL, for a client that is another process.
    pub fn next(&self, count: i64) -> String {
        let rows: Vec<String> = (self.sent + 1..=self.sent + count)
            .map(|n| format!("('numbered_{}', {n}, {})", n % 7, BASE_MS + n))
            .collect();
        format!("INSERT INTO metrics (key, value, timestamp) VALUES {};", rows.join(", "))
    }

    /// What came of those rows: their commit was confirmed, or nothing was heard.
    pub fn heard(&mut self, count: i64, confirmed: bool) {
        if !confirmed {
            self.unanswered.extend(self.sent + 1..=self.sent + count);
        }
        self.sent += count;
    }

    /// How many rows were sent.
    pub fn sent(&self) -> i64 {
        self.sent
    }

    /// Writes down what /api/status shows at this moment.
    pub fn note(&mut self, status: &serde_json::Value) {
        let ms = |v: &serde_json::Value| {
            let text = v.as_str().expect("a time");
            text.parse::<jiff::Timestamp>().expect("RFC 3339").as_millisecond()
        };
        for v in status["values"].as_array().expect("values") {
            let key = v["key"].as_str().expect("a text").to_owned();
            if let Some(value) = v["value"].as_f64() {
                self.shown.insert((ms(&v["timestamp"]), key), value);
            }
        }
        self.durable = self.durable.max(ms(&status["database"]["durable_until"]));
    }

    /// The daemon was killed: what it had shown but not yet called durable was never promised.
    pub fn killed(&mut self) {
        let durable = self.durable;
        self.shown.retain(|(ts, _), _| *ts <= durable);
    }

    /// Whether everything up to a moment is promised.
    pub fn promised_at(&self, ms: i64) -> bool {
        self.durable >= ms
    }

    /// What is promised beyond the numbered rows.
    pub fn promised(&self) -> usize {
        self.shown.range(..=(self.durable, "\u{10FFFF}".to_owned())).count()
    }

    /// Every promise that the file breaks.
    pub fn broken_by(&self, file: &Path) -> Vec<String> {
        let mut complaints = Vec::new();
        let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .expect("the file opens");
        let text: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap_or_else(|e| e.to_string());
        if text != "ok" {
            complaints.push(format!("integrity_check: {text}"));
            return complaints;
        }
        // Killed before it made its tables: nothing was promised yet, and nothing is there.
        let made: i64 = conn
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'metrics'", [], |r| {
                r.get(0)
            })
            .expect("readable");
        let mut numbered: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        let mut readings: BTreeMap<(i64, String), f64> = BTreeMap::new();
        if made == 1 {
            let sql = "SELECT ts, key, value FROM samples JOIN series ON _id = series_id
                       UNION ALL SELECT ts, key, value FROM inbox";
            let mut statement = conn.prepare(sql).expect("the tables are there");
            let rows = statement
                .query_map([], |r| Ok((r.get(0)?, r.get::<_, String>(1)?, r.get::<_, f64>(2)?)))
                .expect("one query");
            for row in rows {
                let (ts, key, value) = row.expect("readable");
                if key.starts_with("numbered_") {
                    numbered.entry(ts - BASE_MS).or_default().push(value);
                } else {
                    readings.insert((ts, key), value);
                }
            }
        }
        for n in 1..=self.sent {
            match numbered.remove(&n).as_deref() {
                None if self.unanswered.contains(&n) => {}
                None => complaints.push(format!("row {n} is lost")),
                Some([value]) if *value == n as f64 => {}
                Some([value]) => complaints.push(format!("row {n} has the value {value}")),
                Some(more) => complaints.push(format!("row {n} is there {} times", more.len())),
            }
        }
        complaints.extend(numbered.keys().map(|n| format!("row {n} was never sent")));
        for ((ts, key), value) in &self.shown {
            if *ts > self.durable {
                continue;
            }
            match readings.get(&(*ts, key.clone())) {
                None => complaints.push(format!(
                    "{key} at {ts} is lost, though all up to {} was called durable",
                    self.durable
                )),
                // JSON parsed without the last bit's care.
                Some(found) if (found - value).abs() <= value.abs() * 1e-12 => {}
                Some(found) => complaints.push(format!("{key} at {ts} is {found}, not {value}")),
            }
        }
        complaints
    }

    /// The same for the file as it lies on disk beside a living process, which is not disturbed.
    pub fn broken_by_copy(&self, db: &Path) -> Vec<String> {
        let folder = Folder::new();
        self.broken_by(&copy(db, &folder))
    }
}

/// Copies a database and its log as they are. With a program of its own: closing a descriptor of
/// the file here would drop the locks of this process' connections.
pub fn copy(db: &Path, to: &Folder) -> PathBuf {
    let wal = PathBuf::from(format!("{}-wal", db.display()));
    let mut command = Command::new("cp");
    command.arg(db);
    if wal.exists() {
        command.arg(wal);
    }
    run(command.arg(to.path())).well();
    to.db()
}

/// A file that keeps all promises, to be broken.
fn kept() -> (Folder, Ledger) {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let mut ledger = Ledger::default();
    let client = Connection::open(folder.db()).expect("opens");
    for _ in 0..20 {
        ledger.send(&client);
    }
    drop(client);
    eventually("something durable", PATIENCE, || {
        ledger.note(&daemon.json("/api/status"));
        if ledger.promised() > 0 { Ok(()) } else { Err(format!("{ledger:?}")) }
    });
    // The harm below is done to rows that have been taken in.
    eventually("an empty inbox", PATIENCE, || {
        match sqlite3(&folder.db(), "select count(*) from inbox").as_str() {
            "0" => Ok(()),
            rows => Err(format!("{rows} rows")),
        }
    });
    daemon.stop();
    (folder, ledger)
}

#[test]
fn the_oracle_sees_every_kind_of_broken_promise() {
    let (folder, ledger) = kept();
    assert_eq!(ledger.broken_by_copy(&folder.db()), Vec::<String>::new());
    let row = "ts = 1501474167009";
    let doubled = format!(
        "INSERT INTO inbox (key, value, ts) SELECT 'numbered_2', 9, ts FROM samples WHERE {row}"
    );
    let ms = ledger.durable;
    for (harm, complaint) in [
        (format!("DELETE FROM samples WHERE {row}"), "row 9 is lost".to_owned()),
        (format!("UPDATE samples SET value = 8 WHERE {row}"), "row 9 has the value 8".into()),
        (doubled, "row 9 is there 2 times".into()),
        (
            "INSERT INTO metrics VALUES ('numbered_0', 21, 1501474167021)".into(),
            "row 21 was never sent".into(),
        ),
        (format!("DELETE FROM samples WHERE ts = {ms}"), "was called durable".into()),
        (format!("UPDATE samples SET value = value + 1 WHERE ts = {ms}"), ", not ".into()),
    ] {
        let copied = Folder::new();
        let file = copy(&folder.db(), &copied);
        sqlite3(&file, &harm);
        let complaints = ledger.broken_by(&file);
        assert!(complaints.iter().any(|c| c.contains(&complaint)), "{harm}: {complaints:?}");
    }
    // And a page that is not what it was.
    let copied = Folder::new();
    let file = copy(&folder.db(), &copied);
    let mut bytes = std::fs::read(&file).expect("readable");
    let page = sqlite3(&file, "select rootpage from sqlite_schema where name = 'samples'");
    let at = (page.parse::<usize>().expect("a number") - 1) * 4096;
    bytes[at] ^= 0xFF;
    std::fs::write(&file, bytes).expect("writable");
    let complaints = ledger.broken_by(&file);
    assert!(complaints.iter().any(|c| c.contains("integrity_check")), "{complaints:?}");
}
