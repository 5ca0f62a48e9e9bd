//! The reference statsd and real clients, as npm and PyPI have them: installed once into cargo's
//! folder for tests, at fixed versions, by the machine's own npm and pip.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::Value;

use super::{STATSD, becomes, place};
use crate::support::*;

const NPM: [&str; 2] = ["statsd@0.9.0", "hot-shots@17.1.1"];
const PIP: [&str; 2] = ["statsd==4.0.1", "datadog==0.51.0"];

fn npm() -> PathBuf {
    npm_installed("npm-statsd-0.9.0-hot-shots-17.1.1", &NPM)
}

fn pip() -> PathBuf {
    pip_installed("pip-statsd-4.0.1-datadog-0.51.0", &PIP)
}

/// Prints every flush as a line of JSON.
const BACKEND: &str = "
exports.init = function (start, config, events) {
  events.on('flush', function (ts, m) {
    var sets = {};
    for (var key in m.sets) { sets[key] = m.sets[key].size(); }
    console.log('FLUSH ' + JSON.stringify({
      counters: m.counters, rates: m.counter_rates, timers: m.timer_data, gauges: m.gauges, sets: sets
    }));
  });
  return true;
};
";

/// The reference, running.
struct Reference {
    child: Child,
    flushes: Receiver<Value>,
    port: u16,
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _unused = self.child.kill();
        let _unused = self.child.wait();
    }
}

impl Reference {
    fn start(folder: &Folder, percentiles: &str) -> Self {
        let modules = npm();
        let backend = folder.join("backend.js");
        std::fs::write(&backend, BACKEND).expect("writable");
        let free = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        let management = TcpListener::bind("127.0.0.1:0").expect("a port");
        let other = management.local_addr().expect("an address").port();
        let config = folder.join("reference.js");
        let text = format!(
            "{{ port: {port}, address: '127.0.0.1', mgmt_port: {other}, mgmt_address: '127.0.0.1',
               flushInterval: 1000, percentThreshold: {percentiles}, backends: ['{}'] }}",
            backend.display()
        );
        std::fs::write(&config, text).expect("writable");
        drop((free, management));
        let mut child = tool("node", "nodejs")
            .arg(modules.join("statsd/stats.js"))
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let out = child.stdout.take().expect("piped");
        let (to, flushes) = sync_channel(100);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some(json) = line.strip_prefix("FLUSH ") {
                    let value = serde_json::from_str(json).expect("JSON");
                    if to.send(value).is_err() {
                        return;
                    }
                }
            }
        });
        Self { child, flushes, port }
    }

    fn flush(&self) -> Value {
        self.flushes.recv_timeout(PATIENCE).expect("it flushes")
    }

    /// What it makes of these packets: sent just after a flush, so that one flush has them all.
    fn aggregates(&self, packets: &[String]) -> BTreeMap<String, f64> {
        self.flush();
        let to = SocketAddr::from(([127, 0, 0, 1], self.port));
        packets.iter().for_each(|p| super::send(to, p));
        let flush = self.flush();
        let mut out = BTreeMap::new();
        let mut put = |kind: &str, key: &str, part: &str, value: &Value| {
            let (name, tags) = key.split_once(';').unwrap_or((key, ""));
            let mut labels: Vec<String> = (tags.split(';').filter(|t| !t.is_empty()))
                .map(|t| t.split_once('=').expect("a tag"))
                .map(|(k, v)| format!("{k}=\"{v}\""))
                .collect();
            labels.sort();
            let labels =
                if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            let value = value.as_f64().expect("a number");
            out.insert(format!("stats.{kind}.{name}{part}{labels}"), value);
        };
        let of = |group: &str| flush[group].as_object().expect("a group").clone();
        for (key, value) in of("counters") {
            put("counters", &key, ".count", &value);
        }
        for (key, value) in of("rates") {
            put("counters", &key, ".rate", &value);
        }
        for (key, value) in of("gauges") {
            put("gauges", &key, "", &value);
        }
        for (key, value) in of("sets") {
            put("sets", &key, ".count", &value);
        }
        for (key, parts) in of("timers") {
            for (part, value) in parts.as_object().expect("parts") {
                put("timers", &key, &format!(".{part}"), value);
            }
        }
        out
    }
}

/// Packets of everything that both understand.
fn packets(dice: &mut Dice) -> Vec<String> {
    let mut lines = Vec::new();
    for i in 0..1_500 {
        let n = dice.roll(12);
        let decimal = dice.roll(1_000_000) as f64 / 1e3;
        lines.push(match dice.roll(12) {
            0 | 1 => format!("c{n}:{}|c", dice.roll(100)),
            2 => format!("c{n}:{decimal}|c|@0.{}", 1 + dice.roll(9)),
            3 | 4 => format!("t{n}:{decimal}|ms"),
            5 => format!("t{n}:{}|ms|@0.{}", dice.roll(5_000), 1 + dice.roll(9)),
            6 => format!("g{n}:{decimal}|g"),
            7 => format!("g{n}:{}{}|g", ["+", "-"][dice.roll(2) as usize], dice.roll(1_000)),
            8 => format!("s{n}:{}|s", dice.roll(40)),
            9 => format!("m{n}:{decimal}|ms:1|c:7|g"),
            10 => format!("ta g/{n}%x:{decimal}|ms|#b:{},a:x", n % 3),
            _ => ["nonsense", "a:b|c", "a:-1|ms", "a:1|c|@x", "a:|c"][i % 5].to_owned(),
        });
    }
    lines.push("single:3.25|ms".into());
    lines.chunks(20).map(|chunk| chunk.join("\n")).collect()
}

#[test]
fn every_aggregate_is_the_reference_s_own() {
    let folder = Folder::new();
    let percentiles = "[90, 50, 99.9, -10]";
    let reference = Reference::start(&folder, percentiles);
    let config = format!("{STATSD}legacy_names = true\npercentiles = {percentiles}\n");
    let daemon = folder.start(&config);
    let packets = packets(&mut Dice::new(42));
    let right = reference.aggregates(&packets);
    assert!(right.len() > 700, "{}", right.len());

    let udp = place(&daemon, "udp");
    // Just after a flush, as there.
    let flushed = || {
        daemon.json("/api/status")["values"]
            .as_array()
            .expect("values")
            .iter()
            .find(|v| v["key"] == "stats.gauges.statsd.timestamp_lag")
            .and_then(|v| v["timestamp"].as_str().map(str::to_owned))
    };
    let before = flushed();
    eventually("a flush", PATIENCE, || match flushed() {
        now if now.is_some() && now != before => Ok(()),
        _ => Err("none".to_owned()),
    });
    packets.iter().for_each(|p| super::send(udp, p));
    let received = "stats.counters.statsd.packets_received.count";
    becomes(&daemon, received, packets.len() as f64);
    daemon.stop();

    let conn = rusqlite::Connection::open(folder.db()).expect("opens");
    let sql = "SELECT d.key, o.value FROM samples s JOIN series r ON r._id = s.series_id
               JOIN samples o ON o.ts = s.ts JOIN series d ON d._id = o.series_id
               WHERE r.key = ?1 AND s.value = ?2 AND d.job = 'statsd'";
    let ours: BTreeMap<String, f64> = conn
        .prepare(sql)
        .expect("SQL")
        .query_map((received, packets.len() as f64), |r| Ok((r.get(0)?, r.get(1)?)))
        .expect("runs")
        .collect::<Result<_, _>>()
        .expect("rows");
    let lag = "stats.gauges.statsd.timestamp_lag";
    let mut wrong = Vec::new();
    for key in right.keys().chain(ours.keys()).filter(|key| *key != lag) {
        if right.get(key).map(|v| v.to_bits()) != ours.get(key).map(|v| v.to_bits()) {
            wrong.push(format!(
                "{key}: reference {:?}, plimsoll {:?}",
                right.get(key),
                ours.get(key)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), right.len(), wrong.join("\n"));
}

/// Runs a client to its end; then what it sent must be there.
fn sends(command: &mut Command) {
    let said = run(command);
    assert!(said.status.success(), "{said:?}");
}

#[test]
fn node_s_hot_shots() {
    let folder = Folder::new();
    let daemon = folder.start(STATSD);
    let port = place(&daemon, "udp").port().to_string();
    let script = "
        const { StatsD } = require('hot-shots');
        const c = new StatsD({ host: '127.0.0.1', port: +process.argv[1], prefix: 'app.',
                               globalTags: { env: 'test' }, maxBufferSize: 1000 });
        for (let i = 0; i < 100; i++) { c.increment('hits', 2, ['path:/a,b'.replace(',', '_')]); }
        c.gauge('depth', 17); c.gaugeDelta('depth', -3);
        c.timing('lat', 30); c.histogram('size', 12.5); c.distribution('dist', 4); c.set('who', 'me');
        c.event('Deployed', 'all of it', { alert_type: 'success' });
        c.check('up', c.CHECKS.WARNING, { message: 'slow' });
        c.close(e => process.exit(e ? 1 : 0));";
    sends(tool("node", "nodejs").args(["-e", script, &port]).env("NODE_PATH", npm()));
    becomes(&daemon, r#"app.hits{env="test",path="/a_b"}"#, 200.0);
    becomes(&daemon, r#"app.depth{env="test"}"#, 14.0);
    becomes(&daemon, r#"app.lat_count{env="test"}"#, 1.0);
    becomes(&daemon, r#"app.size_sum{env="test"}"#, 12.5);
    becomes(&daemon, r#"app.dist_sum{env="test"}"#, 4.0);
    becomes(&daemon, r#"app.up{env="test"}"#, 1.0);
    daemon.stop();
    let log = sqlite3(
        &folder.db(),
        "select level, title, text, tags from event_log where source <> 'plimsoll' order by kind",
    );
    assert_eq!(
        log,
        "warning|app.up: WARNING|slow|{\"env\":\"test\"}\nsuccess|app.Deployed|all of it|{\"env\":\"test\"}"
    );
}

#[test]
fn python_s_statsd_and_datadog() {
    let folder = Folder::new();
    let socket = folder.join("d.sock");
    let daemon =
        folder.start(&format!("{STATSD}tcp = \"127.0.0.1:0\"\nunix = \"{}\"\n", socket.display()));
    let (udp, tcp) = (place(&daemon, "udp").port(), place(&daemon, "tcp").port());
    let script = "
import sys, statsd
from datadog.dogstatsd import DogStatsd
udp, tcp, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for n, c in enumerate([statsd.StatsClient('127.0.0.1', udp, prefix='udp'),
                       statsd.TCPStatsClient('127.0.0.1', tcp, prefix='tcp')]):
    c.incr('n', 3); c.decr('n'); c.gauge('g', 7); c.gauge('g', -2, delta=True)
    c.timing('t', 320); c.set('s', 'x')
    with c.pipeline() as p:
        for i in range(200): p.incr('piped')
    c.close() if n else None
d = DogStatsd(host='127.0.0.1', port=udp, constant_tags=['env:test'], disable_telemetry=True)
d.increment('dd.n', 5, tags=['bare']); d.gauge('dd.g', 1.5); d.histogram('dd.h', 9)
d.distribution('dd.d', 8); d.set('dd.s', 'x'); d.timing('dd.t', 11)
d.gauge_with_timestamp('dd.at', 3, 1700000000)
d.event('Title', 'line one\\nline two', alert_type='error', tags=['a:b'])
d.service_check('dd.check', 2, message='broken')
d.flush()
u = DogStatsd(socket_path=path, disable_telemetry=True)
u.increment('uds.n', 6)
u.flush()
";
    sends(
        tool("python3", "python3")
            .args(["-c", script, &udp.to_string(), &tcp.to_string()])
            .arg(&socket)
            .env("PYTHONPATH", pip()),
    );
    for kind in ["udp", "tcp"] {
        becomes(&daemon, &format!("{kind}.n"), 2.0);
        becomes(&daemon, &format!("{kind}.g"), 5.0);
        becomes(&daemon, &format!("{kind}.t_sum"), 320.0);
        becomes(&daemon, &format!("{kind}.piped"), 200.0);
    }
    becomes(&daemon, r#"dd.n{bare="true",env="test"}"#, 5.0);
    becomes(&daemon, r#"dd.g{env="test"}"#, 1.5);
    becomes(&daemon, r#"dd.h_sum{env="test"}"#, 9.0);
    becomes(&daemon, r#"dd.d_count{env="test"}"#, 1.0);
    becomes(&daemon, r#"dd.check{env="test"}"#, 2.0);
    becomes(&daemon, "uds.n", 6.0);
    daemon.stop();
    let at = r#"select timestamp, value from metrics where key = 'dd.at{env="test"}'"#;
    assert_eq!(sqlite3(&folder.db(), at), "2023-11-14 22:13:20|3.0");
    let log = sqlite3(
        &folder.db(),
        "select level, title, text from event_log where source <> 'plimsoll' order by kind desc",
    );
    assert_eq!(log, "error|Title|line one\nline two\nerror|dd.check: CRITICAL|broken");
}
