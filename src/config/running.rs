//! config: the configuration in force, which a reload replaces as a whole.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Config;

/// See the module's text; clones are the same one.
#[derive(Debug, Clone)]
pub struct Running(Arc<Mutex<(Arc<Config>, i64)>>);

impl Running {
    /// In force since `now`, ms since 1970 UTC.
    pub fn new(config: Arc<Config>, now: i64) -> Self {
        Self(Arc::new(Mutex::new((config, now))))
    }

    fn locked(&self) -> MutexGuard<'_, (Arc<Config>, i64)> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
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
