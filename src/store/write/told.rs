//! store: says on the board, and so in the log and in `/health`, when a bound on names, events or
//! descriptions is reached, or on the file itself. Looked at after a commit: a few numbers in memory.

use std::sync::atomic::Ordering::Relaxed;

use super::open::Store;
use super::orders::WriterSettings;
use crate::pipeline::Board;
use crate::store::MOST_OPEN;

/// What the board calls the bound on names.
pub const NAMES: &str = "names of senders";
/// What the board calls the bound on the file.
pub const SIZE: &str = "size of the database";
const EVENTS: &str = "events";
const GRAPHS: &str = "descriptions of charts";
const ALERTS: &str = "alerts";

/// So long after the last refusal it counts as over.
const QUIET_MS: i64 = 600_000;
/// Machines with the most names that are told.
const LARGEST: usize = 3;

/// One bound that refuses.
#[derive(Debug, Default)]
struct Bound {
    refused: u64,
    /// While it is on the board: when it goes, ms since boot.
    until: Option<i64>,
}

impl Bound {
    fn look(
        &mut self,
        board: &Board,
        subject: &str,
        now: i64,
        refused: u64,
        message: impl FnOnce() -> String,
    ) {
        if refused > self.refused {
            self.refused = refused;
            self.until = Some(now.saturating_add(QUIET_MS));
            board.fail(subject, message());
        } else if self.until.is_some_and(|until| now >= until) {
            self.until = None;
            board.ok(subject);
        }
    }
}

/// What was refused when somebody last looked.
#[derive(Debug, Default)]
pub(super) struct Told {
    names: Bound,
    events: Bound,
    graphs: Bound,
    alerts: Bound,
    sql: bool,
}

impl Told {
    /// After a commit.
    pub(super) fn look(&mut self, store: &Store, s: &WriterSettings) {
        let now = s.clock.boot_ms();
        let names = store.dictionary.allowed();
        let (refused, why) = names.refused();
        if why.is_none() {
            // The cap was raised.
            self.names.until = self.names.until.map(|_| i64::MIN);
        }
        self.names.look(&s.board, NAMES, now, refused, || {
            let largest: Vec<String> =
                names.largest(LARGEST).iter().map(|(who, n)| format!("{who} {n}")).collect();
            let why = why.map(|why| why.to_string()).unwrap_or_default();
            format!(
                "{why}; {refused} samples of new names were refused since the start; the most names \
                 have: {}",
                largest.join(", ")
            )
        });
        let dropped = s.counters.events_dropped.load(Relaxed);
        self.events.look(&s.board, EVENTS, now, dropped, || {
            format!(
                "{dropped} were refused since the start: too many at once, a machine or a time that \
                 cannot be kept"
            )
        });
        let dropped = s.counters.graphs_dropped.load(Relaxed);
        self.graphs.look(&s.board, GRAPHS, now, dropped, || {
            format!(
                "{dropped} were refused since the start: too many at once, or more than a 32nd of \
                 `max_size` under [store]; what was known of these charts stays"
            )
        });
        let dropped = s.counters.alerts_dropped.load(Relaxed);
        self.alerts.look(&s.board, ALERTS, now, dropped, || {
            format!(
                "{dropped} were not stored since the start: {MOST_OPEN} are open already, or too much \
                 waited while the database could not be written; look at `plimsoll alert`"
            )
        });
    }

    /// Rows of the inbox that were refused: said once, counted always.
    pub(super) fn sql(&mut self, invalid: u64) {
        if invalid > 0 && !self.sql {
            self.sql = true;
            tracing::warn!(
                "{invalid} rows that an SQL client left in the inbox are no samples and were taken out; \
                 this is said once, then counted as \
                 plimsoll_samples_dropped_total{{source=\"sql\",reason=\"invalid\"}}; docs/SCHEMA.md \
                 has the rules"
            );
        }
    }
}
