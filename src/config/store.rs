//! config: the section `[store]`.

use super::raw::Section;
use super::resolve::{DAY, Resolver, YEAR};
use crate::model::options::{Bytes, Ms, options};
use crate::store::Limits;

/// A database smaller than this holds nothing worth keeping.
const LEAST_SIZE: u64 = 4 << 20;
/// For ages of samples.
const LONGEST_AGE: i64 = 100 * YEAR;
/// The default time that beats wait in memory for a full disk.
const QUEUE: i64 = 15 * 60_000;

options! {
    /// Size and ages of the database.
    pub struct StoreOptions {
        /// Largest size of the database with all its files. To keep it, the ages below become
        /// shorter, that of samples first. Names of series may take an eighth of it, events and
        /// descriptions of charts a 32nd each; beyond that new names are refused and old events
        /// deleted. One more file may take up to a quarter of this size: samples wait there while
        /// another program keeps the database open for reading so long that its log is full.
        max_size: Bytes = Bytes(Limits::default().max_size), in LEAST_SIZE.., like r#""1GiB""#;
        /// Size of the newest samples that stay plain rows, which any SQL client can read. Older
        /// ones are sealed to a thirtieth of their size; `plimsoll export` and `plimsoll sql` read
        /// both.
        plain_rows: Bytes = Bytes(Limits::default().plain_rows), in 0.., like r#""64MB""#;
        /// How long samples are kept.
        raw: Ms = Ms(Limits::default().raw_ms), in DAY..=LONGEST_AGE, like r#""30d""#;
        /// How long summaries of five minutes are kept.
        five_minutes: Ms = Ms(Limits::default().five_minutes_ms), in DAY..=LONGEST_AGE,
            like r#""400d""#;
        /// How long hourly rows are kept.
        hours: Ms = Ms(Limits::default().hours_ms), in DAY..=LONGEST_AGE, like r#""10y""#;
        /// How long measurements wait in memory while the disk is full.
        queue: Ms = Ms(QUEUE), in 1_000..=DAY, like r#""15m""#;
    }
}

impl Resolver<'_> {
    /// How long beats wait in memory, in ms, and how much the database keeps.
    pub(super) fn store(&mut self, top: &Section<'_>) -> (i64, Limits) {
        let section = top.section("store", self.mistakes);
        let options: StoreOptions = self.fill(section.as_ref());
        self.list("store", &options);
        let limits = Limits {
            plain_rows: options.plain_rows.0,
            max_size: options.max_size.0,
            raw_ms: options.raw.0,
            five_minutes_ms: options.five_minutes.0,
            hours_ms: options.hours.0,
        };
        (options.queue.0, limits)
    }
}
