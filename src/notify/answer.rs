//! notify: the meaning of a server's answer for a message: accepted, again later, or never. All ways in
//! which servers say how long to wait are read here.

use std::time::Duration;

use jiff::Timestamp;

use super::channel::Outcome;
use crate::model::{Clock, SystemClock};
use crate::reach::HttpAnswer;

/// What is shown of a receiver's words.
const MAX_SAID: usize = 200;
/// No server means more.
const LONGEST_WAIT: f64 = 86_400.0;

/// Judges by the status alone: 2xx is taken; 408, 425, 429 and 5xx pass; everything else stays.
pub fn by_status(answer: &HttpAnswer) -> Outcome {
    match answer.status {
        200..300 => Outcome::Sent { said: said(answer) },
        408 | 425 | 429 | 500..600 => Outcome::Retry { said: said(answer), after: wait(answer) },
        _ => refused(answer),
    }
}

/// Refused for good, with what to do about it.
pub fn refused(answer: &HttpAnswer) -> Outcome {
    let advice = match answer.status {
        300..=399 => match answer.header("location") {
            Some(to) => {
                return Outcome::Refused {
                    said: format!("{}; it has moved: write {to}", said(answer)),
                };
            }
            None => "the address leads elsewhere",
        },
        401 | 403 => "check the token, user or password of the target",
        404 | 410 => "nothing takes messages at this address: check it, or make a new one there",
        413 => "the message is too large for it",
        _ => "check the target",
    };
    Outcome::Refused { said: format!("{}; {advice}", said(answer)) }
}

/// The status and the beginning of what was said, on one line. The whole text is looked through for
/// secrets before it is cut: see [`short`].
pub fn said(answer: &HttpAnswer) -> String {
    let text = answer.text();
    let text = text.trim();
    // A page for people says nothing here.
    let shown = if text.starts_with('<') { "" } else { text };
    format!("{} {shown}", answer.status).trim_end().to_owned()
}

/// At most 200 printable characters, on one line.
pub fn short(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    super::text::Room::chars(MAX_SAID).cut(&words.join(" "))
}

/// How long the server wants to be left alone: the longest of what it says in `Retry-After` (seconds or
/// a date), in `X-RateLimit-Reset-After`, and in the JSON of its text: `retry_after` in seconds, also
/// below `parameters` (Telegram), `retry_after_ms` (Matrix).
pub fn wait(answer: &HttpAnswer) -> Option<Duration> {
    let json = answer.text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
    let seconds = |value: &serde_json::Value| {
        value.as_f64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    };
    [
        answer.header("retry-after").and_then(|text| until(answer, text)),
        answer.header("x-ratelimit-reset-after").and_then(|text| text.trim().parse().ok()),
        seconds(&json["retry_after"]),
        seconds(&json["parameters"]["retry_after"]),
        seconds(&json["retry_after_ms"]).map(|ms| ms / 1_000.0),
    ]
    .into_iter()
    .flatten()
    .filter(|s: &f64| *s > 0.0)
    .map(|s| Duration::from_secs_f64(s.min(LONGEST_WAIT)))
    .max()
}

fn now() -> Timestamp {
    Timestamp::from_millisecond(SystemClock.wall_ms()).unwrap_or_default()
}

/// `120`, `1.5` or `Wed, 21 Oct 2026 07:28:00 GMT`, in seconds from now. The server's own clock counts
/// where it says what time it is.
fn until(answer: &HttpAnswer, text: &str) -> Option<f64> {
    let text = text.trim();
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    text.parse().ok().or_else(|| {
        let now = answer.header("date").and_then(date).unwrap_or_else(now);
        Some(date(text)?.duration_since(now).as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        HttpAnswer { status, headers: headers.iter().map(own).collect(), body: body.into() }
    }

    #[test]
    fn every_way_to_say_wait_is_read() {
        let date = [
            ("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"),
            ("date", "Wed, 21 Oct 2026 07:27:30 GMT"),
        ];
        for (headers, body, ms) in [
            (&[("retry-after", "120")][..], "", Some(120_000)),
            (&[("retry-after", "1.5")], "", Some(1_500)),
            (&date, "", Some(30_000)),
            (&[("retry-after", "soon")], "", None),
            (&[("retry-after", "-3")], "", None),
            (&[("retry-after", "1e300")], "", Some(86_400_000)),
            (&[("x-ratelimit-reset-after", "0.75")], "", Some(750)),
            (&[], r#"{"retry_after": 64.57, "global": false}"#, Some(64_570)),
            (&[], r#"{"retry_after":1}"#, Some(1_000)),
            (&[], r#"{"ok":false,"error_code":429,"parameters":{"retry_after":5}}"#, Some(5_000)),
            (
                &[("retry-after", "1")],
                r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2250}"#,
                Some(2_250),
            ),
            (&[], "no JSON", None),
            (&[], "[1]", None),
        ] {
            let wanted = ms.map(Duration::from_millis);
            assert_eq!(wait(&answer(429, headers, body)), wanted, "{headers:?} {body}");
        }
    }

    #[test]
    fn a_status_is_taken_passing_or_final() {
        let kind = |status| match by_status(&answer(status, &[], "x")) {
            Outcome::Sent { said } => format!("sent {said}"),
            Outcome::Retry { said, after: None } => format!("retry {said}"),
            Outcome::Retry { after: Some(_), .. } => "wait".into(),
            Outcome::Refused { said } => format!("refused {said}"),
        };
        for (status, wanted) in [
            (200, "sent 200 x"),
            (202, "sent 202 x"),
            (204, "sent 204 x"),
            (408, "retry 408 x"),
            (425, "retry 425 x"),
            (429, "retry 429 x"),
            (500, "retry 500 x"),
            (503, "retry 503 x"),
            (301, "refused 301 x; the address leads elsewhere"),
            (400, "refused 400 x; check the target"),
            (401, "refused 401 x; check the token, user or password of the target"),
            (
                410,
                "refused 410 x; nothing takes messages at this address: check it, or make a new one there",
            ),
            (413, "refused 413 x; the message is too large for it"),
        ] {
            assert_eq!(kind(status), wanted);
        }
        let moved = by_status(&answer(308, &[("location", "https://b/")], ""));
        assert_eq!(moved, Outcome::Refused { said: "308; it has moved: write https://b/".into() });
    }

    #[test]
    fn what_is_said_is_short_and_one_line() {
        assert_eq!(said(&answer(502, &[], "<html>\n<body>Bad gateway")), "502");
        assert_eq!(short(" a\r\n\u{1b}[31m b\t"), "a [31m b");
        assert_eq!(short(&"é".repeat(300)).chars().count(), 200);
    }
}
