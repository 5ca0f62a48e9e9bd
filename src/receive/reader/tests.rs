//! receive: real sockets on the loopback, and the input that they deliver.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;
use crate::receive::Settings;

const PATIENCE: Duration = Duration::from_secs(20);

/// Hands everything on; wants no turns.
struct Pipe(Mutex<SyncSender<String>>);

impl Pipe {
    fn new() -> (Self, Receiver<String>) {
        let (to, from) = sync_channel(10_000);
        (Self(Mutex::new(to)), from)
    }

    fn say(&self, what: String) {
        self.0.lock().expect("unpoisoned").send(what).expect("heard");
    }
}

impl Sink for Pipe {
    fn take(&mut self, from: Carrier, text: &[u8]) {
        for line in String::from_utf8_lossy(text).lines() {
            self.say(format!("{from:?} {line}"));
        }
    }

    fn lost(&mut self, what: Lost) {
        self.say(format!("lost {what:?}"));
    }

    fn turn(&mut self) -> Turn {
        Turn::In(Duration::from_secs(3600))
    }

    fn end(&mut self) {
        self.say("end".into());
    }
}

fn next(from: &Receiver<String>) -> String {
    from.recv_timeout(PATIENCE).expect("something comes")
}

fn place(sockets: &Sockets, kind: &str) -> String {
    let places = sockets.places().iter();
    places.filter_map(|p| p.strip_prefix(kind)).next().expect("it listens").trim().to_owned()
}

#[test]
fn every_way_in_ends_in_the_sink() {
    let folder = tempfile::tempdir().expect("a folder");
    let (datagrams, stream) = (folder.path().join("d.sock"), folder.path().join("s.sock"));
    let any = "127.0.0.1:0".parse().expect("an address");
    let settings = Settings {
        udp: Some(any),
        tcp: Some(any),
        unix_datagram: Some(datagrams.clone()),
        unix_stream: Some(stream.clone()),
        buffer: 1 << 20,
    };
    let (sockets, troubles) = Sockets::open(&settings);
    assert_eq!(troubles, []);
    let (udp, tcp) = (place(&sockets, "udp"), place(&sockets, "tcp"));
    let (pipe, from) = Pipe::new();
    let (reader, thread) = SocketReader::spawn("test", sockets, pipe, ()).expect("a thread");

    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    sender.send_to(b"one\ntwo", &udp).expect("sent");
    assert_eq!([next(&from), next(&from)], ["Datagram one", "Datagram two"]);
    let large = vec![b'x'; 65_000];
    sender.send_to(&large, &udp).expect("sent");
    assert_eq!(next(&from).len(), "Datagram ".len() + large.len());

    UnixDatagram::unbound().expect("a socket").send_to(b"three", &datagrams).expect("sent");
    assert_eq!(next(&from), "Datagram three");

    let mut slow = TcpStream::connect(&tcp).expect("connects");
    let mut other = UnixStream::connect(&stream).expect("connects");
    slow.write_all(b"fo").expect("sent");
    other.write_all(b"five\nsi").expect("sent");
    assert_eq!(next(&from), "Stream five");
    slow.write_all(b"ur\n").expect("sent");
    assert_eq!(next(&from), "Stream four");
    drop(other);
    assert_eq!(next(&from), "Stream si", "closed in good order, the last line counts");

    sender.send_to(b"last", &udp).expect("sent");
    reader.stop();
    assert_eq!([next(&from), next(&from)], ["Datagram last", "end"]);
    thread.join().expect("no panic");
    assert!(!datagrams.exists() && !stream.exists(), "names go with their sockets");
}

#[test]
fn a_place_that_is_taken_is_told_and_harms_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let holder = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("an address");
    let (file, left) = (folder.path().join("file"), folder.path().join("left"));
    std::fs::write(&file, "precious").expect("written");
    drop(UnixListener::bind(&left).expect("bound"));
    let settings = Settings {
        udp: Some(taken),
        unix_datagram: Some(file.clone()),
        unix_stream: Some(left.clone()),
        buffer: 1 << 20,
        ..Settings::default()
    };
    let (sockets, troubles) = Sockets::open(&settings);
    let places: Vec<_> = troubles.iter().map(|t| t.place.as_str()).collect();
    assert_eq!(places, [format!("udp {taken}"), format!("unix datagrams {}", file.display())]);
    assert!(troubles[0].message.contains("in use"), "{troubles:?}");
    assert_eq!(std::fs::read(&file).expect("still there"), b"precious");
    assert_eq!(sockets.places(), [format!("unix {}", left.display())], "a dead socket is replaced");
    let (_, troubles) = Sockets::open(&Settings { unix_stream: Some(left), ..Settings::default() });
    assert!(troubles[0].message.contains("another program listens"), "{troubles:?}");
}

#[test]
fn what_the_kernel_dropped_is_what_its_table_says() {
    let settings = Settings {
        udp: Some("127.0.0.1:0".parse().expect("an address")),
        buffer: 1 << 12,
        ..Settings::default()
    };
    let (sockets, _) = Sockets::open(&settings);
    let udp = place(&sockets, "udp");
    let drops = sockets.drops();
    assert_eq!(drops.total(), 0);
    let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
    for _ in 0..1000 {
        sender.send_to(&[b'x'; 1000], &udp).expect("sent");
    }
    let port = udp.rsplit(':').next().and_then(|p| p.parse::<u16>().ok()).expect("a port");
    let table = std::fs::read_to_string("/proc/net/udp").expect("readable");
    let row = table.lines().find(|l| l.contains(&format!("0100007F:{port:04X} 00000000:0000")));
    let said = row.and_then(|r| r.split_whitespace().last()).map(str::parse::<u64>);
    assert_eq!(said, Some(Ok(drops.total())), "{table}");
    assert!(drops.total() > 900, "{}", drops.total());
    // None is lost but those.
    let (pipe, from) = Pipe::new();
    let (reader, thread) = SocketReader::spawn("test", sockets, pipe, ()).expect("a thread");
    reader.stop();
    thread.join().expect("no panic");
    let received = from.iter().filter(|w| w.starts_with("Datagram")).count() as u64;
    assert_eq!(received + drops.total(), 1000);
}

#[test]
fn the_connection_that_was_silent_longest_goes_for_a_newcomer() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    let settings = Settings { unix_stream: Some(path.clone()), ..Settings::default() };
    let (pipe, from) = Pipe::new();
    let (sockets, _) = Sockets::open(&settings);
    let (reader, thread) = SocketReader::spawn("test", sockets, pipe, ()).expect("a thread");
    let connect = || UnixStream::connect(&path).expect("connects");
    let held: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect();
    (&held[0]).write_all(b"still there\n").expect("sent");
    assert_eq!(next(&from), "Stream still there");
    // Half a line does not count.
    (&held[1]).write_all(b"half").expect("sent");
    let mut newcomer = connect();
    newcomer.write_all(b"new\n").expect("sent");
    let mut heard = [next(&from), next(&from)];
    heard.sort();
    assert_eq!(heard, ["Stream new", "lost Connection"]);
    let mut byte = [0];
    let gone = (&held[1]).read(&mut byte);
    assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
    (&held[0]).write_all(b"and there\n").expect("sent");
    assert_eq!(next(&from), "Stream and there");
    reader.stop();
    thread.join().expect("no panic");
}
