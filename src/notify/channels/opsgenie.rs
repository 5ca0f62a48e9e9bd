//! notify: Opsgenie, which Atlassian closes in 2027: <https://docs.opsgenie.com/docs/alert-api>.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, no_more, post_json, word};
use crate::notify::message::{Message, Occasion, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, mood, titled};
use crate::reach::HttpRequest;

const FORM: &str = "opsgenie://API-KEY";
const TITLE: Room = Room::utf16(130);
const TEXT: Room = Room::utf16(15_000);
const ALIAS: Room = Room::chars(512);

/// The row of the table.
pub static ROW: Row = Row {
    name: "opsgenie",
    schemes: &["opsgenie"],
    forms: &["opsgenie://API-KEY[?region=eu]"],
    example: "opsgenie://eb243592-faa2-4ba2-a551-1afdf565c889",
    picture: false,
    limit: "130 characters, and 15,000 of a description",
    help: "Teams, Integrations, Add, API: its key. Opsgenie's own rules say who is told.",
    make,
};

struct Opsgenie {
    url: String,
    key: String,
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    no_more(&target.path, FORM)?;
    let key = word(Some(&target.authority), "the key", FORM)?.to_owned();
    secrets.add(&key);
    let usual = match target.setting("region") {
        None | Some("us") => "https://api.opsgenie.com",
        Some("eu") => "https://api.eu.opsgenie.com",
        Some(_) => return Err(TargetError("`opsgenie:`: a region is us or eu".into())),
    };
    let api = target.setting("api").unwrap_or(usual);
    let url = format!("{}/v2/alerts", api.trim_end_matches('/'));
    Ok(Made::new(Opsgenie { url, key }, "opsgenie://…"))
}

impl Opsgenie {
    fn request(&self, open: bool, message: &Message) -> HttpRequest {
        let alias = ALIAS.cut(&message.thread);
        let (title, text) = titled(message, TITLE, TEXT);
        let request = if open {
            let priority = match mood(message) {
                Mood::Bad => "P1",
                Mood::Warning => "P3",
                Mood::Info | Mood::Over => "P5",
            };
            let mut body = json!({
                "message": title, "alias": alias, "description": text, "priority": priority,
                "source": message.host, "entity": message.host,
            });
            if let Some(alert) = message.alerts.first() {
                body["details"] = json!(alert.labels);
            }
            post_json(&self.url, &body)
        } else {
            let alias = utf8_percent_encode(&alias, NON_ALPHANUMERIC);
            let url = format!("{}/{alias}/close?identifierType=alias", self.url);
            let note = Value::from(message.title.as_str());
            post_json(url, &json!({"source": message.host, "note": note}))
        };
        request.with("Authorization", format!("GenieKey {}", self.key))
    }
}

impl Wire for Opsgenie {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let steps: &[bool] = match message.occasion {
            Occasion::Over => &[false],
            Occasion::Was | Occasion::Test => &[true, false],
            Occasion::Fire | Occasion::Reminder | Occasion::Digest => &[true],
        };
        let mut outcome = Outcome::Refused { said: String::new() };
        for open in steps {
            outcome = match line.ask(&self.request(*open, message)) {
                Ok(answer) => by_status(&answer),
                Err(outcome) => outcome,
            };
            if !matches!(outcome, Outcome::Sent { .. }) {
                break;
            }
        }
        outcome
    }
}
