//! store: the settings of the writer, and the orders that it takes while it runs.

use std::ops::Deref;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::pipeline::Flow;
use crate::store::texts::alerts::Waiting;
use crate::store::{AlertOp, Limits};

/// What the writer needs besides the store.
#[derive(Clone)]
pub struct WriterSettings {
    /// Where samples come from, and what it tells others.
    pub flow: Flow,
    /// Called after work that needed much memory.
    pub rested: fn(),
    /// What it is told while it runs.
    pub orders: Arc<Orders>,
    /// How often the inbox of SQL clients is looked at when no beat comes.
    pub inbox_every: Duration,
}

impl Deref for WriterSettings {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

/// What the writer can be told while it runs; [`nudge`](crate::pipeline::Queue::nudge) makes it look.
#[derive(Debug, Default)]
pub struct Orders {
    pub(super) limits: Mutex<Option<Limits>>,
    pub(super) compact: Mutex<Vec<oneshot::Sender<Result<(), String>>>>,
    alerts: Mutex<Waiting>,
}

impl Orders {
    /// Keeps so much from now on.
    pub fn keep(&self, limits: Limits) {
        *self.limits.lock().unwrap_or_else(|e| e.into_inner()) = Some(limits);
    }

    /// Does all upkeep at once, and says so when it is done.
    pub fn compact(&self, done: oneshot::Sender<Result<(), String>>) {
        self.compact.lock().unwrap_or_else(|e| e.into_inner()).push(done);
    }

    /// Writes this with the next commit, whatever that is for.
    pub fn alerts(&self, ops: impl IntoIterator<Item = AlertOp>) {
        self.waiting().add(ops);
    }

    /// Writes this, and what waits of alerts, at once; `done` hears when it is in the file. While the
    /// database cannot be written it waits, and `done` hears nothing; when the writer has ended, `done`
    /// is dropped. Needs a [`nudge`](crate::pipeline::Queue::nudge).
    pub fn alerts_now(&self, ops: impl IntoIterator<Item = AlertOp>, done: Option<SyncSender<()>>) {
        let mut waiting = self.waiting();
        waiting.add(ops);
        waiting.urgent = true;
        waiting.tell.extend(done);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.alerts.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Whether somebody waits for orders on alerts to be written.
    pub(super) fn is_urgent(&self) -> bool {
        self.waiting().urgent
    }

    /// Whether any wait.
    pub(super) fn has_alerts(&self) -> bool {
        !self.waiting().ops.is_empty()
    }

    /// Takes those that wait; unless `also_idle`, only if somebody waits for them to be written.
    pub(super) fn take_alerts(&self, also_idle: bool) -> Waiting {
        let mut waiting = self.waiting();
        if also_idle || waiting.urgent { std::mem::take(&mut *waiting) } else { Waiting::default() }
    }

    /// Puts those back that could not be written.
    pub(super) fn give_back_alerts(&self, before: Waiting) {
        self.waiting().give_back(before);
    }
}
