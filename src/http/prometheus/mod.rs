//! http: the HTTP API of Prometheus over the file: what Grafana, promtool and every client library
//! ask. Here are the routes, the envelope of each answer and how a question gets its thread; what
//! is asked of the file stands in the files beside.

pub(super) mod ask;
pub(super) mod error;
mod escape;
mod federate;
mod json;
mod near;
pub(super) mod params;
mod query;
mod series;
mod status;
mod targets;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State as Get};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

use super::State;
use super::turns::{Leaving, Turn, Turns};
use ask::Files;
use error::{ApiError, Kind};
use json::write_list;
use near::Near;
use params::Params;

use crate::query::Catalog;
use crate::query::eval::Limits;
use crate::store::Reader;

/// How many questions are answered at a time; the others wait for their turn until their deadline.
const AT_ONCE: usize = 4;

/// The longest that a question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nobody asks any more after this long; shorter than what pages wait between questions.
const QUIET: Duration = Duration::from_secs(3);

/// The largest form that is read, in bytes.
const LARGEST_FORM: usize = 1 << 20;

/// Shorter answers are not worth packing.
const PACKED_FROM: usize = 1_400;

/// What all questions share.
pub(super) struct Api {
    state: Arc<State>,
    files: Files,
    turns: Turns,
    near: Near,
}

impl Api {
    pub(super) fn new(state: Arc<State>) -> Arc<Self> {
        let files = Files::new(state.database.clone(), Arc::clone(&state.head));
        let turns = Turns::new(AT_ONCE, Arc::clone(&state.counters));
        Arc::new(Self { state, files, turns, near: Near::new(Instant::now()) })
    }

    /// Gives memory back when nobody has asked for a while, for as long as the runtime goes on: what a
    /// year of sixty charts takes would otherwise stay.
    pub(super) async fn rest_between(self: Arc<Self>) {
        loop {
            self.turns.quiet(QUIET).await;
            let api = Arc::clone(&self);
            let rested = tokio::task::spawn_blocking(move || {
                api.files.rest();
                (api.state.rested)();
            });
            let _unused = rested.await;
        }
    }
}

impl Api {
    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }
}

/// Lets a question to the file have its turn and its thread; the text that comes of it is JSON.
pub(super) async fn on_a_thread(
    api: Arc<Api>,
    headers: &HeaderMap,
    ask: impl FnOnce() -> Result<String, ApiError> + Send + 'static,
) -> Response {
    let pack = takes_gzip(headers);
    match in_turn(api, move |_, _| pack_up(ask()?, pack)).await {
        Ok((body, packed)) => respond(StatusCode::OK, body, packed),
        Err(error) => error.into_response(),
    }
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
    /// How long it waited for its turn.
    queued: Duration,
    /// It is only tried, by the thread that reads requests: what is not little has to fail.
    near: bool,
}

/// What is said beside the answer.
#[derive(Debug, Default)]
struct Notes {
    warnings: Vec<String>,
    infos: Vec<String>,
    /// What served the answer, where that can differ: `raw`, `5m`, `1h`, or several of them.
    resolution: Option<String>,
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
        let turn = self.turns.next(PATIENCE).await?;
        let leaving = Leaving::default();
        let (api, cancel) = (Arc::clone(self), Arc::clone(&leaving.0));
        let done = tokio::task::spawn_blocking(move || {
            let deadline = Some(Instant::now() + PATIENCE);
            let limits = Limits { deadline, cancel: Some(&cancel), ..Limits::default() };
            (work(&api, limits), turn)
        })
        .await;
        done.ok().map(|(done, _turn)| done)
    }
}

/// Every route below `/api/v1`.
pub(super) fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/query", read_or_sent(query::instant, true))
        .route("/query_range", both(query::range))
        .route("/query_exemplars", both(query::exemplars))
        .route("/format_query", both(query::format))
        .route("/parse_query", both(query::tree))
        .route("/series", read_or_sent(series::series, true))
        .route("/labels", read_or_sent(series::labels, true))
        .route("/label/{name}/values", read(series::values, true))
        .route("/metadata", only(series::metadata))
        .route("/targets", only(targets::targets))
        .route("/targets/metadata", only(targets::metadata))
        .route("/scrape_pools", only(targets::pools))
        .route("/rules", only(targets::rules))
        .route("/alerts", only(targets::alerts))
        .route("/alertmanagers", only(targets::alertmanagers))
        .route("/notifications", only(targets::notifications))
        .route("/features", only(status::features))
        .route("/status/buildinfo", only(status::build))
        .route("/status/runtimeinfo", only(status::runtime))
        .route("/status/config", only(status::config))
        .route("/status/flags", only(status::flags))
        .route("/status/tsdb", only(status::tsdb))
        .route("/status/walreplay", only(status::replay))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .with_state(api)
}

/// `/federate`, which stands beside the API.
pub(super) fn federation(api: Arc<Api>) -> Router {
    Router::new().route("/federate", get(federate::federate)).with_state(api)
}

async fn unknown() -> Response {
    ApiError::new(Kind::NotFound, "there is no such endpoint here").into_response()
}

async fn wrong_method() -> Response {
    let why = "this endpoint is asked with another method; see docs/HTTP.md";
    let mut response = ApiError::new(Kind::BadData, why).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// A form that could not be read as a whole.
fn not_read(why: &BytesRejection) -> Response {
    let status = why.status();
    let what = match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            format!("the form is larger than {} KiB; ask for less at once", LARGEST_FORM >> 10)
        }
        _ => format!("the form did not come whole: {why}"),
    };
    let mut response = ApiError::new(Kind::BadData, what).into_response();
    *response.status_mut() = status;
    response
}

fn only(endpoint: Endpoint) -> MethodRouter<Arc<Api>> {
    read(endpoint, false)
}

fn both(endpoint: Endpoint) -> MethodRouter<Arc<Api>> {
    read_or_sent(endpoint, false)
}

/// An endpoint by GET; `near`: it is tried by the thread that reads requests.
fn read(endpoint: Endpoint, near: bool) -> MethodRouter<Arc<Api>> {
    get(move |api, path, headers, query, body| {
        serve((endpoint, near), api, path, headers, query, body)
    })
}

/// The same by GET and POST.
fn read_or_sent(endpoint: Endpoint, near: bool) -> MethodRouter<Arc<Api>> {
    read(endpoint, near).post(move |api, path, headers, query, body| {
        serve((endpoint, near), api, path, headers, query, body)
    })
}

/// Waits for its turn, and works on a thread of its own; `work` is told when nobody waits
/// for it any more. The place is given back when the work is done, not when the client goes.
async fn in_turn<T: Send + 'static>(
    api: Arc<Api>,
    work: impl FnOnce(&Api, &AtomicBool) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let turn = next(&api).await?;
    on_thread(api, turn, work).await
}

async fn next(api: &Api) -> Result<Turn, ApiError> {
    api.turns.next(PATIENCE).await.ok_or_else(|| {
        ApiError::new(Kind::Timeout, "too many queries are running; ask again later")
    })
}

async fn on_thread<T: Send + 'static>(
    api: Arc<Api>,
    turn: Turn,
    work: impl FnOnce(&Api, &AtomicBool) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let leaving = Leaving::default();
    let cancel = Arc::clone(&leaving.0);
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&api, &cancel);
        if done.is_ok() {
            api.near.read(Instant::now());
        }
        // The turn ends where this is taken, or here when nobody takes it: to end it first would wake
        // the thread that sends the answer once more.
        (turn, done)
    });
    match done.await {
        Ok((_turn, done)) => done,
        Err(e) => Err(ApiError::new(Kind::Internal, e.to_string())),
    }
}

/// Whether the client takes gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    accepted.filter_map(|t| t.to_str().ok()).flat_map(|t| t.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|n| n.eq_ignore_ascii_case("gzip") || n == "*");
        named && !parts.any(|p| matches!(p, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

async fn serve(
    (endpoint, near): (Endpoint, bool),
    Get(api): Get<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let started = Instant::now();
    let body = match body {
        Ok(body) => body,
        Err(e) => return not_read(&e),
    };
    // What is no UTF-8 in a path is no name.
    let path = path.ok();
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    let body = if form { &body[..] } else { &[] };
    let params = Params::new(query.as_deref().unwrap_or_default().as_bytes(), body);
    let pack = takes_gzip(&headers);
    let near = near && near::may_be_little(query.as_deref(), body);
    let question = Question { endpoint, params, path, started, pack };
    match question.answered(api, near).await {
        Ok((body, packed, resolution)) => {
            let mut response = respond(StatusCode::OK, body, packed);
            if let Some(resolution) = resolution.and_then(|r| HeaderValue::try_from(r).ok()) {
                response.headers_mut().insert("x-plimsoll-resolution", resolution);
            }
            response
        }
        Err(error) => error.into_response(),
    }
}

/// What is asked.
struct Question {
    endpoint: Endpoint,
    params: Params,
    path: Option<Path<String>>,
    started: Instant,
    /// Whether the client takes gzip.
    pack: bool,
}

impl Question {
    /// Tries it here where it may be little (`near`), and leaves it to a thread where it is not.
    async fn answered(self, api: Arc<Api>, near: bool) -> Result<Answered, ApiError> {
        let turn = next(&api).await?;
        let queued = self.started.elapsed();
        let begin = Instant::now();
        if near && api.near.is_open(begin) {
            let tried = self.text(&api, &AtomicBool::new(false), queued, true);
            let end = Instant::now();
            api.near.tried(end - begin, end);
            // Whatever went wrong, the thread tells.
            if let Ok((text, resolution)) = tried {
                if near::is_sent_here(text.len(), self.pack) {
                    let (body, packed) = pack_up(text, self.pack)?;
                    return Ok((body, packed, resolution));
                }
                let (body, packed) =
                    on_thread(api, turn, move |_, _| pack_up(text, self.pack)).await?;
                return Ok((body, packed, resolution));
            }
        }
        on_thread(api, turn, move |api, cancel| {
            let (text, resolution) = self.text(api, cancel, queued, false)?;
            let (body, packed) = pack_up(text, self.pack)?;
            Ok((body, packed, resolution))
        })
        .await
    }

    /// The answer before it is packed, and what served it.
    fn text(
        &self,
        api: &Api,
        cancel: &AtomicBool,
        queued: Duration,
        near: bool,
    ) -> Result<(String, Option<String>), ApiError> {
        let name = self.path.as_ref().map_or("", |Path(name)| name);
        let (params, started) = (&self.params, self.started);
        answer(self.endpoint, &Ask { api, params, name, cancel, started, queued, near })
    }
}

/// The body, whether it is packed, and what served it.
type Answered = (Vec<u8>, bool, Option<String>);

fn answer(endpoint: Endpoint, ask: &Ask<'_>) -> Result<(String, Option<String>), ApiError> {
    let mut out = String::from(r#"{"status":"success","data":"#);
    let notes = endpoint(ask, &mut out)?;
    for (key, texts) in [("warnings", notes.warnings), ("infos", notes.infos)] {
        if !texts.is_empty() {
            out.push_str(&format!(r#","{key}":"#));
            write_list(&mut out, texts, |out, text| json::write_text(out, &text));
        }
    }
    out.push('}');
    Ok((out, notes.resolution))
}

/// The text as bytes, packed where that is wanted and worth it.
fn pack_up(text: String, pack: bool) -> Result<(Vec<u8>, bool), ApiError> {
    if !pack || text.len() < PACKED_FROM {
        return Ok((text.into_bytes(), false));
    }
    let mut gzip = flate2::write::GzEncoder::new(
        Vec::with_capacity(text.len() / 4),
        flate2::Compression::fast(),
    );
    gzip.write_all(text.as_bytes())
        .and_then(|()| gzip.finish())
        .map(|bytes| (bytes, true))
        .map_err(|e| ApiError::new(Kind::Internal, e.to_string()))
}

fn respond(status: StatusCode, body: Vec<u8>, packed: bool) -> Response {
    respond_as("application/json", status, body, packed)
}

fn respond_as(kind: &'static str, status: StatusCode, body: Vec<u8>, packed: bool) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
    if packed {
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}
