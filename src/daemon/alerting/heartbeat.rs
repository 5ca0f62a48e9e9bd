//! daemon: the dead man's switch: every minute somebody else is told that readings are judged and written.
//! Who hears nothing any more speaks up.
//!
//! Bound: one thread, and only where the configuration names an address.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::rules::channel_settings;
use super::still::Still;
use crate::config::Config;
use crate::daemon::shared::Shared;
use crate::notify::{self, Outcome};

const SUBJECT: &str = "heartbeat";
const EVERY: Duration = Duration::from_secs(60);
/// One ping may take so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// Readings are late when none came for so many beats, and from one ping to the next at least.
const BEATS: u32 = 3;

/// The thread that pings, if there is one. It ends when its half of the channel is dropped.
#[derive(Default)]
pub struct Heartbeat(Mutex<(Option<String>, Option<SyncSender<()>>)>);

impl Heartbeat {
    /// Pings the address that the configuration names, and no other any more.
    pub fn configure(&self, shared: &Shared, config: &Config) {
        let mut here = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let url = config.alerts.options.heartbeat.clone();
        if here.0 == url {
            return;
        }
        *here = (url.clone(), None);
        shared.board.forget(SUBJECT);
        let Some(url) = url else { return };
        let settings = channel_settings(config, &shared.system);
        let heart = match notify::Heartbeat::new(&url, settings) {
            Ok(heart) => heart,
            Err(e) => return shared.board.fail(SUBJECT, e.to_string()),
        };
        let (stop, stopped) = sync_channel(1);
        let shared_too = shared.clone();
        let thread = std::thread::Builder::new().name("heartbeat".into()).stack_size(512 << 10);
        let started = thread.spawn(move || {
            let mut seen = Seen::default();
            loop {
                beat(&shared_too, &heart, &mut seen);
                match stopped.recv_timeout(EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        match started {
            Ok(_) => here.1 = Some(stop),
            Err(e) => shared.board.fail(SUBJECT, format!("there is no thread for it: {e}")),
        }
    }

    /// No ping any more.
    pub fn stop(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = None;
    }
}

fn beat(shared: &Shared, heart: &notify::Heartbeat, seen: &mut Seen) {
    let now = Instant::now();
    let longest = EVERY.max(shared.config().interval.as_duration() * BEATS);
    let judged = shared.alerts.now().judged_at.unwrap_or(0);
    // Each is looked at, whatever the other one says.
    let late = [
        ("written", seen.written.age(super::still::written(shared), now)),
        ("judged", seen.judged.age(judged, now)),
    ];
    let wrong = late
        .into_iter()
        .find(|(_, age)| *age >= longest)
        .map(|(what, age)| format!("no reading was {what} for {} s", age.as_secs()));
    match heart.beat(wrong.as_deref(), now + PATIENCE) {
        Outcome::Sent { .. } => shared.board.ok(SUBJECT),
        Outcome::Retry { said, .. } | Outcome::Refused { said } => {
            shared.board.fail(SUBJECT, format!("{}: {said}", heart.shown()));
        }
    }
}

/// What was seen at the last beats.
#[derive(Default)]
struct Seen {
    written: Still,
    judged: Still,
}
