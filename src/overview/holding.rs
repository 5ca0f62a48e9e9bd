//! overview: one thing that is wrong with a machine, and since when it has held.

use super::chart::{Level, Line};
use super::columns::read;
use crate::store::{Reader, SqlError};

const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Conditions are looked at in buckets of this width, over a day.
pub(super) const WIDTH_MS: i64 = 5 * MINUTE_MS;
/// One problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How bad it is; never [`Level::Well`].
    pub level: Level,
    /// Its subject: `Memory`, `Disk /home`, `collector hwmon`.
    pub subject: String,
    /// The problem, as the rest of a sentence.
    pub text: String,
    /// Since when, ms since 1970 UTC, as far as the last day tells.
    pub since: Option<i64>,
    /// The end, for a disk that fills.
    pub until: Option<i64>,
    /// The chart that shows it.
    pub chart: Option<String>,
}

/// Since when the condition has held without a break until now, if it has for this many buckets.
pub(super) fn holds(
    reader: &Reader,
    line: &Line,
    now: i64,
    buckets: usize,
    is: impl Fn(f64) -> bool,
) -> Result<Option<(i64, f64)>, SqlError> {
    let columns = read(reader, line, now - DAY_MS, now, WIDTH_MS)?;
    let held = columns.mean.iter().rev().take_while(|v| is(**v)).count();
    let fresh = columns.start.last().is_some_and(|s| now - s < 3 * WIDTH_MS);
    if held < buckets || held == 0 || !fresh {
        return Ok(None);
    }
    let at = columns.mean.len() - held;
    Ok(Some((columns.start[at], columns.mean[columns.mean.len() - 1])))
}
