//! http: the Prometheus text format, pushed to a group, for jobs that a scraper would never catch:
//! `/metrics/job/NAME[/LABEL/VALUE…]`. PUT replaces the group, POST the series with the same names,
//! DELETE ends it. History is never touched: a replaced or ended series gets a stale marker, so
//! that it does not seem to continue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::body::Body;
use axum::extract::State as Get;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;

use super::Failure;
use super::body::Unpacked;
use super::desk::{Job, Who, take_in};
use super::ended::{Labels, Whose};
use super::tally::{Tally, take};
use crate::http::AppState;
use crate::model::{Kind, Pinned, SeriesRef};
use crate::pipeline::{Origin, Receipt, Source};
use crate::wire::exposition::{Reader, is_label_name};
use crate::wire::{About, base64};

/// Prometheus' mark for a series that has ended.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

pub(super) fn methods() -> MethodRouter<Arc<AppState>> {
    axum::routing::post(answer).put(answer).delete(answer)
}

async fn answer(
    Get(state): Get<Arc<AppState>>,
    who: Who,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let done = match labels(uri.path()) {
        Ok(labels) if method == Method::DELETE => {
            take_in(Arc::clone(&state), who, headers, body, move |job| end(job, &labels)).await
        }
        Ok(labels) => {
            take_in(Arc::clone(&state), who, headers, body, move |job| push(job, &method, &labels))
                .await
        }
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

/// The time of a push, a series of each group.
const PUSHED: &str = "push_time_seconds";

fn nothing(tally: &Tally, why: &str) -> Failure {
    Failure { status: tally.status(), ..Failure::invalid(format!("nothing was taken: {why}")) }
}

fn push(job: &Job<'_>, method: &Method, labels: &Labels) -> Result<(StatusCode, Receipt), Failure> {
    let state = job.state;
    let input = Unpacked::new(job.headers, job.bytes, job.watch)?;
    let now = state.clock.wall_ms();
    let mut kept = state.pushes.groups.0.lock().unwrap_or_else(|e| e.into_inner());
    let mut push = state.intake.begin(job.sent(origin(labels)), now);
    let tally = take(&mut push, &mut Reader::new(input, now), job.watch)?;
    // A group is replaced as a whole or not at all.
    if tally.refused > 0 {
        return Err(nothing(&tally, &tally.summary()));
    }
    let about = About {
        kind: Kind::Gauge,
        unit: "seconds",
        help: "When this group was pushed last, in seconds since 1970.",
    };
    // Also of an empty body: it is how a group begins.
    if let Err(why) = push.put(PUSHED, now, now as f64 / 1e3, Some(about)) {
        let mut tally = tally;
        tally.refuse_for(0, &why, PUSHED);
        return Err(nothing(&tally, &why.to_string()));
    }
    let mut new: BTreeMap<SeriesRef, Pinned> =
        push.taken().filter_map(|series| Some((series, state.registry.pin(series)?))).collect();
    let name = |series: &Pinned| series.series().identity.name.clone();
    let names: BTreeSet<Box<str>> = new.values().map(name).collect();
    let whose = Whose::of(job.bound(), labels);
    let old = kept.groups.get(&whose).map(|group| group.series.clone()).unwrap_or_default();
    for (number, series) in old {
        if new.contains_key(&number) {
            continue;
        }
        if *method == Method::PUT || names.contains(&series.series().identity.name) {
            let _counted = push.sample(number, now, STALE);
        } else {
            new.insert(number, series);
        }
    }
    let (_, receipt) = push.finish_awaited()?;
    let forgotten = kept.insert(whose, new);
    state.counters.groups_forgotten.fetch_add(forgotten, Relaxed);
    Ok((StatusCode::OK, receipt))
}

fn end(job: &Job<'_>, labels: &Labels) -> Result<(StatusCode, Receipt), Failure> {
    let state = job.state;
    let mut kept = state.pushes.groups.0.lock().unwrap_or_else(|e| e.into_inner());
    let now = state.clock.wall_ms();
    let mut push = state.intake.begin(job.sent(origin(labels)), now);
    // Before any look-up: a sender that may not push a group may not end it either.
    if let Err(why) = push.may_send(PUSHED) {
        let mut tally = Tally::default();
        tally.refuse_for(0, &why, PUSHED);
        return Err(nothing(&tally, &why.to_string()));
    }
    let whose = Whose::of(job.bound(), labels);
    let Some(group) = kept.groups.get(&whose) else {
        return Ok((StatusCode::ACCEPTED, Receipt::nothing()));
    };
    for series in group.series.keys() {
        let _counted = push.sample(*series, now, STALE);
    }
    let (_, receipt) = push.finish_awaited()?;
    kept.remove(&whose);
    Ok((StatusCode::ACCEPTED, receipt))
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
