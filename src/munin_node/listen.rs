//! munin_node: connections: which are accepted, and how many at a time.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::Node;
use super::session::{self, LIMITS};

/// The largest number of connections. Beyond it the oldest is closed, so a new one is always
/// served: a master needs one for seconds.
const MAX_CONNECTIONS: usize = 32;
/// The number of refused clients that the log names; all are counted.
const NAMED: u64 = 10;

/// Serves masters until the runtime ends.
pub async fn serve(listener: TcpListener, node: Arc<Node>) {
    let count = &node.from.counters.munin_node;
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, most likely: give connections time to end.
                tracing::debug!("munin_node: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if !node.settings.allow.iter().any(|network| network.holds(from.ip())) {
            let before = count.denied.fetch_add(1, Relaxed);
            tell_denied(from.ip(), before);
            continue;
        }
        count.connections.fetch_add(1, Relaxed);
        open.retain(|task| !task.is_finished());
        if open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
            count.displaced.fetch_add(1, Relaxed);
        }
        // Answers are small and whole: nothing is gained by waiting for more to send.
        let _unused = stream.set_nodelay(true);
        let node = Arc::clone(&node);
        let task = tokio::spawn(async move { session::run(&node, stream, LIMITS).await });
        open.push_back(task.abort_handle());
    }
}

fn tell_denied(from: IpAddr, before: u64) {
    let from = from.to_canonical();
    if before < NAMED {
        tracing::warn!(
            "munin_node: {from} was turned away; if it is a master, add it to [munin_node] allow"
        );
    } else {
        tracing::debug!("munin_node: {from} was turned away");
    }
}
