//! http: the desk on which bodies are read, beside the thread that answers, a few at once. Senders
//! then wait until their values are in the file, and only then get 2xx.
//!
//! Bounds: [`PLACES`] bodies at once, each for [`WORK`]; waiting bodies are held in memory within
//! the bound on all bodies, and for [`TURN`]; connections (256 a listener) bound how many wait for
//! the commit. Policy: a sender that has waited for too long is told to send again (503). Counter:
//! `plimsoll_pushes_put_off_total`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, request::Parts};
use tokio::sync::Semaphore;

use super::Failure;
use super::body::{Watch, receive};
use super::ended::Groups;
use crate::http::AppState;
use crate::http::access::From;
use crate::pipeline::{Origin, Receipt, Sender};

/// Bodies that are worked on at once. The intake takes one at a time; while it does, another one can
/// be unpacked.
const PLACES: usize = 2;
/// For how long a body may wait for its place.
const TURN: Duration = Duration::from_secs(10);
/// For how long one may be worked on. The largest take a quarter of a second.
const WORK: Duration = Duration::from_secs(5);
/// How long a sender waits until its values are in the file. Some give up after five seconds.
const COMMIT: Duration = Duration::from_secs(4);

/// The parts that all pushes share.
#[derive(Debug)]
pub struct Pushes {
    held: Arc<AtomicUsize>,
    places: Arc<Semaphore>,
    pub(super) groups: Groups,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            held: Arc::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            groups: Groups::default(),
        }
    }
}

/// A body that it is time to work on.
pub(super) struct Job<'a> {
    pub(super) state: &'a AppState,
    pub(super) headers: &'a HeaderMap,
    pub(super) bytes: &'a [u8],
    pub(super) watch: &'a Watch,
    sender: Sender<'a>,
}

impl<'a> Job<'a> {
    /// This origin, with this sender.
    pub(super) fn sent<'o>(&self, origin: Origin<'o>) -> Origin<'o>
    where
        'a: 'o,
    {
        Origin { sender: self.sender, ..origin }
    }

    /// The only machine that this sender may speak for, where there is one.
    pub(super) fn bound(&self) -> Option<&'a str> {
        match self.sender {
            Sender::Bound(instance) => Some(instance),
            Sender::Here | Sender::Elsewhere => None,
        }
    }
}

/// The sender, as found by the guard.
pub(super) struct Who(From);

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<From>().cloned().unwrap_or(From::Elsewhere)))
    }
}

impl Who {
    fn sender(&self) -> Sender<'_> {
        match &self.0 {
            From::Here => Sender::Here,
            From::Elsewhere => Sender::Elsewhere,
            From::Instance(name) => Sender::Bound(name),
        }
    }
}

/// Receives a body, reads it when its turn comes, and waits until its values are in the file.
pub(super) async fn take_in<T: Send + 'static>(
    state: Arc<AppState>,
    who: Who,
    headers: HeaderMap,
    body: Body,
    work: impl FnOnce(&Job<'_>) -> Result<(T, Receipt), Failure> + Send + 'static,
) -> Result<T, Failure> {
    let body = receive(&state.pushes.held, &headers, body).await?;
    let places = Arc::clone(&state.pushes.places).acquire_owned();
    let Ok(Ok(place)) = tokio::time::timeout(TURN, places).await else {
        return Err(Failure::busy("too many bodies wait to be read; send it again"));
    };
    let working = tokio::task::spawn_blocking(move || {
        let _place = place;
        let watch = Watch::new(Instant::now() + WORK);
        let sender = who.sender();
        work(&Job { state: &state, headers: &headers, bytes: &body.bytes, watch: &watch, sender })
    });
    let Ok(worked) = working.await else {
        return Err(Failure::broken());
    };
    let (done, receipt) = worked?;
    if receipt.kept(COMMIT).await {
        Ok(done)
    } else {
        Err(Failure::busy(
            "it could not be written to the database in time; /health may say why; send it again",
        ))
    }
}
