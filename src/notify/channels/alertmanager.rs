//! notify: Prometheus' Alertmanager, by its API v2: it groups, silences and tells people by its own
//! rules. What it knows is in its memory only, so what fires has to be told again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::{Clock, SystemClock};
use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::message::{Message, Occasion, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::v4;
use crate::notify::way::{Line, Made, Row, Settings, Wire, post_json, word};
use crate::reach::{HttpRequest, basic};

const FORM: &str = "alertmanager+http://host:9093";

/// It counts what is not told again as over after this time. A plimsoll that has ended says nothing
/// about what it watched, so this is long.
const KEPT_MS: i64 = 24 * 3_600_000;

/// It forgets everything when it starts, and learns it again within this time.
const AGAIN: Duration = Duration::from_secs(60);

/// The row of the table.
pub static ROW: Row = Row {
    name: "alertmanager",
    schemes: &["alertmanager+http", "alertmanager+https"],
    forms: &["alertmanager+http[s]://[user:password@]host[:port][/path]"],
    example: "alertmanager+http://127.0.0.1:9093",
    picture: false,
    limit: "none",
    help: "Nothing to set up there; its own configuration says who is told.",
    make,
};

struct Alertmanager {
    url: String,
    authorization: Option<String>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let origin = target.origin(target.scheme == "alertmanager+https")?;
    let authorization = match (&target.user, &target.password) {
        (Some(user), Some(password)) => {
            secrets.add(password);
            Some(basic(&format!("{user}:{password}")))
        }
        (Some(token), None) => {
            secrets.add(token);
            Some(format!("Bearer {token}"))
        }
        _ => None,
    };
    if let Some(authorization) = &authorization {
        secrets.add(authorization.rsplit(' ').next().unwrap_or_default());
    }
    for folder in &target.path {
        word(Some(folder), "the path", FORM)?;
    }
    let path: String = target.path.iter().map(|folder| format!("/{folder}")).collect();
    let shown = format!("{}://{}{path}", target.scheme, target.authority);
    let url = format!("{origin}{path}/api/v2/alerts");
    Ok(Made::new(Alertmanager { url, authorization }, shown))
}

/// Its alerts at this time, ms since 1970.
fn alerts(message: &Message, now: i64) -> Value {
    let over = matches!(message.occasion, Occasion::Over | Occasion::Was);
    let with_host = |labels: &BTreeMap<String, String>| {
        let mut labels = labels.clone();
        labels.entry("host".to_owned()).or_insert_with(|| message.host.clone());
        labels
    };
    if message.alerts.is_empty() {
        // A test: it is over by itself, soon.
        let labels = BTreeMap::from([
            ("alertname".to_owned(), "plimsoll_test".to_owned()),
            ("severity".to_owned(), message.severity.word().to_owned()),
        ]);
        let end = if over { now } else { now + 60_000 };
        return json!([{
            "labels": with_host(&labels), "annotations": {"summary": message.title},
            "startsAt": v4::time(message.at.min(end)), "endsAt": v4::time(end),
        }]);
    }
    let one = |alert: &crate::notify::message::Alert| {
        let end = match alert.firing && !over {
            true => now + KEPT_MS,
            false => alert.ends_at.unwrap_or(now).min(now),
        };
        let mut json = json!({
            "labels": with_host(&alert.labels), "annotations": alert.annotations,
            "startsAt": v4::time(alert.starts_at.min(end)), "endsAt": v4::time(end),
        });
        // It takes whole URLs only.
        if alert.generator_url.starts_with("http") {
            json["generatorURL"] = Value::from(alert.generator_url.as_str());
        }
        json
    };
    message.alerts.iter().map(one).collect()
}

impl Alertmanager {
    fn request(&self, message: &Message, now: i64) -> HttpRequest {
        let request = post_json(&self.url, &alerts(message, now));
        match &self.authorization {
            Some(authorization) => request.with("Authorization", authorization),
            None => request,
        }
    }
}

impl Wire for Alertmanager {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let request = self.request(message, SystemClock.wall_ms());
        line.ask(&request).map_or_else(|outcome| outcome, |answer| by_status(&answer))
    }

    fn repeats(&self) -> Option<Duration> {
        Some(AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::alerts;
    use crate::notify::message::{Occasion, example};

    #[test]
    fn what_fires_is_kept_and_what_is_over_ends() {
        let mut message = example();
        let now = message.at + 60_000;
        let json = alerts(&message, now);
        assert_eq!(json[0]["labels"]["host"], "web1");
        assert_eq!(json[0]["startsAt"], "2026-12-01T04:23:33Z");
        assert_eq!(json[0]["endsAt"], "2026-12-02T04:24:53.123Z");
        message.occasion = Occasion::Over;
        message.alerts[0].firing = false;
        message.alerts[0].ends_at = Some(message.at);
        assert_eq!(alerts(&message, now)[0]["endsAt"], "2026-12-01T04:23:53.123Z");
        message.alerts.clear();
        message.occasion = Occasion::Test;
        let json = alerts(&message, now);
        assert_eq!(json[0]["labels"]["alertname"], "plimsoll_test");
        assert_eq!(json[0]["endsAt"], "2026-12-01T04:25:53.123Z");
    }
}
