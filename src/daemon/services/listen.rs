//! daemon: how services get the addresses where they listen: at once, or as soon as they can be had.
//! The board tells until then, and everything else goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::daemon::shared::Shared;
use crate::pipeline::Board;
use crate::receive::{self, Sockets};

/// Tokio's own is 128; in a storm of connections the kernel drops what does not fit, and whoever is
/// dropped waits for a second before the next attempt.
const BACKLOG: u32 = 1024;

/// How often it is tried to get what could not be had at the start.
pub const AGAIN: Duration = Duration::from_secs(2);

/// Listens there.
pub fn bind(address: std::net::SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    use tokio::net::TcpSocket;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What could be had at the first attempt, or at a later one: a port may be another program's for a
/// moment, an address or a certificate may come after plimsoll. The board tells until then.
pub async fn persist<T>(
    board: &Board,
    subject: &str,
    first: Option<T>,
    mut again: impl FnMut() -> Result<T, String>,
) -> T {
    if let Some(had) = first {
        return had;
    }
    loop {
        tokio::time::sleep(AGAIN).await;
        match again() {
            Ok(had) => {
                board.ok(subject);
                return had;
            }
            Err(why) => board.fail(subject, why),
        }
    }
}

/// The outcome of the first attempt; why there is none is on the board.
pub fn told<T>(board: &Board, subject: &str, first: Result<T, String>) -> Option<T> {
    first.inspect_err(|why| board.fail(subject, why.clone())).ok()
}

/// Where a receiver listens, each with its kind. A place that cannot be had yet says so.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<Vec<String>>>);

impl Places {
    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It can be had now.
    fn had(&self, place: &str) {
        let not_yet = not_yet(place);
        self.lock().iter_mut().filter(|known| **known == not_yet).for_each(|p| *p = place.into());
    }
}

fn not_yet(place: &str) -> String {
    format!("{place} (not yet)")
}

/// The sockets of a receiver, and where it listens or will. What cannot be had is on the board until it
/// can.
pub fn open_sockets(
    receiver: &'static str,
    settings: &receive::Settings,
    shared: &Shared,
) -> (Sockets, Places) {
    let (mut sockets, troubles) = Sockets::open(settings);
    let places = Places::default();
    places.lock().extend_from_slice(sockets.places());
    let board = Arc::clone(&shared.board);
    let fail = move |place: &str, what: &str| {
        board.fail(
            &format!("{receiver} {place}"),
            format!("{what}; everything else goes on without"),
        );
    };
    for trouble in troubles {
        fail(&trouble.place, &trouble.message);
        places.lock().push(not_yet(&trouble.place));
    }
    let (board, known) = (Arc::clone(&shared.board), places.clone());
    sockets.tell_later(move |place, result| match result {
        Ok(()) => {
            known.had(place);
            board.ok(&format!("{receiver} {place}"));
        }
        Err(what) => fail(place, what),
    });
    (sockets, places)
}
