//! http: times as JSON writes them. Pure.

use serde_json::Value;

/// Milliseconds since 1970 UTC as RFC 3339; null if out of the calendar.
pub(super) fn rfc3339(ms: i64) -> Value {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(t) => t.to_string().into(),
        Err(_) => Value::Null,
    }
}
