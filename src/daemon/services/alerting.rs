//! daemon: the service that judges what is measured, and tells people of it.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::oneshot;

use crate::alert::Command;
use crate::config::Config;
use crate::daemon::alerting::{
    Alerting, LEFT_OUT, Letter, Post, SUBJECT, channel_settings, heartbeat::Heartbeat,
};
use crate::daemon::running::{Running, Started};
use crate::daemon::service::{Service, Setting, Start};
use crate::daemon::shared::Shared;
use crate::model::Recorder;
use crate::notify::{self, Outcome};
use crate::store::Store;

/// So long a command may take; the thread may be in a pass.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) const SERVICE: Service = Service {
    name: "alerts",
    greeting: "telling",
    subjects: &[SUBJECT, LEFT_OUT, "receiver ", "notifications by ", "heartbeat"],
    settings: &[
        Setting::at_once("alerts", |a, b| a.alerts.options == b.alerts.options),
        Setting::at_once("alerts.NAME", |a, b| a.alerts.limits == b.alerts.limits),
        Setting::at_once("alert", |a, b| a.alerts.own == b.alerts.own),
        Setting::at_once("smtp", |a, b| a.alerts.smtp == b.alerts.smtp),
    ],
    plan: |config| shown(config),
    json: |config| {
        let options = &config.alerts.options;
        json!({
            "to": shown(config),
            "off": options.off,
            "rules": options.rules,
            "quiet": options.quiet,
            "heartbeat": options.heartbeat.is_some(),
            "own": config.alerts.own.len(),
        })
    },
    start: Start::First(start),
};

/// The receivers of a configuration, without their secrets.
fn shown(config: &Config) -> Vec<String> {
    let settings = Arc::new(channel_settings(config, ""));
    let receivers = config.alerts.receivers();
    receivers.iter().map(|target| notify::redacted(target, &settings)).collect()
}

struct Alerts {
    post: Post,
    heartbeat: Heartbeat,
}

fn start(shared: &Shared, store: &Store) -> anyhow::Result<Option<Started>> {
    // A file that could not be opened yet has nothing to go on with.
    let stored = store.alerts().unwrap_or_default();
    let alerting = Alerting::new(shared, &stored);
    let newest = store.newest_ts();
    let post = alerting.post();
    let hand = post.clone();
    let system = Arc::clone(&shared.system);
    let testing = Mutex::new(());
    shared.alerts.obey(move |command| obey(&hand, &system, &testing, command));
    let held = shared.ending();
    let thread = std::thread::Builder::new().name("alerting".into()).stack_size(512 << 10).spawn(
        move || {
            let _held = held;
            alerting.run(newest);
        },
    )?;
    let heartbeat = Heartbeat::default();
    heartbeat.configure(shared, &shared.config());
    Ok(Some(Started::thread(Alerts { post, heartbeat }, thread)))
}

impl Running for Alerts {
    fn is_on(&self) -> bool {
        let config = self.post.shared().config();
        !config.alerts.receivers().is_empty() || config.alerts.options.heartbeat.is_some()
    }

    fn greeting(&self, config: &Config) -> String {
        match &*shown(config) {
            [] => "nobody  (plimsoll alert to RECEIVER)".to_owned(),
            some => some.join(", "),
        }
    }

    fn configure(&self, config: &Arc<Config>) -> Option<oneshot::Receiver<()>> {
        let (done, answer) = oneshot::channel();
        self.post.send(Letter::Configure(Arc::clone(config), done));
        self.heartbeat.configure(self.post.shared(), config);
        Some(answer)
    }

    fn report(&self, out: &mut Recorder) {
        self.post.delivery().tally().report(out);
    }

    fn stop(&self) {
        self.heartbeat.stop();
        self.post.send(Letter::Stop);
    }
}

/// Carries a command of a person out. Tests hold `testing`: each runs every receiver, which may be a
/// program, so only one runs at a time.
fn obey(
    post: &Post,
    system: &str,
    testing: &Mutex<()>,
    command: Command,
) -> Result<String, String> {
    if let Command::Test { what } = &command {
        let _one = match testing.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err("a test is being sent already; try again when it has ended".into());
            }
        };
        return test(post, system, what);
    }
    let (reply, answer) = sync_channel(1);
    post.send(Letter::Do(command, reply));
    match answer.recv_timeout(PATIENCE) {
        Ok(done) => done,
        Err(_) => Err("the alerts are being judged and take long; try again".into()),
    }
}

/// Sends a test message, and returns the receivers' own words.
fn test(post: &Post, system: &str, what: &str) -> Result<String, String> {
    let delivery = post.delivery();
    let wanted = |c: &notify::ChannelStand| what.is_empty() || c.id == what || c.shown == what;
    let channels: Vec<notify::ChannelStand> = delivery.stand().into_iter().filter(wanted).collect();
    if channels.is_empty() {
        return Err(match what {
            "" => "nobody is told: plimsoll alert to RECEIVER names somebody".into(),
            what => format!(
                "the configuration that the running plimsoll reads has no receiver `{what}`"
            ),
        });
    }
    let message = notify::test_message(system, post.shared().clock.wall_ms());
    let mut said = Vec::new();
    let mut failed = false;
    for channel in channels {
        let words = match delivery.test(&channel.id, &message) {
            None => continue,
            Some(Outcome::Sent { said }) if said.is_empty() => "sent".to_owned(),
            Some(Outcome::Sent { said }) => format!("sent; it said: {said}"),
            Some(Outcome::Retry { said, .. } | Outcome::Refused { said }) => {
                failed = true;
                format!("not sent: {said}")
            }
        };
        said.push(format!("{}: {words}", channel.shown));
    }
    let said = said.join("\n");
    if failed { Err(said) } else { Ok(said) }
}
