//! What reaches a terminal: nothing that steers it, whatever senders put into names and labels, and
//! nothing wider than it is. What goes into a pipe or a file stays as it is.

use crate::support::*;

const HOSTILE: &str = "evil{a=\"\u{1b}]0;PWN\u{7}\",b=\"x\ncpu  2026-01-01 00:00:00  666\"}";

/// What a verb prints on a terminal of so many columns.
fn on_terminal(folder: &Folder, columns: u32, words: &str) -> String {
    let line = format!(
        "stty cols {columns}; {PLIMSOLL} {words} --db {} --config {}",
        folder.db().display(),
        folder.join("plimsoll.toml").display()
    );
    let mut script = tool("script", "bsdutils");
    script.env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1").env("TERM", "xterm");
    run(script.args(["-qec", &line, "/dev/null"])).well().replace('\r', "")
}

#[test]
fn what_senders_say_steers_no_terminal() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    let key = serde_json::to_string(HOSTILE).expect("a text");
    let body = format!("[{{\"key\":{key},\"value\":1}}]");
    let text = format!(
        "POST /api/push HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(daemon.address(), &text);
    assert!((200..300).contains(&answer.status), "{answer:?}");
    daemon.rows_after(now_ms());
    let sql = "sql \"select key from series where name = 'evil'\"";
    // Tables are for people, in a pipe too.
    let plain = [
        &["status", "--all"][..],
        &["query", "evil"],
        &["sql", "select key from series where name = 'evil'"],
    ];
    for words in plain {
        let out = folder.ask(words).well();
        assert!(out.contains("evil") && !out.contains(['\u{1b}', '\u{7}']), "{words:?}: {out}");
        assert!(!out.lines().any(|l| l.starts_with("cpu  2026-01-01")), "a faked row: {out}");
    }
    for words in
        ["status --all", "query evil", "query evil --format csv", sql, "export --key 'evil*'"]
    {
        let out = on_terminal(&folder, 80, words);
        assert!(out.contains("evil") && !out.contains(['\u{1b}', '\u{7}']), "{words}: {out}");
    }
    // Data stay data.
    for words in [
        &["export", "--key", "evil*"][..],
        &["sql", "--format", "csv", "select key from series where name = 'evil'"],
    ] {
        let out = folder.ask(words).well();
        assert!(out.contains("\u{1b}]0;PWN\u{7}"), "{words:?}: {out}");
    }
    daemon.stop();
}

#[test]
fn a_narrow_terminal_and_one_of_ascii() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let mounts =
        folder.ask(&["sql", "--format", "list", "select key from series where name = 'disk'"]);
    let wide = on_terminal(&folder, 200, "status");
    let narrow = on_terminal(&folder, 40, "status");
    for line in narrow.lines().filter(|l| !l.contains("tmp")) {
        assert!(line.chars().count() <= 40, "{line}");
    }
    if !mounts.well().is_empty() {
        let first =
            |text: &str| text.lines().find(|l| l.starts_with("  disk  ")).map(str::to_owned);
        let name = |line: String| line.rsplit("  ").next().map(str::to_owned);
        let (wide, narrow) = (first(&wide).and_then(name), first(&narrow).and_then(name));
        let (wide, narrow) = (wide.expect("a mount"), narrow.expect("a mount"));
        let end = narrow.rsplit('…').next().unwrap_or_default();
        assert!(wide.ends_with(end) && narrow.starts_with('/'), "{wide} {narrow}");
    }
    let ascii = run(folder.plimsoll(&["status"]).env("LC_ALL", "C")).well();
    assert!(ascii.is_ascii(), "{ascii}");
    let mut script = tool("script", "bsdutils");
    let line = format!("stty cols 40; {PLIMSOLL} status --db {}", folder.db().display());
    let ascii = run(script.env("LC_ALL", "C").args(["-qec", &line, "/dev/null"])).well();
    assert!(ascii.is_ascii(), "{ascii}");
    daemon.stop();
}
