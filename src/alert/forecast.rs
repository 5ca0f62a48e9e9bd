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
/// The trend is that of so much of the past, ms.
pub const TREND_MS: i64 = 7 * DAY_MS;
/// The past that shows whether something falls and rises by turns, ms: a month and some days.
pub const PAST_MS: i64 = 35 * DAY_MS;
/// It is as low as it was before until so much of a day's use is gone beyond that.
const AS_LOW: f64 = 0.75;

/// `left`: times (ms since 1970 UTC, ascending) and what was left then, of up to [`PAST_MS`]. The slope
/// is that of Theil and Sen over the last [`TREND_MS`], the median of the slopes of all pairs, so that a
/// clean-up or a burst does not turn it. Nothing where the trend is not sound: too short, too wavering,
/// not downwards in both halves, left behind by what happened last, or one that came and went before.
pub fn forecast(left: &[(i64, f64)]) -> Option<Forecast> {
    let all = left;
    let left =
        &left[left.partition_point(|(t, _)| *t < left.last().map_or(0, |l| l.0 - TREND_MS))..];
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
    // What was emptied within the last hours shows at once.
    if (now - level).abs() > gone / 2.0 || last.1 - level > gone / 2.0 {
        return None;
    }
    if lowest_day(all)? + AS_LOW * slope < now {
        return None;
    }
    let days = (now / -slope).max(0.0);
    let ahead = days * DAY_MS as f64;
    (ahead < FARTHEST_MS as f64).then(|| Forecast { at: last.0 + ahead as i64, a_day: -slope })
}

/// What was left on the day, but for the last one, on which it was least: the median of the day, as what
/// fills a disk for some hours says nothing. Logs that are rotated fall again to where they were before;
/// what runs out falls below it.
fn lowest_day(left: &[(i64, f64)]) -> Option<f64> {
    let end = left.last()?.0 - DAY_MS;
    let before = &left[..left.partition_point(|(t, _)| *t <= end)];
    let days = before.chunk_by(|(a, _), (b, _)| (end - a) / DAY_MS == (end - b) / DAY_MS);
    let lowest = days.filter_map(|day| median(day.iter().map(|(_, v)| *v).collect()));
    Some(lowest.fold(f64::INFINITY, f64::min))
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
