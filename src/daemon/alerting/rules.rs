//! daemon: the rules and the receivers that a configuration names. One that is wrong is left out and told;
//! `check-config` says the same.

use std::sync::Arc;

use crate::alert::{Rule, RuleText, Wrong, defaults};
use crate::config::{AlertOptions, Config, Secret};
use crate::model::format_duration;
use crate::notify::{ChannelSettings, Way, channel_of, filled};
use crate::pipeline::Board;
use crate::reach::{SmtpServer, SmtpTls};

/// The port of a mail server for those who hand mail in, and the one where TLS begins at once.
const SUBMISSION: u16 = 587;
const SMTPS: u16 = 465;

/// What the board calls rules and receivers that are left out.
const SUBJECT: &str = "alerts of the configuration";

/// Every rule of a configuration, and what is wrong with those that are left out.
pub fn compile(config: &Config) -> (Vec<Rule>, Vec<String>) {
    let options = &config.alerts.options;
    let mut wrong = Vec::new();
    let mut rules = defaults().unwrap_or_else(|why| {
        wrong.push(why);
        Vec::new()
    });
    for name in &options.off {
        if !rules.iter().any(|rule| *rule.name == **name) {
            wrong.push(format!("`alerts.off`: there is no rule `{name}`"));
        }
    }
    rules.retain(|rule| !options.off.iter().any(|off| *off == *rule.name));
    for (number, own) in (1..).zip(&config.alerts.own) {
        match rule(own) {
            Ok(rule) => rules.push(rule),
            Err(e) => wrong.push(format!("`{}` of [[alert]] {number}: {e}", e.field)),
        }
    }
    (rules, wrong)
}

fn rule(own: &AlertOptions) -> Result<Rule, Wrong> {
    Rule::parse(&RuleText {
        name: own.name.clone(),
        when: own.when.clone().unwrap_or_default(),
        r#for: Some(format_duration(own.r#for.0)),
        clear: own.clear.clone(),
        severity: Some(own.severity.word().to_owned()),
        text: own.text.clone(),
        to: own.to.0.clone(),
    })
}

/// The rules of a configuration; the board tells of those that are left out.
pub fn rules(config: &Config, board: &Board) -> Vec<Rule> {
    let (rules, wrong) = compile(config);
    match wrong.is_empty() {
        true => board.forget(SUBJECT),
        false => board.fail(SUBJECT, wrong.join("; ")),
    }
    rules
}

/// The name of a receiver in the file: a hash of its target, so that it holds no secret and stays the
/// same over restarts.
pub fn id_of(target: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(target.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The receivers of a configuration; the board tells of those that are left out.
pub fn ways(config: &Config, system: &str, board: &Board) -> Vec<Way> {
    let settings = Arc::new(channel_settings(config, system));
    let mut ways: Vec<Way> = Vec::new();
    for target in config.alerts.receivers() {
        let id = id_of(target);
        let subject = || format!("receiver {}", crate::notify::redacted(target, &settings));
        match channel_of(target, &settings) {
            Ok(channel) => {
                board.forget(&subject());
                ways.push(Way { id, channel: Arc::from(channel) });
            }
            Err(why) => board.fail(&subject(), why.to_string()),
        }
    }
    ways
}

/// What channels have to know of this machine and of the configuration.
pub fn channel_settings(config: &Config, system: &str) -> ChannelSettings {
    let mut settings = ChannelSettings::of_environment(system);
    let smtp = &config.alerts.smtp;
    let secret = |secret: &Secret| {
        let credentials = settings.credentials.as_deref();
        filled(&secret.0, credentials).unwrap_or_else(|_| secret.0.clone())
    };
    settings.smtp = smtp.server.as_deref().map(|server| {
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(SUBMISSION)),
            None => (server, SUBMISSION),
        };
        SmtpServer {
            host: host.to_owned(),
            port,
            tls: match port {
                SMTPS => SmtpTls::FromStart,
                25 => SmtpTls::Offered,
                _ => SmtpTls::Started,
            },
            login: smtp
                .user
                .as_ref()
                .zip(smtp.password.as_ref().map(secret))
                .map(|(user, password)| (user.clone(), password)),
            ca: None,
        }
    });
    settings.from.clone_from(&smtp.from);
    settings
}
