//! http: Prometheus remote write, 1.0 and 2.0.
//!
//! A sender repeats a message after 5xx and never after other 4xx. So the answer is 503 only while
//! the queue is full, and 400 if the message would be just as wrong the next time; its good parts
//! are then kept.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State as Get;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Failure;
use super::body::{MAX_DECODED, encoding};
use super::desk::{Job, Who, take_in};
use super::tally::Tally;
use crate::http::AppState;
use crate::model::Kind;
use crate::pipeline::{Origin, Push, Reason, Receipt, Refused, Source};
use crate::wire::About;
use crate::wire::remote_write::{Request, TimeSeries, Version, kind_word};

/// The number of series that are read between two looks at the clock. A bad series does not end the
/// body, unlike in the text formats: the sender never repeats it, and a bad series costs no more
/// than a good one.
const LOOK: u64 = 1_024;

const V2_MESSAGE: &str = "io.prometheus.write.v2.Request";

/// 204, or why not.
pub(super) async fn write(
    Get(state): Get<Arc<AppState>>,
    who: Who,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match take_in(Arc::clone(&state), who, headers, body, message).await {
        Ok((version, taken, tally)) => {
            let mut response = match tally.refused {
                0 => StatusCode::NO_CONTENT.into_response(),
                refused => {
                    let message = format!(
                        "{taken} samples were taken, {refused} were not: {}",
                        tally.summary()
                    );
                    let status = tally.status();
                    Failure { status, ..Failure::invalid(message) }.into_response()
                }
            };
            if version == Version::V2 {
                // By these a sender of 2.0 knows that it was understood.
                for (name, written) in [("samples", taken), ("histograms", 0), ("exemplars", 0)] {
                    let name = format!("x-prometheus-remote-write-{name}-written");
                    if let Ok(name) = header::HeaderName::try_from(name) {
                        response.headers_mut().insert(name, written.into());
                    }
                }
            }
            response
        }
        Err(failure) => failure.answer(&state),
    }
}

fn message(job: &Job<'_>) -> Result<((Version, usize, Tally), Receipt), Failure> {
    let version = version(job.headers)?;
    let unpacked = unpack(job.headers, job.bytes)?;
    let mut request =
        Request::new(version, &unpacked).map_err(|e| Failure::invalid(e.to_string()))?;
    let now = job.state.clock.wall_ms();
    let origin = job.sent(Origin::new(Source::RemoteWrite, "remote_write", false));
    let mut push = job.state.intake.begin(origin, now);
    let mut tally = Tally::default();
    let mut alias = Vec::new();
    let mut index = 0;
    while let Some(series) = request.next_series() {
        let series = series.map_err(|e| Failure::invalid(format!("series {index}: {e}")))?;
        one(&mut push, series, index, &mut alias, &mut tally);
        index += 1;
        if index.is_multiple_of(LOOK) && job.watch.is_late() {
            break;
        }
    }
    job.watch.check()?;
    let (taken, receipt) = push.finish_awaited()?;
    Ok(((version, taken, tally), receipt))
}

fn one(
    push: &mut Push<'_>,
    series: TimeSeries<'_, '_>,
    index: u64,
    alias: &mut Vec<u8>,
    tally: &mut Tally,
) {
    alias.clear();
    let histograms = series.histograms();
    if histograms > 0 {
        push.lost(Reason::NoNumber, histograms);
        tally.refuse(index, None, || "native histograms are not kept".to_owned());
    }
    // A name that brings no sample takes no place.
    if series.samples().next().is_none() {
        return;
    }
    let number = match series.alias(alias) {
        Ok(()) => push.series(alias, || {
            let (name, labels) = series.labels()?;
            let about = series.metadata().map(|m| About {
                kind: kind_of(&name, kind_word(m.kind)),
                unit: m.unit,
                help: m.help,
            });
            let guessed = || About { kind: kind_of(&name, "unknown"), unit: "", help: "" };
            let about = about.unwrap_or_else(guessed);
            Ok((name, labels, Some(about)))
        }),
        Err(reason) => Err(Refused::Invalid(reason)),
    };
    let mut samples = 0;
    for sample in series.samples() {
        samples += 1;
        let put = match (&number, sample) {
            (Ok(number), Ok((ts, value))) => push.sample(*number, ts, value),
            (Ok(_), Err(broken)) => {
                push.lost(Reason::Invalid, 1);
                Err(Refused::Invalid(broken.to_string()))
            }
            (Err(_), _) => continue,
        };
        if let Err(refused) = put {
            tally.refuse_for(index, &refused, "");
        }
    }
    if let Err(refused) = number {
        push.count(&refused, samples);
        if samples > 0 {
            tally.refuse_for(index, &refused, "");
            tally.refused += samples - 1;
        }
    }
}

/// Sums, counts and buckets grow, whatever they are the sum, count and buckets of.
fn kind_of(name: &str, word: &str) -> Kind {
    let part = ["_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix));
    match word {
        "counter" => Kind::Counter,
        "histogram" | "summary" | "unknown" if part => Kind::Counter,
        "unknown" => Kind::guess(name),
        _ => Kind::Gauge,
    }
}

fn version(headers: &HeaderMap) -> Result<Version, Failure> {
    let text = headers.get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let message = parts.find_map(|p| p.strip_prefix("proto="));
    match (media, message) {
        ("application/x-protobuf" | "", None | Some("prometheus.WriteRequest")) => Ok(Version::V1),
        ("application/x-protobuf", Some(V2_MESSAGE)) => Ok(Version::V2),
        _ => Err(unsupported(format!(
            "Content-Type `{text}`; application/x-protobuf of remote write 1.0 or 2.0 is understood"
        ))),
    }
}

fn unsupported(message: String) -> Failure {
    Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type", message)
}

/// The length comes first in the body, and is believed only if it is small.
fn unpack(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Failure> {
    match encoding(headers) {
        "" | "snappy" => {}
        other => {
            return Err(unsupported(format!("Content-Encoding `{other}`; snappy is understood")));
        }
    }
    let broken = |_| Failure::invalid("the body is not packed with snappy (block format)");
    let length = snap::raw::decompress_len(body).map_err(broken)?;
    if length > MAX_DECODED {
        return Err(Failure::too_large(format!(
            "a body of {length} bytes when unpacked, {MAX_DECODED} are allowed; send fewer samples at once"
        )));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(broken)
}
