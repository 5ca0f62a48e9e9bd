//! pipeline: statsd: values are gathered from flush to flush and turned into samples.
//!
//! ```text
//!   wire/statsd    a packet -> values
//!   index          name as sent -> place                 one look-up, no allocation
//!   gather         place -> counter, gauge, timer, set   plain structs, owned by the reader's thread
//!   flush          all of them -> one batch, on the grid, in slices between packets
//!   held           the state of a name between two flushes
//!   naming         which series a name makes; `legacy` has the reference's
//!   outlet         the way of the samples to the queue
//!   tally          counters of the receiver
//!   timer, sketch  the values of a timer; distinct       the members of a set
//! ```
//!
//! Bounds: names ([`crate::pipeline::Names`], shared with all other senders), values of
//! a timer ([`timer::EXACT`], then a sketch), members of a set ([`distinct::EXACT`], then an
//! estimate), values with a time of their own ([`gather::MAX_TIMED`]). docs/adr/0003-statsd-series.md
//! has the reasons.

pub mod distinct;
mod flush;
pub mod gather;
mod held;
mod index;
mod legacy;
mod naming;
mod outlet;
pub mod sketch;
mod tally;
#[cfg(test)]
mod tests;
pub mod timer;

pub use gather::Gather;
pub use naming::stands_for_a_name;
pub use outlet::Outlet;
pub use tally::Tally;

/// The job label of everything that comes in by statsd.
pub const JOB: &str = "statsd";

/// The help text that marks a gauge in the store, by which it is found after a restart.
pub const GAUGE_HELP: &str = "Gauge sent to statsd.";

/// How statsd's values are gathered.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The interval of flushes, ms; flushes lie on its grid.
    pub flush_ms: i64,
    /// Percentiles of timers: above 0, up to 100; below zero only with legacy names.
    pub percentiles: Vec<f64>,
    /// How long an idle gauge or other metric is still written after it was last sent, in ms.
    pub ttl_ms: i64,
    /// Name and compute everything as the reference statsd does.
    pub legacy_names: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flush_ms: 10_000,
            percentiles: vec![50.0, 90.0, 99.0],
            ttl_ms: 3_600_000,
            legacy_names: false,
        }
    }
}
