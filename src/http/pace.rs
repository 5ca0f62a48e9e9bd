//! http: the time that a client keeps plimsoll waiting: for its next request, for the rest of a
//! body, or for reading its answer. Time in which plimsoll works does not count. And the longest
//! time for any body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// The pace of a steady body, in bytes a millisecond. A client at this pace or faster keeps nobody
/// waiting.
const STEADY: i64 = 16;
/// For one body, from when it is first waited for to its last byte. Pushes have a bound of their own,
/// which is a little shorter and answers in words.
const LONGEST: Duration = Duration::from_secs(32);

/// See the module's text.
#[derive(Debug)]
pub(super) struct Pace {
    begun: Instant,
    /// Since when the client has been waited for, in ms since it came.
    since: AtomicI64,
    /// Bytes of a body that came since then.
    came: AtomicI64,
    /// Whether plimsoll is working, and does not wait for it.
    working: AtomicBool,
}

impl Pace {
    /// The pace of a connection that begins now.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            begun: now,
            since: AtomicI64::new(0),
            came: AtomicI64::new(0),
            working: AtomicBool::new(false),
        }
    }

    fn ms(&self, now: Instant) -> i64 {
        now.saturating_duration_since(self.begun).as_millis() as i64
    }

    /// Waiting begins at this moment: for a request, or until its answer is taken.
    pub(super) fn waits(&self) {
        self.since.store(self.ms(Instant::now()), Relaxed);
        self.came.store(0, Relaxed);
        self.working.store(false, Relaxed);
    }

    /// A request is there, and its body may be on its way.
    pub(super) fn receives(&self) {
        self.waits();
    }

    /// All of the request is there.
    fn works(&self) {
        self.working.store(true, Relaxed);
    }

    /// The time in ms by which it is slower than a steady client; negative if it is faster. `None`
    /// while plimsoll does not wait for it.
    pub(super) fn late(&self, now: Instant) -> Option<i64> {
        if self.working.load(Relaxed) {
            return None;
        }
        let waited = self.ms(now) - self.since.load(Relaxed);
        Some(waited - self.came.load(Relaxed) / STEADY)
    }
}

/// A body that tells the pace at which it comes, and that ends in an error when it comes for too long.
pub(super) struct Paced {
    body: Incoming,
    pace: Arc<Pace>,
    end: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(super) fn new(body: Incoming, pace: Arc<Pace>) -> Self {
        // A request without a body is there as a whole.
        if body.is_end_stream() {
            pace.works();
        }
        Self { body, pace, end: None }
    }
}

impl Drop for Paced {
    /// Reading has stopped, so nothing waits for the rest.
    fn drop(&mut self) {
        self.pace.works();
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let end = this.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(LONGEST)));
            ready!(end.as_mut().poll(cx));
            return Poll::Ready(Some(Err("the body did not come in time".into())));
        };
        match &frame {
            Some(Ok(frame)) => {
                let came = frame.data_ref().map_or(0, |data| data.len());
                this.pace.came.fetch_add(came as i64, Relaxed);
                if this.body.is_end_stream() {
                    this.pace.works();
                }
            }
            Some(Err(_)) | None => this.pace.works(),
        }
        Poll::Ready(frame.map(|f| f.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_trickles_is_later_than_who_has_just_come() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let newcomer = Pace::new(at(9_990));
        assert_eq!(newcomer.late(at(10_000)), Some(10));
        let slow = Pace::new(begun);
        slow.came.store(1_000, Relaxed);
        let steady = Pace::new(begun);
        steady.came.store(500_000, Relaxed);
        assert_eq!(slow.late(at(10_000)), Some(9_938));
        assert!(steady.late(at(10_000)) < newcomer.late(at(10_000)));
        slow.works();
        assert_eq!(slow.late(at(10_000)), None, "we are at work");
    }
}
