//! daemon: what all services share: the flow of samples, the configuration in force, the file, and
//! each other.

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use super::running::Services;
use crate::config::{Config, Running};
use crate::http;
use crate::pipeline::Flow;
use crate::plugin::Shelf;
use crate::store::Head;

/// See the module's text; clones share everything.
#[derive(Clone)]
pub struct Shared {
    /// The way of the samples.
    pub flow: Flow,
    /// What plugins said last.
    pub shelf: Arc<Shelf>,
    /// The configuration in force.
    pub config: Running,
    /// The database's file.
    pub database: Arc<Path>,
    /// Its newest samples.
    pub head: Arc<Head>,
    /// This machine's name.
    pub system: Arc<str>,
    /// When the daemon was started, ms since 1970 UTC.
    pub started: i64,
    /// The services that run.
    pub services: Arc<Services>,
    /// How the control socket asks what HTTP answers.
    pub door: Arc<Door>,
    /// Told when a thread ends that should not.
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

/// Held by a thread; tells when it ends.
pub struct Ending(Arc<Notify>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// What the HTTP service leaves for the control socket.
#[derive(Debug, Default)]
pub struct Door {
    /// The API, past tokens and names.
    pub inside: OnceLock<http::Inside>,
    /// Where the page is served; that may come later than the start.
    pub listening: OnceLock<std::net::SocketAddr>,
}
