//! http: everything current in one JSON document.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::State as Get;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::State;

/// `GET /api/status`.
pub(super) async fn status(Get(state): Get<Arc<State>>) -> impl IntoResponse {
    let values: Vec<Value> = state
        .latest
        .all()
        .into_iter()
        .map(|(series, ts, value)| {
            let series = state.registry.get(series);
            json!({
                "key": series.identity.key(),
                "value": number(value),
                "timestamp": rfc3339(ts),
                "kind": series.kind.as_str(),
                "unit": &*series.unit,
            })
        })
        .collect();
    let bytes: serde_json::Map<String, Value> = crate::store::sizes(&state.database)
        .into_iter()
        .map(|(part, bytes)| (part.to_owned(), bytes.into()))
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "system": state.system,
        "started": rfc3339(state.started),
        "now": rfc3339(state.clock.wall_ms()),
        "database": {
            "path": state.database.to_string_lossy(),
            "bytes": bytes,
            "durable_until": rfc3339(state.counters.durable_ts.load(Relaxed)),
            "commits": state.counters.commits.load(Relaxed),
            "waiting": state.queue.len(),
        },
        "queries": {
            "running": state.counters.queries_running.load(Relaxed),
            "waiting": state.counters.queries_waiting.load(Relaxed),
            "done": state.counters.queries_done.load(Relaxed),
            "refused": state.counters.queries_refused.load(Relaxed),
        },
        "problems": super::health::problems(&state),
        "values": values,
    }))
}

/// JSON has no NaN and no infinities: they become strings.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

/// Milliseconds since 1970 UTC as RFC 3339; null if out of the calendar.
pub(super) fn rfc3339(ms: i64) -> Value {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(t) => t.to_string().into(),
        Err(_) => Value::Null,
    }
}
