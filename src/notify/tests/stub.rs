//! notify: a receiver of few words for tests: it keeps what it is asked, and answers what it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::notify::kind::ChannelSettings;
use crate::notify::{Message, Outcome, Picture, channel_of};

/// What stands in a target for the address of the stub.
pub const STUB: &str = "STUB";

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    /// `POST /path`.
    pub line: String,
    /// In small letters, with their values.
    pub head: String,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

fn hear(stream: &mut TcpStream) -> Heard {
    let mut all = Vec::new();
    let mut piece = [0; 65_536];
    loop {
        if let Some(at) = all.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&all[..at + 2]).into_owned();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|l| l.split("\r\n").next()?.parse().ok()).unwrap_or(0);
            if all.len() >= at + 4 + length {
                let line = head.split(" HTTP/1.1").next().unwrap_or_default().to_owned();
                return Heard { line, head, body: all[at + 4..].to_vec() };
            }
        }
        let n = stream.read(&mut piece).expect("reads");
        assert!(n > 0, "the request ends early");
        all.extend_from_slice(&piece[..n]);
    }
}

/// An answer: a status, headers, a text.
pub type Answer<'a> = (u16, &'a str, &'a str);

/// Where the text of an answer is this, it repeats the request.
pub const ECHO: &str = "ECHO";

/// Sends the message to the target, whose `STUB` is an address that answers this, the last answer
/// again and again: the outcome, what was asked, and how the channel is shown.
pub fn send(
    target: &str,
    message: &Message,
    picture: Option<&Picture>,
    answers: &[Answer<'_>],
) -> (Outcome, Vec<Heard>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("has one").to_string();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    let answers: Vec<(u16, String, String)> =
        answers.iter().map(|(s, h, t)| (*s, (*h).to_owned(), (*t).to_owned())).collect();
    std::thread::spawn(move || {
        for place in 0.. {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let asked = hear(&mut stream);
            let (status, headers, text) = &answers[answers.len().min(place + 1) - 1];
            let text = match text.as_str() {
                ECHO => format!("{}\n{}", asked.head, asked.text()),
                text => text.to_owned(),
            };
            kept.lock().expect("nobody fails with it").push(asked);
            let end = if headers.is_empty() { "" } else { "\r\n" };
            let answer = format!(
                "HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n{headers}{end}\r\n{text}",
                text.len()
            );
            // It may not want to hear the whole of it.
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    let settings = Arc::new(ChannelSettings::of_environment("web1"));
    let channel = channel_of(&target.replace(STUB, &address), &settings)
        .unwrap_or_else(|e| panic!("{target}: {e}"));
    let outcome = channel.send(message, picture, Instant::now() + Duration::from_secs(30));
    let heard = heard.lock().expect("nobody fails with it").clone();
    (outcome, heard, channel.shown().replace(&address, STUB))
}

/// A target of each kind that asks by HTTP, with `SECRET` where its secret stands.
pub const TARGETS: &[(&str, &str)] = &[
    ("ntfy", "ntfy://user:SECRET@STUB/topic"),
    ("ntfy", "ntfy://SECRET@STUB/topic"),
    ("webhook", "http://STUB/hooks/SECRET?a=SECRET"),
    ("webhook", "http://user:SECRET@STUB/hook#header=X-Own:SECRET&bearer=SECRET&hmac=SECRET"),
    ("webhook", "json://user:SECRET@STUB/hook?+X-Own=SECRET&-key=SECRET"),
    ("telegram", "tgram://110201543:SECRET/-100123?api=http://STUB"),
    ("discord", "discord://123/SECRET?api=http://STUB"),
    ("slack", "slack://T0/B0/SECRET?api=http://STUB"),
    ("slack", "slack://xoxb-SECRET/ops?api=http://STUB"),
    ("gotify", "gotify://STUB/SECRET"),
    ("matrix", "matrix://SECRET@STUB/!room:example.org"),
    ("mattermost", "mmost://STUB/SECRET"),
    ("rocketchat", "rocket://ID/SECRET@STUB/#ops"),
    ("rocketchat", "rocket://user:SECRET@STUB/#ops"),
    ("pushover", "pover://uSECRET@aSECRET?api=http://STUB"),
    ("teams", "msteams:http://STUB/workflows/0a1b2c/triggers/manual/paths/invoke?sig=SECRET"),
    ("pagerduty", "pagerduty://SECRET?api=http://STUB"),
    ("opsgenie", "opsgenie://SECRET?api=http://STUB"),
    ("healthchecks", "hc:http://STUB/ping/SECRET"),
    ("alertmanager", "alertmanager+http://user:SECRET@STUB"),
];
