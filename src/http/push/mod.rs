//! http: pushes over HTTP. One file a protocol beside this one; `wire` reads the formats.
//!
//! ```text
//!   body      a body, within its bounds, and unpacked while it is read
//!   desk      the places where bodies are read, and the wait until their samples are in the file
//!   tally     the records of one body: accepted, refused, and why
//!   json, influx, remote_write, groups    the protocols
//!   ended     the series that a group no longer has, which get their end
//! ```

mod body;
mod desk;
mod ended;
mod groups;
mod influx;
mod json;
mod remote_write;
mod tally;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::AppState;
use crate::pipeline::Busy;

pub use desk::Pushes;

/// When to come again after being put off.
const RETRY_AFTER: &str = "2";

/// The routes of all protocols.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new()
        .route("/write", post(influx::write))
        .route("/api/v2/write", post(influx::write))
        .route("/api/v1/write", post(remote_write::write))
        .route("/api/push", post(json::push))
        .route("/metrics/{*group}", groups::methods())
        .method_not_allowed_fallback(wrong_method)
        .route("/ping", get(influx::ping))
        // The bound is our own, so that it is told in our own words.
        .layer(DefaultBodyLimit::disable())
}

/// The answer to a GET on a path for pushes.
async fn wrong_method() -> Failure {
    let message =
        "this is for sending: POST to it (a group of Prometheus text: PUT or DELETE, too)";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", message)
}

/// Why a push was not taken.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request too large", message)
    }

    /// The answer, and a count of it: nothing of the push was taken.
    fn answer(self, state: &AppState) -> Response {
        let counters = &state.counters;
        let count = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => &counters.pushes_put_off,
            _ => &counters.pushes_refused,
        };
        count.fetch_add(1, Relaxed);
        self.into_response()
    }

    fn busy(message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    /// A fault of plimsoll's own.
    fn broken() -> Self {
        let message = "plimsoll failed while it read this; please report it";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error", message)
    }
}

impl From<Busy> for Failure {
    fn from(_: Busy) -> Self {
        Self::busy("too much waits to be written; nothing of this was taken, send it again")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self { status, code, message } = self;
        // `error` is what clients of Influx 1 look for, the other two those of Influx 2.
        let mut response =
            (status, Json(json!({"code": code, "message": message, "error": message})))
                .into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let again = header::HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, again);
        }
        response
    }
}
