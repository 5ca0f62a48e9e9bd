//! http: what senders bring over HTTP: the body, within its bounds; what is said about it. One file a
//! protocol beside this one; the formats themselves are read in `wire`.

mod groups;
mod influx;
mod json;
mod remote_write;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::State;
use crate::pipeline::{Busy, Push, Reason};
use crate::wire::{Record, Records};

/// Longest body, as it is sent.
const MAX_BODY: usize = 1 << 20;
/// Longest body, unpacked.
const MAX_DECODED: usize = 4 << 20;
/// All bodies that are being received, together: 256 slow senders could hold a quarter of a gigabyte.
const MAX_HELD: usize = 16 << 20;
/// For one body, from its first byte to its last.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// When to come again after being put off.
const RETRY_AFTER: &str = "2";
/// Bad records that are told one by one; the others are only counted.
const TOLD: usize = 100;

/// What all pushes share.
#[derive(Debug, Default)]
pub struct Desk {
    held: Arc<AtomicUsize>,
    groups: groups::Groups,
}

/// The routes of all protocols.
pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/write", post(influx::write))
        .route("/api/v2/write", post(influx::write))
        .route("/api/v1/write", post(remote_write::write))
        .route("/api/push", post(json::push))
        .route("/metrics/{*group}", groups::methods())
        .method_not_allowed_fallback(wrong_method)
        .route("/ping", get(influx::ping))
        // The bound is our own, so that it is told in our own words.
        .layer(DefaultBodyLimit::disable())
}

/// Somebody looked where values are sent to.
async fn wrong_method() -> Failure {
    let message =
        "this is for sending: POST to it (a group of Prometheus text: PUT or DELETE, too)";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", message)
}

/// Why a push was not taken.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request too large", message)
    }

    /// The answer, and a count of it: nothing of the push was taken.
    fn answer(self, state: &State) -> Response {
        let counters = &state.counters;
        let count = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => &counters.pushes_put_off,
            _ => &counters.pushes_refused,
        };
        count.fetch_add(1, Relaxed);
        self.into_response()
    }

    fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }
}

impl From<Busy> for Failure {
    fn from(_: Busy) -> Self {
        Self::busy("too much waits to be written; nothing of this was taken, send it again")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        // `error` is what clients of Influx 1 look for, the other two those of Influx 2.
        let mut response =
            (status, Json(json!({"code": code, "message": message, "error": message})))
                .into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let again = header::HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, again);
        }
        response
    }
}

/// A body in memory; what it takes of the common bound is given back when it goes.
struct Bytes {
    bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// Receives a body within the bounds.
async fn receive(desk: &Desk, headers: &HeaderMap, body: Body) -> Result<Bytes, Failure> {
    let large =
        || Failure::too_large(format!("a body of more than {MAX_BODY} bytes; send less at once"));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse().ok());
    if length.is_some_and(|l: u64| l > MAX_BODY as u64) {
        return Err(large());
    }
    let mut received = Bytes { bytes: Vec::new(), held: Arc::clone(&desk.held) };
    let all = async {
        let mut body = body;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Failure::invalid("the body was cut short"))?;
            let Ok(data) = frame.into_data() else { continue };
            if received.bytes.len() + data.len() > MAX_BODY {
                return Err(large());
            }
            if received.held.fetch_add(data.len(), Relaxed) + data.len() > MAX_HELD {
                received.held.fetch_sub(data.len(), Relaxed);
                return Err(Failure::busy("too many senders at once; send it again"));
            }
            received.bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    match tokio::time::timeout(BODY_TIMEOUT, all).await {
        Ok(done) => done.map(|()| received),
        Err(_) => {
            let late = "the body did not come within half a minute";
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", late))
        }
    }
}

/// A body as text, unpacked while it is read: what claims to be small and is not takes no memory.
struct Unpacked<'a> {
    input: Box<dyn Read + 'a>,
    left: usize,
    too_large: &'a AtomicBool,
}

impl<'a> Unpacked<'a> {
    fn new(
        headers: &HeaderMap,
        body: &'a [u8],
        too_large: &'a AtomicBool,
    ) -> Result<Self, Failure> {
        let input: Box<dyn Read + 'a> = match encoding(headers) {
            "" | "identity" => Box::new(body),
            "gzip" => Box::new(flate2::read::MultiGzDecoder::new(body)),
            other => {
                let message = format!("Content-Encoding `{other}`; gzip or none is understood");
                return Err(Failure::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported media type",
                    message,
                ));
            }
        };
        Ok(Self { input, left: MAX_DECODED, too_large })
    }
}

fn encoding(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_ENCODING).map_or("", |e| e.to_str().unwrap_or("unknown"))
}

impl Read for Unpacked<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(into)?;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => {
                self.too_large.store(true, Relaxed);
                return Err(std::io::Error::other("larger than 4 MiB when unpacked"));
            }
        }
        Ok(read)
    }
}

/// What became of the records of one push.
#[derive(Debug, Default)]
struct Tally {
    refused: u64,
    told: Vec<Complaint>,
}

#[derive(Debug)]
struct Complaint {
    /// Which record, counted from 0.
    index: u64,
    /// Where it stands, counted from 1, if it could not be read.
    line: Option<u64>,
    reason: String,
}

impl Tally {
    fn refuse(&mut self, index: u64, line: Option<u64>, reason: impl FnOnce() -> String) {
        self.refused += 1;
        if self.told.len() < TOLD {
            self.told.push(Complaint { index, line, reason: reason() });
        }
    }

    /// `line 2: no field; record 7: one name too many`: the first few.
    fn summary(&self) -> String {
        let mut out = String::new();
        for Complaint { index, line, reason } in self.told.iter().take(5) {
            if !out.is_empty() {
                out.push_str("; ");
            }
            match line {
                Some(line) => out.push_str(&format!("line {line}: {reason}")),
                None => out.push_str(&format!("record {}: {reason}", index + 1)),
            }
        }
        let more = self.refused.saturating_sub(self.told.len().min(5) as u64);
        if more > 0 {
            out.push_str(&format!("; and {more} more"));
        }
        out
    }

    fn complaints(&self) -> Vec<Value> {
        let one = |c: &Complaint| match c.line {
            Some(line) => json!({"index": c.index, "line": line, "reason": c.reason}),
            None => json!({"index": c.index, "reason": c.reason}),
        };
        self.told.iter().map(one).collect()
    }
}

/// Puts all records into the push.
fn take(push: &mut Push<'_>, records: &mut impl Records) -> Tally {
    let mut tally = Tally::default();
    let mut record = Record::default();
    let mut index = 0;
    while let Some(result) = records.next(&mut record) {
        match result {
            Ok(()) => {
                let put = push.put(&record.key, record.ts, record.value, records.about());
                if let Err(refused) = put {
                    tally.refuse(index, None, || format!("{refused}: `{}`", short(&record.key)));
                }
            }
            Err(e) => {
                push.lost(Reason::Invalid, 1);
                tally.refuse(index, Some(e.line), || e.reason);
            }
        }
        index += 1;
    }
    tally
}

fn short(key: &str) -> String {
    key.chars().take(80).collect()
}
