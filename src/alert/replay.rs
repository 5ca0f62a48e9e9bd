//! alert: the same rules and states over what was stored: when they would have fired, for how long, and
//! what would have been told. It works through the past in pieces, so that memory does not grow with it.
//!
//! Where samples are gone, five-minute buckets stand for them: the largest value where more is worse, the
//! smallest where less is, as far as a rule looks at a series as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::instance::{Change, Instance, Turn};
use super::machine::{Element, Machine, Moment, Sight};
use super::rule::{Limit, Measure, Query, Rule, Way, fill, fingerprint};
use crate::model::{Labels, Severity};
use crate::query::ast::Expr;
use crate::query::eval::{EvalError, Limits, Options, Value, When, evaluate};
use crate::query::float::{ABSENT, is_absent};
use crate::query::matcher::NAME;
use crate::query::source::Source;

/// The number of moments in one piece.
const PIECE: i64 = 4_320;
/// The width of buckets, ms.
const BUCKET_MS: i64 = 300_000;
/// Samples this far apart are still seen, ms: plugins are asked each minute.
const LOOKBACK_MS: i64 = 150_000;
/// Prometheus' own.
const PROMETHEUS_LOOKBACK_MS: i64 = 300_000;

/// The stretch of the past that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// From here on, ms since 1970 UTC,
    pub from: i64,
    /// to here.
    pub to: i64,
    /// How far apart beats are, ms.
    pub beat_ms: i64,
    /// Samples are held from here on; before, there are buckets.
    pub samples_from: i64,
}

/// One alert of the past, from when it fired until it was over.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// The rule's name.
    pub rule: String,
    /// Its labels.
    pub labels: Labels,
    /// How bad it got.
    pub severity: Severity,
    /// When it fired.
    pub fired_at: i64,
    /// When it was over; nothing: it still goes on.
    pub ended_at: Option<i64>,
    /// The worst value.
    pub peak: f64,
    /// The sentence when it fired.
    pub text: String,
    /// Known by buckets only.
    pub coarse: bool,
}

/// What would have been.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replay {
    /// The alerts, in the order in which they fired.
    pub incidents: Vec<Incident>,
    /// Everything that would have been told, in the order of time. Changes of the same moment and machine
    /// are one message.
    pub changes: Vec<Change>,
    /// Rules that cannot be replayed, and why.
    pub skipped: Vec<(String, String)>,
    /// For so long there were data, ms.
    pub seen_ms: i64,
}

impl Replay {
    /// How many messages a channel would have got: changes of the same moment are one.
    pub fn messages(&self) -> usize {
        let mut times: Vec<i64> = self.changes.iter().map(|change| change.at).collect();
        times.sort_unstable();
        times.dedup();
        times.len()
    }

    /// Messages in a week, by the time in which there were data.
    pub fn messages_a_week(&self) -> f64 {
        let weeks = self.seen_ms as f64 / (7.0 * 86_400_000.0);
        if weeks > 0.0 { self.messages() as f64 / weeks } else { 0.0 }
    }
}

/// What one rule measures in a piece of the past.
#[derive(Debug, Default)]
struct Rows {
    labels: Vec<Labels>,
    /// As many values a row as there are moments.
    values: Vec<f64>,
}

/// The moments of a piece.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: i64,
    step: i64,
    count: usize,
    coarse: bool,
}

impl Piece {
    fn at(&self, step: usize) -> i64 {
        self.start + self.step * step as i64
    }
}

/// Replays rules over a source. Fails with an [`EvalError`] where an expression cannot be evaluated, at
/// the deadline, or where it takes too much memory.
pub fn replay(
    rules: &[Rule],
    source: &dyn Source,
    span: Span,
    limits: Limits<'_>,
) -> Result<Replay, EvalError> {
    let mut out = Replay::default();
    let mut machines: Vec<(&Rule, Machine)> = Vec::new();
    for rule in rules {
        match &rule.measure {
            Measure::Query(_) => {
                let mut machine = Machine::default();
                // As after a hole: nothing is known of the time before.
                machine.load([], Some(span.from - 86_400_000));
                machines.push((rule, machine));
            }
            Measure::Forecast(_) => out.skipped.push((
                rule.name.to_string(),
                "a forecast is made of a week, and is not made again for the past".to_owned(),
            )),
            Measure::Given(_) => out
                .skipped
                .push((rule.name.to_string(), "what it looks at is not stored".to_owned())),
        }
    }
    let mut open: BTreeMap<(usize, u64), usize> = BTreeMap::new();
    let mut start = span.from;
    while start <= span.to {
        let piece = next(span, start);
        start = piece.at(piece.count);
        let mut measured = Vec::with_capacity(machines.len());
        for (rule, _) in &machines {
            measured.push(rows(rule_query(rule, piece).as_ref(), rule.way, piece, source, limits)?);
        }
        // Without any data nothing was judged.
        let alive: Vec<bool> = (0..piece.count)
            .map(|step| measured.iter().any(|rows| rows.has(step, piece.count)))
            .collect();
        out.seen_ms += alive.iter().filter(|alive| **alive).count() as i64 * piece.step;
        for (number, ((rule, machine), rows)) in machines.iter_mut().zip(&measured).enumerate() {
            let rule = *rule;
            let mut work = Work { rule, machine, rows, piece, source, limits, alive: &alive };
            work.run(&mut out, &mut |out, alert, turn, at| {
                keep(out, &mut open, (number, alert), turn, at, piece.coarse);
                if rule.once {
                    // It has no end.
                    open.remove(&(number, alert.fingerprint));
                }
            })?;
        }
    }
    out.incidents.sort_by_key(|incident| incident.fired_at);
    out.changes.sort_by_key(|change| change.at);
    Ok(out)
}

/// The next piece; one in which samples begin ends there.
fn next(span: Span, start: i64) -> Piece {
    let coarse = start < span.samples_from;
    let step = if coarse { BUCKET_MS.max(span.beat_ms) } else { span.beat_ms.max(1) };
    let end = if coarse { span.to.min(span.samples_from - 1) } else { span.to };
    let count = ((end - start) / step + 1).clamp(1, PIECE) as usize;
    Piece { start, step, count, coarse }
}

/// What is measured: in buckets of a series as it is, its largest or smallest value.
fn rule_query(rule: &Rule, piece: Piece) -> Option<Query> {
    let Measure::Query(query) = &rule.measure else { return None };
    let plain = matches!(&query.expr, Expr::Vector(s) if s.offset.is_zero() && s.at.is_none());
    if !piece.coarse || !plain {
        return Some(query.clone());
    }
    let function = if rule.is_upward() { "max_over_time" } else { "min_over_time" };
    Query::parse(&format!("{function}({}[5m])", query.text)).ok().or_else(|| Some(query.clone()))
}

fn rows(
    query: Option<&Query>,
    way: Way,
    piece: Piece,
    source: &dyn Source,
    limits: Limits<'_>,
) -> Result<Rows, EvalError> {
    let Some(query) = query else { return Ok(Rows::default()) };
    let lookback = match (piece.coarse, way) {
        (false, Way::Plimsoll) => LOOKBACK_MS.max(piece.step * 5 / 2),
        _ => PROMETHEUS_LOOKBACK_MS,
    };
    let options = Options { lookback, ..Options::default() };
    let when = When::Range { start: piece.start, end: piece.at(piece.count - 1), step: piece.step };
    let answer = evaluate(source, &query.expr, when, &options, limits)?;
    let mut out = Rows::default();
    let Value::Matrix(matrix) = answer.value else { return Ok(out) };
    for (series, labels) in matrix.labels().enumerate() {
        out.labels.push((**labels).clone());
        let from = out.values.len();
        out.values.resize(from + piece.count, ABSENT);
        for (at, value) in matrix.points(series) {
            let step = ((at - piece.start) / piece.step) as usize;
            if let Some(place) = out.values.get_mut(from + step) {
                *place = value;
            }
        }
    }
    Ok(out)
}

impl Rows {
    fn value(&self, row: usize, step: usize, count: usize) -> f64 {
        self.values.get(row * count + step).copied().unwrap_or(ABSENT)
    }

    fn has(&self, step: usize, count: usize) -> bool {
        (0..self.labels.len()).any(|row| !is_absent(self.value(row, step, count)))
    }
}

/// One rule in one piece.
struct Work<'w> {
    rule: &'w Rule,
    machine: &'w mut Machine,
    rows: &'w Rows,
    piece: Piece,
    source: &'w dyn Source,
    limits: Limits<'w>,
    alive: &'w [bool],
}

/// What is done with a change.
type Sink<'s> = dyn FnMut(&mut Replay, &Instance, Turn, i64) + 's;

impl Work<'_> {
    fn run(&mut self, out: &mut Replay, sink: &mut Sink<'_>) -> Result<(), EvalError> {
        let (rule, piece) = (self.rule, self.piece);
        let beyond = |limit: &Limit| {
            let test = limit.fires;
            self.rows.values.iter().any(|v| !is_absent(*v) && test.is_none_or(|t| t.holds(*v)))
        };
        let any = rule.limits.iter().any(beyond);
        let mut guards = Vec::new();
        if any || !self.machine.is_empty() {
            for query in rule.limits.iter().flat_map(|l| l.and.iter().chain(&l.clear_unless)) {
                let found = rows(Some(query), Way::Plimsoll, piece, self.source, self.limits)?;
                guards.push((query.text.to_string(), found.matched(&self.rows.labels), found));
            }
        }
        for step in (0..piece.count).filter(|step| self.alive[*step]) {
            let now = Moment { at: piece.at(step), interval_ms: piece.step, had_data: true };
            if self.machine.is_in_grace(rule, now) || !any && self.machine.is_empty() {
                continue;
            }
            let elements = self.elements(step, &guards);
            if elements.is_empty() && self.machine.is_empty() {
                continue;
            }
            let done = self.machine.step(rule, now, &elements);
            for (turn, id) in done.turns {
                let Some(alert) = self.machine.alert_mut(id) else { continue };
                if matches!(turn, Turn::Fires | Turn::Rises | Turn::Flaps) {
                    alert.text = sentence(rule, alert);
                }
                let alert = alert.clone();
                sink(out, &alert, turn, now.at);
                out.changes.push(Change { turn, at: now.at, alert });
            }
        }
        Ok(())
    }

    fn elements(&self, step: usize, guards: &[(String, Vec<Option<usize>>, Rows)]) -> Vec<Element> {
        let (rule, count) = (self.rule, self.piece.count);
        let mut out = Vec::new();
        for (row, labels) in self.rows.labels.iter().enumerate() {
            let value = self.rows.value(row, step, count);
            if is_absent(value) || value.is_nan() && rule.way == Way::Plimsoll {
                continue;
            }
            let passes = |guard: &Option<Query>| {
                let Some(guard) = guard else { return true };
                let found = guards.iter().find(|(text, ..)| **text == *guard.text);
                found.is_some_and(|(_, matched, rows)| {
                    matched[row].is_some_and(|at| !is_absent(rows.value(at, step, count)))
                })
            };
            let sight = |limit: &Limit| {
                let beyond = limit.fires.is_none_or(|test| test.holds(value));
                let over = limit.clears.map_or(!beyond, |test| test.holds(value));
                if beyond && passes(&limit.and) {
                    Sight::Fires
                } else if !over && passes(&limit.clear_unless) {
                    Sight::Stays
                } else {
                    Sight::Clear
                }
            };
            let worse = rule.limits.get(1).map_or(Sight::Clear, sight);
            let mild = rule.limits.first().map_or(Sight::Clear, sight).max(worse);
            let labels = rule.labels_of(labels);
            let known = || self.machine.alert(fingerprint(&rule.name, &labels)).is_some();
            if mild == Sight::Fires || known() {
                out.push(Element { labels, result: Arc::default(), value, mild, worse });
            }
        }
        out
    }
}

impl Rows {
    /// The row of each label set, names aside.
    fn matched(&self, labels: &[Labels]) -> Vec<Option<usize>> {
        let named = |(name, _): &(&str, &str)| *name != NAME;
        let find = |wanted: &Labels| {
            let same = |own: &Labels| own.iter().filter(named).eq(wanted.iter().filter(named));
            self.labels.iter().position(same)
        };
        labels.iter().map(find).collect()
    }
}

/// The sentence, without further values: those are not looked up for the past.
fn sentence(rule: &Rule, alert: &Instance) -> String {
    if rule.text.is_empty() {
        return rule.alertname().to_owned();
    }
    fill(&rule.text, |name| match name {
        "value" => Some(rule.unit.format(alert.value)),
        "limit" => alert.limit.map(|limit| rule.unit.format(limit)),
        name if rule.also.iter().any(|also| *also.name == *name) => Some("…".to_owned()),
        name => alert.labels.get(name).map(str::to_owned),
    })
}

/// Opens an incident, or writes down what became of it.
fn keep(
    out: &mut Replay,
    open: &mut BTreeMap<(usize, u64), usize>,
    (number, alert): (usize, &Instance),
    turn: Turn,
    at: i64,
    coarse: bool,
) {
    let key = (number, alert.fingerprint);
    match (turn, open.get(&key).copied()) {
        (Turn::Resolves | Turn::Gone, Some(place)) => {
            open.remove(&key);
            let incident = &mut out.incidents[place];
            incident.ended_at = Some(at);
            incident.peak = alert.peak;
        }
        (Turn::Resolves | Turn::Gone, None) => {}
        (_, Some(place)) => {
            let incident = &mut out.incidents[place];
            incident.severity = incident.severity.max(alert.severity);
            incident.peak = alert.peak;
        }
        (_, None) => {
            open.insert(key, out.incidents.len());
            out.incidents.push(Incident {
                rule: alert.rule.clone(),
                labels: alert.labels.clone(),
                severity: alert.severity,
                fired_at: alert.fired_at.unwrap_or(at),
                ended_at: None,
                peak: alert.peak,
                text: alert.text.clone(),
                coarse,
            });
        }
    }
}

#[cfg(test)]
mod tests;
