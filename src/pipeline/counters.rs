//! pipeline: plimsoll's counters about itself. Written with relaxed atomics, read once a beat.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

/// The source of a sample; the label `source` of `plimsoll_samples_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The built-in collectors.
    Collect,
    /// `INSERT INTO metrics`, and everything else that comes by the inbox.
    Sql,
    /// Influx line protocol.
    Influx,
    /// Prometheus remote write.
    RemoteWrite,
    /// JSON.
    Json,
    /// The Prometheus text format, pushed.
    Text,
    /// Graphite plaintext.
    Graphite,
    /// Senders of statsd and DogStatsD.
    Statsd,
    /// Plugins.
    Plugin,
}

impl Source {
    /// All sources, in the order of their counters.
    pub const ALL: [Source; 9] = [
        Source::Collect,
        Source::Sql,
        Source::Influx,
        Source::RemoteWrite,
        Source::Json,
        Source::Text,
        Source::Graphite,
        Source::Statsd,
        Source::Plugin,
    ];

    /// Whether senders bring it, each sample with a time of its own.
    pub fn is_pushed(self) -> bool {
        use Source::{Graphite, Influx, Json, RemoteWrite, Text};
        matches!(self, Influx | RemoteWrite | Json | Text | Graphite)
    }

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Source::Collect => "collect",
            Source::Sql => "sql",
            Source::Influx => "influx",
            Source::RemoteWrite => "remote_write",
            Source::Json => "json",
            Source::Text => "text",
            Source::Graphite => "graphite",
            Source::Statsd => "statsd",
            Source::Plugin => "plugin",
        }
    }
}

/// Why a sample was not kept; the label `reason` of `plimsoll_samples_dropped_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The queue was full, and the sender was gone or could not be told.
    QueueFull,
    /// Its name would have been one too many.
    SeriesLimit,
    /// The sample could not be read: a bad line, a bad name, a time outside the calendar.
    Invalid,
    /// The value is not a number: a text field of Influx, a native histogram.
    NoNumber,
    /// Its sender may not write it: plimsoll measures it itself, or it is of another machine than the
    /// token.
    Forbidden,
}

impl Reason {
    /// All reasons, in the order of their counters.
    pub const ALL: [Reason; 5] = [
        Reason::QueueFull,
        Reason::SeriesLimit,
        Reason::Invalid,
        Reason::NoNumber,
        Reason::Forbidden,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Reason::QueueFull => "queue_full",
            Reason::SeriesLimit => "series_limit",
            Reason::Invalid => "invalid",
            Reason::NoNumber => "no_number",
            Reason::Forbidden => "forbidden",
        }
    }
}

/// Counters for Munin masters that connect to this machine.
#[derive(Debug, Default)]
pub struct MuninNode {
    /// Connections that were let in.
    pub connections: AtomicU64,
    /// Lines that were answered.
    pub commands: AtomicU64,
    /// Connections from where none is allowed.
    pub denied: AtomicU64,
    /// Connections that were closed for newer ones, because there were too many.
    pub displaced: AtomicU64,
    /// Connections that were too slow, or too long.
    pub timed_out: AtomicU64,
    /// Connections that were ended for a line without end.
    pub long_lines: AtomicU64,
    /// Handshakes that came to nothing.
    pub tls_failed: AtomicU64,
}

/// The counters of one process.
#[derive(Debug, Default)]
pub struct Counters {
    stored: [AtomicU64; Source::ALL.len()],
    lost: [[AtomicU64; Reason::ALL.len()]; Source::ALL.len()],
    /// The machine went down without telling plimsoll before it was started this time.
    pub unclean_boot: AtomicBool,
    /// Pushes that were answered with "later", because too much waited to be written.
    pub pushes_put_off: AtomicU64,
    /// Pushes without any accepted value, as their senders were told: too large, not readable, a
    /// group with a bad line.
    pub pushes_refused: AtomicU64,
    /// Requests by HTTP with a token that is not known here.
    pub tokens_refused: AtomicU64,
    /// Events that did not fit into the queue.
    pub events_dropped: AtomicU64,
    /// Groups of pushed text that were forgotten for newer ones, because there were too many.
    pub groups_forgotten: AtomicU64,
    /// Connections to the Graphite receiver that were closed for newer ones, because there were too
    /// many.
    pub graphite_connections_refused: AtomicU64,
    /// Masters of Munin that came to ask.
    pub munin_node: MuninNode,
    /// Alerts that were refused because too many were open, and those that were given up while they
    /// waited to be written.
    pub alerts_dropped: AtomicU64,
    /// Descriptions of charts that found the queue full of them.
    pub graphs_dropped: AtomicU64,
    /// Pages that are being kept up to date.
    pub viewers: AtomicU64,
    /// Viewers that were disconnected because they were too slow.
    pub viewers_dropped: AtomicU64,
    /// Viewers that were refused because there were too many.
    pub viewers_refused: AtomicU64,
    /// Ticks that were due while another was still running or the machine was asleep.
    pub ticks_skipped: AtomicU64,
    /// Lines of /proc and /sys that were not understood and left out.
    pub odd_lines: AtomicU64,
    /// Transactions committed.
    pub commits: AtomicU64,
    /// Transactions that failed; their samples wait for the next one.
    pub commit_errors: AtomicU64,
    /// Duration of the last commit in nanoseconds, reading the batch to fsync.
    pub commit_nanos: AtomicU64,
    /// Samples that were put beside the database because a reader kept its log from being emptied.
    pub spilled: AtomicU64,
    /// Samples in the spill that wait now.
    pub spill_samples: AtomicU64,
    /// Bytes of the file that they wait in.
    pub spill_bytes: AtomicU64,
    /// Questions that are being answered now.
    pub queries_running: AtomicU64,
    /// Questions that wait for their turn.
    pub queries_waiting: AtomicU64,
    /// Questions that were answered, or given up, since the start.
    pub queries_done: AtomicU64,
    /// Questions whose turn did not come in time.
    pub queries_refused: AtomicU64,
    /// The newest beat known to be on disk, in ms since 1970; 0 before the first commit.
    pub durable_ts: AtomicI64,
}

impl Counters {
    /// Samples that are on disk now.
    pub fn stored(&self, source: Source, samples: u64) {
        self.stored[source as usize].fetch_add(samples, Relaxed);
    }

    /// Samples that were not kept.
    pub fn lost(&self, source: Source, reason: Reason, samples: u64) {
        self.lost[source as usize][reason as usize].fetch_add(samples, Relaxed);
    }

    /// The number of samples from a source that are on disk.
    pub fn stored_by(&self, source: Source) -> u64 {
        self.stored[source as usize].load(Relaxed)
    }

    /// The number of samples from a source that were lost for one reason.
    pub fn lost_by(&self, source: Source, reason: Reason) -> u64 {
        self.lost[source as usize][reason as usize].load(Relaxed)
    }
}
