//! store: how much is kept, and what each kind of content may take of it.

/// How much is kept; may be changed at any time, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of plain rows.
    pub plain_rows: u64,
    /// Bytes of file, write-ahead log and shared memory.
    pub max_size: u64,
    /// Age of samples, in ms.
    pub raw_ms: i64,
    /// Age of five-minute rollups, in ms.
    pub five_minutes_ms: i64,
    /// Age of hourly rows, in ms.
    pub hours_ms: i64,
}

pub(in crate::store) const DAY_MS: i64 = 86_400_000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            plain_rows: 64_000_000,
            max_size: 1 << 30,
            raw_ms: 30 * DAY_MS,
            five_minutes_ms: 400 * DAY_MS,
            hours_ms: 3_650 * DAY_MS,
        }
    }
}

impl Limits {
    /// What plain rows may take when the whole is small.
    pub(in crate::store) fn plain_budget(&self) -> u64 {
        self.plain_rows.min(self.max_size / 4)
    }

    /// Plain rows before senders are turned away: several times their budget, so that there is time to
    /// seal them, and always room for history.
    pub(in crate::store) fn most_rows(&self) -> u64 {
        let bytes = self.plain_budget().saturating_mul(4).min(self.max_size / 8 * 5);
        bytes / ROW_BYTES_MOST
    }

    /// Upkeep waits while a reader keeps the write-ahead log from being emptied and it is this long.
    pub(in crate::store) fn log_limit(&self) -> u64 {
        (self.max_size / 8).clamp(1 << 20, 64 << 20)
    }

    /// What the file beside the database may take, in which samples wait while a reader keeps the log
    /// from being emptied; it comes on top of `max_size`.
    pub(in crate::store) fn spill_limit(&self) -> u64 {
        self.max_size / 4
    }

    /// What the file itself may take: the log beside it has its own share.
    pub(in crate::store) fn file_limit(&self) -> u64 {
        self.max_size.saturating_sub(self.log_limit())
    }

    /// Whether what cannot be pruned takes so much that the bound on the file cannot be kept, or only
    /// by keeping next to nothing: a file from before there was a bound on names.
    pub(in crate::store) fn is_crowded(&self, fixed: u64) -> bool {
        fixed > self.file_limit() / 2
    }

    /// The file's size at which history goes, the oldest first. Where names take more than half of
    /// the file, deleting all history would not help: it keeps half of what the file may take.
    pub(in crate::store) fn prune_limit(&self, fixed: u64) -> u64 {
        self.file_limit().max(fixed.saturating_add(self.file_limit() / 2))
    }
}

impl Limits {
    /// Bytes that names may take of the file: their rows and indexes. Beyond it new ones are refused.
    pub fn names_budget(&self) -> u64 {
        self.max_size / 8
    }

    /// Bytes that events may take of the file. Beyond it the oldest go.
    pub fn events_budget(&self) -> u64 {
        (self.max_size / 32).max(256 << 10)
    }

    /// Bytes that alerts and the messages about them may take of the file. Beyond it the oldest of those
    /// that are over go.
    pub fn alerts_budget(&self) -> u64 {
        (self.max_size / 64).max(256 << 10)
    }

    /// Bytes that descriptions of charts may take of the file. Beyond it new ones are refused.
    pub fn graphs_budget(&self) -> u64 {
        (self.max_size / 32).max(256 << 10)
    }

    /// What all files may take together, if `fixed` of it cannot be pruned.
    pub(in crate::store) fn most(&self, fixed: u64) -> u64 {
        self.max_size.max(self.prune_limit(fixed).saturating_add(self.log_limit()))
    }

    /// A transaction of samples begins only if so many bytes are left of that.
    pub(in crate::store) fn commit_least(&self) -> u64 {
        (self.max_size / 32).min(1 << 20)
    }

    /// What a step of upkeep adds to log and file at most, in about.
    pub(in crate::store) fn step_most(&self) -> u64 {
        (self.max_size / 16).min(4 << 20)
    }

    /// What rollups of samples add to log and file before the oldest samples can go for it. It is left
    /// by what comes by itself: an import, or what is salvaged.
    pub(in crate::store) fn rollups_most(&self) -> u64 {
        self.max_size / 8
    }

    /// Pages that one step of upkeep gives back to the file system: each is moved to another place.
    pub(in crate::store) fn step_pages(&self) -> u64 {
        (self.step_most() / 2 / 4_096).clamp(16, 256)
    }

    /// Samples that are committed at a time, so that nobody waits for long. What is too much for one
    /// transaction takes several.
    pub(in crate::store) fn commit_samples(&self) -> usize {
        usize::try_from(self.max_size / 64 / SAMPLE_BYTES).unwrap_or(usize::MAX).max(50_000)
    }
}

/// A plain row of a file with many series, its share of the page and of what the page lacks, measured.
const ROW_BYTES_MOST: u64 = 32;
/// A plain row with its share of half-empty pages.
pub(in crate::store) const SAMPLE_BYTES: u64 = 40;
