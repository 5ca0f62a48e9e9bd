//! http: JSON: one object, an array of them, or one a line.

use std::io::{BufReader, Read};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Get;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Failure;
use super::body::Unpacked;
use super::desk::{Job, Who, take_in};
use super::tally::{Tally, take};
use crate::http::AppState;
use crate::pipeline::{Origin, Receipt, Source};
use crate::wire::json::Reader;

/// 200 and how many were taken, or 400 with each bad record's index, line and reason; the others are
/// kept then, too.
pub(super) async fn push(
    Get(state): Get<Arc<AppState>>,
    who: Who,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (taken, tally) = match take_in(Arc::clone(&state), who, headers, body, records).await {
        Ok(done) => done,
        Err(failure) => return failure.answer(&state),
    };
    if tally.refused == 0 {
        return Json(json!({"accepted": taken})).into_response();
    }
    let mut answer = json!({
        "accepted": taken,
        "refused": tally.refused,
        "errors": tally.complaints(),
    });
    if let Some(stopped) = tally.stopped() {
        answer["stopped"] = stopped.into();
    }
    (tally.status(), Json(answer)).into_response()
}

fn records(job: &Job<'_>) -> Result<((usize, Tally), Receipt), Failure> {
    let input = Unpacked::new(job.headers, job.bytes, job.watch)?;
    let now = job.state.clock.wall_ms();
    let mut push = job.state.intake.begin(job.sent(Origin::new(Source::Json, "push", true)), now);
    let tally = take(&mut push, &mut Reader::pushed(input, now), job.watch)?;
    // An empty array says that there is nothing; an empty body is a mistake.
    let says = |input: Unpacked<'_>| {
        BufReader::new(input).bytes().flatten().any(|b| !b.is_ascii_whitespace())
    };
    if push.is_empty()
        && tally.refused == 0
        && !says(Unpacked::new(job.headers, job.bytes, job.watch)?)
    {
        return Err(Failure::invalid(
            "there is nothing in the body; send for example {\"key\": \"room_temperature\", \"value\": 21.5}",
        ));
    }
    let (taken, receipt) = push.finish_awaited()?;
    Ok(((taken, tally), receipt))
}
