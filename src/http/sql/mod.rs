//! http: `POST /api/sql`: one statement, read-only, on the documented views; the answer is streamed
//! as JSON, CSV or one JSON object a line. What a statement may do is decided in the store; here are
//! the request, its bounds, and the way of the rows to the client.

mod stream;
mod write;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State as Get};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::json;

use super::AppState;
use crate::query::budget::{self, Budget, Spent};
use crate::query::desk::FOR_THE_PAGE;
use crate::query::number::parse_duration;
use crate::query::turns::{Client, Leaving, Turns};
use crate::store::guest::{self, Bounds, GuestError};
use stream::{Pipe, Stream};
use write::{Format, Writer};

/// The number of statements at a time, and of them for one client.
const AT_ONCE: usize = 3;
const OF_ONE: usize = 2;
/// The longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);
/// The default time limit, including the way to the client, and the largest one.
const USUAL_TIME: Duration = Duration::from_secs(10);
const LONGEST_TIME: Duration = Duration::from_secs(60);
/// The default number of rows, and the largest one.
const USUAL_ROWS: u64 = 10_000;
const MOST_ROWS: u64 = 1_000_000;
/// The largest body, in bytes.
const LARGEST: usize = 128 << 10;

/// The parts that all statements share.
struct Statements {
    state: Arc<AppState>,
    turns: Turns,
}

pub(super) fn routes(state: Arc<AppState>) -> Router {
    let turns = Turns::new(AT_ONCE, OF_ONE, Arc::clone(&state.counters));
    Router::new()
        .route("/api/sql", post(sql))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::new(Statements { state, turns }))
}

/// The parameters, from the address or from a JSON body.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    sql: Option<String>,
    format: Option<String>,
    limit: Option<u64>,
    timeout: Option<String>,
}

/// Why there is no answer.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    message: String,
    /// The place in the statement: bytes from its start, line and column from 1.
    place: Option<(usize, usize, usize)>,
}

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), place: None }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn memory(why: Spent) -> Self {
        match why {
            Spent::One(most) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                format!(
                    "the statement needs more than {} MiB of memory, the limit for one; ask for \
                     fewer rows, or shorter values",
                    most >> 20
                ),
            ),
            Spent::All(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        }
    }

    fn of(e: GuestError, sql: &str) -> Self {
        let message = e.to_string();
        let status = match &e {
            GuestError::Wrong { .. } => StatusCode::BAD_REQUEST,
            GuestError::Refused(_) => StatusCode::FORBIDDEN,
            GuestError::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            GuestError::Canceled => StatusCode::REQUEST_TIMEOUT,
            GuestError::TooLarge | GuestError::Memory | GuestError::Failed(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            GuestError::Open(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let place = match e {
            GuestError::Wrong { offset: Some(offset), .. } => sql.get(..offset).map(|before| {
                let line = before.matches('\n').count() + 1;
                let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
                (offset, line, column)
            }),
            _ => None,
        };
        Self { status, message, place }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = match self.place {
            Some((offset, line, column)) => {
                json!({"error": self.message, "offset": offset, "line": line, "column": column})
            }
            None => json!({"error": self.message}),
        };
        (self.status, Json(body)).into_response()
    }
}

async fn wrong_method() -> Failure {
    let why = "POST a statement here: curl --data 'select * from systems' …/api/sql";
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, why)
}

/// The request: a JSON body overrides the address, any other body is the statement itself.
fn asked(address: Asked, headers: &HeaderMap, body: &[u8]) -> Result<Asked, Failure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or_default();
    let mut asked = if kind.starts_with("application/json") {
        let said: Asked = serde_json::from_slice(body).map_err(|e| {
            Failure::bad(format!("the body: {e}; {{\"sql\": \"select …\"}} is understood"))
        })?;
        Asked {
            sql: said.sql,
            format: said.format.or(address.format),
            limit: said.limit.or(address.limit),
            timeout: said.timeout.or(address.timeout),
        }
    } else {
        let text = std::str::from_utf8(body)
            .map_err(|_| Failure::bad("the statement is not UTF-8 text"))?;
        Asked { sql: Some(text.to_owned()).filter(|t| !t.is_empty()).or(address.sql), ..address }
    };
    if asked.format.is_none() {
        let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
        asked.format = Format::for_accept(accept).map(|f| f.name().to_owned());
    }
    Ok(asked)
}

fn time(asked: &Asked) -> Result<Duration, Failure> {
    let Some(text) = &asked.timeout else { return Ok(USUAL_TIME) };
    let ms = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => (seconds * 1e3) as i64,
        _ => parse_duration(text).unwrap_or(0),
    };
    match u64::try_from(ms) {
        Ok(ms) if ms > 0 => Ok(Duration::from_millis(ms).min(LONGEST_TIME)),
        _ => Err(Failure::bad(format!("timeout `{text}`: 5s, 500ms or seconds are understood"))),
    }
}

async fn sql(
    Get(statements): Get<Arc<Statements>>,
    client: Client,
    address: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Failure> {
    let Query(address) = address.map_err(|e| {
        Failure::bad(format!("{}; sql, format, limit and timeout are understood", e.body_text()))
    })?;
    let asked = asked(address, &headers, &body)?;
    let name = asked.format.as_deref().unwrap_or("json");
    let format = Format::from_name(name)
        .ok_or_else(|| Failure::bad(format!("format `{name}`: json, csv or ndjson")))?;
    let rows = asked.limit.unwrap_or(USUAL_ROWS);
    if !(1..=MOST_ROWS).contains(&rows) {
        return Err(Failure::bad(format!("limit {rows}: 1 to {MOST_ROWS} rows are given")));
    }
    let time = time(&asked)?;
    let statement = asked.sql.ok_or_else(|| Failure::bad("there is no statement to answer"))?;

    let Some(turn) = statements.turns.next(client, PATIENCE).await else {
        let why = "too many statements are running; ask again later";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let leaving = Leaving::default();
    let bounds = Bounds { deadline: Instant::now() + time, cancel: leaving.flag() };
    let (pipe, stream) = stream::pipe(bounds.deadline, leaving);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let budget =
            Budget::within(statements.state.desk.pool(), budget::ONE, budget::ALL - FOR_THE_PAGE);
        answer(&statements.state, &statement, &bounds, &budget, format, rows, pipe);
    });
    begin(stream, format).await
}

/// The answer, once it is certain that there is one.
async fn begin(stream: Stream, format: Format) -> Result<Response, Failure> {
    let body = stream.begun().await?;
    let headers =
        [(header::CONTENT_TYPE, format.content_type()), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(body)).into_response())
}

/// Runs the statement into the pipe; on a thread of its own.
fn answer(
    state: &AppState,
    statement: &str,
    bounds: &Bounds,
    budget: &Arc<Budget>,
    format: Format,
    most: u64,
    mut pipe: Pipe,
) {
    let writer = std::cell::RefCell::new(Writer::new(format));
    let (mut count, mut cut, mut left) = (0, false, false);
    let mut held = budget.hold();
    let done = guest::ask(
        &state.database,
        statement,
        bounds,
        Box::new(move |bytes| held.take(bytes).is_ok()),
        |names| writer.borrow_mut().columns(names),
        |cells| {
            if count == most {
                cut = true;
                return ControlFlow::Break(());
            }
            count += 1;
            let mut writer = writer.borrow_mut();
            writer.row(cells.iter());
            if writer.out.len() < stream::PIECE {
                return ControlFlow::Continue(());
            }
            let went = pipe.push(std::mem::take(&mut writer.out));
            left = went.is_break();
            went
        },
    );
    let mut writer = writer.into_inner();
    match done {
        // A client that reads too slowly has no answer to its end, which it has to notice.
        Ok(()) if left => pipe.fail(Failure::of(GuestError::Timeout, statement)),
        Ok(()) => {
            writer.end(cut);
            pipe.finish(writer.out);
        }
        Err(e) => {
            let failure = match (&e, budget.refused()) {
                (GuestError::Memory, Some(why)) => Failure::memory(why),
                _ => Failure::of(e, statement),
            };
            if pipe.has_begun() && writer.complain(&failure.message) {
                pipe.finish(writer.out);
            } else {
                pipe.fail(failure);
            }
        }
    }
}
