//! daemon: opens the listening sockets of services, at once or as soon as possible. The board
//! reports missing ones until then, and everything else continues.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::daemon::shared::Shared;
use crate::pipeline::Board;
use crate::receive::{self, Sockets};

/// The backlog of a socket. Tokio's own is 128; in a storm of connections the kernel drops the
/// rest, and a dropped client waits for a second before its next attempt.
const BACKLOG: u32 = 1024;

/// The interval of attempts to open missing sockets.
pub const AGAIN: Duration = Duration::from_secs(2);

/// Listens there.
pub fn bind(address: std::net::SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    use tokio::net::TcpSocket;
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The result of the first attempt, or of a later one: another program may hold a port for a
/// moment, and an address or a certificate may come after plimsoll. The board reports it until
/// then.
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

/// The result of the first attempt; the reason of a failure is on the board.
pub fn told<T>(board: &Board, subject: &str, first: Result<T, String>) -> Option<T> {
    first.inspect_err(|why| board.fail(subject, why.clone())).ok()
}

/// Behind the place of a socket that could not be opened yet.
const NOT_YET: &str = " (not yet)";

/// The addresses of a receiver, open or not; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<Vec<String>>>);

impl Places {
    /// Each place as of now.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds an address that is not open yet.
    pub fn wait_for(&self, place: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(format!("{place}{NOT_YET}"));
    }

    /// Records that an address is open now, as `found`: the kernel may have chosen the port.
    pub fn opened(&self, place: &str, found: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let late = |p: &&mut String| p.strip_suffix(NOT_YET) == Some(place);
        if let Some(late) = all.iter_mut().find(late) {
            found.clone_into(late);
        }
    }
}

/// The sockets of a receiver, and its addresses. Missing ones are on the board until they are open.
pub fn open_sockets(
    receiver: &'static str,
    settings: &receive::Settings,
    shared: &Shared,
) -> (Sockets, Places) {
    let (mut sockets, troubles) = Sockets::open(settings);
    let places = Places(Arc::new(Mutex::new(sockets.places().to_vec())));
    let board = Arc::clone(&shared.board);
    let fail = move |place: &str, what: &str| {
        board.fail(
            &format!("{receiver} {place}"),
            format!("{what}; everything else goes on without"),
        );
    };
    for trouble in troubles {
        fail(&trouble.place, &trouble.message);
        places.wait_for(&trouble.place);
    }
    let (board, late) = (Arc::clone(&shared.board), places.clone());
    sockets.tell_later(move |place, result| match result {
        Ok(()) => {
            board.ok(&format!("{receiver} {place}"));
            late.opened(place, place);
            tracing::info!("{receiver:<10} {place}");
        }
        Err(what) => fail(place, what),
    });
    (sockets, places)
}
