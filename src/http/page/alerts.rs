//! http: the page's alerts, and the commands about them that a person gives there.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State as Get;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::{Page, failed};
use crate::alert::record::state_word;
use crate::alert::{Command, Shown, State};
use crate::http::access::From;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::respond::Sheet;
use crate::model::Severity;
use crate::store::{AlertRow, SilenceRow, ToldRow};

/// Alerts that are over, and messages, which the page lists.
const LISTED: u32 = 100;

/// `GET /api/alerts`: what is wrong, who was told, silences, receivers and rules.
pub(super) fn alerts(page: &Page, _: &Params, sheet: &Sheet<'_>) -> Result<String, ApiError> {
    let _whole = sheet;
    let stand = page.api.state().alerts.now();
    let (over, told) = page.api.files().with_reader(|reader, _| {
        let over = reader.alerts_over(LISTED).map_err(failed)?;
        let told = reader.told(LISTED).map_err(failed)?;
        Ok::<_, ApiError>((over, told))
    })?;
    let mut worst: HashMap<&str, State> = HashMap::new();
    for shown in &stand.alerts {
        let state = worst.entry(&shown.alert.rule).or_insert(shown.alert.state);
        if shown.alert.is_firing() {
            *state = shown.alert.state;
        }
    }
    let rules: Vec<Value> = stand
        .rules
        .iter()
        .map(|rule| {
            let state = worst.get(&*rule.name).map_or("", |state| state_word(*state));
            json!({
                "name": rule.name,
                "when": rule.when,
                "severity": rule.severity.word(),
                "told": rule.to.join(", "),
                "state": state,
                "error": rule.error,
            })
        })
        .collect();
    let channels: Vec<Value> = stand
        .channels
        .iter()
        .map(
            |c| json!({ "id": c.id, "shown": c.shown, "waiting": c.waiting, "trouble": c.trouble }),
        )
        .collect();
    let answer = json!({
        "judged": stand.judged_at,
        "may_write": true,
        "alerts": stand.alerts.iter().map(alert).collect::<Vec<_>>(),
        "over": over.iter().map(ended).collect::<Vec<_>>(),
        "silences": stand.silences.iter().map(silence).collect::<Vec<_>>(),
        "channels": channels,
        "told": told.iter().map(message).collect::<Vec<_>>(),
        "rules": rules,
    });
    Ok(answer.to_string())
}

fn alert(shown: &Shown) -> Value {
    let alert = &shown.alert;
    json!({
        "id": format!("{:016x}", alert.fingerprint),
        "rule": alert.rule,
        "state": state_word(alert.state),
        "severity": alert.severity.word(),
        "host": shown.host,
        "text": alert.text,
        "since": alert.active_at,
        "fired": alert.fired_at,
        "value": shown.value,
        "limit": shown.limit,
        "silenced": shown.silenced,
        "acked": shown.acked,
    })
}

fn ended(row: &AlertRow) -> Value {
    json!({
        "rule": row.rule,
        "severity": row.severity.word(),
        "host": row.labels.get("instance").unwrap_or_default(),
        "text": row.text,
        "fired": row.fired_at,
        "resolved": row.resolved_at,
    })
}

fn silence(row: &SilenceRow) -> Value {
    json!({
        "id": row.id,
        "what": row.what,
        "every": row.every,
        "until": row.ends_at,
        "who": row.who,
        "why": row.why,
    })
}

fn message(row: &ToldRow) -> Value {
    json!({
        "at": row.at,
        "channel": row.shown,
        "result": row.result,
        "title": row.title,
        "said": row.said,
        "bad": row.severity == Severity::Bad,
    })
}

/// `POST /api/alerts`: a [`Command`] as JSON. The answer is `{"said": …}`, or `{"error": …}` with 409.
/// From another machine it needs a token with the scope `admin`.
pub(super) async fn command(
    Get(page): Get<Arc<Page>>,
    from: Option<Extension<From>>,
    body: Result<Json<Command>, axum::extract::rejection::JsonRejection>,
) -> Response {
    let answer = |status: StatusCode, body: Value| {
        (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    };
    let mut command = match body {
        Ok(Json(command)) => command,
        Err(e) => return answer(StatusCode::BAD_REQUEST, json!({ "error": e.body_text() })),
    };
    let asker = match from {
        Some(Extension(From::Here)) | None => "somebody at this machine",
        Some(_) => "somebody with a token",
    };
    if let Command::Silence { who, .. } | Command::Ack { who, .. } = &mut command
        && who.is_empty()
    {
        *who = asker.to_owned();
    }
    let standing = Arc::clone(&page.api.state().alerts);
    // It may wait for the database and for a receiver.
    match tokio::task::spawn_blocking(move || standing.command(command)).await {
        Ok(Ok(said)) => answer(StatusCode::OK, json!({ "said": said })),
        Ok(Err(error)) => answer(StatusCode::CONFLICT, json!({ "error": error })),
        Err(e) => {
            answer(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": format!("it failed: {e}") }))
        }
    }
}
