//! config: the configuration in force, which a reload replaces as a whole.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Config;

/// See the module's text; clones are the same one.
#[derive(Debug, Clone)]
pub struct Running {
    now: Arc<Mutex<(Arc<Config>, i64)>>,
    first: Arc<Config>,
}

impl Running {
    /// A configuration in force since `now`, ms since 1970 UTC.
    pub fn new(config: Arc<Config>, now: i64) -> Self {
        Self { now: Arc::new(Mutex::new((Arc::clone(&config), now))), first: config }
    }

    fn locked(&self) -> MutexGuard<'_, (Arc<Config>, i64)> {
        self.now.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The one that plimsoll was started with: settings that need a start are still those of it.
    pub fn first(&self) -> &Arc<Config> {
        &self.first
    }

    /// Another one from `now` on, ms since 1970 UTC.
    pub fn set(&self, config: Arc<Config>, now: i64) {
        *self.locked() = (config, now);
    }

    /// The one in force.
    pub fn now(&self) -> Arc<Config> {
        Arc::clone(&self.locked().0)
    }

    /// Since when, ms since 1970 UTC.
    pub fn since(&self) -> i64 {
        self.locked().1
    }
}
