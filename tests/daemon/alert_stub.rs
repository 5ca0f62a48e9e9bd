//! A receiver of alerts that does as it is told: it takes messages, answers with an error, holds the
//! answer back, or hangs up.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::support::*;

/// The way in which it treats requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It takes them: 200.
    Take,
    /// It answers with this status, and takes nothing.
    Answer(u16),
    /// It takes them, and holds the answer back until the manner is another one. Then it hangs up.
    Hold,
    /// It hangs up before it has read anything.
    HangUp,
}

/// A request that it took.
#[derive(Debug, Clone)]
pub struct Heard {
    pub path: String,
    /// The header `Idempotency-Key`, which is the same for two copies of a message.
    pub key: String,
    pub body: String,
    /// When it was whole, ms since 1970 UTC.
    pub at: i64,
}

impl Heard {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The first line of the message.
    pub fn title(&self) -> String {
        self.json()["plimsoll"]["title"].as_str().expect("a title").to_owned()
    }
}

#[derive(Debug)]
struct State {
    manner: Manner,
    heard: Vec<Heard>,
    /// Requests that came, whatever became of them.
    asked: usize,
    answered: usize,
}

/// See the module. It listens until the test ends.
pub struct Stub {
    pub port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Stub {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state = State { manner: Manner::Take, heard: Vec::new(), asked: 0, answered: 0 };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { port, state }
    }

    fn with<T>(&self, what: impl FnOnce(&mut State) -> T) -> T {
        let done = what(&mut self.state.0.lock().expect("no panic"));
        self.state.1.notify_all();
        done
    }

    pub fn set(&self, manner: Manner) {
        self.with(|state| state.manner = manner);
    }

    /// All that it took so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.with(|state| state.heard.clone())
    }

    /// Requests that came, whatever became of them.
    pub fn asked(&self) -> usize {
        self.with(|state| state.asked)
    }

    pub fn answered(&self) -> usize {
        self.with(|state| state.answered)
    }

    /// Waits until a number has grown past `seen`; false: it has not within that time.
    pub fn grows(&self, of: impl Fn(&Self) -> usize, seen: usize, within: Duration) -> bool {
        let end = Instant::now() + within;
        while of(self) <= seen {
            if Instant::now() > end {
                return false;
            }
            pause(Duration::from_millis(1));
        }
        true
    }

    /// Waits for a request that it took.
    pub fn hears(&self, what: &str, is_it: impl Fn(&Heard) -> bool) -> Heard {
        eventually(what, PATIENCE, || {
            let heard = self.heard();
            heard.iter().find(|one| is_it(one)).cloned().ok_or_else(|| format!("{heard:#?}"))
        })
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.set(Manner::HangUp);
    }
}

fn serve(mut stream: TcpStream, (state, changed): &(Mutex<State>, Condvar)) {
    let lock = || state.lock().expect("no panic");
    let manner = lock().manner;
    if manner == Manner::HangUp {
        lock().asked += 1;
        return;
    }
    let Some((head, body)) = request(&mut stream) else { return };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("idempotency-key").then(|| value.to_owned())
    });
    let heard = Heard { path, key: key.unwrap_or_default(), body, at: now_ms() };
    let status = match manner {
        Manner::Answer(status) => status,
        _ => 200,
    };
    let mut now = lock();
    now.asked += 1;
    if status == 200 {
        now.heard.push(heard);
    }
    if manner == Manner::Hold {
        let _other = changed.wait_while(now, |state| state.manner == Manner::Hold);
        return;
    }
    drop(now);
    let text = format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    if stream.write_all(text.as_bytes()).is_ok() {
        lock().answered += 1;
    }
}

/// Head and body of a request; nothing: it ended early.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut all = Vec::new();
    let mut piece = [0; 16_384];
    loop {
        let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
        all.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&all);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let small = head.to_ascii_lowercase();
        let length = small.split("content-length: ").nth(1);
        let length = length.and_then(|l| l.lines().next()?.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}
