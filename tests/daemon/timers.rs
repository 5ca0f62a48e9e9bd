//! The beat, changed while it runs: by hand, by a new configuration, by a rule. Seen in the file.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::*;

const SLOW: &str = "interval = \"10s\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
const BUILD: &str = concat!("plimsoll_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");

fn stored(folder: &Folder) -> Vec<i64> {
    timestamps(&folder.db(), BUILD)
}

/// Waits for so many readings after a moment.
fn readings(folder: &Folder, after: i64, count: usize) -> Vec<i64> {
    eventually(&format!("{count} readings"), PATIENCE, || {
        let found: Vec<i64> = stored(folder).into_iter().filter(|ts| *ts > after).collect();
        if found.len() >= count { Ok(found) } else { Err(format!("{found:?} after {after}")) }
    })
}

fn rate(folder: &Folder) -> (i64, i64, Option<i64>) {
    let out = folder.ask(&["interval", "--json"]).well();
    let rates: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let all = rates.as_array().expect("a list");
    let own = all.iter().find(|r| r["collector"] == "plimsoll").expect("itself");
    let ms = |name: &str| own[name].as_i64();
    (ms("interval_ms").expect("set"), ms("configured_ms").expect("set"), ms("ends_in_ms"))
}

#[test]
fn readings_lie_on_the_grid_of_the_wall_clock() {
    let folder = Folder::new();
    let daemon = folder.start("interval = \"1s\"\n[http]\nlisten = \"off\"\n");
    let found = readings(&folder, 0, 3);
    assert!(found.iter().all(|ts| ts % 1_000 == 0), "{found:?}");
    assert!(now_ms() - found[0] < 10_000, "and are of now: {found:?}");
    daemon.stop();
    let folder = Folder::new();
    let daemon = folder.start("interval = \"250ms\"\n[http]\nlisten = \"off\"\n");
    let found = readings(&folder, 0, 6);
    assert!(found.iter().all(|ts| ts % 250 == 0), "{found:?}");
    daemon.stop();
}

#[test]
fn a_rate_asked_for_holds_as_long_as_asked() {
    let folder = Folder::new();
    let daemon = folder.start(SLOW);
    let from = now_ms();
    let said = folder.ask(&["interval", "100ms", "--for", "1s", "plimsoll"]).well();
    assert!(said.contains("100ms") && said.contains("10s") && said.contains("more"), "{said}");
    assert_eq!(rate(&folder).0, 100);
    eventually("the configured rate returns", PATIENCE, || match rate(&folder) {
        (10_000, 10_000, None) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let to = now_ms();
    daemon.stop();
    let quick: Vec<i64> =
        stored(&folder).into_iter().filter(|ts| *ts > from && *ts % 10_000 != 0).collect();
    // Ten; a busy machine may have skipped some.
    assert!((5..=11).contains(&quick.len()), "{quick:?}");
    assert!(quick.iter().all(|ts| ts % 100 == 0 && *ts <= to), "{quick:?}");
    assert!(quick.last() < Some(&(from + 1_200)), "not longer than asked: {from} {quick:?}");
}

#[test]
fn a_rate_asked_for_without_end_lasts_until_default_or_a_reload() {
    let folder = Folder::new();
    let daemon = folder.start(SLOW);
    for back in [["interval", "default"].as_slice(), &["reload"]] {
        let from = now_ms();
        let said = folder.ask(&["interval", "100ms"]).well();
        assert!(said.contains("until the next reload"), "{said}");
        readings(&folder, from, 12);
        folder.ask(back).well();
        assert_eq!(rate(&folder), (10_000, 10_000, None), "{back:?}");
    }
    daemon.stop();
}

#[test]
fn a_slip_in_the_rate_is_told_and_changes_nothing() {
    let folder = Folder::new();
    let daemon = folder.start(SLOW);
    for (words, told) in [
        (["interval", "1ms"].as_slice(), "100ms"),
        (&["interval", "2d"], "1d"),
        (&["interval", "fast"], "fast"),
        (&["interval", "1s", "--for", "ever"], "ever"),
        (&["interval", "1s", "lodavg"], "lodavg"),
    ] {
        let err = folder.ask(words).refused();
        assert!(err.contains(told), "{words:?}: {err}");
        assert_eq!(rate(&folder).0, 10_000, "{words:?}");
    }
    daemon.stop();
    let err = folder.ask(&["interval", "1s"]).refused();
    assert!(err.contains("no plimsoll is collecting") && err.contains("plimsoll run"), "{err}");
}

#[test]
fn a_changed_configuration_is_put_to_use_by_reload_and_by_sighup() {
    let folder = Folder::new();
    let daemon = folder.start(SLOW);
    folder.configure(FAST);
    let from = now_ms();
    let said = folder.ask(&["reload"]).well();
    assert!(said.contains("reloaded"), "{said}");
    assert_eq!(rate(&folder), (100, 100, None));
    readings(&folder, from, 5);
    folder.configure("interval = \"200ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n");
    daemon.signal(Signal::HUP);
    // The line that tells of the first reload has the same words.
    eventually("the rate of the second reload", PATIENCE, || match rate(&folder) {
        (200, 200, None) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let from = now_ms();
    let found = readings(&folder, from, 4);
    assert!(found.iter().all(|ts| ts % 200 == 0), "{found:?}");
    daemon.stop();
}

#[test]
fn after_a_reload_nothing_is_missing_until_the_next_beat() {
    let folder = Folder::new();
    let hourly = "interval = \"1h\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let daemon = folder.start(hourly);
    let count = |daemon: &Daemon| daemon.json("/api/status")["values"].as_array().map(Vec::len);
    let names = |daemon: &Daemon| {
        let text = daemon.http("GET", "/metrics").body;
        let name = |l: &str| l.split(['{', ' ']).next().map(str::to_owned);
        text.lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(name)
            .collect::<std::collections::BTreeSet<_>>()
    };
    eventually("a reading", PATIENCE, || {
        count(&daemon).filter(|n| *n > 20).ok_or_else(String::new)
    });
    let before = names(&daemon);
    folder.ask(&["reload"]).well();
    eventually("the same names again", PATIENCE, || {
        let now = names(&daemon);
        let missing: Vec<_> = before.difference(&now).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} are missing")) }
    });
    daemon.stop();
}

#[test]
fn what_only_a_new_start_can_change_is_said_on_reload() {
    let folder = Folder::new();
    let daemon = folder.start(SLOW);
    folder.configure("system = \"other\"\n[http]\nlisten = \"off\"\n[store]\nqueue = \"1h\"\n");
    let said = folder.ask(&["reload"]).well();
    for what in ["`system`", "`http.listen`", "`store.queue`"] {
        let line = format!("the new {what} takes effect at the next start");
        assert!(said.contains(&line), "{said}");
    }
    assert_eq!(daemon.http("GET", "/health").status, 200, "it still listens");
    daemon.stop();
}

#[test]
fn a_broken_configuration_leaves_everything_running() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    for broken in ["interval = \"100ms\"\nintervall = 3\n", "interval = \n", "[http\n"] {
        folder.configure(broken);
        let err = folder.ask(&["reload"]).refused();
        assert!(err.contains("plimsoll.toml:"), "{err}");
        assert!(err.contains("stays in force"), "{err}");
        assert_eq!(rate(&folder), (100, 100, None));
    }
    std::fs::remove_file(folder.join("plimsoll.toml")).expect("it was there");
    daemon.signal(Signal::HUP);
    daemon.says("error not reloaded, all stays as it was: there is no configuration file");
    daemon.rows_after(now_ms());
    daemon.healthy();
    daemon.stop();
}

#[test]
fn a_rule_quickens_the_beat_while_it_holds_and_for_a_while_after() {
    let folder = Folder::new();
    let rule =
        "[[burst]]\nwhen = \"plimsoll_commits_total < 2\"\ninterval = \"100ms\"\nfor = \"1s\"\n";
    let daemon = folder.start(&format!("{SLOW}{rule}"));
    let found = readings(&folder, 0, 8);
    assert!(found.iter().all(|ts| ts % 100 == 0), "{found:?}");
    daemon.says("burst: plimsoll_commits_total < 2");
    daemon.says("burst: plimsoll_commits_total < 2 no longer holds");
    eventually("the configured rate returns", PATIENCE, || match rate(&folder) {
        (10_000, 10_000, None) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    daemon.stop();
}

#[test]
fn a_rule_on_a_key_with_labels_that_always_holds_never_ends() {
    let folder = Folder::new();
    let rule = format!("[[burst]]\nwhen = '{BUILD} > 0'\ninterval = \"100ms\"\nfor = \"300ms\"\n");
    let daemon = folder.start(&format!("{SLOW}{rule}"));
    let from = now_ms();
    readings(&folder, from + 1_000, 5);
    assert_eq!(rate(&folder).0, 100);
    assert_eq!(daemon.logged("burst: "), 1, "said once: {}", daemon.log());
    daemon.stop();
}

#[test]
fn a_stopped_machine_s_missed_ticks_are_counted_and_not_made_up_for() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("{FAST}[collect]\ncollectors = []\n"));
    daemon.rows_after(0);
    daemon.signal(Signal::STOP);
    let from = now_ms();
    pause(Duration::from_millis(1_000));
    let to = now_ms();
    daemon.signal(Signal::CONT);
    daemon.rows_after(to + 500);
    let asleep =
        stored(&folder).into_iter().filter(|ts| (from + 50..to - 150).contains(ts)).count();
    assert_eq!(asleep, 0, "{from} to {to}: {:?}", stored(&folder));
    let skipped = daemon.value("plimsoll_ticks_skipped_total").expect("a value");
    assert!((7.0..=30.0).contains(&skipped), "{skipped}");
    daemon.stop();
}
