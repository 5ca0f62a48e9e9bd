//! What docs/PUSH.md says can be typed does what it says.

use super::{QUIET, stored};
use crate::support::*;

/// The commands of the document: indented lines, put together where they go on.
fn commands() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PUSH.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let mut out: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        let Some(line) = line.strip_prefix("    ") else {
            goes_on = false;
            continue;
        };
        let more = line.ends_with('\\') || line.ends_with('|');
        let line = line.trim_end_matches('\\').trim();
        match out.last_mut().filter(|_| goes_on) {
            Some(last) => last.push_str(&format!(" {line}")),
            None => out.push(line.to_owned()),
        }
        goes_on = more;
    }
    out
}

#[test]
fn every_example_works() {
    let folder = Folder::new();
    let graphite = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("bound").port()
    };
    let udp = format!("[graphite]\nlisten = \"127.0.0.1:{graphite}\"\n");
    let daemon = folder.start(&format!("{QUIET}{udp}"));
    let mut ran = 0;
    for command in commands() {
        let first = command.split(' ').next().unwrap_or_default();
        // What goes on for ever, takes another machine, or is statsd's.
        let other = command.contains("vmstat") || command.contains("example.org");
        if !["plimsoll", "curl", "echo", "sqlite3"].contains(&first)
            || other
            || command.contains("token add")
            || command.contains("8125")
        {
            continue;
        }
        let db = daemon.db.display().to_string();
        let command = command
            .replace("127.0.0.1:1876", &daemon.address().to_string())
            .replace("/127.0.0.1/2003", &format!("/127.0.0.1/{graphite}"))
            .replace("metrics.sqlite", &db)
            .replace("curl ", "curl -sSf ")
            .replace("plimsoll send", &format!("{PLIMSOLL} send --db {db}"));
        run(tool("bash", "bash").args(["-o", "pipefail", "-c", &command])).well();
        ran += 1;
    }
    assert_eq!(ran, 7, "an example more or less is a test more or less: {:#?}", commands());
    folder.ask(&["interval", "100ms"]).well();
    let rows = stored(&daemon, 8);
    for key in [
        "/room_temperature gauge 21.5",
        "/room_temperature{floor=\"1\"} gauge 21.5",
        "sql/backup_done_total counter 17",
        "push/room_temperature gauge 21.5",
        "influx/room_temperature{floor=\"1\"} gauge 21.5",
        "influx/room_people{floor=\"1\"} gauge 3",
        "web1/backup/backup_bytes gauge 1500000000",
        "graphite/room.temperature{floor=\"1\"} gauge 21.5",
    ] {
        assert!(rows.iter().any(|row| row.contains(key)), "{key}: {rows:#?}");
    }
    daemon.stop();
}
