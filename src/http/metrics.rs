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
    let body = super::pieces::body(page(dialect, state));
    ([(header::CONTENT_TYPE, dialect.content_type())], body)
}

/// Writes the families, one at each call. True: there are more.
fn page(dialect: Dialect, state: Arc<State>) -> impl FnMut(&mut Vec<u8>) -> bool + Send {
    let mut values: Vec<_> = state
        .latest
        .all()
        .into_iter()
        .map(|(series, _, value)| (state.registry.get(series), value))
        .collect();
    // A family's samples stand together; the sort is stable, so they keep their order.
    values.sort_by(|(a, _), (b, _)| a.identity.name.cmp(&b.identity.name));
    let mut writer = Writer::new(dialect);
    let mut text = String::new();
    let mut at = 0;
    move |out| {
        text.clear();
        let rest = values.get(at..).unwrap_or_default();
        if let Some(((first, _), _)) = rest.split_first() {
            let name = &first.identity.name;
            let family = rest.iter().take_while(|(series, _)| series.identity.name == *name);
            writer.family(&mut text, name, first.kind, &first.unit, &first.help);
            for (series, value) in family {
                // What is told of other machines (Munin's nodes) is not to be taken for this one's.
                let other = series.identity.system.as_deref().map(|system| ("instance", system));
                writer.series(series.identity.labels.iter().chain(other));
                writer.sample(&mut text, *value, None);
                at += 1;
            }
        }
        let more = at < values.len();
        if !more {
            writer.finish(&mut text);
        }
        out.extend_from_slice(text.as_bytes());
        more
    }
}
