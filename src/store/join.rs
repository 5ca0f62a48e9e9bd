//! store: putting columns together, in memory. No SQLite here.

use super::block::{BlockError, Column};
use crate::wire::time::format_timestamp;

/// A column that cannot be read loses itself and nothing else.
pub(super) fn report(series: i64, start: i64, end: i64, e: &BlockError) {
    let (from, to) = (format_timestamp(start), format_timestamp(end));
    tracing::error!("sealed samples of series {series} from {from} to {to} are lost: {e}");
}

/// Puts newer samples into a column.
pub(super) fn join(column: &mut Column, ts: impl Iterator<Item = i64>, values: &[f64]) {
    let mut ts = ts.peekable();
    let behind = |first: i64| column.ts.last().is_some_and(|last| *last >= first);
    if !ts.peek().is_some_and(|first| behind(*first)) {
        column.ts.extend(ts);
        column.values.extend_from_slice(values);
        return;
    }
    let mut newer = ts.zip(values.iter().copied()).peekable();
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
