//! notify: PagerDuty, by its Events API v2: <https://developer.pagerduty.com/docs/send-alert-event>.

use std::time::Duration;

use serde_json::{Value, json};

use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, post_json, word};
use crate::notify::message::{Message, Occasion, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, below, mood};
use crate::notify::v4;
use crate::reach::{HttpAnswer, HttpRequest};

const FORM: &str = "pagerduty://INTEGRATION-KEY";
const SUMMARY: Room = Room::chars(1_024);
const DETAILS: Room = Room::bytes(64_000);
const KEY: Room = Room::chars(255);
/// It asks for "a few minutes".
const PATIENCE: Duration = Duration::from_secs(120);

/// The row of the table.
pub static ROW: Row = Row {
    name: "pagerduty",
    schemes: &["pagerduty"],
    forms: &[
        "pagerduty://INTEGRATION-KEY[?region=eu]",
        "pagerduty://INTEGRATION-KEY@API-KEY[/source]",
    ],
    example: "pagerduty://e93facc04764012d7bfb002500d5d1a6",
    picture: false,
    limit: "1,024 characters, and 64 kB of details",
    help: "Service, Integrations, Add, Events API V2: its integration key. It opens and resolves the incident.",
    make,
};

struct PagerDuty {
    url: String,
    key: String,
    source: Option<String>,
    component: Option<String>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let key = target.user.as_deref().unwrap_or(&target.authority);
    let key = word(Some(key), "the integration key", FORM)?.to_owned();
    secrets.add(&key);
    // In Apprise's form a key for its other API stands there, which sends no events.
    if target.user.is_some() {
        secrets.add(&target.authority);
    }
    let usual = match target.setting("region") {
        None | Some("us") => "https://events.pagerduty.com",
        Some("eu") => "https://events.eu.pagerduty.com",
        Some(_) => return Err(TargetError("`pagerduty:`: a region is us or eu".into())),
    };
    let api = target.setting("api").unwrap_or(usual);
    let url = format!("{}/v2/enqueue", api.trim_end_matches('/'));
    let mut path = target.path.iter().cloned();
    let (source, component) = (path.next(), path.next());
    Ok(Made::new(PagerDuty { url, key, source, component }, "pagerduty://…"))
}

impl PagerDuty {
    fn request(&self, action: &str, message: &Message) -> HttpRequest {
        let severity = match mood(message) {
            Mood::Bad => "critical",
            Mood::Warning => "warning",
            Mood::Info | Mood::Over => "info",
        };
        let alert = message.alerts.first();
        let name = alert.and_then(|alert| alert.labels.get("alertname"));
        let mut body = json!({
            "routing_key": self.key, "event_action": action, "dedup_key": KEY.cut(&message.thread),
            "client": "plimsoll",
            "payload": {
                "summary": SUMMARY.cut(&message.title),
                "source": self.source.as_deref().unwrap_or(&message.host),
                "severity": severity,
                "timestamp": v4::time(message.at),
                "group": message.host,
                "custom_details": {"text": DETAILS.lines(below(message))},
            },
        });
        for (field, value) in [("component", &self.component), ("class", &name.cloned())] {
            if let Some(value) = value {
                body["payload"][field] = Value::from(value.as_str());
            }
        }
        if let Some(alert) = alert {
            body["payload"]["custom_details"]["labels"] = json!(alert.labels);
        }
        if let Some(link) = &message.link {
            body["client_url"] = Value::from(link.as_str());
            body["links"] = json!([{"href": link, "text": "plimsoll"}]);
        }
        post_json(&self.url, &body)
    }
}

fn judge(answer: &HttpAnswer) -> Outcome {
    match by_status(answer) {
        Outcome::Retry { said, after } => {
            Outcome::Retry { said, after: Some(after.unwrap_or(PATIENCE)) }
        }
        other => other,
    }
}

impl Wire for PagerDuty {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let actions: &[&str] = match message.occasion {
            Occasion::Over => &["resolve"],
            // It has to be seen there, and nobody has to close it.
            Occasion::Was | Occasion::Test => &["trigger", "resolve"],
            Occasion::Fire | Occasion::Reminder | Occasion::Digest => &["trigger"],
        };
        let mut outcome = Outcome::Refused { said: String::new() };
        for action in actions {
            outcome = match line.ask(&self.request(action, message)) {
                Ok(answer) => judge(&answer),
                Err(outcome) => outcome,
            };
            if !matches!(outcome, Outcome::Sent { .. }) {
                break;
            }
        }
        outcome
    }
}
