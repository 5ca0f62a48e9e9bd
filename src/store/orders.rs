//! store: what the writer is started with, and what it can be told while it runs.

use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Limits;
use crate::pipeline::Flow;

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
}
