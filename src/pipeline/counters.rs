//! pipeline: what plimsoll counts about itself. Written with relaxed atomics, read once a beat.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Who brought a sample; the label `source` of `plimsoll_samples_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The built-in collectors.
    Collect,
    /// `INSERT INTO metrics`, and everything else that comes by the inbox.
    Sql,
    /// Senders of statsd and DogStatsD.
    Statsd,
}

impl Source {
    /// Every source, in the order of their counters.
    pub const ALL: [Source; 3] = [Source::Collect, Source::Sql, Source::Statsd];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Source::Collect => "collect",
            Source::Sql => "sql",
            Source::Statsd => "statsd",
        }
    }
}

/// The counters of one process.
#[derive(Debug, Default)]
pub struct Counters {
    stored: [AtomicU64; Source::ALL.len()],
    queue_full: [AtomicU64; Source::ALL.len()],
    series_limit: [AtomicU64; Source::ALL.len()],
    /// Events pushed out of a full queue.
    pub events_dropped: AtomicU64,
    /// Ticks that were due while another was still running or the machine was asleep.
    pub ticks_skipped: AtomicU64,
    /// Transactions committed.
    pub commits: AtomicU64,
    /// Transactions that failed; their samples wait for the next one.
    pub commit_errors: AtomicU64,
    /// Duration of the last commit in nanoseconds, reading the batch to fsync.
    pub commit_nanos: AtomicU64,
    /// The newest beat known to be on disk, in ms since 1970; 0 before the first commit.
    pub durable_ts: AtomicI64,
}

impl Counters {
    /// Samples that are on disk now.
    pub fn stored(&self, source: Source, samples: u64) {
        self.stored[source as usize].fetch_add(samples, Relaxed);
    }

    /// Samples pushed out of a full queue.
    pub fn dropped(&self, source: Source, samples: u64) {
        self.queue_full[source as usize].fetch_add(samples, Relaxed);
    }

    /// Samples of a name beyond the limit on names.
    pub fn refused(&self, source: Source, samples: u64) {
        self.series_limit[source as usize].fetch_add(samples, Relaxed);
    }

    /// What a source brought to disk.
    pub fn stored_by(&self, source: Source) -> u64 {
        self.stored[source as usize].load(Relaxed)
    }

    /// What a source lost, by reason.
    pub fn lost_by(&self, source: Source) -> [(&'static str, u64); 2] {
        [
            ("queue_full", self.queue_full[source as usize].load(Relaxed)),
            ("series_limit", self.series_limit[source as usize].load(Relaxed)),
        ]
    }
}
