//! http: rules and alerts, as Prometheus' API has them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::status::say;
use super::{Ask, Notes};
use crate::alert::{RecordShown, RuleShown, Shown, Stand};
use crate::http::error::ApiError;
use crate::http::time::rfc3339;
use crate::query::parse_selector;

/// `alerts`: what is pending or fires.
pub(super) fn alerts(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let stand = ask.api.state().alerts.now();
    let list: Vec<Value> =
        stand.alerts.iter().filter_map(|shown| alert(shown, rule_of(&stand, shown))).collect();
    say(out, &json!({ "alerts": list }))
}

/// `rules`: every rule with its alerts, a group a file.
pub(super) fn rules(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let of = |name: &str| ask.params.get(name).to_lowercase();
    let mut matchers = Vec::new();
    for text in ask.params.all("match[]") {
        let wrong = |e| ApiError::expression("match[]", &e, text);
        matchers.push(parse_selector(text).map_err(wrong)?);
    }
    let kind = of("type");
    if !["", "alert", "record"].contains(&&*kind) {
        return Err(ApiError::parameter("type", format!("not supported value \"{kind}\"")));
    }
    let exclude = match &*of("exclude_alerts") {
        "" | "0" | "f" | "false" => false,
        "1" | "t" | "true" => true,
        _ => return Err(ApiError::parameter("exclude_alerts", "it is true or false")),
    };
    let (limit, token) = (of("group_limit"), of("group_next_token"));
    if limit.is_empty() && !token.is_empty() {
        let why = "group_limit needs to be present in order to paginate over the groups";
        return Err(ApiError::parameter("group_next_token", why));
    }
    if !limit.is_empty() && !limit.parse::<i32>().is_ok_and(|limit| limit > 0) {
        return Err(ApiError::parameter("group_limit", "it is a number greater than 0"));
    }
    let stand = ask.api.state().alerts.now();
    let every = ask.api.state().config.now().interval.as_ms();
    let names: Vec<&str> = ask.params.all("rule_name[]").collect();
    let fits = |rule: &str, labels: &[(String, String)]| {
        let label = |name: &str| labels.iter().find(|(n, _)| n == name);
        let all = |group: &Vec<crate::query::matcher::Matcher>| {
            group.iter().all(|m| m.matches(label(m.name()).map_or("", |(_, v)| v)))
        };
        (names.is_empty() || names.contains(&rule))
            && (matchers.is_empty() || matchers.iter().any(all))
    };
    let mut files: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let (in_files, in_groups): (Vec<&str>, Vec<&str>) =
        (ask.params.all("file[]").collect(), ask.params.all("rule_group[]").collect());
    let stands_in = |file: &str| {
        (in_files.is_empty() || in_files.contains(&file))
            && (in_groups.is_empty() || in_groups.contains(&group_of(file)))
    };
    let recording = stand.records.iter().filter(|_| kind != "alert");
    let recording = recording.filter(|rule| stands_in(&rule.file));
    for rule in recording.filter(|rule| fits(&rule.name, &rule.labels)) {
        files.entry(&rule.file).or_default().push(recorded(rule));
    }
    let alerting = stand.rules.iter().filter(|_| kind != "record");
    let alerting = alerting.filter(|rule| stands_in(&rule.file));
    for rule in alerting.filter(|rule| fits(&rule.alertname, &rule.labels)) {
        let of_rule = |shown: &&Shown| shown.alert.rule == rule.name;
        let alerts: Vec<&Shown> = stand.alerts.iter().filter(of_rule).collect();
        files.entry(&rule.file).or_default().push(one(rule, &alerts, exclude));
    }
    let mut groups: Vec<Value> = files
        .into_iter()
        .map(|(file, rules)| {
            let took: f64 = rules.iter().filter_map(|r| r["evaluationTime"].as_f64()).sum();
            json!({
                "name": group_of(file),
                "file": file,
                "rules": rules,
                "interval": every as f64 / 1e3,
                "limit": 0,
                "evaluationTime": took,
                "lastEvaluation": stand.judged_at.map_or_else(never, rfc3339),
            })
        })
        .collect();
    let first = match token.parse::<usize>() {
        Ok(at) if at < groups.len() => at,
        _ if token.is_empty() => 0,
        _ => {
            let why = "invalid group_next_token. were rule groups changed?";
            return Err(ApiError::parameter("group_next_token", why));
        }
    };
    groups.drain(..first);
    let most = limit.parse::<usize>().unwrap_or(usize::MAX);
    let mut answer = json!({});
    if groups.len() > most {
        groups.truncate(most);
        answer["groupNextToken"] = json!((first + most).to_string());
    }
    answer["groups"] = groups.into();
    say(out, &answer)
}

/// The name of the group of a file's rules.
fn group_of(file: &str) -> &str {
    if file.is_empty() { "plimsoll" } else { file }
}

fn never() -> Value {
    "0001-01-01T00:00:00Z".into()
}

fn one(rule: &RuleShown, alerts: &[&Shown], exclude: bool) -> Value {
    let states: Vec<&str> = alerts.iter().filter_map(|s| s.alert.prometheus_state()).collect();
    let state = match () {
        () if states.contains(&"firing") => "firing",
        () if states.contains(&"pending") => "pending",
        () => "inactive",
    };
    let list: Vec<Value> = alerts.iter().filter_map(|shown| alert(shown, Some(rule))).collect();
    let mut out = json!({
        "state": state,
        "name": rule.alertname,
        "query": rule.expr,
        "duration": rule.for_ms as f64 / 1e3,
        "keepFiringFor": rule.keep_ms as f64 / 1e3,
        "labels": object(&rule.labels),
        "annotations": object(&rule.annotations),
        "alerts": if exclude { Vec::new() } else { list },
        "health": health(rule.error.as_deref(), rule.evaluated_at),
        "evaluationTime": rule.took,
        "lastEvaluation": rule.evaluated_at.map_or_else(never, rfc3339),
        "type": "alerting",
    });
    if let Some(error) = &rule.error {
        out["lastError"] = json!(error);
    }
    out
}

fn recorded(rule: &RecordShown) -> Value {
    let mut out = json!({
        "name": rule.name,
        "query": rule.expr,
        "labels": object(&rule.labels),
        "health": health(rule.error.as_deref(), rule.evaluated_at),
        "evaluationTime": rule.took,
        "lastEvaluation": rule.evaluated_at.map_or_else(never, rfc3339),
        "type": "recording",
    });
    if let Some(error) = &rule.error {
        out["lastError"] = json!(error);
    }
    out
}

fn health(error: Option<&str>, evaluated_at: Option<i64>) -> &'static str {
    match (error, evaluated_at) {
        (Some(_), _) => "err",
        (None, Some(_)) => "ok",
        (None, None) => "unknown",
    }
}

fn rule_of<'s>(stand: &'s Stand, shown: &Shown) -> Option<&'s RuleShown> {
    stand.rules.iter().find(|rule| rule.name == shown.alert.rule)
}

fn alert(shown: &Shown, rule: Option<&RuleShown>) -> Option<Value> {
    let alert = &shown.alert;
    let state = alert.prometheus_state()?;
    let mut labels: BTreeMap<&str, &str> = alert.labels.iter().collect();
    labels.insert("alertname", rule.map_or(&*alert.rule, |rule| &rule.alertname));
    // A rule of a file has the labels that are written there, and no others.
    if rule.is_none_or(|rule| rule.file.is_empty()) {
        labels.entry("severity").or_insert(alert.severity.word());
    }
    let mut annotations = alert.annotations.clone();
    if annotations.is_empty() && !alert.text.is_empty() {
        annotations.insert("summary".to_owned(), alert.text.clone());
    }
    Some(json!({
        "labels": labels,
        "annotations": annotations,
        "state": state,
        "activeAt": rfc3339(alert.active_at),
        "value": go_exponent(alert.value),
    }))
}

fn object(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
}

/// A number as Go's `strconv.FormatFloat(v, 'e', -1, 64)` writes it: `1e+00`.
fn go_exponent(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, power) = match exponent.strip_prefix('-') {
        Some(power) => ('-', power),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{power:0>2}")
}

#[cfg(test)]
mod tests {
    use super::go_exponent;

    #[test]
    fn numbers_are_written_as_go_does() {
        let written = [1.0, 0.0, 97.25, -1.5e-7, 1e120, f64::NAN, f64::INFINITY].map(go_exponent);
        let go = ["1e+00", "0e+00", "9.725e+01", "-1.5e-07", "1e+120", "NaN", "+Inf"];
        assert_eq!(written, go);
    }
}
