//! http: JSON: one object, an array of them, or one a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::Json;
use axum::body::Body;
use axum::extract::State as Get;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::{Failure, Tally, Unpacked, receive, take};
use crate::http::State;
use crate::pipeline::{Origin, Source};
use crate::wire::json::Reader;

/// 200 and how many were taken, or 400 with each bad record's index, line and reason; the others are
/// kept then, too.
pub(super) async fn push(Get(state): Get<Arc<State>>, headers: HeaderMap, body: Body) -> Response {
    let body = match receive(&state.desk, &headers, body).await {
        Ok(body) => body,
        Err(failure) => return failure.answer(&state),
    };
    let (taken, tally) = match records(&state, &headers, &body.bytes) {
        Ok(done) => done,
        Err(failure) => return failure.answer(&state),
    };
    if tally.refused == 0 {
        return Json(json!({"accepted": taken})).into_response();
    }
    let answer = json!({
        "accepted": taken,
        "refused": tally.refused,
        "errors": tally.complaints(),
    });
    (StatusCode::BAD_REQUEST, Json(answer)).into_response()
}

fn records(state: &State, headers: &HeaderMap, body: &[u8]) -> Result<(usize, Tally), Failure> {
    let too_large = AtomicBool::new(false);
    let input = Unpacked::new(headers, body, &too_large)?;
    let now = state.clock.wall_ms();
    let mut push = state.intake.begin(Origin::new(Source::Json, "push", true), now);
    let tally = take(&mut push, &mut Reader::pushed(input, now));
    if too_large.load(Relaxed) {
        return Err(Failure::too_large(
            "a body of more than 4 MiB when unpacked; send less at once",
        ));
    }
    if push.is_empty() && tally.refused == 0 {
        return Err(Failure::invalid(
            "there is nothing in the body; send for example {\"key\": \"room_temperature\", \"value\": 21.5}",
        ));
    }
    Ok((push.finish()?, tally))
}
