//! notify: Telegram, by a bot: <https://core.telegram.org/bots/api>.

use serde_json::{Value, json};

use crate::notify::answer::{by_status, said};
use crate::notify::channel::Outcome;
use crate::notify::form::Form;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, no_more, post_json};
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, html, mood, plain};
use crate::reach::HttpRequest;

const FORM: &str = "tgram://TOKEN/CHAT";
const TEXT: Room = Room::utf16(4_096);
/// Below a picture.
const CAPTION: Room = Room::utf16(1_024);

/// The row of the table.
pub static ROW: Row = Row {
    name: "telegram",
    schemes: &["tgram"],
    forms: &["tgram://TOKEN/CHAT[:TOPIC]"],
    example: "tgram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/-1001234567890",
    picture: true,
    limit: "4,096 characters, below a picture 1,024",
    help: "Ask @BotFather for a bot; write to it, and getUpdates of its API shows the chat's number.",
    make,
};

struct Telegram {
    /// With the token.
    base: String,
    chat: String,
    topic: Option<i64>,
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let odd = |what: &str| Err(TargetError(format!("`tgram:`: {what}: write {FORM}")));
    // Apprise takes `bot` before the token, too.
    let token = target.authority.trim_start_matches("bot");
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match token.split_once(':') {
        Some((number, secret))
            if number.parse::<u64>().is_ok() && secret.len() >= 8 && secret.chars().all(fits) =>
        {
            secrets.add(secret);
            secrets.add(token);
        }
        _ => {
            return odd("the token is the one that @BotFather gave, 123456:letters and digits");
        }
    }
    let Some((chat, more)) = target.path.split_first() else {
        return odd("the chat is missing; write to the bot, and `getUpdates` shows its number");
    };
    no_more(more, FORM)?;
    let (chat, topic) = match chat.split_once(':') {
        Some((chat, topic)) => (chat, Some(topic)),
        None => (chat.as_str(), target.setting("topic")),
    };
    let name =
        chat.strip_prefix('@').is_some_and(|name| !name.is_empty() && name.chars().all(fits));
    if !name && chat.parse::<i64>().is_err() {
        return odd("a chat is a number such as -1001234567890, or a channel's @name");
    }
    let topic = match topic.map(str::parse) {
        None => None,
        Some(Ok(topic)) => Some(topic),
        Some(Err(_)) => return odd("a topic is a number"),
    };
    let api = target.setting("api").unwrap_or("https://api.telegram.org");
    let base = format!("{}/bot{token}", api.trim_end_matches('/'));
    let shown = format!("tgram://…/{chat}");
    Ok(Made::new(Telegram { base, chat: chat.to_owned(), topic }, shown))
}

/// The first line in bold. The marks do not count.
fn marked(text: &str) -> String {
    match text.split_once('\n') {
        Some((first, rest)) => format!("<b>{}</b>\n{}", html(first), html(rest)),
        None => format!("<b>{}</b>", html(text)),
    }
}

impl Telegram {
    fn text(&self, chat: &str, message: &Message) -> HttpRequest {
        let number = chat.parse::<i64>().ok();
        let mut body = json!({
            "chat_id": number.map_or_else(|| Value::from(chat), Value::from), "text": marked(&plain(message, TEXT)), "parse_mode": "HTML",
            "disable_notification": quiet(message), "link_preview_options": {"is_disabled": true},
        });
        if let Some(topic) = self.topic {
            body["message_thread_id"] = Value::from(topic);
        }
        post_json(format!("{}/sendMessage", self.base), &body)
    }

    fn photo(
        &self,
        chat: &str,
        message: &Message,
        caption: &str,
        quiet: bool,
        png: &[u8],
    ) -> HttpRequest {
        let mut form = Form::new(&message.key)
            .field("chat_id", chat)
            .field("caption", caption)
            .field("parse_mode", "HTML")
            .field("disable_notification", if quiet { "true" } else { "false" });
        if let Some(topic) = self.topic {
            form = form.field("message_thread_id", &topic.to_string());
        }
        let (content, body) = form.file("photo", "chart.png", "image/png", png).done();
        HttpRequest::post(format!("{}/sendPhoto", self.base), &content, body)
    }

    /// Sends it to this chat; where the group has become another one, to that.
    fn ask(&self, line: &Line<'_>, request: impl Fn(&str) -> HttpRequest) -> Outcome {
        let answer = match line.ask(&request(&self.chat)) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(chat) = json["parameters"]["migrate_to_chat_id"].as_i64() {
            let advice = format!("; the group is now tgram://TOKEN/{chat}: write that");
            return match line.ask(&request(&chat.to_string())).map(|answer| judge(&answer)) {
                Ok(Outcome::Sent { said }) => Outcome::Sent { said: said + &advice },
                Ok(Outcome::Refused { said }) => Outcome::Refused { said: said + &advice },
                Ok(outcome) | Err(outcome) => outcome,
            };
        }
        judge(&answer)
    }
}

/// What is over, or only good to know, makes no sound.
fn quiet(message: &Message) -> bool {
    matches!(mood(message), Mood::Info | Mood::Over)
}

fn judge(answer: &crate::reach::HttpAnswer) -> Outcome {
    let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let why = json["description"].as_str().unwrap_or_default();
    match by_status(answer) {
        Outcome::Sent { .. } => match json["result"]["message_id"].as_i64() {
            Some(id) => Outcome::Sent { said: format!("{} message {id}", answer.status) },
            None => Outcome::Sent { said: said(answer) },
        },
        Outcome::Refused { .. } if !why.is_empty() => {
            let advice = match answer.status {
                401 | 404 => "the token is not one of a bot",
                403 => "the chat does not want the bot: write to it, or add it to the group again",
                400 if why.contains("chat not found") => {
                    "check the number of the chat, and write to the bot first"
                }
                _ => "check the target",
            };
            Outcome::Refused { said: format!("{} {why}; {advice}", answer.status) }
        }
        other => other,
    }
}

impl Wire for Telegram {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        let quiet = quiet(message);
        let caption = plain(message, TEXT);
        let Some(picture) = picture else {
            return self.ask(line, |chat| self.text(chat, message));
        };
        if CAPTION.count.of(&caption) <= CAPTION.most {
            let caption = marked(&caption);
            return self.ask(line, |chat| self.photo(chat, message, &caption, quiet, &picture.png));
        }
        let mut outcome = self.ask(line, |chat| self.text(chat, message));
        if let Outcome::Sent { said } = &mut outcome {
            // The text is there; the picture must not bring it a second time.
            let caption = marked(&CAPTION.cut(&message.title));
            match self.ask(line, |chat| self.photo(chat, message, &caption, true, &picture.png)) {
                Outcome::Sent { .. } => {}
                Outcome::Retry { said: why, .. } | Outcome::Refused { said: why } => {
                    said.push_str(&format!("; without the picture: {why}"));
                }
            }
        }
        outcome
    }
}
