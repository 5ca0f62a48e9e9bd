//! daemon: the munin-node's start: its sockets, its certificate, and what it answers from.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Daemon, web};
use crate::config::{Config, TlsSettings};
use crate::http;
use crate::munin_node::{self, Acceptor, Node, Sources};
use crate::pipeline::Board;

const SUBJECT: &str = "munin_node";
/// A collector that missed two beats is behind; one that missed three has stopped.
const BEATS: i64 = 3;
/// Intervals can be changed while it runs; this is what they may become without a word here.
const LEAST_MS: i64 = 900_000;

/// Listens where it is told to; without it the main job still goes on, and the board says so.
pub(super) fn start_node(daemon: &mut Daemon) {
    let config = daemon.config();
    let wanted = &config.munin_node;
    if wanted.node.listen.is_empty() {
        return;
    }
    let shared = &daemon.shared;
    let board = Arc::clone(&shared.board);
    let from = Sources {
        registry: Arc::clone(&shared.registry),
        latest: Arc::clone(&shared.latest),
        shelf: Arc::clone(&shared.shelf),
        counters: Arc::clone(&shared.counters),
        clock: Arc::clone(&shared.clock),
        database: daemon.database.clone(),
        head: Arc::clone(&daemon.head),
        sys: config.collect.sys.clone(),
        fresh_ms: fresh_ms(&config),
    };
    let load = {
        let (tls, board) = (wanted.tls.clone(), Arc::clone(&board));
        move || load(tls.as_ref(), &board)
    };
    let (settings, system) = (wanted.node.clone(), daemon.system.clone());
    let listen = wanted.node.listen.clone();
    match web::told(&board, SUBJECT, load()) {
        Some(tls) => {
            let node = Arc::new(Node::new(settings, &system, tls, from));
            daemon.munin_node = listen.iter().filter_map(|at| serve(*at, &node, &board)).collect();
        }
        None => drop(tokio::spawn(async move {
            let tls = web::persist(&board, SUBJECT, None, load).await;
            let node = Arc::new(Node::new(settings, &system, tls, from));
            let places = listen.iter().filter_map(|at| serve(*at, &node, &board));
            places.for_each(|at| tracing::info!("munin node {at}"));
        })),
    }
}

fn load(tls: Option<&TlsSettings>, board: &Arc<Board>) -> Result<Option<Acceptor>, String> {
    let load = |t| http::Tls::load(t, "munin_node tls", Arc::clone(board));
    let tls = tls.map(load).transpose();
    let tls = tls.map_err(|e| format!("cannot speak TLS: {e}; nobody is answered"))?;
    Ok(tls.map(|tls| Arc::new(move || tls.acceptor()) as Acceptor))
}

/// Answers at this address, at once or as soon as it can be had. Where, if that is at once.
fn serve(address: SocketAddr, node: &Arc<Node>, board: &Arc<Board>) -> Option<SocketAddr> {
    let open = move || {
        web::bind(address).map_err(|e| {
            format!(
                "cannot listen on {address}: {e}; everything else goes on without, and it is tried \
                 again (is a munin-node running?)"
            )
        })
    };
    let subject = format!("{SUBJECT} {address}");
    let first = web::told(board, &subject, open());
    let (node, board) = (Arc::clone(node), Arc::clone(board));
    let place = first.as_ref().and_then(|listener| listener.local_addr().ok());
    tokio::spawn(async move {
        let listener = web::persist(&board, &subject, first, open).await;
        munin_node::serve(listener, node).await;
    });
    place
}

/// How old a value may be and still be the present one.
fn fresh_ms(config: &Config) -> i64 {
    let slowest = config.collectors.iter().map(|c| c.interval.as_ms()).max().unwrap_or(0);
    (slowest * BEATS).max(LEAST_MS)
}
