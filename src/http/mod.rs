//! http: what the daemon serves: /metrics, /health, /api/status, and Prometheus' API. A view: it reads what pipeline and
//! store offer and changes nothing.

mod connections;
mod guard;
mod health;
mod metrics;
mod prometheus;
mod status;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::model::{Clock, Registry};
use crate::pipeline::{Board, Counters, Latest, Queue};

pub use connections::serve_on as serve_router;
pub use guard::Hosts;

/// What the handlers look at.
#[derive(Clone)]
pub struct State {
    /// All series of this process.
    pub registry: Arc<Registry>,
    /// Their newest values.
    pub latest: Arc<Latest>,
    /// What is wrong.
    pub board: Arc<Board>,
    /// What was counted.
    pub counters: Arc<Counters>,
    /// What waits to be written.
    pub queue: Arc<Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the database is.
    pub database: PathBuf,
    /// This machine's name.
    pub system: String,
    /// When the daemon was started, ms since 1970 UTC.
    pub started: i64,
    /// Which Host headers are answered.
    pub hosts: Hosts,
}

/// Answers on the socket until the runtime ends.
pub async fn serve(listener: tokio::net::TcpListener, state: State) {
    connections::serve_on(listener, router(state)).await;
}

/// Every route, behind the guard.
pub fn router(state: State) -> Router {
    let hosts = state.hosts.clone();
    let state = Arc::new(state);
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::health))
        .route("/api/status", get(status::status))
        .fallback(not_found)
        .with_state(Arc::clone(&state))
        .nest("/api/v1", prometheus::routes(state))
        .layer(axum::middleware::from_fn(move |request, next| {
            let hosts = hosts.clone();
            async move { guard::check(&hosts, request, next).await }
        }))
}

async fn index() -> impl IntoResponse {
    "plimsoll is collecting.\n\n\
     /metrics      every current value, for Prometheus and OpenMetrics scrapers\n\
     /health       is anything wrong?\n\
     /api/status   the same values and more as JSON\n\
     /api/v1/…     PromQL: the HTTP API of Prometheus, for Grafana, promtool and others\n"
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "nothing here; try /metrics, /health or /api/status\n")
}
