//! http: the HTTP library answers some refusals by itself (headers that are too long, a line that
//! is not a request), with an empty body and without the usual headers. Such an answer is replaced
//! by one with a sentence, as in Prometheus' API.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guard::HEADERS;

/// The rest of such an answer after its first line.
const EMPTY: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\n";

/// The first lines of such answers, and the replacement texts.
const REFUSALS: [(&[u8], &str); 3] = [
    (
        b"HTTP/1.1 400 Bad Request",
        "this is no HTTP request that can be read; in an address, characters such as \\\" { } and spaces are written as %22 %7B %7D %20",
    ),
    (b"HTTP/1.1 414 URI Too Long", "the address is too long; send a long query as a form, by POST"),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large",
        "address and headers are longer than 16 KiB together, or there are too many headers; send a long query as a form, by POST",
    ),
];

/// A connection whose empty refusals get words.
pub(super) struct OwnWords<S> {
    stream: S,
    /// The replacement, and the part of it that has been sent.
    words: Vec<u8>,
    sent: usize,
}

impl<S> OwnWords<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, words: Vec::new(), sent: 0 }
    }
}

/// The replacement for these bytes; `None` if they are not a refusal of the library.
fn instead_of(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"HTTP/1.1 4") {
        return None;
    }
    let (line, what) = REFUSALS.iter().find(|(line, _)| bytes.starts_with(line))?;
    if !bytes[line.len()..].starts_with(EMPTY) || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let body = format!(r#"{{"status":"error","errorType":"bad_data","error":"{what}"}}"#);
    let mut out = line.to_vec();
    out.extend_from_slice(b"\r\nconnection: close\r\ncontent-type: application/json\r\n");
    for (name, value) in HEADERS {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    Some(out)
}

impl<S: AsyncWrite + Unpin> OwnWords<S> {
    /// Sends the rest of the words.
    fn poll_words(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(rest @ [_, ..]) = self.words.get(self.sent..) {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        (self.words, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for OwnWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for OwnWords<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<Result<usize>> {
        // Offered again until it is taken as a whole.
        if self.words.is_empty() {
            match instead_of(buf) {
                None => return Pin::new(&mut self.stream).poll_write(cx, buf),
                Some(words) => self.words = words,
            }
        }
        ready!(self.poll_words(cx))?;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match bufs.first() {
            Some(first) if !self.words.is_empty() || instead_of(first).is_some() => {
                self.poll_write(cx, first)
            }
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_empty_refusals_are_exchanged() {
        let empty = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                      content-length: 0\r\ndate: Mon, 30 Nov 2026 22:18:59 GMT\r\n\r\n";
        let words = String::from_utf8(instead_of(empty).unwrap()).unwrap();
        let (head, body) = words.split_once("\r\n\r\n").unwrap();
        let json: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(json["errorType"], "bad_data");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(head.contains("nosniff"), "{head}");
        for other in [
            &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\nmore",
            b"",
        ] {
            assert!(instead_of(other).is_none(), "{}", String::from_utf8_lossy(other));
        }
    }
}
