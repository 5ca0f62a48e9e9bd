//! notify: a target, the line that says where messages go, in the form that Apprise made known:
//! `ntfy:topic`, `mailto://user:password@host?to=me@example.org`, `https://host/hook`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use percent_encoding::percent_decode_str;

use super::secret::Secrets;

/// Why a target cannot be used, and what to write instead. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetError(pub String);

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TargetError {}

impl From<String> for TargetError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The parts of a target, decoded. Its debug form would hold secrets, so it has none.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// In small letters: `ntfys`.
    pub scheme: String,
    /// Whether `//` stands behind the scheme.
    pub slashes: bool,
    /// Before the `@`, up to a colon.
    pub user: Option<String>,
    /// Behind that colon.
    pub password: Option<String>,
    /// Behind the `@`, up to the first slash: a host with a port, or what a channel has there.
    pub authority: String,
    /// The parts of the path that are not empty.
    pub path: Vec<String>,
    /// `name=value` behind the `?`. A plus is a plus.
    pub query: Vec<(String, String)>,
    /// `name=value` behind the `#`, for settings that are not sent.
    pub fragment: Vec<(String, String)>,
    /// All that stands behind the scheme and its colon, as it was written.
    pub rest: String,
}

impl Target {
    /// Reads a target whose secrets are filled in. An address alone is mail; the addresses that
    /// Discord, Slack and Teams show are known for what they are.
    ///
    /// # Errors
    /// It has no scheme, or its text cannot be decoded.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        if let Some(bad) = text.chars().find(|c| c.is_control()) {
            return Err(TargetError(format!(
                "a target is one line, and this one holds {}",
                bad.escape_debug()
            )));
        }
        let named = text.split_once(':').filter(|(scheme, _)| {
            let fits = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(fits)
        });
        let Some((scheme, rest)) = named else {
            return match text.split_once('@') {
                Some((user, host))
                    if !user.is_empty()
                        && !host.is_empty()
                        && !text.contains([' ', '/', ':', '<']) =>
                {
                    Self::parse(&format!("mailto:{text}"))
                }
                _ => Err(TargetError(
                    "this does not say how to reach somebody: write for example ntfy:my-topic, \
                     me@example.org or https://host/hook"
                        .into(),
                )),
            };
        };
        let scheme = scheme.to_ascii_lowercase();
        let mut target = Self::parts(&scheme, rest)?;
        if scheme == "https" {
            target.know();
        }
        Ok(target)
    }

    fn parts(scheme: &str, rest: &str) -> Result<Self, TargetError> {
        let odd = |what: &str| {
            TargetError(format!(
                "`{scheme}:`: {what} does not decode to UTF-8: write a per cent sign as %25"
            ))
        };
        let decoded = |text: &str, what: &str| {
            let text = percent_decode_str(text).decode_utf8().map_err(|_| odd(what))?;
            match text.chars().any(char::is_control) {
                true => Err(TargetError(format!("`{scheme}:`: {what} holds a control character"))),
                false => Ok(text.into_owned()),
            }
        };
        let pairs = |text: &str, what: &str| -> Result<Vec<_>, TargetError> {
            let pair = |pair: &str| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decoded(name, what)?, decoded(value, what)?))
            };
            text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
        };
        let slashes = rest.starts_with("//");
        let behind = rest.strip_prefix("//").unwrap_or(rest);
        // Names of rooms begin with it: matrixs://token@host/#ops.
        let named = ["matrix", "matrixs", "rocket", "rockets", "slack", "mmost", "mmosts"];
        let (behind, fragment) = match named.contains(&scheme) {
            true => (behind, ""),
            false => behind.split_once('#').unwrap_or((behind, "")),
        };
        let (behind, query) = behind.split_once('?').unwrap_or((behind, ""));
        let (before, path) = behind.split_once('/').unwrap_or((behind, ""));
        let (login, authority) = match before.rsplit_once('@') {
            Some((login, authority)) => (Some(login), authority),
            None => (None, before),
        };
        let (user, password) =
            match login.map(|l| l.split_once(':').map_or((l, None), |(u, p)| (u, Some(p)))) {
                Some((user, password)) => (Some(user), password),
                None => (None, None),
            };
        let named = |text: Option<&str>, what| match text {
            Some(text) if !text.is_empty() => decoded(text, what).map(Some),
            _ => Ok(None),
        };
        let path = path.split('/').filter(|part| !part.is_empty());
        Ok(Self {
            scheme: scheme.to_owned(),
            slashes,
            user: named(user, "the user")?,
            password: named(password, "the password")?,
            authority: decoded(authority, "the host")?,
            path: path.map(|part| decoded(part, "the path")).collect::<Result<_, _>>()?,
            query: pairs(query, "what stands behind `?`")?,
            fragment: pairs(fragment, "what stands behind `#`")?,
            rest: rest.to_owned(),
        })
    }

    /// Addresses of webhooks as their makers show them.
    fn know(&mut self) {
        let host = self.authority.to_ascii_lowercase();
        let host = host.split(':').next().unwrap_or_default();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let known = match (host, path.as_slice()) {
            (
                "discord.com" | "discordapp.com" | "canary.discord.com" | "ptb.discord.com",
                ["api", "webhooks", id, token] | ["api", _, "webhooks", id, token],
            ) => Some(("discord", vec![*id, *token])),
            ("hooks.slack.com" | "hooks.slack-gov.com", ["services", a, b, c]) => {
                Some(("slack", vec![*a, *b, *c]))
            }
            ("hc-ping.com", [_, ..]) => {
                self.rest = format!("https:{}", self.rest);
                self.scheme = "hc".into();
                None
            }
            (host, _) if is_teams(host, &path) => {
                // The address as it is holds the signature.
                self.scheme = "msteams".into();
                self.rest = format!("https:{}", self.rest);
                None
            }
            _ => None,
        };
        if let Some((scheme, mut parts)) = known {
            let path = parts.split_off(1).into_iter().map(str::to_owned).collect();
            self.authority = parts.concat();
            self.path = path;
            self.scheme = scheme.into();
        }
    }

    /// The value of a setting behind the `?`.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The host and the port of the authority.
    ///
    /// # Errors
    /// There is none, or the port is no number.
    pub fn server(&self) -> Result<(&str, Option<u16>), TargetError> {
        let odd = |what: String| Err(TargetError(format!("`{}:`: {what}", self.scheme)));
        let (host, port) = match self.authority.rsplit_once(':') {
            // An IPv6 address stands in brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (self.authority.as_str(), None),
        };
        if host.is_empty() || host.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
            return odd(format!("a host has to stand behind it: {}://host/…", self.scheme));
        }
        if !host.is_ascii() {
            return odd("a host with other letters than ASCII has to be written as xn--…".into());
        }
        match port.map(str::parse::<u16>) {
            None => Ok((host, None)),
            Some(Ok(port)) if port > 0 => Ok((host, Some(port))),
            Some(_) => odd("the port has to be a number from 1 to 65535".into()),
        }
    }

    /// `http` or `https` with host and port, where the scheme ends in `s` for TLS: `ntfys`.
    ///
    /// # Errors
    /// As [`Target::server`].
    pub fn origin(&self, secure: bool) -> Result<String, TargetError> {
        let (host, port) = self.server()?;
        let scheme = if secure { "https" } else { "http" };
        Ok(match port {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        })
    }

    /// Calls everything a secret that is one in any channel: the password.
    pub fn usual_secrets(&self, secrets: &mut Secrets) {
        if let Some(password) = &self.password {
            secrets.add(password);
        }
    }
}

/// Where a target's messages go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// An address, or this machine itself.
    Address(IpAddr),
    /// The mail server of this machine's configuration.
    MailServer,
    /// A name, or wherever a program or a service goes.
    Unknown,
}

impl Host {
    /// Of a name or an address.
    pub fn of(name: &str) -> Self {
        if name == "localhost" {
            return Self::Address(Ipv4Addr::LOCALHOST.into());
        }
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or(Self::Unknown, Self::Address)
    }
}

/// Where the messages of a target go first, without looking up or reading anything.
pub fn host_of_target(target: &str) -> Host {
    let Ok(target) = Target::parse(target) else { return Host::Unknown };
    if target.scheme == "mailto" && !target.slashes {
        return Host::MailServer;
    }
    // Settings that name another server than the one behind the slashes.
    let elsewhere = ["smtp", "api"].iter().any(|name| target.setting(name).is_some());
    match target.server() {
        Ok((host, _)) if target.slashes && !elsewhere => Host::of(host),
        _ => Host::Unknown,
    }
}

fn is_teams(host: &str, path: &[&str]) -> bool {
    let flows = host.contains(".logic.azure.") || host.contains("platform.");
    flows && path.contains(&"workflows") && path.contains(&"triggers")
        || host.ends_with(".webhook.office.com") && path.first() == Some(&"webhookb2")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Target {
        Target::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn parts_are_found_and_decoded() {
        let t = read(" NTFYS://us%40er:p%3Ass@[::1]:8080/a%2Fb//c?to=x+y&z#hmac=k ");
        assert_eq!((t.scheme.as_str(), t.slashes), ("ntfys", true));
        assert_eq!((t.user.as_deref(), t.password.as_deref()), (Some("us@er"), Some("p:ss")));
        assert_eq!(t.server(), Ok(("[::1]", Some(8080))));
        assert_eq!(t.path, ["a/b", "c"]);
        assert_eq!(
            (t.setting("to"), t.setting("z"), t.setting("q")),
            (Some("x+y"), Some(""), None)
        );
        assert_eq!(t.fragment, [("hmac".into(), "k".into())]);
        assert_eq!(t.origin(true).as_deref(), Ok("https://[::1]:8080"));
        let t = read("me+tag@example.org");
        assert_eq!(
            (t.scheme.as_str(), t.slashes, t.rest.as_str()),
            ("mailto", false, "me+tag@example.org")
        );
        assert_eq!(read("tgram://123:AB-c/-100").authority, "123:AB-c");
        assert_eq!(read("https://h/a?b=%2F").rest, "//h/a?b=%2F");
    }

    #[test]
    fn addresses_of_makers_are_known() {
        for (text, scheme, authority, path) in [
            ("https://discord.com/api/webhooks/12/Ab-c", "discord", "12", "Ab-c"),
            ("https://discordapp.com/api/v10/webhooks/12/Ab-c", "discord", "12", "Ab-c"),
            ("https://hooks.slack.com/services/T0/B0/x", "slack", "T0", "B0/x"),
        ] {
            let t = read(text);
            assert_eq!((t.scheme.as_str(), t.authority.as_str()), (scheme, authority), "{text}");
            assert_eq!(t.path.join("/"), path, "{text}");
        }
        for (text, scheme) in [
            (
                "https://prod-1.westeurope.logic.azure.com:443/workflows/0a/triggers/manual/paths/invoke?sig=x",
                "msteams",
            ),
            (
                "https://a.1.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/0a/triggers/manual/paths/invoke?sig=x",
                "msteams",
            ),
            ("https://o.webhook.office.com/webhookb2/a@b/IncomingWebhook/c/d", "msteams"),
            ("https://hc-ping.com/0a", "hc"),
            ("https://discord.com/api/other", "https"),
        ] {
            let t = read(text);
            assert_eq!(t.scheme, scheme, "{text}");
            if scheme != "https" {
                assert_eq!(t.rest, text);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_target() {
        for (text, said) in [
            ("", "this does not say how"),
            ("my-topic", "this does not say how"),
            ("a/b@c", "this does not say how"),
            ("ntfy:a\nb", "a target is one line"),
            ("ntfy:%ff", "`ntfy:`: the host does not decode"),
            ("ntfy://u:%0a@h", "`ntfy:`: the password holds a control character"),
        ] {
            let e = Target::parse(text).map(drop).expect_err(text);
            assert!(e.0.starts_with(said), "{text}: {e}");
        }
        for (text, said) in [
            ("gotify:///a", "`gotify:`: a host has to stand"),
            ("gotify://h:0/a", "`gotify:`: the port has"),
            ("gotify://h:x/a", "`gotify:`: the port has"),
            ("gotify://ü/a", "`gotify:`: a host with other letters"),
        ] {
            let e = read(text).server().map(drop).expect_err(text);
            assert!(e.0.starts_with(said), "{text}: {e}");
        }
    }
}
