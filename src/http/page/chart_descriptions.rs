//! http: the charts that sources describe, with their fields: what a page needs to draw a plugin.

use serde_json::{Value, json};

use super::{Page, failed};
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::respond::{SOME, Sheet};
use crate::model::{Field, Graph, Range};

/// `GET /api/graphs`: a list, by category and title.
pub(super) fn graphs(page: &Page, _: &Params, sheet: &Sheet<'_>) -> Result<String, ApiError> {
    let all = page.api.files().with_reader(|reader, _| reader.graphs().map_err(failed))?;
    let mut out = String::from("[");
    for (at, (system, graph)) in all.iter().enumerate() {
        sheet.room(&mut out, SOME)?;
        if at > 0 {
            out.push(',');
        }
        out.push_str(&one(system, graph).to_string());
    }
    out.push(']');
    Ok(out)
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
