//! notify: Gotify, a push server of one's own: <https://gotify.net/docs/pushmsg>.

use serde_json::{Value, json};

use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, below, mood};
use crate::notify::way::{Line, Made, Row, Settings, Wire, post_json, word};
use crate::reach::HttpRequest;

const FORM: &str = "gotifys://host/token";
/// It has no limit of its own; a phone has.
const TEXT: Room = Room::bytes(16_000);

/// The row of the table.
pub static ROW: Row = Row {
    name: "gotify",
    schemes: &["gotify", "gotifys"],
    forms: &["gotify[s]://host[:port][/path]/token"],
    example: "gotifys://push.example.org/AkVbB4DlFsvq1Xy",
    picture: false,
    limit: "none",
    help: "Make an application in Gotify's page; its token stands at the end of the target.",
    make,
};

struct Gotify {
    url: String,
    token: String,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let origin = target.origin(target.scheme == "gotifys")?;
    let (token, folders) = match target.path.split_last() {
        Some((token, folders)) => (Some(token.as_str()), folders),
        None => (None, &[][..]),
    };
    let token = word(token, "the token", FORM)?.to_owned();
    secrets.add(&token);
    for folder in folders {
        word(Some(folder), "the path", FORM)?;
    }
    let path: String = folders.iter().map(|folder| format!("/{folder}")).collect();
    let shown = format!("{}://{}{path}/…", target.scheme, target.authority);
    Ok(Made::new(Gotify { url: format!("{origin}{path}/message"), token }, shown))
}

impl Gotify {
    fn request(&self, message: &Message) -> HttpRequest {
        // From 4 on a phone makes a sound, from 8 on it insists.
        let priority = match mood(message) {
            Mood::Bad => 8,
            Mood::Warning => 5,
            Mood::Over => 4,
            Mood::Info => 2,
        };
        let mut extras = json!({"client::display": {"contentType": "text/plain"}});
        if let Some(link) = &message.link {
            extras["client::notification"] = json!({"click": {"url": link}});
        }
        let text = TEXT.lines(below(message));
        // It takes no message without a text.
        let text = if text.is_empty() { Value::from(message.title.as_str()) } else { text.into() };
        let body = json!({
            "title": message.title, "message": text, "priority": priority, "extras": extras,
        });
        post_json(&self.url, &body).with("X-Gotify-Key", &self.token)
    }
}

impl Wire for Gotify {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        line.ask(&self.request(message)).map_or_else(|outcome| outcome, |answer| by_status(&answer))
    }
}
