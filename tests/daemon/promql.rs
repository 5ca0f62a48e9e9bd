//! PromQL from outside: promtool, plain HTTP, and the command line, over a file whose samples are
//! known.

use std::fmt::Write;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::*;

/// 2023-11-14 22:13:20 UTC
pub const START: i64 = 1_700_000_000;

/// Counters that grow by 1, 2 and 4 a second, every 15 s for an hour, beside what the daemon
/// collects.
pub fn filled() -> (Folder, Daemon) {
    let folder = imported();
    // Older than anything is kept for otherwise.
    let keep = format!("{FAST}[store]\nraw = \"100y\"\nfive_minutes = \"100y\"\n");
    let daemon = folder.start(&keep);
    (folder, daemon)
}

/// The same, and no daemon yet.
fn imported() -> Folder {
    let folder = Folder::new();
    let mut rows = String::from("key,timestamp,value\n");
    for at in (0..3_600).step_by(15) {
        for (color, slope) in [("red", 1), ("green", 2), ("blue", 4)] {
            let key = format!("\"paint_total{{color=\"\"{color}\"\"}}\"");
            writeln!(rows, "{key},{},{}", START + at, at * slope).expect("a string");
        }
    }
    std::fs::write(folder.join("rows.csv"), rows).expect("writable");
    folder.ask(&["import", "rows.csv"]).well();
    folder
}

fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    let answer = daemon.http("GET", &format!("/api/v1/{path}"));
    let body = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
    (answer.status, body)
}

fn data(daemon: &Daemon, path: &str) -> Value {
    let (status, mut body) = get(daemon, path);
    assert_eq!((status, &body["status"]), (200, &json!("success")), "{path}: {body}");
    body["data"].take()
}

#[test]
fn promtool_asks_and_understands() {
    let (_folder, daemon) = filled();
    let url = format!("http://{}", daemon.address());
    let promtool = |words: &[&str]| {
        let mut command = tool("promtool", "prometheus");
        run(command.arg("query").args(words))
    };
    let at = (START + 600).to_string();
    let instant = promtool(&["instant", "--time", &at, &url, "paint_total{color=~'red|blue'}"]);
    let instant = instant.well();
    for (color, value) in [("red", 600), ("blue", 2_400)] {
        let line = instant.lines().find(|l| l.contains(color)).unwrap_or_default();
        assert!(
            line.contains("job=\"import\"") && line.contains(&format!("=> {value} ")),
            "{line}"
        );
    }
    let end = (START + 660).to_string();
    let span = ["range", "--start", &at, "--end", &end, "--step", "30s", &url];
    let range = promtool(&[&span[..], &["sum(paint_total) - 7 * vector(0)"]].concat()).well();
    for (time, value) in [(600, 4_200), (630, 4_410), (660, 4_620)] {
        assert!(range.contains(&format!("{value} @[{}]", START + time)), "{range}");
    }
    let series = promtool(&["series", "--start", &at, "--match", "paint_total", &url]).well();
    assert_eq!(series.lines().count(), 3, "{series}");
    assert_eq!(promtool(&["labels", "--start", &at, &url, "color"]).well(), "blue\ngreen\nred\n");
    // Its client asks for gzip, and this answer is long enough for it.
    let all = promtool(&["series", "--start", &at, "--match", "{job!=''}", &url]).well();
    assert!(all.lines().count() > 50 && all.contains("paint_total"), "{all}");
    let refused = promtool(&["instant", &url, "sum(("]).refused();
    assert!(refused.contains("1:6: parse error: unclosed left parenthesis"), "{refused}");
    daemon.stop();
}

#[test]
fn the_api_answers_as_prometheus_does() {
    let (_folder, daemon) = filled();
    let at = START + 600;
    assert_eq!(
        data(
            &daemon,
            &format!("query?query=paint_total%7Bcolor%3D%22red%22%7D+%2B+0.5&time={at}.25")
        ),
        json!({ "resultType": "vector", "result": [{
            "metric": { "color": "red", "instance": instance(&daemon), "job": "import" },
            "value": [1_700_000_600.25, "600.5"],
        }] })
    );
    assert_eq!(
        data(&daemon, &format!("query?query=1/0&time={at}")),
        json!({ "resultType": "scalar", "result": [at, "+Inf"] })
    );
    assert_eq!(data(&daemon, "query?query=%22text%22&time=1")["result"], json!([1, "text"]));
    assert_eq!(
        data(
            &daemon,
            &format!("query_range?query=sum(paint_total)&start={at}&end={}&step=1m", at + 60)
        ),
        json!({ "resultType": "matrix", "result": [{
            "metric": {},
            "values": [[at, "4200"], [at + 60, "4620"]],
        }] })
    );
    let raw =
        data(&daemon, &format!("query?query=paint_total%7Bcolor%3D%22red%22%7D[30s]&time={at}"));
    assert_eq!(raw["result"][0]["values"], json!([[at - 15, "585"], [at, "600"]]));
    assert_eq!(
        data(&daemon, "labels?match[]=paint_total"),
        json!(["__name__", "color", "instance", "job"])
    );
    assert_eq!(data(&daemon, "label/color/values"), json!(["blue", "green", "red"]));
    assert_eq!(
        data(&daemon, "series?match[]=paint_total%7Bcolor%3D%22red%22%7D")[0]["color"],
        "red"
    );
    assert_eq!(data(&daemon, "metadata?metric=paint_total")["paint_total"][0]["type"], "counter");
    assert_eq!(data(&daemon, "format_query?query=sum(a)by(b)"), "sum by (b) (a)");
    assert_eq!(data(&daemon, "parse_query?query=1")["type"], "numberLiteral");
    assert_eq!(data(&daemon, "query_exemplars?query=up"), json!([]));
    let rules = data(&daemon, "rules");
    assert_eq!(rules["groups"][0]["name"], "plimsoll", "{rules}");
    assert_eq!(data(&daemon, "alerts"), json!({ "alerts": [] }));
    assert_eq!(data(&daemon, "targets")["droppedTargets"], json!([]));
    for status in ["buildinfo", "runtimeinfo", "config", "flags", "tsdb"] {
        assert!(data(&daemon, &format!("status/{status}")).is_object(), "{status}");
    }
    let (_, cut) = get(&daemon, &format!("query?query=paint_total&time={at}&limit=2"));
    assert_eq!(cut["data"]["result"].as_array().map(Vec::len), Some(2));
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
    let (_, noted) = get(&daemon, &format!("query?query=quantile(2,paint_total)&time={at}"));
    let warning = noted["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.ends_with("should be between 0 and 1, got 2 (1:10)"), "{noted}");
    let old = format!("query?query=paint_total&time={}", START + 3_600 + 200);
    assert_eq!(data(&daemon, &old)["result"].as_array().map(Vec::len), Some(3));
    let none = format!("{old}&lookback_delta=1m");
    assert_eq!(data(&daemon, &none)["result"], json!([]));
    daemon.stop();
}

fn instance(daemon: &Daemon) -> Value {
    daemon.json("/api/status")["system"].take()
}

#[test]
fn statistics_say_what_was_looked_at_and_what_served_it() {
    let (_folder, daemon) = filled();
    let at = START + 600;
    let asked = format!("query?query=paint_total[1m]&time={at}&stats=all");
    let stats = &data(&daemon, &asked)["stats"];
    assert_eq!(
        stats["samples"]["totalQueryableSamplesPerStep"],
        json!([[at, 12]]),
        "four samples of three series: {stats}"
    );
    assert_eq!(stats["samples"]["totalQueryableSamples"], 12);
    assert_eq!((&stats["resolution"], &stats["buckets"]), (&json!("raw"), &json!(0)));
    // Windows that overlap look at a sample more than once; what is read is read once.
    let range = format!(
        "query_range?query=sum(rate(paint_total[2m]))&start={at}&end={}&step=60&stats=all",
        at + 120
    );
    let stats = &data(&daemon, &range)["stats"];
    assert_eq!(
        stats["samples"]["totalQueryableSamplesPerStep"],
        json!([[at, 24], [at + 60, 24], [at + 120, 24]])
    );
    assert_eq!(stats["samples"]["totalQueryableSamples"], 72);
    assert_eq!(stats["samplesRead"], 48);
    for time in [
        "evalTotalTime",
        "resultSortTime",
        "queryPreparationTime",
        "innerEvalTime",
        "execQueueTime",
        "execTotalTime",
    ] {
        let seconds = stats["timings"][time].as_f64();
        assert!(seconds.is_some_and(|s| (0.0..20.0).contains(&s)), "{time}: {stats}");
    }
    assert!(stats["samples"]["peakSamples"].as_u64() > Some(0), "{stats}");
    let brief = &data(&daemon, &asked.replace("=all", "=true"))["stats"]["samples"];
    assert_eq!(brief["totalQueryableSamples"], 12);
    assert_eq!(brief.get("totalQueryableSamplesPerStep"), None);
    assert_eq!(data(&daemon, "query?query=1").get("stats"), None);
    let answer = daemon.http("GET", &format!("/api/v1/query?query=paint_total&time={at}"));
    assert_eq!(answer.header("x-plimsoll-resolution"), Some("raw"));
    let labels = daemon.http("GET", "/api/v1/labels");
    assert_eq!(labels.header("x-plimsoll-resolution"), None);
    daemon.stop();
}

#[test]
fn explain_shows_the_plan() {
    let (folder, daemon) = filled();
    daemon.stop();
    let at = (START + 600).to_string();
    let query =
        "max by (color) (rate(paint_total[1m])) / on (color) sum(paint_total{color=~\"r.*\"})";
    let asked = ["query", query, "--at", &at, "--range", "5m", "--step", "1m", "--explain"];
    let said = folder.ask(&asked).well();
    let lines: Vec<&str> = said.lines().collect();
    for (line, left) in lines.iter().zip([
        "/ on (color)",
        "├─ max by (color)",
        "│  └─ rate()",
        "│     └─ paint_total[1m]",
        "└─ sum",
        "   └─ paint_total{color=~\"r.*\"}",
        "",
    ]) {
        assert!(line.starts_with(left), "{left}: {said}");
    }
    let cells = |line: &str| -> Vec<String> {
        line.split("  ").map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect()
    };
    // From 9:00 to 10:00 windows of a minute every minute: 3 series, 24 samples each.
    let rate = cells(lines[3].trim_start_matches("│     └─ paint_total[1m]"));
    assert_eq!(rate[..3], ["3 series", "72 raw", "1 block"], "{said}");
    assert!(rate[3].ends_with(" ms"), "{said}");
    assert!(lines[5].contains("  1 series  "), "{said}");
    assert!(
        lines[7].starts_with("4 series answered in ") && lines[7].contains(" from raw: "),
        "{said}"
    );
}

#[test]
fn questions_that_are_none_say_why() {
    let (_folder, daemon) = filled();
    for (path, code, kind, text) in [
        ("query", 400, "bad_data", "invalid parameter \"query\": 1:1: parse error: no expression"),
        ("query?query=sum(", 400, "bad_data", "1:5: parse error: unclosed left parenthesis"),
        ("query?query=1&time=x", 400, "bad_data", "cannot parse \"x\" to a valid timestamp"),
        ("query?query=1&limit=-1", 400, "bad_data", "limit must be non-negative"),
        ("query_range?query=1&start=2&end=1&step=1", 400, "bad_data", "end timestamp must not be"),
        ("query_range?query=1&start=1&end=2&step=0", 400, "bad_data", "zero or negative"),
        ("query_range?query=1&start=0&end=11001&step=1", 400, "bad_data", "11,000 points"),
        ("query_range?query=a[5m]&start=1&end=2&step=1", 400, "bad_data", "range query"),
        (
            "query?query=label_replace(node_load1,%22a%22,%22b%22,%22c%22,%22(%22)",
            422,
            "execution",
            "invalid regular expression",
        ),
        ("query?query=count(%7Bjob!=%22%22%7D[1h])&timeout=0", 400, "bad_data", "expected type"),
        ("query?query=count(%7Bjob!=%22%22%7D)&timeout=0", 503, "timeout", "timed out"),
        ("series", 400, "bad_data", "no match[] parameter provided"),
        ("labels?match[]=%7B%7D", 400, "bad_data", "at least one non-empty matcher"),
        ("nothing", 404, "not_found", "no such endpoint"),
    ] {
        let (status, body) = get(&daemon, path);
        assert_eq!((status, body["errorType"].as_str()), (code, Some(kind)), "{path}: {body}");
        assert_eq!(body["status"], "error");
        assert!(body["error"].as_str().is_some_and(|e| e.contains(text)), "{path}: {body}");
    }
    daemon.stop();
}

#[test]
fn forms_are_read_and_large_ones_refused() {
    let (_folder, daemon) = filled();
    let form = format!("query=count(paint_total)&time={}", START + 600);
    let ask = |headers: &str, body: &str| {
        exchange(
            daemon.address(),
            &format!(
                "POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n{headers}\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    };
    let answer = ask("", &form);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains(r#""value":[1700000600,"3"]"#), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let large = ask("", &"query=1&".repeat(200_000));
    assert_eq!(large.status, 413, "{large:?}");
    daemon.stop();
}

#[test]
fn the_command_line_needs_no_daemon() {
    let (folder, daemon) = filled();
    daemon.stop();
    let at = (START + 600).to_string();
    let table = folder.ask(&["query", "sum by (color) (paint_total)", "--at", &at]).well();
    let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["series", "time", "value"]);
    assert_eq!(rows[1], ["{color=\"blue\"}", "2023-11-14", "22:23:20", "2400"]);
    let range = ["query", "max(paint_total)", "--at", &at, "--range", "1m", "--step", "20s"];
    let csv = folder.ask(&[&range[..], &["--format", "csv"]].concat()).well();
    assert_eq!(csv.lines().count(), 5, "{csv}");
    assert!(csv.ends_with("{},2023-11-14 22:23:20,2400\n"), "{csv}");
    let json = folder.ask(&[&range[..], &["--json"]].concat()).well();
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        json[3],
        json!({ "series": "{}", "time": "2023-11-14T22:23:20.000Z", "value": "2400" })
    );
    let range = ["query", "paint_total", "--at", &at, "--range", "10m", "--step", "20s"];
    let chart = folder.ask(&[&range[..], &["--format", "chart"]].concat()).well();
    let drawn = |line: &&str| line.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
    assert!(chart.lines().filter(drawn).count() > 3, "braille\n{chart}");
    assert!(chart.contains('┤') && chart.contains("━ blue"), "axis, names\n{chart}");
    let wrong = folder.ask(&["query", "1 + rate(paint_total)"]).refused();
    assert!(wrong.contains("1:10: parse error: expected type range vector"), "{wrong}");
    assert!(wrong.contains("  1 + rate(paint_total)\n           ^^^^^^^^^^^"), "{wrong}");
}

#[test]
fn what_is_to_be_kept_for_longer_is_kept_from_the_start_on() {
    let folder = imported();
    let keep = format!("{FAST}[store]\nraw = \"100y\"\nfive_minutes = \"100y\"\n");
    folder.configure(&keep);
    folder.ask(&["compact"]).well();
    let daemon = folder.start(&keep);
    // By its second commit it has looked at what is too old.
    daemon.rows_after(now_ms());
    let at = START + 600;
    let answer = daemon.http("GET", &format!("/api/v1/query?query=paint_total[10m]&time={at}"));
    assert_eq!(answer.header("x-plimsoll-resolution"), Some("raw"), "{answer:?}");
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    let values = body["data"]["result"][0]["values"].as_array().map(Vec::len);
    assert_eq!(values, Some(40), "{body}");
    daemon.stop();
}

/// How many questions are being answered.
fn running(daemon: &Daemon) -> i64 {
    daemon.json("/api/status")["queries"]["running"].as_i64().expect("a number")
}

#[test]
fn a_question_ends_with_the_command_that_asked_it() {
    let (folder, daemon) = filled();
    // Sorts ten million windows: nobody has the patience, nor does the daemon.
    let text = "quantile_over_time(0.9, quantile_over_time(0.5, paint_total[1h:1s])[1h:100ms])";
    let asked = folder.plimsoll(&["query", text, "--at", &(START + 3_600).to_string()]).spawn();
    let mut asked = asked.expect("it starts");
    let run = |wanted: i64| match running(&daemon) {
        count if count == wanted => Ok(()),
        count => Err(format!("{count} are being answered")),
    };
    eventually("the daemon works on it", PATIENCE, || run(1));
    let left = Instant::now();
    // Ctrl-C ends it the same way, but not where the tests run in the background of a shell.
    kill_process(Pid::from_child(&asked), Signal::TERM).expect("it can be told");
    asked.wait().expect("it ends");
    eventually("nobody works on it", PATIENCE, || run(0));
    // Not by its deadline of ten seconds.
    assert!(left.elapsed() < Duration::from_secs(6), "{:?}", left.elapsed());
    daemon.stop();
}

#[test]
fn a_file_that_took_the_place_of_ours_is_not_mixed_with_it() {
    let (folder, other) = (Folder::new(), imported());
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    assert!(!data(&daemon, "query?query=node_load1")["result"].as_array().expect("one").is_empty());
    std::fs::rename(other.db(), folder.db()).expect("on one file system");
    // Its series have the numbers that others have in the daemon's memory.
    let (status, body) = get(&daemon, "query?query=paint_total");
    assert_eq!(status, 500, "{body}");
    let said = body["error"].as_str().expect("a sentence");
    assert!(said.contains("was replaced") && said.ends_with("restart it"), "{said}");
    daemon.says("metrics.sqlite was deleted or replaced");
    daemon.stop();
}
