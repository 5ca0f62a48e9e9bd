//! http: the HTTP server: the page, pictures, /metrics, /health, /api/status, Prometheus' API, and
//! pushes. A view: it reads pipeline and store, and hands pushed values to the intake.

mod access;
mod api;
mod connections;
mod error;
mod guard;
mod health;
mod metrics;
mod own_words;
mod pace;
mod page;
mod params;
mod peer;
mod picture;
mod pieces;
mod prometheus;
mod push;
mod respond;
mod sent;
mod sql;
mod status;
mod time;
mod tls;
pub mod tokens;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};

use crate::alert::Standing;
use crate::config::Running;
use crate::pipeline::Flow;
use crate::query::desk::Desk;

pub use access::Access;
pub use connections::Listener;
pub use guard::Hosts;
pub use page::assets as page_files;
pub use push::Pushes;
pub use tls::Tls;

/// The state that handlers read.
#[derive(Clone)]
pub struct AppState {
    /// Series, their newest values, problems, counters, and where pushes go.
    pub flow: Flow,
    /// The parts that pushes share.
    pub pushes: Arc<Pushes>,
    /// The desk that answers questions to the file.
    pub desk: Arc<Desk>,
    /// The path of the database.
    pub database: PathBuf,
    /// How things stand with alerts.
    pub alerts: Arc<Standing>,
    /// The configuration in force.
    pub config: Running,
    /// This machine's name.
    pub system: String,
    /// When the daemon was started, ms since 1970 UTC.
    pub started: i64,
    /// Which Host headers are answered.
    pub hosts: Hosts,
    /// The rules of access.
    pub access: Access,
    /// Called when questions were answered and no other follows, to give memory back.
    pub rested: fn(),
    /// The running services, for `/health`.
    pub services: Arc<dyn Fn() -> Vec<Serving> + Send + Sync>,
}

impl Deref for AppState {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

/// A service that runs, as `/health` shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Serving {
    /// Its name, as in `plimsoll check-config`.
    pub name: &'static str,
    /// Whether nothing is wrong with it.
    pub up: bool,
    /// Its addresses; empty for a service that does not listen.
    pub listening: Vec<String>,
}

/// Answers on the socket until the runtime ends.
pub async fn serve(listener: Listener, router: Router) {
    connections::serve_on(listener, router).await;
}

/// The PromQL API without the guard, for the control socket, whose permissions already decide who
/// may read the file.
#[derive(Clone)]
pub struct Inside(Arc<api::Api>);

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").finish_non_exhaustive()
    }
}

impl Inside {
    /// The status and the body that `POST /api/v1/PATH` would answer to this form. `path` is `/query`
    /// or `/query_range`.
    pub async fn ask(&self, path: &str, form: &str) -> (u16, Vec<u8>) {
        match prometheus::inside(&self.0, path, form).await {
            Ok(text) => (StatusCode::OK.as_u16(), text.into_bytes()),
            Err(e) => (e.status().as_u16(), e.body()),
        }
    }
}

/// Every route, behind the guard; and questions of the control socket, which need no guard. Has to be called
/// inside a runtime, which also gives memory back between questions.
pub fn router(state: AppState) -> (Router, Inside) {
    let (hosts, access) = (state.hosts.clone(), state.access.clone());
    let state = Arc::new(state);
    let api = api::Api::new(Arc::clone(&state));
    tokio::spawn(Arc::clone(&api).rest_between());
    let sql = sql::routes(Arc::clone(&state));
    let inside = Inside(Arc::clone(&api));
    let pages = pieces::Pages::default();
    let router = Router::new()
        .route("/metrics", get(metrics::metrics).layer(Extension(pages.clone())))
        .route("/health", get(health::health))
        .route("/api/status", get(status::status).layer(Extension(pages)))
        .merge(push::routes())
        .fallback(not_found)
        .with_state(state)
        .nest("/api/v1", prometheus::routes(Arc::clone(&api)))
        .merge(prometheus::federation(Arc::clone(&api)))
        .merge(picture::routes(Arc::clone(&api)))
        .merge(page::routes(api))
        .merge(sql)
        .layer(axum::middleware::from_fn(move |request, next| {
            let (hosts, access) = (hosts.clone(), access.clone());
            async move { guard::check(&hosts, &access, request, next).await }
        }));
    (router, inside)
}

async fn not_found() -> impl IntoResponse {
    let text = "nothing here; try /metrics, /health or /api/status; to send values in, POST to \
                /api/push, /write, /api/v1/write or /metrics/job/NAME\n";
    (StatusCode::NOT_FOUND, text)
}
