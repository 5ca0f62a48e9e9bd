//! daemon: the handle of the plugins thread, and its commands.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::config::Config;
use crate::daemon::alarm::Bell;
use crate::daemon::rate::Rate;
use crate::model::Interval;

/// Before a plugin's name where it stands among those of collectors.
pub const RATE_PREFIX: &str = "plugin:";

pub(super) enum Command {
    Configure(Arc<Config>),
    /// The rates in force.
    Report(oneshot::Sender<Vec<Rate>>),
    /// Another rate for one of them, if it is there; `None` returns to its own.
    Rate(String, Option<Interval>, Option<i64>, oneshot::Sender<()>),
    Stop,
}

/// The running thread, to be told things.
pub struct Plugins {
    /// The number of plugins.
    pub(super) found: Arc<AtomicUsize>,
    pub(super) mailbox: Arc<Mutex<Vec<Command>>>,
    pub(super) bell: Bell,
}

impl Plugins {
    fn send(&self, command: Command) {
        self.mailbox.lock().unwrap_or_else(|e| e.into_inner()).push(command);
        self.bell.ring();
    }

    /// The number of plugins.
    pub fn found(&self) -> usize {
        self.found.load(Relaxed)
    }

    /// Works by another configuration from now on.
    pub fn reconfigure(&self, config: Arc<Config>) {
        self.send(Command::Configure(config));
    }

    /// The rates in force, each plugin's name behind [`RATE_PREFIX`].
    pub fn rates(&self) -> oneshot::Receiver<Vec<Rate>> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Report(reply));
        answer
    }

    /// Runs a plugin at another rate for this many ms (`None`: until the next reload), or again at
    /// its own. An unknown name does nothing.
    pub fn set_rate(
        &self,
        name: String,
        interval: Option<Interval>,
        for_ms: Option<i64>,
    ) -> oneshot::Receiver<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Rate(name, interval, for_ms, reply));
        answer
    }

    /// Ends what runs, and the thread.
    pub fn end(&self) {
        self.send(Command::Stop);
    }
}
