//! notify: Apprise, a program that knows some 130 services more: <https://github.com/caronc/apprise>.

use super::exec::outcome;
use crate::notify::channel::Outcome;
use crate::notify::message::{Message, Picture};
use crate::notify::program::{Handed, Program, found};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, below, mood};
use crate::notify::way::{Line, Made, Row, Settings, Wire};

const TEXT: Room = Room::bytes(32_000);
/// Shorter parts of a URL are words and no secrets.
const SHORTEST: usize = 6;

/// The row of the table.
pub static ROW: Row = Row {
    name: "apprise",
    schemes: &["apprise"],
    forms: &["apprise:URL"],
    example: "apprise:signal://127.0.0.1:8080/+4915112345678/+4915187654321",
    picture: true,
    limit: "the service's",
    help: "Install Apprise (the package apprise, or pipx install apprise); its wiki has the URLs.",
    make,
};

struct Apprise {
    url: String,
}

fn make(target: &Target, secrets: &mut Secrets, _: &Settings) -> Result<Made, TargetError> {
    let url = target.rest.trim();
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(TargetError("`apprise:` wants a URL behind it: write apprise:scheme://…".into()));
    };
    // It shows parts of the URL where it fails.
    secrets.add(rest);
    for part in rest.split(['/', ':', '@', '?', '&', '=', '#']) {
        if part.len() >= SHORTEST {
            secrets.add(part);
            let decoded = percent_encoding::percent_decode_str(part).decode_utf8_lossy();
            secrets.add(&decoded);
        }
    }
    let shown = format!("apprise:{scheme}://…");
    Ok(Made::new(Apprise { url: url.to_owned() }, shown))
}

impl Wire for Apprise {
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome {
        let Some(path) = found("apprise", &line.settings.path) else {
            return Outcome::Refused {
                said: "the program apprise is not installed: apt install apprise, or pipx install \
                       apprise"
                    .into(),
            };
        };
        let kind = match mood(message) {
            Mood::Bad => "failure",
            Mood::Warning => "warning",
            Mood::Info => "info",
            Mood::Over => "success",
        };
        let title = message.title.replace(['\n', '\r'], " ");
        let mut arguments: Vec<String> = ["-t", &title, "-n", kind, "-i", "text"]
            .into_iter()
            .map(str::to_owned)
            .collect();
        let picture = picture.and_then(|picture| Handed::new(&picture.png).ok());
        if let Some(picture) = &picture {
            let path = picture.path();
            arguments.push("--attach".into());
            arguments.push(format!("file://{path}?name=chart.png&mime=image/png"));
        }
        let text = TEXT.lines(below(message));
        let text = if text.is_empty() { message.title.clone() } else { text };
        let program = Program {
            path: &path,
            arguments,
            // Arguments can be read by everybody on this machine, an environment cannot.
            environment: vec![
                ("APPRISE_URLS", self.url.clone()),
                ("PATH", line.settings.path.to_string_lossy().into_owned()),
                ("LANG", "C.UTF-8".into()),
                ("HOME", "/nonexistent".into()),
            ],
            input: text.as_bytes(),
            picture: picture.as_ref(),
        };
        // 1: the service did not take it, and it does not say why.
        outcome(program.run(line.deadline), "apprise", |status| status == 1)
    }
}
