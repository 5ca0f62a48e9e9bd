//! config: the sections `[alerts]`, `[[alert]]` and `[smtp]`.

use std::sync::Arc;

use super::raw::Section;
use super::resolver::Resolver;
use crate::alert::{Limits, default_names};
use crate::model::Severity;
use crate::model::options::{Given, Limit, Ms, Shape, Value, Wrong, list, options, quote};
use crate::notify::{ChannelSettings, redacted};

options! {
    /// Who is told when something is wrong. The rules of docs/ALERTS.md need no configuration: without
    /// `to` the page, `plimsoll status` and `plimsoll alert` show what is wrong, and nobody is told.
    pub struct AlertsOptions {
        /// A receiver, or a list of receivers that are all told: a mail address, "ntfy:my-topic",
        /// "tgram://TOKEN/CHAT", and others that docs/ALERTS.md lists. `plimsoll alert to RECEIVER`
        /// writes this line and sends a test. A secret may stand in a file: `${file:/etc/plimsoll/x}`.
        to: Receivers = Receivers(Vec::new()), like r#""ntfy:my-topic""#;
        /// Rules that are off. `plimsoll alert rules` lists the names.
        off: Vec<String> = Vec::new(), like r#"["steal"]"#;
        /// Rule files of Prometheus, with alerting and recording rules. A name may hold * and ?; one
        /// that does not begin with / is looked for beside this file.
        rules: Vec<String> = Vec::new(), like r#"["/etc/plimsoll/rules/*.yml"]"#;
        /// Hours in which only what is bad is told, with a time zone. The rest is told when they end.
        quiet: Option<String> = None, like r#""22:00-07:00 Europe/Berlin""#;
        /// The address of the page, for links in messages. Default: no link.
        page: Option<String> = None, in PageAddress, like r#""https://web1.example.org:1876""#;
        /// An address that is called every minute while the rules are judged, with /fail behind it
        /// while plimsoll itself is in trouble. A service such as healthchecks.io tells you when the
        /// calls stop.
        heartbeat: Option<String> = None, in PageAddress, like r#""https://hc-ping.com/UUID""#;
    }
}

options! {
    /// Other limits for a rule that comes with plimsoll, by its name; `plimsoll alert rules` lists the
    /// names, and docs/ALERTS.md says what each measures. The value at which it is over moves with them.
    pub struct LimitsOptions {
        /// Where it begins to be a warning, in the unit of the rule: per cent of a disk here.
        warning: Option<f64> = None, like "85";
        /// Where it is bad.
        bad: Option<f64> = None, like "95";
    }
}

options! {
    /// A rule of your own; repeat the section for more rules.
    pub struct AlertOptions {
        /// A key and a comparison, such as "disk_/ > 95", or any expression of PromQL. What an
        /// expression returns is wrong, each series of it for itself.
        when: Option<String> = None, like r#""disk_/ > 95""#;
        /// The name of the rule. Default: `when`, shortened.
        name: Option<String> = None, like r#""root_full""#;
        /// How long it has to hold before it is told.
        r#for: Ms = Ms(5 * 60_000), in 0..=7 * 86_400_000, like r#""5m""#;
        /// It is over when this holds. Default: when `when` does not hold.
        clear: Option<String> = None, like r#""< 90""#;
        /// How bad it is: info, warning or bad.
        severity: Severity = Severity::Warning, like r#""warning""#;
        /// The sentence in the message. {value} is the value, {label} the value of a label.
        text: Option<String> = None, like r#""disk / is {value} % full""#;
        /// Receivers of this rule. Default: those of `[alerts]`.
        to: Receivers = Receivers(Vec::new()), like r#""ntfy:my-topic""#;
    }
}

options! {
    /// The mail server for receivers that are mail addresses. Without it /usr/sbin/sendmail is used.
    pub struct SmtpOptions {
        /// Its name and port: 587 with STARTTLS, 465 with TLS from the beginning.
        server: Option<String> = None, like r#""mail.example.org:587""#;
        /// The name to log in with. Default: no login.
        user: Option<String> = None, like r#""monitor@example.org""#;
        /// Its password: better `${file:/etc/plimsoll/smtp-password}` than the password itself.
        password: Option<Secret> = None, like r#""${file:/etc/plimsoll/smtp-password}""#;
        /// The sender's address. Default: `user`, or plimsoll at this machine's name.
        from: Option<String> = None, like r#""monitor@example.org""#;
    }
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Value for Secret {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        Ok(Self(given.text().to_owned()))
    }

    fn show(&self) -> Option<String> {
        Some(quote("…"))
    }
}

/// Receivers, as `plimsoll alert to` takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receivers(pub Vec<String>);

impl Value for Receivers {
    const SHAPE: Shape = Shape::OneOrMore;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        Ok(Self(given.texts().iter().map(|text| (*text).to_owned()).collect()))
    }

    fn show(&self) -> Option<String> {
        // Lists of options are shown to others: no secret stands in them.
        let settings = Arc::new(ChannelSettings::default());
        let shown = |target: &String| quote(&redacted(target, &settings));
        (!self.0.is_empty()).then(|| list(self.0.iter().map(shown)))
    }
}

impl Value for Severity {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let wrong = || {
            let message = format!("`{}` is no severity", given.text());
            vec![Wrong::new(message, "info, warning or bad")]
        };
        Self::of_word(given.text()).ok_or_else(wrong)
    }

    fn show(&self) -> Option<String> {
        Some(quote(self.word()))
    }
}

/// An address of the web.
struct PageAddress;

impl Limit<String> for PageAddress {
    fn check(&self, address: &String, _: &Given<'_>) -> Vec<Wrong> {
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        if rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) {
            return Vec::new();
        }
        vec![Wrong::new(
            format!("`{address}` is no address of the web"),
            "it begins with https:// or http://",
        )]
    }

    fn range(&self) -> Option<String> {
        None
    }
}

/// What is judged, and who is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alerts {
    /// `[alerts]`
    pub options: AlertsOptions,
    /// `[alerts.NAME]`: other limits for the rule of that name, each with one at least.
    pub limits: Vec<(String, Limits)>,
    /// `[[alert]]`, each with a `when`.
    pub own: Vec<AlertOptions>,
    /// `[smtp]`
    pub smtp: SmtpOptions,
}

impl Alerts {
    /// The targets of all receivers: those of `[alerts]` first, then those that single rules name.
    pub fn receivers(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        let rules = self.own.iter().map(|own| &own.to);
        for target in std::iter::once(&self.options.to).chain(rules).flat_map(|to| &to.0) {
            if !all.contains(&&**target) {
                all.push(target);
            }
        }
        all
    }
}

impl Resolver<'_> {
    pub(super) fn alerts(&mut self, top: &Section<'_>) -> Alerts {
        let section = top.section("alerts", self.mistakes);
        let options: AlertsOptions = self.fill(section.as_ref());
        self.list("alerts", &options);
        let limits = self.limits(section.as_ref());
        let section = top.section("smtp", self.mistakes);
        let smtp: SmtpOptions = self.fill(section.as_ref());
        self.list("smtp", &smtp);
        let sections = top.sections("alert", self.mistakes);
        let own = sections.iter().zip(1..).filter_map(|(s, number)| self.alert(s, number));
        Alerts { options, limits, own: own.collect(), smtp }
    }

    /// The sections `[alerts.NAME]`. Whether a limit fits its rule is found where rules are put together.
    fn limits(&mut self, alerts: Option<&Section<'_>>) -> Vec<(String, Limits)> {
        let mut out = Vec::new();
        for name in default_names() {
            let section = alerts.and_then(|alerts| alerts.section(&name, self.mistakes));
            let options: LimitsOptions = self.fill(section.as_ref());
            self.list(&format!("alerts.{name}"), &options);
            let limits = Limits { warning: options.warning, bad: options.bad };
            if limits != Limits::default() {
                out.push((name, limits));
            }
        }
        out
    }

    fn alert(&mut self, s: &Section<'_>, number: usize) -> Option<AlertOptions> {
        let options: AlertOptions = self.fill(Some(s));
        self.list(&format!("alert {number}"), &options);
        if !s.has("when") {
            let hint = "add `when = \"disk_/ > 95\"`";
            self.tell(s, "when", s.span(), "this is missing in an [[alert]]", hint);
        }
        options.when.is_some().then_some(options)
    }
}
