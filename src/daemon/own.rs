//! daemon: plimsoll's metrics about its process; each service adds its own. They are readings like
//! all others: stored, shown and served by the same path.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;

use super::shared::Shared;
use crate::model::{Metric, Recorder};
use crate::pipeline::{Reason, Source};

/// A Prometheus keeps this for its targets: where it is missing, nothing was measured.
static UP: Metric = Metric::gauge("up", "", "Always 1; this machine is measured.");

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
static EVENTS_DROPPED: Metric = Metric::counter(
    "plimsoll_events_dropped_total",
    "",
    "Events that were refused: too many at once, a machine or a time that cannot be kept.",
);
static PUSHED_NAMES: Metric =
    Metric::gauge("plimsoll_pushed_names", "", "Names of senders that count towards their bound.");
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
static UNCLEAN: Metric = Metric::gauge(
    "plimsoll_unclean_boot",
    "",
    "1 if the machine went down without a shutdown before it was started; else this is left out.",
);
static STARTED: Metric = Metric::gauge(
    "process_start_time_seconds",
    "seconds",
    "When plimsoll was started, in seconds since 1970.",
);

/// Reads plimsoll itself.
pub struct Own {
    shared: Shared,
    statm: Option<File>,
}

impl Own {
    /// The name under which it appears among the collectors.
    pub const NAME: &'static str = "plimsoll";

    /// The metrics of the process with these services.
    pub fn new(shared: Shared) -> Self {
        Self { shared, statm: File::open("/proc/self/statm").ok() }
    }

    /// Takes one reading.
    pub fn collect(&self, out: &mut Recorder) {
        let c = &*self.shared.counters;
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
        out.put(&PUSHED_NAMES, self.shared.names.used() as f64);
        out.put(&EVENTS_DROPPED, c.events_dropped.load(Relaxed) as f64);
        let odd = c.odd_lines.load(Relaxed);
        if odd > 0 {
            out.put(&ODD_LINES, odd as f64);
        }
        out.put(&COMMITS, c.commits.load(Relaxed) as f64);
        out.put(&COMMIT_ERRORS, c.commit_errors.load(Relaxed) as f64);
        out.put(&COMMIT_DURATION, c.commit_nanos.load(Relaxed) as f64 / 1e9);
        out.put(&DURABLE, c.durable_ts.load(Relaxed) as f64 / 1e3);
        out.put(&QUEUE, self.shared.queue.unwritten() as f64);
        let (waits, spilled) = (c.spill_samples.load(Relaxed), c.spilled.load(Relaxed));
        if waits > 0 || spilled > 0 {
            out.put(&SPILLED, spilled as f64);
            out.put(&SPILL_SAMPLES, waits as f64);
            out.put(&SPILL_BYTES, c.spill_bytes.load(Relaxed) as f64);
        }
        for (part, bytes) in crate::store::sizes(&self.shared.database) {
            out.put_with(&DB_BYTES, &[part], bytes as f64);
        }
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        out.put(&CPU, cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9);
        if let Some(resident) = self.resident() {
            out.put(&RESIDENT, resident);
        }
        if c.unclean_boot.load(Relaxed) {
            out.put(&UNCLEAN, 1.0);
        }
        out.put(&STARTED, self.shared.started as f64 / 1e3);
        self.shared.services.report(&self.shared.board, out);
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
