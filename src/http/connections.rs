//! http: connections: how many, how long, and who has to go. `axum::serve` sets no timer, so its
//! header timeout never fires; this loop does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Beyond it the connection that has been idle longest goes, so that a newcomer is always served.
const MAX_CONNECTIONS: usize = 256;
/// From the first byte expected to the last header, and between requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 16 << 10;

struct Connection {
    busy: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Serves the router until the runtime ends.
pub async fn serve_on(listener: TcpListener, router: Router) {
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
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
        // Answers are small and whole: nothing is gained by waiting for more to send.
        let _unused = stream.set_nodelay(true);
        let busy = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(one(stream, router.clone(), Arc::clone(&busy)));
        open.push_back(Connection { busy, task: task.abort_handle() });
    }
}

/// Forgets what has ended; if all are alive, ends the oldest that is not being answered, or the
/// oldest of all.
fn make_room(open: &mut VecDeque<Connection>) {
    open.retain(|c| !c.task.is_finished());
    if open.len() >= MAX_CONNECTIONS {
        let victim = open.iter().position(|c| !c.busy.load(Relaxed)).unwrap_or(0);
        if let Some(c) = open.remove(victim) {
            c.task.abort();
        }
    }
}

async fn one(stream: tokio::net::TcpStream, router: Router, busy: Arc<AtomicBool>) {
    let inner = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |request| {
        busy.store(true, Relaxed);
        let answer = inner.call(request);
        let busy = Arc::clone(&busy);
        async move {
            let answer = answer.await;
            busy.store(false, Relaxed);
            answer
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(MAX_HEADERS);
    // An error here is the client's: gone, too slow, or not speaking HTTP.
    if let Err(e) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("http: {e}");
    }
}
