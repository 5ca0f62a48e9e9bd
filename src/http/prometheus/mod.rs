//! http: the HTTP API of Prometheus over the file, as used by Grafana, promtool and client
//! libraries. Here are the routes and the envelope of each answer; the answers are in the files
//! beside.

mod alerts;
mod escape;
mod federate;
mod json;
mod query;
mod series;
mod status;
mod targets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State as Get};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};

use super::api::Api;
use super::error::{ApiError, Kind};
use super::params::Params;
use super::peer::Cut;
use super::respond::{SOME, Sheet, pack_up, takes_gzip};
use crate::query::desk::{Purpose, Task};
use crate::query::turns::Client;
use json::write_list;

/// The largest form that is read, in bytes.
const LARGEST_FORM: usize = 1 << 20;

/// One question.
struct Ask<'a> {
    api: &'a Api,
    params: &'a Params,
    /// The part of the path that is asked for: the label of `label/NAME/values`.
    name: &'a str,
    task: &'a Task,
    started: Instant,
    /// The time that it waited for its turn.
    queued: Duration,
    sheet: Sheet<'a>,
}

impl Ask<'_> {
    /// Makes room in the answer for this many more bytes, if there is memory for it and the client
    /// waits.
    fn room(&self, out: &mut String, more: usize) -> Result<(), ApiError> {
        self.sheet.room(out, more)
    }

    /// Appends `[a,b,c]`, as long as there is room and the client waits.
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

/// Remarks beside the answer.
#[derive(Debug, Default)]
struct Notes {
    warnings: Vec<String>,
    infos: Vec<String>,
    /// The resolution of the answer, if it can differ: `raw`, `5m`, `1h`, or several of them.
    resolution: Option<String>,
}

/// Appends the answer's `data`.
type Endpoint = fn(&Ask<'_>, &mut String) -> Result<Notes, ApiError>;

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
        .route("/rules", only(alerts::rules))
        .route("/alerts", only(alerts::alerts))
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

/// Answers a question of the control socket: `/query` or `/query_range`, with its parameters as a
/// form. What comes back is the JSON of the API.
pub(super) async fn inside(api: &Arc<Api>, path: &str, form: &str) -> Result<String, ApiError> {
    let started = Instant::now();
    let endpoint: Endpoint = match path {
        "/query" => query::instant,
        "/query_range" => query::range,
        _ => return Err(ApiError::new(Kind::NotFound, NO_ENDPOINT)),
    };
    let params = Params::new(b"", form.as_bytes());
    Api::turn(api, Purpose::Any, Client::default(), move |api, task| {
        let (queued, sheet) = (started.elapsed(), Sheet::new(task));
        let ask = Ask { api, params: &params, name: "", task, started, queued, sheet };
        Ok(answer(endpoint, &ask)?.0)
    })
    .await
}

const NO_ENDPOINT: &str = "there is no such endpoint here";

async fn unknown() -> Response {
    ApiError::new(Kind::NotFound, NO_ENDPOINT).into_response()
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

/// An endpoint by GET and POST.
fn both(endpoint: Endpoint) -> MethodRouter<Arc<Api>> {
    only(endpoint).post(move |api, path, headers, query, asks, body| {
        serve(endpoint, api, path, headers, query, asks, body)
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
    // A name that is not UTF-8 does not exist.
    let path = path.ok();
    let form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|t| t.to_str().ok())
        .is_some_and(|t| t.starts_with("application/x-www-form-urlencoded"));
    let body = if form { &body[..] } else { &[] };
    let params = Params::new(query.as_deref().unwrap_or_default().as_bytes(), body);
    let pack = takes_gzip(&headers);
    let answered = Api::turn(&api, Purpose::Any, client, move |api, task| {
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
