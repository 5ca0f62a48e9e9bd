//! notify: a message for machines: the JSON of Alertmanager's webhooks, version 4, with what plimsoll
//! knows beyond it under `plimsoll`. Webhooks and programs get it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::message::{Alert, Message, Occasion};

/// With more alerts the others are only counted.
const MAX_ALERTS: usize = 200;

/// How Alertmanager says that something is not over.
const NOT_OVER: &str = "0001-01-01T00:00:00Z";

type Words<'a> = BTreeMap<&'a str, &'a str>;

#[derive(Serialize)]
struct Body<'a> {
    receiver: &'static str,
    status: &'static str,
    alerts: Vec<Item<'a>>,
    #[serde(rename = "groupLabels")]
    group_labels: Words<'a>,
    #[serde(rename = "commonLabels")]
    common_labels: Words<'a>,
    #[serde(rename = "commonAnnotations")]
    common_annotations: Words<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    #[serde(rename = "groupKey")]
    group_key: String,
    #[serde(rename = "truncatedAlerts")]
    truncated_alerts: usize,
    plimsoll: Extras<'a>,
}

#[derive(Serialize)]
struct Item<'a> {
    status: &'static str,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: &'a str,
}

#[derive(Serialize)]
struct Extras<'a> {
    key: &'a str,
    thread: &'a str,
    occasion: Occasion,
    severity: &'static str,
    host: &'a str,
    title: &'a str,
    text: String,
    link: Option<&'a str>,
    at: String,
    chart: Option<&'a super::message::Chart>,
    alerts: Vec<Extra<'a>>,
}

#[derive(Serialize)]
struct Extra<'a> {
    fingerprint: &'a str,
    /// JSON has no NaN.
    value: Option<f64>,
    peak: Option<f64>,
    limit: Option<f64>,
    culprits: &'a [String],
}

/// The time as RFC 3339 has it, in UTC.
pub fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}

/// `firing` or `resolved`.
pub fn status(message: &Message) -> &'static str {
    let over = matches!(message.occasion, Occasion::Over | Occasion::Was);
    let firing = match message.alerts.is_empty() {
        true => !over,
        false => message.alerts.iter().any(|alert| alert.firing),
    };
    if firing { "firing" } else { "resolved" }
}

/// The message as JSON.
pub fn json(message: &Message) -> serde_json::Value {
    let shown = &message.alerts[..message.alerts.len().min(MAX_ALERTS)];
    let labels = common(&message.alerts, |alert| &alert.labels);
    let host = Words::from([("host", message.host.as_str())]);
    let body = Body {
        receiver: "plimsoll",
        status: status(message),
        alerts: shown.iter().map(item).collect(),
        group_key: format!("{{}}:{{host={:?}}}", message.host),
        group_labels: host,
        common_labels: labels,
        common_annotations: common(&message.alerts, |alert| &alert.annotations),
        external_url: message.link.as_deref().unwrap_or_default(),
        version: "4",
        truncated_alerts: message.alerts.len() - shown.len(),
        plimsoll: Extras {
            key: &message.key,
            thread: &message.thread,
            occasion: message.occasion,
            severity: message.severity.word(),
            host: &message.host,
            title: &message.title,
            text: message.lines.join("\n"),
            link: message.link.as_deref(),
            at: time(message.at),
            chart: message.chart.as_ref(),
            alerts: shown.iter().map(extra).collect(),
        },
    };
    serde_json::to_value(&body).unwrap_or_default()
}

fn item(alert: &Alert) -> Item<'_> {
    Item {
        status: if alert.firing { "firing" } else { "resolved" },
        labels: &alert.labels,
        annotations: &alert.annotations,
        starts_at: time(alert.starts_at),
        ends_at: alert.ends_at.filter(|_| !alert.firing).map_or_else(|| NOT_OVER.into(), time),
        generator_url: &alert.generator_url,
        fingerprint: &alert.fingerprint,
    }
}

fn extra(alert: &Alert) -> Extra<'_> {
    let finite = |value: f64| value.is_finite().then_some(value);
    Extra {
        fingerprint: &alert.fingerprint,
        value: finite(alert.value),
        peak: finite(alert.peak),
        limit: alert.limit.and_then(finite),
        culprits: &alert.culprits,
    }
}

/// What all of them have.
fn common<'a>(
    alerts: &'a [Alert],
    words: impl Fn(&'a Alert) -> &'a BTreeMap<String, String>,
) -> Words<'a> {
    let Some((first, others)) = alerts.split_first() else { return Words::new() };
    words(first)
        .iter()
        .filter(|(name, value)| others.iter().all(|o| words(o).get(*name) == Some(*value)))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::message::example;

    #[test]
    fn what_is_common_stands_once_and_what_is_no_number_is_null() {
        let mut message = example();
        let mut second = message.alerts[0].clone();
        second.labels.insert("mountpoint".into(), "/home".into());
        second.peak = f64::NAN;
        second.firing = false;
        second.ends_at = Some(1_000);
        message.alerts.push(second);
        let json = json(&message);
        assert_eq!(json["status"], "firing");
        assert_eq!(json["commonLabels"].to_string(), r#"{"alertname":"disk_full","severity":"bad"}"#);
        assert_eq!(json["alerts"][0]["endsAt"], NOT_OVER);
        assert_eq!(json["alerts"][1]["endsAt"], "1970-01-01T00:00:01Z");
        assert!(json["plimsoll"]["alerts"][1]["peak"].is_null());
        message.alerts = vec![message.alerts[1].clone(); 201];
        let json = super::json(&message);
        assert_eq!((&json["status"], &json["truncatedAlerts"]), (&"resolved".into(), &1.into()));
    }
}
