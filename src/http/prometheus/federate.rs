//! http: `/federate`: the newest value of every series that is asked for, with its time, as text for
//! another Prometheus to scrape.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State as Get};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;

use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::peer::Cut;
use crate::http::respond::{pack_up, takes_gzip};
use crate::model::Labels;
use crate::query::budget::Held;
use crate::query::desk::{Purpose, Task};
use crate::query::float::is_absent;
use crate::query::matcher::{Matcher, NAME};
use crate::query::parse_selector;
use crate::query::source::{Columns, Hints, Selection, Source, SourceError};
use crate::query::turns::Client;
use crate::wire::exposition::federated::{Names, write};

/// The age past which a value is not current any more, ms.
const LOOKBACK_MS: i64 = 300_000;

/// Time and value of each series, by its written name and labels.
type Newest = BTreeMap<(String, Arc<Labels>), (i64, f64)>;

/// `GET /federate?match[]=…`
pub(super) async fn federate(
    Get(api): Get<Arc<Api>>,
    client: Client,
    cut: Option<Extension<Cut>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::new(query.as_deref().unwrap_or_default().as_bytes(), &[]);
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    let (names, packed) = (Names::for_accept(accept), takes_gzip(&headers));
    let answer = api.turn(Purpose::Any, client, move |api, task| {
        // A wrong one is reported before anything is read. They are parsed again one at a time,
        // because patterns take memory.
        let read =
            |text| parse_selector(text).map_err(|e| ApiError::expression("match[]", &e, text));
        for text in params.all("match[]") {
            task.check()?;
            read(text)?;
        }
        let mut held = task.budget.hold();
        let mut found = Newest::new();
        for text in params.all("match[]") {
            newest(api, names, &read(text)?, task, &mut found, &mut held)?;
        }
        let samples = found.iter().map(|((name, labels), (ts, value))| {
            let others = labels.iter().filter(|(label, _)| *label != NAME);
            let original = match names {
                Names::All => name,
                Names::Legal => labels.get(NAME).unwrap_or(name),
            };
            (original, others, *ts, *value)
        });
        let text = write(names, samples);
        drop(found);
        pack_up(text, held, packed, task)
    });
    match answer.await {
        Ok(packed) => {
            let cut = cut.map(|Extension(cut)| cut);
            packed.respond_as(names.content_type(), StatusCode::OK, cut)
        }
        Err(error) => error.into_text(),
    }
}

/// Adds what fits one selector; `held` is the memory of that, and of the text that comes of it.
fn newest(
    api: &Api,
    names: Names,
    matchers: &[Matcher],
    task: &Task,
    found: &mut Newest,
    held: &mut Held,
) -> Result<(), ApiError> {
    let end = api.now();
    let failed = |e: SourceError| match (task.budget.refused(), task.check()) {
        (Some(why), _) => ApiError::from(why),
        (None, Err(over)) => ApiError::from(over),
        (None, Ok(())) => ApiError::from(e),
    };
    api.files().with_source(task.limits(), |source| {
        let mut columns = Columns::default();
        let start = end - LOOKBACK_MS;
        let selection = Selection { matchers, start, end, hints: Hints::default() };
        let mut set = source.select(&selection).map_err(failed)?;
        for at in 0..set.labels().len() {
            task.check()?;
            set.read(at, &mut columns).map_err(failed)?;
            let last = columns.times.partition_point(|t| *t <= end).checked_sub(1);
            let Some((ts, value)) = last.map(|at| (columns.times[at], columns.values[at])) else {
                continue;
            };
            let Some(labels) = set.labels().get(at).map(Arc::clone) else { continue };
            // The text has no word for "it has ended".
            if ts >= start && !is_absent(value) {
                let name = labels.get(NAME).unwrap_or_default();
                let name = names.metric(name).into_owned();
                // A place in a tree, its name twice, and a line of text with room to grow.
                let text = labels.iter().map(|(name, value)| name.len() + value.len() + 8);
                let size = 256 + 4 * name.len() + 2 * text.sum::<usize>();
                if found.insert((name, labels), (ts, value)).is_none() {
                    held.take(size)?;
                }
            }
        }
        Ok(())
    })
}
