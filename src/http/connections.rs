//! http: connections: their number, their timeouts, and which is closed for a new one.
//! `axum::serve` sets no timer, so its header timeout never fires; this loop does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::own_words::OwnWords;
use super::pace::{Pace, Paced};
use super::peer::{Cut, Line, Peer, Unix};
use super::tls::Tls;
use crate::query::turns::Client;

/// Beyond it the one that keeps us waiting longest goes, so that a newcomer is always served.
const MAX_CONNECTIONS: usize = 256;
/// The timeout from the first expected byte to the last header, and between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 16 << 10;
/// At most this many unsent bytes of a connection wait in the kernel; its default would hide a
/// backlog of 4 MB from us.
const UNSENT: u32 = 128 << 10;

struct Connection {
    pace: Arc<Pace>,
    task: AbortHandle,
}

/// Longest handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The source of connections.
pub enum Listener {
    /// TCP, with TLS or without.
    Tcp(TcpListener, Option<Tls>),
    /// A socket in the file system: every program that may open it is local.
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream, Line, Option<TlsAcceptor>),
    Unix(UnixStream),
}

impl Stream {
    fn client(&self) -> Client {
        match self {
            Stream::Tcp(stream, ..) => stream.peer_addr().map(Client::of).unwrap_or_default(),
            Stream::Unix(_) => Client::default(),
        }
    }
}

impl Listener {
    async fn accept(&self) -> std::io::Result<Stream> {
        match self {
            Listener::Tcp(listener, tls) => {
                let (stream, from) = listener.accept().await?;
                // Answers are small and whole: nothing is gained by waiting for more to send.
                let _unused = stream.set_nodelay(true);
                let _unused = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
                let local = from.ip().to_canonical().is_loopback();
                let peer = if local { Peer::Local } else { Peer::Remote };
                let line = Line { peer, from: Some(from.ip()), tls: tls.is_some() };
                Ok(Stream::Tcp(stream, line, tls.as_ref().map(Tls::acceptor)))
            }
            Listener::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Serves the router until the runtime ends.
pub async fn serve_on(listener: Listener, router: Router) {
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(e) => {
                // Out of descriptors, most likely: give connections time to end.
                tracing::debug!("http: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if open.len() >= MAX_CONNECTIONS {
            make_room(&mut open);
        }
        let pace = Arc::new(Pace::new(Instant::now()));
        let (router, mark) = (router.clone(), Arc::clone(&pace));
        let client = stream.client();
        let task = tokio::spawn(async move {
            match stream {
                Stream::Unix(stream) => {
                    let line = Line { peer: Peer::Local, from: None, tls: false };
                    one(stream, (line, client), true, router, mark).await;
                }
                Stream::Tcp(stream, line, None) => {
                    one(stream, (line, client), false, router, mark).await;
                }
                Stream::Tcp(stream, line, Some(tls)) => {
                    match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        Ok(Ok(stream)) => one(stream, (line, client), false, router, mark).await,
                        Ok(Err(e)) => tracing::debug!("http: TLS: {e}"),
                        Err(_) => tracing::debug!("http: TLS: no handshake"),
                    }
                }
            }
        });
        open.push_back(Connection { pace, task: task.abort_handle() });
    }
}

/// Forgets what has ended; if all are alive, ends the one whose client keeps us waiting longest, or
/// the oldest of all if we are at work for each.
fn make_room(open: &mut VecDeque<Connection>) {
    open.retain(|c| !c.task.is_finished());
    if open.len() >= MAX_CONNECTIONS {
        let now = Instant::now();
        let victim = slowest(open.iter().map(|c| c.pace.late(now))).unwrap_or(0);
        if let Some(c) = open.remove(victim) {
            c.task.abort();
        }
    }
}

/// Which is the latest of those that are late at all; of two the one before.
fn slowest(late: impl Iterator<Item = Option<i64>>) -> Option<usize> {
    let waiting = late.enumerate().filter_map(|(at, late)| Some((late?, at)));
    waiting.max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1))).map(|(_, at)| at)
}

async fn one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (line, client): (Line, Client),
    unix: bool,
    router: Router,
    pace: Arc<Pace>,
) {
    let inner = TowerToHyperService::new(router);
    let cut = Cut::default();
    let end = cut.clone();
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        pace.receives();
        let body = |body| Body::new(Paced::new(body, Arc::clone(&pace)));
        let mut request = request.map(body);
        request.extensions_mut().insert(line.peer);
        request.extensions_mut().insert(line);
        request.extensions_mut().insert(client);
        request.extensions_mut().insert(cut.clone());
        if unix {
            request.extensions_mut().insert(Unix);
        }
        let answer = inner.call(request);
        let pace = Arc::clone(&pace);
        async move {
            let answer = answer.await;
            pace.waits();
            answer
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADERS);
    tokio::select! {
        // An error here is the client's: gone, too slow, or not speaking HTTP.
        ended = http.serve_connection(TokioIo::new(OwnWords::new(stream)), service) => {
            if let Err(e) = ended {
                tracing::debug!("http: {e}");
            }
        }
        () = end.asked() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_goes_and_of_two_the_one_before() {
        let victim = |late: &[Option<i64>]| slowest(late.iter().copied());
        assert_eq!(victim(&[None, Some(5), Some(9), Some(9), Some(-3)]), Some(2));
        assert_eq!(victim(&[None, Some(-3)]), Some(1));
        assert_eq!(victim(&[None, None]), None, "we are at work for each");
    }
}
