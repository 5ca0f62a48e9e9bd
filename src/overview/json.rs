//! overview: charts and verdicts as the page reads them, from the daemon and out of a snapshot.

use std::fmt::Write;

use super::{Chart, Finding, Forecast, Verdict};
use crate::wire::json::write_string;
use crate::wire::value::write_value;

/// A chart without its numbers, as a JSON object.
pub fn write_chart(out: &mut String, chart: &Chart) {
    out.push_str(r#"{"id":"#);
    write_string(out, &chart.id);
    for (name, text) in [
        ("title", &chart.title),
        ("unit", &chart.unit),
        ("group", &chart.group),
        ("help", &chart.help),
    ] {
        if !text.is_empty() {
            let _infallible = write!(out, r#","{name}":"#);
            write_string(out, text);
        }
    }
    if chart.stack {
        out.push_str(r#","stack":1"#);
    }
    if let Some(top) = chart.top {
        out.push_str(r#","top":"#);
        write_value(out, top);
    }
    if !chart.marks.is_empty() {
        out.push_str(r#","marks":"#);
        list(out, &chart.marks, |out, (at, word)| {
            out.push('[');
            write_value(out, *at);
            out.push(',');
            write_string(out, word);
            out.push(']');
        });
    }
    if chart.more > 0 {
        let _infallible = write!(out, r#","more":{}"#, chart.more);
    }
    out.push_str(r#","lines":"#);
    list(out, &chart.lines, |out, line| write_string(out, &line.name));
    out.push('}');
}

/// The members `verdict` and `forecasts` of an object; a forecast with the chart that it is about.
pub fn write_verdict<'a>(
    out: &mut String,
    verdict: &Verdict,
    forecasts: impl Iterator<Item = (&'a str, &'a Forecast)>,
) {
    let _infallible = write!(out, r#""verdict":{{"level":"{}","newest":"#, verdict.level.name());
    number(out, verdict.newest);
    out.push_str(r#","findings":"#);
    list(out, &verdict.findings, write_finding);
    out.push_str(r#"},"forecasts":{"#);
    for (at, (chart, forecast)) in forecasts.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_string(out, chart);
        let _infallible = write!(out, r#":{{"at":{},"day":"#, forecast.at);
        write_value(out, forecast.a_day);
        out.push('}');
    }
    out.push('}');
}

fn write_finding(out: &mut String, finding: &Finding) {
    let _infallible = write!(out, r#"{{"level":"{}","since":"#, finding.level.name());
    number(out, finding.since);
    out.push_str(r#","until":"#);
    number(out, finding.until);
    out.push_str(r#","subject":"#);
    write_string(out, &finding.subject);
    out.push_str(r#","text":"#);
    write_string(out, &finding.text);
    if let Some(chart) = &finding.chart {
        out.push_str(r#","chart":"#);
        write_string(out, chart);
    }
    out.push('}');
}

fn list<T>(out: &mut String, all: &[T], each: impl Fn(&mut String, &T)) {
    out.push('[');
    for (at, one) in all.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        each(out, one);
    }
    out.push(']');
}

fn number(out: &mut String, value: Option<i64>) {
    match value {
        Some(value) => {
            let _infallible = write!(out, "{value}");
        }
        None => out.push_str("null"),
    }
}
