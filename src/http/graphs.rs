//! http: the charts that sources describe, with their fields: what a page needs to draw a plugin.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Get;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::State;
use crate::model::{Field, Graph, Range};
use crate::store::Reader;

/// Each answer reads the file; so many at a time.
static PLACES: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

/// `GET /api/graphs`: a list, by category and title.
pub(super) async fn graphs(Get(state): Get<Arc<State>>) -> Response {
    let failed = |e: String| (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response();
    let _place = PLACES.acquire().await;
    let path = state.database.clone();
    let read = tokio::task::spawn_blocking(move || -> Result<Vec<Value>, String> {
        let reader = Reader::open(&path).map_err(|e| e.to_string())?;
        let graphs = reader.graphs().map_err(|e| e.to_string())?;
        Ok(graphs.iter().map(|(system, graph)| one(system, graph)).collect())
    });
    match read.await {
        Ok(Ok(list)) => Json(list).into_response(),
        Ok(Err(e)) => failed(e),
        Err(e) => failed(e.to_string()),
    }
}

fn one(system: &str, graph: &Graph) -> Value {
    json!({
        "id": graph.id,
        "system": system,
        "title": graph.title,
        "category": graph.category,
        "unit": graph.unit,
        "info": graph.info,
        "args": graph.args,
        "fields": graph.fields.iter().map(field).collect::<Vec<_>>(),
    })
}

fn field(field: &Field) -> Value {
    let range = |r: &Range| json!([r.min, r.max]);
    json!({
        "name": field.name,
        "label": field.label,
        "series": field.series,
        "kind": field.kind.as_str(),
        "query": field.query,
        "info": field.info,
        "draw": field.draw,
        "colour": field.colour,
        "negative": field.negative,
        "drawn": field.drawn,
        "warning": range(&field.warning),
        "critical": range(&field.critical),
    })
}
