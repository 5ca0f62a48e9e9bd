//! overview: a chart in one row of text: the current value of each line, and its last hour.

use super::chart::{Chart, Line};
use super::columns::{newest, read};
use crate::store::{Reader, SqlError};

/// The number of values for the last hour.
pub const LOOKS: usize = 20;
/// How far apart they are, ms, on the clock's own grid.
pub const LOOK_MS: i64 = 180_000;

/// The last hour of something, oldest first; NaN where nothing is known.
pub type Hour = [f64; LOOKS];

/// See the file's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// The chart.
    pub chart: Chart,
    /// The current value of each line; NaN if it is unknown.
    pub now: Vec<f64>,
    /// The last hour of each line.
    pub hours: Vec<Hour>,
    /// The whole, for a chart that shows a part of something.
    pub whole: Option<f64>,
    /// The remainder, for a chart of something that is used up.
    pub left: Option<f64>,
}

/// The charts of the first view as they are at this moment (ms since 1970 UTC). Fails where the file
/// cannot be read.
pub fn glance(reader: &Reader, charts: &[Chart], now: i64) -> Result<Vec<Glance>, SqlError> {
    let one = |chart: &Chart| {
        let mut values = Vec::with_capacity(chart.lines.len());
        let mut hours = Vec::with_capacity(chart.lines.len());
        for line in &chart.lines {
            values.push(newest(reader, line, now)?.unwrap_or(f64::NAN));
            hours.push(hour(reader, line, now)?);
        }
        let value = |line: Option<Line>| line.map_or(Ok(None), |line| newest(reader, &line, now));
        let whole = value(chart.lines.first().and_then(Line::whole))?;
        let left = value(chart.left.map(Line::of_values))?;
        Ok(Glance { chart: chart.clone(), now: values, hours, whole, left })
    };
    charts.iter().filter(|c| c.group.is_empty()).map(one).collect()
}

/// The load of a machine, its memory in use and its fullest disk, both in percent, as they are at this
/// moment (ms since 1970 UTC); NaN where that is not known. Fails where the file cannot be read.
pub fn brief(reader: &Reader, charts: &[Chart], now: i64) -> Result<[f64; 3], SqlError> {
    let value = |line: Option<Line>| -> Result<f64, SqlError> {
        let found = line.map_or(Ok(None), |line| newest(reader, &line, now))?;
        Ok(found.unwrap_or(f64::NAN))
    };
    let [mut load, mut memory, mut disk] = [f64::NAN; 3];
    for chart in charts.iter().take_while(|c| c.group.is_empty()) {
        let first = || value(chart.lines.first().cloned());
        match chart.id.split(':').next() {
            Some("load") => load = first()?,
            Some("memory") => {
                memory = 100.0 * first()? / value(chart.lines.first().and_then(Line::whole))?;
            }
            Some("disk") => disk = disk.max(first()?),
            _ => {}
        }
    }
    Ok([load, memory, disk])
}

fn hour(reader: &Reader, line: &Line, now: i64) -> Result<Hour, SqlError> {
    let first = now - now.rem_euclid(LOOK_MS) - (LOOKS as i64 - 1) * LOOK_MS;
    let found = read(reader, line, first, now, LOOK_MS)?;
    let mut hour = [f64::NAN; LOOKS];
    for (start, mean) in found.start.iter().zip(found.mean) {
        let place = usize::try_from((start - first) / LOOK_MS).unwrap_or(LOOKS);
        if let Some(look) = hour.get_mut(place) {
            *look = mean;
        }
    }
    Ok(hour)
}

/// The sum of several hours, as far as their values are known.
pub fn added<'a>(hours: impl IntoIterator<Item = &'a Hour>) -> Hour {
    let mut sum = [f64::NAN; LOOKS];
    for hour in hours {
        for (sum, value) in sum.iter_mut().zip(hour).filter(|(_, v)| !v.is_nan()) {
            *sum = if sum.is_nan() { *value } else { *sum + value };
        }
    }
    sum
}

impl Glance {
    /// The sum of all lines with known values; NaN without any.
    pub fn sum(&self) -> f64 {
        let known = self.now.iter().filter(|v| !v.is_nan());
        known.copied().reduce(|a, b| a + b).unwrap_or(f64::NAN)
    }
}
