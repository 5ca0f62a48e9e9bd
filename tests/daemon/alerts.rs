//! Alerts as a person meets them: a receiver is named, a test is sent, a silence is made.

use crate::alert_stub::{Manner, Stub};
use crate::support::*;

/// A configuration, a running daemon, and a program as the receiver of messages.
#[test]
fn a_receiver_is_named_and_hears_of_it_at_once() {
    let folder = Folder::new();
    let daemon = folder.start("interval = \"10s\"\n[http]\nlisten = \"127.0.0.1:0\"\n");
    let said = folder.ask(&["alert"]).well();
    assert!(said.contains("nobody is told"), "{said}");
    let why = folder.ask(&["alert", "to", "nfty:x"]).refused();
    assert!(why.contains("is `ntfy:` meant?"), "{why}");
    let words = ["alert", "to", "exec:/bin/true", "--config", "no/such/plimsoll.toml"];
    let mut elsewhere = std::process::Command::new(PLIMSOLL);
    let nowhere = run(elsewhere.args(words).current_dir(folder.path())).refused();
    assert!(nowhere.contains("there is no such folder"), "{nowhere}");
    // The test comes right behind the reload, and is sent by the running daemon.
    for target in ["exec:/bin/true", "exec:/bin/cat"] {
        let said = folder.ask(&["alert", "to", target]).well();
        assert!(said.contains(&format!("{target}: sent")), "{said}");
    }
    let said = folder.ask(&["alert"]).well();
    assert!(said.contains("told: exec:/bin/cat"), "{said}");
    let why = folder.ask(&["alert", "test", "exec:/bin/true"]).refused();
    assert!(why.contains("has no receiver `exec:/bin/true`"), "{why}");
    daemon.stop();
}

#[test]
fn a_silence_is_listed_as_soon_as_it_is_made() {
    let folder = Folder::new();
    let daemon = folder.start("interval = \"10s\"\n[http]\nlisten = \"127.0.0.1:0\"\n");
    let why = folder.ask(&["silence", "disk_/"]).refused();
    assert!(why.contains("say for how long"), "{why}");
    folder.ask(&["silence", "disk_/", "--for", "2h", "--why", "moving"]).well();
    let list = folder.ask(&["silence"]).well();
    assert!(list.contains("disk_/") && list.contains("moving"), "{list}");
    folder.ask(&["silence", "--end", "1"]).well();
    let list = folder.ask(&["silence"]).well();
    assert!(list.contains("nothing is silenced"), "{list}");
    let why = folder.ask(&["ack", "nothing"]).refused();
    assert!(why.contains("no alert that fires"), "{why}");
    daemon.stop();
}

/// A test runs every receiver, which may be a program: many at once would be many processes.
#[test]
fn one_test_is_sent_at_a_time() {
    let stub = Stub::new();
    stub.set(Manner::Hold);
    let folder = Folder::new();
    let to = format!("http://127.0.0.1:{}/x", stub.port);
    let config =
        format!("interval = \"10s\"\n[http]\nlisten = \"127.0.0.1:0\"\n[alerts]\nto = \"{to}\"\n");
    let daemon = folder.start(&config);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| folder.ask(&["alert", "test"]));
        assert!(stub.grows(Stub::asked, 0, PATIENCE), "the first test arrives");
        let why = folder.ask(&["alert", "test"]).refused();
        assert!(why.contains("a test is being sent already"), "{why}");
        stub.set(Manner::Take);
        first.join().expect("no panic");
    });
    folder.ask(&["alert", "test"]).well();
    daemon.stop();
}

#[test]
fn rules_are_asked_for_by_file_and_by_group() {
    let folder = Folder::new();
    let rules = "groups:\n- name: g\n  rules:\n  - alert: Mine\n    expr: vector(1)\n";
    let file = folder.path().join("mine.yml");
    std::fs::write(&file, rules).expect("a rule file");
    let file = file.display();
    let daemon = folder.start(&format!(
        "interval = \"10s\"\n[http]\nlisten = \"127.0.0.1:0\"\n[alerts]\nrules = [\"{file}\"]\n"
    ));
    let names = |query: &str| {
        let answer = daemon.json(&format!("/api/v1/rules?{query}"));
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        groups.iter().filter_map(|g| g["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let both = eventually("both groups", PATIENCE, || {
        let names = names("");
        if names.len() == 2 { Ok(names) } else { Err(format!("{names:?}")) }
    });
    assert!(both.contains(&"plimsoll".to_owned()), "{both:?}");
    assert_eq!(names("rule_group[]=plimsoll"), ["plimsoll"]);
    assert_eq!(names(&format!("file[]={file}")), [file.to_string()]);
    assert!(names("file[]=another").is_empty());
    daemon.stop();
}
