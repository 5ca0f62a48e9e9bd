//! SQL over HTTP: what is answered and how, what is refused, and what a hostile statement cannot do.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{at_work, begin, peak, send};
use crate::promql::{START, filled};
use crate::support::*;

fn ask(daemon: &Daemon, address: &str, statement: &str) -> Answer {
    send(daemon, "POST", &format!("/api/sql{address}"), &[], statement)
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"))
}

#[test]
fn answers_in_three_formats() {
    let (_folder, daemon) = filled();
    let statement = format!(
        "select key, ts, value from samples_all('paint_total*', {START}, {}) \
         where value > 0 order by ts, value",
        START + 30
    );
    let answer = ask(&daemon, "", &statement);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let (first, ms) = ("paint_total{color=\"red\"}", START * 1_000 + 15_000);
    let body = parsed(&answer);
    assert_eq!(body["columns"], json!(["key", "ts", "value"]));
    assert_eq!(body["rows"][0], json!([first, ms, 15.0]));
    assert_eq!(
        (body["rows"].as_array().map(Vec::len), &body["truncated"]),
        (Some(6), &json!(false))
    );
    let csv = ask(&daemon, "?format=csv&limit=1", &statement);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.body, format!("key,ts,value\n\"{}\",{ms},15.0\n", first.replace('"', "\"\"")));
    let lines = send(&daemon, "POST", "/api/sql", &["Accept: application/x-ndjson"], &statement);
    assert_eq!(lines.body.lines().count(), 6);
    let line: Value =
        serde_json::from_str(lines.body.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(line, json!({ "key": first, "ts": ms, "value": 15.0 }));
    let kind = "Content-Type: application/json";
    let wrapped = json!({ "sql": statement, "limit": 2, "timeout": "5s" }).to_string();
    let cut = parsed(&send(&daemon, "POST", "/api/sql", &[kind], &wrapped));
    assert_eq!((cut["rows"].as_array().map(Vec::len), &cut["truncated"]), (Some(2), &json!(true)));
    // As curl sends it without being told anything.
    let url = format!("http://{}/api/sql", daemon.address());
    let said =
        run(tool("curl", "curl").args(["-sS", "--data", "select 1 as one, null as none", &url]));
    assert_eq!(
        said.well(),
        "{\"columns\":[\"one\",\"none\"],\"rows\":[[1,null]],\"truncated\":false}\n"
    );
    for view in
        ["metrics", "metrics_by_system", "history", "series", "systems", "event_log", "samples"]
    {
        let answer = ask(&daemon, "?limit=3", &format!("select * from {view}"));
        assert_eq!(answer.status, 200, "{view}: {answer:?}");
    }
    daemon.stop();
}

#[test]
fn mistakes_are_told_with_their_place() {
    let (_folder, daemon) = filled();
    let answer = ask(&daemon, "", "select key,\n  valve\nfrom metrics");
    assert_eq!(answer.status, 400);
    assert_eq!(
        parsed(&answer),
        json!({ "error": "no such column: valve", "offset": 14, "line": 2, "column": 3 })
    );
    for (address, statement, status, text) in [
        ("", "select * from blocks", 403, "blocks is not for guests; these are: metrics, "),
        ("", "delete from samples", 403, "only SELECT, WITH and VALUES"),
        ("", "pragma journal_mode = delete", 403, "only SELECT"),
        ("", "attach '/tmp/x' as y", 403, "only SELECT"),
        ("", "select load_extension('x')", 403, "load_extension() is not for guests"),
        ("", "select 1; select 2", 400, "one statement at a time"),
        ("", "", 400, "there is no statement"),
        ("?format=xml", "select 1", 400, "json, csv or ndjson"),
        ("?limit=0", "select 1", 400, "1 to 1000000 rows"),
        ("?limit=x", "select 1", 400, "limit"),
        ("?timeout=soon", "select 1", 400, "5s, 500ms or seconds"),
        ("?rows=3", "select 1", 400, "sql, format, limit and timeout are understood"),
        ("", "select zeroblob(100000)", 422, "64 KiB"),
        ("", "select abs(-9223372036854775807 - 1)", 422, "integer overflow"),
    ] {
        let answer = ask(&daemon, address, statement);
        assert_eq!(answer.status, status, "{statement}: {answer:?}");
        let error = parsed(&answer)["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(text), "{statement}: {error}");
    }
    assert_eq!(send(&daemon, "GET", "/api/sql", &[], "").status, 405);
    assert_eq!(ask(&daemon, "", &" ".repeat(200_000)).status, 413);
    daemon.stop();
}

#[test]
fn hostile_statements_end_and_cost_little() {
    let (folder, daemon) = filled();
    let before = peak(&daemon);
    let numbers = "with recursive c(x) as (values (1) union all select x + 1 from c)";
    let doubling: String = (1..40)
        .map(|i| format!(", c{i} as (select a.x from c{} a, c{} b)", i - 1, i - 1))
        .collect();
    for statement in [
        format!("{numbers} select count(*) from c"),
        format!("{numbers} select max(x) from (select x, random() as r from c order by r)"),
        "with recursive c(x) as (values (1) union select x + 1 from c) select count(*) from c".into(),
        format!("{numbers} select count(distinct x) from c"),
        "select count(*) from samples_all a, samples_all b, samples_all c, samples_all d".into(),
        "select count(*) from metrics a, metrics b, metrics c, metrics d where a.value < b.value + c.value".into(),
        "select randomblob(1000000000)".into(),
        "select hex(randomblob(1000000000))".into(),
        format!("with c0(x) as (select value from metrics){doubling} select count(*) from c39"),
        format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("select 1{}", " union all select 1".repeat(3_000)),
        format!("{numbers} select trim(hex(zeroblob(30000)), hex(zeroblob(30000))) from c"),
        format!("{numbers} select count(*) from c where (hex(zeroblob(30000)) || x) like '%0%0%0%0%0%0%y'"),
        format!("{numbers} select json_group_array(x) from c"),
    ] {
        let start = Instant::now();
        let answer = ask(&daemon, "?timeout=1", &statement);
        let short: String = statement.chars().take(80).collect();
        assert!(answer.status >= 400, "{short}: {answer:?}");
        assert!(parsed(&answer)["error"].is_string(), "{short}: {answer:?}");
        assert!(start.elapsed() < Duration::from_secs(12), "{short}: {:?}", start.elapsed());
    }
    at_work(&daemon, 0, 0);
    let grown = peak(&daemon).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more");
    // Nobody's statement stopped the beat, and nothing was made.
    daemon.rows_after(now_ms());
    daemon.healthy();
    assert_eq!(
        sqlite3(&folder.db(), "select count(*) from sqlite_schema where name like 'c%'"),
        "0"
    );
    daemon.stop();
}

#[test]
fn a_long_answer_flows_and_takes_no_memory() {
    let (_folder, daemon) = filled();
    let statement = "with recursive c(x) as (values (1) union all select x + 1 from c) \
                     select x, hex(x) || hex(x) as text from c";
    let before = peak(&daemon);
    let answer = ask(&daemon, "?format=ndjson&limit=1000000&timeout=60s", statement);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.lines().count(), 1_000_000);
    assert_eq!(
        answer.body.lines().last(),
        Some(r#"{"x":1000000,"text":"3130303030303031303030303030"}"#)
    );
    let grown = peak(&daemon).saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} KiB more for {} KiB", answer.body.len() >> 10);
    daemon.stop();
}

#[test]
fn whoever_goes_or_does_not_read_is_left_behind() {
    let (_folder, daemon) = filled();
    let endless = "with recursive c(x) as (values (1) union all select x + 1 from c)";
    let silent =
        begin(&daemon, "POST", "/api/sql?timeout=60", &format!("{endless} select count(*) from c"));
    at_work(&daemon, 1, 0);
    // Two at a time; the third waits.
    let two: Vec<_> = (0..2)
        .map(|_| {
            begin(
                &daemon,
                "POST",
                "/api/sql?timeout=60",
                &format!("{endless} select sum(x) from c"),
            )
        })
        .collect();
    at_work(&daemon, 2, 1);
    drop(silent);
    at_work(&daemon, 2, 0);
    drop(two);
    at_work(&daemon, 0, 0);
    // It asks for much and reads nothing of it.
    let much = format!("{endless} select x, hex(zeroblob(1000)) from c");
    let mut slow = begin(&daemon, "POST", "/api/sql?timeout=2&limit=1000000&format=csv", &much);
    at_work(&daemon, 1, 0);
    at_work(&daemon, 0, 0);
    // And sees that what it got is not the whole: the last chunk, an empty one, is missing.
    let mut got = Vec::new();
    let _reset = slow.read_to_end(&mut got);
    assert!(
        got.starts_with(b"HTTP/1.1 200"),
        "{:?}",
        String::from_utf8_lossy(&got[..got.len().min(200)])
    );
    assert!(!got.ends_with(b"0\r\n\r\n"), "it looks whole");
    daemon.healthy();
    daemon.stop();
}

#[test]
fn strangers_need_a_token_that_reads_and_pages_a_home_here() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("{FAST}behind_proxy = true\n"));
    let token = |name: &str, scope: &str| {
        folder.ask(&["token", "add", name, "--scope", scope]).well().trim().to_owned()
    };
    let (reads, pushes) = (token("a", "read"), token("b", "push"));
    let with = |headers: &[&str]| send(&daemon, "POST", "/api/sql", headers, "select 1").status;
    assert_eq!(with(&[]), 401);
    assert_eq!(with(&["Authorization: Bearer plimsoll_0"]), 401);
    assert_eq!(with(&[&format!("Authorization: Bearer {pushes}")]), 403);
    let good = format!("Authorization: Bearer {reads}");
    assert_eq!(with(&[&good]), 200);
    assert_eq!(with(&[&good, "Origin: http://evil.example"]), 403);
    assert_eq!(with(&[&good, "Sec-Fetch-Site: cross-site"]), 403);
    let strange = exchange(
        daemon.address(),
        &format!(
            "POST /api/sql HTTP/1.0\r\nHost: evil.example\r\n{good}\r\nContent-Length: 8\r\n\r\nselect 1"
        ),
    );
    assert_eq!(strange.status, 421);
    daemon.stop();
}
