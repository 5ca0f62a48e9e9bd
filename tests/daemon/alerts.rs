//! Alerts as a person meets them: a receiver is named, a test is sent, a silence is made.

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
