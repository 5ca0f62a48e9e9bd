//! store: putting columns together, in memory. No SQLite here.

use std::ops::Range;

use super::block::{BlockError, Column};
use super::chunk::Timestamps;
use crate::wire::time::format_timestamp;

/// A column that cannot be read loses itself and nothing else.
pub(in crate::store) fn report(series: i64, start: i64, end: i64, e: &BlockError) {
    let (from, to) = (format_timestamp(start), format_timestamp(end));
    tracing::error!("sealed samples of series {series} from {from} to {to} are lost: {e}");
}

/// Puts newer samples into a column: the times at a range of places, and their values.
pub(in crate::store) fn join_packed(
    column: &mut Column,
    ts: &Timestamps,
    range: Range<usize>,
    values: &[f64],
) {
    let Some(first) = ts.get(range.start).filter(|_| !range.is_empty()) else { return };
    if column.ts.last().is_none_or(|last| *last < first) {
        ts.extend(range, &mut column.ts);
        column.values.extend_from_slice(values);
    } else {
        let mut list = Vec::with_capacity(range.len());
        ts.extend(range, &mut list);
        join(column, &list, values);
    }
}

/// Puts newer samples into a column.
pub(in crate::store) fn join(column: &mut Column, ts: &[i64], values: &[f64]) {
    let Some(first) = ts.first() else { return };
    if column.ts.last().is_none_or(|last| last < first) {
        column.ts.extend_from_slice(ts);
        column.values.extend_from_slice(values);
        return;
    }
    let mut newer = ts.iter().copied().zip(values.iter().copied()).peekable();
    let (old_ts, old_values) = (std::mem::take(&mut column.ts), std::mem::take(&mut column.values));
    let mut push = |t, v| {
        column.ts.push(t);
        column.values.push(v);
    };
    for (t, v) in old_ts.into_iter().zip(old_values) {
        while let Some((nt, nv)) = newer.next_if(|(nt, _)| *nt < t) {
            push(nt, nv);
        }
        match newer.next_if(|(nt, _)| *nt == t) {
            Some((nt, nv)) => push(nt, nv),
            None => push(t, v),
        }
    }
    newer.for_each(|(t, v)| push(t, v));
}
