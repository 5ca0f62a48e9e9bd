//! http: targets in Prometheus' API: plimsoll's collectors appear as targets; lists of parts that it
//! does not have are empty.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::status::say;
use super::{Ask, Notes};
use crate::collect::JOB;
use crate::http::error::{ApiError, Kind};
use crate::http::time::rfc3339;
use crate::model::{Labels, format_duration};
use crate::query::parse_selector;

/// Prometheus' time for a target that was never reached.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A collector, by its own series.
#[derive(Debug, Default)]
struct Collector {
    success: Option<(i64, f64)>,
    duration: f64,
    interval: f64,
}

fn collectors(ask: &Ask<'_>) -> BTreeMap<String, Collector> {
    let state = ask.api.state();
    let mut found: BTreeMap<String, Collector> = BTreeMap::new();
    for (series, ts, value) in state.latest.all() {
        let Some(series) = state.registry.get(series) else { continue };
        let Some(name) = series.identity.labels.get("collector") else { continue };
        match &*series.identity.name {
            "plimsoll_collect_success" => {
                found.entry(name.to_owned()).or_default().success = Some((ts, value));
            }
            "plimsoll_collect_duration_seconds" => {
                found.entry(name.to_owned()).or_default().duration = value;
            }
            "plimsoll_collect_interval_seconds" => {
                found.entry(name.to_owned()).or_default().interval = value;
            }
            _ => {}
        }
    }
    found
}

/// `targets`: the collectors that run. Nothing is fetched from an address, so that of a target is
/// only a name.
pub(super) fn targets(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let state = ask.params.get("state").to_lowercase();
    let active = ["", "any", "active"].contains(&&*state);
    let (system, pool) = (&ask.api.state().system, ask.params.get("scrapePool"));
    let problems: BTreeMap<_, _> = ask.api.state().board.problems().into_iter().collect();
    let active: Vec<Value> = collectors(ask)
        .iter()
        .filter(|(name, _)| active && (pool.is_empty() || pool == *name))
        .map(|(name, collector)| {
            let problem = problems.get(&format!("collector {name}"));
            let interval = format_duration((collector.interval * 1e3) as i64);
            json!({
                "discoveredLabels": { "__collector__": name, "instance": system, "job": JOB },
                "labels": { "instance": system, "job": JOB },
                "scrapePool": name,
                "scrapeUrl": format!("plimsoll:{name}"),
                "globalUrl": format!("plimsoll:{name}"),
                "lastError": problem.map_or("", |p| &*p.message),
                "lastScrape": collector.success.map_or_else(|| NEVER.into(), |(ts, _)| rfc3339(ts)),
                "lastScrapeDuration": collector.duration,
                "health": match collector.success {
                    Some((_, 1.0)) => "up",
                    Some(_) => "down",
                    None => "unknown",
                },
                "scrapeInterval": interval,
                "scrapeTimeout": interval,
            })
        })
        .collect();
    say(out, &json!({ "activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {} }))
}

/// `targets/metadata`: kind, help and unit of the collectors' names.
pub(super) fn metadata(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let (limit, wanted) = (ask.params.most("limit")?, ask.params.get("metric"));
    let target = Labels::new([("instance", &*ask.api.state().system), ("job", JOB)]);
    let asked = match ask.params.get("match_target") {
        "" => Vec::new(),
        text => parse_selector(text).map_err(|e| ApiError::expression("match_target", &e, text))?,
    };
    if !asked.iter().all(|m| m.matches(target.get(m.name()).unwrap_or_default())) {
        return say(out, &Value::Array(Vec::new()));
    }
    let known = ask.api.files().with_reader(|reader, _| {
        reader.series().map_err(|e| ApiError::new(Kind::Internal, e.to_string()))
    })?;
    let names: BTreeSet<_> = known
        .iter()
        .filter(|s| s.system_id == 1 && s.job == JOB && (wanted.is_empty() || s.name == wanted))
        .map(|s| (&*s.name, s.kind.as_str(), &*s.help, &*s.unit))
        .collect();
    let target = json!({ "instance": ask.api.state().system, "job": JOB });
    let list = names.iter().take(limit).map(|(name, kind, help, unit)| {
        json!({ "target": target, "metric": name, "type": kind, "help": help, "unit": unit })
    });
    say(out, &Value::Array(list.collect()))
}

/// `scrape_pools`
pub(super) fn pools(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let names: Vec<String> = collectors(ask).into_keys().collect();
    say(out, &json!({ "scrapePools": names }))
}

/// `alertmanagers`
pub(super) fn alertmanagers(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(out, &json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }))
}

/// `notifications`: the current problems, as in `/health`.
pub(super) fn notifications(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let problems = ask.api.state().board.problems().into_iter();
    let list = problems.map(|(subject, p)| {
        let text = format!("{subject}: {}", p.message);
        json!({ "text": text, "date": rfc3339(p.since), "active": true })
    });
    say(out, &Value::Array(list.collect()))
}
