//! overview: charts, their numbers, events and verdicts as the page reads them, from the daemon and out
//! of a snapshot. Written by hand: a year of sixty charts is much of it.

use std::fmt::Write;

use super::{Chart, Columns, Finding, Verdict, read};
use crate::alert::forecast::Forecast;
use crate::store::{Happened, Reader, SqlError};
use crate::wire::json::write_string;
use crate::wire::value::write_value;

/// A stretch of time in buckets of one width, all in ms since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The begin of the requested range.
    pub from: i64,
    /// The end of the requested range.
    pub to: i64,
    /// The begin of the bucket that contains `from`.
    pub start: i64,
    /// The width of a bucket, ms.
    pub width: i64,
    /// The number of buckets, up to the one that contains `to`.
    pub count: usize,
}

impl Span {
    /// The buckets of a range, with this width, which is at least 1.
    pub fn new(from: i64, to: i64, width: i64) -> Self {
        let start = from - from.rem_euclid(width);
        let count = usize::try_from((to - start) / width + 1).unwrap_or(0);
        Self { from, to, start, width, count }
    }
}

/// The members `from`, `to`, `start`, `width` and `count` of an object.
pub fn write_span(out: &mut String, span: &Span) {
    let Span { from, to, start, width, count } = span;
    let _infallible =
        write!(out, r#""from":{from},"to":{to},"start":{start},"width":{width},"count":{count}"#);
}

/// The numbers of a chart: an array of its lines, each with `gap`, how far apart (ms) buckets may begin
/// and still hang together, `m`, the means, and with `lo` and `hi`,
/// the least and the most, where they are not the mean; null where nothing was measured. Fails where
/// the file cannot be read.
pub fn write_lines(
    out: &mut String,
    reader: &Reader,
    chart: &Chart,
    span: &Span,
) -> Result<(), SqlError> {
    out.push('[');
    for (at, line) in chart.lines.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_line(out, &read(reader, line, span.from, span.to, span.width)?, span);
    }
    out.push(']');
    Ok(())
}

/// The numbers of one line; see [`write_lines`].
pub fn write_line(out: &mut String, columns: &Columns, span: &Span) {
    let column = |out: &mut String, name: &str, values: &[f64]| {
        out.push_str(name);
        let mut at = 0;
        for (start, value) in columns.start.iter().zip(values) {
            let place = (start - span.start).div_euclid(span.width);
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if place < at || place >= span.count {
                continue;
            }
            for _ in at..place {
                out.push_str("null,");
            }
            write_short(out, *value);
            out.push(',');
            at = place + 1;
        }
        for _ in at..span.count {
            out.push_str("null,");
        }
        if span.count > 0 {
            out.pop();
        }
        out.push(']');
    };
    let _infallible = write!(out, r#"{{"gap":{}"#, columns.gap);
    column(out, r#","m":["#, &columns.mean);
    if columns.min.iter().zip(&columns.max).any(|(a, b)| a != b) {
        column(out, r#","lo":["#, &columns.min);
        column(out, r#","hi":["#, &columns.max);
    }
    out.push('}');
}

/// Writes five digits, more than a screen shows, in as few characters as possible; NaN and
/// infinities are null. The standard formatter takes several times as long.
pub fn write_short(out: &mut String, value: f64) {
    /// The first digit may be this many places after the point.
    const LEAST: i32 = -4;
    /// This many zeros are shorter than an exponent, or as clear.
    const ZEROS: usize = 3;
    // The largest number of all, rounded up, would be none.
    let size = value.abs().min(1.797e308);
    if !value.is_finite() {
        return out.push_str("null");
    }
    // No measured value is this small.
    if size < 1e-300 {
        return out.push('0');
    }
    if value < 0.0 {
        out.push('-');
    }
    let mut place = size.log10().floor() as i32;
    let mut digits = (size * 10f64.powi(4 - place)).round() as u64;
    if digits >= 100_000 {
        digits /= 10;
        place += 1;
    }
    let mut exponent = place - 4;
    while digits.is_multiple_of(10) && digits > 0 {
        digits /= 10;
        exponent += 1;
    }
    let start = out.len();
    let _infallible = write!(out, "{digits}");
    match usize::try_from(exponent) {
        Ok(zeros) if zeros <= ZEROS => out.extend(std::iter::repeat_n('0', zeros)),
        Err(_) if place >= 0 => out.insert(start + place as usize + 1, '.'),
        Err(_) if place >= LEAST => {
            let zeros = &"0.0000"[..(1 - place) as usize];
            out.insert_str(start, zeros);
        }
        _ => {
            let _infallible = write!(out, "e{exponent}");
        }
    }
}

/// Writes events as an array of objects with `t`, in ms, and with all members that are not empty.
pub fn write_events(out: &mut String, events: &[Happened]) {
    list(out, events, |out, event| {
        let _infallible = write!(out, r#"{{"t":{}"#, event.ts);
        for (name, text) in [
            ("kind", &event.kind),
            ("level", &event.level),
            ("title", &event.title),
            ("text", &event.text),
        ] {
            if !text.is_empty() {
                let _infallible = write!(out, r#","{name}":"#);
                write_string(out, text);
            }
        }
        out.push('}');
    });
}

/// The first answer that the page wants, as an object: the version, this host and all others, the
/// charts without their numbers, and the verdict of `now` (ms since 1970 UTC).
pub fn write_overview<'a>(
    out: &mut String,
    host: &str,
    hosts: &[String],
    charts: &[Chart],
    now: i64,
    verdict: &Verdict,
    forecasts: impl Iterator<Item = (&'a str, &'a Forecast)>,
) {
    out.push_str(r#"{"version":"#);
    write_string(out, env!("CARGO_PKG_VERSION"));
    out.push_str(r#","host":"#);
    write_string(out, host);
    out.push_str(r#","hosts":"#);
    list(out, hosts, |out, host| write_string(out, host));
    out.push_str(r#","charts":"#);
    list(out, charts, write_chart);
    out.push(',');
    write_verdict(out, now, verdict, forecasts);
    out.push('}');
}

/// A chart without its numbers, as a JSON object.
fn write_chart(out: &mut String, chart: &Chart) {
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

/// The members `now`, `verdict` and `forecasts` of an object; a forecast with the chart that it is
/// about.
pub fn write_verdict<'a>(
    out: &mut String,
    now: i64,
    verdict: &Verdict,
    forecasts: impl Iterator<Item = (&'a str, &'a Forecast)>,
) {
    let level = verdict.level.name();
    let _infallible = write!(out, r#""now":{now},"verdict":{{"level":"{level}","words":"#);
    write_string(out, &verdict.words());
    out.push_str(r#","newest":"#);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_json() {
        for (value, text) in [
            (0.0, "0"),
            (-0.25, "-0.25"),
            (12.0, "12"),
            (1234.0, "1234"),
            (0.123_456, "0.12346"),
            (99.999_99, "100"),
            (-99_999.5, "-1e5"),
            (123_456.7, "123460"),
            (1_234_567.0, "1234600"),
            (98.765_4, "98.765"),
            (9_876.54, "9876.5"),
            (8_012_345_678.0, "80123e5"),
            (0.000_123_456, "0.00012346"),
            (0.000_012, "12e-6"),
            (1.5e300, "15e299"),
            (1e-310, "0"),
            (f64::MAX, "1797e305"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            let mut out = String::new();
            write_short(&mut out, value);
            assert_eq!(out, text);
            assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}");
        }
    }

    #[test]
    fn short_numbers_are_as_near_as_five_digits_get() {
        let mut out = String::new();
        for n in 0..20_000 {
            let value = 1.003f64.powi(n - 10_000) * 3.3;
            out.clear();
            write_short(&mut out, value);
            let read: f64 = out.parse().unwrap();
            assert!((read - value).abs() <= value * 0.000_051, "{value}: {out}");
        }
    }

    #[test]
    fn lines_have_null_where_nothing_was_measured() {
        let span = Span::new(10_500, 14_000, 1_000);
        assert_eq!((span.start, span.count), (10_000, 5));
        let columns = Columns {
            start: vec![9_000, 11_000, 13_000, 15_000],
            mean: vec![1.0, 2.0, 3.0, 4.0],
            min: vec![1.0, 2.0, 2.5, 4.0],
            max: vec![1.0, 2.0, 3.5, 4.0],
            width: 1_000,
            gap: 3_500,
        };
        let mut out = String::new();
        write_line(&mut out, &columns, &span);
        assert_eq!(
            out,
            r#"{"gap":3500,"m":[null,2,null,3,null],"lo":[null,2,null,2.5,null],"hi":[null,2,null,3.5,null]}"#
        );
        out.clear();
        let flat = Columns { min: columns.mean.clone(), max: columns.mean.clone(), ..columns };
        write_line(&mut out, &flat, &span);
        assert_eq!(out, r#"{"gap":3500,"m":[null,2,null,3,null]}"#);
    }
}
