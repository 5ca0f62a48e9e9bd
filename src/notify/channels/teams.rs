//! notify: Microsoft Teams, by a workflow that takes an adaptive card:
//! <https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook>.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::notify::answer::{by_status, wait};
use crate::notify::channel::Outcome;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, no_more, post_json, word};
use crate::notify::message::{Message, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, markdown, mood};

const FORM: &str = "msteams:https://… with the whole URL of the workflow";
/// A card may take 28 kB in all.
const TITLE: Room = Room::bytes(2_000);
const TEXT: Room = Room::bytes(9_000);

/// The row of the table.
pub static ROW: Row = Row {
    name: "teams",
    schemes: &["msteams", "workflow", "workflows"],
    forms: &[
        "https://….logic.azure.com/workflows/…",
        "https://….powerplatform.com/powerautomate/automations/direct/workflows/…",
        "msteams:https://…",
        "workflows://host[:port]/WORKFLOW/SIGNATURE",
    ],
    example: "workflows://prod-01.westeurope.logic.azure.com:443/0a1b2c3d/Zx9Yw8Vu7Ts6",
    picture: false,
    limit: "28 kB",
    help: "In the channel: Workflows, \"Post to a channel when a webhook request is received\"; paste the URL as it is.",
    make,
};

struct Teams {
    url: String,
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let whole = &target.rest;
    if whole.starts_with("https://") || whole.starts_with("http://") {
        let inside = Target::parse(&whole.replacen("https:", "http:", 1))?;
        for part in &inside.path {
            // Words that each of these URLs has are no secrets.
            if part.len() > 16 && !["IncomingWebhook", "powerautomate"].contains(&part.as_str()) {
                secrets.add(part);
            }
        }
        for (_, value) in inside.query.iter().filter(|(name, _)| name == "sig") {
            secrets.add(value);
        }
        let host = inside.server()?.0.to_owned();
        return Ok(Made::new(Teams { url: whole.clone() }, format!("msteams://{host}/…")));
    }
    if target.scheme == "msteams" {
        return Err(TargetError(format!(
            "`msteams:` in Apprise's form is for connectors that Microsoft has switched off: write \
             {FORM}"
        )));
    }
    let form = ROW.forms.last().copied().unwrap_or_default();
    let origin = target.origin(true)?;
    let mut parts = target.path.iter().map(String::as_str);
    let workflow = word(parts.next(), "the workflow", form)?;
    let signature = word(parts.next(), "the signature", form)?;
    no_more(target.path.get(2..).unwrap_or_default(), form)?;
    secrets.add(signature);
    secrets.add(workflow);
    let (folder, version) = match target.setting("pa") {
        Some("yes" | "true" | "1") => ("/powerautomate/automations/direct", "1"),
        _ => ("", "2016-06-01"),
    };
    let version = target.setting("ver").unwrap_or(version);
    let url = format!(
        "{origin}{folder}/workflows/{workflow}/triggers/manual/paths/invoke?api-version={}\
         &sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={}",
        utf8_percent_encode(version, NON_ALPHANUMERIC).to_string().replace("%2D", "-"),
        utf8_percent_encode(signature, NON_ALPHANUMERIC),
    );
    let host = target.server()?.0.to_owned();
    Ok(Made::new(Teams { url }, format!("workflows://{host}/…")))
}

fn card(message: &Message) -> Value {
    let colour = match mood(message) {
        Mood::Bad => "Attention",
        Mood::Warning => "Warning",
        Mood::Info => "Accent",
        Mood::Over => "Good",
    };
    // A text block reads marks of Markdown, and a line ends there with an empty one behind it.
    let block = |text: &str| json!({"type": "TextBlock", "text": text, "wrap": true});
    let mut body = vec![block(&TITLE.cut(&markdown(&message.title)))];
    body[0]["weight"] = "Bolder".into();
    body[0]["size"] = "Medium".into();
    body[0]["color"] = colour.into();
    let lines: Vec<String> = message.lines.iter().map(|line| markdown(line)).collect();
    let text = TEXT.lines(lines.iter().map(String::as_str));
    if !text.is_empty() {
        body.push(block(&text.replace('\n', "\n\n")));
    }
    let mut card = json!({
        "type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.2", "msteams": {"width": "Full"}, "body": body,
    });
    if let Some(link) = &message.link {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Show", "url": link}]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null,
            "content": card,
        }],
    })
}

impl Wire for Teams {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let answer = match line.ask(&post_json(&self.url, &card(message))) {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        match by_status(&answer) {
            // Connectors say 200 also when Teams behind them did not take it.
            Outcome::Sent { said } if said.contains("HTTP error 429") => {
                Outcome::Retry { said, after: wait(&answer) }
            }
            Outcome::Sent { said } if said.contains("Webhook message delivery failed") => {
                Outcome::Refused { said }
            }
            other => other,
        }
    }
}
