//! daemon: the rules and the receivers that a configuration names. One that is wrong is left out and told;
//! `check-config` says the same.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::alert::files::Recording;
use crate::alert::{Rule, RuleText, Shelf, Wrong, defaults_at};
use crate::config::{AlertOptions, Config, Secret, nearest};
use crate::model::format_duration;
use crate::notify::{ChannelSettings, Way, channel_of, filled};
use crate::pipeline::Board;
use crate::reach::{SmtpServer, SmtpTls};

/// The port of a mail server for those who hand mail in, and the one where TLS begins at once.
const SUBMISSION: u16 = 587;
const SMTPS: u16 = 465;

/// What the board calls rules that are left out.
pub const LEFT_OUT: &str = "alerts of the configuration";

/// The rules of a configuration.
#[derive(Debug, Default)]
pub struct Compiled {
    /// Rules that fire: the defaults, then the configuration's own, then those of rule files.
    pub rules: Vec<Rule>,
    /// Rules that write series.
    pub records: Vec<Recording>,
    /// What is wrong with those that are left out, a sentence each.
    pub wrong: Vec<String>,
}

/// Every rule of a configuration. `shelf`: the rule files as they were read before.
pub fn compile(config: &Config, shelf: &mut Shelf) -> Compiled {
    let options = &config.alerts.options;
    let mut wrong = Vec::new();
    let mut rules = defaults_at(config.interval.as_ms()).unwrap_or_else(|why| {
        wrong.push(why);
        Vec::new()
    });
    for name in &options.off {
        if !rules.iter().any(|rule| *rule.name == **name) {
            let like = nearest(name, rules.iter().map(|rule| &*rule.name));
            let hint = match like {
                Some(like) => format!("did you mean `{like}`?"),
                None => "`plimsoll alert rules` lists them".to_owned(),
            };
            wrong.push(format!("`alerts.off`: there is no rule `{name}`; {hint}"));
        }
    }
    for rule in &mut rules {
        let limits = config.alerts.limits.iter().find(|(name, _)| **name == *rule.name);
        let Some((name, limits)) = limits else { continue };
        match rule.clone().with_limits(*limits) {
            Ok(limited) => *rule = limited,
            Err(why) => wrong.push(format!("`alerts.{name}`: {why}")),
        }
    }
    rules.retain(|rule| !options.off.iter().any(|off| *off == *rule.name));
    for (number, own) in (1..).zip(&config.alerts.own) {
        match rule(own) {
            Ok(rule) => rules.push(rule),
            Err(e) => wrong.push(format!("`{}` of [[alert]] {number}: {e}", e.field)),
        }
    }
    let filed = shelf.read(&options.rules, &folder(config));
    wrong.extend(filed.wrong);
    rules.extend(filed.alerts);
    Compiled { rules, records: filed.records, wrong }
}

/// Where relative names in a configuration start: at its file.
fn folder(config: &Config) -> PathBuf {
    let file = config.source.as_deref().and_then(Path::parent);
    file.map_or_else(PathBuf::new, Path::to_path_buf)
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
pub fn rules(config: &Config, board: &Board, shelf: &mut Shelf) -> Compiled {
    let compiled = compile(config, shelf);
    match compiled.wrong.is_empty() {
        true => board.forget(LEFT_OUT),
        false => board.fail(LEFT_OUT, compiled.wrong.join("; ")),
    }
    compiled
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
