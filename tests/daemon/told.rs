//! What verbs tell a person: on one screen, to the end of each sentence, of the plimsoll that runs, and
//! nothing to a reader that has gone.

use std::process::Stdio;

use crate::support::*;

/// What a verb prints on a terminal of so many columns, with its colours.
fn painted(folder: &Folder, columns: u32, words: &str) -> String {
    let line = format!(
        "stty cols {columns}; {PLIMSOLL} {words} --db {} --config {}",
        folder.db().display(),
        folder.join("plimsoll.toml").display()
    );
    let mut script = tool("script", "bsdutils");
    script.env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env("TERM", "xterm");
    run(script.args(["-qec", &line, "/dev/null"])).well().replace('\r', "")
}

/// The line without its colours.
fn bare(line: &str) -> String {
    let mut out = String::new();
    for (at, part) in line.split('\u{1b}').enumerate() {
        let text = if at == 0 { part } else { part.split_once('m').map_or("", |(_, text)| text) };
        out.push_str(text);
    }
    out
}

#[test]
fn a_problem_is_told_to_its_end_and_colours_no_other_line() {
    let folder = Folder::new();
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("bound").port();
    let node = format!("[munin_node]\nlisten = \"127.0.0.1:{port}\"\n");
    let daemon = folder.start(&format!("{FAST}{node}"));
    daemon.rows_after(now_ms());
    for columns in [44, 60, 80] {
        let said = painted(&folder, columns, "status");
        let lines: Vec<&str> = said.lines().collect();
        for line in &lines {
            assert!(bare(line).chars().count() <= columns as usize, "{columns}: {line:?}");
            // What is painted ends in its own line.
            let begun = line.matches("\u{1b}[").count() - line.matches("\u{1b}[0m").count();
            assert_eq!(begun, line.matches("\u{1b}[0m").count(), "{line:?}");
        }
        let whole = lines.iter().map(|l| bare(l).trim().to_owned()).collect::<Vec<_>>().join(" ");
        let remedy = "it is tried again (is a munin-node running?), since";
        assert!(whole.contains(remedy), "{columns}: {said}");
    }
    let checked = folder.ask(&["check-config"]).well();
    let taken =
        format!("warning: `munin_node.listen`: another program listens on tcp 127.0.0.1:{port};");
    assert!(checked.contains(&taken), "{checked}");
    // In a pipe it is one line.
    let piped = folder.ask(&["status"]).well();
    let line = piped.lines().find(|l| l.contains("munin_node 127")).unwrap_or_default();
    assert!(line.contains("is a munin-node running?), since"), "{piped}");
    daemon.stop();
}

#[test]
fn status_is_one_screen_and_counts_what_is_well() {
    let folder = Folder::new();
    let plugin = |n: usize| {
        format!(
            "[[plugin]]\nname = \"p{n}\"\nkind = \"nagios\"\ninterval = \"1s\"\n\
             command = [\"/bin/echo\", \"OK - fine | used={n};90;95;0;100\"]\n"
        )
    };
    let plugins: String = (0..40).map(plugin).collect();
    let daemon = folder.start(&format!("{FAST}{plugins}"));
    let lines: String =
        (0..60).map(|n| format!("{{\"key\": \"sent_{n}\", \"value\": 1}}\n")).collect();
    let sent = crate::push::send(daemon.address(), "POST", "/api/push", &[], lines.as_bytes());
    assert_eq!(sent.status, 200, "{sent:?}");
    let said = eventually("all plugins", PATIENCE, || {
        let said = folder.ask(&["status"]).well();
        if said.contains("40 answer") { Ok(said) } else { Err(said) }
    });
    assert!(said.lines().count() <= 40, "{}: {said}", said.lines().count());
    assert!(said.contains("52 more that were sent"), "{said}");
    assert!(!said.contains("up{plugin"), "{said}");
    let all = folder.ask(&["status", "--all"]).well();
    for each in ["up{plugin=\"p7\"}", "sent_59", "node_load15", "(share that is free)"] {
        assert!(all.contains(each), "{each}: {all}");
    }
    let booted = all.lines().find(|l| l.ends_with("node_boot_time_seconds")).unwrap_or_default();
    assert!(booted.trim().starts_with("20"), "a moment is a date: {booted}");
    let short = folder.ask(&["status", "--short"]).well();
    assert_eq!(short.lines().count(), 1, "{short}");
    for part in ["(load ", ", memory ", " % used on /"] {
        assert!(short.contains(part), "{part}: {short}");
    }
    daemon.stop();
}

/// `plimsoll status --json | head -1` is no error, whatever the verb.
#[test]
fn a_reader_that_has_gone_is_no_error() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    for words in [
        "status",
        "status --all",
        "status --json",
        "status --short",
        "collect",
        "collect --json",
        "sql select*from/**/metrics",
        "sql --format json select*from/**/metrics",
        "query cpu",
        "query --format json cpu",
        "graph cpu",
        "export",
        "export --format json",
        "export --format openmetrics",
        "interval",
        "interval --json",
        "reload",
        "plugin list",
        "plugin list --json",
        "plugin suggest",
        "token list",
        "check-config",
        "check-config --all",
        "check-config --json",
        "check-config --sample",
        "estimate",
        "estimate --json",
        "doctor",
        "doctor --json",
        "install --dry-run",
        "completions bash",
        "man",
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let words: Vec<&str> = words.split(' ').collect();
        let child = folder
            .plimsoll(&words)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = child.wait_with_output().expect("it ends");
        let err = String::from_utf8_lossy(&said.stderr);
        assert!(!err.contains("roken pipe") && !err.contains("panicked"), "{words:?}: {err}");
        assert!(said.status.success(), "{words:?}: {:?} {err}", said.status);
    }
    daemon.stop();
}

/// Beside a running plimsoll, an estimate is of what that one does, not of the defaults.
#[test]
fn an_estimate_is_of_the_plimsoll_that_runs() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("{FAST}[store]\nmax_size = \"8MiB\"\n"));
    daemon.rows_after(now_ms());
    let estimate = || -> serde_json::Value {
        let mut bare = std::process::Command::new(PLIMSOLL);
        // No --config: the one who asks need not know it.
        let said = run(bare.args(["estimate", "--json", "--db"]).arg(folder.db()));
        serde_json::from_str(&said.well()).expect("JSON")
    };
    let found = estimate();
    let each = |found: &serde_json::Value| {
        let number = |key: &str| found[key].as_f64().expect("a number");
        number("samples_per_year") / number("series") / (365.0 * 86_400.0)
    };
    assert!((each(&found) - 10.0).abs() < 0.01, "{found}");
    assert_eq!(found["max_size"], 8 << 20, "{found}");
    folder.ask(&["interval", "1s"]).well();
    assert!((each(&estimate()) - 1.0).abs() < 0.01, "{}", estimate());
    let said = folder.ask(&["check-config"]).well();
    assert!(
        said.contains("warning: `plain_rows` (64MB) is more than half of `max_size`"),
        "{said}"
    );
    daemon.stop();
}

#[test]
fn a_machine_that_is_gone_alarms_nobody_and_may_come_back() {
    let folder = Folder::new();
    let now = now_ms() / 1_000;
    let rows = |host: &str, ago: i64| -> String {
        let row = |n: i64| {
            format!("\"node_load5{{instance=\"\"{host}\"\"}}\",{},0.5\n", now - ago - n * 10)
        };
        (0..20).map(row).collect()
    };
    let text = format!("key,unix_ts,value\n{}{}", rows("web7", 7_200), rows("web8", 20 * 86_400));
    std::fs::write(folder.join("rows.csv"), text).expect("written");
    folder.configure(FAST);
    folder.ask(&["import", "rows.csv"]).well();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let line = |host: &str| {
        let said = folder.ask(&["status"]).well();
        let line = said.lines().find(|l| l.starts_with(host)).map(str::to_owned);
        (line.unwrap_or_default(), said)
    };
    let level = |host: &str| {
        let all = daemon.json("/api/hosts");
        let hosts = all["hosts"].as_array().expect("a list");
        let host = hosts.iter().find(|h| h["name"] == host).expect("the host");
        format!("{} {}", host["level"], host["text"])
    };
    let (web7, said) = line("web7");
    assert!(web7.contains("needs you now"), "{said}");
    assert!(said.contains("  No sample received, since "), "a whole sentence: {said}");
    assert_eq!(level("web7"), "\"bad\" \"No sample received\"");
    let (web8, said) = line("web8");
    assert!(web8.contains("is gone"), "{said}");
    assert_eq!(level("web8"), "\"well\" \"is gone\"");

    let why = folder.ask(&["forget", "web9"]).refused();
    assert!(why.contains("there are: ") && why.contains("web7"), "{why}");
    folder.ask(&["forget", "web7"]).well();
    eventually("web7 is gone", PATIENCE, || {
        let (line, said) = line("web7");
        if line.contains("is gone") && !said.contains("No sample received") {
            Ok(())
        } else {
            Err(said)
        }
    });
    eventually("the page says so", PATIENCE, || match level("web7") {
        level if level == "\"well\" \"is gone\"" => Ok(()),
        level => Err(level),
    });
    let push = br#"{"key": "node_load5{instance=\"web7\"}", "value": 0.5}"#;
    let sent = crate::push::send(daemon.address(), "POST", "/api/push", &[], push);
    assert_eq!(sent.status, 200, "{sent:?}");
    eventually("web7 is back", PATIENCE, || {
        let (line, said) = line("web7");
        if line.contains("is well") { Ok(()) } else { Err(said) }
    });
    let why = folder.ask(&["forget", "web7"]).refused();
    assert!(why.contains("web7 is not silent"), "{why}");
    let own = daemon.json("/api/status")["system"].as_str().expect("a name").to_owned();
    let why = folder.ask(&["forget", &own]).refused();
    assert!(why.contains("is the machine that plimsoll itself runs on"), "{why}");
    daemon.stop();
}
