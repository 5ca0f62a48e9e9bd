//! `/federate`: read by hand, and by a real Prometheus.

use std::process::Stdio;

use super::{data, send};
use crate::support::*;

/// Ends with the test.
struct Peer(std::process::Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _any = self.0.kill();
        let _any = self.0.wait();
    }
}

#[test]
fn the_newest_values_with_their_times() {
    let folder = Folder::new();
    let now = now_ms();
    // One that has ended: a staleness marker is its newest sample.
    std::fs::write(
        folder.join("rows.csv"),
        format!("key,timestamp,value\nended,{},1\n", now / 1_000 - 20),
    )
    .expect("writable");
    folder.ask(&["import", "rows.csv"]).well();
    let marker = format!(
        "insert into samples select {}, _id, x'7ff0000000000002' from series where key = 'ended'",
        now - 10_000
    );
    sqlite3(&folder.db(), &marker);
    let daemon = folder.start(&format!("system = \"web1\"\n{FAST}"));
    for (key, age) in [
        ("fresh{b=\"\\\"x\\\"\"}", 1_000),
        ("fresh{a=\"1\"}", 299_000 - 60_000),
        ("old", 301_000),
        ("disk.used{mount.point=\"/\"}", 2_000),
    ] {
        let at = ((now - age) / 1_000).to_string();
        folder.ask(&["send", key, "1.5", "--at", &at]).well();
    }
    let selector = "match[]=%7B__name__%3D~%22fresh%7Cold%7Cended%22%7D&match[]=fresh&match[]=%7Bjob%3D%22sql%22%7D";
    let path = format!("/federate?{selector}");
    let lines = eventually("all were taken in", PATIENCE, || {
        let answer = send(&daemon, "GET", &path, &[], "");
        assert_eq!(answer.status, 200, "{answer:?}");
        let lines: Vec<String> = answer.body.lines().map(str::to_owned).collect();
        if lines.len() == 5 { Ok(lines) } else { Err(format!("{answer:?}")) }
    });
    let second = |age: i64| (now - age) / 1_000 * 1_000;
    assert_eq!(
        lines,
        [
            "# TYPE disk_used untyped".to_owned(),
            format!(
                "disk_used{{instance=\"web1\",job=\"sql\",mount_point=\"/\"}} 1.5 {}",
                second(2_000)
            ),
            "# TYPE fresh untyped".to_owned(),
            format!("fresh{{a=\"1\",instance=\"web1\",job=\"sql\"}} 1.5 {}", second(239_000)),
            format!("fresh{{b=\"\\\"x\\\"\",instance=\"web1\",job=\"sql\"}} 1.5 {}", second(1_000)),
        ]
    );
    let all = "Accept: text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4";
    let answer = send(&daemon, "GET", "/federate?match[]=%7B%22disk.used%22%7D", &[all], "");
    assert!(
        answer
            .body
            .contains("{\"disk.used\",instance=\"web1\",job=\"sql\",\"mount.point\"=\"/\"} 1.5 "),
        "{answer:?}"
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8")
    );
    let none = send(&daemon, "GET", "/federate", &[], "");
    assert_eq!((none.status, none.body.as_str()), (200, ""));
    let wrong = send(&daemon, "GET", "/federate?match[]=sum(", &[], "");
    assert_eq!(wrong.status, 400);
    assert!(wrong.body.starts_with("invalid parameter \"match[]\": 1:"), "{wrong:?}");
    daemon.stop();
}

#[test]
fn a_real_prometheus_takes_over() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("system = \"web1\"\n{FAST}"));
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = free.local_addr().expect("bound");
    drop(free);
    let config = format!(
        "scrape_configs:\n- job_name: federate\n  scrape_interval: 300ms\n  scrape_timeout: 300ms\n  \
         honor_labels: true\n  metrics_path: /federate\n  params:\n    'match[]': ['{{job=\"node\"}}']\n  \
         static_configs:\n  - targets: ['{}']\n",
        daemon.address()
    );
    let path = folder.join("prometheus.yml");
    std::fs::write(&path, config).expect("written");
    let log = std::fs::File::create(folder.join("prometheus.log")).expect("a log");
    let mut command = tool("prometheus", "prometheus");
    command
        .arg(format!("--config.file={}", path.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address={own}"))
        .stdout(Stdio::null())
        .stderr(log);
    let _peer = Peer(command.spawn().expect("prometheus starts"));
    let ask = |query: &str| -> Result<serde_json::Value, String> {
        let mut stream = std::net::TcpStream::connect(own).map_err(|e| e.to_string())?;
        let text = format!("GET /api/v1/query?query={query} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        std::io::Write::write_all(&mut stream, text.as_bytes()).map_err(|e| e.to_string())?;
        let answer = answer(&mut stream);
        if answer.status == 200 { Ok(data(&answer)) } else { Err(format!("{answer:?}")) }
    };
    // Everything of one moment, as it stands there and here.
    let series =
        "%7Bjob%3D%22node%22,__name__%3D~%22node_load1%7Cnode_memory_MemTotal_bytes%22%7D[1h]";
    let theirs = eventually("scrapes", PATIENCE, || {
        let said = std::fs::read_to_string(folder.join("prometheus.log")).unwrap_or_default();
        let found = ask(series)?["result"].take();
        let list = found.as_array().cloned().unwrap_or_default();
        let enough = list.len() == 2
            && list.iter().all(|s| s["values"].as_array().is_some_and(|v| v.len() >= 5));
        if enough { Ok(list) } else { Err(format!("{found} {said}")) }
    });
    for one in theirs {
        assert_eq!(one["metric"]["instance"], "web1", "{one}");
        let name = one["metric"]["__name__"].as_str().expect("a name");
        for sample in one["values"].as_array().expect("samples") {
            let at = (sample[0].as_f64().expect("seconds") * 1e3).round() as i64;
            let sql = format!(
                "select count(*) from samples join series on _id = series_id \
                               where name = '{name}' and ts = {at} and value = {}",
                sample[1].as_str().expect("a value")
            );
            assert_eq!(sqlite3(&daemon.db, &sql), "1", "{name} {sample}");
        }
    }
    let up = ask("up").expect("answers");
    assert_eq!(up["result"][0]["value"][1], "1", "{up}");
    let taken = ask("scrape_samples_post_metric_relabeling").expect("answers");
    let taken: usize =
        taken["result"][0]["value"][1].as_str().expect("a number").parse().expect("one");
    let ours = daemon.json("/api/status")["values"].as_array().map_or(0, Vec::len);
    assert!(taken > 100 && taken + 30 > ours, "{taken} of {ours}");
    daemon.stop();
}
