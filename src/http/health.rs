//! http: is anything wrong?

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Get;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::State;

/// 200 and `healthy`, or 503 and the problems with their begin; and the running services.
pub(super) async fn health(Get(state): Get<Arc<State>>) -> impl IntoResponse {
    let problems = problems(&state);
    let healthy = problems.is_empty();
    let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let status = if healthy { "healthy" } else { "unhealthy" };
    (code, Json(json!({ "status": status, "problems": problems, "services": (state.services)() })))
}

/// The board as JSON.
pub(super) fn problems(state: &State) -> Vec<serde_json::Value> {
    let one = |(subject, p): (String, crate::pipeline::Problem)| {
        json!({
            "subject": subject,
            "since": super::time::rfc3339(p.since),
            "count": p.count,
            "message": p.message,
        })
    };
    state.board.problems().into_iter().map(one).collect()
}
