//! http: long answers, written piece by piece while they are sent. With tens of thousands of series
//! a page in one piece takes tens of megabytes, and the allocator keeps memory that it once got.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use hyper::body::{Bytes, Frame};

/// A piece is sent when it has grown to this.
const PIECE: usize = 32 << 10;
/// Answers up to this length are sent at once, with their length, which clients like to know.
const AT_ONCE: usize = 128 << 10;

/// The body that `more` writes: each call appends a little and says whether there is more to come.
pub(super) fn body(mut more: impl FnMut(&mut Vec<u8>) -> bool + Send + Unpin + 'static) -> Body {
    let mut begun = Vec::new();
    while begun.len() < AT_ONCE {
        if !more(&mut begun) {
            return Body::from(begun);
        }
    }
    Body::new(Pieces { begun, more: Some(more) })
}

struct Pieces<F> {
    begun: Vec<u8>,
    /// The writer of the next piece; `None` after the last one.
    more: Option<F>,
}

impl<F: FnMut(&mut Vec<u8>) -> bool + Unpin> hyper::body::Body for Pieces<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let mut piece = std::mem::take(&mut this.begun);
        while let Some(more) = this.more.as_mut().filter(|_| piece.len() < PIECE) {
            if !more(&mut piece) {
                this.more = None;
            }
        }
        let piece = (!piece.is_empty()).then(|| Ok(Frame::data(Bytes::from(piece))));
        Poll::Ready(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn what_is_written_arrives_however_long_it_is() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for lines in [0u32, 1, 20_000, 50_000, 300_000] {
            let mut at = 0;
            let written = body(move |out| {
                let until = (at + 7).min(lines);
                while at < until {
                    out.extend_from_slice(format!("{at}\n").as_bytes());
                    at += 1;
                }
                at < lines
            });
            let known = hyper::body::Body::size_hint(&written).exact();
            let all = runtime.block_on(async { written.collect().await.unwrap().to_bytes() });
            let right: String = (0..lines).map(|i| format!("{i}\n")).collect();
            assert!(all == right.as_bytes(), "{lines}");
            let short = right.len() < AT_ONCE;
            assert_eq!(known, short.then_some(right.len() as u64), "{lines}");
        }
    }
}
