//! notify: Rocket.Chat, by an incoming webhook or a user's token:
//! <https://developer.rocket.chat/apidocs/post-message>.

use serde_json::Value;

use super::slack::body;
use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, no_more, post_json, word};
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::Room;
use crate::reach::HttpRequest;

const FORM: &str = "rockets://ID/TOKEN@host or rockets://USER-ID:TOKEN@host/#channel";
/// 5,000 for both where an administrator has not changed it.
const TITLE: Room = Room::chars(1_000);
const TEXT: Room = Room::chars(3_800);

/// The row of the table.
pub static ROW: Row = Row {
    name: "rocketchat",
    schemes: &["rocket", "rockets"],
    forms: &[
        "rocket[s]://ID/TOKEN@host[:port][/#channel]",
        "rocket[s]://USER-ID:TOKEN@host[:port]/#channel",
    ],
    example: "rockets://66f1a0c2e4/Yq3nTz8vKc2mWx7b@chat.example.org/#ops",
    picture: false,
    limit: "5,000 characters",
    help: "Administration, Integrations, New, Incoming: ID/TOKEN is what stands behind /hooks/.",
    make,
};

struct Rocket {
    url: String,
    login: Option<(String, String)>,
    channel: Option<String>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let secure = target.scheme == "rockets";
    let channel_of = |part: Option<&String>, more: &[String]| {
        no_more(more, FORM)?;
        Ok::<_, TargetError>(part.cloned().or_else(|| target.setting("channel").map(str::to_owned)))
    };
    // The slash in `ID/TOKEN@host` ends what other targets have before their host.
    let hook = target.path.first().and_then(|part| part.rsplit_once('@'));
    if let (Some((token, host)), None) = (hook, &target.user) {
        let id = word(Some(&target.authority), "the id", FORM)?;
        let token = word(Some(token), "the token", FORM)?;
        secrets.add(token);
        let server = Target { authority: host.to_owned(), ..target.clone() };
        let url = format!("{}/hooks/{id}/{token}", server.origin(secure)?);
        let more = target.path.get(2..).unwrap_or_default();
        let channel = channel_of(target.path.get(1), more)?;
        let shown = format!("{}://…@{host}", target.scheme);
        return Ok(Made::new(Rocket { url, login: None, channel }, shown));
    }
    let login = target.user.clone().zip(target.password.clone());
    let Some((user, token)) = login else {
        return Err(TargetError(format!("the webhook or the login is missing: write {FORM}")));
    };
    secrets.add(&token);
    let channel = channel_of(target.path.first(), target.path.get(1..).unwrap_or_default())?;
    let Some(channel) = channel else {
        return Err(TargetError(format!("the channel is missing: write {FORM}")));
    };
    let url = format!("{}/api/v1/chat.postMessage", target.origin(secure)?);
    let shown = format!("{}://…@{}/{channel}", target.scheme, target.authority);
    Ok(Made::new(Rocket { url, login: Some((user, token)), channel: Some(channel) }, shown))
}

/// The marks that a backslash takes back there; before others it would be shown.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "*_~`#".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl Rocket {
    fn request(&self, message: &Message) -> HttpRequest {
        let mut body = body(message, TITLE, TEXT, escaped);
        if let Some(channel) = &self.channel {
            body["channel"] = Value::from(channel.as_str());
        }
        let request = post_json(&self.url, &body);
        match &self.login {
            Some((user, token)) => request.with("X-User-Id", user).with("X-Auth-Token", token),
            None => request,
        }
    }
}

impl Wire for Rocket {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let answer = match line.ask(&self.request(message)) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match (by_status(&answer), json["success"].as_bool()) {
            (Outcome::Sent { .. }, Some(false)) => Outcome::Refused {
                said: format!(
                    "{} {}; check the channel, and that the user is in it",
                    answer.status,
                    json["error"].as_str().unwrap_or("it does not say why")
                ),
            },
            (Outcome::Sent { .. }, Some(true)) => {
                Outcome::Sent { said: format!("{} success", answer.status) }
            }
            (outcome, _) => outcome,
        }
    }
}
