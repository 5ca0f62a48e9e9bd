//! query: windows with `anchored` or `smoothed` edges: no guess beyond the samples, but the samples
//! around the window.

use super::super::ast::Edges;
use super::super::functions::FunctionId;
use super::{Ends, Samples, Window, each, is_change, is_reset};

/// `rate`, `increase`, `delta`, and (anchored only) `resets` and `changes`; of other functions
/// nothing. The samples reach `lookback` ms further than the windows.
pub fn extended(
    edges: Edges,
    function: FunctionId,
    samples: Samples<'_>,
    ends: Ends,
    lookback: i64,
    out: &mut [f64],
) {
    let after = if edges == Edges::Smoothed { lookback } else { 0 };
    let wide = Ends {
        first: ends.first.saturating_add(after),
        range: ends.range + lookback + after,
        ..ends
    };
    each(samples.times, wide, |w| {
        let end = w.end - after;
        let inside =
            Samples { times: &samples.times[w.lo..w.hi], values: &samples.values[w.lo..w.hi] };
        let w = Window { end, ..w };
        let found = match function {
            FunctionId::Resets => differing(inside, end - ends.range, is_reset),
            FunctionId::Changes => differing(inside, end - ends.range, is_change),
            FunctionId::Rate => gain(edges, true, inside, end - ends.range, end)
                .map(|v| v / (ends.range as f64 / 1000.0)),
            FunctionId::Increase => gain(edges, true, inside, end - ends.range, end),
            FunctionId::Delta => gain(edges, false, inside, end - ends.range, end),
            _ => None,
        };
        if let Some(value) = found {
            out[w.step] = value;
        }
    });
}

/// A selector with `smoothed` edges: the value at each moment on the line between the sample before
/// it and the one after; the one before where none follows within `after` ms; nothing where none
/// precedes within the range. A counter that began again is treated like a gauge.
pub fn between(samples: Samples<'_>, ends: Ends, after: i64, out: &mut [f64]) {
    let wide = Ends {
        first: ends.first.saturating_add(after),
        range: ends.range.saturating_add(after),
        ..ends
    };
    each(samples.times, wide, |w| {
        let moment = w.end - after;
        let (times, values) = (&samples.times[w.lo..w.hi], &samples.values[w.lo..w.hi]);
        let next = times.partition_point(|t| *t < moment);
        let found = match (next.checked_sub(1), times.get(next)) {
            (_, Some(time)) if *time == moment => Some(values[next]),
            (Some(last), Some(time)) => {
                let part = (values[next] - values[last]) * (moment - times[last]) as f64;
                Some(values[last] + part / (time - times[last]) as f64)
            }
            (Some(last), None) => Some(values[last]),
            (None, _) => None,
        };
        if let Some(value) = found {
            out[w.step] = value;
        }
    });
}

/// The number of neighbours that differ, from the last sample at or before the start on.
fn differing(samples: Samples<'_>, start: i64, differ: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let past = samples.times.partition_point(|t| *t <= start);
    if past == samples.times.len() {
        return None;
    }
    let from = &samples.values[past.saturating_sub(1)..];
    Some(from.windows(2).filter(|pair| differ(pair[0], pair[1])).count() as f64)
}

/// A range with such edges as it is answered: a point at each edge, the samples between them.
/// `samples` reach as far around the window as they may.
pub fn with_edges(
    edges: Edges,
    samples: Samples<'_>,
    (start, end): (i64, i64),
) -> Option<(Vec<i64>, Vec<f64>)> {
    let Samples { times, values } = samples;
    let Edged { first, last, left, right } = edged(edges, false, samples, start, end)?;
    let first = first + usize::from(times[first] <= start);
    let past = if times[last] >= end { last } else { last + 1 };
    let inside = first..past.max(first);
    let time = times.get(inside.clone()).unwrap_or_default();
    let value = values.get(inside).unwrap_or_default();
    Some(([&[start], time, &[end]].concat(), [&[left], value, &[right]].concat()))
}

/// The samples next to the edges of a window, and the values at the edges.
struct Edged {
    first: usize,
    last: usize,
    left: f64,
    right: f64,
}

/// The values at the edges; between samples they are interpolated.
fn edged(edges: Edges, counter: bool, samples: Samples<'_>, start: i64, end: i64) -> Option<Edged> {
    let Samples { times, values } = samples;
    let smooth = edges == Edges::Smoothed;
    let mut last = times.len().checked_sub(1)?;
    let first = times[..last].partition_point(|t| *t <= start).saturating_sub(1);
    if smooth {
        last = times[..last].partition_point(|t| *t < end);
    }
    if times[last] <= start {
        return None;
    }
    let between = |at: usize, moment: i64| {
        let from = if counter && is_reset(values[at], values[at + 1]) { 0.0 } else { values[at] };
        let part = (values[at + 1] - from) * (moment - times[at]) as f64;
        from + part / (times[at + 1] - times[at]) as f64
    };
    let left = if smooth && times[first] < start { between(first, start) } else { values[first] };
    let right =
        if smooth && last > 0 && times[last] > end { between(last - 1, end) } else { values[last] };
    Some(Edged { first, last, left, right })
}

/// The increase between the edges.
fn gain(edges: Edges, counter: bool, samples: Samples<'_>, start: i64, end: i64) -> Option<f64> {
    let Samples { times, values } = samples;
    let Edged { mut first, last, left, right } = edged(edges, counter, samples, start, end)?;
    if edges == Edges::Smoothed && times[first] > end {
        return None;
    }
    let mut result = right - left;
    if counter {
        if times[first] <= start {
            first += 1;
        }
        let past = if times[last] >= end { last } else { last + 1 };
        let (mut lost, mut before) = (0.0, left);
        for value in values.get(first..past).unwrap_or_default().iter().chain([&right]) {
            if is_reset(before, *value) {
                lost += before;
            }
            before = *value;
        }
        result += lost;
    }
    Some(result)
}
