//! http: the page at `/` and its requests: charts, numbers, verdict, events, and live values. The
//! room `overview` decides about them, and writes them as JSON.

mod alerts;
pub mod assets;
mod chart;
mod chart_descriptions;
mod hosts;
mod live;
mod overview;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{RawQuery, State as Get};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

use super::api::{Api, on_a_thread};
use super::error::{ApiError, Kind};
use super::params::Params;
use super::peer::Cut;
use super::respond::Sheet;
use crate::overview::{Chart, Ear, Trouble, Whose, charts};
use crate::query::desk::Purpose;
use crate::query::files::Inode;
use crate::query::turns::Client;
use crate::store::{Reader, SqlError};

/// The number of systems whose charts are cached.
const MOST_SYSTEMS: usize = 64;

/// The parts that all pages share.
struct Page {
    api: Arc<Api>,
    charts: Mutex<Remembered>,
    viewers: live::Viewers,
    verdicts: overview::Verdicts,
    hosts: hosts::Newest,
}

/// The charts of each system, as long as there are no other series and nothing else is said of them.
#[derive(Default)]
struct Remembered {
    of: Option<(Inode, i64, i64)>,
    systems: Vec<String>,
    charts: HashMap<String, Arc<Vec<Chart>>>,
}

/// The page, its files and its questions.
pub(super) fn routes(api: Arc<Api>) -> Router {
    let page = Arc::new(Page {
        api,
        charts: Mutex::default(),
        viewers: live::Viewers::default(),
        verdicts: overview::Verdicts::default(),
        hosts: hosts::Newest::default(),
    });
    Router::new()
        .route("/", get(assets::index))
        .route("/explore", get(assets::index))
        .route("/hosts", get(assets::index))
        .route("/alerts", get(assets::index))
        .route("/assets/{version}/{name}", get(assets::asset))
        .route("/api/overview", get(ask(Purpose::Page, overview::overview)))
        .route("/api/verdict", get(ask(Purpose::Page, overview::verdict)))
        .route("/api/hosts", get(ask(Purpose::Hosts, hosts::hosts)))
        .route("/api/chart", get(ask(Purpose::Page, chart::chart)))
        .route("/api/events", get(ask(Purpose::Page, chart::events)))
        .route("/api/alerts", get(ask(Purpose::Page, alerts::alerts)).post(alerts::command))
        .route("/api/live", get(live::live))
        .route("/api/graphs", get(ask(Purpose::Page, chart_descriptions::graphs)))
        .with_state(page)
}

type Endpoint = fn(&Page, &Params, &Sheet<'_>) -> Result<String, ApiError>;
/// The client, and its connection.
type Asker = (Client, Option<Extension<Cut>>);
type Answer = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// A question to the file, on a thread of its own when it is its turn.
fn ask(
    purpose: Purpose,
    endpoint: Endpoint,
) -> impl Fn(Get<Arc<Page>>, HeaderMap, RawQuery, Asker) -> Answer + Clone + Send + Sync + 'static {
    move |Get(page), headers, RawQuery(query), (client, cut)| {
        Box::pin(async move {
            let params = Params::new(query.as_deref().unwrap_or_default().as_bytes(), b"");
            let asked = Arc::clone(&page);
            let api = Arc::clone(&page.api);
            let asker = (client, cut.map(|Extension(cut)| cut));
            on_a_thread(api, purpose, asker, &headers, move |sheet| {
                endpoint(&asked, &params, sheet)
            })
            .await
        })
    }
}

fn failed(e: SqlError) -> ApiError {
    ApiError::new(Kind::Internal, e.to_string())
}

impl Page {
    /// The system that is asked for: this machine, unless another is named.
    fn system<'a>(&'a self, params: &'a Params) -> &'a str {
        match params.get("host") {
            "" => &self.api.state().system,
            name => name,
        }
    }

    /// A reader and the charts of a system; fails where there is no such system.
    fn with_charts<T>(
        &self,
        system: &str,
        ask: impl FnOnce(&Reader, &Arc<Vec<Chart>>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.api.files().with_reader(|reader, inode| {
            let of = Some((
                inode,
                reader.newest_series().map_err(failed)?,
                reader.graphs_told().map_err(failed)?,
            ));
            let known = {
                let mut all = self.remembered();
                if all.of != of {
                    *all = Remembered { of, ..Remembered::default() };
                }
                all.charts.get(system).cloned()
            };
            let known = match known {
                Some(known) => known,
                None => {
                    let series = reader.series().map_err(failed)?;
                    let mut systems: Vec<String> =
                        series.iter().map(|s| s.system.clone()).collect();
                    systems.dedup();
                    let graphs = reader.graphs().map_err(failed)?;
                    let found = Arc::new(charts(&series, &graphs, system));
                    let mut all = self.remembered();
                    if all.charts.len() >= MOST_SYSTEMS {
                        all.charts.clear();
                    }
                    if all.of == of {
                        all.systems = systems;
                        all.charts.insert(system.to_owned(), Arc::clone(&found));
                    }
                    found
                }
            };
            if known.is_empty() && system != self.api.state().system {
                let message = format!("there is no host \"{system}\" in this file");
                return Err(ApiError::new(Kind::NotFound, message));
            }
            ask(reader, &known)
        })
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, Remembered> {
        self.charts.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The systems of the file, this machine first; known once charts were asked for.
    fn systems(&self) -> Vec<String> {
        let own = &self.api.state().system;
        let mut all = self.remembered().systems.clone();
        all.retain(|s| s != own);
        all.sort();
        all.dedup();
        all.insert(0, own.clone());
        all
    }

    /// Whether it is this machine, and how samples of another one arrive.
    fn whose<'a>(&self, system: &'a str) -> Whose<'a> {
        let state = self.api.state();
        if system == state.system {
            return Whose::Ours;
        }
        let arrival = state.intake.arrival(system);
        Whose::Other(system, Some(Ear { started: state.started, arrival }))
    }

    /// The daemon's problems, for the charts of this machine.
    fn troubles(&self, system: &str) -> Vec<Trouble> {
        let state = self.api.state();
        if system != state.system {
            return Vec::new();
        }
        let problems = state.board.problems().into_iter();
        problems
            .map(|(subject, p)| Trouble { subject, since: p.since, message: p.message })
            .collect()
    }
}
