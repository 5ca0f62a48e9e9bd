//! `plimsoll send`, with a daemon and without one.

use std::io::Write;
use std::process::Stdio;

use super::{QUIET, bare, stored};
use crate::support::*;

/// What is in the file, taken in or still in the inbox.
fn metrics(folder: &Folder, key: &str) -> String {
    let sql = format!("select value || ' ' || timestamp from metrics where key = '{key}'");
    sqlite3(&folder.db(), &sql)
}

#[test]
fn one_value_with_a_daemon_and_without() {
    let folder = Folder::new();
    let daemon = folder.start(&QUIET.replace("1m", "100ms"));
    let at = ["--at", "2023-11-14T22:13:20Z"];
    let send = |words: &[&str]| folder.ask(&[&["send"], words, &at[..]].concat());
    send(&["room", "-21.5", "--tag", "floor=1", "--tag", "house=a \"b\""]).well();
    send(&["done", "17", "--type", "counter"]).well();
    assert_eq!(
        bare(&stored(&daemon, 2)),
        [
            "done counter 17.0 1700000000000",
            "room{floor=\"1\",house=\"a \\\"b\\\"\"} gauge -21.5 1700000000000",
        ]
    );
    daemon.stop();
    // Nobody takes it in, and it can be read all the same.
    send(&["room", "22"]).well();
    assert_eq!(metrics(&folder, "room"), "22.0 2023-11-14 22:13:20");
    let daemon = folder.start(&QUIET.replace("1m", "100ms"));
    assert_eq!(stored(&daemon, 3).len(), 3);
    daemon.stop();
    for (words, said) in [
        (&["send", "a", "warm"][..], "`warm` is not a number"),
        (&["send", "a"], "no value"),
        (&["send", "a", "1", "--at", "soon"], "soon"),
        (&["send", "-", "1"], "from standard input only"),
        (&["send", "", "1"], "no key"),
        (&["send", "cpu", "1"], "`cpu` is measured by plimsoll itself"),
        (&["send", "disk", "1", "--tag", "mountpoint=/"], "`disk` is measured"),
        (&["send", "a", "1", "--tag", "job=node"], "job `node` of this machine"),
        (&["send", "a", "1", "--at", "1999-12-31"], "lies before 2000-01-01"),
    ] {
        let err = folder.ask(words).refused();
        assert!(err.contains(said), "{words:?}: {err}");
    }
    // Of another machine it is no measurement of ours.
    folder.ask(&["send", "cpu", "1", "--tag", "instance=web9"]).well();
    let empty = Folder::new();
    empty.configure("");
    assert!(empty.ask(&["send", "a", "1"]).refused().contains("there is no database"));
}

#[test]
fn lines_of_every_format_from_a_pipe() {
    let folder = Folder::new();
    folder.filled();
    let pipe = |words: &[&str], text: &str| {
        let mut command = folder.plimsoll(&[&["send", "-"], words].concat());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("plimsoll starts");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(text.as_bytes()).expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let text = "a 1 1700000000\n\
                b;tag=x 2 1700000000\n\
                c,tag=y value=3,more=4 1700000000000000000\n\
                {\"key\": \"d\", \"value\": 5, \"timestamp\": 1700000000}\n\
                e{tag=\"z\"} 6 1700000000000\n";
    assert_eq!(pipe(&[], text), (true, String::new()));
    for (key, value) in [
        ("a", "1.0"),
        ("b{tag=\"x\"}", "2.0"),
        ("c{tag=\"y\"}", "3.0"),
        ("c_more{tag=\"y\"}", "4.0"),
        ("d", "5.0"),
        ("e{tag=\"z\"}", "6.0"),
    ] {
        assert_eq!(metrics(&folder, key), format!("{value} 2023-11-14 22:13:20"), "{key}");
    }
    let (well, said) = pipe(&["--tag", "all=1"], "f 1\nbad\ng 2\n");
    assert!(!well && said.contains("line 2: no value behind the key"), "{said}");
    assert!(said.contains("1 lines could not be read; 2 values were sent"), "{said}");
    assert!(metrics(&folder, "f{all=\"1\"}").starts_with("1.0 "));
    // What the database would refuse costs itself only.
    let (well, said) = pipe(&[], &format!("{} 1\nh 3\nhits:1|c\n", "k".repeat(1_001)));
    assert!(!well && said.contains("the key has 1001 characters; 1000 are allowed"), "{said}");
    assert!(said.contains("line 3: a line of statsd: send it to the daemon's port"), "{said}");
    assert!(metrics(&folder, "h").starts_with("3.0 "));
    let (well, said) = pipe(&["--format", "influx"], "f 1\n");
    assert!(!well && said.contains("where a field was expected"), "{said}");
}
