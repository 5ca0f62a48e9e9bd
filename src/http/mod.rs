//! http: what the daemon serves: the page, pictures, /metrics, /health, /api/status and Prometheus' API;
//! and what senders may bring. A view: it reads what pipeline and store offer, and hands what is pushed
//! to the intake.

mod access;
mod base64;
mod connections;
mod graph;
mod guard;
mod health;
mod metrics;
mod page;
mod prometheus;
mod push;
mod status;
mod tls;
pub mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::model::{Clock, Registry};
use crate::pipeline::{Board, Counters, Intake, Latest, Queue};
use crate::store::Head;

pub use access::Access;
pub use connections::Listener;
pub use guard::Hosts;
pub use page::assets as page_files;
pub use push::Desk;
pub use tls::{Tls, TlsSettings};

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
    /// Where what is pushed goes.
    pub intake: Arc<Intake>,
    /// What pushes share.
    pub desk: Arc<Desk>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the database is.
    pub database: PathBuf,
    /// Its newest samples.
    pub head: Arc<Head>,
    /// This machine's name.
    pub system: String,
    /// When the daemon was started, ms since 1970 UTC.
    pub started: i64,
    /// Which Host headers are answered.
    pub hosts: Hosts,
    /// Who may do what.
    pub access: Access,
}

/// Answers on the socket until the runtime ends.
pub async fn serve(listener: Listener, router: Router) {
    connections::serve_on(listener, router).await;
}

/// Every route, behind the guard.
pub fn router(state: State) -> Router {
    let (hosts, access) = (state.hosts.clone(), state.access.clone());
    let state = Arc::new(state);
    let api = Arc::new(prometheus::Api::new(Arc::clone(&state)));
    Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::health))
        .route("/api/status", get(status::status))
        .merge(push::routes())
        .fallback(not_found)
        .with_state(Arc::clone(&state))
        .nest("/api/v1", prometheus::routes(Arc::clone(&api)))
        .merge(graph::routes(Arc::clone(&api)))
        .merge(page::routes(api))
        .layer(axum::middleware::from_fn(move |request, next| {
            let (hosts, access) = (hosts.clone(), access.clone());
            async move { guard::check(&hosts, &access, request, next).await }
        }))
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, "nothing here; try /metrics, /health or /api/status\n")
}
