//! alert: the forecast of when something that is used up will be gone, if the past allows one.
//! Pure.

/// The end of a trend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// When nothing is left, ms since 1970 UTC.
    pub at: i64,
    /// The use in a day, in the unit of the remainder; more than 0.
    pub a_day: f64,
}

const DAY_MS: i64 = 86_400_000;
/// A trend of less than this is a guess.
const LEAST_SPAN_MS: i64 = DAY_MS;
const LEAST_POINTS: usize = 24;
/// The number of points between whose pairs slopes are computed.
const MOST_POINTS: usize = 160;
/// The farthest forecast: nobody plans further ahead, and no trend holds that long.
const FARTHEST_MS: i64 = 400 * DAY_MS;
/// The use must be this many times as large as its variation.
const CLEARER_THAN_NOISE: f64 = 3.0;

/// `left`: times (ms since 1970 UTC, ascending) and what was left then. The slope is that of Theil
/// and Sen, the median of the slopes of all pairs, so that a clean-up or a burst does not turn it.
/// Nothing where the trend is not sound: too short, too wavering, not downwards in both halves, or
/// left behind by what happened last.
pub fn forecast(left: &[(i64, f64)]) -> Option<Forecast> {
    let (first, last) = (left.first()?, left.last()?);
    if left.len() < LEAST_POINTS || last.0 - first.0 < LEAST_SPAN_MS {
        return None;
    }
    let step = left.len().div_ceil(MOST_POINTS);
    let points: Vec<(f64, f64)> = left
        .iter()
        .rev()
        .step_by(step)
        .map(|(t, v)| ((t - last.0) as f64 / DAY_MS as f64, *v))
        .rev()
        .collect();
    let slope = slope(&points)?;
    let (older, newer) = points.split_at(points.len() / 2);
    if slope >= 0.0 || self::slope(older)? >= 0.0 || self::slope(newer)? >= 0.0 {
        return None;
    }
    let level = median(points.iter().map(|(t, v)| v - slope * t).collect())?;
    let noise = median(points.iter().map(|(t, v)| (v - slope * t - level).abs()).collect())?;
    let gone = -slope * (last.0 - first.0) as f64 / DAY_MS as f64;
    // A hundredth of the remainder may come and go in any week.
    if gone < CLEARER_THAN_NOISE * noise.max(level.abs() * 1e-3) {
        return None;
    }
    let now = median(points.iter().rev().take(5).map(|(_, v)| *v).collect())?;
    if (now - level).abs() > gone / 2.0 {
        return None;
    }
    let days = (now / -slope).max(0.0);
    let ahead = days * DAY_MS as f64;
    (ahead < FARTHEST_MS as f64).then(|| Forecast { at: last.0 + ahead as i64, a_day: -slope })
}

fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (at, (t, v)) in points.iter().enumerate() {
        slopes.extend(points[at + 1..].iter().map(|(t2, v2)| (v2 - v) / (t2 - t)));
    }
    median(slopes)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.retain(|v| v.is_finite());
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
