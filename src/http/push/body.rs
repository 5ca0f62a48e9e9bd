//! http: a body: received within its bounds, and unpacked while it is read.

use std::io::{Error, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use flate2::bufread::GzDecoder;
use http_body_util::BodyExt;

use super::Failure;

/// Longest body, as it is sent.
const MAX_BODY: usize = 1 << 20;
/// Longest body, unpacked.
pub(super) const MAX_DECODED: usize = 4 << 20;
/// All bodies that are being received, or wait to be worked on, together: 256 slow senders could hold
/// a quarter of a gigabyte.
const MAX_HELD: usize = 16 << 20;
/// For one body, from its first byte to its last.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Parts that were packed one by one and then joined. Each costs as much as a small body, and the
/// smallest has 20 bytes.
const MAX_PARTS: usize = 64;

/// A body in memory; when it is dropped, its share of the common bound is free again.
pub(super) struct Received {
    pub(super) bytes: Vec<u8>,
    held: Arc<AtomicUsize>,
}

impl Drop for Received {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes.len(), Relaxed);
    }
}

/// Receives a body within the bounds. `held`: the bytes of all bodies.
pub(super) async fn receive(
    held: &Arc<AtomicUsize>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Received, Failure> {
    let large =
        || Failure::too_large(format!("a body of more than {MAX_BODY} bytes; send less at once"));
    let length = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse().ok());
    if length.is_some_and(|l: u64| l > MAX_BODY as u64) {
        return Err(large());
    }
    let mut received = Received { bytes: Vec::new(), held: Arc::clone(held) };
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
    match tokio::time::timeout(TIMEOUT, all).await {
        Ok(done) => done.map(|()| received),
        Err(_) => {
            let late = "the body did not come within half a minute";
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", late))
        }
    }
}

/// The reason why reading a body was given up, for code that reads it to its end first.
#[derive(Debug)]
pub(super) struct Watch {
    until: Instant,
    too_large: AtomicBool,
    late: AtomicBool,
}

impl Watch {
    /// `until`: no more is read after this.
    pub(super) fn new(until: Instant) -> Self {
        Self { until, too_large: AtomicBool::new(false), late: AtomicBool::new(false) }
    }

    /// Whether the time is over.
    pub(super) fn is_late(&self) -> bool {
        let late = Instant::now() > self.until;
        self.late.fetch_or(late, Relaxed);
        late
    }

    /// An error if reading was given up: then nothing of the body is to be taken.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.too_large.load(Relaxed) {
            return Err(Failure::too_large(
                "a body of more than 4 MiB when unpacked; send less at once",
            ));
        }
        if self.late.load(Relaxed) {
            return Err(Failure::busy(
                "reading this took too long, and nothing of it was taken; send it again, or less at \
                 once",
            ));
        }
        Ok(())
    }
}

/// A body as text, unpacked while it is read: what claims to be small and is not takes no memory.
pub(super) struct Unpacked<'a> {
    input: Input<'a>,
    left: usize,
    watch: &'a Watch,
}

enum Input<'a> {
    Plain(&'a [u8]),
    Packed { part: Box<GzDecoder<&'a [u8]>>, parts: usize },
}

impl<'a> Unpacked<'a> {
    pub(super) fn new(
        headers: &HeaderMap,
        body: &'a [u8],
        watch: &'a Watch,
    ) -> Result<Self, Failure> {
        let input = match encoding(headers) {
            "" | "identity" => Input::Plain(body),
            "gzip" => Input::Packed { part: Box::new(GzDecoder::new(body)), parts: 1 },
            other => {
                let message = format!("Content-Encoding `{other}`; gzip or none is understood");
                return Err(Failure::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported media type",
                    message,
                ));
            }
        };
        Ok(Self { input, left: MAX_DECODED, watch })
    }
}

pub(super) fn encoding(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_ENCODING).map_or("", |e| e.to_str().unwrap_or("unknown"))
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let (part, parts) = match self {
            Input::Plain(bytes) => return bytes.read(into),
            Input::Packed { part, parts } => (part, parts),
        };
        loop {
            let read = part.read(into)?;
            let rest: &[u8] = part.get_ref();
            if read > 0 || into.is_empty() || rest.is_empty() {
                return Ok(read);
            }
            if *parts == MAX_PARTS {
                let why = format!("more than {MAX_PARTS} parts that were packed one by one");
                return Err(Error::other(why));
            }
            *parts += 1;
            **part = GzDecoder::new(rest);
        }
    }
}

impl Read for Unpacked<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.watch.is_late() {
            return Err(Error::other("this takes too long"));
        }
        let read = self.input.read(into)?;
        match self.left.checked_sub(read) {
            Some(left) => self.left = left,
            None => {
                self.watch.too_large.store(true, Relaxed);
                return Err(Error::other("larger than 4 MiB when unpacked"));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn unpacked(body: &[u8], until: Instant) -> (Result<String, String>, Result<(), u16>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
        let watch = Watch::new(until);
        let mut text = String::new();
        let read = match Unpacked::new(&headers, body, &watch) {
            Ok(mut input) => input.read_to_string(&mut text).map_err(|e| e.to_string()),
            Err(failure) => Err(failure.message),
        };
        (read.map(|_| text), watch.check().map_err(|f| f.status.as_u16()))
    }

    #[test]
    fn parts_that_were_joined_are_one_body_and_not_too_many() {
        let soon = Instant::now() + Duration::from_secs(600);
        let joined = [gzip(b"a"), gzip(b""), gzip(b"bc")].concat();
        assert_eq!(unpacked(&joined, soon), (Ok("abc".into()), Ok(())));
        assert_eq!(unpacked(&gzip(b"x").repeat(MAX_PARTS), soon).0, Ok("x".repeat(MAX_PARTS)));
        let (read, _) = unpacked(&gzip(b"").repeat(MAX_PARTS + 1), soon);
        assert!(read.as_ref().is_err_and(|e| e.starts_with("more than 64 parts")), "{read:?}");
        assert!(unpacked(&[&gzip(b"a")[..], b"junk"].concat(), soon).0.is_err());
    }

    #[test]
    fn it_is_given_up_when_the_time_is_over() {
        let (read, why) = unpacked(&gzip(b"a"), Instant::now() - Duration::from_millis(1));
        assert!(read.is_err());
        assert_eq!(why, Err(503));
    }
}
