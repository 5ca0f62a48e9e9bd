//! daemon: statsd's receiver, from the configuration to the running thread.

use std::sync::Arc;

use super::beat::Shared;
use super::memory;
use crate::config;
use crate::model::format_size;
use crate::pipeline::statsd::{GAUGE_HELP, Gather, JOB, Outlet, Settings, Tally};
use crate::receive::{self, Drops, Reader, Sockets};
use crate::store::Store;

/// What others may ask about the receiver.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// What it counts.
    pub tally: Arc<Tally>,
    /// What the kernel drops.
    pub drops: Drops,
    /// Where it listens, or will; nothing: it does not run.
    pub places: Vec<String>,
}

/// The sockets of a receiver, and where it listens or will. What cannot be had is on the board until it
/// can.
pub(super) fn open_sockets(
    receiver: &'static str,
    settings: &receive::Settings,
    shared: &Shared,
) -> (Sockets, Vec<String>) {
    let (mut sockets, troubles) = Sockets::open(settings);
    let mut places = sockets.places().to_vec();
    let board = Arc::clone(&shared.board);
    let fail = move |place: &str, what: &str| {
        board.fail(
            &format!("{receiver} {place}"),
            format!("{what}; everything else goes on without"),
        );
    };
    for trouble in troubles {
        fail(&trouble.place, &trouble.message);
        places.push(format!("{} (not yet)", trouble.place));
    }
    let board = Arc::clone(&shared.board);
    sockets.tell_later(move |place, result| match result {
        Ok(()) => board.ok(&format!("{receiver} {place}")),
        Err(what) => fail(place, what),
    });
    (sockets, places)
}

/// Ready to start.
#[derive(Debug)]
pub struct Receiver {
    sockets: Sockets,
    gather: Gather,
}

/// Opens the sockets, and takes up the gauges where the process before this one left them. What
/// cannot be had is on the board, and nothing else suffers. `None`: nobody is to listen.
pub fn open(config: &config::Statsd, shared: &Shared, store: &Store) -> (Watch, Option<Receiver>) {
    let (sockets, places) = open_sockets("statsd", &config.receive, shared);
    let granted = sockets.granted();
    let watch = Watch { drops: sockets.drops(), places, ..Watch::default() };
    if watch.places.is_empty() {
        return (watch, None);
    }
    let outlet = Outlet {
        registry: Arc::clone(&shared.registry),
        queue: Arc::clone(&shared.queue),
        latest: Arc::clone(&shared.latest),
        counters: Arc::clone(&shared.counters),
        allowed: Arc::clone(&shared.names),
        tally: Arc::clone(&watch.tally),
        clock: Arc::clone(&shared.clock),
        rested: memory::give_back,
    };
    let mut gather = Gather::new(config.gather.clone(), outlet);
    restore(&mut gather, &config.gather, shared, store);
    tell_buffer(config.receive.buffer, granted);
    (watch, Some(Receiver { sockets, gather }))
}

fn restore(gather: &mut Gather, settings: &Settings, shared: &Shared, store: &Store) {
    let now = shared.clock.wall_ms();
    // Two flushes: the last one may have been half a flush before the end.
    let window = settings.flush_ms.saturating_mul(2) + 1_000;
    match store.remembered(JOB, GAUGE_HELP, window, now) {
        Ok(known) => gather.restore(known.values.into_iter(), (now - known.ts).max(0)),
        Err(e) => tracing::warn!("statsd: the gauges of before are not taken up: {e}"),
    }
}

/// The kernel gives what it likes, and bursts are lost if that is little.
fn tell_buffer(wanted: u64, granted: Option<u64>) {
    let Some(granted) = granted.filter(|granted| *granted < wanted) else { return };
    tracing::info!(
        "statsd: the kernel keeps {} for a busy receiver, not {}: bursts may be lost \
         (plimsoll_udp_drops_total tells); to raise it: sysctl -w net.core.rmem_max={wanted}",
        format_size(granted),
        format_size(wanted)
    );
}

impl Receiver {
    /// Starts the thread. `held` is dropped when it ends, however it does.
    pub fn start(self, held: impl Send + 'static) -> std::io::Result<Reader> {
        Reader::spawn("statsd", self.sockets, self.gather, held)
    }
}
