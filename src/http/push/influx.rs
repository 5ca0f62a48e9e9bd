//! http: Influx line protocol, by the API of version 1 (`/write`) and of version 2
//! (`/api/v2/write`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use axum::body::Body;
use axum::extract::{Query, State as Get};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::{Failure, Tally, Unpacked, receive, take};
use crate::http::State;
use crate::pipeline::{Origin, Reason, Source};
use crate::wire::influx::{Precision, Reader};

#[derive(serde::Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    precision: String,
}

/// 204, or 400 with what was wrong; what was right is kept then, too.
pub(super) async fn write(
    Get(state): Get<Arc<State>>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match receive(&state.desk, &headers, body).await {
        Ok(body) => match points(&state, &parameters, &headers, &body.bytes) {
            Ok((_, tally)) if tally.refused == 0 => StatusCode::NO_CONTENT.into_response(),
            Ok((taken, tally)) => Failure::invalid(format!(
                "partial write: {taken} values were taken, {} lines or values were not: {}",
                tally.refused,
                tally.summary()
            ))
            .into_response(),
            Err(failure) => failure.answer(&state),
        },
        Err(failure) => failure.answer(&state),
    }
}

fn points(
    state: &State,
    parameters: &Parameters,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(usize, Tally), Failure> {
    let precision = Precision::from_name(&parameters.precision).ok_or_else(|| {
        Failure::invalid(format!("precision `{}`: ns, us, ms, s, m or h", parameters.precision))
    })?;
    let too_large = AtomicBool::new(false);
    let input = Unpacked::new(headers, body, &too_large)?;
    let now = state.clock.wall_ms();
    let mut reader = Reader::new(input, precision, now);
    let mut push = state.intake.begin(Origin::new(Source::Influx, "influx", true), now);
    let tally = take(&mut push, &mut reader);
    if too_large.load(Relaxed) {
        return Err(Failure::too_large(
            "a body of more than 4 MiB when unpacked; send less at once",
        ));
    }
    push.lost(Reason::NoNumber, reader.texts());
    Ok((push.finish()?, tally))
}

/// What clients of version 1 ask before they write.
pub(super) async fn ping() -> impl IntoResponse {
    let version = concat!("plimsoll-", env!("CARGO_PKG_VERSION"));
    (StatusCode::NO_CONTENT, [("X-Influxdb-Version", version)])
}
