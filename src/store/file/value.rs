//! store: an f64 in an SQLite column, bit for bit.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};

/// SQLite turns NaN into NULL and -0.0 into 0: these two go in as 8 bytes, big-endian.
pub fn to_sql(value: f64) -> ToSqlOutput<'static> {
    if value.is_nan() || (value == 0.0 && value.is_sign_negative()) {
        ToSqlOutput::Owned(Value::Blob(value.to_bits().to_be_bytes().to_vec()))
    } else {
        ToSqlOutput::Owned(Value::Real(value))
    }
}

/// The reverse; `None` for what is no value of ours.
pub fn from_column(column: ValueRef<'_>) -> Option<f64> {
    match column {
        ValueRef::Real(value) => Some(value),
        ValueRef::Integer(value) => Some(value as f64),
        ValueRef::Blob(bytes) => Some(f64::from_bits(u64::from_be_bytes(bytes.try_into().ok()?))),
        ValueRef::Null | ValueRef::Text(_) => None,
    }
}
