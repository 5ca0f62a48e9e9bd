//! http: the parts that every question over HTTP needs: the state of the daemon, and the desk that
//! answers.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::error::ApiError;
use super::peer::Cut;
use super::respond::{Sheet, pack_up, takes_gzip};
use crate::query::desk::{Purpose, Task};
use crate::query::files::Files;
use crate::query::turns::Client;

/// The parts that all questions over HTTP share.
pub(super) struct Api {
    state: Arc<AppState>,
}

impl Api {
    pub(super) fn new(state: Arc<AppState>) -> Arc<Self> {
        Arc::new(Self { state })
    }

    /// Gives memory back between questions, as long as the runtime runs.
    pub(super) async fn rest_between(self: Arc<Self>) {
        Arc::clone(&self.state.desk).rest_between(self.state.rested).await;
    }

    pub(super) fn state(&self) -> &Arc<AppState> {
        &self.state
    }

    pub(super) fn files(&self) -> &Files {
        self.state.desk.files()
    }

    /// The time, ms since 1970 UTC.
    pub(super) fn now(&self) -> i64 {
        self.state.clock.wall_ms()
    }

    /// Does the work on a thread of its own when it is its turn; see `query::desk::Desk::turn`.
    pub(super) async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        purpose: Purpose,
        client: Client,
        work: impl FnOnce(&Self, &Task) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let api = Arc::clone(self);
        self.state.desk.turn(purpose, client, move |task| work(&api, task)).await
    }
}

/// Lets a question of the page have its turn and its thread; the text that comes of it is JSON.
pub(super) async fn on_a_thread(
    api: Arc<Api>,
    purpose: Purpose,
    (client, cut): (Client, Option<Cut>),
    headers: &HeaderMap,
    ask: impl FnOnce(&Sheet<'_>) -> Result<String, ApiError> + Send + 'static,
) -> Response {
    let pack = takes_gzip(headers);
    let packed = api.turn(purpose, client, move |_, task| {
        let sheet = Sheet::new(task);
        let text = ask(&sheet)?;
        pack_up(text, sheet.into_held(), pack, task)
    });
    match packed.await {
        Ok(packed) => packed.respond_as("application/json", StatusCode::OK, cut),
        Err(error) => error.into_response(),
    }
}
