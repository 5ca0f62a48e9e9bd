//! http: all current values, for scrapers.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State as Get;
use axum::http::{HeaderMap, header};
use axum::response::Response;

use super::AppState;
use super::peer::Cut;
use super::pieces::Pages;
use crate::model::Series;
use crate::query::turns::Client;
use crate::wire::exposition::{Dialect, KEY, Writer, is_label_name, is_metric_name, legal_name};

/// `GET /metrics`: Prometheus text, or OpenMetrics for who accepts it. A scraper puts its own
/// `instance` and `job` on what it reads, so they are not written; nor is this machine's `up`, which
/// it makes itself. What senders push by HTTP, Graphite or SQL is not here: it has a time, an instance
/// and a job of its own, and `/federate` gives it with all three.
pub(super) async fn metrics(
    Get(state): Get<Arc<AppState>>,
    Extension(pages): Extension<Pages>,
    client: Client,
    cut: Option<Extension<Cut>>,
    headers: HeaderMap,
) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    let dialect = Dialect::for_accept(accept);
    let counters = Arc::clone(&state.counters);
    let cut = cut.map(|Extension(cut)| cut);
    let body = pages.body(client, cut, move || page(dialect, &state)).await;
    super::pieces::respond(dialect.content_type(), body, &counters)
}

/// This machine's own `up`.
fn is_own_up(series: &Series) -> bool {
    let identity = &series.identity;
    let plain = identity.system.is_none() && identity.labels.iter().next().is_none();
    plain && &*identity.name == "up"
}

/// Whether all its names are written as they are.
fn is_legal(series: &Series) -> bool {
    let identity = &series.identity;
    is_metric_name(&identity.name) && identity.labels.iter().all(|(label, _)| is_label_name(label))
}

/// Writes the families, one at each call. True: there are more.
fn page(dialect: Dialect, state: &AppState) -> impl FnMut(&mut Vec<u8>) -> bool + Send + use<> {
    let values = state
        .latest
        .all()
        .into_iter()
        .filter_map(|(series, _, value)| Some((state.registry.get(series)?, value)))
        .filter(|(series, _)| !is_own_up(series))
        .map(|(series, value)| Current { altered: !is_legal(&series), series, value })
        .collect();
    write_all(dialect, values)
}

/// A series with its value.
struct Current {
    series: Arc<Series>,
    value: f64,
    /// Not all its names are written as they are.
    altered: bool,
}

impl Current {
    fn name(&self) -> &str {
        &self.series.identity.name
    }
}

fn write_all(
    dialect: Dialect,
    mut values: Vec<Current>,
) -> impl FnMut(&mut Vec<u8>) -> bool + Send {
    // A family's samples stand together; the sort is stable, so they keep their order. Those that
    // are written as they are come first.
    if values.iter().any(|one| one.altered) {
        values.sort_by_cached_key(|one| (legal_name(one.name()).into_owned(), one.altered));
    } else {
        values.sort_by(|a, b| a.name().cmp(b.name()));
    }
    let mut writer = Writer::new(dialect);
    let mut text = String::new();
    let mut at = 0;
    move |out| {
        text.clear();
        let rest = values.get(at..).unwrap_or_default();
        if let Some(first) = rest.first() {
            let name = legal_name(first.name());
            let len = rest.iter().take_while(|one| legal_name(one.name()) == name).count();
            let family = rest.get(..len).unwrap_or_default();
            // Several names that look alike once they are legal, or labels that do.
            let several = family.iter().any(|one| one.name() != first.name());
            let mut seen = family.iter().any(|one| one.altered).then(HashSet::new);
            let about = &first.series;
            writer.family(&mut text, first.name(), about.kind, &about.unit, &about.help);
            for Current { series, value, .. } in family {
                // Values of other machines (munin-nodes) must not be taken for this one's.
                let other = series.identity.system.as_deref().map(|system| ("instance", system));
                let labels = || series.identity.labels.iter().chain(other);
                writer.series(labels());
                if let Some(seen) = &mut seen {
                    let twice = !seen.insert(writer.written().to_owned());
                    let renamed = several && !is_metric_name(&series.identity.name);
                    if twice || renamed {
                        writer.series(labels().chain([(KEY, &*series.identity.key())]));
                    }
                }
                writer.sample(&mut text, *value, None);
            }
            at += len;
        }
        let more = at < values.len();
        if !more {
            writer.finish(&mut text);
        }
        out.extend_from_slice(text.as_bytes());
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Identity, Kind, Labels};

    fn page_of(series: &[(&str, &[(&str, &str)])]) -> String {
        let values = series.iter().enumerate().map(|(at, (name, labels))| {
            let identity = Identity::local("statsd", name, Labels::new(labels.iter().copied()));
            let series = Series { identity, kind: Kind::Gauge, unit: "".into(), help: "".into() };
            Current { altered: !is_legal(&series), series: Arc::new(series), value: at as f64 }
        });
        let mut next = write_all(Dialect::Classic, values.collect());
        let mut out = Vec::new();
        while next(&mut out) {}
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_that_look_alike_stay_apart() {
        let page = page_of(&[
            ("app.req", &[]),
            ("app-req", &[]),
            ("app_req", &[]),
            ("app_rep", &[]),
            ("only.one", &[]),
            ("x", &[("a-b", "1")]),
            ("x", &[("a_b", "1")]),
        ]);
        assert_eq!(
            page,
            "# TYPE app_rep gauge\napp_rep 3\n\
             # TYPE app_req gauge\napp_req 2\n\
             app_req{plimsoll_key=\"app.req\"} 0\napp_req{plimsoll_key=\"app-req\"} 1\n\
             # TYPE only_one gauge\nonly_one 4\n\
             # TYPE x gauge\nx{a_b=\"1\"} 6\n\
             x{a_b=\"1\",plimsoll_key=\"x{a-b=\\\"1\\\"}\"} 5\n"
        );
    }
}
