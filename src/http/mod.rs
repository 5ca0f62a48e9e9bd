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
mod own_words;
mod pace;
mod page;
mod pieces;
mod prometheus;
mod push;
mod sent;
mod sql;
mod status;
mod tls;
pub mod tokens;
mod turns;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use crate::config::Running;
use crate::pipeline::Flow;
use crate::query::budget::{self, Pool};
use crate::store::Head;

pub use access::Access;
pub use connections::Listener;
pub use guard::Hosts;
pub use page::assets as page_files;
pub use push::Desk;
pub use tls::Tls;

/// What the handlers look at.
#[derive(Clone)]
pub struct State {
    /// Series, their newest values, problems, counters, and where pushes go.
    pub flow: Flow,
    /// What pushes share.
    pub desk: Arc<Desk>,
    /// Where the database is.
    pub database: PathBuf,
    /// Its newest samples.
    pub head: Arc<Head>,
    /// The configuration in force.
    pub config: Running,
    /// This machine's name.
    pub system: String,
    /// When the daemon was started, ms since 1970 UTC.
    pub started: i64,
    /// Which Host headers are answered.
    pub hosts: Hosts,
    /// Who may do what.
    pub access: Access,
    /// Called when questions were answered and no other follows, to give memory back.
    pub rested: fn(),
    /// The services that run at the moment, for `/health`.
    pub services: Arc<dyn Fn() -> Vec<Serving> + Send + Sync>,
}

impl Deref for State {
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
    /// Where it listens; empty for one that does not.
    pub listening: Vec<String>,
}

/// Answers on the socket until the runtime ends.
pub async fn serve(listener: Listener, router: Router) {
    connections::serve_on(listener, router).await;
}

/// The API of Prometheus past the guard, for the control socket: whoever may open that may read the
/// file as well.
#[derive(Debug, Clone)]
pub struct Inside(Router);

impl Inside {
    /// What `POST /api/v1/PATH` with this form answers: status and body. `path` without what stands
    /// before it: `/query`.
    pub async fn ask(&self, path: &str, form: String) -> (u16, Vec<u8>) {
        let request = hyper::Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form));
        let Ok(request) = request else { return (StatusCode::NOT_FOUND.as_u16(), Vec::new()) };
        let answer = TowerToHyperService::new(self.0.clone()).call(request).await;
        let Ok(response) = answer;
        let status = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(body) => (status, body.to_bytes().to_vec()),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR.as_u16(), Vec::new()),
        }
    }
}

/// Every route, behind the guard; and those that the control socket needs, without it. Has to be called
/// inside a runtime, which also gives memory back between questions.
pub fn router(state: State) -> (Router, Inside) {
    let (hosts, access) = (state.hosts.clone(), state.access.clone());
    let state = Arc::new(state);
    let pool = Pool::new(budget::ALL);
    let api = prometheus::Api::new(Arc::clone(&state), Arc::clone(&pool));
    tokio::spawn(Arc::clone(&api).rest_between());
    let sql = sql::routes(Arc::clone(&state), pool);
    let inside = Inside(prometheus::routes(Arc::clone(&api)));
    let router = Router::new()
        .route("/metrics", get(metrics::metrics))
        .route("/health", get(health::health))
        .route("/api/status", get(status::status))
        .merge(push::routes())
        .fallback(not_found)
        .with_state(state)
        .nest("/api/v1", prometheus::routes(Arc::clone(&api)))
        .merge(prometheus::federation(Arc::clone(&api)))
        .merge(graph::routes(Arc::clone(&api)))
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
