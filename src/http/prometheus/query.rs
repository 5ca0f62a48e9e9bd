//! http: questions in PromQL: at one moment, over a range, and about the expression itself.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::json::{Points, write_labels, write_point, write_seconds, write_text};
use super::{Ask, Notes};
use crate::http::error::{ApiError, Kind};
use crate::http::respond::SOME;
use crate::query::annotation::Level;
use crate::query::ast::Expr;
use crate::query::desk::PATIENCE;
use crate::query::eval::{Options, Stats, Value, Watched, When, evaluate};
use crate::query::parse;
use crate::query::print::pretty;
use crate::query::tree::write_tree;

/// The most steps of a range.
const MOST_STEPS: i64 = 11_000;

/// The most remarks of a kind beside an answer.
const MOST_NOTES: usize = 10;

/// `query`
pub(super) fn instant(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let limit = ask.params.limit("limit")?;
    let at = ask.params.time("time")?.unwrap_or_else(|| ask.api.now());
    run(ask, When::Instant(at), limit, out)
}

/// `query_range`
pub(super) fn range(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let limit = ask.params.limit("limit")?;
    let wanted = |name: &str| {
        ask.params
            .time(name)?
            .ok_or_else(|| ApiError::parameter(name, "cannot parse \"\" to a valid timestamp"))
    };
    let (start, end) = (wanted("start")?, wanted("end")?);
    if end < start {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step = ask
        .params
        .duration("step")?
        .ok_or_else(|| ApiError::parameter("step", "cannot parse \"\" to a valid duration"))?;
    if step <= 0 {
        let why = "zero or negative query resolution step widths are not accepted. Try a positive \
                   integer";
        return Err(ApiError::parameter("step", why));
    }
    if end.saturating_sub(start) / step > MOST_STEPS {
        let why = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing \
                   the query resolution (?step=XX)";
        return Err(ApiError::new(Kind::BadData, why));
    }
    run(ask, When::Range { start, end, step }, limit, out)
}

fn expression(ask: &Ask<'_>) -> Result<Expr, ApiError> {
    let text = ask.params.get("query");
    parse(text).map_err(|e| ApiError::expression("query", &e, text))
}

fn run(ask: &Ask<'_>, when: When, limit: usize, out: &mut String) -> Result<Notes, ApiError> {
    let timeout = match ask.params.duration("timeout")? {
        Some(ms) => PATIENCE.min(Duration::from_millis(ms.max(0) as u64)),
        None => PATIENCE,
    };
    let mut options = Options::default();
    if let Some(ms) = ask.params.duration("lookback_delta")? {
        // Empty, zero and negative values mean the default, as in Prometheus.
        if ms > 0 {
            options.lookback = ms;
        }
    }
    options.watch = !ask.params.get("stats").is_empty();
    let begin = Instant::now();
    let text = ask.params.get("query");
    let expr = expression(ask)?;
    let task = ask.task.until(ask.started + timeout);
    let limits = task.limits();
    let mut answer = ask.api.files().with_source(limits, |source| {
        Ok::<_, ApiError>(evaluate(source, &expr, when, &options, limits)?)
    })?;
    let mut notes = Notes {
        warnings: answer.annotations.shown(Level::Warning, text, MOST_NOTES),
        infos: answer.annotations.shown(Level::Info, text, MOST_NOTES),
        resolution: Some(answer.stats.resolution()),
    };
    let evaluated = begin.elapsed();
    if write_value(ask, out, &answer.value, limit)? {
        notes.warnings.push("results truncated due to limit".to_owned());
    }
    if let Some(watched) = answer.watched.take() {
        write_stats(out, ask, &answer.stats, &watched, evaluated)?;
    }
    out.push('}');
    Ok(notes)
}

/// Appends `{"resultType":…,"result":…`; whether series were left out.
fn write_value(
    ask: &Ask<'_>,
    out: &mut String,
    value: &Value,
    limit: usize,
) -> Result<bool, ApiError> {
    Ok(match value {
        Value::Scalar(ms, value) => {
            out.push_str(r#"{"resultType":"scalar","result":"#);
            write_point(out, *ms, *value);
            false
        }
        Value::String(ms, text) => {
            out.push_str(r#"{"resultType":"string","result":["#);
            write_seconds(out, *ms);
            out.push(',');
            write_text(out, text);
            out.push(']');
            false
        }
        Value::Vector(samples) => {
            out.push_str(r#"{"resultType":"vector","result":"#);
            ask.write_list(out, samples.iter().take(limit), |out, sample| {
                out.push_str(r#"{"metric":"#);
                write_labels(out, &sample.labels);
                out.push_str(r#","value":"#);
                write_point(out, sample.time, sample.value);
                out.push('}');
                Ok(())
            })?;
            samples.len() > limit
        }
        Value::Matrix(matrix) => {
            out.push_str(r#"{"resultType":"matrix","result":"#);
            let all = matrix.labels().take(limit).enumerate();
            ask.write_list(out, all, |out, (at, labels)| {
                out.push_str(r#"{"metric":"#);
                write_labels(out, labels);
                out.push_str(r#","values":"#);
                Points::new(out).list(matrix.points(at), |out| ask.room(out, SOME))?;
                out.push('}');
                Ok(())
            })?;
            matrix.len() > limit
        }
    })
}

/// Prometheus' statistics; `stats=all` adds the samples of each step. `resolution` and `buckets`
/// are ours: what served, and how many buckets were read where samples are gone.
fn write_stats(
    out: &mut String,
    ask: &Ask<'_>,
    stats: &Stats,
    watched: &Watched,
    evaluated: Duration,
) -> Result<(), ApiError> {
    let total = evaluated + ask.queued;
    let inner = evaluated.saturating_sub(watched.preparing + watched.sorting);
    let timings = [
        ("evalTotalTime", evaluated),
        ("resultSortTime", watched.sorting),
        ("queryPreparationTime", watched.preparing),
        ("innerEvalTime", inner),
        ("execQueueTime", ask.queued),
        ("execTotalTime", total),
    ];
    out.push_str(r#","stats":{"timings":{"#);
    for (at, (name, time)) in timings.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(out, r#"{comma}"{name}":{}"#, time.as_secs_f64());
    }
    out.push_str(r#"},"samples":{"#);
    if ask.params.get("stats") == "all" {
        out.push_str(r#""totalQueryableSamplesPerStep":"#);
        ask.write_list(out, &watched.per_step, |out, (ms, samples)| {
            out.push('[');
            write_seconds(out, *ms);
            let _ = write!(out, ",{samples}]");
            Ok(())
        })?;
        out.push(',');
    }
    let _ = write!(
        out,
        r#""totalQueryableSamples":{},"peakSamples":{}}},"resolution":"{}","series":{},"samplesRead":{},"buckets":{}}}"#,
        watched.samples(),
        stats.cells,
        stats.resolution(),
        stats.series,
        stats.samples,
        stats.buckets,
    );
    Ok(())
}

/// `query_exemplars`: there are none here, but the question has to be one.
pub(super) fn exemplars(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let (start, end) = (ask.params.time("start")?, ask.params.time("end")?);
    if start.zip(end).is_some_and(|(start, end)| end < start) {
        let why = "end timestamp must not be before start timestamp";
        return Err(ApiError::new(Kind::BadData, why));
    }
    expression(ask)?;
    out.push_str("[]");
    Ok(Notes::default())
}

/// `format_query`
pub(super) fn format(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    write_text(out, &pretty(&expression(ask)?));
    Ok(Notes::default())
}

/// `parse_query`
pub(super) fn tree(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    write_tree(out, &expression(ask)?);
    Ok(Notes::default())
}
