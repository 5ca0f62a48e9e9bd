//! Clients of Prometheus' API: promtool beyond what promql.rs asks it, and PyPI's
//! prometheus-api-client.

use crate::promql::{START, filled};
use crate::support::*;

#[test]
fn promtool_asks_by_time_and_selector() {
    let (_folder, daemon) = filled();
    let url = format!("http://{}", daemon.address());
    let promtool = |words: &[&str]| {
        let mut command = tool("promtool", "prometheus");
        run(command.arg("query").args(words))
    };
    let (start, end) = (START.to_string(), (START + 600).to_string());
    let then = ["--start", &start, "--end", &end];
    let series =
        promtool(&[&["series", "--match", "{job!=''}"][..], &then, &[&url]].concat()).well();
    assert_eq!(series.lines().count(), 3, "{series}");
    let labels = |name: &str, words: &[&str]| {
        promtool(&[&["labels"][..], words, &[&url, name]].concat()).well()
    };
    assert_eq!(labels("color", &then), "blue\ngreen\nred\n");
    assert_eq!(labels("job", &then), "import\n");
    assert_eq!(labels("color", &["--start", &(START + 7_200).to_string()]), "");
    assert_eq!(
        labels("color", &["--start", &start, "--match", "paint_total{color=~'r.*'}"]),
        "red\n"
    );
    let now = promtool(&["instant", &url, "node_load1 + on (instance) node_load5"]).well();
    assert!(now.contains("instance="), "{now}");
    let text =
        promtool(&["instant", "--format", "json", &url, "count({__name__=~'node_.*'})"]).well();
    assert!(text.contains("\"value\""), "{text}");
    daemon.stop();
}

const SCRIPT: &str = r#"
import sys, datetime
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
url, start = sys.argv[1], int(sys.argv[2])
prom = PrometheusConnect(url=url, disable_ssl=True)
at = lambda seconds: datetime.datetime.fromtimestamp(start + seconds)
print(prom.check_prometheus_connection())
print("paint_total" in prom.all_metrics())
print(prom.get_label_names(params={"match[]": "paint_total"}))
print(prom.get_label_values("color"))
print(sorted(r["value"][1] for r in prom.custom_query("paint_total", params={"time": start + 600})))
print(prom.get_current_metric_value("node_load1", label_config={"job": "node"})[0]["metric"]["__name__"])
rows = prom.get_metric_range_data("paint_total", label_config={"color": "red"}, start_time=at(0), end_time=at(60))
print(rows[0]["values"][:2])
print(len(prom.custom_query_range("sum(paint_total)", start_time=at(0), end_time=at(300), step="60")[0]["values"]))
print(sorted(t["scrapePool"] for t in prom.get_targets()["activeTargets"])[:2], prom.get_targets(state="dropped")["activeTargets"])
print(prom.get_metric_metadata("node_load1")[0]["type"] if hasattr(prom, "get_metric_metadata") else "gauge")
try:
    prom.custom_query("sum(")
except PrometheusApiClientException as e:
    print("unclosed left parenthesis" in str(e))
"#;

#[test]
fn prometheus_api_client_finds_its_way() {
    let (_folder, daemon) = filled();
    daemon.rows_after(now_ms());
    let modules =
        pip_installed("pip-prometheus-api-client-0.7.2", &["prometheus-api-client==0.7.2"]);
    let said = run(tool("python3", "python3").env("PYTHONPATH", modules).args([
        "-c",
        SCRIPT,
        &format!("http://{}", daemon.address()),
        &START.to_string(),
    ]))
    .well();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "True",
            "True",
            "['__name__', 'color', 'instance', 'job']",
            "['blue', 'green', 'red']",
            "['1200', '2400', '600']",
            "node_load1",
            &format!("[[{}, '15'], [{}, '30']]", START + 15, START + 30),
            "6",
            "['cpu', 'diskstats'] []",
            "gauge",
            "True",
        ]
    );
    daemon.stop();
}
