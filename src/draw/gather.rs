//! draw: from a request to a chart: a key or a pattern of keys is read from samples and rollups,
//! other texts are evaluated as PromQL. Only this file of the room reads the database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hashbrown::HashMap;

use super::letters::clean;
use super::line::{self, Line};
use super::{Chart, Mark, measure};
use crate::model::{Glob, Kind, Labels, Unit, unit, write_key};
use crate::overview;
use crate::query::ast::{Expr, VectorSelector};
use crate::query::budget::{Budget, Spent};
use crate::query::eval::{EvalError, Limits, Options, Value, When, evaluate};
use crate::query::matcher::NAME;
use crate::query::{Catalog, StoreSource, error::write_place, parse};
use crate::store::block::GROUP;
use crate::store::{Known, Reader, SqlError, Want};

/// A request for a chart.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// A series' key, a glob of keys, or PromQL.
    pub expression: &'a str,
    /// The left edge, ms since 1970 UTC.
    pub from: i64,
    /// The right edge; after `from`.
    pub to: i64,
    /// How many points a line has at most; some more where samples are drawn as they are.
    pub points: u32,
    /// The limits on reading.
    pub limits: Limits<'a>,
}

/// The reason why there is no chart.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// No series has this name.
    #[error("{0}")]
    Unknown(String),
    /// The text is not an expression; with a caret under the place.
    #[error("{0}")]
    Wrong(String),
    /// It selects more series than a picture can show.
    #[error(
        "this selects {0} series, and a picture is drawn of {MOST_SERIES} at most; narrow it down, \
         or add them up: sum(…), topk(10, …)"
    )]
    TooMany(usize),
    /// The question failed.
    #[error("{0}")]
    Failed(String),
    /// It needs too much memory.
    #[error("{0}")]
    Memory(#[from] Spent),
    /// It took too long, or the client is gone.
    #[error("it took too long; ask for a shorter time, or for fewer series")]
    TooLong,
}

impl From<SqlError> for GatherError {
    fn from(e: SqlError) -> Self {
        Self::Failed(e.to_string())
    }
}

/// Series read for one picture.
const MOST_SERIES: usize = 1_000;
/// Lines drawn; those with the largest values.
const MOST_LINES: usize = 100;
/// Marks drawn.
const MOST_MARKS: usize = 60;
/// Two boot times closer than this are one that was measured twice.
const SAME_BOOT_MS: i64 = 60_000;

/// Reads the chart of a request.
pub fn gather(reader: &Reader, catalog: &Catalog, ask: &Ask<'_>) -> Result<Chart, GatherError> {
    let known = reader.series()?;
    let mut chart = Chart {
        title: clean(ask.expression.trim()),
        from: ask.from,
        to: ask.to,
        ..Chart::default()
    };
    let text = ask.expression.trim();
    let by_key: Vec<&Known> = known.iter().filter(|k| k.key == text).collect();
    if !by_key.is_empty() {
        if let Some(gloss) = overview::gloss(text) {
            chart.title = format!("{}: {gloss}", chart.title);
        }
        let names = names_of_keys(&by_key);
        draw_series(reader, ask, &by_key, names, &mut chart)?;
    } else {
        match parse(text) {
            Ok(expr) => draw_expression(reader, catalog, ask, &expr, &known, &mut chart)?,
            Err(e) => {
                let glob = Glob::new(text);
                let fitting: Vec<&Known> = (known.iter())
                    .filter(|k| text.contains(['*', '?']) && glob.matches(&k.key))
                    .collect();
                if fitting.is_empty() {
                    return Err(no_key(text, &e.shown(text), &known));
                }
                let names = names_of_keys(&fitting);
                draw_series(reader, ask, &fitting, names, &mut chart)?;
            }
        }
    }
    let mut lines = std::mem::take(&mut chart.lines);
    if lines.len() > MOST_LINES {
        chart.left_out = lines.len() - MOST_LINES;
        let mut largest: Vec<usize> = (0..lines.len()).collect();
        let size = |i: &usize| if lines[*i].most.is_nan() { f64::MIN } else { lines[*i].most };
        largest.sort_by(|a, b| size(b).total_cmp(&size(a)));
        let mut keep = vec![false; lines.len()];
        largest.iter().take(MOST_LINES).for_each(|i| keep[*i] = true);
        let mut keep = keep.into_iter();
        lines.retain(|_| keep.next().unwrap_or_default());
    }
    for line in &mut lines {
        line.name = clean(&line.name);
    }
    chart.lines = lines;
    chart.marks = marks(reader, &known, ask)?;
    Ok(chart)
}

/// The error for a text that is neither a key nor an expression, with the closest key.
fn no_key(text: &str, why: &str, known: &[Known]) -> GatherError {
    let simple = |c: char| c.is_alphanumeric() || "_/.:-*?".contains(c);
    if text.chars().all(simple) && !text.is_empty() {
        return unknown(text, known);
    }
    GatherError::Wrong(why.trim_end().to_owned())
}

fn unknown(text: &str, known: &[Known]) -> GatherError {
    let wanted = text.trim_matches(['*', '?']).to_lowercase();
    let mut close: Vec<&str> = known
        .iter()
        .map(|k| k.key.as_str())
        .filter(|k| !wanted.is_empty() && k.to_lowercase().contains(&wanted))
        .collect();
    close.dedup();
    close.truncate(3);
    let hint = if close.is_empty() {
        "plimsoll status --all lists those there are".to_owned()
    } else {
        format!("did you mean {}?", close.join(", "))
    };
    GatherError::Unknown(format!("there is no series {}; {hint}", clean(text)))
}

fn check(limits: &Limits<'_>) -> Result<(), GatherError> {
    let late = limits.deadline.is_some_and(|end| Instant::now() >= end);
    let alone = limits.cancel.is_some_and(|c| c.load(Ordering::Relaxed));
    if late || alone { Err(GatherError::TooLong) } else { Ok(()) }
}

/// Draws series as they are: gauges as their values, counters as their rates.
fn draw_series(
    reader: &Reader,
    ask: &Ask<'_>,
    series: &[&Known],
    names: Vec<String>,
    chart: &mut Chart,
) -> Result<(), GatherError> {
    if series.len() > MOST_SERIES {
        return Err(GatherError::TooMany(series.len()));
    }
    let mut room = ask.limits.budget.map_or_else(Budget::unbounded, Arc::clone).hold();
    let (from, to) = (ask.from, ask.to);
    let line_of = |known: &Known| overview::Line::of_series(known);
    let first = series.first().map(|first| line_of(first));
    let width = overview::width(reader, first.as_ref(), from, to, ask.points)?;
    // In the order of the file, so that neighbouring series are read once.
    let mut wanted: Vec<(usize, &Known, String)> =
        series.iter().zip(names).enumerate().map(|(at, (k, name))| (at, *k, name)).collect();
    wanted.sort_by_key(|(_, known, _)| known.id);
    let mut drawn: Vec<(usize, Line)> = Vec::with_capacity(wanted.len());
    let (mut samples, mut of_group) = (room.another(), None);
    for (at, known, name) in wanted {
        check(&ask.limits)?;
        let group = known.id.div_euclid(GROUP);
        if of_group != Some(group) {
            of_group = Some(group);
            let each = reader.weight(0, group, from - overview::BEFORE_MS, to)?.values as usize;
            samples.settle(each * SAMPLE)?;
        }
        let line = line_of(known);
        let columns = overview::read(reader, &line, from, to, width)?;
        let mut read = Line::of_columns(name, columns, from, to);
        if let Some(last) = overview::newest(reader, &line, to)? {
            read.last = last;
        }
        room.take(size(&read))?;
        drawn.push((at, read));
    }
    drawn.sort_by_key(|(at, _)| *at);
    chart.unit = common(series.iter().map(|k| Unit::of_word(&overview::unit_of(k))));
    chart.subtitle = subtitle(series);
    chart.lines = drawn.into_iter().map(|(_, line)| line).collect();
    Ok(())
}

/// Memory for each sample on its way into a line, in bytes: time, value, weight, and results.
const SAMPLE: usize = 48;

/// The memory of a line, in bytes.
fn size(line: &Line) -> usize {
    line.name.len() + (line.ts.len() + line.mean.len() + line.min.len() + line.max.len()) * 8
}

/// The one that all are, or the default.
fn common<T: PartialEq + Default>(mut all: impl Iterator<Item = T>) -> T {
    let Some(first) = all.next() else { return T::default() };
    if all.all(|other| other == first) { first } else { T::default() }
}

/// The machine and the description, where all series share them.
fn subtitle(series: &[&Known]) -> String {
    let system = common(series.iter().map(|k| k.system.as_str()));
    let help = common(series.iter().map(|k| k.help.as_str()));
    let rate = series.iter().all(|k| k.kind == Kind::Counter);
    let parts = [system, help, if rate { "rate a second" } else { "" }];
    let parts: Vec<String> = parts.iter().filter(|p| !p.is_empty()).map(|p| clean(p)).collect();
    parts.join(" · ")
}

/// Names that distinguish the keys, or the systems if only those differ.
fn names_of_keys(series: &[&Known]) -> Vec<String> {
    let one_system = series.iter().all(|k| k.system == series[0].system);
    let one_key = series.iter().all(|k| k.key == series[0].key);
    let name = |k: &Known| match (one_key, one_system) {
        (true, false) => k.system.clone(),
        (_, true) => k.key.clone(),
        (false, false) => format!("{} {}", k.system, k.key),
    };
    series.iter().map(|k| name(k)).collect()
}

fn draw_expression(
    reader: &Reader,
    catalog: &Catalog,
    ask: &Ask<'_>,
    expr: &Expr,
    known: &[Known],
    chart: &mut Chart,
) -> Result<(), GatherError> {
    let by_id: HashMap<i64, &Known> = known.iter().map(|k| (k.id, k)).collect();
    if let Expr::Vector(selector) = expr.unwrap_parens()
        && selector.at.is_none()
        && selector.offset.is_zero()
    {
        let goes_on = || check(&ask.limits).is_ok();
        let found = catalog.matching_while(&selector.matchers, goes_on);
        let found = found.ok_or(GatherError::TooLong)?;
        if found.len() > MOST_SERIES {
            return Err(GatherError::TooMany(found.len()));
        }
        if found.is_empty() {
            return Err(unknown(ask.expression.trim(), known));
        }
        let labels: Vec<&Arc<Labels>> = found.iter().map(|(labels, _)| labels).collect();
        let names = names_of_labels(&labels);
        let (series, names): (Vec<&Known>, Vec<String>) = (found.iter().zip(names))
            .filter_map(|((_, id), name)| Some((*by_id.get(id)?, name)))
            .unzip();
        return draw_series(reader, ask, &series, names, chart);
    }
    // Two pixels a step: the picture cannot show a finer one, which would only cost time.
    let step = ((ask.to - ask.from) / i64::from(ask.points.max(2) / 2)).max(1);
    let step = if step > 1000 { step - step % 1000 } else { step };
    let end = ask.to - ask.to.rem_euclid(step);
    let start = end - (ask.to - ask.from) / step * step;
    let source = StoreSource::new(reader, catalog).within(ask.limits);
    let when = When::Range { start, end, step };
    let answer = evaluate(&source, expr, when, &Options::default(), ask.limits)
        .map_err(|e| failed(&e, ask.expression.trim()))?;
    fill(chart, &answer.value, expr, step, catalog, known)
}

/// Puts the answer to an expression over a range, in steps of this many ms, into a chart.
pub fn fill(
    chart: &mut Chart,
    answer: &Value,
    expr: &Expr,
    step: i64,
    catalog: &Catalog,
    known: &[Known],
) -> Result<(), GatherError> {
    let Value::Matrix(matrix) = answer else {
        let text = "the expression gives no series of numbers, so it cannot be drawn";
        return Err(GatherError::Wrong(text.to_owned()));
    };
    if matrix.len() > MOST_SERIES {
        return Err(GatherError::TooMany(matrix.len()));
    }
    let by_id: HashMap<i64, &Known> = known.iter().map(|k| (k.id, k)).collect();
    let words = |selector: &VectorSelector| -> Box<str> {
        let found = catalog.matching(&selector.matchers);
        common(
            found.iter().filter_map(|(_, id)| by_id.get(id).map(|k| unit::word(&k.unit, &k.name))),
        )
        .into()
    };
    chart.unit = measure::unit(expr, &words);
    let labels: Vec<&Arc<Labels>> = matrix.labels().collect();
    let names = names_of_labels(&labels);
    for (at, name) in names.into_iter().enumerate() {
        chart.lines.push(line::steps(clean(&name), matrix.points(at), step));
    }
    Ok(())
}

fn failed(e: &EvalError, text: &str) -> GatherError {
    match e {
        EvalError::Timeout | EvalError::Canceled => GatherError::TooLong,
        EvalError::Memory(why) => GatherError::Memory(*why),
        EvalError::Execution { span: Some(span), .. } | EvalError::Question { span, .. } => {
            let mut message = format!("{e}\n");
            write_place(&mut message, text, *span);
            GatherError::Wrong(message.trim_end().to_owned())
        }
        e => GatherError::Failed(e.to_string()),
    }
}

/// Names that distinguish the series: the value of the only label that differs, or all that do.
fn names_of_labels(all: &[&Arc<Labels>]) -> Vec<String> {
    let key = |labels: &Labels, skip: &dyn Fn(&str) -> bool| {
        let name = if skip(NAME) { "" } else { labels.get(NAME).unwrap_or_default() };
        let rest: Vec<(&str, &str)> =
            labels.iter().filter(|(n, _)| *n != NAME && !skip(n)).collect();
        let mut text = String::new();
        write_key(&mut text, name, rest.into_iter());
        text
    };
    let [first, rest @ ..] = all else { return Vec::new() };
    if rest.is_empty() {
        let own = key(first, &|n| n == "instance" || n == "job");
        let full = || key(first, &|_| false);
        return vec![if own.is_empty() { full() } else { own }];
    }
    let mut names: Vec<&str> = all.iter().flat_map(|l| l.iter().map(|(n, _)| n)).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|n| all.iter().any(|l| l.get(n) != first.get(n)));
    // The job is only shown if nothing else differs.
    if names.len() > 1 {
        names.retain(|n| *n != "job");
    }
    match names.as_slice() {
        [one] => {
            let value = |l: &Labels| l.get(one).unwrap_or("–").to_owned();
            all.iter().map(|l| value(l)).collect()
        }
        names => all.iter().map(|l| key(l, &|n| !names.contains(&n))).collect(),
    }
}

/// Boots of this machine and events of this time, the newest if they are too many.
fn marks(reader: &Reader, known: &[Known], ask: &Ask<'_>) -> Result<Vec<Mark>, GatherError> {
    let (from, to) = (ask.from, ask.to);
    let mut marks: Vec<Mark> = Vec::new();
    let boots = known.iter().find(|k| k.system_id == 1 && k.key == "node_boot_time_seconds");
    if let Some(boots) = boots {
        let mut booted: Option<i64> = None;
        for bucket in reader.summary(boots.id, from, to, 500, Want::All)? {
            let ts = (bucket.last * 1e3) as i64;
            let known = booted.is_some_and(|b| (ts - b).abs() <= SAME_BOOT_MS);
            if (from..=to).contains(&ts) && !known {
                booted = Some(ts);
                marks.push(Mark { ts, text: "boot".into(), bad: false });
            }
        }
    }
    let own = known.iter().find(|k| k.system_id == 1).or(known.first());
    let system = own.map_or("", |k| k.system.as_str());
    for event in reader.events(system, from, to, MOST_MARKS as u32)? {
        let bad = event.level == "error" || event.level == "warning";
        marks.push(Mark { ts: event.ts, text: clean(&event.title), bad });
    }
    marks.sort_by_key(|m| m.ts);
    let extra = marks.len().saturating_sub(MOST_MARKS);
    marks.drain(..extra);
    Ok(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&[(&str, &str)]]) -> Vec<String> {
        let all: Vec<Arc<Labels>> =
            all.iter().map(|l| Arc::new(Labels::new(l.iter().copied()))).collect();
        names_of_labels(&all.iter().collect::<Vec<_>>())
    }

    #[test]
    fn names_say_what_differs() {
        let cpu = ("__name__", "cpu_seconds");
        assert_eq!(
            names(&[
                &[cpu, ("mode", "user"), ("job", "a")],
                &[cpu, ("mode", "idle"), ("job", "a")]
            ]),
            ["user", "idle"]
        );
        assert_eq!(
            names(&[&[cpu, ("mode", "user"), ("job", "a"), ("instance", "w")]]),
            ["cpu_seconds{mode=\"user\"}"]
        );
        assert_eq!(
            names(&[
                &[cpu, ("mode", "user"), ("cpu", "0")],
                &[cpu, ("mode", "idle"), ("cpu", "1")]
            ]),
            ["{cpu=\"0\",mode=\"user\"}", "{cpu=\"1\",mode=\"idle\"}"]
        );
        assert_eq!(names(&[&[("__name__", "a")], &[("__name__", "b")]]), ["a", "b"]);
        assert_eq!(names(&[&[]]), [""]);
    }
}
