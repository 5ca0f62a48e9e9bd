//! http: the newest values, sent as they come (server-sent events). Bound: [`MOST_VIEWERS`] pages,
//! of them [`MOST_OF_ONE`] of one client, and [`WAITING`] frames for each. Policy: one page too
//! many is refused, a slow one is disconnected, and comes again. Counter:
//! `plimsoll_viewers_dropped_total`.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State as Get};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::{Page, failed};
use crate::http::access::Pass;
use crate::http::error::ApiError;
use crate::http::params::Params;
use crate::http::peer::Cut;
use crate::model::{Identity, SeriesRef};
use crate::overview::{Chart, Running, write_short};
use crate::query::desk::Purpose;
use crate::query::turns::Client;

/// Pages that are kept up to date at a time.
const MOST_VIEWERS: usize = 32;
/// The number of viewers of one client, so that others always find a place.
const MOST_OF_ONE: usize = 24;
/// Charts of a page.
const MOST_CHARTS: usize = 200;
/// Frames that wait for a page.
const WAITING: usize = 8;
/// The interval of new values.
const EVERY: Duration = Duration::from_secs(1);
/// The interval of messages without values, by which both ends notice a lost connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The number of viewers by client.
#[derive(Default)]
pub(super) struct Viewers(Arc<Mutex<HashMap<Client, usize>>>);

/// A place among them, while it is held.
struct Place(Client, Arc<Mutex<HashMap<Client, usize>>>);

impl Viewers {
    /// A place, if there is one for this client.
    fn enter(&self, client: Client) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let taken = all.values().sum::<usize>();
        let own = all.entry(client).or_default();
        if taken >= MOST_VIEWERS || *own >= MOST_OF_ONE {
            if *own == 0 {
                all.remove(&client);
            }
            return None;
        }
        *own += 1;
        Some(Place(client, Arc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.1.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(own) = all.get_mut(&self.0) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.0);
            }
        }
    }
}

/// The frames that a page has not taken yet.
struct Frames(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A series on its way into a line.
struct LiveTerm {
    series: SeriesRef,
    factor: f64,
    /// The state of a counter's rate.
    running: Running,
}

struct Live {
    charts: Vec<Watched>,
}

/// A chart with a viewer.
struct Watched {
    /// Its place among those that were asked for.
    place: usize,
    sent: i64,
    lines: Vec<WatchedLine>,
}

struct WatchedLine {
    rate: bool,
    down: bool,
    parts: Vec<LiveTerm>,
}

/// `GET /api/live?id=…&id=…`: `data: {"c":[[place of the id, time in ms, [a value a line]], …]}`
/// whenever there are new values, for series of this process; `event: series` when the charts
/// should be asked for again, because there are new series.
pub(super) async fn live(
    Get(page): Get<Arc<Page>>,
    client: Client,
    Extension(cut): Extension<Cut>,
    pass: Option<Extension<Pass>>,
    RawQuery(query): RawQuery,
) -> Response {
    let counters = Arc::clone(&page.api.state().counters);
    let Some(place) = page.viewers.enter(client) else {
        counters.viewers_refused.fetch_add(1, Relaxed);
        let what = "too many pages are open; the others are not refreshed by themselves\n";
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "30")], what)
            .into_response();
    };
    let params = Params::new(query.as_deref().unwrap_or_default().as_bytes(), b"");
    let asked = Arc::clone(&page);
    let found = page.api.turn(Purpose::Page, client, move |_, _| Live::new(&asked, &params));
    let live = match found.await {
        Ok(live) => live,
        Err(e) => return e.into_response(),
    };
    let (frames, waiting) = mpsc::channel(WAITING);
    let pass = pass.map(|Extension(pass)| pass);
    tokio::spawn(keep_up(page, live, frames, cut, pass, place));
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (kind, Body::new(Frames(waiting))).into_response()
}

/// Counts a viewer while it lives.
struct Counted(Arc<crate::pipeline::Counters>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Relaxed);
    }
}

async fn keep_up(
    page: Arc<Page>,
    mut live: Live,
    frames: mpsc::Sender<Bytes>,
    cut: Cut,
    pass: Option<Pass>,
    _place: Place,
) {
    let state = page.api.state();
    state.counters.viewers.fetch_add(1, Relaxed);
    let _counted = Counted(Arc::clone(&state.counters));
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let (mut spoken, mut series) = (Instant::now(), state.registry.made());
    let mut told: Option<Instant> = None;
    let mut next = Some(Bytes::from_static(b"retry: 3000\n\n"));
    loop {
        if let Some(frame) = next.take() {
            spoken = Instant::now();
            match frames.try_send(frame) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    state.counters.viewers_dropped.fetch_add(1, Relaxed);
                    cut.now();
                    return;
                }
            }
        }
        tokio::select! {
            _ = tick.tick() => {}
            () = frames.closed() => return,
        }
        // A client that comes again gets the reason.
        if pass.as_ref().is_some_and(|pass| !pass.holds()) {
            return;
        }
        let known = state.registry.made();
        // Senders may bring new names all the time; pages need not ask again each time.
        next = if known != series && told.is_none_or(|told| told.elapsed() >= HEARTBEAT) {
            series = known;
            told = Some(Instant::now());
            Some(Bytes::from_static(b"event: series\ndata: {}\n\n"))
        } else {
            live.frame(|series| state.latest.get(series)).map(Bytes::from)
        };
        if next.is_none() && spoken.elapsed() >= HEARTBEAT {
            next = Some(Bytes::from_static(b":\n\n"));
        }
    }
}

impl Live {
    fn new(page: &Page, params: &Params) -> Result<Self, ApiError> {
        let state = page.api.state();
        let system = page.system(params);
        let ids: Vec<&str> = params.all("id").take(MOST_CHARTS).collect();
        page.with_charts(system, |reader, charts| {
            let known = reader.series().map_err(failed)?;
            let find = |id: i64| {
                let known = &known[known.iter().position(|k| k.id == id)?];
                let mut identity = Identity::local(&known.job, &known.name, known.labels.clone());
                if known.system != state.system {
                    identity.system = Some(known.system.as_str().into());
                }
                state.registry.find(&identity)
            };
            let watched = |(place, id): (usize, &&str)| {
                let chart = charts.iter().find(|c| c.id == **id)?;
                watch(chart, place, &find)
            };
            Ok(Self { charts: ids.iter().enumerate().filter_map(watched).collect() })
        })
    }

    /// The new values since the last call; `None` if there are none.
    fn frame(&mut self, latest: impl Fn(SeriesRef) -> Option<(i64, f64)>) -> Option<String> {
        let mut out = String::from("data: {\"c\":[");
        let empty = out.len();
        for chart in &mut self.charts {
            let start = out.len();
            if start > empty {
                out.push(',');
            }
            out.push_str(&format!("[{},", chart.place));
            let (at_ts, mut newest) = (out.len(), i64::MIN);
            out.push_str(",[");
            for (at, line) in chart.lines.iter_mut().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_short(&mut out, line.value(&latest, &mut newest));
            }
            out.push_str("]]");
            if newest > chart.sent {
                chart.sent = newest;
                out.insert_str(at_ts, &newest.to_string());
            } else {
                out.truncate(start);
            }
        }
        if out.len() == empty {
            return None;
        }
        out.push_str("]}\n\n");
        Some(out)
    }
}

fn watch(chart: &Chart, place: usize, find: &impl Fn(i64) -> Option<SeriesRef>) -> Option<Watched> {
    let mut any = false;
    let lines = chart
        .lines
        .iter()
        .map(|line| {
            let parts = line.terms.iter().filter_map(|term| {
                let series = find(term.series)?;
                Some(LiveTerm { series, factor: term.factor, running: Running::default() })
            });
            let mut parts: Vec<LiveTerm> = parts.collect();
            // A difference of which a part is missing would be a lie.
            if !line.rate && parts.len() < line.terms.len() {
                parts.clear();
            }
            any |= !parts.is_empty();
            WatchedLine { rate: line.rate, down: line.down, parts }
        })
        .collect();
    any.then_some(Watched { place, sent: i64::MIN, lines })
}

impl WatchedLine {
    fn value(&mut self, latest: impl Fn(SeriesRef) -> Option<(i64, f64)>, newest: &mut i64) -> f64 {
        let mut sum = 0.0;
        let mut any = false;
        for part in &mut self.parts {
            let Some((ts, value)) = latest(part.series) else {
                if self.rate {
                    continue;
                }
                return f64::NAN;
            };
            *newest = ts.max(*newest);
            let value = if self.rate {
                let Some(rate) = part.running.take(ts, value) else { continue };
                rate
            } else {
                value
            };
            sum += part.factor * value;
            any = true;
        }
        match (any, self.down) {
            (false, _) => f64::NAN,
            (true, true) => -sum,
            (true, false) => sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::{Line, Term};

    fn chart(rate: bool, down: bool, series: &[i64]) -> Chart {
        let terms = series.iter().map(|s| Term { series: *s, factor: 2.0 }).collect();
        Chart {
            id: "x".into(),
            title: "x".into(),
            unit: String::new(),
            group: String::new(),
            help: String::new(),
            stack: false,
            top: None,
            marks: Vec::new(),
            lines: vec![Line {
                name: "l".into(),
                rate,
                down,
                terms,
                bounds: crate::overview::Bounds::default(),
            }],
            more: 0,
            left: None,
            mounts: Vec::new(),
        }
    }

    fn watched(charts: &[Chart]) -> Live {
        let find = |id: i64| (id < 10).then_some(SeriesRef::new(id as u32, 0));
        let all = charts.iter().enumerate().filter_map(|(at, c)| watch(c, at, &find));
        Live { charts: all.collect() }
    }

    #[test]
    fn frames_hold_what_is_new() {
        let mut live = watched(&[
            chart(false, false, &[1]),
            chart(false, false, &[1, 2]),
            chart(false, false, &[2, 99]),
            chart(true, true, &[3]),
        ]);
        let first = live.frame(|s| Some((1_000, s.place() as f64)));
        assert_eq!(
            first.as_deref(),
            Some("data: {\"c\":[[0,1000,[2]],[1,1000,[6]],[3,1000,[null]]]}\n\n"),
            "a difference that lacks a part is not shown, a rate needs two values"
        );
        assert_eq!(live.frame(|s| Some((1_000, s.place() as f64))), None);
        let next = live.frame(|s| match s.place() {
            3 => Some((3_000, 23.0)),
            2 => None,
            _ => Some((1_000, 1.0)),
        });
        assert_eq!(next.as_deref(), Some("data: {\"c\":[[3,3000,[-20]]]}\n\n"));
        let again = live.frame(|s| (s.place() == 3).then_some((4_000, 5.0)));
        assert_eq!(again.as_deref(), Some("data: {\"c\":[[3,4000,[-10]]]}\n\n"), "begun anew");
    }

    /// Sample by sample, a page is told what the chart of all of them shows.
    #[test]
    fn what_comes_one_by_one_is_what_the_chart_shows() {
        use crate::overview::same::{BEAT, counter, file};
        let (_dir, path, next) = file();
        let reader = crate::store::Reader::open(&path).expect("opens");
        let charts = crate::overview::charts(&reader.series().expect("reads"), &[], "here");
        let chart = charts.iter().find(|c| c.id == "io").expect("a chart");
        let first = next - crate::overview::same::COUNT * BEAT;
        let read = crate::overview::read(&reader, &chart.lines[0], first, next, BEAT);
        let shown = read.expect("reads");
        let find = |_| Some(SeriesRef::new(1, 0));
        let mut line = watch(chart, 0, &find).expect("watched").lines.remove(0);
        let mut told: Vec<(i64, f64)> = Vec::new();
        for (beat, value, _) in counter() {
            let ts = first + beat * BEAT;
            let rate = line.value(|_| Some((ts, value)), &mut i64::MIN.clone());
            told.extend((!rate.is_nan()).then_some((ts, rate)));
        }
        assert_eq!(told.iter().map(|(ts, _)| *ts).collect::<Vec<_>>(), shown.start);
        for ((ts, a), b) in told.iter().zip(&shown.mean) {
            assert!((a - b).abs() < 1e-6 * b.abs(), "{ts}: {a} {b}");
        }
    }
}
