//! pipeline: names and arithmetic of the reference statsd, to the last bit: its graphite backend
//! with `legacyNamespace: false`. One thing is not repeated: of a negative percentile that takes in
//! all values it makes NaN of the sums; here they are the sums.

use super::timer::Closed;

pub(super) const GAUGES: &str = "stats.gauges.";
const COUNTERS: &str = "stats.counters.";
const TIMERS: &str = "stats.timers.";

/// The series of a timer that are there when no value came, in their order.
pub(super) const COUNT: &str = "count";

/// The receiver's own counters, by the names they would have been sent by.
pub(super) const OWN: [&str; 3] =
    ["statsd.bad_lines_seen", "statsd.packets_received", "statsd.metrics_received"];

/// And its gauge: by how many seconds the last flush was late.
pub(super) const LAG: &str = "statsd.timestamp_lag";

/// A second's worth, and the whole.
pub(super) fn counter(name: &str) -> [String; 2] {
    [format!("{COUNTERS}{name}.rate"), format!("{COUNTERS}{name}.count")]
}

/// Whether this series of a counter or timer represents its name.
pub(super) fn is_first(series: &str) -> bool {
    series.starts_with(COUNTERS) && series.ends_with(".rate")
        || series.starts_with(TIMERS) && series.ends_with(".count")
}

pub(super) fn gauge(name: &str) -> String {
    format!("{GAUGES}{name}")
}

pub(super) fn set(name: &str) -> String {
    format!("stats.sets.{name}.count")
}

pub(super) fn timer(name: &str, part: &str) -> String {
    format!("{TIMERS}{name}.{part}")
}

/// The sent name, from the name of a series made of it.
pub(super) fn base(series: &str) -> &str {
    let name = series.strip_prefix(COUNTERS).or(series.strip_prefix(TIMERS)).unwrap_or(series);
    name.rsplit_once('.').map_or(name, |(base, _)| base)
}

/// The parts of a timer, in the order of [`summary`].
pub(super) fn timer_parts(percentiles: &[f64]) -> Vec<String> {
    let fixed =
        [COUNT, "count_ps", "std", "upper", "lower", "sum", "sum_squares", "mean", "median"];
    let mut parts: Vec<String> = fixed.map(str::to_owned).to_vec();
    for &p in percentiles {
        let clean = format!("{p}").replacen('.', "_", 1).replacen('-', "top", 1);
        let bound = if p > 0.0 { "upper" } else { "lower" };
        for part in ["count", "mean", bound, "sum", "sum_squares"] {
            parts.push(format!("{part}_{clean}"));
        }
    }
    parts
}

/// The values of a timer's parts; `None` if it has no value this time. `weight`: the number of
/// values, weighted by their rates.
pub(super) fn summary(
    closed: &Closed,
    weight: f64,
    percentiles: &[f64],
    flush_seconds: f64,
    mut out: impl FnMut(Option<f64>),
) {
    let Some(s) = closed.summary() else {
        out(Some(0.0));
        out(Some(0.0));
        return;
    };
    let middle = s.count / 2;
    let ranks = if s.count % 2 == 1 { [middle, middle] } else { [middle - 1, middle] };
    let mut two = [0.0; 2];
    closed.at_ranks(&ranks, |i, v| two[i] = v);
    let median = if s.count % 2 == 1 { two[0] } else { (two[0] + two[1]) / 2.0 };
    for value in
        [weight, weight / flush_seconds, s.std, s.max, s.min, s.sum, s.sum_squares, s.mean, median]
    {
        out(Some(value));
    }
    for &p in percentiles {
        let inside = match s.count {
            1 => 1,
            // Math.round: halves go up.
            n => (p.abs() / 100.0 * n as f64 + 0.5).floor() as u64,
        };
        if inside == 0 {
            (0..5).for_each(|_| out(None));
            continue;
        }
        let inside = inside.min(s.count);
        let (rank, (sum, squares)) = if p > 0.0 {
            (inside - 1, closed.lowest(inside))
        } else {
            let (sum, squares) = closed.lowest(s.count - inside);
            (s.count - inside, (s.sum - sum, s.sum_squares - squares))
        };
        let mut bound = 0.0;
        closed.at_ranks(&[rank], |_, v| bound = v);
        for value in [inside as f64, sum / inside as f64, bound, sum, squares] {
            out(Some(value));
        }
    }
}
