//! daemon: the service that answers Munin masters: its sockets, its certificate, and the sources of
//! its answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use super::listen::{Places, bind, persist, told};
use crate::config::{Config, TlsSettings};
use crate::daemon::running::{Running, Started};
use crate::daemon::service::{Service, Setting, Start};
use crate::daemon::shared::Shared;
use crate::http;
use crate::model::{Metric, Recorder};
use crate::munin_node::{self, Acceptor, Node, Sources};
use crate::pipeline::Board;

static MASTERS: Metric = Metric::counter(
    "plimsoll_munin_node_connections_total",
    "",
    "Connections of Munin's masters that were let in.",
);
static MASTERS_ASKED: Metric = Metric::counter(
    "plimsoll_munin_node_commands_total",
    "",
    "Lines of Munin's masters that were answered.",
);
static MASTERS_CUT: Metric = Metric::counter(
    "plimsoll_munin_node_refused_total",
    "",
    "Connections to the munin-node that were turned away or ended from this side, and why.",
)
.by(&["reason"]);

pub(super) const SERVICE: Service = Service {
    name: "munin_node",
    greeting: "munin node",
    subjects: &[SUBJECT],
    settings: &[Setting::next_start("munin_node", |a, b| a.munin_node == b.munin_node)],
    plan: |config| {
        let node = &config.munin_node.node;
        if node.listen.is_empty() {
            return Vec::new();
        }
        let strings = |of: &[SocketAddr]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
        let allow: Vec<String> = node.allow.iter().map(ToString::to_string).collect();
        vec![strings(&node.listen).join(", "), format!("for {}", allow.join(", "))]
    },
    json: |config| {
        let node = &config.munin_node.node;
        json!({
            "listen": node.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "allow": node.allow.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "spool": node.spool,
        })
    },
    start: Start::First(|shared, _| Ok(start(shared).map(Started::tasks))),
};

struct Masters {
    shared: Shared,
    places: Places,
}

impl Running for Masters {
    fn greeting(&self, _: &Config) -> String {
        self.places.all().join(", ")
    }

    fn listening(&self) -> Vec<String> {
        self.places.all()
    }

    /// Reports nothing before the first master has come.
    fn report(&self, out: &mut Recorder) {
        let node = &self.shared.counters.munin_node;
        let connections = node.connections.load(Relaxed);
        if connections > 0 {
            out.put(&MASTERS, connections as f64);
            out.put(&MASTERS_ASKED, node.commands.load(Relaxed) as f64);
        }
        for (reason, counter) in [
            ("denied", &node.denied),
            ("too_many", &node.displaced),
            ("slow", &node.timed_out),
            ("long_line", &node.long_lines),
            ("tls", &node.tls_failed),
        ] {
            let count = counter.load(Relaxed);
            if count > 0 {
                out.put_with(&MASTERS_CUT, &[reason], count as f64);
            }
        }
    }
}

/// Starts listening. If that fails, everything else continues, and the board reports it.
fn start(shared: &Shared) -> Option<Masters> {
    let config = shared.config();
    let wanted = &config.munin_node;
    if wanted.node.listen.is_empty() {
        return None;
    }
    // Before the first plugin has spoken: it describes itself every five minutes only.
    shared.shelf.want();
    let board = Arc::clone(&shared.board);
    let from = Sources {
        flow: shared.flow.clone(),
        shelf: Arc::clone(&shared.shelf),
        desk: Arc::clone(&shared.desk),
        sys: config.collect.sys.clone(),
        fresh_ms: fresh_ms(&config),
    };
    let load = {
        let (tls, board) = (wanted.tls.clone(), Arc::clone(&board));
        move || load(tls.as_ref(), &board)
    };
    let (settings, system) = (wanted.node.clone(), Arc::clone(&shared.system));
    let listen = wanted.node.listen.clone();
    let places = Places::default();
    listen.iter().for_each(|at| places.wait_for(&at.to_string()));
    match told(&board, SUBJECT, load()) {
        Some(tls) => {
            let node = Arc::new(Node::new(settings, &system, tls, from));
            listen.iter().for_each(|at| serve(*at, &node, &board, &places));
        }
        None => {
            let places = places.clone();
            tokio::spawn(async move {
                let tls = persist(&board, SUBJECT, None, load).await;
                let node = Arc::new(Node::new(settings, &system, tls, from));
                listen.iter().for_each(|at| serve(*at, &node, &board, &places));
            });
        }
    }
    Some(Masters { shared: shared.clone(), places })
}

const SUBJECT: &str = "munin_node";
/// A collector that missed two beats is behind; one that missed three has stopped.
const BEATS: i64 = 3;
/// The least age limit, because intervals can change at runtime without notice here.
const LEAST_MS: i64 = 900_000;

fn load(tls: Option<&TlsSettings>, board: &Arc<Board>) -> Result<Option<Acceptor>, String> {
    let load = |t| http::Tls::load(t, "munin_node tls", Arc::clone(board));
    let tls = tls.map(load).transpose();
    let tls = tls.map_err(|e| format!("cannot use TLS: {e}; no master is answered"))?;
    Ok(tls.map(|tls| Arc::new(move || tls.acceptor()) as Acceptor))
}

/// Answers at this address, at once or as soon as it can be had.
fn serve(address: SocketAddr, node: &Arc<Node>, board: &Arc<Board>, places: &Places) {
    let open = move || {
        bind(address).map_err(|e| {
            format!(
                "cannot listen on {address}: {e}; everything else goes on without, and it is tried \
                 again (is a munin-node running?)"
            )
        })
    };
    let note = move |listener: &tokio::net::TcpListener, places: &Places| {
        let found = listener.local_addr().unwrap_or(address);
        places.opened(&address.to_string(), &found.to_string());
    };
    let subject = format!("{SUBJECT} {address}");
    let first = told(board, &subject, open());
    if let Some(listener) = &first {
        note(listener, places);
    }
    let (node, board, places) = (Arc::clone(node), Arc::clone(board), places.clone());
    let at_once = first.is_some();
    tokio::spawn(async move {
        let listener = persist(&board, &subject, first, open).await;
        if !at_once {
            note(&listener, &places);
            tracing::info!("munin node {address}");
        }
        munin_node::serve(listener, node).await;
    });
}

/// The largest age of a value that counts as current.
fn fresh_ms(config: &Config) -> i64 {
    let slowest = config.collectors.iter().map(|c| c.interval.as_ms()).max().unwrap_or(0);
    (slowest * BEATS).max(LEAST_MS)
}
