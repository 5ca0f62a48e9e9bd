//! alert: recording rules: expressions whose values are written as series of their own.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, Instant};

use super::files::Recording;
use super::look::{Look, PROMETHEUS_LOOKBACK_MS};
use super::rule::{Way, fingerprint};
use super::template::Outside;
use crate::model::Labels;
use crate::query::eval::Limits;
use crate::query::float::ABSENT;
use crate::query::source::Source;

/// More series than this are not written by recording rules, all together.
pub const MOST_RECORDED: usize = 10_000;

/// A recording rule, and what it said last.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) rule: Recording,
    pub(super) evaluated_at: Option<i64>,
    pub(super) said: BTreeSet<Labels>,
    /// What is wrong with it.
    pub(super) error: Option<String>,
    /// How long its last evaluation took.
    pub(super) took: Duration,
}

impl Recorded {
    /// One that has not been evaluated.
    pub(super) fn new(rule: Recording) -> Self {
        Self { rule, evaluated_at: None, said: BTreeSet::new(), error: None, took: Duration::ZERO }
    }
}

/// Evaluates a recording rule, and ends the series that it does not return any more. Returns its samples,
/// and what is wrong with it.
pub(super) fn record(
    recorded: &mut Recorded,
    at: i64,
    source: &dyn Source,
    limits: Limits<'_>,
    written: &mut HashSet<u64>,
) -> (Vec<(Labels, f64)>, Option<String>) {
    let every_ms = recorded.rule.every_ms;
    let of = |time: i64| time.div_euclid(every_ms.max(1));
    let waits = recorded.evaluated_at.is_some_and(|last| at >= last && of(at) == of(last));
    if every_ms > 0 && waits {
        return (Vec::new(), None);
    }
    let begun = Instant::now();
    let (samples, wrong) = evaluate(recorded, at, source, limits, written);
    recorded.evaluated_at = Some(at);
    recorded.took = begun.elapsed();
    recorded.error.clone_from(&wrong);
    (samples, wrong)
}

fn evaluate(
    recorded: &mut Recorded,
    at: i64,
    source: &dyn Source,
    limits: Limits<'_>,
    written: &mut HashSet<u64>,
) -> (Vec<(Labels, f64)>, Option<String>) {
    let rule = &recorded.rule;
    let mut samples = Vec::new();
    let lookback_ms = PROMETHEUS_LOOKBACK_MS;
    // No template is filled here.
    let outside = Outside::default();
    let look = Look {
        source,
        at: at - rule.offset_ms,
        lookback_ms,
        limits,
        given: &[],
        outside: &outside,
    };
    let found = match look.query(&rule.query, Way::Prometheus) {
        Ok(found) => found,
        Err(e) => return (samples, Some(e.to_string())),
    };
    let mut said = BTreeSet::new();
    let mut refused = 0;
    for (labels, value) in &found.values {
        let labels = rule.labels_of(labels);
        let hash = fingerprint("", &labels);
        if written.len() >= MOST_RECORDED && !written.contains(&hash) {
            refused += 1;
            continue;
        }
        written.insert(hash);
        if !said.insert(labels.clone()) {
            let why = "the expression returns two elements with the same labels";
            return (samples, Some(why.to_owned()));
        }
        samples.push((labels, *value));
    }
    samples.extend(recorded.said.difference(&said).map(|labels| (labels.clone(), ABSENT)));
    recorded.said = said;
    let wrong = (refused > 0).then(|| {
        format!(
            "{refused} of its series are not written: recording rules have made {MOST_RECORDED} since the \
             start, which is as many as they may; give it fewer labels, for example with `sum by (…)`"
        )
    });
    (samples, wrong)
}
