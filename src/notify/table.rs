//! notify: the table of channels, and a channel out of a target.

use std::sync::Arc;

use super::channel::{Channel, Outcome};
use super::channels::{
    alertmanager, apprise, discord, exec, gotify, healthchecks, mail, matrix, mattermost, ntfy,
    opsgenie, pagerduty, pushover, rocketchat, slack, teams, telegram, webhook,
};
use super::kind::{Asks, ChannelSettings, Ready, Row};
use super::message::Message;
use super::secret::{Secrets, filled};
use super::target::{Target, TargetError};

/// Every kind of channel, the most usual ones first.
pub static ROWS: [&Row; 18] = [
    &mail::ROW,
    &ntfy::ROW,
    &webhook::ROW,
    &telegram::ROW,
    &discord::ROW,
    &slack::ROW,
    &gotify::ROW,
    &matrix::ROW,
    &mattermost::ROW,
    &rocketchat::ROW,
    &pushover::ROW,
    &teams::ROW,
    &pagerduty::ROW,
    &opsgenie::ROW,
    &healthchecks::ROW,
    &alertmanager::ROW,
    &exec::ROW,
    &apprise::ROW,
];

/// The channel of a target: `ntfy:my-topic`, `me@example.org`. Secrets are read out of the files that
/// it names; nothing is sent.
///
/// # Errors
/// What is wrong with it and what to write instead, without its secrets.
pub fn channel_of(
    target: &str,
    settings: &Arc<ChannelSettings>,
) -> Result<Box<dyn Channel>, TargetError> {
    Ok(Box::new(ready(target, settings)?))
}

/// What the channel of a target makes of the answers that `asks` gives in the place of the network. For
/// channels that send by HTTP; mail and programs are sent as ever.
///
/// # Errors
/// As [`channel_of`].
pub fn answered(
    target: &str,
    settings: &Arc<ChannelSettings>,
    message: &Message,
    asks: Asks<'_>,
) -> Result<Outcome, TargetError> {
    Ok(ready(target, settings)?.answered(message, asks))
}

fn ready(target: &str, settings: &Arc<ChannelSettings>) -> Result<Ready, TargetError> {
    let target = Target::parse(&filled(target, settings.credentials.as_deref())?)?;
    let scheme = target.scheme.as_str();
    let Some(row) = ROWS.iter().find(|row| row.schemes.contains(&scheme)) else {
        return Err(unknown(scheme));
    };
    let mut secrets = Secrets::default();
    let made =
        (row.make)(&target, &mut secrets, settings).map_err(|e| TargetError(secrets.hide(&e.0)))?;
    Ok(Ready { row, made, secrets, settings: Arc::clone(settings) })
}

/// A target without its secrets, for logs, pages and errors; of one that is wrong no more than its scheme.
pub fn redacted(target: &str, settings: &Arc<ChannelSettings>) -> String {
    match channel_of(target, settings) {
        Ok(channel) => channel.shown(),
        Err(_) => {
            let scheme = Target::parse(target).map(|target| target.scheme).unwrap_or_default();
            if scheme.is_empty() { "…".to_owned() } else { format!("{scheme}:…") }
        }
    }
}

fn unknown(scheme: &str) -> TargetError {
    let schemes = ROWS.iter().flat_map(|row| row.schemes);
    let near = |known: &&&str| strsim::damerau_levenshtein(known, scheme) <= 1;
    if let Some(near) = schemes.clone().find(near) {
        return TargetError(format!("no channel is called `{scheme}:`: is `{near}:` meant?"));
    }
    let all: Vec<String> = schemes.map(|scheme| format!("{scheme}:")).collect();
    TargetError(format!(
        "no channel is called `{scheme}:`: there are {}; Apprise knows more, as apprise:{scheme}://…",
        all.join(" ")
    ))
}
