//! http: the HTTP API of Prometheus over the file: what Grafana, promtool and every client library
//! ask. Here are the routes, the envelope of each answer and how a question gets its thread; what
//! is asked of the file stands in the files beside.

pub(super) mod ask;
pub(super) mod error;
mod json;
pub(super) mod params;
mod query;
mod series;
mod status;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State as Get};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::State;
use ask::Files;
use error::{ApiError, Kind};
use json::write_list;
use params::Params;

use crate::query::Catalog;
use crate::query::eval::Limits;
use crate::store::Reader;

/// How many questions are answered at a time; the others wait for their turn until their deadline.
const AT_ONCE: usize = 4;

/// The longest that a question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest form that is read, in bytes.
const LARGEST_FORM: usize = 1 << 20;

/// Shorter answers are not worth packing.
const PACKED_FROM: usize = 1_400;

/// What all questions share.
pub(super) struct Api {
    state: Arc<State>,
    files: Files,
    places: tokio::sync::Semaphore,
}

impl Api {
    pub(super) fn new(state: Arc<State>) -> Self {
        let files = Files::new(state.database.clone(), Arc::clone(&state.head));
        Self { state, files, places: tokio::sync::Semaphore::new(AT_ONCE) }
    }

    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    /// Lets a question to the file have its turn and its thread; the text that comes of it is JSON.
    pub(super) async fn on_a_thread(
        &self,
        headers: &HeaderMap,
        ask: impl FnOnce() -> Result<String, ApiError> + Send + 'static,
    ) -> Response {
        let pack = takes_gzip(headers);
        let Ok(place) = tokio::time::timeout(PATIENCE, self.places.acquire()).await else {
            let message = "too many queries are running; ask again later";
            return ApiError::new(Kind::Timeout, message).into_response();
        };
        let answer = tokio::task::spawn_blocking(move || packed(ask()?, pack)).await;
        drop(place);
        match answer {
            Ok(Ok((body, packed))) => respond(StatusCode::OK, body, packed),
            Ok(Err(error)) => error.into_response(),
            Err(e) => ApiError::new(Kind::Internal, e.to_string()).into_response(),
        }
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.split(',').any(|one| one.trim().starts_with("gzip")))
}

/// One question.
struct Ask<'a> {
    api: &'a Api,
    params: &'a Params,
    /// The part of the path that is asked for: the label of `label/NAME/values`.
    name: &'a str,
    /// Set when nobody waits for the answer any more.
    cancel: &'a AtomicBool,
    started: Instant,
}

/// What is said beside the answer.
#[derive(Debug, Default)]
struct Notes {
    warnings: Vec<String>,
    infos: Vec<String>,
}

/// Appends the answer's `data`.
type Endpoint = fn(&Ask<'_>, &mut String) -> Result<Notes, ApiError>;

impl Api {
    /// The time, ms since 1970 UTC.
    pub(super) fn now(&self) -> i64 {
        self.state.clock.wall_ms()
    }

    /// Lends the file and its names; fails with a sentence where it cannot be read.
    pub(super) fn with_catalog<T>(
        &self,
        ask: impl FnOnce(&Reader, &Catalog) -> T,
    ) -> Result<T, String> {
        self.files.with_catalog(|reader, catalog| Ok(ask(reader, catalog))).map_err(|e| e.message())
    }

    /// Does the work on a thread of its own when it is its turn. The work is told by when it has to
    /// be done, and by a flag that nobody waits for it any more. Nothing: its turn did not come.
    pub(super) async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, Limits<'_>) -> T + Send + 'static,
    ) -> Option<T> {
        let deadline = Some(Instant::now() + PATIENCE);
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await.ok()?;
        let cancel = Arc::new(AtomicBool::new(false));
        let _leaving = Leaving(Arc::clone(&cancel));
        let api = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let limits = Limits { deadline, cancel: Some(&cancel), ..Limits::default() };
            work(&api, limits)
        })
        .await;
        drop(place);
        done.ok()
    }
}

/// Every route below `/api/v1`.
pub(super) fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/query", both(query::instant))
        .route("/query_range", both(query::range))
        .route("/query_exemplars", both(query::exemplars))
        .route("/format_query", both(query::format))
        .route("/parse_query", both(query::tree))
        .route("/series", both(series::series))
        .route("/labels", both(series::labels))
        .route("/label/{name}/values", only(series::values))
        .route("/metadata", only(series::metadata))
        .route("/targets", only(status::targets))
        .route("/rules", only(status::rules))
        .route("/alerts", only(status::alerts))
        .route("/status/buildinfo", only(status::build))
        .route("/status/runtimeinfo", only(status::runtime))
        .route("/status/config", only(status::config))
        .route("/status/flags", only(status::flags))
        .route("/status/tsdb", only(status::tsdb))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .with_state(api)
}

async fn unknown() -> Response {
    ApiError::new(Kind::NotFound, "there is no such endpoint here").into_response()
}

fn only(endpoint: Endpoint) -> MethodRouter<Arc<Api>> {
    get(move |api, path, headers, query, body: Bytes| {
        serve(endpoint, api, path, headers, query, body)
    })
}

fn both(endpoint: Endpoint) -> MethodRouter<Arc<Api>> {
    only(endpoint).post(move |api, path, headers, query, body: Bytes| {
        serve(endpoint, api, path, headers, query, body)
    })
}

/// Sets the flag when it is dropped: when the answer is there, or when the client has gone.
struct Leaving(Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn serve(
    endpoint: Endpoint,
    Get(api): Get<Arc<Api>>,
    path: Option<Path<String>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let started = Instant::now();
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    let body = if form { &body[..] } else { &[] };
    let params = Params::new(query.as_deref().unwrap_or_default().as_bytes(), body);
    let packed = takes_gzip(&headers);
    let Ok(place) = tokio::time::timeout(PATIENCE, api.places.acquire()).await else {
        let message = "too many queries are running; ask again later";
        return ApiError::new(Kind::Timeout, message).into_response();
    };
    let cancel = Arc::new(AtomicBool::new(false));
    let _leaving = Leaving(Arc::clone(&cancel));
    let asked = Arc::clone(&api);
    let answer = tokio::task::spawn_blocking(move || {
        let name = path.as_ref().map_or("", |Path(name)| name);
        let ask = Ask { api: &asked, params: &params, name, cancel: &cancel, started };
        answer(endpoint, &ask, packed)
    })
    .await;
    drop(place);
    match answer {
        Ok(Ok((body, packed))) => respond(StatusCode::OK, body, packed),
        Ok(Err(error)) => error.into_response(),
        Err(e) => ApiError::new(Kind::Internal, e.to_string()).into_response(),
    }
}

fn answer(endpoint: Endpoint, ask: &Ask<'_>, pack: bool) -> Result<(Vec<u8>, bool), ApiError> {
    let mut out = String::from(r#"{"status":"success","data":"#);
    let notes = endpoint(ask, &mut out)?;
    for (key, texts) in [("warnings", notes.warnings), ("infos", notes.infos)] {
        if !texts.is_empty() {
            out.push_str(&format!(r#","{key}":"#));
            write_list(&mut out, texts, |out, text| json::write_text(out, &text));
        }
    }
    out.push('}');
    packed(out, pack)
}

fn packed(out: String, pack: bool) -> Result<(Vec<u8>, bool), ApiError> {
    if !pack || out.len() < PACKED_FROM {
        return Ok((out.into_bytes(), false));
    }
    let mut gzip = flate2::write::GzEncoder::new(
        Vec::with_capacity(out.len() / 4),
        flate2::Compression::fast(),
    );
    gzip.write_all(out.as_bytes())
        .and_then(|()| gzip.finish())
        .map(|bytes| (bytes, true))
        .map_err(|e| ApiError::new(Kind::Internal, e.to_string()))
}

fn respond(status: StatusCode, body: Vec<u8>, packed: bool) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    if packed {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}
