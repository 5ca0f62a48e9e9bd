//! Real senders of remote write: a Prometheus that scrapes itself, and VictoriaMetrics' vmagent.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::{QUIET, send};
use crate::support::*;

/// Ends with the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _any = self.0.kill();
        let _any = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("bound").port()
}

fn wait_for(address: &str, path: &str) {
    eventually(path, PATIENCE, || {
        std::net::TcpStream::connect(address).map_err(|e| e.to_string()).and_then(|_| {
            let answer = send(address.parse().expect("an address"), "GET", path, &[], b"");
            if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
    });
}

/// Every sample in a file that did not come from this machine's own collectors:
/// series with its labels as JSON, and time, and value as SQLite shows it.
fn samples(daemon: &Daemon) -> BTreeMap<(String, i64), String> {
    let sql = "select json_patch(json(labels), json_object('__name__', name, 'job', job, 'instance', system))
               || char(9) || ts || char(9) ||
               case typeof(value) when 'blob' then 'x' || hex(value) else format('%!.17g', value) end
               from samples join series on _id = series_id where job not in ('node', 'push')";
    let text = sqlite3(&daemon.db, sql);
    text.lines()
        .map(|line| {
            let mut parts = line.split('\t');
            let mut next = || parts.next().expect("three columns").to_owned();
            let (series, ts, value) = (canonical(&next()), next(), next());
            ((series, ts.parse().expect("a time")), value)
        })
        .collect()
}

/// JSON with its members sorted.
fn canonical(labels: &str) -> String {
    let map: BTreeMap<String, String> = serde_json::from_str(labels).expect("labels");
    serde_json::to_string(&map).expect("JSON")
}

#[test]
fn a_real_prometheus_hands_over_every_sample() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let (own, targets) = (port(), folder.join("targets.json"));
    let config = format!(
        "global:\n  scrape_interval: 250ms\n  scrape_timeout: 250ms\n\
         scrape_configs:\n- job_name: self\n  file_sd_configs:\n  - files: ['{}']\n\
         remote_write:\n- url: http://{}/api/v1/write\n  queue_config:\n    batch_send_deadline: 200ms\n",
        targets.display(),
        daemon.address()
    );
    std::fs::write(&targets, format!("[{{\"targets\": [\"127.0.0.1:{own}\"]}}]")).expect("written");
    let path = folder.join("prometheus.yml");
    std::fs::write(&path, config).expect("written");
    let address = format!("127.0.0.1:{own}");
    let log = std::fs::File::create(folder.join("prometheus.log")).expect("a log");
    let mut command = tool("prometheus", "prometheus");
    command
        .arg(format!("--config.file={}", path.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(log);
    let prometheus = Peer(command.spawn().expect("prometheus starts"));
    wait_for(&address, "/-/ready");
    let said = || std::fs::read_to_string(folder.join("prometheus.log")).unwrap_or_default();
    eventually("five scrapes", PATIENCE, || {
        let scrapes = samples(&daemon).keys().filter(|(s, _)| s.contains("\"up\"")).count();
        if scrapes >= 5 { Ok(()) } else { Err(format!("{scrapes}\n{}", said())) }
    });
    // What Prometheus itself has up to a moment that it has sent already.
    let until =
        samples(&daemon).keys().filter(|(s, _)| s.contains("\"up\"")).map(|(_, t)| *t).max();
    let until = until.expect("scrapes") - 1;
    let query = "/api/v1/query?query=%7Bjob%3D%22self%22%7D%5B1h%5D";
    let answer = send(address.parse().expect("an address"), "GET", query, &[], b"");
    let answer: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let mut theirs = 0;
    let ours = samples(&daemon);
    for series in answer["data"]["result"].as_array().expect("series") {
        let labels = canonical(&series["metric"].to_string());
        for sample in series["values"].as_array().expect("samples") {
            let ts = (sample[0].as_f64().expect("seconds") * 1000.0).round() as i64;
            if ts > until {
                continue;
            }
            let value: f64 = sample[1].as_str().and_then(|v| v.parse().ok()).expect("a value");
            let found = ours.get(&(labels.clone(), ts));
            let found = found.unwrap_or_else(|| panic!("{labels} at {ts} is missing\n{}", said()));
            let same = match found.strip_prefix('x') {
                Some(bits) => {
                    let bits = u64::from_str_radix(bits, 16).expect("hex");
                    f64::from_bits(bits).is_nan() == value.is_nan()
                }
                None => found.parse::<f64>().is_ok_and(|f| f == value),
            };
            assert!(same, "{labels} at {ts}: {found} is not {value}");
            theirs += 1;
        }
    }
    assert!(theirs > 1_000, "{theirs} samples are no test");
    assert!(!said().contains("non-recoverable"), "{}", said());
    assert!(!said().contains("Failed to send batch"), "{}", said());
    // A target that goes away ends with stale markers, which have to survive.
    std::fs::write(&targets, "[]").expect("written");
    eventually("stale markers", Duration::from_secs(30), || {
        let stale = samples(&daemon);
        let stale = stale
            .iter()
            .filter(|((s, _), v)| s.contains("\"self\"") && v.as_str() == "x7FF0000000000002");
        if stale.count() > 100 { Ok(()) } else { Err(said()) }
    });
    drop(prometheus);
    daemon.stop();
}

#[test]
fn vmagent_hands_over_what_it_scrapes() {
    let folder = Folder::new();
    let daemon = folder.start(QUIET);
    let own = port();
    let address = format!("127.0.0.1:{own}");
    let config = format!(
        "global:\n  scrape_interval: 1s\n\
         scrape_configs:\n- job_name: agent\n  static_configs:\n  - targets: ['{address}']\n"
    );
    let path = folder.join("vmagent.yml");
    std::fs::write(&path, config).expect("written");
    let log = std::fs::File::create(folder.join("vmagent.log")).expect("a log");
    let mut command = tool("vmagent", "victoria-metrics");
    command
        .arg(format!("-promscrape.config={}", path.display()))
        .arg(format!("-httpListenAddr={address}"))
        .arg(format!("-remoteWrite.url=http://{}/api/v1/write", daemon.address()))
        .arg(format!("-remoteWrite.tmpDataPath={}", folder.join("vmdata").display()))
        .arg("-remoteWrite.flushInterval=200ms")
        .stdout(Stdio::null())
        .stderr(log);
    let vmagent = Peer(command.spawn().expect("vmagent starts"));
    wait_for(&address, "/health");
    let said = || std::fs::read_to_string(folder.join("vmagent.log")).unwrap_or_default();
    eventually("two scrapes", PATIENCE, || {
        let all = samples(&daemon);
        let scrapes = all.iter().filter(|((s, _), v)| s.contains("\"up\"") && v.parse() == Ok(1.0));
        let scrapes = scrapes.count();
        let version = all.keys().any(|(s, _)| s.contains("vm_app_version"));
        if scrapes >= 2 && version { Ok(()) } else { Err(format!("{scrapes}\n{}", said())) }
    });
    // What it says it has sent is what came.
    let all = samples(&daemon);
    let one = all.keys().find(|(s, _)| s.contains("\"up\"")).map(|(_, ts)| *ts).expect("a scrape");
    let at_once = all.keys().filter(|(_, ts)| *ts == one).count();
    assert!(at_once > 100, "{at_once} samples of one scrape");
    assert!(!said().contains("unexpected status code"), "{}", said());
    drop(vmagent);
    daemon.stop();
}
