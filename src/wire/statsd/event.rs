//! wire: DogStatsD's events and service checks, in place.

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// The default.
    Normal,
    /// Good to know.
    Low,
}

/// The level of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertType {
    /// The default.
    Info,
    /// A failure.
    Error,
    /// A failure that is near.
    Warning,
    /// A success, for example after a failure.
    Success,
}

impl AlertType {
    /// The word in the protocol and in the database.
    pub fn word(self) -> &'static str {
        match self {
            AlertType::Info => "info",
            AlertType::Error => "error",
            AlertType::Warning => "warning",
            AlertType::Success => "success",
        }
    }
}

impl Priority {
    /// The word in the protocol and in the database.
    pub fn word(self) -> &'static str {
        match self {
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }
}

/// An event. Texts are as sent; [`unescape`] decodes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The title in one line.
    pub title: &'a [u8],
    /// Any number of lines.
    pub text: &'a [u8],
    /// Seconds since 1970, if it was sent.
    pub time: Option<i64>,
    /// The host, or nothing.
    pub host: &'a [u8],
    /// A key for related events, or empty.
    pub key: &'a [u8],
    /// How much it matters.
    pub priority: Priority,
    /// The level.
    pub alert: AlertType,
    /// The sender, or empty.
    pub source: &'a [u8],
    /// The tags after `#`.
    pub tags: &'a [u8],
}

/// How a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceCheck<'a> {
    /// Which service.
    pub name: &'a [u8],
    /// 0 well, 1 warning, 2 critical, 3 unknown.
    pub status: u8,
    /// Seconds since 1970, if it was sent.
    pub time: Option<i64>,
    /// The host, or nothing.
    pub host: &'a [u8],
    /// The tags after `#`.
    pub tags: &'a [u8],
    /// Why it is so, or nothing; as sent.
    pub message: &'a [u8],
}

fn seconds(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn length(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `_e{5,4}:title|text|d:…|h:…|k:…|p:…|s:…|t:…|#…`
pub(super) fn event(line: &[u8]) -> Option<Event<'_>> {
    let line = line.strip_prefix(b"_e{")?;
    let close = memchr::memchr(b'}', line)?;
    let comma = memchr::memchr(b',', &line[..close])?;
    let title_length = length(&line[..comma])?;
    let text_length = length(&line[comma + 1..close])?;
    let rest = line[close + 1..].strip_prefix(b":")?;
    let (title, rest) = rest.split_at_checked(title_length)?;
    let (text, mut rest) = rest.strip_prefix(b"|")?.split_at_checked(text_length)?;
    if title.is_empty() {
        return None;
    }
    let mut event = Event {
        title,
        text,
        time: None,
        host: b"",
        key: b"",
        priority: Priority::Normal,
        alert: AlertType::Info,
        source: b"",
        tags: b"",
    };
    while !rest.is_empty() {
        // A length that is wrong leaves something behind that is no field.
        let fields = rest.strip_prefix(b"|")?;
        let end = memchr::memchr(b'|', fields).unwrap_or(fields.len());
        let (field, behind) = fields.split_at(end);
        rest = behind;
        match field {
            [b'd', b':', time @ ..] => event.time = Some(seconds(time)?),
            [b'h', b':', host @ ..] => event.host = host,
            [b'k', b':', key @ ..] => event.key = key,
            b"p:low" => event.priority = Priority::Low,
            [b's', b':', source @ ..] => event.source = source,
            b"t:error" => event.alert = AlertType::Error,
            b"t:warning" => event.alert = AlertType::Warning,
            b"t:success" => event.alert = AlertType::Success,
            [b'#', tags @ ..] => event.tags = tags,
            _ => {}
        }
    }
    Some(event)
}

/// `name|0|d:…|h:…|#…|m:…`, without the `_sc|` in front. The message comes last and takes the rest.
pub(super) fn check(line: &[u8]) -> Option<ServiceCheck<'_>> {
    let bar = memchr::memchr(b'|', line)?;
    let (name, line) = (&line[..bar], &line[bar + 1..]);
    let [status @ b'0'..=b'3', rest @ ..] = line else { return None };
    if name.is_empty() {
        return None;
    }
    let mut check = ServiceCheck {
        name,
        status: status - b'0',
        time: None,
        host: b"",
        tags: b"",
        message: b"",
    };
    let mut rest = rest;
    while !rest.is_empty() {
        let fields = rest.strip_prefix(b"|")?;
        if let Some(message) = fields.strip_prefix(b"m:") {
            check.message = message;
            break;
        }
        let end = memchr::memchr(b'|', fields).unwrap_or(fields.len());
        let (field, behind) = fields.split_at(end);
        rest = behind;
        match field {
            [b'd', b':', time @ ..] => check.time = Some(seconds(time)?),
            [b'h', b':', host @ ..] => check.host = host,
            [b'#', tags @ ..] => check.tags = tags,
            _ => {}
        }
    }
    Some(check)
}

/// Decodes a title, text or message: `\n` is a new line, and `m\:` is `m:`.
pub fn unescape(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace("\\n", "\n").replace("m\\:", "m:")
}
