//! http: questions of clients about the server itself. Answers about parts that plimsoll does not
//! have are empty.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use super::json::{write_list, write_text};
use super::{Ask, Notes};
use crate::http::error::{ApiError, Kind};
use crate::http::time::rfc3339;
use crate::model::{format_duration, format_size};
use crate::query::desk::{AT_ONCE, PATIENCE};
use crate::query::eval::Limits;
use crate::query::functions::FUNCTIONS;
use crate::query::matcher::NAME;

pub(super) fn say(out: &mut String, value: &serde_json::Value) -> Result<Notes, ApiError> {
    out.push_str(&value.to_string());
    Ok(Notes::default())
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
    let state = ask.api.state();
    let config = state.config.now();
    let here = std::env::current_dir().unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    say(
        out,
        &json!({
            "startTime": rfc3339(state.started),
            "CWD": here.to_string_lossy(),
            "hostname": state.system,
            "serverTime": rfc3339(state.clock.wall_ms()),
            // A wrong configuration is never put to use.
            "reloadConfigSuccess": true,
            "lastConfigTime": rfc3339(state.config.since()),
            "corruptionCount": 0,
            "goroutineCount": 0,
            "GOMAXPROCS": processors,
            "GOMEMLIMIT": 0,
            "GOGC": "",
            "GODEBUG": "",
            "storageRetention": format!(
                "{} or {}",
                format_duration(config.limits.raw_ms),
                format_size(config.limits.max_size)
            ),
        }),
    )
}

/// `status/config`: plimsoll.toml as it was read last. It is TOML; Prometheus' clients only show it.
pub(super) fn config(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let config = ask.api.state().config.now();
    let text = match &config.source {
        Some(_) => without_commands(&config.text),
        None => "# There is no configuration file: everything is as by default.\n".to_owned(),
    };
    say(out, &json!({ "yaml": text }))
}

/// The configuration without the command lines of plugins, which may hold passwords that readers of
/// values must not see. In doubt a line is left out.
fn without_commands(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for line in text.lines() {
        let begins = line.split('#').next().is_some_and(|code| code.contains("command"));
        if begins {
            out.push_str("# the command of a plugin is not shown here\n");
        } else if !inside {
            out.push_str(line);
            out.push('\n');
        }
        inside = (begins || inside) && !line.trim_end().ends_with([']', '}']);
    }
    out
}

/// `status/flags`: the settings, by the names of Prometheus' flags of the same meaning.
pub(super) fn flags(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let state = ask.api.state();
    let config = state.config.now();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    say(
        out,
        &json!({
            "config.file": config.source.as_deref().map(path).unwrap_or_default(),
            "query.lookback-delta": "5m",
            "query.max-concurrency": AT_ONCE.to_string(),
            "query.max-samples": Limits::default().samples.to_string(),
            "query.timeout": format_duration(PATIENCE.as_millis() as i64),
            "storage.tsdb.path": path(&state.database),
            "storage.tsdb.retention.size": format_size(config.limits.max_size),
            "storage.tsdb.retention.time": format_duration(config.limits.raw_ms),
            "web.listen-address": config.http.listen.map(|a| a.to_string()).unwrap_or_default(),
        }),
    )
}

/// `status/walreplay`: the log is SQLite's, and was read before anybody could ask.
pub(super) fn replay(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    say(out, &json!({ "min": 0, "max": 0, "current": 0 }))
}

/// `features`: the functions that can be asked for.
pub(super) fn features(_: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    let functions: serde_json::Map<String, serde_json::Value> =
        FUNCTIONS.iter().map(|f| (f.name.to_owned(), true.into())).collect();
    say(out, &json!({ "promql_functions": functions }))
}

/// `status/tsdb`: how many series there are, by name, label and value. What Prometheus calls chunks
/// are blocks here.
pub(super) fn tsdb(ask: &Ask<'_>, out: &mut String) -> Result<Notes, ApiError> {
    const MOST: usize = 10;
    const LIMIT: usize = 10_000;
    let most = match ask.params.get("limit") {
        "" => MOST,
        text => match text.parse::<usize>() {
            Ok(most) if (1..=LIMIT).contains(&most) => most,
            Ok(most) if most > LIMIT => {
                return Err(ApiError::new(Kind::BadData, format!("limit must not exceed {LIMIT}")));
            }
            _ => return Err(ApiError::new(Kind::BadData, "limit must be a positive number")),
        },
    };
    let (found, (chunks, oldest)) = ask.api.files().with_catalog(|reader, catalog| {
        let extent = reader.extent();
        let extent = extent.map_err(|e| ApiError::new(Kind::Internal, e.to_string()))?;
        let all = catalog.matching(&[]).into_iter();
        Ok::<_, ApiError>((all.map(|(labels, _)| labels.clone()).collect::<Vec<_>>(), extent))
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
    let state = ask.api.state();
    out.push_str(&format!(
        r#"{{"headStats":{{"numSeries":{},"numLabelPairs":{},"chunkCount":{chunks},"minTime":{oldest},"maxTime":{}}}"#,
        found.len(),
        by_pair.len(),
        state.counters.durable_ts.load(Relaxed)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_plugins_are_not_shown() {
        let text = "interval = \"10s\"\n[[plugin]]\nname = \"a\"\ncommand = [\"/x\", \"-p\", \"hunter2\"]\n\
                    [[plugin]]\nname = \"b\"\ncommand = [\n  \"/x\",\n  \"hunter2\", # ]\n]\n[http]\n";
        let shown = without_commands(text);
        assert!(!shown.contains("hunter2"), "{shown}");
        for kept in ["interval = \"10s\"\n", "name = \"a\"\n", "name = \"b\"\n"] {
            assert!(shown.contains(kept), "{shown}");
        }
    }
}
