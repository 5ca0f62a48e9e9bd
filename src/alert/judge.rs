//! alert: all rules at one moment: their measurements, the changes of their alerts, and the samples of
//! `ALERTS` that say so. No clock in here: the time is that of the newest samples. Why a pass depends on
//! stored samples and stored state alone says docs/adr/0007-alerts.md.
//!
//! ```text
//!   let mut judge = Judge::new(rules, beat_ms);
//!   judge.load(stored_alerts, judged_until);
//!   // after each commit:
//!   let catalog = watched.look(reader, inode)?;
//!   judge.pass(Cause::Beat, at, reader, catalog, limits, given)
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::files::Recording;
use super::instance::{Change, Instance, State, Turn};
use super::look::{Given, Look, Measured, PROMETHEUS_LOOKBACK_MS};
use super::machine::{Element, Machine, Moment, Sight};
use super::names::Watched;
use super::recent::Recent;
use super::recording::{Recorded, record};
use super::rule::{Measure, Rule, Way, fill};
use super::template;
use crate::model::Labels;
use crate::query::eval::{EvalError, Limits};
use crate::query::float::ABSENT;
use crate::query::matcher::NAME;
use crate::query::source::Source;
use crate::query::{Catalog, StoreSource};
use crate::store::{Reader, SqlError};

/// Rules that wait this long (ms) before they say anything are not evaluated with every beat, but with
/// every [`SLOW_MS`]; the others see what was measured last.
const PATIENT_MS: i64 = 600_000;
const SLOW_MS: i64 = 60_000;

/// Forecasts change slowly, ms.
const FORECAST_MS: i64 = 600_000;

/// More alerts of one rule than this are not kept: the rule is a mistake.
pub const MOST_ALERTS: usize = 5_000;

/// The reason for a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A beat was committed, or should have been.
    Beat,
    /// Samples of senders or plugins were committed between two beats. Recording rules wait for the beat.
    Push,
}

/// A pass over all rules.
#[derive(Debug, Default)]
pub struct Pass {
    /// The time of the samples that were judged, ms since 1970 UTC.
    pub at: i64,
    /// What somebody may want to be told, in the order of the rules.
    pub changes: Vec<Change>,
    /// Alerts that are not as they were, to be kept.
    pub changed: Vec<Instance>,
    /// Alerts that need not be kept any longer.
    pub gone: Vec<Instance>,
    /// Rules that could not be evaluated, by name, and why.
    pub errors: Vec<(String, String)>,
    /// Samples of `ALERTS` and `ALERTS_FOR_STATE`, labels with [`NAME`] among them, to be stored at
    /// [`Pass::at`]. A staleness marker ends a series.
    pub samples: Vec<(Labels, f64)>,
}

/// A rule and what became of it.
#[derive(Debug)]
struct Judged {
    rule: Rule,
    machine: Machine,
    measured: Measured,
    measured_at: Option<i64>,
    lookback_ms: i64,
    error: Option<String>,
    took: std::time::Duration,
}

/// What one rule does, for lists of rules.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a, R = Rule> {
    /// The rule.
    pub rule: &'a R,
    /// Why it could not be evaluated last.
    pub error: Option<&'a str>,
    /// When it was evaluated last, ms since 1970 UTC.
    pub evaluated_at: Option<i64>,
    /// How long that took.
    pub took: std::time::Duration,
}

/// All rules and their alerts.
#[derive(Debug, Default)]
pub struct Judge {
    rules: Vec<Judged>,
    beat_ms: i64,
    recent: Recent,
    judged_until: Option<i64>,
    /// What `ALERTS` said last: by rule and fingerprint.
    told: BTreeMap<(usize, u64), Labels>,
    records: Vec<Recorded>,
    /// Series of recording rules that there are no longer, to be ended.
    ended: BTreeSet<Labels>,
    /// Hashes of the series that recording rules have written.
    written: HashSet<u64>,
    outside: template::Outside,
}

impl Judge {
    /// A judge for these rules; `beat_ms`: how far apart samples usually are. Of two rules with the same
    /// name the second one becomes `name#2`.
    pub fn new(rules: Vec<Rule>, beat_ms: i64) -> Self {
        let mut names = BTreeSet::new();
        let rules: Vec<Judged> = rules
            .into_iter()
            .map(|mut rule| {
                let first = rule.name.clone();
                for number in 2.. {
                    if names.insert(rule.name.clone()) {
                        break;
                    }
                    rule.name = format!("{first}#{number}").into();
                }
                Judged {
                    rule,
                    machine: Machine::default(),
                    measured: Measured::default(),
                    measured_at: None,
                    lookback_ms: 0,
                    error: None,
                    took: std::time::Duration::ZERO,
                }
            })
            .collect();
        let recent = Recent::with_queries(rules.iter().map(|judged| &judged.rule), []);
        Self { rules, beat_ms: beat_ms.max(1), recent, ..Self::default() }
    }

    /// Recording rules that are evaluated with each pass, too. Their samples are in [`Pass::samples`], so
    /// that rules see them with the next beat.
    #[must_use]
    pub fn with_records(mut self, records: Vec<Recording>) -> Self {
        self.set_records(records);
        self
    }

    /// What templates see of it from outside; without this it has neither labels nor an address.
    #[must_use]
    pub fn seen_from(self, outside: template::Outside) -> Self {
        Self { outside, ..self }
    }

    /// Other recording rules from now on. The series of those that there are no longer end with the next
    /// pass.
    pub fn set_records(&mut self, records: Vec<Recording>) {
        let mut before = std::mem::take(&mut self.records);
        let record = |rule| match before.iter().position(|known| known.rule == rule) {
            Some(at) => before.swap_remove(at),
            None => Recorded::new(rule),
        };
        self.records = records.into_iter().map(record).collect();
        self.ended.extend(before.into_iter().flat_map(|gone| gone.said));
        self.recent = self.new_recent();
    }

    /// The series of a file that the rules may look at.
    pub fn watched(&self) -> Watched {
        Watched::by(self.rules(), self.records.iter().map(|r| &r.rule))
    }

    /// Nothing is held yet of what the rules look at.
    fn new_recent(&self) -> Recent {
        Recent::with_queries(self.rules(), self.records.iter().map(|r| &r.rule.query))
    }

    /// Goes on where a process before left off: its alerts, and the time of the last samples that were
    /// judged. Returns alerts of rules that there are no longer; they need not be kept.
    pub fn load(&mut self, stored: Vec<Instance>, judged_until: Option<i64>) -> Vec<Instance> {
        self.judged_until = judged_until;
        let mut left = stored;
        for judged in &mut self.rules {
            let (own, others) =
                left.into_iter().partition(|alert| *alert.rule == *judged.rule.name);
            left = others;
            judged.machine.load(own, judged_until);
        }
        left
    }

    /// Other rules from now on, with the same recording rules; a rule of the same name goes on with its alerts, a new one begins with a
    /// time of grace. Returns alerts of rules that there are no longer.
    pub fn reload(&mut self, rules: Vec<Rule>, beat_ms: i64) -> Vec<Instance> {
        let known: BTreeSet<Box<str>> = self.rules.iter().map(|j| j.rule.name.clone()).collect();
        let (alerts, until) = (self.instances().cloned().collect(), self.judged_until);
        let told: BTreeMap<String, Vec<(u64, Labels)>> = {
            let mut by_name: BTreeMap<String, Vec<(u64, Labels)>> = BTreeMap::new();
            for ((rule, id), labels) in std::mem::take(&mut self.told) {
                let name = self.rules[rule].rule.name.to_string();
                by_name.entry(name).or_default().push((id, labels));
            }
            by_name
        };
        let records = std::mem::take(&mut self.records);
        let (ended, written) = (std::mem::take(&mut self.ended), std::mem::take(&mut self.written));
        *self = Self { records, ended, written, ..Self::new(rules, beat_ms) };
        self.recent = self.new_recent();
        let left = self.load(alerts, until);
        for (at, judged) in self.rules.iter_mut().enumerate() {
            if !known.contains(&judged.rule.name) {
                judged.machine.begin();
            }
            let told = told.get(&*judged.rule.name).into_iter().flatten();
            self.told.extend(told.map(|(id, labels)| ((at, *id), labels.clone())));
        }
        left
    }

    /// The rules, in their order.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Rule> {
        self.rules.iter().map(|judged| &judged.rule)
    }

    /// The rule of a name.
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules().find(|rule| *rule.name == *name)
    }

    /// The rules with what became of their last evaluation.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = Report<'_>> {
        self.rules.iter().map(|judged| Report {
            rule: &judged.rule,
            error: judged.error.as_deref(),
            evaluated_at: judged.measured_at,
            took: judged.took,
        })
    }

    /// The recording rules with what became of their last evaluation.
    pub fn recordings(&self) -> impl ExactSizeIterator<Item = Report<'_, Recording>> {
        self.records.iter().map(|recorded| Report {
            rule: &recorded.rule,
            error: recorded.error.as_deref(),
            evaluated_at: recorded.evaluated_at,
            took: recorded.took,
        })
    }

    /// All alerts, those that are over since a day or less among them, in the order of the rules.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.rules.iter().flat_map(|judged| judged.machine.alerts())
    }

    /// The time of the last samples that were judged, ms since 1970 UTC.
    pub fn judged_until(&self) -> Option<i64> {
        self.judged_until
    }

    /// Judges the samples up to a time (ms since 1970 UTC), usually that of the newest ones, with the
    /// newest samples in memory. Fails where the file cannot be read at all; then nothing has changed.
    pub fn pass(
        &mut self,
        cause: Cause,
        at: i64,
        reader: &Reader,
        catalog: &Catalog,
        limits: Limits<'_>,
        given: Given<'_>,
    ) -> Result<Pass, SqlError> {
        let mut recent = std::mem::take(&mut self.recent);
        let refreshed = recent.refresh(reader, catalog, at);
        if let Err(e) = refreshed {
            self.recent = self.new_recent();
            return Err(e);
        }
        for (number, judged) in self.rules.iter_mut().enumerate() {
            judged.lookback_ms = recent.gap_ms(number) * 5 / 2;
        }
        let store = StoreSource::new(reader, catalog).within(limits);
        let pass = self.judge_all(cause, at, &recent.source(&store), limits, given);
        self.recent = recent;
        Ok(pass)
    }

    /// Judges what a source holds at a time: for tests, for history, and for beats that were committed
    /// and not judged before the process ended.
    pub fn pass_over(
        &mut self,
        at: i64,
        source: &dyn Source,
        limits: Limits<'_>,
        given: Given<'_>,
    ) -> Pass {
        self.judge_all(Cause::Beat, at, source, limits, given)
    }

    fn judge_all(
        &mut self,
        cause: Cause,
        at: i64,
        source: &dyn Source,
        limits: Limits<'_>,
        given: Given<'_>,
    ) -> Pass {
        let mut pass = Pass { at, ..Pass::default() };
        for number in 0..self.rules.len() {
            self.judge(number, at, source, limits, given, &mut pass);
        }
        if cause == Cause::Beat {
            for recorded in &mut self.records {
                let (samples, wrong) = record(recorded, at, source, limits, &mut self.written);
                pass.samples.extend(samples);
                pass.errors.extend(wrong.map(|why| (recorded.rule.name.to_string(), why)));
            }
            let ended = std::mem::take(&mut self.ended);
            let still = |labels: &Labels| self.records.iter().any(|r| r.said.contains(labels));
            pass.samples.extend(ended.into_iter().filter(|l| !still(l)).map(|l| (l, ABSENT)));
        }
        self.tell(&mut pass);
        self.judged_until = Some(at);
        pass
    }

    fn judge(
        &mut self,
        number: usize,
        at: i64,
        source: &dyn Source,
        limits: Limits<'_>,
        given: Given<'_>,
        pass: &mut Pass,
    ) {
        let beat_ms = self.beat_ms;
        let judged = &mut self.rules[number];
        let (rule, machine) = (&judged.rule, &mut judged.machine);
        let mut now = Moment { at, interval_ms: beat_ms, had_data: true };
        if machine.is_in_grace(rule, now) {
            judged.measured_at = None;
            return;
        }
        let due = is_due(rule, judged.measured_at, at, number as i64 * beat_ms);
        if !due && (rule.way == Way::Prometheus || machine.is_empty()) {
            return;
        }
        let lookback_ms = match rule.way {
            Way::Prometheus => PROMETHEUS_LOOKBACK_MS,
            Way::Plimsoll => judged.lookback_ms.max(beat_ms * 5 / 2),
        };
        let (at_of_rule, outside) = (at - rule.offset_ms, &self.outside);
        let look = Look { source, at: at_of_rule, lookback_ms, limits, given, outside };
        let begin = std::time::Instant::now();
        let mut run = || -> Result<_, EvalError> {
            if due {
                judged.measured = look.measure(rule)?;
                judged.measured_at = Some(at);
            }
            let is_active = |labels: &Labels| {
                let id = super::rule::fingerprint(&rule.name, labels);
                machine.alert(id).is_some_and(|alert| alert.state != State::Resolved)
            };
            let is_active: Option<&dyn Fn(&Labels) -> bool> =
                if machine.is_empty() { None } else { Some(&is_active) };
            let mut elements = look.elements(rule, &judged.measured, is_active)?;
            if rule.exists.is_some() {
                elements.extend(gone(rule, machine, &look, &elements)?);
            }
            Ok(elements)
        };
        let elements = match run() {
            Ok(elements) => elements,
            Err(e) => {
                let why = e.to_string();
                pass.errors.push((rule.name.to_string(), why.clone()));
                judged.error = Some(why);
                return;
            }
        };
        let most = if rule.most > 0 { rule.most } else { MOST_ALERTS };
        let active = elements.iter().filter(|e| e.mild == Sight::Fires).count();
        if active > most || has_twins(rule, &elements) {
            let why = match active > most {
                true => {
                    format!("the rule is true of {active} label sets, and at most {most} may be")
                }
                false => "the expression returns two elements with the same labels".to_owned(),
            };
            if active > most && rule.way == Way::Prometheus {
                pass.gone.extend(machine.clear());
            }
            pass.errors.push((rule.name.to_string(), why.clone()));
            judged.error = Some(why);
            return;
        }
        judged.error = None;
        if due {
            judged.took = begin.elapsed();
        }
        now.had_data = judged.measured.had_data;
        if elements.is_empty() && machine.is_empty() {
            return;
        }
        let step = machine.step(rule, now, &elements);
        let results =
            if step.changed.is_empty() { HashMap::new() } else { results(rule, &elements) };
        for id in &step.changed {
            if let Some(alert) = machine.alert_mut(*id) {
                say(rule, alert, results.get(id).copied(), &look);
            }
        }
        for (turn, id) in step.turns {
            if let Some(alert) = machine.alert(id) {
                pass.changes.push(Change { turn, at, alert: alert.clone() });
            }
        }
        pass.changed.extend(step.changed.iter().filter_map(|id| machine.alert(*id).cloned()));
        pass.gone.extend(step.gone);
    }

    /// What `ALERTS` says now, and the ends of what it said before.
    fn tell(&mut self, pass: &mut Pass) {
        let mut told = BTreeMap::new();
        for (number, judged) in self.rules.iter().enumerate() {
            for alert in judged.machine.alerts() {
                let Some(state) = alert.prometheus_state() else { continue };
                let labels = series_of(&judged.rule, alert, state);
                let since = alert.active_at.div_euclid(1000) as f64;
                pass.samples.push((labels.clone(), 1.0));
                pass.samples.push((for_state(&labels), since));
                told.insert((number, alert.fingerprint), labels);
            }
        }
        for (key, labels) in &self.told {
            match told.get(key) {
                Some(now) if now == labels => {}
                Some(now) => {
                    pass.samples.push((labels.clone(), ABSENT));
                    let (before, after) = (for_state(labels), for_state(now));
                    if before != after {
                        pass.samples.push((before, ABSENT));
                    }
                }
                None => {
                    pass.samples.push((labels.clone(), ABSENT));
                    pass.samples.push((for_state(labels), ABSENT));
                }
            }
        }
        self.told = told;
    }
}

/// Alerts that are open and about things that are not there any more: nothing is wrong with those.
fn gone(
    rule: &Rule,
    machine: &Machine,
    look: &Look<'_>,
    seen: &[Element],
) -> Result<Vec<Element>, EvalError> {
    let mut out = Vec::new();
    for alert in machine.alerts().filter(|alert| alert.state != State::Resolved) {
        let labels = &alert.labels;
        if !seen.iter().any(|element| element.labels == *labels) && look.is_gone(rule, labels)? {
            out.push(Element {
                labels: labels.clone(),
                result: Arc::default(),
                value: alert.value,
                mild: Sight::Clear,
                worse: Sight::Clear,
            });
        }
    }
    Ok(out)
}

/// Two elements with the same labels would be one alert; Prometheus refuses them.
fn has_twins(rule: &Rule, elements: &[Element]) -> bool {
    let mut seen = BTreeSet::new();
    rule.way == Way::Prometheus && !elements.iter().all(|e| seen.insert(&e.labels))
}

/// Whether a rule is to be evaluated now.
fn is_due(rule: &Rule, last: Option<i64>, at: i64, stagger: i64) -> bool {
    let every = match (&rule.measure, rule.way) {
        (Measure::Forecast(_), _) => FORECAST_MS,
        (Measure::Given(_), _) => 0,
        (_, Way::Prometheus) => rule.every_ms,
        _ if rule.every_ms > 0 => rule.every_ms,
        _ if rule.limits.iter().all(|l| l.for_ms >= PATIENT_MS) => SLOW_MS,
        _ if rule.queries().any(|q| q.range_ms > super::recent::LONGEST_MS) => SLOW_MS,
        _ => 0,
    };
    let Some(last) = last else { return true };
    // Not all of them in the same pass.
    let of = |time: i64| (time - stagger).div_euclid(every.max(1));
    every == 0 || at < last || of(at) > of(last)
}

/// The labels of `ALERTS` for an alert.
fn series_of(rule: &Rule, alert: &Instance, state: &str) -> Labels {
    let severity = match rule.way {
        Way::Plimsoll => Some(("severity", alert.severity.word())),
        Way::Prometheus => None,
    };
    let own = [(NAME, "ALERTS"), ("alertname", rule.alertname()), ("alertstate", state)];
    Labels::new(severity.into_iter().chain(alert.labels.iter()).chain(own))
}

fn for_state(labels: &Labels) -> Labels {
    let own = [(NAME, "ALERTS_FOR_STATE")];
    Labels::new(labels.iter().filter(|(name, _)| *name != "alertstate").chain(own))
}

/// The labels that the templates of a rule see, by the alerts' fingerprints.
fn results<'e>(rule: &Rule, elements: &'e [Element]) -> HashMap<u64, &'e Labels> {
    if rule.way == Way::Plimsoll || rule.annotations.is_empty() {
        return HashMap::new();
    }
    let of = |e: &'e Element| (super::rule::fingerprint(&rule.name, &e.labels), &*e.result);
    elements.iter().map(of).collect()
}

/// Writes the sentence of an alert; that of one which is over, or nearly, stays as it was. `result`: the
/// labels of the expression's result.
fn say(rule: &Rule, alert: &mut Instance, result: Option<&Labels>, look: &Look<'_>) {
    let wrong = matches!(alert.state, State::Pending | State::Firing | State::Flapping);
    if !wrong || alert.clear_since.is_some() {
        return;
    }
    if rule.way == Way::Prometheus {
        let Some(result) = result else { return };
        return template::annotate(rule, alert, result, &|expr| look.ask(expr), look.outside);
    }
    let number = |value: f64| rule.unit.format(value);
    alert.text = fill(&rule.text, |name| match name {
        "value" => Some(number(alert.value)),
        "limit" => {
            let limit = rule.limit(alert.severity).and_then(|l| l.fires);
            limit.map(|test| number(test.value))
        }
        "peak" => Some(number(alert.peak)),
        name => match rule.also.iter().find(|also| *also.name == *name) {
            Some(also) => {
                let value = look.also(&also.query, &alert.labels).ok().flatten();
                value.map(|value| also.unit.format(value))
            }
            None => alert.labels.get(name).map(str::to_owned),
        },
    });
}

impl Change {
    /// Whether it is over with this change.
    pub fn is_end(&self) -> bool {
        matches!(self.turn, Turn::Resolves | Turn::Gone)
    }
}

#[cfg(test)]
mod tests;
