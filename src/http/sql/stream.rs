//! http: from the thread that reads rows to the client, through a few waiting pieces, so that
//! memory does not grow with the answer. A client that is too slow is dropped at the deadline.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use hyper::body::Frame;
use tokio::sync::{mpsc, oneshot};

use super::Failure;
use crate::query::turns::Leaving;

/// The size of a piece, in bytes.
pub(super) const PIECE: usize = 64 << 10;
/// The end of an answer may come this long after the deadline.
const GRACE: Duration = Duration::from_secs(1);
/// Pieces that wait for the client at the most.
const WAITING: usize = 4;

/// A piece of the answer; it is complete only after the end.
#[derive(Debug)]
enum Piece {
    Rows(Bytes),
    End,
}

/// The end at which rows come in.
#[derive(Debug)]
pub(super) struct Pipe {
    begun: Option<oneshot::Sender<Result<(), Failure>>>,
    pieces: mpsc::Sender<Piece>,
    runtime: tokio::runtime::Handle,
    deadline: Instant,
}

/// The other end, before it is known whether there is an answer.
#[derive(Debug)]
pub(super) struct Stream {
    begun: oneshot::Receiver<Result<(), Failure>>,
    answer: Answer,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pieces: mpsc::Receiver<Piece>,
    ended: bool,
    /// Tells the thread when the client has gone.
    _leaving: Leaving,
}

/// Within a runtime only.
pub(super) fn pipe(deadline: Instant, leaving: Leaving) -> (Pipe, Stream) {
    let (begun, told) = oneshot::channel();
    let (pieces, come) = mpsc::channel(WAITING);
    let runtime = tokio::runtime::Handle::current();
    let pipe = Pipe { begun: Some(begun), pieces, runtime, deadline };
    (pipe, Stream { begun: told, answer: Answer { pieces: come, ended: false, _leaving: leaving } })
}

impl Pipe {
    /// Whether the client has got the beginning of an answer.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_none()
    }

    /// Hands over a piece as soon as there is room; says enough when the client has gone or was too
    /// slow.
    pub(super) fn push(&mut self, text: String) -> ControlFlow<()> {
        self.send(Piece::Rows(text.into()), self.deadline)
    }

    fn send(&mut self, piece: Piece, until: Instant) -> ControlFlow<()> {
        if let Some(begun) = self.begun.take()
            && begun.send(Ok(())).is_err()
        {
            return ControlFlow::Break(());
        }
        let sent = self.runtime.block_on(async {
            tokio::time::timeout_at(until.into(), self.pieces.send(piece)).await
        });
        if matches!(sent, Ok(Ok(()))) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// The last piece.
    pub(super) fn finish(mut self, text: String) {
        let until = self.deadline.max(Instant::now() + GRACE);
        if self.send(Piece::Rows(text.into()), until).is_continue() {
            let _unused = self.send(Piece::End, until);
        }
    }

    /// There is no answer, or no more of it: what has begun breaks off without an end.
    pub(super) fn fail(mut self, failure: Failure) {
        if let Some(begun) = self.begun.take() {
            let _unused = begun.send(Err(failure));
        }
    }
}

impl Stream {
    /// Waits for the beginning of the answer.
    pub(super) async fn begun(self) -> Result<Answer, Failure> {
        match self.begun.await {
            Ok(Ok(())) => Ok(self.answer),
            Ok(Err(failure)) => Err(failure),
            Err(_) => {
                let why = "the statement ended without an answer; please report this";
                Err(Failure::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, why))
            }
        }
    }
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Rows(rows)) => Some(Ok(Frame::data(rows))),
            Some(Piece::End) => {
                self.ended = true;
                None
            }
            None => Some(Err(std::io::Error::other("the answer broke off"))),
        })
    }
}
