//! Receivers that people use: mail servers, Alertmanager, and what Apprise would have asked of the others.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use plimsoll::model::Severity;
use plimsoll::notify::{
    Alert, Channel, ChannelSettings, Message, Occasion, Outcome, Picture, channel_of,
};

mod mail;
mod maildev;
mod matrix;
mod recipes;
mod restart;
mod sink;
mod telegram;
mod web;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

/// A message as it may come at night.
fn message() -> Message {
    let words = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let at = crate::support::now_ms();
    Message {
        key: format!("00c0ffee00c0ffee/{at}/1"),
        thread: format!("00c0ffee00c0ffee/{at}"),
        occasion: Occasion::Fire,
        severity: Severity::Bad,
        host: "web1".into(),
        title: "bad: disk /größe on web1 98 % full, 5.1 GB left".into(),
        lines: vec!["since 14:22 (+01:00), for 12 min".into(), ".".into(), "limit = 97 %".into()],
        link: Some("http://web1:1876/alerts".into()),
        at,
        alerts: vec![Alert {
            fingerprint: "00c0ffee00c0ffee".into(),
            firing: true,
            labels: words(&[("alertname", "disk_full"), ("mountpoint", "/"), ("severity", "bad")]),
            annotations: words(&[("summary", "disk / is 98 % full")]),
            starts_at: at - 20_000,
            ends_at: None,
            value: 98.2,
            peak: 98.2,
            limit: Some(97.0),
            culprits: vec!["postgres[812] in postgresql.service".into()],
            generator_url: "http://web1:1876/graph?g0.expr=disk".into(),
        }],
        chart: None,
    }
}

/// One pixel.
fn picture() -> Picture {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\x0f\0\0\x01\x01\0\x05\x18\xd8N\0\0\0\0IEND\xaeB`\x82";
    Picture { png: png.to_vec(), alt: "disk / of web1".into() }
}

/// On a stack as small as that of the thread that delivers.
fn send(
    target: &str,
    settings: ChannelSettings,
    message: &Message,
    picture: Option<&Picture>,
) -> Outcome {
    let made: Box<dyn Channel> =
        channel_of(target, &Arc::new(settings)).unwrap_or_else(|e| panic!("{target}: {e}"));
    std::thread::scope(|scope| {
        let sender = std::thread::Builder::new().stack_size(512 << 10);
        let sent = sender.spawn_scoped(scope, || made.send(message, picture, soon()));
        sent.expect("a thread").join().expect("it does not fail")
    })
}

/// Answers `200` to everything, and hands on what it is asked: `POST /path`, the head in small letters,
/// the body.
fn recorder() -> (u16, Receiver<(String, String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (tell, heard) = sync_channel(100);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut all = Vec::new();
            let mut piece = [0; 16_384];
            let (head, body) = loop {
                let n = stream.read(&mut piece).expect("reads");
                all.extend_from_slice(&piece[..n]);
                let text = String::from_utf8_lossy(&all).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    assert!(n > 0, "the request ends early");
                    continue;
                };
                let head = format!("{head}\r\n");
                let small = head.to_ascii_lowercase();
                let length = small.split("content-length: ").nth(1);
                let length = length.and_then(|l| l.split("\r\n").next()?.parse().ok()).unwrap_or(0);
                if body.len() >= length {
                    break (head, body.to_owned());
                }
            };
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
            let _gone = stream.write_all(answer);
            let line = head.split(" HTTP/1.").next().unwrap_or_default().to_owned();
            if tell.send((line, head, body)).is_err() {
                return;
            }
        }
    });
    (port, heard)
}
