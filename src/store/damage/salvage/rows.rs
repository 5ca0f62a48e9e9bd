//! store: rows of a damaged database as they were found on its pages, checked before they are moved.

use rusqlite::types::Value;

use crate::store::damage::carve::Row;
use crate::store::keep::stretch;
use crate::store::packed::block::GROUP;

/// Whether it is a sample's value: a number, or the eight bytes of one that SQLite has no form for.
pub(super) fn is_value(value: &Value) -> bool {
    match value {
        Value::Integer(_) | Value::Real(_) => true,
        Value::Blob(bytes) => bytes.len() == 8,
        Value::Null | Value::Text(_) => false,
    }
}

/// Time and series of a row of `late`.
pub(super) fn late_row(row: &Row) -> Option<(i64, i64)> {
    match row.values.as_slice() {
        [_, Value::Integer(ts), Value::Integer(series)] => Some((*ts, *series)),
        _ => None,
    }
}

/// A row of `blocks`.
pub(super) struct Block {
    pub(super) resolution: i64,
    pub(super) group: i64,
    pub(super) level: i64,
    pub(super) seq: i64,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) data: Vec<u8>,
}

impl Block {
    /// Nothing: the values are no such row's.
    pub(super) fn read(row: Row) -> Option<Self> {
        let mut numbers = [0; 8];
        let [_, head @ .., Value::Blob(_)] = row.values.as_slice() else { return None };
        if head.len() != numbers.len() {
            return None;
        }
        for (number, value) in numbers.iter_mut().zip(head) {
            let Value::Integer(value) = value else { return None };
            *number = *value;
        }
        let [resolution, group, level, seq, start, end, _, _] = numbers;
        let Some(Value::Blob(data)) = row.values.into_iter().next_back() else { return None };
        let sane = [0, stretch::FIVE_MINUTES_MS].contains(&resolution)
            && (0..i64::MAX / GROUP).contains(&group)
            && (0..=9).contains(&level)
            && start <= end;
        sane.then_some(Self { resolution, group, level, seq, start, end, data })
    }
}
