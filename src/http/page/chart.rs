//! http: the numbers of many charts in one answer, and what happened meanwhile.

use super::{Page, failed};
use crate::http::error::{ApiError, Kind};
use crate::http::params::Params;
use crate::http::respond::{SOME, Sheet};
use crate::overview::{Chart, Span, read, width, write_events, write_line, write_span};
use crate::wire::json::write_string;

/// Charts of the first view that are drawn before the others: as many as stand beside each other.
const ROW: usize = 3;
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

/// Begin and end of the range, ms: `from` and `to`, or the newest `range`. `range=all` begins with
/// the first sample of the first chart.
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
/// one width, from the bucket that `from` lies in to that of `to`. `id=first` is the first row of the
/// first view, `id=rest` the rest of it: asked for at once, they are read at once. A line says in `gap` how
/// far apart (ms) buckets may begin and still hang together. Where least and most are the mean they are left
/// away; where nothing was measured, null.
pub(super) fn chart(page: &Page, params: &Params, sheet: &Sheet<'_>) -> Result<String, ApiError> {
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
        let view = || charts.iter().filter(|c| c.group.is_empty());
        let wanted: Vec<&Chart> = match &*ids {
            ["first"] => view().take(ROW).collect(),
            ["rest"] => view().skip(ROW).collect(),
            ids => ids.iter().filter_map(|id| charts.iter().find(|c| c.id == *id)).collect(),
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
        let span = Span::new(from, to, width);
        let mut out = String::from("{");
        write_span(&mut out, &span);
        out.push_str(r#","charts":["#);
        for (at, chart) in wanted.into_iter().enumerate() {
            sheet.room(&mut out, SOME)?;
            if at > 0 {
                out.push(',');
            }
            out.push_str(r#"{"id":"#);
            write_string(&mut out, &chart.id);
            out.push_str(r#","lines":["#);
            for (at, line) in chart.lines.iter().enumerate() {
                // Three columns of numbers of some digits each, or nulls.
                sheet.room(&mut out, SOME + span.count.saturating_mul(18))?;
                if at > 0 {
                    out.push(',');
                }
                let columns = read(reader, line, span.from, span.to, span.width);
                write_line(&mut out, &columns.map_err(failed)?, &span);
            }
            out.push_str("]}");
        }
        out.push_str("]}");
        Ok(out)
    })
}

/// `GET /api/events?from=&to=&host=`: what happened, newest first.
pub(super) fn events(page: &Page, params: &Params, sheet: &Sheet<'_>) -> Result<String, ApiError> {
    let (from, to) = stretch(page, params)?;
    let system = page.system(params);
    let events = page.api.files().with_reader(|reader, _| {
        let from = if params.get("range") == "all" { 0 } else { from };
        reader.events(system, from, to, MOST_EVENTS).map_err(failed)
    })?;
    let mut out = String::from(r#"{"events":"#);
    write_events(&mut out, &events);
    out.push('}');
    sheet.room(&mut out, 0)?;
    Ok(out)
}
