//! Grafana's data source for Prometheus, request by request: "save & test", the label browser, the
//! query builder, panels and variables (facts from its sources, packages/grafana-prometheus and
//! pkg/promlib); and the metrics that its most used dashboard asks for.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{data, form, send};
use crate::promql::{START, filled};
use crate::support::*;

/// As its backend sends them, packed answers welcome.
const HEADERS: [&str; 3] = [
    "User-Agent: Grafana/12.2.0",
    "X-Grafana-User: admin",
    "Content-Type: application/x-www-form-urlencoded",
];

fn post(daemon: &Daemon, path: &str, body: &str) -> Value {
    data(&send(daemon, "POST", path, &HEADERS, body))
}

fn get(daemon: &Daemon, path: &str) -> Value {
    data(&send(daemon, "GET", path, &HEADERS[..2], ""))
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|v| v.as_str().expect("a text")).collect()
}

#[test]
fn save_and_test() {
    let (_folder, daemon) = filled();
    // The health check, as a form and, where only GET is allowed, in the address.
    let healthy = json!({ "resultType": "scalar", "result": [4, "2"] });
    assert_eq!(post(&daemon, "/api/v1/query", "query=1%2B1&time=4"), healthy);
    assert_eq!(get(&daemon, "/api/v1/query?query=1%2B1&time=4"), healthy);
    // What has `features` here is taken for Mimir.
    let build = get(&daemon, "/api/v1/status/buildinfo");
    assert!(build["version"].as_str().is_some_and(|v| v.starts_with("3.")), "{build}");
    assert!(build.get("features").is_none(), "{build}");
    // Whether there are rules: it asks and takes 200 for yes.
    let rules = get(&daemon, "/api/v1/rules");
    assert_eq!(rules["groups"][0]["rules"][0]["type"], "alerting", "{rules}");
    assert_eq!(get(&daemon, "/api/v1/alerts"), json!({ "alerts": [] }));
    // A wrong POST is tried again as GET; both say the same.
    let wrong = form(&daemon, "/api/v1/query", "query=sum(");
    assert_eq!(
        (wrong.status, send(&daemon, "GET", "/api/v1/query?query=sum(", &[], "").status),
        (400, 400)
    );
    // And what only takes GET says so.
    assert_eq!(form(&daemon, "/api/v1/metadata", "").status, 405);
    daemon.stop();
}

#[test]
fn the_label_browser_and_the_query_builder() {
    let (folder, daemon) = filled();
    folder.ask(&["send", "disk.used{mount.point=\"/\"}", "1"]).well();
    let all = "limit=40000";
    eventually("the name is known", PATIENCE, || {
        let names = get(&daemon, &format!("/api/v1/label/__name__/values?{all}"));
        if texts(&names).contains(&"disk.used") { Ok(()) } else { Err(names.to_string()) }
    });
    let then = format!("start={START}&end={}", START + 3_600);
    let now = format!("start={}&end={}", now_ms() / 1_000 - 3_600, now_ms() / 1_000 + 60);
    // Names of the time that is shown, and not of another.
    let path = |name: &str, rest: &str| format!("/api/v1/label/{name}/values?{rest}&{all}");
    assert_eq!(texts(&get(&daemon, &path("__name__", &then))), ["paint_total"]);
    eventually("the first beat is written", PATIENCE, || {
        let names = get(&daemon, &path("__name__", &now));
        assert!(!texts(&names).contains(&"paint_total"), "{names}");
        if texts(&names).contains(&"node_load1") { Ok(()) } else { Err(names.to_string()) }
    });
    assert_eq!(
        texts(&post(&daemon, "/api/v1/labels", &then)),
        ["__name__", "color", "instance", "job"]
    );
    let chosen = format!("{then}&match%5B%5D=%7B__name__%3D%22paint_total%22%7D&{all}");
    assert_eq!(texts(&post(&daemon, "/api/v1/labels", &chosen)).len(), 4);
    assert_eq!(texts(&get(&daemon, &path("color", &chosen))), ["blue", "green", "red"]);
    assert_eq!(
        texts(&get(&daemon, &format!("/api/v1/label/color/values?{then}&limit=1"))),
        ["blue"]
    );
    let series = post(&daemon, "/api/v1/series", &chosen);
    assert_eq!(series.as_array().map(Vec::len), Some(3));
    assert_eq!(post(&daemon, "/api/v1/series", &chosen.replace(&then, &now)), json!([]));
    // A label that is no plain name, as it writes it in an address.
    assert_eq!(texts(&get(&daemon, &path("U__mount_2e_point", &now))), ["/"]);
    // Its help texts.
    let known = get(&daemon, "/api/v1/metadata?limit=40000");
    for (name, kind, unit) in [
        ("node_load1", "gauge", ""),
        ("node_memory_MemTotal_bytes", "gauge", "bytes"),
        ("node_network_receive_bytes_total", "counter", "bytes"),
        ("plimsoll_collect_duration_seconds", "gauge", "seconds"),
    ] {
        let one = &known[name][0];
        assert_eq!(
            (one["type"].as_str(), one["unit"].as_str()),
            (Some(kind), Some(unit)),
            "{name}: {one}"
        );
        assert!(one["help"].as_str().is_some_and(|h| h.len() > 10), "{name}: {one}");
    }
    // Variables of a dashboard: label_values(metric, label) and query_result(…).
    let of = |label: &str| path(label, &format!("{now}&match%5B%5D=node_uname_info"));
    assert_eq!(texts(&get(&daemon, &of("job"))), ["node"]);
    let instance = get(&daemon, &of("instance"));
    assert_eq!(instance[0], daemon.json("/api/status")["system"]);
    assert!(!texts(&get(&daemon, &of("nodename"))).is_empty());
    daemon.stop();
}

#[test]
fn panels_and_annotations() {
    let (_folder, daemon) = filled();
    let ask = format!(
        "query=rate%28paint_total%5B1m0s%5D%29&start={}&end={}.5&step=15",
        START + 300,
        START + 600
    );
    let range = post(&daemon, "/api/v1/query_range", &ask);
    assert_eq!(
        (range["resultType"].as_str(), range["result"].as_array().map(Vec::len)),
        (Some("matrix"), Some(3))
    );
    assert_eq!(range["result"][0]["values"].as_array().map(Vec::len), Some(21));
    let first = &range["result"][0]["values"][0];
    let rate: f64 = first[1].as_str().and_then(|v| v.parse().ok()).expect("a number");
    assert!(first[0] == START + 300 && (rate - 4.0).abs() < 1e-9, "{first}");
    let exemplars = format!("query=paint_total&start={START}&end={}", START + 600);
    assert_eq!(post(&daemon, "/api/v1/query_exemplars", &exemplars), json!([]));
    let formatted = get(&daemon, "/api/v1/format_query?query=sum(rate(a[5m]))by(b)%2Fc");
    assert_eq!(formatted, "sum by (b) (rate(a[5m])) / c");
    let tree = get(&daemon, "/api/v1/parse_query?query=sum%20by%20(b)%20(a)");
    assert_eq!((&tree["type"], &tree["grouping"]), (&json!("aggregation"), &json!(["b"])));
    daemon.stop();
}

#[test]
fn what_the_server_says_of_itself() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("system = \"web1\"\n{FAST}"));
    daemon.rows_after(now_ms() + 300);
    let targets = get(&daemon, "/api/v1/targets");
    let active = targets["activeTargets"].as_array().expect("targets");
    let meminfo = active.iter().find(|t| t["scrapePool"] == "meminfo").expect("a collector");
    assert_eq!(meminfo["health"], "up", "{meminfo}");
    assert_eq!(meminfo["labels"], json!({ "instance": "web1", "job": "node" }));
    assert_eq!((&meminfo["scrapeInterval"], &meminfo["lastError"]), (&json!("100ms"), &json!("")));
    let last: jiff::Timestamp =
        meminfo["lastScrape"].as_str().expect("a time").parse().expect("RFC 3339");
    assert!((now_ms() - last.as_millisecond()).abs() < 20_000, "{meminfo}");
    assert!(
        meminfo["lastScrapeDuration"].as_f64().is_some_and(|d| d > 0.0 && d < 1.0),
        "{meminfo}"
    );
    assert_eq!(get(&daemon, "/api/v1/targets?state=dropped")["activeTargets"], json!([]));
    let one = get(&daemon, "/api/v1/targets?scrapePool=cpu");
    assert_eq!(one["activeTargets"].as_array().map(Vec::len), Some(1));
    let up = get(&daemon, "/api/v1/query?query=up%7Bjob%3D%22node%22%7D%20%3D%3D%201");
    assert_eq!(up["result"].as_array().map(Vec::len), Some(1), "{up}");
    let page = daemon.http("GET", "/metrics").body;
    assert!(page.contains("\nnode_load1 ") && !page.contains("\nup "), "a scraper makes its own");
    let pools = get(&daemon, "/api/v1/scrape_pools");
    assert_eq!(texts(&pools["scrapePools"]).len(), active.len());
    let about = get(&daemon, "/api/v1/targets/metadata?metric=node_load1");
    assert_eq!((about.as_array().map(Vec::len), &about[0]["type"]), (Some(1), &json!("gauge")));
    let config = get(&daemon, "/api/v1/status/config");
    assert!(config["yaml"].as_str().is_some_and(|t| t.contains("system = \"web1\"")), "{config}");
    let flags = get(&daemon, "/api/v1/status/flags");
    assert_eq!(flags["storage.tsdb.retention.time"], "30d", "{flags}");
    assert_eq!(flags["query.max-concurrency"], "5");
    assert!(flags["config.file"].as_str().is_some_and(|f| f.ends_with("plimsoll.toml")), "{flags}");
    let runtime = get(&daemon, "/api/v1/status/runtimeinfo");
    assert_eq!(
        (&runtime["hostname"], &runtime["storageRetention"]),
        (&json!("web1"), &json!("30d or 1GiB"))
    );
    // What a reload changes.
    let before = runtime["lastConfigTime"].clone();
    folder.configure(&format!("system = \"web1\"\n{FAST}[store]\nraw = \"9d\"\n"));
    folder.ask(&["reload"]).well();
    let runtime = get(&daemon, "/api/v1/status/runtimeinfo");
    assert_eq!(runtime["storageRetention"], "9d or 1GiB");
    assert_ne!(runtime["lastConfigTime"], before);
    assert!(
        get(&daemon, "/api/v1/status/config")["yaml"]
            .as_str()
            .is_some_and(|t| t.contains("raw = \"9d\""))
    );
    let tsdb = get(&daemon, "/api/v1/status/tsdb");
    let head = &tsdb["headStats"];
    assert!(head["numSeries"].as_u64().is_some_and(|n| n > 100), "{head}");
    assert!(
        head["minTime"].as_i64() < head["maxTime"].as_i64() && head["minTime"].as_i64() > Some(0),
        "{head}"
    );
    assert_eq!(tsdb["seriesCountByMetricName"].as_array().map(Vec::len), Some(10));
    let functions = get(&daemon, "/api/v1/features");
    assert_eq!(functions["promql_functions"]["rate"], true);
    assert_eq!(get(&daemon, "/api/v1/notifications"), json!([]));
    assert_eq!(get(&daemon, "/api/v1/alertmanagers")["activeAlertmanagers"], json!([]));
    assert_eq!(get(&daemon, "/api/v1/status/walreplay")["current"], 0);
    daemon.stop();
}

/// What every Linux has that this runs on, whatever its hardware.
const EVERYWHERE: [&str; 14] = [
    "node_boot_time_seconds",
    "node_context_switches_total",
    "node_cpu_seconds_total",
    "node_filefd_allocated",
    "node_forks_total",
    "node_load1",
    "node_memory_MemAvailable_bytes",
    "node_memory_SwapTotal_bytes",
    "node_netstat_Tcp_RetransSegs",
    "node_network_receive_bytes_total",
    "node_procs_running",
    "node_sockstat_TCP_inuse",
    "node_time_seconds",
    "node_vmstat_pgfault",
];

#[test]
fn the_metrics_of_node_exporter_full() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms() + 3_000);
    let names = get(&daemon, "/api/v1/label/__name__/values");
    let known: BTreeSet<&str> = texts(&names).into_iter().collect();
    let instance = daemon.json("/api/status")["system"].as_str().expect("a name").to_owned();
    let facts = include_str!("../../fixtures/node_exporter_full.txt");
    let (mut answered, mut missing) = (Vec::new(), Vec::new());
    for line in facts.lines().filter(|l| !l.starts_with('#')) {
        let (name, kind) = line.split_once(' ').expect("two words");
        let selector = format!("{name}{{instance=\"{instance}\",job=\"node\"}}");
        let text = match kind {
            "rate" => format!("rate({selector}[1m0s])"),
            _ => selector,
        };
        let mut body = String::from("query=");
        for byte in text.bytes() {
            body.push_str(&format!("%{byte:02x}"));
        }
        let answer = post(&daemon, "/api/v1/query", &body);
        let there = answer["result"].as_array().is_some_and(|r| !r.is_empty());
        assert_eq!(there, known.contains(name), "{text}: {answer}");
        if there { answered.push(name) } else { missing.push(name) }
    }
    eprintln!("{} of {} metrics are here", answered.len(), answered.len() + missing.len());
    eprintln!("not here: {}", missing.join(" "));
    assert_eq!(answered.len() + missing.len(), 228);
    for name in EVERYWHERE {
        assert!(answered.contains(&name), "{name}: {missing:?}");
    }
    // Collectors that plimsoll does not have; once there is one, this list gets shorter.
    for none in ["node_systemd_units", "node_timex_offset_seconds", "node_arp_entries"] {
        assert!(missing.contains(&none), "{none}");
    }
    daemon.stop();
}
