//! http: `GET /graph.svg` and `/graph.png`: a picture of a series or of an expression, for wikis,
//! mails and tickets. Bounded in size; drawn on the threads that questions in PromQL share.

use std::sync::Arc;

use axum::extract::{Query, State as Get};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use jiff::tz::TimeZone;

use super::api::Api;
use super::error::ApiError;
use super::peer::Cut;
use crate::draw::{self, Ask, Frame, GatherError, Theme};
use crate::query::budget::{Held, Spent};
use crate::query::desk::{Purpose, Task};
use crate::query::files::Unreadable;
use crate::query::number::parse_duration;
use crate::query::turns::Client;
use crate::wire::time::parse_when;

/// The known parameters.
const PARAMETERS: &str =
    "expr, range, from, to, width, height, theme, title, scale, stacked, threshold, tz";
/// Pixels of a side.
const SIDE: std::ops::RangeInclusive<u32> = 80..=3_000;
/// Pixels of a PNG: 12 MB while it is painted.
const MOST_PIXELS: f32 = 3e6;
/// Thresholds of one picture.
const MOST_THRESHOLDS: usize = 10;
const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Svg,
    Png,
}

/// Why there is no picture.
type Refusal = (StatusCode, String);

/// Both routes.
pub(super) fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route(
            "/graph.svg",
            get(|api, client, cut, pairs| answer(Kind::Svg, api, client, cut, pairs)),
        )
        .route(
            "/graph.png",
            get(|api, client, cut, pairs| answer(Kind::Png, api, client, cut, pairs)),
        )
        .with_state(api)
}

/// A request for a picture.
#[derive(Debug)]
struct Wanted {
    expression: String,
    from: i64,
    to: i64,
    frame: Frame,
    scale: f32,
    title: Option<String>,
    stacked: bool,
    thresholds: Vec<f64>,
}

async fn answer(
    kind: Kind,
    Get(api): Get<Arc<Api>>,
    client: Client,
    cut: Option<Extension<Cut>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let drawn = api.turn(Purpose::Any, client, move |api, task| {
        let mut held = task.budget.hold();
        let mut draws = || {
            let wanted = wanted(&pairs, kind, api.now())?;
            let bytes = draw(api, &wanted, kind, task, &mut held)?;
            Ok::<_, Refusal>((bytes, wanted.to - wanted.from))
        };
        Ok((draws(), held))
    });
    match drawn.await {
        Ok((Ok((bytes, span)), held)) => {
            // The length of the newest pixel.
            let seconds = (span / 1_000_000).clamp(5, 300);
            let kind = match kind {
                Kind::Svg => "image/svg+xml; charset=utf-8",
                Kind::Png => "image/png",
            };
            let headers = [
                (header::CONTENT_TYPE, kind.to_owned()),
                (header::CACHE_CONTROL, format!("private, max-age={seconds}")),
            ];
            let cut = cut.map(|Extension(cut)| cut);
            (headers, super::sent::body(bytes, held, cut)).into_response()
        }
        Ok((Err((status, why)), _)) => (status, format!("{why}\n")).into_response(),
        Err(e) => (e.status(), format!("{}\n", e.message())).into_response(),
    }
}

fn bad(why: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, why.into())
}

fn wanted(pairs: &[(String, String)], kind: Kind, now: i64) -> Result<Wanted, Refusal> {
    let mut frame = Frame::default();
    let (mut expression, mut title) = (String::new(), None);
    let (mut range, mut from, mut to) = (None, None, now);
    let (mut scale, mut stacked, mut thresholds) = (1.0, false, Vec::new());
    let side = |name: &str, text: &str| match text.parse::<u32>() {
        Ok(side) if SIDE.contains(&side) => Ok(side),
        _ => Err(bad(format!("{name}: from {} to {} pixels", SIDE.start(), SIDE.end()))),
    };
    let time =
        |name: &str, text: &str| parse_when(text, now).map_err(|e| bad(format!("{name}: {e}")));
    for (name, text) in pairs {
        match name.as_str() {
            "expr" => expression = text.clone(),
            "title" => title = Some(draw::clean(text)).filter(|t| !t.is_empty()),
            "range" => {
                let length = parse_duration(text).ok().filter(|length| *length > 0);
                let why = || bad("range: a length of time such as 30m, 6h, 7d, 1y");
                range = Some(length.ok_or_else(why)?);
            }
            "from" => from = Some(time("from", text)?),
            "to" => to = time("to", text)?,
            "width" => frame.width = side("width", text)?,
            "height" => frame.height = Some(side("height", text)?),
            "theme" => {
                frame.theme = match text.as_str() {
                    "light" => Theme::Light,
                    "dark" => Theme::Dark,
                    _ => return Err(bad("theme: light or dark")),
                };
            }
            "scale" => {
                let known = text.parse().ok().filter(|scale| (1.0..=3.0).contains(scale));
                scale = known.ok_or_else(|| bad("scale: from 1 to 3"))?;
            }
            "stacked" => stacked = !matches!(text.as_str(), "0" | "false" | "no"),
            "threshold" => {
                let number: Option<f64> = text.parse().ok().filter(|v: &f64| v.is_finite());
                thresholds.push(number.ok_or_else(|| bad("threshold: a number"))?);
            }
            "tz" => {
                let why = || bad("tz: a time zone such as UTC or Europe/Berlin");
                frame.zone = TimeZone::get(text).map_err(|_| why())?;
            }
            // Parameters that only defeat caches.
            name if name.starts_with('_') => {}
            name => {
                let name = draw::clean(name);
                return Err(bad(format!("`{name}` is none of {PARAMETERS}")));
            }
        }
    }
    if expression.trim().is_empty() {
        return Err(bad(
            "`expr` is missing; for example ?expr=cpu&range=7d, or PromQL as in /api/v1/query",
        ));
    }
    let from = match (from, range) {
        (Some(_), Some(_)) => return Err(bad("either range or from, not both")),
        (Some(from), None) => from,
        (None, range) => to.saturating_sub(range.unwrap_or(DAY_MS)),
    };
    if from >= to {
        return Err(bad("`from` must be earlier than `to`"));
    }
    if thresholds.len() > MOST_THRESHOLDS {
        return Err(bad(format!("threshold: {MOST_THRESHOLDS} at most")));
    }
    let pixels = frame.width as f32 * frame.height.unwrap_or(700) as f32 * scale * scale;
    if kind == Kind::Png && pixels > MOST_PIXELS {
        return Err(bad("this would be more than three million pixels; make it smaller"));
    }
    Ok(Wanted { expression, from, to, frame, scale, title, stacked, thresholds })
}

/// `held` is the memory of what comes back.
fn draw(
    api: &Api,
    wanted: &Wanted,
    kind: Kind,
    task: &Task,
    held: &mut Held,
) -> Result<Vec<u8>, Refusal> {
    let limits = task.limits();
    let ask = Ask {
        expression: &wanted.expression,
        from: wanted.from,
        to: wanted.to,
        points: wanted.frame.width.saturating_sub(90).max(50),
        limits,
    };
    let mut chart = api
        .files()
        .with_catalog(|reader, catalog| Ok::<_, Unreadable>(draw::gather(reader, catalog, &ask)))
        .map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?
        .map_err(|e| {
            let status = match &e {
                GatherError::Unknown(_) => StatusCode::NOT_FOUND,
                GatherError::Wrong(_) => StatusCode::BAD_REQUEST,
                GatherError::TooMany(_) | GatherError::Memory(Spent::One(_)) => {
                    StatusCode::UNPROCESSABLE_ENTITY
                }
                GatherError::Memory(Spent::All(_)) => StatusCode::SERVICE_UNAVAILABLE,
                GatherError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
                GatherError::TooLong => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, e.to_string())
        })?;
    chart.stacked = wanted.stacked;
    chart.thresholds = wanted.thresholds.clone();
    if let Some(title) = &wanted.title {
        chart.title = title.clone();
    }
    // A point of a line is a place in the picture, in its band, and some letters of SVG.
    let points: usize = chart.lines.iter().map(|line| line.ts.len()).sum();
    let mut room = held.another();
    room.take(points * 128).map_err(too_much)?;
    let picture = draw::picture(&chart, &wanted.frame);
    still(task)?;
    let bytes = match kind {
        Kind::Svg => draw::svg(&picture).into_bytes(),
        Kind::Png => {
            let side = |side: u32| (side as f32 * wanted.scale) as usize;
            // Four bytes a pixel, and the packed picture.
            room.take(side(picture.width) * side(picture.height) * 6).map_err(too_much)?;
            let drawn = draw::png_while(&picture, wanted.scale, || task.check().is_ok());
            still(task)?;
            drawn.ok_or_else(|| {
                let why = "the legend makes this picture too large; set a height";
                (StatusCode::UNPROCESSABLE_ENTITY, why.to_owned())
            })?
        }
    };
    held.settle(bytes.capacity()).map_err(too_much)?;
    Ok(bytes)
}

/// Whether the work may go on.
fn still(task: &Task) -> Result<(), Refusal> {
    task.check().map_err(|e| {
        let error = ApiError::from(e);
        (error.status(), error.message())
    })
}

fn too_much(why: Spent) -> Refusal {
    let error = ApiError::from(why);
    (error.status(), error.message())
}
