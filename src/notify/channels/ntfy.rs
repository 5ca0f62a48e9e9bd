//! notify: ntfy, the simplest push to a phone: <https://docs.ntfy.sh/publish/>.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::notify::answer::{by_status, said};
use crate::notify::channel::Outcome;
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, mood, titled};
use crate::notify::way::{Line, Made, Row, Settings, Wire, no_more, post_json, word};
use crate::reach::{HttpAnswer, HttpRequest, basic};

const FORM: &str = "ntfy:topic or ntfys://host/topic";
/// A longer text becomes an attachment there (4,096 bytes).
const TEXT: Room = Room::bytes(3_800);
/// Beside a picture the text stands in the address, encoded: a proxy takes 8 kB of it.
const BESIDE_PICTURE: Room = Room::bytes(1_200);
const TITLE: Room = Room::bytes(240);

/// The row of the table.
pub static ROW: Row = Row {
    name: "ntfy",
    schemes: &["ntfy", "ntfys"],
    forms: &["ntfy:topic", "ntfys://[user:password@|token@]host[:port]/topic[?priority=1-5]"],
    example: "ntfys://tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2@ntfy.example.org/alerts",
    picture: true,
    limit: "4,096 bytes",
    help: "Install the app and subscribe to a topic; who knows its name can read it.",
    make,
};

struct Ntfy {
    base: String,
    topic: String,
    authorization: Option<String>,
    /// For what is bad.
    priority: u8,
    tags: Option<String>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let (base, topic, shown) = match target.path.split_first() {
        None => {
            let base = target.setting("api").unwrap_or("https://ntfy.sh").to_owned();
            (base, target.authority.as_str(), None)
        }
        Some((topic, more)) => {
            no_more(more, FORM)?;
            let secure = target.scheme == "ntfys" || target.authority == "ntfy.sh";
            (target.origin(secure)?, topic.as_str(), Some(target.authority.as_str()))
        }
    };
    let topic = word(Some(topic), "the topic", FORM)?.to_owned();
    let token = target.setting("token").map(str::to_owned);
    let authorization = match (&target.user, &target.password) {
        _ if token.is_some() => token.map(|token| {
            secrets.add(&token);
            format!("Bearer {token}")
        }),
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
    let priority = match target.setting("priority").map(str::parse) {
        None => 5,
        Some(Ok(priority @ 1..=5)) => priority,
        Some(_) => return Err(TargetError("`ntfy:`: a priority is a number from 1 to 5".into())),
    };
    let shown = match shown {
        None => format!("ntfy:{topic}"),
        Some(host) => format!("{}://{host}/{topic}", target.scheme),
    };
    let tags = target.setting("tags").map(str::to_owned);
    let base = base.trim_end_matches('/').to_owned();
    Ok(Made::new(Ntfy { base, topic, authorization, priority, tags }, shown))
}

impl Ntfy {
    fn request(&self, message: &Message, picture: Option<&Picture>) -> HttpRequest {
        let mood = mood(message);
        let (priority, tag) = match mood {
            Mood::Bad => (self.priority, "rotating_light"),
            Mood::Warning => (3, "warning"),
            Mood::Info => (2, "information_source"),
            Mood::Over => (3, "white_check_mark"),
        };
        let tags: Vec<&str> =
            [tag].into_iter().chain(self.tags.iter().flat_map(|t| t.split(','))).collect();
        let room = if picture.is_some() { BESIDE_PICTURE } else { TEXT };
        let (title, text) = titled(message, TITLE, room);
        let request = match picture {
            None => {
                let mut body = json!({
                    "topic": self.topic, "title": title, "message": text,
                    "priority": priority, "tags": tags,
                });
                if let Some(link) = &message.link {
                    body["click"] = Value::from(link.as_str());
                }
                post_json(&self.base, &body)
            }
            Some(picture) => {
                let mut url = format!("{}/{}?filename=chart.png", self.base, self.topic);
                let (priority, tags) = (priority.to_string(), tags.join(","));
                let link = message.link.as_deref().unwrap_or_default();
                for (name, value) in [
                    ("title", title.as_str()),
                    ("message", &text),
                    ("priority", &priority),
                    ("tags", &tags),
                    ("click", link),
                ] {
                    if !value.is_empty() {
                        url.push_str(&format!("&{name}="));
                        url.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
                    }
                }
                let headers = vec![("Content-Type".into(), "image/png".into())];
                HttpRequest { method: "PUT", url, headers, body: picture.png.clone() }
            }
        };
        match &self.authorization {
            Some(authorization) => request.with("Authorization", authorization),
            None => request,
        }
    }
}

impl Wire for Ntfy {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        match line.ask(&self.request(message, picture)) {
            Ok(answer) => judge(&answer),
            Err(outcome) => outcome,
        }
    }
}

/// Its own codes say more than the status: <https://github.com/binwiederhier/ntfy> has the list.
fn judge(answer: &HttpAnswer) -> Outcome {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (json["code"].as_i64(), json["error"].as_str()) {
        // Attachments of the day are used up, or there is no room for one: the text alone may pass.
        (Some(42905 | 50701 | 50702), Some(why)) => {
            Outcome::Refused { said: format!("{}; {why}", answer.status) }
        }
        // Messages of the day are used up.
        (Some(42908), _) => {
            Outcome::Retry { said: said(answer), after: Some(Duration::from_secs(3_600)) }
        }
        _ => match by_status(answer) {
            // What it took comes back whole.
            Outcome::Sent { .. } => Outcome::Sent {
                said: match json["id"].as_str() {
                    Some(id) => format!("{} id {id}", answer.status),
                    None => said(answer),
                },
            },
            other => other,
        },
    }
}
