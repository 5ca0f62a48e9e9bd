//! alert: a rule and a source of samples at one moment -> what is seen of each label set. Guards are
//! evaluated only where a value is beyond a limit, so a machine that is well costs one expression a rule.

use std::sync::Arc;

use super::forecast::{PAST_MS, TREND_MS, forecast};
use super::machine::{Element, Sight};
use super::rule::{Limit, Measure, Query, Rule, Way};
use super::template;
use crate::model::Labels;
use crate::query::annotation::Level;
use crate::query::eval::{EvalError, Limits, Options, Value, VectorSample, When, evaluate};
use crate::query::matcher::NAME;
use crate::query::source::{
    Columns, Cost, Part, Resolution, Rollups, Selection, SeriesSet, Source, SourceError,
};

/// What the daemon knows without the file, by the name that rules have for it: label sets with values.
///
/// ```text
///   silence     {instance}: for how many seconds another machine has sent nothing, once that is too long; else 0
///   commit_age  {}: how many seconds ago the last samples were written into the file
///   waiting     {channel}: for how many seconds the oldest message has waited to be sent; else 0
///   limits      labels of the series and {what}: 0, 1 or 2 by the limits that a plugin or a check brings with it
/// ```
pub type Given<'a> = &'a [(&'a str, Vec<(Labels, f64)>)];

/// Prometheus takes the newest sample if it is not older, ms.
pub const PROMETHEUS_LOOKBACK_MS: i64 = 300_000;

/// Forecasts look at the past in steps of so much, ms.
const TREND_STEP_MS: i64 = 3_600_000;

/// A label set with its values and their times, ms since 1970 UTC.
type Line = (Arc<Labels>, Vec<(i64, f64)>);

/// What a rule measures, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// The label sets and their values.
    pub values: Vec<(Arc<Labels>, f64)>,
    /// Whether there was any sample to look at.
    pub had_data: bool,
    /// How many samples were read.
    pub samples: u64,
    /// Warnings of the evaluation.
    pub annotations: Vec<String>,
}

/// One moment, and where samples come from.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Samples.
    pub source: &'a dyn Source,
    /// When, ms since 1970 UTC.
    pub at: i64,
    /// How old the newest sample of a series may be, ms.
    pub lookback_ms: i64,
    /// Deadline, cancelling and memory.
    pub limits: Limits<'a>,
    /// What the daemon knows without the file.
    pub given: Given<'a>,
    /// What templates see besides.
    pub outside: &'a template::Outside,
}

impl Look<'_> {
    /// What a rule measures. Fails with an [`EvalError`] where the expression cannot be evaluated.
    pub fn measure(&self, rule: &Rule) -> Result<Measured, EvalError> {
        match &rule.measure {
            Measure::Query(query) => self.query(query, rule.way),
            Measure::Forecast(query) => self.forecast(query),
            Measure::Given(name) => {
                let found = self.given.iter().find(|(known, _)| **known == **name);
                let values = found.map_or(&[][..], |(_, values)| values).iter();
                let values = values.map(|(labels, value)| (Arc::new(labels.clone()), *value));
                Ok(Measured { values: values.collect(), had_data: true, ..Measured::default() })
            }
        }
    }

    /// The value of an expression. Windows that samples cover by less than half are no data, but not for
    /// rules of Prometheus.
    pub fn query(&self, query: &Query, way: Way) -> Result<Measured, EvalError> {
        let options = Options { lookback: self.lookback_ms, ..Options::default() };
        let enough = Enough(self.source);
        let source: &dyn Source = match way {
            Way::Plimsoll if query.range_ms > 0 => &enough,
            _ => self.source,
        };
        let when = When::Instant(self.at);
        let answer = evaluate(source, &query.expr, when, &options, self.limits)?;
        let had_data = answer.stats.samples > 0 || answer.stats.buckets > 0;
        let samples = answer.stats.samples;
        let annotations = answer.annotations.shown(Level::Warning, &query.text, 10);
        let values = match answer.value {
            Value::Vector(list) => {
                list.into_iter().map(|VectorSample { labels, value, .. }| (labels, value)).collect()
            }
            Value::Scalar(_, value) => vec![(Arc::default(), value)],
            _ => Vec::new(),
        };
        Ok(Measured { values, had_data, samples, annotations })
    }

    /// In how many seconds nothing is left, by hours of the last seven days. Where that is soon, by the
    /// weeks before, too: they tell whether it is emptied again and again.
    fn forecast(&self, query: &Query) -> Result<Measured, EvalError> {
        let now = self.query(query, Way::Plimsoll)?;
        if now.values.is_empty() {
            return Ok(now);
        }
        let week = self.hours(query, self.at - TREND_MS, self.at, Resolution::FiveMinutes)?;
        let soon = week.iter().any(|(_, left)| forecast(left).is_some());
        let (from, to) = (self.at - PAST_MS, self.at - TREND_MS - TREND_STEP_MS);
        let past = if soon { self.hours(query, from, to, Resolution::Hour)? } else { Vec::new() };
        let of = |list: &[Line], labels: &Labels| {
            let found = list.iter().find(|(known, _)| **known == *labels);
            found.map_or_else(Vec::new, |(_, left)| left.clone())
        };
        let values = now.values.iter().map(|(labels, _)| {
            let left = [of(&past, labels), of(&week, labels)].concat();
            let seconds = forecast(&left).map(|f| (f.at - self.at).max(0) as f64 / 1000.0);
            (Arc::clone(labels), seconds.unwrap_or(f64::INFINITY))
        });
        Ok(Measured { values: values.collect(), ..now })
    }

    /// The value of an expression at each hour of a stretch.
    fn hours(
        &self,
        query: &Query,
        start: i64,
        end: i64,
        finest: Resolution,
    ) -> Result<Vec<Line>, EvalError> {
        let options = Options { lookback: TREND_STEP_MS, finest, ..Options::default() };
        let when = When::Range { start, end, step: TREND_STEP_MS };
        let answer = evaluate(self.source, &query.expr, when, &options, self.limits)?;
        let Value::Matrix(matrix) = answer.value else { return Ok(Vec::new()) };
        let one =
            |(at, labels): (usize, &Arc<Labels>)| (Arc::clone(labels), matrix.points(at).collect());
        Ok(matrix.labels().enumerate().map(one).collect())
    }

    /// Whether what an alert is about is not there any more, by what its rule says of that.
    pub fn is_gone(&self, rule: &Rule, alert: &Labels) -> Result<bool, EvalError> {
        let Some(exists) = &rule.exists else { return Ok(false) };
        let found = self.query(exists, Way::Prometheus)?.values;
        let same = |labels: &Labels| rule.labels_of(labels) == *alert;
        Ok(!found.is_empty() && !found.iter().any(|(labels, _)| same(labels)))
    }

    /// What is seen of each label set. `is_active` says whether there is an alert of these labels: only
    /// then it matters whether a value is between two limits; without it there are no alerts at all.
    /// Label sets that are well and not active are left out.
    pub fn elements(
        &self,
        rule: &Rule,
        measured: &Measured,
        is_active: Option<&dyn Fn(&Labels) -> bool>,
    ) -> Result<Vec<Element>, EvalError> {
        let (mut guards, mut out) = (Guards { look: self, known: Vec::new() }, Vec::new());
        for (labels, value) in &measured.values {
            if value.is_nan() && rule.way == Way::Plimsoll {
                continue;
            }
            let (result, labels, value) = (labels, &**labels, *value);
            let beyond = |limit: &Limit| limit.fires.is_none_or(|test| test.holds(value));
            if is_active.is_none() && !rule.limits.iter().any(beyond) {
                continue;
            }
            let own = match rule.way {
                Way::Plimsoll => rule.labels_of(labels),
                Way::Prometheus => {
                    let ask = |expr: &str| self.ask(expr);
                    template::labels(rule, labels, value, &ask, self.outside)
                }
            };
            let active = is_active.is_some_and(|is_active| is_active(&own));
            let worse = match rule.limits.get(1) {
                Some(limit) => guards.sight(limit, labels, value, active)?,
                None => Sight::Clear,
            };
            let mild = match rule.limits.first() {
                Some(limit) if worse < Sight::Fires => {
                    guards.sight(limit, labels, value, active)?
                }
                _ => worse,
            };
            if mild > Sight::Clear || active {
                let (labels, result, mild) = (own, Arc::clone(result), mild.max(worse));
                out.push(Element { labels, result, value, mild, worse });
            }
        }
        Ok(out)
    }

    /// What a template asks by `query`.
    pub fn ask(&self, expr: &str) -> template::Found {
        let query = Query::parse(expr).map_err(|e| e.one_line(expr))?;
        self.query(&query, Way::Prometheus).map(|found| found.values).map_err(|e| e.to_string())
    }

    /// A further value for the sentence of an alert: by the labels that the expression's result has.
    pub fn also(&self, query: &Query, alert: &Labels) -> Result<Option<f64>, EvalError> {
        let found = self.query(query, Way::Prometheus)?;
        let fits = |labels: &Labels| {
            labels.iter().all(|(name, value)| name == NAME || alert.get(name) == Some(value))
        };
        Ok(found.values.iter().find(|(labels, _)| fits(labels)).map(|(_, value)| *value))
    }
}

/// The answers to the guards of a rule, each asked for once.
struct Guards<'l> {
    look: &'l Look<'l>,
    known: Vec<(&'l str, Measured)>,
}

impl<'l> Guards<'l> {
    fn sight(
        &mut self,
        limit: &'l Limit,
        labels: &Labels,
        value: f64,
        active: bool,
    ) -> Result<Sight, EvalError> {
        let beyond = limit.fires.is_none_or(|test| test.holds(value));
        if beyond && self.passes(limit.and.as_ref(), labels)? {
            return Ok(Sight::Fires);
        }
        if !active {
            return Ok(Sight::Clear);
        }
        let over = match limit.clears {
            Some(clears) => clears.holds(value),
            None => !beyond,
        };
        let stays = !over && self.passes(limit.clear_unless.as_ref(), labels)?;
        Ok(if stays { Sight::Stays } else { Sight::Clear })
    }

    /// Whether a guard returns these labels, the name aside.
    fn passes(&mut self, guard: Option<&'l Query>, labels: &Labels) -> Result<bool, EvalError> {
        let Some(guard) = guard else { return Ok(true) };
        let at = match self.known.iter().position(|(text, _)| *text == &*guard.text) {
            Some(at) => at,
            None => {
                self.known.push((&guard.text, self.look.query(guard, Way::Prometheus)?));
                self.known.len() - 1
            }
        };
        let same = |other: &Labels| {
            let named = |(name, _): &(&str, &str)| *name != NAME;
            other.iter().filter(named).eq(labels.iter().filter(named))
        };
        Ok(self.known[at].1.values.iter().any(|(other, _)| same(other)))
    }
}

/// A source in which a window that samples cover by less than half holds none.
struct Enough<'a>(&'a dyn Source);

impl Source for Enough<'_> {
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
        let set = self.0.select(selection)?;
        if selection.hints.range == 0 || selection.hints.step > 0 {
            return Ok(set);
        }
        let least = selection.hints.range / 2;
        Ok(Box::new(EnoughSet { set, least, start: selection.start }))
    }
}

struct EnoughSet<'a> {
    set: Box<dyn SeriesSet + 'a>,
    least: i64,
    start: i64,
}

impl SeriesSet for EnoughSet<'_> {
    fn labels(&self) -> &[Arc<Labels>] {
        self.set.labels()
    }

    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError> {
        self.set.read(series, into)?;
        // Where buckets stand for older samples, there is a past.
        if self.set.raw_from() <= self.start {
            let from = into.times.partition_point(|t| *t < self.start);
            let covered = match into.times.get(from..) {
                Some([first, .., last]) => last - first,
                _ => 0,
            };
            if covered < self.least {
                into.clear();
            }
        }
        Ok(())
    }

    fn raw_from(&self) -> i64 {
        self.set.raw_from()
    }

    fn read_rollups(
        &mut self,
        series: usize,
        parts: &[Part],
        into: &mut Rollups,
    ) -> Result<(), SourceError> {
        self.set.read_rollups(series, parts, into)
    }

    fn cost(&self) -> Result<Cost, SourceError> {
        self.set.cost()
    }
}
