//! daemon: the service that collects: the thread of the beat, with the collectors that the
//! configuration names.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::config::Config;
use crate::daemon::beat::{Beat, Command};
use crate::daemon::rate::Rate;
use crate::daemon::running::{Running, Started};
use crate::daemon::service::{Service, Setting, Start};
use crate::daemon::shared::Shared;
use crate::model::{Interval, format_duration};
use crate::pipeline::BEAT;
use crate::store::Store;

pub(super) const SERVICE: Service = Service {
    name: "collect",
    greeting: "collecting",
    subjects: &["collector ", "timer of the beat", BEAT],
    settings: &[
        Setting::at_once("collect", |a, b| {
            let settings = |c: &Config| format!("{:?}{:?}{:?}", c.collectors, c.collect, c.filter);
            a.interval == b.interval && settings(a) == settings(b)
        }),
        Setting::at_once("burst", |a, b| a.bursts == b.bursts),
    ],
    plan,
    json: |config| {
        let collector = |c: &crate::config::CollectorConfig| json!({ "name": c.name, "interval_ms": c.interval.as_ms() });
        let collectors: Vec<Value> = config.collectors.iter().map(collector).collect();
        json!({ "interval_ms": config.interval.as_ms(), "collectors": collectors })
    },
    start: Start::First(start),
};

/// Collectors of the same interval share a line, the most frequent ones first.
fn plan(config: &Config) -> Vec<String> {
    let mut lines: Vec<String> = by_interval(config)
        .into_iter()
        .map(|(interval, names)| format!("every {interval}: {}", names.join(", ")))
        .collect();
    if lines.is_empty() {
        lines.push("nothing".into());
    }
    lines.extend(config.bursts.iter().map(|burst| {
        let who = match burst.collectors.is_empty() {
            true => "all collectors".into(),
            false => burst.collectors.join(", "),
        };
        let lasts = format_duration(burst.duration_ms);
        format!("when {}: every {} for {lasts}, {who}", burst.text, burst.interval)
    }));
    lines
}

fn by_interval(config: &Config) -> Vec<(Interval, Vec<&'static str>)> {
    let mut by_interval: Vec<(Interval, Vec<&str>)> = Vec::new();
    for c in &config.collectors {
        match by_interval.iter_mut().find(|(i, _)| *i == c.interval) {
            Some((_, names)) => names.push(c.name),
            None => by_interval.push((c.interval, vec![c.name])),
        }
    }
    by_interval.sort_by_key(|(interval, _)| *interval);
    by_interval
}

/// `every 10s: loadavg, meminfo; every 1m: filesystem`.
pub fn describe(config: &Config) -> String {
    let parts: Vec<String> = by_interval(config)
        .iter()
        .map(|(i, names)| format!("every {i}: {}", names.join(", ")))
        .collect();
    if parts.is_empty() { "nothing but itself".to_owned() } else { parts.join("; ") }
}

fn start(shared: &Shared, store: &Store) -> anyhow::Result<Option<Started>> {
    let beat = Beat::spawn(shared.clone(), store.newest_ts())?;
    tokio::spawn(beat.clone().guard());
    Ok(Some(Started::tasks(Collecting(beat))))
}

struct Collecting(Beat);

impl Collecting {
    /// Tells the thread something that it answers.
    fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.0.tell(command(reply));
        answer
    }
}

impl Running for Collecting {
    fn greeting(&self, config: &Config) -> String {
        describe(config)
    }

    fn configure(&self, config: &Arc<Config>) -> Option<oneshot::Receiver<()>> {
        Some(self.ask(|reply| Command::Configure(Arc::clone(config), reply)))
    }

    fn rates(&self) -> Option<oneshot::Receiver<Vec<Rate>>> {
        Some(self.ask(Command::Report))
    }

    fn set_rate(
        &self,
        name: Option<&str>,
        interval: Option<Interval>,
        for_ms: Option<i64>,
    ) -> Option<oneshot::Receiver<()>> {
        let collector = name.map(str::to_owned);
        Some(self.ask(|reply| Command::Rate { collector, interval, for_ms, reply }))
    }

    fn stop(&self) {
        self.0.tell(Command::Stop);
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }

    fn panicked(&self) -> bool {
        self.0.panicked()
    }
}
