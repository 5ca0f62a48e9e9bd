//! daemon: the munin-node's start: its sockets, its certificate, and what it answers from.

use std::sync::Arc;

use super::{Daemon, web};
use crate::config::Config;
use crate::http;
use crate::munin_node::{self, Acceptor, Node, Sources};

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
    let board = &shared.board;
    let loaded =
        wanted.tls.as_ref().map(|t| http::Tls::load(t, "munin_node tls", Arc::clone(board)));
    let tls: Option<Acceptor> = match loaded.transpose() {
        Ok(tls) => tls.map(|tls| Arc::new(move || tls.acceptor()) as Acceptor),
        Err(e) => {
            let what = format!("cannot speak TLS: {e}; nobody is answered");
            return board.fail(SUBJECT, what);
        }
    };
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
    let node = Arc::new(Node::new(wanted.node.clone(), &daemon.system, tls, from));
    for address in &wanted.node.listen {
        match web::bind(*address) {
            Ok(listener) => {
                daemon.munin_node.extend(listener.local_addr());
                tokio::spawn(munin_node::serve(listener, Arc::clone(&node)));
            }
            Err(e) => board.fail(
                &format!("{SUBJECT} {address}"),
                format!(
                    "cannot listen on {address}: {e}; everything else goes on without (is a \
                     munin-node running?)"
                ),
            ),
        }
    }
}

/// How old a value may be and still be the present one.
fn fresh_ms(config: &Config) -> i64 {
    let slowest = config.collectors.iter().map(|c| c.interval.as_ms()).max().unwrap_or(0);
    (slowest * BEATS).max(LEAST_MS)
}
