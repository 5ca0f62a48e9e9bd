//! overview: how long a time charts show: the same choice on the page and in the terminal.

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A range to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its name: `24h`.
    pub name: &'static str,
    /// Its length, ms; 0 is everything.
    pub ms: i64,
    /// Its length in words.
    pub long: &'static str,
}

const fn stretch(name: &'static str, ms: i64, long: &'static str) -> Stretch {
    Stretch { name, ms, long }
}

/// All ranges, the shortest first.
pub const RANGES: [Stretch; 8] = [
    stretch("5m", 300_000, "5 minutes"),
    stretch("1h", HOUR_MS, "1 hour"),
    stretch("6h", 6 * HOUR_MS, "6 hours"),
    stretch("24h", DAY_MS, "24 hours"),
    stretch("7d", 7 * DAY_MS, "7 days"),
    stretch("30d", 30 * DAY_MS, "30 days"),
    stretch("1y", 365 * DAY_MS, "1 year"),
    stretch("all", 0, "everything"),
];
