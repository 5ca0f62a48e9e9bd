//! What one question can take of the machine's memory, from outside: each of these took hundreds of
//! megabytes, or ended the daemon, before it was counted.

use std::fmt::Write;

use super::{at_work, begin, form, peak, send};
use crate::support::*;

/// The most that all of it may take, KiB: the bounds are 64 MiB for a question and 128 MiB for all of
/// them, and an allocator keeps some of what it was given.
const MOST: u64 = 420 << 10;

/// As many series as there may be names from senders, each with two values within the last minutes.
fn crowded() -> (Folder, Daemon, i64) {
    let folder = Folder::new();
    let now = now_ms() / 1_000;
    let mut rows = String::from("key,timestamp,value\n");
    for series in 0..10_000 {
        for at in [now - 300, now - 100] {
            let _infallible = writeln!(rows, "crowd{series},{at},{series}");
        }
    }
    std::fs::write(folder.join("rows.csv"), rows).expect("writable");
    folder.ask(&["import", "rows.csv"]).well();
    let daemon = folder.start(FAST);
    (folder, daemon, now)
}

/// Percent-encoded.
fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[test]
fn no_question_takes_more_memory_than_it_may() {
    let (_folder, daemon, now) = crowded();
    let before = peak(&daemon);
    let range = |query: &str, steps: i64| {
        let (query, start) = (encoded(query), now - steps);
        format!("query={query}&start={start}&end={now}&step=1")
    };
    let everything = r#"{__name__=~"crowd.+"}"#;
    let levels = 12;
    let growing = format!(
        r#"{}label_replace(vector(1),"a","xxxxxxxxxxxxxxxxxxxx","",""){}"#,
        "label_join(".repeat(levels),
        r#","a","","a","a","a","a","a","a","a","a")"#.repeat(levels)
    );
    for (path, body, word) in [
        ("/api/v1/query", format!("query={}", encoded(&growing)), "more than 1000 bytes"),
        ("/api/v1/query_range", range(everything, 10_990), "more than 64 MiB of memory"),
        ("/api/v1/query_range", range(&format!("{everything} * 2"), 4_000), "more than 64 MiB"),
        (
            "/api/v1/query",
            format!("query={}", encoded(&format!("count(max_over_time({everything}[30d:1s]))"))),
            "more than 64 MiB",
        ),
    ] {
        let answer = form(&daemon, path, &body);
        assert_eq!(answer.status, 422, "{answer:?}");
        let error: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(error["errorType"], "execution", "{error}");
        assert!(error["error"].as_str().is_some_and(|e| e.contains(word)), "{error}");
    }
    let picture = format!("/graph.png?range=5m&expr={}", encoded(everything));
    assert_eq!(send(&daemon, "GET", &picture, &[], "").status, 422);
    for statement in [
        "select json_group_array(printf('%.*c', 60000, 'a')) from samples",
        "select json_group_object(ts, printf('%.*c', 60000, 'a')) from samples",
        "select json_pretty(printf('%.*c', 1000, '[') || printf('%.*c', 1000, ']'), \
         printf('%.*c', 60000, 'x'))",
    ] {
        let answer = send(&daemon, "POST", "/api/sql", &[], statement);
        assert_eq!(answer.status, 422, "{statement}: {answer:?}");
        assert!(answer.body.contains("more than 64 MiB of memory"), "{answer:?}");
    }
    let patterns = (0..5_000).map(|i| encoded(&format!(r#"{{a=~"x{i}foo.+bar[a-z]+(q|w)"}}"#)));
    let patterns: Vec<String> = patterns.map(|p| format!("match[]={p}")).collect();
    let answer = form(&daemon, "/api/v1/series", &patterns.join("&"));
    assert!(matches!(answer.status, 200 | 413 | 503), "{answer:?}");
    // And all of them at once.
    let heavy = format!("/api/v1/query_range?{}", range(everything, 10_990));
    let clients: Vec<_> = (0..8).map(|_| begin(&daemon, "GET", &heavy, "")).collect();
    drop(clients);
    at_work(&daemon, 0, 0);
    let after = peak(&daemon);
    assert!(after < before + MOST, "{before} KiB, then {after} KiB");
    // What is asked with measure is answered as before.
    let answer = send(&daemon, "GET", "/api/v1/query?query=count(crowd7)", &[], "");
    assert_eq!(super::data(&answer)["result"][0]["value"][1], "1");
    daemon.healthy();
    daemon.stop();
}
