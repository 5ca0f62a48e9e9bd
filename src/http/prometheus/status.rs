//! http: what clients ask about the server itself before they trust it. What plimsoll has nothing
//! of is empty.

use std::collections::BTreeMap;

use serde_json::json;

use super::error::ApiError;
use super::json::{write_list, write_text};
use super::{Ask, Notes};
use crate::http::status::rfc3339;
use crate::query::matcher::NAME;

fn say(out: &mut String, value: &serde_json::Value) -> Result<Notes, ApiError> {
    out.push_str(&value.to_string());
    Ok(Notes::default())
}

/// `targets`: nothing is scraped here.
pub(super) fn targets(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(out, &json!({ "activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {} }))
}

/// `rules`
pub(super) fn rules(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(out, &json!({ "groups": [] }))
}

/// `alerts`
pub(super) fn alerts(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(out, &json!({ "alerts": [] }))
}

/// `status/buildinfo`. Clients decide by the version what a Prometheus can do: it is that of the
/// API, and the revision is ours.
pub(super) fn build(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(
        out,
        &json!({
            "version": "3.0.0",
            "revision": concat!("plimsoll-", env!("CARGO_PKG_VERSION")),
            "branch": "",
            "buildUser": "",
            "buildDate": "",
            "goVersion": "",
        }),
    )
}

/// `status/runtimeinfo`
pub(super) fn runtime(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let state = &ask.api.state;
    say(
        out,
        &json!({
            "startTime": rfc3339(state.started),
            "CWD": "",
            "hostname": state.system,
            "serverTime": rfc3339(state.clock.wall_ms()),
            "reloadConfigSuccess": true,
            "lastConfigTime": rfc3339(state.started),
            "corruptionCount": 0,
            "goroutineCount": 0,
            "GOMAXPROCS": 0,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": "",
        }),
    )
}

/// `status/config`
pub(super) fn config(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(out, &json!({ "yaml": "" }))
}

/// `status/flags`
pub(super) fn flags(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(out, &json!({}))
}

/// `status/tsdb`: how many series there are, by name, label and value.
pub(super) fn tsdb(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    const MOST: usize = 10;
    let most = match ask.params.limit("limit")? {
        usize::MAX => MOST,
        limit => limit,
    };
    let found = ask.api.files.with_catalog(|_, catalog| {
        Ok(catalog.matching(&[]).into_iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>())
    })?;
    let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
    let mut by_pair: BTreeMap<String, u64> = BTreeMap::new();
    let mut values: BTreeMap<String, u64> = BTreeMap::new();
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for (label, value) in found.iter().flat_map(|labels| labels.iter()) {
        if label == NAME {
            *by_name.entry(value.to_owned()).or_default() += 1;
        }
        let pair = by_pair.entry(format!("{label}={value}")).or_default();
        *pair += 1;
        if *pair == 1 {
            *values.entry(label.to_owned()).or_default() += 1;
        }
        *bytes.entry(label.to_owned()).or_default() += value.len() as u64;
    }
    let state = &ask.api.state;
    out.push_str(&format!(
        r#"{{"headStats":{{"numSeries":{},"numLabelPairs":{},"chunkCount":0,"minTime":0,"maxTime":{}}}"#,
        found.len(),
        by_pair.len(),
        state.clock.wall_ms()
    ));
    for (key, counts) in [
        ("seriesCountByMetricName", by_name),
        ("labelValueCountByLabelName", values),
        ("memoryInBytesByLabelName", bytes),
        ("seriesCountByLabelValuePair", by_pair),
    ] {
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        out.push_str(&format!(r#","{key}":"#));
        write_list(out, counts.into_iter().take(most), |out, (name, count)| {
            out.push_str(r#"{"name":"#);
            write_text(out, &name);
            out.push_str(&format!(r#","value":{count}}}"#));
        });
    }
    out.push('}');
    Ok(Notes::default())
}
