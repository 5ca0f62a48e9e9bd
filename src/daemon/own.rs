//! daemon: what plimsoll says about itself. Readings like all others: they are stored, shown and
//! served by the same path.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::statsd::Watch;
use crate::model::{
    Identity, KeyFilter, Kind, Labels, Metric, Recorder, Registry, Series, SeriesRef,
};
use crate::pipeline::{Counters, Names, Queue, Reason, Source};

pub static SUCCESS: Metric = Metric::gauge(
    "plimsoll_collect_success",
    "",
    "Whether the collector's last reading succeeded (1) or not (0).",
)
.by(&["collector"]);
pub static DURATION: Metric = Metric::gauge(
    "plimsoll_collect_duration_seconds",
    "seconds",
    "How long the collector's last reading took.",
)
.by(&["collector"]);
pub static INTERVAL: Metric = Metric::gauge(
    "plimsoll_collect_interval_seconds",
    "seconds",
    "How often the collector is read at present.",
)
.by(&["collector"]);

/// As a Prometheus keeps it of what it scrapes: where it is missing, nothing was measured.
static UP: Metric = Metric::gauge("up", "", "Always 1; this machine is measured.");

/// `up` of a source that was asked: another machine, a plugin, or a program that prints as an exporter
/// does. `None`: the filter leaves it out.
pub fn up(
    registry: &Registry,
    filter: &KeyFilter,
    system: Option<&str>,
    job: &str,
    labels: Labels,
) -> Option<SeriesRef> {
    let mut identity = Identity::local(job, "up", labels);
    identity.system = system.map(Into::into);
    if !filter.wants(&identity.key()) {
        return None;
    }
    let help = "Whether it could be asked (1) or not (0).".into();
    Some(registry.intern(Series { identity, kind: Kind::Gauge, unit: "".into(), help }))
}

static BUILD: Metric =
    Metric::gauge("plimsoll_build_info", "", "Always 1; which plimsoll this is.").by(&["version"]);
static SKIPPED: Metric = Metric::counter(
    "plimsoll_ticks_skipped_total",
    "",
    "Readings that were not taken because the one before took too long or the machine slept.",
);
static ODD_LINES: Metric = Metric::counter(
    "plimsoll_odd_lines_total",
    "",
    "Lines of /proc and /sys that were not understood and left out.",
);
static SAMPLES: Metric =
    Metric::counter("plimsoll_samples_total", "", "Samples written to the database.")
        .by(&["source"]);
static DROPPED: Metric =
    Metric::counter("plimsoll_samples_dropped_total", "", "Samples that were lost, and why.")
        .by(&["source", "reason"]);
static PUT_OFF: Metric = Metric::counter(
    "plimsoll_pushes_put_off_total",
    "",
    "Pushes that were told to come again later, because too much waited to be written.",
);
static PUSHES_REFUSED: Metric = Metric::counter(
    "plimsoll_pushes_refused_total",
    "",
    "Pushes by HTTP of which nothing was taken, as their senders were told.",
);
static TOKENS_REFUSED: Metric = Metric::counter(
    "plimsoll_tokens_refused_total",
    "",
    "Requests by HTTP with a token that is not known here.",
);
static GROUPS_FORGOTTEN: Metric = Metric::counter(
    "plimsoll_push_groups_forgotten_total",
    "",
    "Groups of pushed text that were forgotten, because there were too many.",
);
static TURNED_AWAY: Metric = Metric::counter(
    "plimsoll_connections_refused_total",
    "",
    "Connections of senders that were closed for newer ones, because there were too many.",
)
.by(&["receiver"]);
static EVENTS_DROPPED: Metric = Metric::counter(
    "plimsoll_events_dropped_total",
    "",
    "Events that were refused: too many at once, a machine or a time that cannot be kept.",
);
static PUSHED_NAMES: Metric =
    Metric::gauge("plimsoll_pushed_names", "", "Names of senders that count towards their bound.");
static VIEWERS: Metric =
    Metric::gauge("plimsoll_viewers", "", "Pages that are being kept up to date.");
static VIEWERS_LOST: Metric = Metric::counter(
    "plimsoll_viewers_dropped_total",
    "",
    "Pages that are no longer kept up to date, or were not from the first: too slow, too many.",
)
.by(&["reason"]);
static COMMITS: Metric =
    Metric::counter("plimsoll_commits_total", "", "Transactions committed to the database.");
static COMMIT_ERRORS: Metric = Metric::counter(
    "plimsoll_commit_errors_total",
    "",
    "Transactions that failed; their samples waited for the next one.",
);
static COMMIT_DURATION: Metric = Metric::gauge(
    "plimsoll_commit_duration_seconds",
    "seconds",
    "How long the last transaction took, until it was on disk.",
);
static DURABLE: Metric = Metric::gauge(
    "plimsoll_durable_timestamp_seconds",
    "seconds",
    "Time of the newest reading known to be on disk, in seconds since 1970.",
);
static QUEUE: Metric =
    Metric::gauge("plimsoll_queue_samples", "", "Samples waiting to be written.");
static SPILLED: Metric = Metric::counter(
    "plimsoll_spilled_samples_total",
    "",
    "Samples put beside the database because a program held an old picture of it.",
);
static SPILL_SAMPLES: Metric = Metric::gauge(
    "plimsoll_spill_samples",
    "",
    "Samples beside the database that are on disk and wait to be taken in.",
);
static SPILL_BYTES: Metric =
    Metric::gauge("plimsoll_spill_bytes", "bytes", "Size of the file that these samples wait in.");
static DB_BYTES: Metric =
    Metric::gauge("plimsoll_db_bytes", "bytes", "Size of the database's files.").by(&["part"]);
static CPU: Metric = Metric::counter(
    "process_cpu_seconds_total",
    "seconds",
    "CPU time plimsoll has used, in user and system mode.",
);
static RESIDENT: Metric = Metric::gauge(
    "process_resident_memory_bytes",
    "bytes",
    "Memory of plimsoll that is in RAM, shared pages included.",
);
static STARTED: Metric = Metric::gauge(
    "process_start_time_seconds",
    "seconds",
    "When plimsoll was started, in seconds since 1970.",
);

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
    "What the statsd receiver got and did not understand, and why.",
)
.by(&["reason"]);
static STATSD_REFUSED: Metric = Metric::counter(
    "plimsoll_statsd_refused_total",
    "",
    "Values that the statsd receiver understood and did not take, and why.",
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
    "What the kernel keeps for the receiver while it is busy.",
)
.by(&["receiver"]);

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

/// Reads plimsoll itself.
#[derive(Debug)]
pub struct Own {
    counters: Arc<Counters>,
    queue: Arc<Queue>,
    names: Arc<Names>,
    database: PathBuf,
    started_ms: i64,
    statm: Option<File>,
    statsd: Watch,
}

impl Own {
    /// The name under which it appears among the collectors.
    pub const NAME: &'static str = "plimsoll";

    /// `started_ms`: ms since 1970 UTC.
    pub fn new(
        counters: Arc<Counters>,
        queue: Arc<Queue>,
        names: Arc<Names>,
        database: PathBuf,
        started_ms: i64,
        statsd: Watch,
    ) -> Self {
        let statm = File::open("/proc/self/statm").ok();
        Self { counters, queue, names, database, started_ms, statm, statsd }
    }

    /// One reading.
    pub fn collect(&self, out: &mut Recorder) {
        let c = &*self.counters;
        out.put(&UP, 1.0);
        out.put_with(&BUILD, &[env!("CARGO_PKG_VERSION")], 1.0);
        out.put(&SKIPPED, c.ticks_skipped.load(Relaxed) as f64);
        // A sender that never came is not worth a series.
        let local = |source| matches!(source, Source::Collect | Source::Sql | Source::Statsd);
        for source in Source::ALL {
            let stored = c.stored_by(source);
            if local(source) || stored > 0 {
                out.put_with(&SAMPLES, &[source.name()], stored as f64);
            }
        }
        for source in Source::ALL {
            for reason in Reason::ALL {
                let lost = c.lost_by(source, reason);
                let usual = matches!(reason, Reason::QueueFull | Reason::SeriesLimit);
                if local(source) && usual || lost > 0 {
                    out.put_with(&DROPPED, &[source.name(), reason.name()], lost as f64);
                }
            }
        }
        out.put(&PUSHED_NAMES, self.names.used() as f64);
        out.put(&EVENTS_DROPPED, c.events_dropped.load(Relaxed) as f64);
        // Most machines never have any of these.
        for (metric, counter) in [
            (&ODD_LINES, &c.odd_lines),
            (&PUT_OFF, &c.pushes_put_off),
            (&PUSHES_REFUSED, &c.pushes_refused),
            (&TOKENS_REFUSED, &c.tokens_refused),
            (&GROUPS_FORGOTTEN, &c.groups_forgotten),
        ] {
            let count = counter.load(Relaxed);
            if count > 0 {
                out.put(metric, count as f64);
            }
        }
        let turned_away = c.graphite_connections_refused.load(Relaxed);
        if turned_away > 0 {
            out.put_with(&TURNED_AWAY, &["graphite"], turned_away as f64);
        }
        for (metric, labels, count) in [
            (&VIEWERS, &[][..], &c.viewers),
            (&VIEWERS_LOST, &["slow"], &c.viewers_dropped),
            (&VIEWERS_LOST, &["full"], &c.viewers_refused),
        ] {
            let count = count.load(Relaxed);
            if count > 0 {
                out.put_with(metric, labels, count as f64);
            }
        }
        out.put(&COMMITS, c.commits.load(Relaxed) as f64);
        out.put(&COMMIT_ERRORS, c.commit_errors.load(Relaxed) as f64);
        out.put(&COMMIT_DURATION, c.commit_nanos.load(Relaxed) as f64 / 1e9);
        out.put(&DURABLE, c.durable_ts.load(Relaxed) as f64 / 1e3);
        out.put(&QUEUE, self.queue.unwritten() as f64);
        let (waits, spilled) = (c.spill_samples.load(Relaxed), c.spilled.load(Relaxed));
        if waits > 0 || spilled > 0 {
            out.put(&SPILLED, spilled as f64);
            out.put(&SPILL_SAMPLES, waits as f64);
            out.put(&SPILL_BYTES, c.spill_bytes.load(Relaxed) as f64);
        }
        for (part, bytes) in crate::store::sizes(&self.database) {
            out.put_with(&DB_BYTES, &[part], bytes as f64);
        }
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        out.put(&CPU, cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
        if let Some(resident) = self.resident() {
            out.put(&RESIDENT, resident);
        }
        out.put(&STARTED, self.started_ms as f64 / 1e3);
        if !self.statsd.places.is_empty() {
            self.statsd(out);
        }
        self.munin_node(out);
    }

    /// Nothing before anybody has come.
    fn munin_node(&self, out: &mut Recorder) {
        let node = &self.counters.munin_node;
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

    fn statsd(&self, out: &mut Recorder) {
        let tally = &*self.statsd.tally;
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
        if let Some(buffer) = self.statsd.drops.granted() {
            out.put_with(&UDP_DROPS, &["statsd"], self.statsd.drops.total() as f64);
            out.put_with(&UDP_BUFFER, &["statsd"], buffer as f64);
        }
    }

    /// The second field of /proc/self/statm, in bytes.
    fn resident(&self) -> Option<f64> {
        let mut text = [0u8; 128];
        let n = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let pages: u64 =
            std::str::from_utf8(&text[..n]).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((pages * rustix::param::page_size() as u64) as f64)
    }
}
