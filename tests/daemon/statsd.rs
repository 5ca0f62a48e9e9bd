//! What is sent by statsd is seen at once and found in the file; gauges outlive a restart; what is
//! lost is counted; nothing that comes in is fatal.

mod peers;
mod soak;

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use crate::support::*;

/// A flush a second, on free ports.
const STATSD: &str = "interval = \"100ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n\
                      [statsd]\nlisten = \"127.0.0.1:0\"\nflush = \"1s\"\n";

/// Where its statsd listens, by kind: `udp`, `tcp`.
pub fn place(daemon: &Daemon, kind: &str) -> SocketAddr {
    eventually("where statsd listens", PATIENCE, || {
        let log = daemon.log();
        let line = log.lines().find(|l| l.contains(" statsd     ")).ok_or(log.clone())?;
        let from = line.find(&format!("{kind} ")).ok_or(log.clone())? + kind.len() + 1;
        let text = line[from..].split([',', ' ']).next().ok_or(log.clone())?;
        text.parse().map_err(|_| log.clone())
    })
}

fn send(to: SocketAddr, text: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.send_to(text.as_bytes(), to).expect("sent");
}

/// Waits until a series has a value.
fn becomes(daemon: &Daemon, key: &str, value: f64) {
    eventually(&format!("{key} = {value}"), PATIENCE, || match daemon.value(key) {
        Some(found) if found == value => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn what_is_sent_is_seen_and_stored() {
    let folder = Folder::new();
    let daemon = folder.start(STATSD);
    let udp = place(&daemon, "udp");
    send(udp, "web.hits:3|c\nweb.hits:4|c\nqueue.size:12|g|#host:a\nlat:10:20:30|ms\nnonsense");
    becomes(&daemon, "web.hits", 7.0);
    becomes(&daemon, r#"queue.size{host="a"}"#, 12.0);
    becomes(&daemon, "plimsoll_statsd_bad_lines_total{reason=\"form\"}", 1.0);
    becomes(&daemon, "plimsoll_statsd_values_total", 6.0);
    daemon.healthy();
    daemon.stop();
    let of = |key: &str| {
        let sql = format!("select value from metrics where key = '{key}' order by timestamp");
        let all = sqlite3(&folder.db(), &sql);
        all.lines().map(|l| l.parse::<f64>().expect("a number")).collect::<Vec<_>>()
    };
    let hits = of("web.hits");
    assert_eq!((hits[0], hits[hits.len() - 1]), (0.0, 7.0), "from nothing, and it stays");
    assert!(of("lat{quantile=\"0.5\"}").contains(&20.0) && of("lat_sum").contains(&60.0));
    let about = "select kind, job, labels from series where key = ";
    let series = |key: &str| sqlite3(&folder.db(), &format!("{about}'{key}'"));
    assert_eq!(series("web.hits"), "counter|statsd|{}");
    assert_eq!(series(r#"queue.size{host="a"}"#), r#"gauge|statsd|{"host":"a"}"#);
    let grid = "select count(*) from samples s join series d on d._id = s.series_id
                where d.key = 'web.hits' and s.ts % 1000 <> 0";
    assert_eq!(
        sqlite3(&folder.db(), grid),
        "2",
        "only the first zero and the end are off the grid"
    );
}

#[test]
fn gauges_survive_a_restart_even_a_kill() {
    let folder = Folder::new();
    let daemon = folder.start(STATSD);
    send(place(&daemon, "udp"), "depth:40|g|#q:x\nonce:1|c\nlat:5|ms");
    becomes(&daemon, r#"depth{q="x"}"#, 40.0);
    let sql = "select count(*) from metrics where key like 'depth%'";
    eventually("it is in the file", PATIENCE, || match &*sqlite3(&folder.db(), sql) {
        "0" => Err("not yet".to_owned()),
        _ => Ok(()),
    });
    daemon.kill();
    let daemon = folder.start(STATSD);
    becomes(&daemon, r#"depth{q="x"}"#, 40.0);
    assert_eq!(daemon.value("once"), None, "only gauges are taken up");
    send(place(&daemon, "udp"), "depth:-2|g|#q:x");
    becomes(&daemon, r#"depth{q="x"}"#, 38.0);
    daemon.stop();
    let daemon = folder.start(&STATSD.replace("flush", "gauge_ttl = \"2s\"\nflush"));
    becomes(&daemon, r#"depth{q="x"}"#, 38.0);
    eventually("it ends", PATIENCE, || match daemon.value(r#"depth{q="x"}"#) {
        None => Ok(()),
        some => Err(format!("{some:?}")),
    });
    daemon.stop();
}

#[test]
fn tcp_and_unix_sockets_take_the_same() {
    let folder = Folder::new();
    let (datagram, stream) = (folder.join("d.sock"), folder.join("s.sock"));
    let config = format!(
        "{STATSD}tcp = \"127.0.0.1:0\"\nunix = \"{}\"\nunix_stream = \"{}\"\n",
        datagram.display(),
        stream.display()
    );
    let daemon = folder.start(&config);
    let mut tcp = TcpStream::connect(place(&daemon, "tcp")).expect("connects");
    tcp.write_all(b"n:1|c\nwhat is this\nn:1|").expect("sent");
    let mut unix = UnixStream::connect(&stream).expect("connects");
    unix.write_all(b"n:10|c\n").expect("sent");
    UnixDatagram::unbound().expect("a socket").send_to(b"n:100|c", &datagram).expect("sent");
    becomes(&daemon, "n", 111.0);
    // A bad line does not cost the connection, nor does half of one.
    tcp.write_all(b"c\nn:1000|c\n").expect("sent");
    becomes(&daemon, "n", 1112.0);
    daemon.stop();
    assert!(!datagram.exists() && !stream.exists(), "names go with the daemon");
}

#[test]
fn a_port_that_is_taken_is_a_warning_and_nothing_more() {
    let folder = Folder::new();
    let holder = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("an address");
    let daemon = folder.start(&STATSD.replacen(
        "listen = \"127.0.0.1:0\"\nflush",
        &format!("listen = \"{taken}\"\nflush"),
        1,
    ));
    daemon.rows_after(now_ms());
    let problems = daemon.problems();
    assert!(
        problems.len() == 1 && problems[0].contains(&format!("cannot listen on udp {taken}")),
        "{problems:?}"
    );
    // It is had as soon as it is free, with all that belongs to it.
    drop(holder);
    daemon.healthy();
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    sender.send_to(b"late:7|g", taken).expect("sent");
    becomes(&daemon, "late", 7.0);
    eventually("the kernel's buffer is told", PATIENCE, || {
        let buffer = daemon.value("plimsoll_udp_buffer_bytes{receiver=\"statsd\"}");
        buffer.map(drop).ok_or_else(|| daemon.log())
    });
    daemon.stop();
}

#[test]
fn received_and_dropped_and_refused_is_what_was_sent() {
    let folder = Folder::new();
    // So small a buffer that the kernel must drop.
    let config = format!("{STATSD}receive_buffer = \"4KiB\"\n[push]\nmax_names = 50\n");
    let daemon = folder.start(&config);
    let udp = place(&daemon, "udp");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(udp).expect("a peer");
    let packets = 20_000u64;
    for i in 0..packets {
        let text = format!("k{}:1|c\nx{}:1|ms\nbad{i}\n", i % 40, i % 40);
        socket.send(text.as_bytes()).expect("sent");
    }
    let value = |key: &str| daemon.value(key).unwrap_or(0.0) as u64;
    eventually("every packet is accounted for", PATIENCE, || {
        let seen = value("plimsoll_statsd_packets_total");
        let dropped = value("plimsoll_udp_drops_total{receiver=\"statsd\"}");
        if seen + dropped == packets { Ok(()) } else { Err(format!("{seen} + {dropped}")) }
    });
    let seen = value("plimsoll_statsd_packets_total");
    assert!(seen < packets, "the kernel had to drop some");
    let refused = value("plimsoll_statsd_refused_total{reason=\"series_limit\"}");
    let taken = value("plimsoll_statsd_values_total");
    let bad = value("plimsoll_statsd_bad_lines_total{reason=\"form\"}");
    assert_eq!((taken + refused, bad), (2 * seen, seen));
    assert_eq!(value("plimsoll_statsd_lines_total"), 3 * seen);
    assert!(refused > 0 && value("plimsoll_statsd_names") == 50);
    let dropped = "plimsoll_samples_dropped_total{source=\"statsd\",reason=\"series_limit\"}";
    becomes(
        &daemon,
        &dropped.replace(
            "source=\"statsd\",reason=\"series_limit\"",
            "reason=\"series_limit\",source=\"statsd\"",
        ),
        refused as f64,
    );
    // What was counted is what was taken: every counter, and every timer's count.
    eventually("the sums of the next flush", PATIENCE, || {
        let status = daemon.json("/api/status");
        let values = status["values"].as_array().expect("values").clone();
        let ours = values.iter().filter(|v| {
            let key = v["key"].as_str().unwrap_or_default();
            key.starts_with('k') || key.starts_with('x') && key.ends_with("_count")
        });
        let sum: f64 = ours.filter_map(|v| v["value"].as_f64()).sum();
        if sum == taken as f64 { Ok(()) } else { Err(format!("{sum}, {taken}")) }
    });
    daemon.stop();
}

#[test]
fn events_and_service_checks_are_in_the_file() {
    let folder = Folder::new();
    let daemon = folder.start(STATSD);
    let udp = place(&daemon, "udp");
    send(udp, "_e{6,10}:Deploy|one\\ntwo 2|t:warning|s:jenkins|#env:prod\n_sc|db|2|m:no answer");
    becomes(&daemon, "db", 2.0);
    send(udp, "_sc|db|2|m:no answer\n_sc|db|0|h:other|m:fine");
    becomes(&daemon, "db", 0.0);
    daemon.stop();
    let log = sqlite3(
        &folder.db(),
        "select kind, level, title, text, tags, priority, source, system = 'other' from event_log where source <> 'plimsoll'",
    );
    assert_eq!(
        log,
        "event|warning|Deploy|one\ntwo 2|{\"env\":\"prod\"}|normal|jenkins|0\n\
         check|error|db: CRITICAL|no answer|{}|normal|statsd|0\n\
         check|success|db: OK|fine|{}|normal|statsd|1"
    );
}

#[test]
fn nothing_that_comes_in_is_fatal_or_fills_the_log() {
    let folder = Folder::new();
    let daemon = folder.start(STATSD);
    let udp = place(&daemon, "udp");
    let mut dice = Dice::new(7);
    for _ in 0..300 {
        let length = dice.roll(300);
        let bytes: Vec<u8> = (0..length).map(|_| dice.roll(256) as u8).collect();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.send_to(&bytes, udp).expect("sent");
    }
    send(udp, "alive:1|c");
    becomes(&daemon, "alive", 1.0);
    assert!(daemon.log().lines().count() < 10, "{}", daemon.log());
    pause(Duration::from_millis(10));
    daemon.stop();
}

#[test]
fn a_buffer_smaller_than_asked_for_is_told_with_what_raises_it_and_bad_lines_are_shown_on_request()
{
    let folder = Folder::new();
    folder.configure(&format!("{STATSD}receive_buffer = \"1GiB\"\n"));
    // Without the right to go past what all may have, as a service is.
    let mut command = tool("setpriv", "util-linux");
    command.env("PLIMSOLL_PLUGIN_DIR", NO_PLUGINS);
    command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", PLIMSOLL]);
    command.args(["run", "--verbose", "--db"]).arg(folder.db()).arg("--config");
    command.arg(folder.join("plimsoll.toml")).current_dir(folder.path());
    let daemon = Daemon::spawn(command, &folder.join("log"));
    daemon.ready(PATIENCE);
    daemon.says("sysctl -w net.core.rmem_max=1073741824");
    // What the kernel really gave.
    let limit = std::fs::read_to_string("/proc/sys/net/core/rmem_max").expect("Linux");
    let limit = limit.trim().parse().expect("a number");
    becomes(&daemon, "plimsoll_udp_buffer_bytes{receiver=\"statsd\"}", limit);
    let udp = place(&daemon, "udp");
    for _ in 0..1_500 {
        send(udp, "no statsd");
    }
    becomes(&daemon, "plimsoll_statsd_bad_lines_total{reason=\"form\"}", 1_500.0);
    assert_eq!(daemon.logged("not understood (1 in 1000): \"no statsd\""), 2);
    daemon.stop();
}

#[test]
fn a_name_with_dots_is_asked_for_in_quotes() {
    let folder = Folder::new();
    let daemon = folder.start(STATSD);
    send(place(&daemon, "udp"), "web.hits:3|c|#env:prod\nweb.hits;env=test:4|c\nweb.time:5|ms");
    becomes(&daemon, r#"web.hits{env="prod"}"#, 3.0);
    let ask = |query: &str| {
        let quoted: String = query.bytes().map(|b| format!("%{b:02x}")).collect();
        daemon.json(&format!("/api/v1/query?query={quoted}"))["data"]["result"].clone()
    };
    for (query, value) in [
        (r#"{"web.hits", env="prod"}"#, "3"),
        (r#"sum({"web.hits"})"#, "7"),
        (r#"{"web.time", quantile="0.5"}"#, "5"),
        (r#"{"web.time_sum"}"#, "5"),
        (r#"sum(increase({"web.hits"}[1h])) > bool 0"#, "1"),
    ] {
        eventually(query, PATIENCE, || match ask(query)[0]["value"][1].as_str() {
            Some(found) if found == value => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
    daemon.stop();
}
