//! daemon: the service that runs plugins. Its thread is there only if there are plugins; the first
//! one brings it, and it stays when the last one goes.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::daemon::plugins::{Plugins, RATE_PREFIX};
use crate::daemon::rate::Rate;
use crate::daemon::running::{Running, Started};
use crate::daemon::service::{Service, Setting, Start};
use crate::model::Interval;

pub(super) const SERVICE: Service = Service {
    name: "plugins",
    greeting: "plugins",
    subjects: &["plugin", "timer of plugins"],
    settings: &[Setting::at_once("plugins", |a, b| a.plugins == b.plugins)],
    plan: |config| {
        let plugins = &config.plugins;
        if !plugins.enabled || !plugins.folder().is_dir() && plugins.said.is_empty() {
            return Vec::new();
        }
        vec![format!("{}, every {}", plugins.folder().display(), plugins.interval)]
    },
    json: |config| {
        let plugins = &config.plugins;
        json!({
            "enabled": plugins.enabled,
            "folder": plugins.folder().to_string_lossy(),
            "interval_ms": plugins.interval.as_ms(),
            "parallel": plugins.parallel,
        })
    },
    start: Start::Any(|shared| {
        let started = Plugins::start(shared)?;
        Ok(started.map(|(plugins, thread)| Started::thread(plugins, thread)))
    }),
};

impl Running for Plugins {
    fn greeting(&self, config: &Config) -> String {
        format!("{} in {}", self.found(), config.plugins.folder().display())
    }

    fn is_on(&self) -> bool {
        self.found() > 0
    }

    fn configure(&self, config: &Arc<Config>) -> Option<oneshot::Receiver<()>> {
        self.reconfigure(Arc::clone(config));
        None
    }

    fn rates(&self) -> Option<oneshot::Receiver<Vec<Rate>>> {
        Some(self.rates())
    }

    fn set_rate(
        &self,
        name: Option<&str>,
        interval: Option<Interval>,
        for_ms: Option<i64>,
    ) -> Option<oneshot::Receiver<()>> {
        let name = name?;
        let name = name.strip_prefix(RATE_PREFIX).unwrap_or(name);
        Some(self.set_rate(name.to_owned(), interval, for_ms))
    }

    fn stop(&self) {
        self.end();
    }
}
