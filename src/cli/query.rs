//! cli: `plimsoll query`: PromQL, answered by the daemon if one runs, else from the file; both
//! print the same.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use super::told::{self, Told};
use super::{Global, screen, table};
use crate::draw;
use crate::model::{Clock, Labels, SystemClock};
use crate::query::annotation::Level;
use crate::query::ast::Expr;
use crate::query::eval::{Answer, EvalError, Limits, Options, Value, When, evaluate};
use crate::query::explain::explain;
use crate::query::matcher::NAME;
use crate::query::{Catalog, StoreSource, error::write_place, number, parse, quote};
use crate::store::Reader;
use crate::wire::{csv, json, time, value::write_value};

/// `plimsoll query`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll query node_load1\n  \
    plimsoll query 'max_over_time(disk[1d])' --at 2026-07-01\n  \
    plimsoll query 'sum by (mode) (rate(node_cpu_seconds_total[5m]))' --range 1h --step 1m\n  \
    plimsoll query 'max_over_time(disk[1d])' --range 400d --explain\n  \
    plimsoll query 'memory' --range 1d --step 5m --format csv > memory.csv\n  \
    plimsoll query 'rate(node_network_receive_bytes_total[5m])' --range 6h --format chart")]
pub struct Args {
    /// A PromQL expression
    expression: String,
    /// Time of evaluation: a date, seconds since 1970, or -1h, -7d [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,
    /// Evaluate over a range of this length that ends at --at
    #[arg(long, value_name = "DURATION")]
    range: Option<String>,
    /// Distance of two evaluations in the range [default: a 250th of the range]
    #[arg(long, value_name = "DURATION", requires = "range")]
    step: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Show the plan and its cost instead of the answer: selectors, series, resolution, reads
    #[arg(long, conflicts_with_all = ["format", "json"])]
    explain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Aligned columns
    Table,
    /// Columns series, time and value, with a header line
    Csv,
    /// An array of objects
    Json,
    /// A chart in the terminal, of the last hour without --range
    Chart,
}

/// One printed line.
struct Line {
    series: String,
    ts: i64,
    value: String,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let text = &args.expression;
    let expr = parse(text).map_err(|e| anyhow::anyhow!("{}", e.shown(text).trim_end()))?;
    let now = SystemClock.wall_ms();
    let at = args.at.as_deref().map_or(Ok(now), |t| time::parse_when(t, now))?;
    let when = when(args, at)?;
    let database = global.database()?;
    if let (Format::Chart, When::Range { start, end, step }) = (args.format, when) {
        return chart(&database, text, &expr, (start, end, step));
    }
    let mut out = super::stdout();
    if args.explain {
        let (answer, took) = from_file(&database, text, &expr, when, true)?;
        out.write_all(explain(text, &expr, &answer, took).as_bytes())?;
        out.flush()?;
        return Ok(());
    }
    let (lines, notes) = match told::told(&database, text, when) {
        Some((series, notes)) => (series.iter().flat_map(lines_told).collect(), notes),
        None => {
            let (answer, _) = from_file(&database, text, &expr, when, false)?;
            (lines(&answer), notes(&answer, text))
        }
    };
    let mut errors = std::io::stderr();
    for note in notes {
        writeln!(errors, "{}", screen::clean_lines(&note))?;
    }
    print(&mut out, &lines, if args.json { Format::Json } else { args.format })?;
    out.flush()?;
    Ok(())
}

/// Evaluates without a daemon and its limits; returns the time, too. `watch`: with the data that is
/// read.
fn from_file(
    database: &Path,
    text: &str,
    expr: &Expr,
    when: When,
    watch: bool,
) -> anyhow::Result<(Answer, Duration)> {
    let reader = Reader::open(database)?.load_head()?;
    let catalog = Catalog::read(&reader)?;
    let source = StoreSource::new(&reader, &catalog);
    let options = Options { watch, ..Options::default() };
    let begin = Instant::now();
    let answer =
        evaluate(&source, expr, when, &options, Limits::default()).map_err(|e| failed(&e, text))?;
    Ok((answer, begin.elapsed()))
}

/// The lines of a range as a chart. The daemon's answer has no names of units: the file is asked.
fn chart(
    database: &Path,
    text: &str,
    expr: &Expr,
    (from, to, step): (i64, i64, i64),
) -> anyhow::Result<()> {
    let reader = Reader::open(database)?.load_head()?;
    let catalog = Catalog::read(&reader)?;
    let source = StoreSource::new(&reader, &catalog);
    let when = When::Range { start: from, end: to, step };
    let answer = evaluate(&source, expr, when, &Options::default(), Limits::default())
        .map_err(|e| failed(&e, text))?;
    let mut errors = std::io::stderr();
    for note in notes(&answer, text) {
        writeln!(errors, "{}", screen::clean_lines(&note))?;
    }
    let mut chart = draw::Chart { title: draw::clean(text), from, to, ..Default::default() };
    draw::fill(&mut chart, &answer.value, expr, step, &catalog, &reader.series()?)?;
    super::graph::show(&chart, screen::width(), None)
}

/// Remarks, warnings first.
fn notes(answer: &Answer, text: &str) -> Vec<String> {
    let levels = [Level::Warning, Level::Info].into_iter();
    levels.flat_map(|level| answer.annotations.shown(level, text, 10)).collect()
}

fn when(args: &Args, at: i64) -> anyhow::Result<When> {
    let length = |option: &str, text: &str| -> anyhow::Result<i64> {
        let ms = number::parse_duration(text).map_err(|_| {
            anyhow::anyhow!("{option}: `{text}` is not a duration; write for example 5m")
        })?;
        anyhow::ensure!(ms > 0, "{option} must be longer than 0");
        Ok(ms)
    };
    let range = match (&args.range, args.format) {
        (Some(range), _) => length("--range", range)?,
        (None, Format::Chart) => 3_600_000,
        (None, _) => return Ok(When::Instant(at)),
    };
    let step = match &args.step {
        Some(step) => length("--step", step)?,
        None => (range / 250).max(1),
    };
    // On the step's own grid, so that the same question finds the same moments again.
    let end = at - at.rem_euclid(step);
    Ok(When::Range { start: end - range, end, step })
}

fn failed(e: &EvalError, text: &str) -> anyhow::Error {
    let mut message = e.to_string();
    if let EvalError::Execution { span: Some(span), .. } | EvalError::Question { span, .. } = e {
        message.push('\n');
        write_place(&mut message, text, *span);
    }
    anyhow::anyhow!("{}", message.trim_end())
}

/// `name{label="value"}`, as it is asked for.
fn shown(labels: &Labels) -> String {
    let name = labels.get(NAME).unwrap_or_default();
    let others: Vec<String> = labels
        .iter()
        .filter(|(label, _)| *label != NAME)
        .map(|(label, value)| format!("{label}={}", quote::quoted(value)))
        .collect();
    if others.is_empty() && !name.is_empty() {
        return name.to_owned();
    }
    format!("{name}{{{}}}", others.join(","))
}

/// The API's numbers are those of Prometheus; here they are written as everywhere on the command line.
fn lines_told(told: &Told) -> impl Iterator<Item = Line> {
    let series = told.labels.as_ref().map(shown);
    told.points.iter().map(move |(ts, text)| {
        let value = match text.parse() {
            Ok(number) if told.numbers => written(number),
            _ => text.clone(),
        };
        Line { series: series.clone().unwrap_or_default(), ts: *ts, value }
    })
}

fn written(value: f64) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

fn lines(answer: &Answer) -> Vec<Line> {
    let number = written;
    match &answer.value {
        Value::Scalar(ts, value) => {
            vec![Line { series: String::new(), ts: *ts, value: number(*value) }]
        }
        Value::String(ts, text) => {
            vec![Line { series: String::new(), ts: *ts, value: text.to_string() }]
        }
        Value::Vector(samples) => samples
            .iter()
            .map(|s| Line { series: shown(&s.labels), ts: s.time, value: number(s.value) })
            .collect(),
        Value::Matrix(matrix) => matrix
            .labels()
            .enumerate()
            .flat_map(|(at, labels)| {
                let series = shown(labels);
                matrix.points(at).map(move |(ts, value)| Line {
                    series: series.clone(),
                    ts,
                    value: number(value),
                })
            })
            .collect(),
    }
}

fn print(out: &mut impl Write, lines: &[Line], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Table | Format::Chart => {
            let cells = |line: &Line| {
                vec![line.series.clone(), time::format_timestamp(line.ts), line.value.clone()]
            };
            let rows: Vec<Vec<String>> = lines.iter().map(cells).collect();
            table::print(out, &["series", "time", "value"], &rows)?;
        }
        Format::Csv => {
            let mut text = String::from("series,time,value\n");
            for line in lines {
                csv::write_key(&mut text, &line.series);
                text.push(',');
                time::write_timestamp(&mut text, line.ts);
                text.push(',');
                csv::write_key(&mut text, &line.value);
                text.push('\n');
            }
            out.write_all(text.as_bytes())?;
        }
        Format::Json => {
            let mut text = String::from("[");
            for (at, line) in lines.iter().enumerate() {
                text.push_str(if at > 0 { ",\n" } else { "\n" });
                text.push_str("{\"series\":");
                json::write_string(&mut text, &line.series);
                text.push_str(",\"time\":");
                let mut when = String::new();
                time::write_rfc3339(&mut when, line.ts);
                json::write_string(&mut text, &when);
                text.push_str(",\"value\":");
                json::write_string(&mut text, &line.value);
                text.push('}');
            }
            text.push_str("\n]\n");
            out.write_all(text.as_bytes())?;
        }
    }
    Ok(())
}
