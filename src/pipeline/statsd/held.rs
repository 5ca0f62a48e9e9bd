//! pipeline: the state of a statsd name between two flushes.

use std::time::Duration;

use super::Settings;
use super::distinct::Distinct;
use super::timer::Values;
use crate::model::SeriesRef;
use crate::model::counter::Held;
use crate::wire::statsd::Type;

/// Never heard of.
pub(super) const NEVER: u32 = u32::MAX;

/// A series that has no number yet.
pub(super) const UNNAMED: u32 = u32::MAX;

/// A name is forgotten when it has not been written for so long.
pub(super) const FORGOTTEN_MS: i64 = 600_000;
/// The interval of the search for idle names.
pub(super) const LOOK_MS: i64 = 60_000;

/// A counter's sum.
#[derive(Debug)]
pub(super) struct Counter {
    /// Since the last flush.
    pub(super) sum: f64,
    /// Since the start, up to the last flush.
    pub(super) total: f64,
    /// The stored value: a client may decrement, and a counter that falls has begun again.
    pub(super) held: Held,
    /// Flushes since it was last sent.
    pub(super) idle: u32,
    /// The place of its numbers in `Gather::series`.
    pub(super) series: u32,
}

/// A gauge's value.
#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) value: f64,
    pub(super) idle: u32,
    pub(super) series: u32,
}

/// A timer's values.
#[derive(Debug)]
pub(super) struct Timer {
    pub(super) values: Values,
    /// The number of values since the last flush, each weighted by its rate.
    pub(super) weight: f64,
    /// The sum of those that were not sent.
    pub(super) unsent: f64,
    pub(super) idle: u32,
    pub(super) series: u32,
}

/// A timer's totals since the start; used once a flush.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct TimerTotals {
    pub(super) count: f64,
    pub(super) sum: f64,
    /// The stored sum: values may be negative.
    pub(super) held: Held,
    /// The first series, until the others are named.
    pub(super) first: Option<SeriesRef>,
}

/// The members of a set.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) members: Distinct,
    pub(super) idle: u32,
    pub(super) series: u32,
}

/// A value with a time of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timed {
    pub(super) ts: i64,
    pub(super) series: SeriesRef,
    pub(super) value: f64,
    /// For a counter: its time must not lie after the flush.
    pub(super) total: bool,
}

/// The first point of the grid after a moment.
pub(super) fn next_on_grid(now: i64, step: i64) -> i64 {
    (now.div_euclid(step) + 1) * step
}

/// The number of idle flushes after which a name is not written any more.
pub(super) fn not_written(settings: &Settings) -> u32 {
    u32::try_from(settings.ttl_ms / settings.flush_ms).unwrap_or(NEVER - 1).max(1)
}

/// Puts a value at its place in the list, or at the end.
pub(super) fn put<T>(list: &mut Vec<T>, at: usize, value: T) {
    match list.get_mut(at) {
        Some(place) => *place = value,
        None => list.push(value),
    }
}

/// A flush under way.
#[derive(Debug)]
pub(super) struct Flush {
    /// Its moment, ms since 1970.
    pub(super) ts: i64,
    /// The type that is flushed now, and the progress.
    pub(super) kind: Type,
    pub(super) at: usize,
    pub(super) samples: Vec<(SeriesRef, f64)>,
    pub(super) took: Duration,
    /// Bytes of the gathered data that are free now.
    pub(super) freed: usize,
}
