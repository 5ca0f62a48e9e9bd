//! notify: Slack, by a webhook or a bot: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.
//! Mattermost and Rocket.Chat take the same JSON.

use serde_json::{Value, json};

use crate::notify::answer::{by_status, said};
use crate::notify::channel::Outcome;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, no_more, post_json, word};
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Room, below, colour, mood};
use crate::reach::HttpRequest;

const FORM: &str = "slack://T…/B…/TOKEN or slack://xoxb-TOKEN/channel";
/// It folds longer ones.
const TITLE: Room = Room::chars(2_900);
const TEXT: Room = Room::chars(2_900);

/// The row of the table.
pub static ROW: Row = Row {
    name: "slack",
    schemes: &["slack"],
    forms: &[
        "slack://T…/B…/TOKEN",
        "slack://xoxb-TOKEN/channel",
        "https://hooks.slack.com/services/T…/B…/TOKEN",
    ],
    example: "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    picture: false,
    limit: "3,000 characters",
    help: "Make an app with an incoming webhook for a channel, and paste its URL as it is.",
    make,
};

enum Slack {
    Hook { url: String },
    Bot { url: String, token: String, channel: String },
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let first = word(Some(&target.authority), "the token", FORM)?;
    if first.starts_with("xox") {
        secrets.add(first);
        let Some((channel, more)) = target.path.split_first() else {
            return Err(TargetError(format!("the channel is missing: write {FORM}")));
        };
        no_more(more, FORM)?;
        let api = target.setting("api").unwrap_or("https://slack.com");
        let url = format!("{}/api/chat.postMessage", api.trim_end_matches('/'));
        let shown = format!("slack://…/{channel}");
        let bot = Slack::Bot { url, token: first.to_owned(), channel: channel.clone() };
        return Ok(Made::new(bot, shown));
    }
    let mut parts = target.path.iter().map(String::as_str);
    let second = word(parts.next(), "the second part", FORM)?;
    let third = word(parts.next(), "the third part", FORM)?;
    no_more(target.path.get(2..).unwrap_or_default(), FORM)?;
    secrets.add(third);
    secrets.add(second);
    let api = target.setting("api").unwrap_or("https://hooks.slack.com");
    let url = format!("{}/services/{first}/{second}/{third}", api.trim_end_matches('/'));
    Ok(Made::new(Slack::Hook { url }, format!("slack://{first}/…")))
}

/// The first line, which phones show, and the others with a bar in the colour of the mood.
pub(super) fn body(
    message: &Message,
    title: Room,
    text: Room,
    escaped: fn(&str) -> String,
) -> Value {
    let lines: Vec<String> = below(message).map(escaped).collect();
    let text = text.lines(lines.iter().map(String::as_str));
    let mut body = json!({"text": title.cut(&escaped(&message.title))});
    if !text.is_empty() {
        let colour = format!("#{:06x}", colour(mood(message)));
        body["attachments"] = json!([{"color": colour, "text": text, "fallback": text}]);
    }
    body
}

/// What Slack reads as marks and calls.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Slack {
    fn request(&self, message: &Message) -> HttpRequest {
        let mut body = body(message, TITLE, TEXT, escaped);
        // Stars and underscores are stars and underscores.
        body["mrkdwn"] = Value::from(false);
        if body["attachments"].is_array() {
            body["attachments"][0]["mrkdwn_in"] = json!([]);
        }
        match self {
            Self::Hook { url } => post_json(url, &body),
            Self::Bot { url, token, channel } => {
                body["channel"] = Value::from(channel.as_str());
                body["unfurl_links"] = Value::from(false);
                post_json(url, &body).with("Authorization", format!("Bearer {token}"))
            }
        }
    }
}

impl Wire for Slack {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let answer = match line.ask(&self.request(message)) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        // To a bot it says 200 also when it says no.
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match (by_status(&answer), json["ok"].as_bool(), json["error"].as_str()) {
            (Outcome::Sent { .. }, Some(false), error) => {
                let error = error.unwrap_or("it does not say why");
                let later = [
                    "ratelimited",
                    "rate_limited",
                    "internal_error",
                    "fatal_error",
                    "service_unavailable",
                    "request_timeout",
                ];
                match later.contains(&error) {
                    true => Outcome::Retry {
                        said: format!("{} {error}", answer.status),
                        after: crate::notify::answer::wait(&answer),
                    },
                    false => Outcome::Refused {
                        said: format!(
                            "{} {error}; check the token and the channel, and invite the bot there",
                            answer.status
                        ),
                    },
                }
            }
            (Outcome::Sent { .. }, Some(true), _) => Outcome::Sent { said: "200 ok".into() },
            (Outcome::Sent { .. }, ..) => Outcome::Sent { said: said(&answer) },
            (other, ..) => other,
        }
    }
}
