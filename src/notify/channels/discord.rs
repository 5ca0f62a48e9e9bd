//! notify: Discord, by a webhook of a channel: <https://discord.com/developers/docs/resources/webhook>.

use serde_json::{Value, json};

use crate::notify::answer::{by_status, said};
use crate::notify::channel::Outcome;
use crate::notify::form::Form;
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Room, below, colour, markdown, mood};
use crate::notify::way::{Line, Made, Row, Settings, Wire, no_more, post_json, word};
use crate::reach::HttpRequest;

const FORM: &str = "discord://ID/TOKEN";
const TITLE: Room = Room::utf16(1_900);
const TEXT: Room = Room::utf16(4_000);

/// The row of the table.
pub static ROW: Row = Row {
    name: "discord",
    schemes: &["discord"],
    forms: &["discord://ID/TOKEN[?thread=ID]", "https://discord.com/api/webhooks/ID/TOKEN"],
    example: "discord://1234567890123456789/Xv9hT3mN_kQ2-pLw8sRzY",
    picture: true,
    limit: "2,000 characters and 4,096 below them",
    help: "Channel settings, Integrations, Webhooks, New: paste the URL as it is.",
    make,
};

struct Discord {
    url: String,
    name: Option<String>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let id = word(Some(&target.authority), "the id", FORM)?;
    let Some((token, more)) = target.path.split_first() else {
        return Err(TargetError(format!("the token is missing: write {FORM}")));
    };
    no_more(more, FORM)?;
    let token = word(Some(token), "the token", FORM)?;
    secrets.add(token);
    let api = target.setting("api").unwrap_or("https://discord.com");
    let mut url = format!("{}/api/webhooks/{id}/{token}?wait=true", api.trim_end_matches('/'));
    if let Some(thread) = target.setting("thread") {
        url.push_str(&format!("&thread_id={}", word(Some(thread), "the thread", FORM)?));
    }
    Ok(Made::new(Discord { url, name: target.user.clone() }, format!("discord://{id}/…")))
}

impl Discord {
    fn request(&self, message: &Message, picture: Option<&Picture>) -> HttpRequest {
        let lines: Vec<String> = below(message).map(markdown).collect();
        let text = TEXT.lines(lines.iter().map(String::as_str));
        let mut embed = json!({"description": text, "color": colour(mood(message))});
        if picture.is_some() {
            embed["image"] = json!({"url": "attachment://chart.png"});
        }
        // The first line is what a phone shows; nobody is called by an @.
        let mut body = json!({
            "content": TITLE.cut(&format!("**{}**", markdown(&message.title))),
            "embeds": [embed], "allowed_mentions": {"parse": []},
        });
        if let Some(name) = &self.name {
            body["username"] = Value::from(name.as_str());
        }
        match picture {
            None => post_json(&self.url, &body),
            Some(picture) => {
                let form = Form::new(&message.key).field("payload_json", &body.to_string());
                let form = form.file("files[0]", "chart.png", "image/png", &picture.png);
                let (content, body) = form.done();
                HttpRequest::post(&self.url, &content, body)
            }
        }
    }
}

impl Wire for Discord {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        let answer = match line.ask(&self.request(message, picture)) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match by_status(&answer) {
            Outcome::Sent { .. } => {
                let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                Outcome::Sent {
                    said: match json["id"].as_str() {
                        Some(id) => format!("{} message {id}", answer.status),
                        None => said(&answer),
                    },
                }
            }
            other => other,
        }
    }
}
