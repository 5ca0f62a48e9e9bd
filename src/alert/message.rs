//! alert: makes a note of a change of an alert, with numbers and units as people read them. The room
//! `notify` makes messages of notes.

use std::collections::BTreeMap;

use super::Instance;
use super::peace::host_of;
use super::record::Record;
use crate::model::{Severity, Unit};
use crate::notify::{Alert, Note, Occasion};

/// Of what else is wrong, so much is told.
const ALSO: usize = 8;

/// What stands beside an alert when it is told.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'b> {
    /// This machine's name.
    pub here: &'b str,
    /// What its values are measured in.
    pub unit: &'b Unit,
    /// Whether they are an amount, and not a yes or no.
    pub measured: bool,
    /// The present, ms since 1970 UTC.
    pub now: i64,
    /// All alerts that fire.
    pub firing: &'b [&'b Instance],
}

/// The note of one occasion, for these channels.
pub fn note(
    occasion: Occasion,
    record: &Record,
    beside: Beside<'_>,
    remark: String,
    to: Vec<String>,
) -> Note {
    let alert = &record.alert;
    let host = host_of(alert, beside.here);
    let extra = record.extra.clone().unwrap_or_default();
    let number = |value: f64| {
        if value.is_nan() { String::new() } else { beside.unit.format(value) }
    };
    // Where there is no limit, the value is what was found, and says nothing by itself. Nor does one that
    // only says yes or no, or a limit of nothing at all.
    let limit = alert.limit.filter(|limit| beside.measured && *limit != 0.0);
    let limit = limit.map_or_else(String::new, number);
    let value = if limit.is_empty() { String::new() } else { number(alert.value) };
    let peak = if limit.is_empty() { String::new() } else { number(alert.peak) };
    Note {
        occasion,
        severity: alert.severity,
        host: host.to_owned(),
        at: beside.now,
        not_before: 0,
        urgent: occasion == Occasion::Fire && alert.severity == Severity::Bad,
        text: alert.text.clone(),
        value,
        limit,
        peak,
        alert: machine_words(alert, occasion, &extra.culprits, extra.generator_url),
        began: Some(alert.active_at),
        also: also(alert, host, beside),
        log: extra.log,
        remark,
        link: extra.link,
        chart: extra.chart,
        to,
    }
}

/// The alert for machines, as Alertmanager has it.
fn machine_words(
    alert: &Instance,
    occasion: Occasion,
    culprits: &[String],
    generator_url: String,
) -> Alert {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut labels: BTreeMap<String, String> = alert.labels.iter().map(pair).collect();
    labels.insert("alertname".to_owned(), alert.rule.clone());
    labels.entry("severity".to_owned()).or_insert_with(|| alert.severity.word().to_owned());
    let mut annotations = alert.annotations.clone();
    annotations.entry("summary".to_owned()).or_insert_with(|| alert.text.clone());
    let over = occasion == Occasion::Over;
    Alert {
        fingerprint: format!("{:016x}", alert.fingerprint),
        firing: !over,
        labels,
        annotations,
        starts_at: alert.fired_at.unwrap_or(alert.active_at),
        ends_at: over.then(|| alert.resolved_at.unwrap_or(alert.seen_at)),
        value: alert.value,
        peak: alert.peak,
        limit: alert.limit,
        culprits: culprits.to_vec(),
        generator_url,
    }
}

/// What else is wrong on the machine, the worst first.
fn also(alert: &Instance, host: &str, beside: Beside<'_>) -> Vec<String> {
    let mut others: Vec<&&Instance> = (beside.firing.iter())
        .filter(|o| o.fingerprint != alert.fingerprint && host_of(o, beside.here) == host)
        .collect();
    others.sort_by_key(|other| (std::cmp::Reverse(other.severity), other.fired_at));
    let all = others.len();
    let mut lines: Vec<String> = (others.iter().take(ALSO))
        .map(|other| format!("{}: {}", other.severity.word(), other.text))
        .collect();
    if all > ALSO {
        lines.push(format!("and {} more", all - ALSO));
    }
    lines
}

#[cfg(test)]
mod tests;
