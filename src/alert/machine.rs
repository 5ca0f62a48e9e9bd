//! alert: the states of one rule's alerts. Pure: the time and what was seen come in, changes come out.
//!
//! ```text
//!   nothing    -> pending     the condition holds
//!   pending    -> firing      it was seen to hold for `for`        (message)
//!   pending    -> nothing     it does not hold, or there is no data
//!   firing     -> firing      it gets worse                        (message)
//!   firing     -> recovering  the value is inside the limit that clears
//!   recovering -> firing      the condition holds again: a flap
//!   recovering -> resolved    it stayed clear for `keep`           (message)
//!   firing     -> flapping    the fifth flap within a day          (message)
//!   flapping   -> resolved    clear for long, an hour at least     (message)
//!   any active -> no data     nothing was seen for a while; all times stand still
//!   no data    -> before      data is back
//!   no data    -> resolved    nothing for a day                    (message)
//! ```
//!
//! Rules of Prometheus have its states: what the expression returns is active, and all time counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::instance::{Instance, State, Turn};
use super::rule::{Limit, Rule, Way, fingerprint};
use crate::model::Labels;

/// This many flaps within [`FLAPS_WITHIN_MS`] make an alert flapping.
pub const FLAPS: usize = 5;
/// Flaps older than this do not count, ms.
pub const FLAPS_WITHIN_MS: i64 = 86_400_000;
/// So long a flapping alert has to be quiet at least, ms.
const LEAST_QUIET_MS: i64 = 3_600_000;
/// An alert whose series have been gone for this long is over, ms.
pub const GONE_MS: i64 = 86_400_000;
/// More flaps than this are not written down.
const MOST_FLAPS: usize = 16;
/// Of a hole in the data, so many intervals count as time that was seen.
const INTERVALS_A_STEP: i64 = 2;

/// What was seen of one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// It is inside the limit that clears.
    #[default]
    Clear,
    /// It is not wrong enough to begin, and not well enough to be over.
    Stays,
    /// It is beyond the limit.
    Fires,
}

/// What was seen of one label set.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// The labels of the alert.
    pub labels: Labels,
    /// The labels of the expression's result, for templates.
    pub result: Arc<Labels>,
    /// The value.
    pub value: f64,
    /// Of the milder limit, or the only one.
    pub mild: Sight,
    /// Of the worse one; never more than of the milder one.
    pub worse: Sight,
}

/// The moment of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When, ms since 1970 UTC.
    pub at: i64,
    /// How far apart steps usually are, ms.
    pub interval_ms: i64,
    /// Whether the rule had any data. Without it, nothing is said by a label set that is missing.
    pub had_data: bool,
}

impl Moment {
    /// After this long without data an alert has none.
    fn patience_ms(&self) -> i64 {
        (4 * self.interval_ms).max(120_000)
    }
}

/// What became of a rule's alerts in a step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// What somebody may want to be told, by fingerprint, in the order in which it happened.
    pub turns: Vec<(Turn, u64)>,
    /// Alerts that are not as they were, by fingerprint.
    pub changed: Vec<u64>,
    /// Alerts that are not kept any longer.
    pub gone: Vec<Instance>,
}

/// The alerts of one rule.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    alerts: BTreeMap<u64, Instance>,
    /// Nothing changes before this time: samples have begun to come, or to come again.
    grace_until: i64,
    last: Option<i64>,
}

impl Machine {
    /// Goes on with alerts that were kept, judged up to a time.
    pub fn load(&mut self, alerts: impl IntoIterator<Item = Instance>, judged_until: Option<i64>) {
        self.alerts.extend(alerts.into_iter().map(|alert| (alert.fingerprint, alert)));
        self.last = judged_until;
    }

    /// The alerts, in the order of their fingerprints.
    pub fn alerts(&self) -> impl ExactSizeIterator<Item = &Instance> {
        self.alerts.values()
    }

    /// One of them, to give it its sentence.
    pub fn alert_mut(&mut self, fingerprint: u64) -> Option<&mut Instance> {
        self.alerts.get_mut(&fingerprint)
    }

    /// One of them.
    pub fn alert(&self, fingerprint: u64) -> Option<&Instance> {
        self.alerts.get(&fingerprint)
    }

    /// Forgets all alerts, and returns them.
    pub fn clear(&mut self) -> impl Iterator<Item = Instance> + use<> {
        std::mem::take(&mut self.alerts).into_values()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Nothing changes for a while from now on, as after a start: the rule is new.
    pub fn begin(&mut self) {
        self.last = None;
    }

    /// Whether nothing changes at a time, because samples have only begun to come: at the start, after a
    /// suspend or a hole, after a step of the clock. It depends on the times of the steps alone, so that
    /// a process that was killed comes to the same.
    pub fn is_in_grace(&mut self, rule: &Rule, now: Moment) -> bool {
        if rule.way == Way::Prometheus {
            return false;
        }
        let least = (2 * now.interval_ms).max(60_000);
        let before = self.last.replace(now.at);
        let grace = match before {
            None => least,
            Some(before) if now.at < before || now.at - before > least => {
                least.max(rule.range_ms() / 2)
            }
            Some(_) => {
                return now.at < self.grace_until && now.at >= self.grace_until - GRACE_MOST_MS;
            }
        };
        self.grace_until = now.at.saturating_add(grace);
        true
    }

    /// What was seen at a moment: every element that there is, or at least those that are not clear and
    /// those of which there is an alert.
    pub fn step(&mut self, rule: &Rule, now: Moment, elements: &[Element]) -> Step {
        let mut step = Step::default();
        let mut seen: BTreeMap<u64, &Element> = BTreeMap::new();
        for element in elements {
            seen.insert(fingerprint(&rule.name, &element.labels), element);
        }
        let known: Vec<u64> = self.alerts.keys().copied().collect();
        for id in known {
            let element = seen.remove(&id);
            let Some(alert) = self.alerts.get_mut(&id) else { continue };
            let keep = match rule.way {
                Way::Prometheus => as_prometheus(rule, alert, now, element, &mut step),
                Way::Plimsoll => on(rule, alert, now, element, &mut step),
            };
            if !keep && let Some(alert) = self.alerts.remove(&id) {
                step.changed.retain(|changed| *changed != id);
                step.gone.push(alert);
            }
        }
        for (id, element) in seen {
            if element.mild < Sight::Fires {
                continue;
            }
            let mut alert = new(rule, id, element, now);
            hold(rule, &mut alert, now, 0, element, &mut step);
            step.changed.push(id);
            self.alerts.insert(id, alert);
        }
        step
    }
}

/// No grace is longer than this, whatever a clock does, ms.
const GRACE_MOST_MS: i64 = 7 * 86_400_000;

fn new(rule: &Rule, fingerprint: u64, element: &Element, now: Moment) -> Instance {
    Instance {
        rule: rule.name.to_string(),
        labels: element.labels.clone(),
        fingerprint,
        state: State::Pending,
        frozen: None,
        severity: rule.severities().0,
        active_at: now.at,
        held_ms: 0,
        worse_ms: (element.worse == Sight::Fires).then_some(0),
        worse_clear_since: None,
        fired_at: None,
        clear_since: None,
        resolved_at: None,
        ended_at: None,
        seen_at: now.at,
        value: element.value,
        peak: element.value,
        limit: None,
        flaps: Vec::new(),
        text: String::new(),
        annotations: BTreeMap::new(),
    }
}

/// The limits of a rule: the milder one, and the worse one where there are two.
fn limits(rule: &Rule) -> (Option<&Limit>, Option<&Limit>) {
    (rule.limits.first(), rule.limits.get(1))
}

fn worse_of(rule: &Rule, a: f64, b: f64) -> f64 {
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => a,
        _ if rule.is_upward() => a.max(b),
        _ => a.min(b),
    }
}

fn say(alert: &mut Instance, turn: Turn, step: &mut Step) {
    step.turns.push((turn, alert.fingerprint));
}

/// One alert at one moment; false: it is not kept.
fn on(
    rule: &Rule,
    alert: &mut Instance,
    now: Moment,
    element: Option<&Element>,
    step: &mut Step,
) -> bool {
    let absent = Element {
        labels: Labels::default(),
        result: Arc::default(),
        value: alert.value,
        mild: Sight::Clear,
        worse: Sight::Clear,
    };
    let element = match element {
        Some(element) => element,
        // Nothing is wrong, as nothing was returned.
        None if now.had_data && !rule.misses() => &absent,
        None => return unseen(rule, alert, now, step),
    };
    step.changed.push(alert.fingerprint);
    // A clock that was set back takes times with it.
    let passed = now.at - alert.seen_at;
    let counted = passed.clamp(0, INTERVALS_A_STEP * now.interval_ms);
    let hole = passed - counted;
    for since in [&mut alert.clear_since, &mut alert.worse_clear_since].into_iter().flatten() {
        *since = since.saturating_add(hole).min(now.at);
    }
    if let (State::NoData, Some(before)) = (alert.state, alert.frozen.take()) {
        alert.state = before;
    }
    alert.seen_at = now.at;
    alert.value = element.value;
    alert.flaps.retain(|flap| *flap > now.at - FLAPS_WITHIN_MS && *flap <= now.at);
    match alert.state {
        State::Inactive | State::Resolved | State::NoData => {
            if element.mild == Sight::Fires {
                begin_again(rule, alert, now, element, step);
                return true;
            }
            // Kept for its flaps.
            let resolved = alert.resolved_at.unwrap_or(now.at);
            step.changed.pop();
            (0..FLAPS_WITHIN_MS).contains(&(now.at - resolved))
        }
        State::Pending if element.mild == Sight::Fires => {
            hold(rule, alert, now, counted, element, step);
            true
        }
        State::Pending => forget_pending(alert, now),
        State::Firing => {
            firing(rule, alert, now, counted, element, step);
            true
        }
        State::Recovering => {
            recovering(rule, alert, now, counted, element, step);
            true
        }
        State::Flapping => {
            flapping(rule, alert, now, counted, element, step);
            true
        }
    }
}

/// An alert was pending and is not any more: nobody knew of it. One that fired within a day is kept for
/// its flaps.
fn forget_pending(alert: &mut Instance, now: Moment) -> bool {
    let ended_at = alert.ended_at.take();
    let known = ended_at.is_some_and(|at| (0..FLAPS_WITHIN_MS).contains(&(now.at - at)));
    if known {
        (alert.state, alert.resolved_at) = (State::Resolved, ended_at);
        (alert.held_ms, alert.worse_ms) = (0, None);
    }
    known
}

/// It was over, and the condition holds again.
fn begin_again(rule: &Rule, alert: &mut Instance, now: Moment, element: &Element, step: &mut Step) {
    let before = std::mem::take(&mut alert.flaps);
    *alert = Instance {
        flaps: before,
        ended_at: alert.resolved_at,
        text: std::mem::take(&mut alert.text),
        ..new(rule, alert.fingerprint, element, now)
    };
    hold(rule, alert, now, 0, element, step);
}

/// The condition holds, and the alert is pending.
fn hold(
    rule: &Rule,
    alert: &mut Instance,
    now: Moment,
    counted: i64,
    element: &Element,
    step: &mut Step,
) {
    alert.held_ms += counted;
    let (mild, worse) = limits(rule);
    let bad = worse.filter(|limit| is_worse(alert, limit, element, counted));
    // Prometheus counts from the first moment on.
    let held = match rule.way {
        Way::Plimsoll => alert.held_ms,
        Way::Prometheus => now.at - alert.active_at,
    };
    let Some(limit) = bad.or(mild.filter(|l| held >= l.for_ms)) else { return };
    alert.state = State::Firing;
    alert.severity = limit.severity;
    alert.limit = limit.fires.map(|t| t.value);
    alert.fired_at = Some(now.at);
    alert.peak = alert.value;
    let again = alert.ended_at.take().is_some();
    if again && rule.way == Way::Plimsoll && flap(alert, now) {
        say(alert, Turn::Flaps, step);
    } else {
        say(alert, Turn::Fires, step);
    }
}

/// Counts for how long the worse limit has been seen to hold; true: for long enough.
fn is_worse(alert: &mut Instance, worse: &Limit, element: &Element, counted: i64) -> bool {
    alert.worse_ms = match (element.worse, alert.worse_ms) {
        (Sight::Fires, Some(held)) => Some(held + counted),
        (Sight::Fires, None) => Some(0),
        _ => None,
    };
    alert.worse_ms.is_some_and(|held| held >= worse.for_ms)
}

/// For so long a flapping alert has to be quiet, ms: twice the longest time between its last flaps, so that
/// what comes each half hour is one alert and not forty-eight.
fn quiet_ms(alert: &Instance) -> i64 {
    let last = &alert.flaps[alert.flaps.len().saturating_sub(FLAPS)..];
    let longest = last.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    LEAST_QUIET_MS.max(2 * longest)
}

/// Writes down that it changed again; true: now it is flapping.
fn flap(alert: &mut Instance, now: Moment) -> bool {
    alert.flaps.push(now.at);
    if alert.flaps.len() > MOST_FLAPS {
        alert.flaps.remove(0);
    }
    let flapping = alert.flaps.len() >= FLAPS;
    if flapping {
        alert.state = State::Flapping;
    }
    flapping
}

fn firing(
    rule: &Rule,
    alert: &mut Instance,
    now: Moment,
    counted: i64,
    element: &Element,
    step: &mut Step,
) {
    if element.mild == Sight::Clear {
        alert.state = State::Recovering;
        alert.clear_since = Some(now.at);
        alert.worse_ms = None;
        return recovering(rule, alert, now, 0, element, step);
    }
    alert.clear_since = None;
    alert.peak = worse_of(rule, alert.peak, element.value);
    rise_or_fall(rule, alert, now, counted, element, step);
}

/// Whether it is as bad as the worse limit says.
fn rise_or_fall(
    rule: &Rule,
    alert: &mut Instance,
    now: Moment,
    counted: i64,
    element: &Element,
    step: &mut Step,
) {
    let (Some(mild), Some(worse)) = limits(rule) else { return };
    if alert.severity < worse.severity {
        if is_worse(alert, worse, element, counted) {
            set_severity(alert, worse);
            say(alert, Turn::Rises, step);
        }
        return;
    }
    if element.worse > Sight::Clear {
        alert.worse_clear_since = None;
        return;
    }
    let since = *alert.worse_clear_since.get_or_insert(now.at);
    if now.at - since >= worse.keep_ms {
        set_severity(alert, mild);
    }
}

fn set_severity(alert: &mut Instance, limit: &Limit) {
    alert.severity = limit.severity;
    alert.limit = limit.fires.map(|t| t.value);
    (alert.worse_ms, alert.worse_clear_since) = (None, None);
}

fn recovering(
    rule: &Rule,
    alert: &mut Instance,
    now: Moment,
    counted: i64,
    element: &Element,
    step: &mut Step,
) {
    match element.mild {
        Sight::Clear => {
            let since = *alert.clear_since.get_or_insert(now.at);
            let keep = limits(rule).0.map_or(0, |l| l.keep_ms);
            if now.at - since >= keep {
                resolve(rule, alert, now, step);
            }
        }
        sight => {
            alert.state = State::Firing;
            alert.clear_since = None;
            alert.peak = worse_of(rule, alert.peak, element.value);
            if sight == Sight::Fires && flap(alert, now) {
                say(alert, Turn::Flaps, step);
            }
            rise_or_fall(rule, alert, now, counted, element, step);
        }
    }
}

fn flapping(
    rule: &Rule,
    alert: &mut Instance,
    now: Moment,
    counted: i64,
    element: &Element,
    step: &mut Step,
) {
    if element.mild == Sight::Clear {
        let since = *alert.clear_since.get_or_insert(now.at);
        let keep = limits(rule).0.map_or(0, |l| l.keep_ms).max(quiet_ms(alert));
        if now.at - since >= keep {
            resolve(rule, alert, now, step);
        }
        return;
    }
    if alert.clear_since.take().is_some() && element.mild == Sight::Fires {
        flap(alert, now);
    }
    alert.peak = worse_of(rule, alert.peak, element.value);
    if alert.flaps.last().is_none_or(|last| now.at - last >= quiet_ms(alert)) {
        alert.state = State::Firing;
    }
    rise_or_fall(rule, alert, now, counted, element, step);
}

fn resolve(rule: &Rule, alert: &mut Instance, now: Moment, step: &mut Step) {
    alert.state = State::Resolved;
    alert.resolved_at = Some(now.at);
    (alert.worse_ms, alert.worse_clear_since) = (None, None);
    if !rule.once {
        say(alert, Turn::Resolves, step);
    }
}

/// Nothing was seen of an alert; false: it is not kept.
fn unseen(rule: &Rule, alert: &mut Instance, now: Moment, step: &mut Step) -> bool {
    if now.at < alert.seen_at {
        // A clock that was set back.
        alert.seen_at = now.at;
        for since in [&mut alert.clear_since, &mut alert.worse_clear_since].into_iter().flatten() {
            *since = (*since).min(now.at);
        }
    }
    let without = now.at - alert.seen_at;
    match alert.state {
        State::Inactive | State::Resolved => {
            let resolved = alert.resolved_at.unwrap_or(alert.seen_at);
            (0..FLAPS_WITHIN_MS).contains(&(now.at - resolved))
        }
        State::NoData if without >= GONE_MS => {
            alert.state = State::Resolved;
            alert.frozen = None;
            alert.resolved_at = Some(now.at);
            step.changed.push(alert.fingerprint);
            if !rule.once {
                say(alert, Turn::Gone, step);
            }
            true
        }
        State::NoData => true,
        _ if without < now.patience_ms() => true,
        State::Pending => {
            step.changed.push(alert.fingerprint);
            forget_pending(alert, now)
        }
        before => {
            alert.frozen = Some(before);
            alert.state = State::NoData;
            step.changed.push(alert.fingerprint);
            true
        }
    }
}

/// One alert of a rule of Prometheus at one moment; false: it is not kept.
fn as_prometheus(
    rule: &Rule,
    alert: &mut Instance,
    now: Moment,
    element: Option<&Element>,
    step: &mut Step,
) -> bool {
    let keep = limits(rule).0.map_or(0, |l| l.keep_ms);
    alert.seen_at = now.at;
    step.changed.push(alert.fingerprint);
    let Some(element) = element else {
        match alert.state {
            State::Firing | State::Recovering if keep > 0 => {
                let since = *alert.clear_since.get_or_insert(now.at);
                alert.state = State::Recovering;
                if now.at - since >= keep {
                    resolve(rule, alert, now, step);
                }
            }
            State::Firing | State::Recovering => resolve(rule, alert, now, step),
            // It is told as resolved for a while; Prometheus does so for 15 minutes.
            State::Resolved => {
                step.changed.pop();
                return alert.resolved_at.is_some_and(|at| now.at - at <= 900_000);
            }
            _ => return false,
        }
        return true;
    };
    alert.value = element.value;
    match alert.state {
        State::Pending => hold(rule, alert, now, 0, element, step),
        State::Firing | State::Recovering => {
            alert.state = State::Firing;
            alert.clear_since = None;
            alert.peak = worse_of(rule, alert.peak, element.value);
        }
        _ => {
            let fresh = new(rule, alert.fingerprint, element, now);
            *alert = Instance { text: std::mem::take(&mut alert.text), ..fresh };
            hold(rule, alert, now, 0, element, step);
        }
    }
    true
}

#[cfg(test)]
mod tests;
