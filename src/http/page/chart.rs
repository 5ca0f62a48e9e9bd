//! http: the numbers of many charts in one answer, and what happened meanwhile.

use super::{Page, failed, write_short};
use crate::http::prometheus::error::{ApiError, Kind};
use crate::http::prometheus::params::Params;
use crate::overview::{Chart, Columns, read, width};
use crate::wire::json::write_string;

/// Charts in one answer.
const MOST_CHARTS: usize = 200;
/// Buckets of a line.
const MOST_POINTS: u32 = 2_000;
const USUAL_POINTS: u32 = 300;
/// Events in one answer; the newest are given.
const MOST_EVENTS: u32 = 200;
/// Without a range: the last hour.
const USUAL_RANGE_MS: i64 = 3_600_000;
/// Times beyond this are in no calendar; they are taken as this.
const FAR_MS: i64 = 253_402_300_799_999;

/// From when to when, ms: `from` and `to`, or the newest `range`. `range=all` begins with the first
/// sample of what is asked for, as far as the first chart tells.
fn stretch(page: &Page, params: &Params) -> Result<(i64, i64), ApiError> {
    let number = |name: &str| match params.get(name) {
        "" => Ok(None),
        text => text
            .parse::<i64>()
            .map(|ms| Some(ms.clamp(-FAR_MS, FAR_MS)))
            .map_err(|_| ApiError::parameter(name, "it has to be a whole number of ms")),
    };
    let to = number("to")?.unwrap_or_else(|| page.api.state().clock.wall_ms());
    let range = if params.get("range") == "all" { None } else { number("range")? };
    let from = number("from")?.unwrap_or(to - range.unwrap_or(USUAL_RANGE_MS));
    if from >= to {
        return Err(ApiError::parameter("to", "it has to be after `from`"));
    }
    Ok((from, to))
}

/// `GET /api/chart?id=…&id=…&from=&to=&range=&points=&host=`: of each chart its lines in buckets of
/// one width, from the bucket that `from` lies in to that of `to`. `id=first` is all of the first
/// view. Where least and most are the mean they are left away; where nothing was measured, null.
pub(super) fn chart(page: &Page, params: &Params) -> Result<String, ApiError> {
    let (mut from, to) = stretch(page, params)?;
    let points = match params.get("points") {
        "" => USUAL_POINTS,
        text => text
            .parse::<u32>()
            .map_err(|_| ApiError::parameter("points", "it has to be a whole number"))?
            .clamp(2, MOST_POINTS),
    };
    let ids: Vec<&str> = params.all("id").take(MOST_CHARTS + 1).collect();
    if ids.len() > MOST_CHARTS {
        let message = format!("more than {MOST_CHARTS} charts at once");
        return Err(ApiError::new(Kind::BadData, message));
    }
    page.with_charts(page.system(params), |reader, charts| {
        let wanted: Vec<&Chart> = if ids == ["first"] {
            charts.iter().filter(|c| c.group.is_empty()).collect()
        } else {
            ids.iter().filter_map(|id| charts.iter().find(|c| c.id == *id)).collect()
        };
        if params.get("range") == "all" {
            let mut oldest = None;
            for term in wanted.iter().filter_map(|c| c.lines.first()?.terms.first()) {
                let one = reader.oldest(term.series).map_err(failed)?;
                oldest = oldest.into_iter().chain(one).min();
            }
            from = oldest.unwrap_or(from).min(to - 1);
        }
        let line = wanted.first().and_then(|c| c.lines.first());
        let width = width(reader, line, from, to, points).map_err(failed)?;
        let first = from - from.rem_euclid(width);
        let count = usize::try_from((to - first) / width + 1).unwrap_or(0);
        let mut out = format!(
            r#"{{"from":{from},"to":{to},"start":{first},"width":{width},"count":{count},"charts":["#
        );
        for (at, chart) in wanted.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str(r#"{"id":"#);
            write_string(&mut out, &chart.id);
            out.push_str(r#","lines":["#);
            for (at, line) in chart.lines.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                let columns = read(reader, line, from, to, width).map_err(failed)?;
                write_line(&mut out, &columns, first, width, count);
            }
            out.push_str("]}");
        }
        out.push_str("]}");
        Ok(out)
    })
}

fn write_line(out: &mut String, columns: &Columns, first: i64, width: i64, count: usize) {
    let column = |out: &mut String, name: &str, values: &[f64]| {
        out.push_str(name);
        let mut at = 0;
        for (start, value) in columns.start.iter().zip(values) {
            let place = usize::try_from((start - first).div_euclid(width)).unwrap_or(usize::MAX);
            if place < at || place >= count {
                continue;
            }
            for _ in at..place {
                out.push_str("null,");
            }
            write_short(out, *value);
            out.push(',');
            at = place + 1;
        }
        for _ in at..count {
            out.push_str("null,");
        }
        if count > 0 {
            out.pop();
        }
        out.push(']');
    };
    column(out, r#"{"m":["#, &columns.mean);
    let wide = columns.min.iter().zip(&columns.max).any(|(a, b)| a != b);
    if wide {
        column(out, r#","lo":["#, &columns.min);
        column(out, r#","hi":["#, &columns.max);
    }
    out.push('}');
}

/// `GET /api/events?from=&to=&host=`: what happened, newest first.
pub(super) fn events(page: &Page, params: &Params) -> Result<String, ApiError> {
    let (from, to) = stretch(page, params)?;
    let system = page.system(params);
    let events = page.api.files().with_reader(|reader, _| {
        let from = if params.get("range") == "all" { 0 } else { from };
        reader.events(system, from, to, MOST_EVENTS).map_err(failed)
    })?;
    let mut out = String::from(r#"{"events":["#);
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&format!(r#"{{"t":{}"#, event.ts));
        for (key, text) in [
            ("kind", &event.kind),
            ("level", &event.level),
            ("title", &event.title),
            ("text", &event.text),
        ] {
            if !text.is_empty() {
                out.push_str(&format!(r#","{key}":"#));
                write_string(&mut out, text);
            }
        }
        out.push('}');
    }
    out.push_str("]}");
    Ok(out)
}
