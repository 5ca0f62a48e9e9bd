//! http: is anything wrong?

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Get;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use super::AppState;

/// How the subjects of problems begin that lie elsewhere: a receiver that is not reached or refuses. Who
/// restarts what answers 503 would restart plimsoll for them, and that mends nothing.
const ELSEWHERE: [&str; 2] = ["notifications by ", "heartbeat"];

/// 200 and `healthy`; 200 and `degraded` where a receiver does not take messages; otherwise 503 and
/// `unhealthy`. The problems with their begin, and the running services.
pub(super) async fn health(Get(state): Get<Arc<AppState>>) -> impl IntoResponse {
    let here = |subject: &str| !ELSEWHERE.iter().any(|elsewhere| subject.starts_with(elsewhere));
    let subjects = state.board.problems();
    let (code, status) = match subjects.iter().any(|(subject, _)| here(subject)) {
        true => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
        false if subjects.is_empty() => (StatusCode::OK, "healthy"),
        false => (StatusCode::OK, "degraded"),
    };
    let problems = problems(&state);
    (code, Json(json!({ "status": status, "problems": problems, "services": (state.services)() })))
}

/// The board as JSON.
pub(super) fn problems(state: &AppState) -> Vec<serde_json::Value> {
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
