//! http: the HTTP API of Prometheus over the file: what Grafana, promtool and every client library
//! ask. Here are the routes, the envelope of each answer and how a question gets its thread; what
//! is asked of the file stands in the files beside.

pub(super) mod ask;
pub(super) mod error;
mod escape;
mod federate;
mod json;
pub(super) mod params;
mod query;
mod series;
mod status;
mod targets;

use std::cell::RefCell;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State as Get};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};

use super::State;
use super::connections::Cut;
use super::turns::{Client, Leaving, Turns};
use ask::Files;
use error::{ApiError, Kind};
use json::write_list;
use params::Params;

use crate::query::Catalog;
use crate::query::budget::{self, Budget, Held, Pool};
use crate::query::eval::Limits;
use crate::store::Reader;

/// How many questions in PromQL and pictures are worked on at a time; the others wait for their turn
/// until their deadline.
const AT_ONCE: usize = 5;

/// How many of them one client may have at a time: another one always finds a place.
const OF_ONE: usize = 4;

/// The page has places of its own, so that it stands while others ask much.
const PAGES: usize = 4;
const PAGES_OF_ONE: usize = 3;

/// So much of the memory of all questions is left to the page, in bytes.
pub(super) const FOR_THE_PAGE: u64 = 32 << 20;

/// The longest that a question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The page may take longer: its numbers of two hundred machines are one question.
const PAGE_TIME: Duration = Duration::from_secs(30);

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
    pages: Turns,
    hosts: Turns,
    pool: Arc<Pool>,
}

/// What a question is about, and so which places and how much memory it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Whatever somebody asks: PromQL, pictures, lists.
    Any,
    /// What the page shows.
    Page,
    /// The table of all hosts: one at a time, so that it never keeps the charts waiting.
    Hosts,
}

/// What somebody who works on a question has to keep to.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// When to give up.
    pub(super) deadline: Instant,
    /// Set when nobody waits for the answer any more.
    cancel: Arc<AtomicBool>,
    /// The memory it may take.
    pub(super) budget: Arc<Budget>,
}

impl Task {
    pub(super) fn limits(&self) -> Limits<'_> {
        Limits {
            deadline: Some(self.deadline),
            cancel: Some(&self.cancel),
            budget: Some(&self.budget),
            ..Limits::default()
        }
    }

    /// Whether the work may go on.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        Ok(self.limits().check()?)
    }
}

/// The memory of an answer's text.
#[derive(Debug)]
pub(super) struct Sheet<'t> {
    pub(super) task: &'t Task,
    held: RefCell<Held>,
}

impl<'t> Sheet<'t> {
    fn new(task: &'t Task) -> Self {
        Self { task, held: RefCell::new(task.budget.hold()) }
    }

    fn into_held(self) -> Held {
        self.held.into_inner()
    }

    /// Room in the text for so many bytes more, if there is memory for it and somebody waits for
    /// them. What it took without asking is counted, too.
    pub(super) fn room(&self, out: &mut String, more: usize) -> Result<(), ApiError> {
        self.task.check()?;
        let mut held = self.held.borrow_mut();
        held.settle(out.capacity())?;
        Ok(held.reserve_text(out, more)?)
    }
}

/// So much room is made at a time in a text that grows, in bytes.
pub(super) const SOME: usize = 4 << 10;

impl Api {
    pub(super) fn new(state: Arc<State>, pool: Arc<Pool>) -> Arc<Self> {
        let files = Files::new(state.database.clone(), Arc::clone(&state.head));
        let turns = Turns::new(AT_ONCE, OF_ONE, Arc::clone(&state.counters));
        let pages = turns.beside(PAGES, PAGES_OF_ONE);
        let hosts = turns.beside(1, 1);
        Arc::new(Self { state, files, turns, pages, hosts, pool })
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

/// One question.
struct Ask<'a> {
    api: &'a Api,
    params: &'a Params,
    /// The part of the path that is asked for: the label of `label/NAME/values`.
    name: &'a str,
    task: &'a Task,
    started: Instant,
    /// How long it waited for its turn.
    queued: Duration,
    sheet: Sheet<'a>,
}

impl Ask<'_> {
    /// Room in the answer for so many bytes more, if there is memory for it and somebody waits.
    fn room(&self, out: &mut String, more: usize) -> Result<(), ApiError> {
        self.sheet.room(out, more)
    }

    /// Appends `[a,b,c]`, as long as there is room and somebody waits.
    fn write_list<T>(
        &self,
        out: &mut String,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut String, T) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        out.push('[');
        for (at, item) in items.into_iter().enumerate() {
            self.room(out, SOME)?;
            if at > 0 {
                out.push(',');
            }
            write(out, item)?;
        }
        out.push(']');
        Ok(())
    }
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

    /// Does the work on a thread of its own when it is its turn. The place is given back when the work
    /// is done, not when the client goes. Fails where the turn did not come, with `timeout`.
    pub(super) async fn turn<T: Send + 'static>(
        self: &Arc<Self>,
        purpose: Purpose,
        client: Client,
        work: impl FnOnce(&Self, &Task) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (turns, share, time) = match purpose {
            Purpose::Any => (&self.turns, budget::ALL - FOR_THE_PAGE, PATIENCE),
            Purpose::Page => (&self.pages, budget::ALL, PAGE_TIME),
            Purpose::Hosts => (&self.hosts, budget::ALL, PAGE_TIME),
        };
        let turn = turns.next(client, PATIENCE).await.ok_or_else(|| {
            ApiError::new(Kind::Timeout, "too many queries are running; ask again later")
        })?;
        let leaving = Leaving::default();
        let task = Task {
            deadline: Instant::now() + time,
            cancel: Arc::clone(&leaving.0),
            budget: Budget::within(&self.pool, budget::ONE, share),
        };
        let api = Arc::clone(self);
        // The turn ends where this is taken, or here when nobody takes it: to end it first would wake
        // the thread that sends the answer once more.
        let done = tokio::task::spawn_blocking(move || (work(&api, &task), turn)).await;
        match done {
            Ok((done, _turn)) => done,
            Err(e) => Err(ApiError::new(Kind::Internal, e.to_string())),
        }
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

/// An endpoint by GET.
fn only(endpoint: Endpoint) -> MethodRouter<Arc<Api>> {
    get(move |api, path, headers, query, asks, body| {
        serve(endpoint, api, path, headers, query, asks, body)
    })
}

/// The same by GET and POST.
fn both(endpoint: Endpoint) -> MethodRouter<Arc<Api>> {
    only(endpoint).post(move |api, path, headers, query, asks, body| {
        serve(endpoint, api, path, headers, query, asks, body)
    })
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
    endpoint: Endpoint,
    Get(api): Get<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    (client, cut): (Client, Option<Extension<Cut>>),
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
    let answered = api.turn(Purpose::Any, client, move |api, task| {
        let name = path.as_ref().map_or("", |Path(name)| name);
        let (params, queued, sheet) = (&params, started.elapsed(), Sheet::new(task));
        let ask = Ask { api, params, name, task, started, queued, sheet };
        let (text, resolution) = answer(endpoint, &ask)?;
        Ok((pack_up(text, ask.sheet.into_held(), pack, task)?, resolution))
    });
    match answered.await {
        Ok((packed, resolution)) => {
            let cut = cut.map(|Extension(cut)| cut);
            let mut response = packed.respond_as("application/json", StatusCode::OK, cut);
            if let Some(resolution) = resolution.and_then(|r| HeaderValue::try_from(r).ok()) {
                response.headers_mut().insert("x-plimsoll-resolution", resolution);
            }
            response
        }
        Err(error) => error.into_response(),
    }
}

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

/// An answer as it is sent, and its memory.
#[derive(Debug)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    packed: bool,
    held: Held,
}

/// The text as bytes, packed where that is wanted and worth it. `held` is the memory of the text.
fn pack_up(text: String, mut held: Held, pack: bool, task: &Task) -> Result<Packed, ApiError> {
    held.settle(text.capacity())?;
    if !pack || text.len() < PACKED_FROM {
        return Ok(Packed { bytes: text.into_bytes(), packed: false, held });
    }
    let mut room = held.another();
    let mut out = Vec::new();
    room.reserve(&mut out, text.len() / 8)?;
    let failed = |e: std::io::Error| ApiError::new(Kind::Internal, e.to_string());
    let mut gzip = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
    for part in text.as_bytes().chunks(AT_A_TIME) {
        task.check()?;
        gzip.write_all(part).map_err(failed)?;
        room.settle(gzip.get_ref().capacity())?;
    }
    let bytes = gzip.finish().map_err(failed)?;
    room.settle(bytes.capacity())?;
    Ok(Packed { bytes, packed: true, held: room })
}

/// So many bytes are packed between two looks at the clock.
const AT_A_TIME: usize = 64 << 10;

impl Packed {
    /// The whole answer. Its memory counts until it is sent; see [`super::sent`].
    pub(super) fn respond_as(
        self,
        kind: &'static str,
        status: StatusCode,
        cut: Option<Cut>,
    ) -> Response {
        let body = super::sent::body(self.bytes, self.held, cut);
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if self.packed {
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
        }
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        response
    }
}

/// What is little and needs no counting.
fn respond(status: StatusCode, body: Vec<u8>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let mut response = (status, kind, body).into_response();
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}
