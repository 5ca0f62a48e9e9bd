//! http: the body of an answer that was made as a whole: its memory counts until it is sent. A
//! client that takes less of it than [`LEAST`] is cut off, because its answer would be held for
//! ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};

use super::peer::Cut;
use crate::query::budget::Held;

/// Answers up to this length, in bytes, are not watched: many of them fit.
const LITTLE: usize = 256 << 10;

/// The size of a piece, in bytes.
const PIECE: usize = 64 << 10;

/// The time in which a client need not take anything.
const FIRST: Duration = Duration::from_secs(20);
/// The least bytes a second that a client must take after that.
const LEAST: u64 = 32 << 10;

/// A text and its memory.
struct Owned(Vec<u8>, #[allow(dead_code, reason = "it is given back with the text")] Held);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The body; `cut` ends the connection, where there is one.
pub(super) fn body(bytes: Vec<u8>, held: Held, cut: Option<Cut>) -> Body {
    let long = bytes.len() > LITTLE;
    let bytes = Bytes::from_owner(Owned(bytes, held));
    if !long {
        return Body::from(bytes);
    }
    let taken = Arc::new(AtomicU64::new(0));
    if let Some(cut) = cut {
        tokio::spawn(watch(Arc::downgrade(&taken), cut));
    }
    Body::new(Whole { bytes, taken })
}

/// Cuts the connection off where too little is taken; ends when the body does.
pub(super) async fn watch(taken: std::sync::Weak<AtomicU64>, cut: Cut) {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let Some(taken) = taken.upgrade() else { return };
        if is_slow(begun.elapsed(), taken.load(Relaxed)) {
            return cut.now();
        }
    }
}

/// Whether this many bytes are too few after this time.
fn is_slow(elapsed: Duration, taken: u64) -> bool {
    elapsed.saturating_sub(FIRST).as_secs() * LEAST > taken && elapsed > FIRST
}

struct Whole {
    bytes: Bytes,
    /// The number of bytes that the connection has asked for.
    taken: Arc<AtomicU64>,
}

impl hyper::body::Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.bytes.len().min(PIECE);
        self.taken.fetch_add(length as u64, Relaxed);
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::budget::Budget;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn an_answer_s_memory_counts_until_it_is_sent() {
        for length in [10, LITTLE + 3 * PIECE + 7] {
            let budget = Budget::new(1 << 30);
            let mut held = budget.hold();
            held.take(length).unwrap();
            let text: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let mut body = body(text.clone(), held, None);
            assert_eq!(hyper::body::Body::size_hint(&body).exact(), Some(length as u64));
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(budget.held(), length as u64);
            let rest = body.collect().await.unwrap().to_bytes();
            assert!([&first[..], &rest[..]].concat() == text);
            drop((first, rest));
            assert_eq!(budget.held(), 0);
        }
    }

    #[test]
    fn who_takes_nothing_is_slow_and_who_takes_some_is_not() {
        let after = |seconds: u64, taken: u64| is_slow(Duration::from_secs(seconds), taken);
        assert!(!after(5, 0) && !after(20, 0) && after(22, 0));
        assert!(!after(25, 10 << 20) && after(25, 64 << 10));
    }
}
