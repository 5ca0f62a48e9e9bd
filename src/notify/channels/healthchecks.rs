//! notify: a check of healthchecks.io, or of one's own server of that kind. It waits for pings, and
//! tells people when they stop or when one says that something is wrong:
//! <https://healthchecks.io/docs/http_api/>.

use std::time::Instant;

use crate::notify::answer::by_status;
use crate::notify::channel::Outcome;
use crate::notify::kind::{ChannelSettings, Line, Made, Row, Wire, word};
use crate::notify::message::{Message, Occasion, Picture};
use crate::notify::secret::Secrets;
use crate::notify::target::{Target, TargetError};
use crate::notify::text::{Mood, Room, mood, plain};
use crate::reach::HttpRequest;

const FORM: &str = "hc:UUID or hc:https://host/ping/UUID";
/// A server of one's own keeps no more.
const TEXT: Room = Room::bytes(10_000);

/// The row of the table.
pub static ROW: Row = Row {
    name: "healthchecks",
    schemes: &["hc", "healthchecks"],
    forms: &[
        "hc:UUID",
        "hc:https://host/ping/UUID",
        "healthchecks:UUID",
        "https://hc-ping.com/UUID",
    ],
    example: "hc:5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278",
    picture: false,
    limit: "10 kB",
    help: "Make a check and copy its ping URL; the same URL serves as `heartbeat`.",
    make,
};

/// A ping URL.
pub struct Check {
    url: String,
}

/// What a ping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// All is well.
    Well,
    /// Something is wrong.
    Wrong,
    /// Only to be kept.
    Note,
}

impl Check {
    /// The check of a target: a UUID of healthchecks.io, or a whole URL. Its secrets are added.
    ///
    /// # Errors
    /// It is neither.
    pub fn of(target: &Target, secrets: &mut Secrets) -> Result<(Self, String), TargetError> {
        let rest = target.rest.split(['#', '?']).next().unwrap_or_default();
        if rest.starts_with("https://") || rest.starts_with("http://") {
            // Its parts are those of any URL.
            let inside = Target::parse(&rest.replacen("https:", "http:", 1))?;
            let (host, _) = inside.server()?;
            let path = inside.path.iter().filter(|part| *part != "ping");
            path.for_each(|part| secrets.add(part));
            if inside.path.is_empty() {
                return Err(TargetError(format!("the check is missing: write {FORM}")));
            }
            let url = rest.trim_end_matches('/').to_owned();
            let shown = format!("hc:{}://{host}/…", rest.split(':').next().unwrap_or_default());
            return Ok((Self { url }, shown));
        }
        let check = word(Some(&target.authority), "the check", FORM)?;
        secrets.add(check);
        let mut url = format!("https://hc-ping.com/{check}");
        if let [slug] = target.path.as_slice() {
            url.push_str(&format!("/{}", word(Some(slug), "the slug", FORM)?));
        }
        Ok((Self { url }, "hc:…".into()))
    }

    /// Pings once.
    pub fn ping(&self, line: &Line<'_>, ping: Ping, text: &str) -> Outcome {
        let end = match ping {
            Ping::Well => "",
            Ping::Wrong => "/fail",
            Ping::Note => "/log",
        };
        let url = format!("{}{end}", self.url);
        let request = HttpRequest::post(url, "text/plain; charset=utf-8", TEXT.cut(text));
        line.ask(&request).map_or_else(|outcome| outcome, |answer| by_status(&answer))
    }
}

/// The dead man's switch: somebody else speaks when its pings stop.
pub struct Heartbeat {
    check: Check,
    secrets: Secrets,
    settings: ChannelSettings,
    shown: String,
}

impl Heartbeat {
    /// Of a ping URL as it was configured, with places of secrets. Any URL that takes a POST will do;
    /// `/fail` is put behind it where something is wrong.
    ///
    /// # Errors
    /// It is no such URL.
    pub fn new(url: &str, settings: ChannelSettings) -> Result<Self, TargetError> {
        let filled = crate::notify::secret::filled(url, settings.credentials.as_deref())?;
        let mut secrets = Secrets::default();
        let text = match filled.starts_with("hc:") {
            true => filled,
            false => format!("hc:{filled}"),
        };
        let (check, shown) = Check::of(&Target::parse(&text)?, &mut secrets)?;
        Ok(Self { check, secrets, settings, shown })
    }

    /// The URL without its secret.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Says that all is well, or what is not; until the deadline at the latest. No secret stands in
    /// the outcome.
    pub fn beat(&self, wrong: Option<&str>, deadline: Instant) -> Outcome {
        let line = Line { settings: &self.settings, deadline, stub: None };
        let ping = if wrong.is_some() { Ping::Wrong } else { Ping::Well };
        self.check.ping(&line, ping, wrong.unwrap_or_default()).hidden(&self.secrets)
    }
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Heartbeat").field(&self.shown).finish()
    }
}

fn make(target: &Target, secrets: &mut Secrets, _: &ChannelSettings) -> Result<Made, TargetError> {
    let (check, shown) = Check::of(target, secrets)?;
    Ok(Made::new(check, shown))
}

impl Wire for Check {
    fn deliver(&self, line: &Line<'_>, message: &Message, _: Option<&Picture>) -> Outcome {
        let ping = match (message.occasion, mood(message)) {
            (Occasion::Over, _) => Ping::Well,
            (Occasion::Test | Occasion::Was, _) | (_, Mood::Info) => Ping::Note,
            _ => Ping::Wrong,
        };
        self.ping(line, ping, &plain(message, TEXT))
    }
}
