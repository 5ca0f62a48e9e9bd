//! http: `/federate`: the newest value of every series that is asked for, with its time, as text for
//! another Prometheus to scrape.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State as Get};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use super::error::{ApiError, Kind};
use super::params::Params;
use super::{Api, in_turn, pack_up, respond_as, takes_gzip};
use crate::model::Labels;
use crate::query::float::is_absent;
use crate::query::matcher::{Matcher, NAME};
use crate::query::parse_selector;
use crate::query::source::{Columns, Hints, Selection, Source};
use crate::wire::exposition::federated::{Names, write};

/// What is older is not current any more, ms.
const LOOKBACK_MS: i64 = 300_000;

/// What is found: by name as it is written and labels, time and value.
type Newest = BTreeMap<(String, Arc<Labels>), (i64, f64)>;

/// `GET /federate?match[]=…`
pub(super) async fn federate(
    Get(api): Get<Arc<Api>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::new(query.as_deref().unwrap_or_default().as_bytes(), &[]);
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    let (names, packed) = (Names::for_accept(accept), takes_gzip(&headers));
    let answer = in_turn(api, move |api, cancel| {
        let mut selectors = Vec::new();
        for text in params.all("match[]") {
            let selector = parse_selector(text);
            selectors.push(selector.map_err(|e| ApiError::expression("match[]", &e, text))?);
        }
        let newest = newest(api, names, &selectors, cancel)?;
        let samples = newest.iter().map(|((name, labels), (ts, value))| {
            let others = labels.iter().filter(|(label, _)| *label != NAME);
            let original = match names {
                Names::All => name,
                Names::Legal => labels.get(NAME).unwrap_or(name),
            };
            (original, others, *ts, *value)
        });
        pack_up(write(names, samples), packed)
    });
    match answer.await {
        Ok((body, packed)) => respond_as(names.content_type(), StatusCode::OK, body, packed),
        Err(error) => error.into_text(),
    }
}

fn newest(
    api: &Api,
    names: Names,
    selectors: &[Vec<Matcher>],
    cancel: &std::sync::atomic::AtomicBool,
) -> Result<Newest, ApiError> {
    let end = api.state.clock.wall_ms();
    let mut found = Newest::new();
    api.files.with_source(|source| {
        let mut columns = Columns::default();
        for matchers in selectors {
            let start = end - LOOKBACK_MS;
            let selection = Selection { matchers, start, end, hints: Hints::default() };
            let mut set = source.select(&selection)?;
            for at in 0..set.labels().len() {
                if cancel.load(std::sync::atomic::Ordering::Relaxed) {
                    return Err(ApiError::new(Kind::Canceled, "the client has gone"));
                }
                set.read(at, &mut columns)?;
                let last = columns.times.partition_point(|t| *t <= end).checked_sub(1);
                let Some((ts, value)) = last.map(|at| (columns.times[at], columns.values[at]))
                else {
                    continue;
                };
                let Some(labels) = set.labels().get(at).map(Arc::clone) else { continue };
                // The text has no word for "it has ended".
                if ts >= start && !is_absent(value) {
                    let name = labels.get(NAME).unwrap_or_default();
                    let name = names.metric(name).into_owned();
                    found.insert((name, labels), (ts, value));
                }
            }
        }
        Ok(())
    })?;
    Ok(found)
}
