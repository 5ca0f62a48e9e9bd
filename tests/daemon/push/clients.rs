//! Clients that people use, from PyPI, and plain sockets for Graphite.

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

use super::{QUIET, bare, stored};
use crate::support::*;

/// A port that was free a moment ago.
fn port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("bound").port()
}

fn python(modules: &Path, code: &str, words: &[&str]) -> Said {
    let mut command = Command::new(tool("python3", "python3").get_program());
    run(command.env("PYTHONPATH", modules).args(["-c", code]).args(words))
}

#[test]
fn graphite_by_tcp_and_udp_and_by_graphyte() {
    let folder = Folder::new();
    let port = port();
    let daemon = folder.start(&format!("{QUIET}[graphite]\nlisten = \"127.0.0.1:{port}\"\n"));
    daemon.says(&format!("graphite   udp 127.0.0.1:{port}, tcp 127.0.0.1:{port}"));
    let mut tcp = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    // A bad line costs itself; the connection stays, and lines come in pieces.
    tcp.write_all(b"a.b.c 1.5 1700000000\nnonsense\na.b.c 2 17000").expect("it reads");
    tcp.write_all(b"00001\ntagged;host=web2;x=y 3 1700000002\n").expect("it reads");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    udp.send_to(b"u.v 4 1700000003\nu.v 5 1700000004", ("127.0.0.1", port)).expect("sent");
    let modules = pip_installed("pip-graphyte-1.7.1", &["graphyte==1.7.1"]);
    let code = "import graphyte, sys\n\
                for n, protocol in enumerate(['tcp', 'udp']):\n\
                \x20   s = graphyte.Sender('127.0.0.1', port=int(sys.argv[1]), protocol=protocol,\n\
                \x20                       prefix='py', tags={'k': protocol})\n\
                \x20   s.send('load', 0.25 + n, timestamp=1700000005 + n)\n\
                \x20   s.stop()\n";
    python(&modules, code, &[&port.to_string()]).well();
    let rows = stored(&daemon, 7);
    assert_eq!(
        bare(&rows),
        [
            "a.b.c gauge 1.5 1700000000000",
            "a.b.c gauge 2.0 1700000001000",
            "tagged{x=\"y\"} gauge 3.0 1700000002000",
            "u.v gauge 4.0 1700000003000",
            "u.v gauge 5.0 1700000004000",
            "py.load{k=\"tcp\"} gauge 0.25 1700000005000",
            "py.load{k=\"udp\"} gauge 1.25 1700000006000",
        ]
    );
    assert!(rows[2].starts_with("web2/graphite/"), "{rows:?}");
    folder.ask(&["interval", "100ms"]).well();
    eventually("the bad line", PATIENCE, || {
        let key = "plimsoll_samples_dropped_total{reason=\"invalid\",source=\"graphite\"}";
        if daemon.value(key) == Some(1.0) { Ok(()) } else { Err("not counted".to_owned()) }
    });
    daemon.stop();
}

#[test]
fn influxdb_client_writes_and_sees_its_mistakes() {
    let folder = Folder::new();
    let daemon =
        folder.start(&QUIET.replace("listen = \"127", "behind_proxy = true\nlisten = \"127"));
    let secret = folder.ask(&["token", "add", "py", "--scope", "push"]).well();
    let modules = pip_installed("pip-influxdb-client-1.48.0", &["influxdb-client==1.48.0"]);
    let code = "import sys\n\
                from influxdb_client import InfluxDBClient, Point, WritePrecision\n\
                from influxdb_client.client.write_api import SYNCHRONOUS\n\
                from influxdb_client.rest import ApiException\n\
                url, token = sys.argv[1:]\n\
                for gzip in [False, True]:\n\
                \x20   with InfluxDBClient(url=url, token=token, org='o', enable_gzip=gzip) as client:\n\
                \x20       write = client.write_api(write_options=SYNCHRONOUS)\n\
                \x20       point = (Point('room').tag('floor', 'first floor').tag('host', 'web2')\n\
                \x20                .field('temperature', 21.5).field('people', 3).field('open', True)\n\
                \x20                .field('note', 'text').time(1700000000 + gzip, WritePrecision.S))\n\
                \x20       write.write(bucket='b', record=point, write_precision=WritePrecision.S)\n\
                \x20       try:\n\
                \x20           write.write(bucket='b', record='bad', write_precision=WritePrecision.S)\n\
                \x20       except ApiException as e:\n\
                \x20           print(e.status, e.body)\n\
                try:\n\
                \x20   with InfluxDBClient(url=url, token='wrong', org='o') as client:\n\
                \x20       client.write_api(write_options=SYNCHRONOUS).write(bucket='b', record='a value=1')\n\
                except ApiException as e:\n\
                \x20   print(e.status)\n";
    let url = format!("http://{}", daemon.address());
    let said = python(&modules, code, &[&url, secret.trim()]).well();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("400 ") && lines[0].contains("line 1: no field"), "{said}");
    assert!(lines[1].starts_with("400 ") && lines[2] == "401", "{said}");
    let rows = stored(&daemon, 6);
    assert!(rows.iter().all(|r| r.starts_with("web2/influx/")), "{rows:?}");
    let tags = "{floor=\"first floor\"} gauge";
    assert_eq!(
        bare(&rows),
        [
            format!("room_open{tags} 1.0 1700000000000"),
            format!("room_people{tags} 3.0 1700000000000"),
            format!("room_temperature{tags} 21.5 1700000000000"),
            format!("room_open{tags} 1.0 1700000001000"),
            format!("room_people{tags} 3.0 1700000001000"),
            format!("room_temperature{tags} 21.5 1700000001000"),
        ]
    );
    daemon.stop();
}
