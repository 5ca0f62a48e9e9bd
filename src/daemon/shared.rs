//! daemon: the parts that all services share: the flow of samples, the configuration in force, the
//! file, and each other.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::running::Services;
use crate::alert::Standing;
use crate::config::{Config, Running};
use crate::http;
use crate::pipeline::Flow;
use crate::plugin::Shelf;
use crate::query::desk::Desk;
use crate::store::{Head, Orders};

/// See the module's text; clones share everything.
#[derive(Clone)]
pub struct Shared {
    /// The way of the samples.
    pub flow: Flow,
    /// The orders for the writer.
    pub orders: Arc<Orders>,
    /// The last output of plugins.
    pub shelf: Arc<Shelf>,
    /// How things stand with alerts.
    pub alerts: Arc<Standing>,
    /// The configuration in force.
    pub config: Running,
    /// The database's file.
    pub database: Arc<Path>,
    /// Its newest samples.
    pub head: Arc<Head>,
    /// The desk at which all questions to it are asked.
    pub desk: Arc<Desk>,
    /// This machine's name.
    pub system: Arc<str>,
    /// When the daemon was started, ms since 1970 UTC.
    pub started: i64,
    /// The services that run.
    pub services: Arc<Services>,
    /// The door by which the control socket reaches the HTTP service.
    pub door: Arc<Door>,
    /// Notified when a thread ends unexpectedly.
    pub ended: Arc<Notify>,
}

impl Deref for Shared {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl Shared {
    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.now()
    }

    /// For a thread to hold: the daemon ends when it is dropped, because the thread ended.
    pub fn ending(&self) -> Ending {
        Ending(Arc::clone(&self.ended))
    }
}

/// Held by a thread; notifies when it ends.
pub struct Ending(Arc<Notify>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// The part of the HTTP service that the control socket uses.
#[derive(Debug, Default)]
pub struct Door {
    /// The API, past tokens and names.
    pub inside: OnceLock<http::Inside>,
    /// The address of the page, once it is open.
    pub listening: OnceLock<std::net::SocketAddr>,
}
