//! Requests made of pieces of good ones, shuffled and damaged: each is answered in JSON with a status
//! that says whose fault it is, and the daemon goes on.

use super::{begin, send};
use crate::promql::filled;
use crate::support::*;

const PATHS: [&str; 12] = [
    "query",
    "query_range",
    "query_exemplars",
    "series",
    "labels",
    "label/color/values",
    "label/U__a_2e_b/values",
    "metadata",
    "format_query",
    "parse_query",
    "targets",
    "status/tsdb",
];
const NAMES: [&str; 12] = [
    "query",
    "time",
    "start",
    "end",
    "step",
    "timeout",
    "limit",
    "match[]",
    "stats",
    "lookback_delta",
    "metric",
    "limit_per_metric",
];
const VALUES: [&str; 24] = [
    "paint_total",
    "sum(rate(paint_total[5m]))by(color)",
    "1700000600",
    "1700000600.5",
    "-1",
    "0",
    "1e308",
    "NaN",
    "+Inf",
    "9223372036854775807",
    "-9223372036854775808",
    "2023-11-14T22:23:20Z",
    "15",
    "5m",
    "1ms",
    "100y",
    "{}",
    "{job!=\"\"}",
    "((((((((((",
    "\u{0}",
    "%",
    "é\u{202e}",
    "max_over_time(paint_total[1h:1s])",
    "{__name__=~\".*\"}[1h]",
];

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

#[test]
fn shuffled_requests_are_answered_sensibly() {
    let (_folder, daemon) = filled();
    let mut dice = Dice::new(knob("PLIMSOLL_SEED", 7));
    let mut pick = |list: &[&'static str]| list[dice.roll(list.len() as u64) as usize];
    let mut seen = std::collections::BTreeMap::<u16, u32>::new();
    for round in 0..knob("PLIMSOLL_REQUESTS", 400) {
        let path = pick(&PATHS);
        let mut pairs = Vec::new();
        for _ in 0..round % 6 {
            let (name, value) = (pick(&NAMES), pick(&VALUES));
            // Now and then raw, so that half a percent sign and a stray & are among them.
            let raw = round % 7 == 0 && value.bytes().all(|b| b.is_ascii_graphic());
            let value = if raw { value.to_owned() } else { encoded(value) };
            pairs.push(format!("{name}={value}"));
        }
        let text = pairs.join("&");
        let kind = "Content-Type: application/x-www-form-urlencoded";
        let answer = if round % 2 == 0 {
            let clean = text.replace(['{', '}', '"', '[', ']'], "");
            send(&daemon, "GET", &format!("/api/v1/{path}?{clean}"), &[], "")
        } else {
            send(&daemon, "POST", &format!("/api/v1/{path}"), &[kind], &text)
        };
        assert!([200, 400, 405, 422, 503].contains(&answer.status), "{path} {text}: {answer:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.body)
            .unwrap_or_else(|e| panic!("{e}: {path} {text}: {answer:?}"));
        let expected = if answer.status == 200 { "success" } else { "error" };
        assert_eq!(body["status"], expected, "{path} {text}: {answer:?}");
        *seen.entry(answer.status).or_default() += 1;
        if round % 40 == 0 {
            // Somebody who goes in the middle.
            drop(begin(&daemon, "POST", "/api/v1/query", "query="));
        }
    }
    assert!(seen.contains_key(&200) && seen.contains_key(&400), "{seen:?}");
    daemon.healthy();
    daemon.stop();
}
