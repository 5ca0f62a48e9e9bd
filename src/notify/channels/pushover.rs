//! notify: Pushover: <https://pushover.net/api>.

use std::time::Duration;

use serde_json::Value;

use crate::model::{Clock, SystemClock};
use crate::notify::answer::{by_status, said, wait};
use crate::notify::channel::Outcome;
use crate::notify::form::Form;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, no_more, word};
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, mood, titled};
use crate::reach::{HttpAnswer, HttpRequest};

const FORM: &str = "pover://USER@TOKEN";
const TITLE: Room = Room::chars(250);
const TEXT: Room = Room::chars(1_024);
const LINK: Room = Room::chars(512);
/// A picture may be 5 MB.
const MAX_PICTURE: usize = 5_000_000;

/// The row of the table.
pub static ROW: Row = Row {
    name: "pushover",
    schemes: &["pover"],
    forms: &["pover://USER@TOKEN[/DEVICE][?priority=-2 to 2][&sound=name]"],
    example: "pover://uQiRzpo4DXghDmr9QzzfQu27cmVRsG@azGDORePK8gMaC0QOYAMyEEuzJnyUi",
    picture: true,
    limit: "1,024 characters",
    help: "Your user key stands on pushover.net; make an application there for the token.",
    make,
};

struct Pushover {
    url: String,
    fields: Vec<(&'static str, String)>,
    /// For what is bad. 2 asks again each minute for an hour, until somebody says yes.
    priority: i8,
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let user = word(target.user.as_deref(), "the user key", FORM)?.to_owned();
    let token = word(Some(&target.authority), "the token", FORM)?.to_owned();
    secrets.add(&user);
    secrets.add(&token);
    let mut fields = vec![("token", token), ("user", user)];
    let mut shown = "pover://…".to_owned();
    if let Some((device, more)) = target.path.split_first() {
        no_more(more, FORM)?;
        shown.push_str(&format!("/{device}"));
        fields.push(("device", device.clone()));
    }
    if let Some(sound) = target.setting("sound") {
        fields.push(("sound", sound.to_owned()));
    }
    let priority = match target.setting("priority") {
        None => 1,
        Some("emergency") => 2,
        Some(number) => number.parse().ok().filter(|p| (-2..=2).contains(p)).ok_or_else(|| {
            TargetError("`pover:`: a priority is a number from -2 to 2".to_owned())
        })?,
    };
    let api = target.setting("api").unwrap_or("https://api.pushover.net");
    let url = format!("{}/1/messages.json", api.trim_end_matches('/'));
    Ok(Made::new(Pushover { url, fields, priority }, shown))
}

impl Pushover {
    fn request(&self, message: &Message, picture: Option<&Picture>) -> HttpRequest {
        let priority = match mood(message) {
            Mood::Bad => self.priority,
            Mood::Warning | Mood::Over => 0,
            Mood::Info => -1,
        };
        // The link has a field of its own.
        let link = message.link.as_deref().filter(|link| LINK.count.of(link) <= LINK.most);
        let mut linkless = message.clone();
        if link.is_some() {
            linkless.link = None;
        }
        let (title, mut text) = titled(&linkless, TITLE, TEXT);
        if text.is_empty() {
            text.clone_from(&message.title);
        }
        let mut fields = self.fields.clone();
        fields.extend([
            ("title", title),
            ("message", text),
            ("priority", priority.to_string()),
            ("timestamp", (message.at / 1_000).to_string()),
        ]);
        if let Some(link) = link {
            fields.push(("url", link.to_owned()));
        }
        if priority == 2 {
            fields.extend([("retry", "60".to_owned()), ("expire", "3600".to_owned())]);
        }
        match picture.filter(|picture| picture.png.len() < MAX_PICTURE) {
            None => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                form.extend_pairs(&fields);
                HttpRequest::post(&self.url, "application/x-www-form-urlencoded", form.finish())
            }
            Some(picture) => {
                let form = Form::new(&message.key);
                let form = fields.iter().fold(form, |form, (name, value)| form.field(name, value));
                let form = form.file("attachment", "chart.png", "image/png", &picture.png);
                let (content, body) = form.done();
                HttpRequest::post(&self.url, &content, body)
            }
        }
    }
}

impl Wire for Pushover {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        line.ask(&self.request(message, picture))
            .map_or_else(|outcome| outcome, |answer| judge(&answer))
    }
}

fn judge(answer: &HttpAnswer) -> Outcome {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    // The messages of the month are used up until then.
    let reset = answer.header("x-limit-app-reset").and_then(|text| text.parse::<i64>().ok());
    let now = SystemClock.wall_ms() / 1_000;
    match by_status(answer) {
        Outcome::Sent { .. } if json["status"] != 1 && json["status"].is_number() => {
            Outcome::Refused { said: said(answer) }
        }
        Outcome::Retry { said, .. } if answer.status == 429 => {
            let left = reset.and_then(|at| u64::try_from(at.saturating_sub(now)).ok());
            Outcome::Retry { said, after: wait(answer).or(left.map(Duration::from_secs)) }
        }
        // It asks for 5 s at least.
        Outcome::Retry { said, after } => {
            let least = Duration::from_secs(5);
            Outcome::Retry { said, after: Some(after.unwrap_or(least).max(least)) }
        }
        other => other,
    }
}
