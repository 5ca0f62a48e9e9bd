//! kill -9, again and again: nothing committed is lost, nothing is doubled, the next start is ready
//! at once. More rounds: ci/torture/kill.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::oracle::Ledger;
use crate::support::*;

/// Promised: ready within two seconds of a restart. Here while other tests take both cores.
const READY: Duration = Duration::from_secs(4);

/// Few series: the oracle reads the whole file after every kill.
const FEW: &str = "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
                   [collect]\ncollectors = [\"loadavg\"]\n";

#[test]
fn killed_at_any_moment_it_keeps_what_it_promised() {
    let rounds = knob("PLIMSOLL_KILL_ROUNDS", 100);
    let seed = knob("PLIMSOLL_SEED", 2017);
    let mut dice = Dice::new(seed);
    let mut ledger = Ledger::default();
    let folder = Folder::new();
    folder.start(FEW).stop();
    let (mut ready, mut waited, mut promised, mut pushed) = (Duration::ZERO, 0, 0, 0);
    let begun = Instant::now();
    for round in 0..rounds {
        let daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
        // A connection that outlives the daemon keeps its log and locks; none lets it go.
        let client = Connection::open(folder.db()).expect("opens");
        client.busy_timeout(Duration::from_secs(10)).expect("settable");
        let moment = dice.millis(150);
        match dice.roll(9) {
            // In the middle of the start, of recovery, of taking the inbox in.
            0..3 => pause(moment),
            // With rows that came just before.
            3..6 => {
                let end = Instant::now() + moment;
                while Instant::now() < end {
                    ledger.send(&client);
                }
            }
            // With promises about readings; long enough for the second commit.
            6 => {
                ready = ready.max(daemon.ready(READY));
                waited += 1;
                let end = Instant::now() + Duration::from_millis(850) + moment;
                while Instant::now() < end {
                    ledger.send(&client);
                    ledger.note(&daemon.json("/api/status"));
                    pause(Duration::from_millis(10));
                }
            }
            // With pushes that were answered just before.
            7 => {
                ready = ready.max(daemon.ready(READY));
                waited += 1;
                let (address, end) = (daemon.address(), Instant::now() + moment);
                while Instant::now() < end {
                    ledger.push(address);
                    pushed += 1;
                }
            }
            _ => {
                ready = ready.max(daemon.ready(READY));
                waited += 1;
                ledger.send(&client);
                pause(moment);
                ledger.note(&daemon.json("/api/status"));
            }
        }
        if dice.roll(2) == 0 {
            drop(client);
        }
        daemon.kill();
        ledger.killed();
        let broken = ledger.broken_by_copy(&folder.db());
        assert_eq!(broken, Vec::<String>::new(), "round {round} of seed {seed}");
        promised = ledger.promised();
    }
    let daemon = folder.start(FEW);
    daemon.rows_after(now_ms());
    daemon.stop();
    assert_eq!(ledger.broken_by(&folder.db()), Vec::<String>::new(), "seed {seed}");
    assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok");
    assert_eq!(sqlite3(&folder.db(), "select count(*) from inbox"), "0", "all was taken in");
    println!(
        "{rounds} kills in {} s: {} rows sent, {pushed} of them pushed, {promised} readings promised, none lost or doubled; \
         {waited} times ready, after {} ms at most",
        begun.elapsed().as_secs(),
        ledger.sent(),
        ready.as_millis()
    );
    let all = ledger.sent() > rounds as i64 && promised > 0 && waited > 0 && pushed > 0;
    assert!(all, "it tested something");
}

#[test]
fn killed_while_it_makes_its_file_it_makes_it_the_next_time() {
    let mut dice = Dice::new(knob("PLIMSOLL_SEED", 2017));
    for round in 0..knob("PLIMSOLL_KILL_ROUNDS", 100) / 5 {
        let folder = Folder::new();
        folder.configure(FAST);
        let daemon = Daemon::spawn(folder.plimsoll(&["run"]), &folder.join("log"));
        let db = folder.db();
        eventually("a file", PATIENCE, || if db.exists() { Ok(()) } else { Err(String::new()) });
        pause(dice.millis(15));
        daemon.kill();
        let broken = Ledger::default().broken_by_copy(&db);
        assert_eq!(broken, Vec::<String>::new(), "{round}");
        let daemon = folder.start(FAST);
        daemon.rows_after(0);
        daemon.stop();
        let vacuum = sqlite3(&db, "PRAGMA auto_vacuum; PRAGMA application_id; PRAGMA journal_mode");
        assert_eq!(vacuum, "2\n1347176781\nwal", "{round}: made as always");
    }
}
