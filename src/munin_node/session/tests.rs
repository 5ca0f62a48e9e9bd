//! munin_node: a session over a pipe in memory.

use std::sync::atomic::AtomicU64;

use super::super::{Settings, Sources};
use super::*;
use crate::model::SystemClock;
use crate::pipeline::{Flow, Names};
use crate::query::desk::Desk;

fn node() -> Arc<Node> {
    let flow = Flow::new(Arc::new(SystemClock), "web1", 1_000, 1_000, Names::default());
    let counters = Arc::clone(&flow.counters);
    let from = Sources {
        flow,
        shelf: Arc::default(),
        desk: Arc::new(Desk::new("/nonexistent".into(), Arc::default(), counters)),
        sys: "/nonexistent".into(),
        fresh_ms: 60_000,
    };
    Arc::new(Node::new(Settings::default(), "web1", None, from))
}

/// The answers to what is sent; the client then keeps the line open until it is cut.
fn said(node: &Arc<Node>, sent: &[u8], limits: Limits, hang_up: bool) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (mut master, ours) = tokio::io::duplex(1 << 16);
        master.write_all(sent).await.expect("sent");
        if hang_up {
            master.shutdown().await.expect("half closed");
        }
        run(node, ours, limits).await;
        let mut text = String::new();
        master.read_to_string(&mut text).await.expect("read");
        text
    })
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

const QUICK: Limits =
    Limits { idle: Duration::from_millis(50), total: Duration::from_secs(5), line: 64 };

#[test]
fn lines_in_pieces_and_with_carriage_returns() {
    let node = node();
    let text = said(&node, b"nodes\r\nfetch x\nhel", LIMITS, true);
    assert_eq!(text, "# munin node at web1\nweb1\n.\n# Unknown service\n.\n");
    assert_eq!(count(&node.from.counters.munin_node.commands), 2, "half a line is none");
}

#[test]
fn quit_ends_it_and_what_follows_is_not_read() {
    assert_eq!(said(&node(), b"quit\nnodes\n", LIMITS, false), "# munin node at web1\n");
}

#[test]
fn a_line_without_end() {
    for line in [vec![b'x'; 100], [vec![b'x'; 100], b"\nnodes\n".to_vec()].concat()] {
        let node = node();
        let text = said(&node, &line, QUICK, false);
        assert!(text.ends_with("# A line may have 64 bytes. Closing.\n"), "{text}");
        assert_eq!(count(&node.from.counters.munin_node.long_lines), 1);
    }
}

#[test]
fn who_says_nothing_is_left() {
    let node = node();
    assert_eq!(said(&node, b"nod", QUICK, false), "# munin node at web1\n");
    assert_eq!(count(&node.from.counters.munin_node.timed_out), 1);
    let limits = Limits { idle: Duration::from_secs(5), total: Duration::from_millis(50), line: 9 };
    said(&node, b"", limits, false);
    assert_eq!(count(&node.from.counters.munin_node.timed_out), 2);
}

#[test]
fn who_takes_nothing_is_left() {
    let node = node();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        // Not even the greeting fits.
        let (master, ours) = tokio::io::duplex(4);
        run(&node, ours, QUICK).await;
        drop(master);
    });
    assert_eq!(count(&node.from.counters.munin_node.timed_out), 1);
}
