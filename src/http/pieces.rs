//! http: long answers, written piece by piece while they are sent. With tens of thousands of series
//! a page in one piece takes tens of megabytes, and the allocator keeps what it was once given. No piece
//! is written on the thread that answers: a hundred thousand names take seconds to sort and to write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Bytes, Frame};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use super::peer::Cut;
use super::sent;
use crate::pipeline::Counters;
use crate::query::turns::{Client, Turn, Turns};

/// A piece is sent when it has grown to this.
const PIECE: usize = 64 << 10;
/// Answers up to this length are sent at once, with their length, which clients like to know.
const AT_ONCE: usize = 128 << 10;
/// The number of answers that are written at a time; each holds a list of all series.
const PLACES: usize = 8;
/// The number of them for one client.
const OF_ONE: usize = 6;
/// The others wait for so long, and are then told to ask again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The places of long answers.
#[derive(Debug, Clone)]
pub(super) struct Pages(Turns);

impl Default for Pages {
    fn default() -> Self {
        Self(Turns::new(PLACES, OF_ONE, Arc::default()))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoPage {
    /// All places were taken for all that time.
    Busy,
    /// The writing of it panicked.
    Broken,
}

impl Pages {
    /// The body that `begin` begins, on a thread of its own: each call of what it returns appends a
    /// little and says whether there is more to come. Who takes too little of it is cut off.
    pub(super) async fn body<F>(
        &self,
        client: Client,
        cut: Option<Cut>,
        begin: impl FnOnce() -> F + Send + 'static,
    ) -> Result<Body, NoPage>
    where
        F: FnMut(&mut Vec<u8>) -> bool + Send + Unpin + 'static,
    {
        let turn = self.0.next(client, PATIENCE).await.ok_or(NoPage::Busy)?;
        let begun = spawn_blocking(move || piece(begin(), AT_ONCE)).await;
        let (rest, begun) = begun.map_err(|_| NoPage::Broken)?;
        let Some(more) = rest else { return Ok(Body::from(begun)) };
        let taken = Arc::new(AtomicU64::new(0));
        if let Some(cut) = cut {
            tokio::spawn(sent::watch(Arc::downgrade(&taken), cut));
        }
        Ok(Body::new(Pieces { begun, rest: Rest::Waits(more), taken, _turn: turn }))
    }
}

/// The answer, of this type; where there is none, a sentence.
pub(super) fn respond(
    kind: &'static str,
    body: Result<Body, NoPage>,
    counters: &Counters,
) -> Response {
    match body {
        Ok(body) => ([(header::CONTENT_TYPE, kind)], body).into_response(),
        Err(NoPage::Busy) => {
            counters.queries_refused.fetch_add(1, Relaxed);
            let why = "too many long answers are being sent; ask again later\n";
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
        Err(NoPage::Broken) => {
            let why = "the answer could not be written; please report this\n";
            (StatusCode::INTERNAL_SERVER_ERROR, why).into_response()
        }
    }
}

/// The next piece, and what writes those behind it; nothing: it is all said.
fn piece<F: FnMut(&mut Vec<u8>) -> bool>(mut more: F, length: usize) -> (Option<F>, Vec<u8>) {
    let mut out = Vec::new();
    while out.len() < length {
        if !more(&mut out) {
            return (None, out);
        }
    }
    (Some(more), out)
}

struct Pieces<F> {
    begun: Vec<u8>,
    rest: Rest<F>,
    /// How many bytes the connection has asked for.
    taken: Arc<AtomicU64>,
    _turn: Turn,
}

enum Rest<F> {
    /// The next piece is written when it is asked for.
    Waits(F),
    Written(JoinHandle<(Option<F>, Vec<u8>)>),
    Said,
}

impl<F: FnMut(&mut Vec<u8>) -> bool + Send + Unpin + 'static> Pieces<F> {
    /// The next piece; nothing: it is all said.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<u8>, JoinError>> {
        if !self.begun.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut self.begun)));
        }
        let mut task = match std::mem::replace(&mut self.rest, Rest::Said) {
            Rest::Said => return Poll::Ready(Ok(Vec::new())),
            Rest::Waits(more) => spawn_blocking(move || piece(more, PIECE)),
            Rest::Written(task) => task,
        };
        let Poll::Ready(written) = Pin::new(&mut task).poll(context) else {
            self.rest = Rest::Written(task);
            return Poll::Pending;
        };
        let (more, piece) = written?;
        self.rest = more.map_or(Rest::Said, Rest::Waits);
        Poll::Ready(Ok(piece))
    }
}

impl<F: FnMut(&mut Vec<u8>) -> bool + Send + Unpin + 'static> hyper::body::Body for Pieces<F> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        this.next(context).map(|next| match next {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => {
                this.taken.fetch_add(piece.len() as u64, Relaxed);
                Some(Ok(Frame::data(Bytes::from(piece))))
            }
            Err(e) => Some(Err(io::Error::other(e))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn what_is_written_arrives_however_long_it_is() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let pages = Pages::default();
        for lines in [0u32, 1, 20_000, 50_000, 300_000] {
            let mut at = 0;
            let begin = move || {
                move |out: &mut Vec<u8>| {
                    let until = (at + 7).min(lines);
                    while at < until {
                        out.extend_from_slice(format!("{at}\n").as_bytes());
                        at += 1;
                    }
                    at < lines
                }
            };
            let written = pages.body(Client::default(), None, begin);
            let written = runtime.block_on(written).unwrap();
            let known = hyper::body::Body::size_hint(&written).exact();
            let all = runtime.block_on(async { written.collect().await.unwrap().to_bytes() });
            let right: String = (0..lines).map(|i| format!("{i}\n")).collect();
            assert!(all == right.as_bytes(), "{lines}");
            let short = right.len() < AT_ONCE;
            assert_eq!(known, short.then_some(right.len() as u64), "{lines}");
        }
    }

    /// What a clock of the same runtime sees while long answers are written.
    #[test]
    fn nothing_of_it_is_written_on_the_thread_that_answers() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let here = std::thread::current().id();
        let (pages, mut left) = (Pages::default(), 20);
        let begin = move || {
            assert_ne!(std::thread::current().id(), here);
            move |out: &mut Vec<u8>| {
                assert_ne!(std::thread::current().id(), here);
                out.extend_from_slice(&[b'x'; 40 << 10]);
                left -= 1;
                left > 0
            }
        };
        runtime.block_on(async {
            let body = pages.body(Client::default(), None, begin).await.unwrap();
            assert_eq!(body.collect().await.unwrap().to_bytes().len(), 20 * (40 << 10));
        });
    }

    #[tokio::test]
    async fn places_are_held_until_all_is_sent() {
        let pages = Pages::default();
        let begin = || {
            |out: &mut Vec<u8>| {
                out.extend_from_slice(&[b'x'; PIECE]);
                true
            }
        };
        let mut held = Vec::new();
        for _ in 0..OF_ONE {
            held.push(pages.body(Client::default(), None, begin).await.unwrap());
        }
        let waits = pages.body(Client::default(), None, begin);
        assert!(tokio::time::timeout(Duration::from_millis(20), waits).await.is_err());
        let other = Client::of(([192, 0, 2, 1], 1).into());
        assert!(pages.body(other, None, begin).await.is_ok(), "another client has a place");
        held.pop();
        assert!(pages.body(Client::default(), None, begin).await.is_ok());
    }
}
