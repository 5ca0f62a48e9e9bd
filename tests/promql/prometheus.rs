//! Debian's Prometheus with samples of ours in it: started on a free port, asked over HTTP, gone at
//! the end.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll::model::Labels;
use plimsoll::query::eval::When;
use plimsoll::query::source::MemorySource;

/// All samples as OpenMetrics.
fn openmetrics(source: &MemorySource) -> String {
    let mut out = String::new();
    for (labels, columns) in source.iter() {
        let mut series = labels.get("__name__").unwrap_or_default().to_owned();
        let pairs: Vec<String> = labels
            .iter()
            .filter(|(n, _)| *n != "__name__")
            .map(|(n, v)| format!("{n}=\"{v}\""))
            .collect();
        let _ = write!(series, "{{{}}}", pairs.join(","));
        for (time, value) in columns.times.iter().zip(&columns.values) {
            let value = match *value {
                v if v == f64::INFINITY => "+Inf".to_owned(),
                v if v == f64::NEG_INFINITY => "-Inf".to_owned(),
                v => format!("{v:?}"),
            };
            let _ = writeln!(out, "{series} {value} {}.{:03}", time / 1000, time % 1000);
        }
    }
    out + "# EOF\n"
}

/// A Prometheus of one's own, gone with this.
pub struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts one over these samples and waits until it is ready.
    pub fn start(source: &MemorySource) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("samples.txt"), openmetrics(source)).expect("samples");
        std::fs::write(path("config.yml"), "global: {}\n").expect("config");
        let made = Command::new("promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
            .args([path("samples.txt"), path("data")])
            .output()
            .expect("promtool (apt-get install prometheus)");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
        let child = Command::new("prometheus")
            .arg(option("config.file", &path("config.yml")))
            .arg(option("storage.tsdb.path", &path("data")))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus (apt-get install prometheus)");
        let mut prometheus = Self { child, port, _folder: folder };
        let end = Instant::now() + Duration::from_secs(20);
        while !prometheus.get("/-/ready").is_ok_and(|(status, _)| status == 200) {
            let gone = prometheus.child.try_wait().expect("a child");
            assert!(gone.is_none() && Instant::now() < end, "Prometheus does not start: {gone:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        prometheus
    }

    fn get(&self, path: &str) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.to_owned()))
    }

    /// The answer, or nothing where it is an error.
    pub fn ask(&self, query: &str, when: When) -> Option<Answer> {
        // What it was called in Prometheus 2.
        let query = query.replace("double_exponential_smoothing", "holt_winters");
        let query = encode(&query);
        let seconds = |ms: i64| format!("{}.{:03}", ms / 1000, ms % 1000);
        let path = match when {
            When::Instant(at) => format!("/api/v1/query?query={query}&time={}", seconds(at)),
            When::Range { start, end, step } => format!(
                "/api/v1/query_range?query={query}&start={}&end={}&step={}",
                seconds(start),
                seconds(end),
                seconds(step)
            ),
        };
        let (_, body) = self.get(&path).expect("Prometheus answers");
        let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        if json["status"] != "success" {
            return None;
        }
        let data = &json["data"];
        let point = |v: &serde_json::Value| {
            let time = (v[0].as_f64().expect("a time") * 1000.0).round() as i64;
            (time, v[1].as_str().expect("a value").parse::<f64>().expect("a number"))
        };
        if data["resultType"] == "scalar" {
            return Some(vec![(Labels::default(), vec![point(&data["result"])])]);
        }
        let series = data["result"].as_array().expect("a list").iter().map(|series| {
            let labels = series["metric"].as_object().expect("labels");
            let labels = Labels::new(labels.iter().map(|(n, v)| (&**n, v.as_str().expect("text"))));
            let points = match series.get("value") {
                Some(value) => vec![point(value)],
                None => series["values"].as_array().expect("values").iter().map(point).collect(),
            };
            (labels, points)
        });
        Some(series.collect())
    }
}

fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, b| {
        let _ = if b.is_ascii_alphanumeric() {
            write!(out, "{}", char::from(b))
        } else {
            write!(out, "%{b:02X}")
        };
        out
    })
}

/// Series and their values by time (ms), in the order of the answer.
pub type Answer = Vec<(Labels, Vec<(i64, f64)>)>;
