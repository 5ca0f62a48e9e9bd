//! Questions that ask for more than there is: labels that grow, rows without end, texts that swell.

use super::{Siege, scale};
use crate::asking::{begin, form};
use crate::push::{gzip, send};
use crate::support::*;

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

/// Asks; anything but a silent end is an answer.
fn asks(daemon: &Daemon, query: &str) -> u16 {
    form(daemon, "/api/v1/query", &format!("query={}", encoded(query))).status
}

#[test]
fn labels_that_grow_eightfold_with_every_level() {
    let siege = Siege::begin();
    for levels in [8, 9, 12] {
        let joins = "label_join(".repeat(levels);
        let ends = format!(",\"a\",\"\"{})", ",\"a\"".repeat(8)).repeat(levels);
        let start = format!("label_replace(cpu,\"a\",\"{}\",\"\",\"\")", "x".repeat(20));
        let status = asks(&siege.daemon, &format!("{joins}{start}{ends}"));
        assert_eq!(status, 422, "{levels} levels");
    }
    let replaces = "label_replace(".repeat(10);
    let ends = format!(",\"a\",\"{}\",\"a\",\"(.*)\")", "$1".repeat(8)).repeat(10);
    let start = "label_replace(cpu,\"a\",\"xxxxxxxxxx\",\"\",\"\")";
    assert_eq!(asks(&siege.daemon, &format!("{replaces}{start}{ends}")), 422);
    siege.holds();
}

#[test]
fn rows_and_cells_without_end() {
    let siege = Siege::begin();
    // Values of their own for many series, then more cells than memory allows.
    let names = 1_500 * scale().min(10);
    let lines: Vec<String> = (0..names).map(|n| format!("wide,n={n} value={n}")).collect();
    for part in lines.chunks(1_000) {
        let body = gzip(part.join("\n").as_bytes());
        let packed = [("Content-Encoding", "gzip")];
        send(siege.daemon.address(), "POST", "/write", &packed, &body);
    }
    siege.daemon.rows_after(now_ms());
    let end = now_ms() / 1000;
    let range = |query: &str, steps: i64| {
        let body = format!("query={}&start={}&end={end}&step=1", encoded(query), end - steps);
        begin(&siege.daemon, "POST", "/api/v1/query_range?", &body)
    };
    for _ in 0..scale() {
        let all: Vec<_> = (0..4).map(|_| range("{__name__=~\".+\"}", 10_990)).collect();
        let more = asks(&siege.daemon, "{__name__=~\"wide.*\"}[30d:1s]");
        assert!([422, 503].contains(&more), "{more}");
        let sorted = asks(&siege.daemon, "sort(count_values(\"v\", {__name__=~\".+\"}))");
        assert!([200, 422, 503].contains(&sorted), "{sorted}");
        drop(all);
    }
    let selectors = format!("match[]={}", encoded("{__name__=~\"(a|b|c)+.*x\"}"));
    let body = vec![selectors; 5_000].join("&");
    form(&siege.daemon, "/api/v1/series", &body);
    siege.holds();
}

#[test]
fn texts_that_swell_in_sql() {
    let siege = Siege::begin();
    let statements = [
        "select json_group_array(printf('%.*c',60000,'a')) from (select 1 from samples limit 20000)",
        "select json_group_object(ts, printf('%.*c',60000,'a')) from (select ts from samples limit 20000)",
        "select group_concat(printf('%.*c',60000,'a')) from (select 1 from samples limit 20000)",
        "select json_pretty(replace(printf('%.*c',1000,'['),'','')||printf('%.*c',1000,']'),printf('%.*c',60000,'x'))",
        "select replace(printf('%.*c',60000,'a'),'a',printf('%.*c',60000,'b'))",
    ];
    for statement in statements {
        let answer = send(siege.daemon.address(), "POST", "/api/sql", &[], statement.as_bytes());
        assert!([200, 400, 422, 503].contains(&answer.status), "{statement}: {answer:?}");
        assert!(answer.body.len() < 4_000, "{statement}: {} bytes", answer.body.len());
    }
    siege.holds();
}

#[test]
fn eight_heavy_questions_leave_the_page_its_places() {
    let siege = Siege::begin();
    let query = encoded("sum_over_time(sum_over_time(vector(1)[1d:1s])[1d:1s])");
    let heavy: Vec<_> = (0..8)
        .map(|_| begin(&siege.daemon, "GET", &format!("/api/v1/query?query={query}"), ""))
        .collect();
    for path in ["/api/overview", "/api/verdict", "/metrics"] {
        assert_eq!(siege.daemon.http("GET", path).status, 200, "{path}");
    }
    drop(heavy);
    siege.holds();
}
