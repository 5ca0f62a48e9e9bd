//! notify: the parts that all channels share: a row of the table, the settings of this machine, the line
//! on which a channel asks, and the last check of everything that is shown.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::short;
use super::channel::{Channel, Outcome};
use super::message::{Message, Picture};
use super::secret::Secrets;
use super::target::{Target, TargetError};
use crate::reach::{HttpAnswer, HttpRequest, HttpWay, ReachError, SmtpServer, ask_http};

/// What channels have to know of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelSettings {
    /// The name of this machine: mail greets with it, and `plimsoll@host` is the sender.
    pub host: String,
    /// Certificates and the proxy.
    pub http: HttpWay,
    /// The server for mail to a plain address.
    pub smtp: Option<SmtpServer>,
    /// The sender of mail: an address; nothing: the user of the server where that is an address, else
    /// `plimsoll@host`.
    pub from: Option<String>,
    /// What sends mail where no server is named: `/usr/sbin/sendmail`.
    pub sendmail: PathBuf,
    /// The folder of systemd's credentials: `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// Where programs are looked for: `$PATH`.
    pub path: OsString,
}

impl ChannelSettings {
    /// What the environment says, for the machine of this name.
    pub fn of_environment(host: impl Into<String>) -> Self {
        let usual = || "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into();
        Self {
            host: host.into(),
            http: HttpWay::of_environment(),
            smtp: None,
            from: None,
            sendmail: "/usr/sbin/sendmail".into(),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            path: std::env::var_os("PATH").unwrap_or_else(usual),
        }
    }
}

/// One kind of channel: a row of the table.
pub struct Row {
    /// `ntfy`.
    pub name: &'static str,
    /// The schemes of its targets.
    pub schemes: &'static [&'static str],
    /// The forms of its targets, for people.
    pub forms: &'static [&'static str],
    /// A target that can be used, with made-up secrets.
    pub example: &'static str,
    /// Whether it takes a picture.
    pub picture: bool,
    /// How long a message may be, in words.
    pub limit: &'static str,
    /// A sentence: what to do at the receiver's side.
    pub help: &'static str,
    /// Makes one.
    pub make: fn(&Target, &mut Secrets, &ChannelSettings) -> Result<Made, TargetError>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Row").field(&self.name).finish()
    }
}

/// What came of a target.
pub struct Made {
    /// How messages get there.
    pub wire: Box<dyn Wire>,
    /// The target without its secrets.
    pub shown: String,
}

impl Made {
    /// So it goes on.
    pub fn new(wire: impl Wire + 'static, shown: impl Into<String>) -> Self {
        Self { wire: Box::new(wire), shown: shown.into() }
    }
}

/// How messages of one kind of channel get there.
pub trait Wire: Send + Sync {
    /// Sends it once. Secrets may stand in the outcome: they are hidden afterwards.
    fn deliver(&self, line: &Line<'_>, message: &Message, picture: Option<&Picture>) -> Outcome;

    /// See [`Channel::repeats`].
    fn repeats(&self) -> Option<Duration> {
        None
    }
}

/// Answers a request in the place of the network.
pub type Asks<'a> = &'a dyn Fn(&HttpRequest) -> Result<HttpAnswer, ReachError>;

/// What a channel sends on.
pub struct Line<'a> {
    /// Of this machine.
    pub settings: &'a ChannelSettings,
    /// When all of it has to be over.
    pub deadline: Instant,
    /// What answers in the place of the network; `None`: the network.
    pub stub: Option<Asks<'a>>,
}

impl Line<'_> {
    /// One request and its answer; whatever stands in between is the outcome.
    ///
    /// # Errors
    /// The outcome: nobody answered.
    pub fn ask(&self, request: &HttpRequest) -> Result<HttpAnswer, Outcome> {
        let answer = match self.stub {
            Some(asks) => asks(request),
            None => ask_http(request, &self.settings.http, self.deadline),
        };
        answer.map_err(unreached)
    }
}

/// The outcome where nobody was reached.
pub fn unreached(e: ReachError) -> Outcome {
    match e {
        ReachError::Passing(said) => Outcome::Retry { said, after: None },
        ReachError::Lasting(said) => Outcome::Refused { said },
    }
}

/// A channel that is ready to send.
pub(super) struct Ready {
    pub row: &'static Row,
    pub made: Made,
    pub secrets: Secrets,
    pub settings: Arc<ChannelSettings>,
}

impl Outcome {
    /// The text without secrets, on one line, at most 200 characters.
    #[must_use]
    pub fn hidden(self, secrets: &Secrets) -> Self {
        let clean = |said: String| short(&secrets.hide(&said));
        match self {
            Self::Sent { said } => Self::Sent { said: clean(said) },
            Self::Retry { said, after } => Self::Retry { said: clean(said), after },
            Self::Refused { said } => Self::Refused { said: clean(said) },
        }
    }
}

impl Ready {
    fn once(&self, message: &Message, picture: Option<&Picture>, deadline: Instant) -> Outcome {
        let line = Line { settings: &self.settings, deadline, stub: None };
        self.made.wire.deliver(&line, message, picture)
    }

    /// The outcome of sending once where `asks` answers.
    pub fn answered(&self, message: &Message, asks: Asks<'_>) -> Outcome {
        let line = Line { settings: &self.settings, deadline: Instant::now(), stub: Some(asks) };
        self.made.wire.deliver(&line, message, None).hidden(&self.secrets)
    }
}

impl Channel for Ready {
    fn kind(&self) -> &'static str {
        self.row.name
    }

    fn shown(&self) -> String {
        self.secrets.hide(&self.made.shown)
    }

    fn takes_picture(&self) -> bool {
        self.row.picture
    }

    fn repeats(&self) -> Option<Duration> {
        self.made.wire.repeats()
    }

    fn send(&self, message: &Message, picture: Option<&Picture>, deadline: Instant) -> Outcome {
        let picture = picture.filter(|_| self.row.picture);
        let mut outcome = self.once(message, picture, deadline);
        // It may be the picture that is not wanted: too large, or not allowed there.
        if let Outcome::Refused { said: why } = &outcome
            && picture.is_some()
            && let Outcome::Sent { said } = self.once(message, None, deadline)
        {
            outcome = Outcome::Sent { said: format!("{said}; without the picture: {why}") };
        }
        outcome.hidden(&self.secrets)
    }
}

/// A POST of JSON.
pub fn post_json(url: impl Into<String>, json: &serde_json::Value) -> HttpRequest {
    HttpRequest::post(url, "application/json", json.to_string())
}

/// A part of a target that has to be there and may be one word only: letters, digits and `-._~`, so
/// that it can stand in a path.
///
/// # Errors
/// It is missing or something else; `what` names it and `form` says how to write the target.
pub fn word<'a>(part: Option<&'a str>, what: &str, form: &str) -> Result<&'a str, TargetError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    match part {
        Some(part) if !part.is_empty() && part.chars().all(fits) => Ok(part),
        Some(part) if !part.is_empty() => Err(TargetError(format!(
            "{what} holds a character that cannot be part of it: write {form}"
        ))),
        _ => Err(TargetError(format!("{what} is missing: write {form}"))),
    }
}

/// Nothing more may stand in the path.
///
/// # Errors
/// Something does.
pub fn no_more(path: &[String], form: &str) -> Result<(), TargetError> {
    match path {
        [] => Ok(()),
        _ => Err(TargetError(format!(
            "the path goes on where it should end, and one target has one receiver: write {form}"
        ))),
    }
}
