//! http: every current value, for scrapers.

use std::sync::Arc;

use axum::extract::State as Get;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;

use super::State;
use crate::wire::exposition::{Dialect, Writer};

/// `GET /metrics`: Prometheus text, or OpenMetrics for who accepts it. A scraper puts its own
/// `instance` and `job` on what it reads, so they are not written.
pub(super) async fn metrics(Get(state): Get<Arc<State>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    let dialect = Dialect::for_accept(accept);
    let mut values: Vec<_> = state
        .latest
        .all()
        .into_iter()
        .map(|(series, _, value)| (state.registry.get(series), value))
        .collect();
    // A family's samples stand together; the sort is stable, so they keep their order.
    values.sort_by(|(a, _), (b, _)| a.identity.name.cmp(&b.identity.name));
    let mut out = String::with_capacity(128 * values.len());
    let mut writer = Writer::new(dialect);
    for family in values.chunk_by(|(a, _), (b, _)| a.identity.name == b.identity.name) {
        let first = &family[0].0;
        writer.family(&mut out, &first.identity.name, first.kind, &first.unit, &first.help);
        for (series, value) in family {
            writer.series(series.identity.labels.iter());
            writer.sample(&mut out, *value, None);
        }
    }
    writer.finish(&mut out);
    ([(header::CONTENT_TYPE, dialect.content_type())], out)
}
