//! daemon: the service that takes what senders of statsd send.

use std::sync::Arc;

use serde_json::json;

use super::listen::{Places, open_sockets};
use crate::config::Config;
use crate::daemon::memory;
use crate::daemon::running::{Running, Started};
use crate::daemon::service::{Service, Setting, Start};
use crate::daemon::shared::Shared;
use crate::model::{Metric, Recorder, format_duration, format_size};
use crate::pipeline::statsd::{GAUGE_HELP, Gather, JOB, Outlet, Settings, Tally};
use crate::receive::{Drops, SocketReader};
use crate::store::Store;

static STATSD_PACKETS: Metric = Metric::counter(
    "plimsoll_statsd_packets_total",
    "",
    "Datagrams, and pieces of streams, that the statsd receiver got.",
);
static STATSD_LINES: Metric = Metric::counter(
    "plimsoll_statsd_lines_total",
    "",
    "Lines that the statsd receiver got, empty ones left out.",
);
static STATSD_VALUES: Metric = Metric::counter(
    "plimsoll_statsd_values_total",
    "",
    "Values, events and service checks that the statsd receiver took.",
);
static STATSD_BAD: Metric = Metric::counter(
    "plimsoll_statsd_bad_lines_total",
    "",
    "Lines that the statsd receiver did not understand, by reason.",
)
.by(&["reason"]);
static STATSD_REFUSED: Metric = Metric::counter(
    "plimsoll_statsd_refused_total",
    "",
    "Values that the statsd receiver understood and refused, by reason.",
)
.by(&["reason"]);
static STATSD_NAMES: Metric =
    Metric::gauge("plimsoll_statsd_names", "", "Names that the statsd receiver knows.");
static STATSD_FLUSH: Metric = Metric::gauge(
    "plimsoll_statsd_flush_duration_seconds",
    "seconds",
    "How long the statsd receiver worked on its last flush.",
);
static UDP_DROPS: Metric = Metric::counter(
    "plimsoll_udp_drops_total",
    "",
    "Datagrams that the kernel dropped because the receiver was too slow for its buffer.",
)
.by(&["receiver"]);
static UDP_BUFFER: Metric = Metric::gauge(
    "plimsoll_udp_buffer_bytes",
    "bytes",
    "Size of the kernel's buffer for the receiver.",
)
.by(&["receiver"]);

pub(super) const SERVICE: Service = Service {
    name: "statsd",
    greeting: "statsd",
    subjects: &["statsd "],
    settings: &[Setting::next_start("statsd", |a, b| a.statsd == b.statsd)],
    plan: |config| {
        let mut lines = config.statsd.receive.places();
        if let Some(first) = lines.first_mut() {
            let every = format_duration(config.statsd.gather.flush_ms);
            first.push_str(&format!(", written every {every}"));
        }
        lines
    },
    json: |config| {
        let gather = &config.statsd.gather;
        json!({
            "listen": config.statsd.receive.places(),
            "flush_ms": gather.flush_ms,
            "percentiles": gather.percentiles,
            "gauge_ttl_ms": gather.ttl_ms,
            "legacy_names": gather.legacy_names,
        })
    },
    start: Start::First(start),
};

struct Statsd {
    tally: Arc<Tally>,
    /// The counter of datagrams that the kernel drops.
    drops: Drops,
    places: Places,
    reader: SocketReader,
}

impl Running for Statsd {
    fn greeting(&self, config: &Config) -> String {
        let every = format_duration(config.statsd.gather.flush_ms);
        format!("{}, written every {every}", self.places.all().join(", "))
    }

    fn listening(&self) -> Vec<String> {
        self.places.all()
    }

    fn report(&self, out: &mut Recorder) {
        let tally = &*self.tally;
        out.put(&STATSD_PACKETS, tally.packets() as f64);
        out.put(&STATSD_LINES, tally.lines() as f64);
        out.put(&STATSD_VALUES, tally.values() as f64);
        for (reason, bad) in tally.bad() {
            out.put_with(&STATSD_BAD, &[reason], bad as f64);
        }
        for (reason, refused) in tally.refused() {
            out.put_with(&STATSD_REFUSED, &[reason], refused as f64);
        }
        out.put(&STATSD_NAMES, tally.names() as f64);
        out.put(&STATSD_FLUSH, tally.flush_seconds());
        if let Some(buffer) = self.drops.granted() {
            out.put_with(&UDP_DROPS, &["statsd"], self.drops.total() as f64);
            out.put_with(&UDP_BUFFER, &["statsd"], buffer as f64);
        }
    }

    fn stop(&self) {
        self.reader.stop();
    }
}

/// Opens the sockets, and restores the gauges of the process before. Missing sockets are on the
/// board, and affect nothing else. `None` if statsd is not configured.
fn start(shared: &Shared, store: &Store) -> anyhow::Result<Option<Started>> {
    let config = &shared.config().statsd;
    let (sockets, places) = open_sockets("statsd", &config.receive, shared);
    if places.all().is_empty() {
        return Ok(None);
    }
    let (granted, drops, tally) = (sockets.granted(), sockets.drops(), Arc::default());
    let flow = shared.flow.clone();
    let outlet = Outlet { flow, tally: Arc::clone(&tally), rested: memory::give_back };
    let mut gather = Gather::new(config.gather.clone(), outlet);
    restore(&mut gather, &config.gather, shared, store);
    tell_buffer(config.receive.buffer, granted);
    let (reader, thread) = SocketReader::spawn("statsd", sockets, gather, shared.ending())?;
    Ok(Some(Started::thread(Statsd { tally, drops, places, reader }, thread)))
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

/// Reports a small buffer: the kernel may grant less, and bursts are then lost.
fn tell_buffer(wanted: u64, granted: Option<u64>) {
    let Some(granted) = granted.filter(|granted| *granted < wanted) else { return };
    tracing::info!(
        "statsd: the kernel keeps {} for a busy receiver, not {}: bursts may be lost \
         (plimsoll_udp_drops_total tells); to raise it: sysctl -w net.core.rmem_max={wanted}",
        format_size(granted),
        format_size(wanted)
    );
}
