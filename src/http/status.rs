//! http: all current data in one JSON document.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Extension;
use axum::extract::State as Get;
use axum::response::Response;
use serde_json::{Value, json};

use super::AppState;
use super::peer::Cut;
use super::pieces::Pages;
use super::time::rfc3339;
use crate::query::turns::Client;

/// `GET /api/status`.
pub(super) async fn status(
    Get(state): Get<Arc<AppState>>,
    Extension(pages): Extension<Pages>,
    client: Client,
    cut: Option<Extension<Cut>>,
) -> Response {
    // The disk may hang, and this thread may not.
    let database = state.database.clone();
    let sizes = tokio::task::spawn_blocking(move || crate::store::sizes(&database)).await;
    let bytes: serde_json::Map<String, Value> = sizes
        .unwrap_or_default()
        .into_iter()
        .map(|(part, bytes)| (part.to_owned(), bytes.into()))
        .collect();
    let about = json!({
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
            "waiting": state.queue.unwritten(),
        },
        "queries": {
            "running": state.counters.queries_running.load(Relaxed),
            "waiting": state.counters.queries_waiting.load(Relaxed),
            "done": state.counters.queries_done.load(Relaxed),
            "refused": state.counters.queries_refused.load(Relaxed),
        },
        "problems": super::health::problems(&state),
    });
    let counters = Arc::clone(&state.counters);
    let cut = cut.map(|Extension(cut)| cut);
    let body = pages.body(client, cut, move || document(&about, state)).await;
    super::pieces::respond("application/json", body, &counters)
}

/// Writes `about`, and then the values, a few at each call. True if there are more.
fn document(
    about: &Value,
    state: Arc<AppState>,
) -> impl FnMut(&mut Vec<u8>) -> bool + Send + use<> {
    let mut head = about.to_string();
    // The object is not closed yet.
    head.truncate(head.len() - 1);
    head.push_str(",\"values\":[");
    let mut values = state.latest.all().into_iter();
    let mut first = true;
    // Most are of one moment.
    let mut time = (i64::MIN, Value::Null);
    move |out| {
        out.extend_from_slice(std::mem::take(&mut head).as_bytes());
        for (series, ts, value) in values.by_ref().take(SOME) {
            if time.0 != ts {
                time = (ts, rfc3339(ts));
            }
            let Some(series) = state.registry.get(series) else { continue };
            let row = Row {
                system: series.identity.system.as_deref(),
                key: series.identity.key(),
                value: number(value),
                timestamp: &time.1,
                kind: series.kind.as_str(),
                unit: &series.unit,
            };
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            // Texts and numbers into memory: there is nothing that could fail.
            let _unused = serde_json::to_writer(&mut *out, &row);
        }
        let more = values.len() > 0;
        if !more {
            out.extend_from_slice(b"]}");
        }
        more
    }
}

/// Values written at one call.
const SOME: usize = 64;

#[derive(serde::Serialize)]
struct Row<'a> {
    /// The name of another machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    key: String,
    value: Value,
    timestamp: &'a Value,
    kind: &'a str,
    unit: &'a str,
}

/// JSON has no NaN and no infinities: they become strings.
fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}
