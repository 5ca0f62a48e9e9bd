//! tests: the collectors beside the real node_exporter, over this machine and over the fixtures.
//! The same series and labels in both directions, and the same values.

mod reading;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use plimsoll::collect::{COLLECTORS, Settings, textfile};
use plimsoll::model::{Glob, Kind, Labels, Metric, write_key};
use plimsoll::wire::exposition::Reader as TextReader;
use plimsoll::wire::{Record, Records};
use reading::{MACHINES, Reader, machine, settings};

const BINARY: &str = "/usr/bin/prometheus-node-exporter";

type Values = BTreeMap<String, f64>;

struct NodeExporter {
    child: Child,
    address: String,
    /// Kept open: it goes on logging.
    _log: BufReader<std::process::ChildStderr>,
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl NodeExporter {
    /// Starts it with our collectors and, where Debian's build deviates, the project's defaults.
    fn start(without: &[&str], more: &[String]) -> Self {
        assert!(
            Path::new(BINARY).exists(),
            "{BINARY} is missing: apt-get install prometheus-node-exporter"
        );
        // Somebody else may take the port between its choice and its use.
        (0..5).find_map(|_| Self::try_start(without, more)).expect("node_exporter does not start")
    }

    fn try_start(without: &[&str], more: &[String]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let points = "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)";
        let disks = r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$";
        let names = COLLECTORS.iter().filter(|e| !without.contains(&e.name));
        let mut child = Command::new(BINARY)
            .arg(format!("--web.listen-address={address}"))
            .arg("--collector.disable-defaults")
            .args(names.map(|e| format!("--collector.{}", e.name)))
            .arg(format!("--collector.filesystem.mount-points-exclude={points}"))
            .arg(format!("--collector.diskstats.device-exclude={disks}"))
            .arg("--collector.netdev.device-exclude=")
            .args(more)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while log.read_line(&mut line).unwrap() > 0 {
            if line.contains("Listening on") || line.contains("TLS is disabled") {
                return Some(Self { child, address, _log: log });
            }
            line.clear();
        }
        let _ = child.wait();
        None
    }

    fn scrape(&self) -> Values {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{head}");
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(sample).collect()
    }
}

/// A line of the text format as key and value, if it is of a metric that we report too.
fn sample(line: &str) -> Option<(String, f64)> {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    metric(name)?;
    let mut pairs = Vec::new();
    let mut rest = labels.strip_suffix('}').unwrap_or(labels);
    while let Some((label, after)) = rest.split_once("=\"") {
        let mut text = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => match chars.next().unwrap().1 {
                    'n' => text.push('\n'),
                    c => text.push(c),
                },
                (_, c) => text.push(c),
            }
        };
        pairs.push((label.to_owned(), text));
        rest = after[end + 1..].trim_start_matches(',');
    }
    let mut key = String::new();
    write_key(&mut key, name, Labels::new(pairs).iter());
    Some((key, value.parse().unwrap()))
}

/// The metric of ours that a name belongs to.
fn metric(name: &str) -> Option<&'static Metric> {
    let all = COLLECTORS.iter().flat_map(|e| e.metrics);
    let mut fit = all.filter(|m| m.name.starts_with("node_") && Glob::new(m.name).matches(name));
    fit.next()
}

fn ours(reader: &mut Reader) -> Values {
    let mut values = reader.values();
    values.retain(|key, _| key.starts_with("node_"));
    values
}

/// What is in one list of keys and not in the other.
fn differences(ours: &Values, theirs: &Values) -> Vec<String> {
    let only = |a: &Values, b: &Values, whose: &str| -> Vec<String> {
        a.keys().filter(|k| !b.contains_key(*k)).map(|k| format!("{whose} only: {k}")).collect()
    };
    [only(ours, theirs, "ours"), only(theirs, ours, "theirs")].concat()
}

/// They multiply by 0.001 where we divide by 1,000: two roundings against one.
fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 4.0 * f64::EPSILON * a.abs()
}

#[test]
fn on_the_fixtures_every_series_has_the_same_value() {
    for name in MACHINES {
        let root = machine(name);
        let path = |sub: &str| root.join(sub).display().to_string();
        let asking_the_kernel = ["time", "uname"];
        let flags = [
            format!("--path.procfs={}", path("proc")),
            format!("--path.sysfs={}", path("sys")),
            format!("--path.rootfs={}", root.display()),
            // Otherwise it asks the kernel for this machine's devices.
            "--no-collector.netdev.netlink".into(),
        ];
        let exporter =
            NodeExporter::start(&[&asking_the_kernel[..], &["textfile"]].concat(), &flags);
        let mut reader = Reader::new(&settings(&root)).without(&asking_the_kernel);
        let (ours, theirs) = (ours(&mut reader), exporter.scrape());
        assert_eq!(differences(&ours, &theirs), [""; 0], "{name}");
        assert!(ours.len() > 60, "{name} has {} series", ours.len());
        for (key, ours) in &ours {
            // The fixture's `/` is a folder here, on a disk that is written to.
            let moves = key.contains("_free") || key.contains("_avail_");
            let theirs = theirs[key];
            assert!(moves || same(*ours, theirs), "{name}: {key} is {ours}, theirs {theirs}");
        }
    }
}

/// How far a gauge of this name may be from ours, for the machine does not stand still.
fn leeway(key: &str, ours: f64, memory: f64) -> f64 {
    let fixed = ["_total", "Total", "Hugepagesize", "CommitLimit", "boot_time", "_info", "maximum"]
        .iter()
        .any(|part| key.contains(part));
    match () {
        () if fixed || key.contains("readonly") || key.contains("device_error") => 0.0,
        () if key.starts_with("node_memory_") => memory * 0.05,
        () if key.starts_with("node_filesystem_") => ours * 0.05,
        () if key.starts_with("node_time_") => 20.0,
        () if key.starts_with("node_load") => 1.0,
        () => 256.0 + ours * 0.1,
    }
}

/// What is wrong with their values between two readings of ours.
fn faults(before: &Values, theirs: &Values, after: &Values) -> Vec<String> {
    let mut faults = differences(before, theirs);
    let memory = before["node_memory_MemTotal_bytes"];
    for (key, theirs) in theirs {
        let (Some(low), Some(high)) = (before.get(key), after.get(key)) else { continue };
        let name = key.split('{').next().unwrap();
        let counts = metric(name).is_some_and(|m| m.kind == Kind::Counter);
        // The kernel's estimates of idle and iowait fall now and then; ours are held.
        let room =
            if name == "node_cpu_seconds_total" { 0.1 } else { low.abs() * f64::EPSILON * 4.0 };
        let room = if counts { room } else { leeway(key, *low, memory) };
        if *theirs < low.min(*high) - room || *theirs > low.max(*high) + room {
            faults.push(format!("{key}: {low}, theirs {theirs}, {high}"));
        }
    }
    faults
}

#[test]
fn on_this_machine_the_same_series_and_values_at_the_same_moment() {
    // Without a folder it has no say here, and theirs says that all is well.
    let exporter = NodeExporter::start(&["textfile"], &[]);
    exporter.scrape();
    let mut reader = Reader::new(&Settings::default());
    ours(&mut reader);
    let mut found = Vec::new();
    // A device that comes or goes between two of the three looks is nobody's mistake.
    for _ in 0..5 {
        let before = ours(&mut reader);
        let theirs = exporter.scrape();
        let after = ours(&mut reader);
        found = faults(&before, &theirs, &after);
        if found.is_empty() {
            println!("{} series agree", theirs.len());
            return;
        }
    }
    panic!("{}", found.join("\n"));
}

/// Every sample they serve, whatever it is called; their own self and ours left out.
fn everything(exporter: &NodeExporter) -> Values {
    let mut stream = TcpStream::connect(&exporter.address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n", exporter.address).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let body = text.split_once("\r\n\r\n").unwrap().1.to_owned();
    let mut reader = TextReader::new(body.as_bytes(), 0);
    let mut record = Record::default();
    let mut values = Values::new();
    while let Some(result) = reader.next(&mut record) {
        result.unwrap();
        let own = ["go_", "process_", "promhttp_", "node_exporter_", "node_scrape_"];
        if !own.iter().any(|prefix| record.key.starts_with(prefix)) {
            values.insert(record.key.clone(), record.value);
        }
    }
    values
}

#[test]
fn text_files_are_read_as_they_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "good.prom",
        "# HELP backup_bytes How \\n large.\n# TYPE backup_bytes gauge\n\
         backup_bytes{disk=\"a \\\"b\\\" \\\\\",z=\"\"} 1.5e9\nbackup_bytes{disk=\"c\"} +Inf\n\
         # TYPE runs_total counter\nruns_total 17\nuntyped_thing -0.25\n",
    );
    write(
        "histogram.prom",
        "# TYPE took_seconds histogram\ntook_seconds_bucket{le=\"0.5\"} 1\n\
         took_seconds_bucket{le=\"+Inf\"} 2\ntook_seconds_sum 1.5\ntook_seconds_count 2\n\
         # TYPE q summary\nq{quantile=\"0.5\"} 3\nq_sum 4\nq_count 5\n",
    );
    write("timed.prom", "late 1 1700000000000\n");
    write("broken.prom", "fine 1\nbroken{ 2\n");
    write("ignored.txt", "ignored 1\n");
    let mut without: Vec<&str> = COLLECTORS.iter().map(|e| e.name).collect();
    without.retain(|name| *name != "textfile");
    let flag = format!("--collector.textfile.directory={}", folder.path().display());
    let exporter = NodeExporter::start(&without, &[flag]);
    let options = textfile::Options { dir: Some(folder.path().to_owned()) };
    let mut reader = Reader::new(&Settings::default().with(options)).without(&without);
    let ours = |reader: &mut Reader| -> Values {
        reader.beat().into_iter().flat_map(|(_, samples, _)| samples).collect()
    };
    let compare = |reader: &mut Reader| {
        let (ours, theirs) = (ours(reader), everything(&exporter));
        assert_eq!(differences(&ours, &theirs), [""; 0]);
        for (key, ours) in &ours {
            assert!(*ours == theirs[key] || same(*ours, theirs[key]), "{key}: {ours}");
        }
        ours
    };
    let bad = compare(&mut reader);
    assert_eq!(bad["node_textfile_scrape_error"], 1.0);
    assert_eq!(bad.len(), 14, "{bad:?}");
    std::fs::remove_file(folder.path().join("timed.prom")).unwrap();
    write("broken.prom", "mended 1\n");
    let good = compare(&mut reader);
    assert_eq!(good["node_textfile_scrape_error"], 0.0);
    assert!(good.contains_key("mended") && !good.contains_key("late"));
}
