//! notify: Mattermost, by an incoming webhook: <https://developers.mattermost.com/integrate/webhooks/incoming/>.

use serde_json::Value;

use super::slack::body;
use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Room, markdown};
use crate::notify::way::{Line, Made, Row, Settings, Wire, post_json, word};

const FORM: &str = "mmosts://host/token";
/// 16,383 for both.
const TITLE: Room = Room::chars(4_000);
const TEXT: Room = Room::chars(12_000);

/// The row of the table.
pub static ROW: Row = Row {
    name: "mattermost",
    schemes: &["mmost", "mmosts"],
    forms: &["mmost[s]://[name@]host[:port][/path]/token[?channel=name]"],
    example: "mmosts://chat.example.org/3ccr8xezqbbs5nqxa9ajrtkz4h",
    picture: false,
    limit: "16,383 characters",
    help: "Integrations, Incoming Webhooks, Add: the token is what stands behind /hooks/.",
    make,
};

struct Mattermost {
    url: String,
    name: Option<String>,
    channel: Option<String>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let origin = target.origin(target.scheme == "mmosts")?;
    let mut folders = target.path.clone();
    let token = folders.pop();
    let token = word(token.as_deref(), "the token", FORM)?;
    secrets.add(token);
    // The address of a webhook may be copied whole.
    if folders.last().is_some_and(|last| last == "hooks") {
        folders.pop();
    }
    for folder in &folders {
        word(Some(folder), "the path", FORM)?;
    }
    let path: String = folders.iter().map(|folder| format!("/{folder}")).collect();
    let channel = target.setting("channel").or_else(|| target.setting("to"));
    let channel = channel.map(|channel| channel.trim_start_matches('#').to_owned());
    let url = format!("{origin}{path}/hooks/{token}");
    let shown = format!("{}://{}{path}/…", target.scheme, target.authority);
    Ok(Made::new(Mattermost { url, name: target.user.clone(), channel }, shown))
}

impl Wire for Mattermost {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let mut body = body(message, TITLE, TEXT, markdown);
        if let Some(name) = &self.name {
            body["username"] = Value::from(name.as_str());
        }
        if let Some(channel) = &self.channel {
            body["channel"] = Value::from(channel.as_str());
        }
        let request = post_json(&self.url, &body);
        line.ask(&request).map_or_else(|outcome| outcome, |answer| by_status(&answer))
    }
}
