//! http: Influx line protocol, by the API of version 1 (`/write`) and of version 2
//! (`/api/v2/write`).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State as Get};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::Failure;
use super::body::Unpacked;
use super::desk::{Job, Who, take_in};
use super::tally::{Tally, take};
use crate::http::AppState;
use crate::pipeline::{Origin, Reason, Receipt, Source};
use crate::wire::influx::{Precision, Reader};

#[derive(serde::Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    precision: String,
}

/// 204, or 400 with the faults; good values are kept in both cases.
pub(super) async fn write(
    Get(state): Get<Arc<AppState>>,
    who: Who,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let work = move |job: &Job<'_>| points(job, &parameters);
    match take_in(Arc::clone(&state), who, headers, body, work).await {
        Ok((_, tally)) if tally.refused == 0 => StatusCode::NO_CONTENT.into_response(),
        Ok((taken, tally)) => Failure {
            status: tally.status(),
            ..Failure::invalid(format!(
                "partial write: {taken} values were taken, {} lines or values were not: {}",
                tally.refused,
                tally.summary()
            ))
        }
        .into_response(),
        Err(failure) => failure.answer(&state),
    }
}

fn points(job: &Job<'_>, parameters: &Parameters) -> Result<((usize, Tally), Receipt), Failure> {
    let precision = Precision::from_name(&parameters.precision).ok_or_else(|| {
        Failure::invalid(format!("precision `{}`: ns, us, ms, s, m or h", parameters.precision))
    })?;
    let input = Unpacked::new(job.headers, job.bytes, job.watch)?;
    let now = job.state.clock.wall_ms();
    let mut reader = Reader::new(input, precision, now);
    let origin = job.sent(Origin::new(Source::Influx, "influx", true));
    let mut push = job.state.intake.begin(origin, now);
    let tally = take(&mut push, &mut reader, job.watch)?;
    push.lost(Reason::NoNumber, reader.texts());
    let (taken, receipt) = push.finish_awaited()?;
    Ok(((taken, tally), receipt))
}

/// The first request of clients of version 1.
pub(super) async fn ping() -> impl IntoResponse {
    let version = concat!("plimsoll-", env!("CARGO_PKG_VERSION"));
    (StatusCode::NO_CONTENT, [("X-Influxdb-Version", version)])
}
