//! http: the Prometheus text format, pushed to a group, as jobs do that a scraper would never catch:
//! `/metrics/job/NAME[/LABEL/VALUE…]`. PUT replaces the group, POST what has the same names, DELETE
//! ends it. History is never touched: what is replaced or ended gets a stale marker, so that it does
//! not go on for those who look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::State as Get;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::{Failure, Unpacked, receive, take};
use crate::http::{State, base64};
use crate::model::{Kind, SeriesRef};
use crate::pipeline::{Origin, Source};
use crate::wire::About;
use crate::wire::exposition::{Reader, is_label_name};

/// Prometheus' mark for a series that has ended.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The series of each group, by its labels. There are no more of them than of pushed names.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<BTreeMap<Labels, BTreeSet<SeriesRef>>>);

type Labels = Vec<(String, String)>;

pub(super) fn methods() -> MethodRouter<Arc<State>> {
    axum::routing::post(answer).put(answer).delete(answer)
}

async fn answer(
    Get(state): Get<Arc<State>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let done = match labels(uri.path()) {
        Ok(labels) if method == Method::DELETE => end(&state, &labels),
        Ok(labels) => match receive(&state.desk, &headers, body).await {
            Ok(body) => push(&state, &method, labels, &headers, &body.bytes),
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    };
    match done {
        Ok(status) => status.into_response(),
        Err(failure) => failure.answer(&state),
    }
}

fn origin(labels: &Labels) -> Origin<'_> {
    Origin { labels, ..Origin::new(Source::Text, "push", false) }
}

fn push(
    state: &State,
    method: &Method,
    labels: Labels,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<StatusCode, Failure> {
    let too_large = AtomicBool::new(false);
    let input = Unpacked::new(headers, body, &too_large)?;
    let now = state.clock.wall_ms();
    let mut groups = state.desk.groups.0.lock().unwrap_or_else(|e| e.into_inner());
    let mut push = state.intake.begin(origin(&labels), now);
    let tally = take(&mut push, &mut Reader::new(input, now));
    if too_large.load(Relaxed) {
        return Err(Failure::too_large(
            "a body of more than 4 MiB when unpacked; send less at once",
        ));
    }
    // A group is replaced as a whole or not at all.
    if tally.refused > 0 {
        return Err(Failure::invalid(format!("nothing was taken: {}", tally.summary())));
    }
    let about = About {
        kind: Kind::Gauge,
        unit: "seconds",
        help: "When this group was pushed last, in seconds since 1970.",
    };
    let _counted = push.put("push_time_seconds", now, now as f64 / 1e3, Some(about));
    let new: BTreeSet<SeriesRef> = push.taken().collect();
    let name = |series: SeriesRef| Arc::clone(&state.registry.get(series));
    let names: BTreeSet<Box<str>> =
        new.iter().map(|series| name(*series).identity.name.clone()).collect();
    let old = groups.get(&labels).cloned().unwrap_or_default();
    let (gone, kept): (Vec<_>, Vec<_>) = old
        .difference(&new)
        .copied()
        .partition(|series| *method == Method::PUT || names.contains(&name(*series).identity.name));
    for series in gone {
        let _counted = push.sample(series, now, STALE);
    }
    push.finish()?;
    groups.insert(labels, new.into_iter().chain(kept).collect());
    Ok(StatusCode::OK)
}

fn end(state: &State, labels: &Labels) -> Result<StatusCode, Failure> {
    let mut groups = state.desk.groups.0.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(series) = groups.get(labels) {
        let now = state.clock.wall_ms();
        let mut push = state.intake.begin(origin(labels), now);
        for series in series {
            let _counted = push.sample(*series, now, STALE);
        }
        push.finish()?;
        groups.remove(labels);
    }
    Ok(StatusCode::ACCEPTED)
}

/// The labels that a path names, the job first; sorted behind it, so that the order in the path
/// makes no other group.
fn labels(path: &str) -> Result<Labels, Failure> {
    let not_found = || {
        let message = "the path is /metrics/job/NAME, with any number of /LABEL/VALUE behind it";
        Failure::new(StatusCode::NOT_FOUND, "not found", message)
    };
    let rest = path.strip_prefix("/metrics/").ok_or_else(not_found)?;
    let mut parts = rest.split('/');
    let mut labels = Labels::new();
    while let Some(name) = parts.next() {
        let value = parts.next().ok_or_else(not_found)?;
        let (name, value) = match name.strip_suffix("@base64") {
            Some(name) => (name, base64::decode(value)),
            None => (name, percent(value)),
        };
        let value = value.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            Failure::invalid(format!("the value of `{name}` is not encoded well"))
        })?;
        match name {
            "job" if labels.is_empty() && value.is_empty() => {
                return Err(Failure::invalid("no name behind /metrics/job/"));
            }
            "job" if labels.is_empty() => {}
            _ if labels.is_empty() => return Err(not_found()),
            name if !is_label_name(name) || name.starts_with("__") => {
                return Err(Failure::invalid(format!("`{name}` cannot be a label's name")));
            }
            name if labels.iter().any(|(n, _)| n == name) => {
                return Err(Failure::invalid(format!("the label `{name}` twice")));
            }
            _ => {}
        }
        labels.push((name.to_owned(), value));
    }
    if let Some((_, others)) = labels.split_first_mut() {
        others.sort();
    }
    Ok(labels)
}

fn percent(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            byte => byte,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_by_path() {
        let found = |path: &str| match labels(path) {
            Ok(labels) => {
                labels.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
            }
            Err(failure) => failure.message,
        };
        for (path, expected) in [
            ("/metrics/job/backup", "job=backup"),
            ("/metrics/job/a/z/1/instance/b", "job=a instance=b z=1"),
            ("/metrics/job/a%2Fb%20c/x/%C3%A9", "job=a/b c x=é"),
            ("/metrics/job@base64/YS9i/path@base64/L3Zhci90bXA", "job=a/b path=/var/tmp"),
            ("/metrics/job/a/x@base64/=", "job=a x="),
            ("/metrics/job/", "no name behind /metrics/job/"),
            ("/metrics/job/a/b", "the path is /metrics/job/NAME, with any number of"),
            ("/metrics/foo/a", "the path is /metrics/job/NAME, with any number of"),
            ("/metrics/job/a/b-c/d", "`b-c` cannot be a label's name"),
            ("/metrics/job/a/__x/d", "`__x` cannot be a label's name"),
            ("/metrics/job/a/b/1/b/2", "the label `b` twice"),
            ("/metrics/job/a/job/2", "the label `job` twice"),
            ("/metrics/job/%zz", "the value of `job` is not encoded well"),
            ("/metrics/job/%", "the value of `job` is not encoded well"),
            ("/metrics/job/%ff", "the value of `job` is not encoded well"),
            ("/metrics/job@base64/a", "the value of `job` is not encoded well"),
        ] {
            let found = found(path);
            assert!(
                found == expected || found.starts_with(expected) && expected.len() > 20,
                "{path}: {found}"
            );
        }
    }
}
