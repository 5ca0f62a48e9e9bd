//! daemon: services run beside the main thread. Each is one file in services/ and one row of
//! [`SERVICES`]; the greeting, `reload`, `check-config`, `/health`, the shutdown and plimsoll's
//! metrics about itself iterate that table.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;
use tokio::sync::oneshot;

use super::rate::Rate;
use super::services::SERVICES;
use super::shared::Shared;
use crate::config::Config;
use crate::http::Serving;
use crate::model::{Interval, Metric, Recorder};
use crate::store::Store;

/// A row of the table of services.
pub struct Service {
    /// Its name in `check-config`, in `/health` and in `plimsoll_service_up`.
    pub name: &'static str,
    /// The word before its line in the greeting, at most ten characters.
    pub greeting: &'static str,
    /// The subjects of its problems begin with these.
    pub subjects: &'static [&'static str],
    /// Its settings, and when a reload puts each to use.
    pub settings: &'static [Setting],
    /// A description of what would run, in lines; empty if the service is off.
    pub plan: fn(&Config) -> Vec<String>,
    /// Its settings for machines, as an object.
    pub json: fn(&Config) -> Value,
    /// Starts it, within the runtime; `None`: the configuration does not ask for it. Without a store
    /// it is a reload that starts it.
    pub start: Start,
}

/// The way in which a service starts.
#[derive(Clone, Copy)]
pub enum Start {
    /// Only when plimsoll does.
    First(fn(&Shared, &Store) -> anyhow::Result<Option<Started>>),
    /// When plimsoll does, or at the first reload that asks for it.
    Any(fn(&Shared) -> anyhow::Result<Option<Started>>),
}

/// A setting that a reload may bring.
pub struct Setting {
    /// The name in the configuration file.
    pub name: &'static str,
    /// Whether a reload puts it to use; otherwise the next start does.
    pub at_once: bool,
    /// Whether both have the same value of it.
    pub same: fn(&Config, &Config) -> bool,
}

impl Setting {
    /// A reload puts it to use.
    pub const fn at_once(name: &'static str, same: fn(&Config, &Config) -> bool) -> Self {
        Self { name, at_once: true, same }
    }

    /// The next start puts it to use.
    pub const fn next_start(name: &'static str, same: fn(&Config, &Config) -> bool) -> Self {
        Self { name, at_once: false, same }
    }

    /// The line of a reload about this setting; `None` if `new` has the value that is used. `first`
    /// is the configuration of the start, `old` that of the last reload.
    pub fn change(&self, first: &Config, old: &Config, new: &Config) -> Option<String> {
        let name = self.name;
        match self.at_once {
            true if (self.same)(old, new) => None,
            true => Some(format!("the new `{name}` is in force")),
            false if (self.same)(first, new) => None,
            false => Some(format!("the new `{name}` takes effect at the next start")),
        }
    }
}

/// A service that was started.
pub struct Started {
    /// The handle for questions and commands.
    pub running: Box<dyn Running>,
    /// Its thread, if it has one of its own.
    pub thread: Option<JoinHandle<()>>,
}

impl Started {
    /// A service that runs in tasks of the main thread.
    pub fn tasks(running: impl Running + 'static) -> Self {
        Self { running: Box::new(running), thread: None }
    }

    /// A service with a thread of its own.
    pub fn thread(running: impl Running + 'static, thread: JoinHandle<()>) -> Self {
        Self { running: Box::new(running), thread: Some(thread) }
    }
}

/// A service while it runs.
pub trait Running: Send + Sync {
    /// The rest of its line in the greeting.
    fn greeting(&self, config: &Config) -> String;

    /// Whether it has anything to do. After a reload that left it nothing, it is shown like one
    /// that is not configured.
    fn is_on(&self) -> bool {
        true
    }

    /// The addresses on which it listens now.
    fn listening(&self) -> Vec<String> {
        Vec::new()
    }

    /// Works by another configuration from now on. The answer, if there is one, comes when it does.
    fn configure(&self, config: &Arc<Config>) -> Option<oneshot::Receiver<()>> {
        let _nothing = config;
        None
    }

    /// Its metrics of itself.
    fn report(&self, out: &mut Recorder) {
        let _nothing = out;
    }

    /// The rates in force, if it reads something at a rate.
    fn rates(&self) -> Option<oneshot::Receiver<Vec<Rate>>> {
        None
    }

    /// Reads one of these names, or all, at another rate for this many ms (`None`: until the next
    /// reload); without an interval at its own again.
    fn set_rate(
        &self,
        name: Option<&str>,
        interval: Option<Interval>,
        for_ms: Option<i64>,
    ) -> Option<oneshot::Receiver<()>> {
        let _nothing = (name, interval, for_ms);
        None
    }

    /// Asks it to end. Its thread ends soon after.
    fn stop(&self) {}

    /// Whether the threads that it keeps to itself have ended.
    fn is_over(&self) -> bool {
        true
    }

    /// Whether one of those has panicked.
    fn panicked(&self) -> bool {
        false
    }
}

static UP: Metric = Metric::gauge(
    "plimsoll_service_up",
    "",
    "Whether the service works (1), or something is wrong with it (0).",
)
.by(&["service"]);

/// A row with what runs of it.
struct Active {
    /// Its place in the table.
    at: usize,
    service: &'static Service,
    running: Box<dyn Running>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The services that run, in the order of the table.
#[derive(Default)]
pub struct Services(RwLock<Vec<Arc<Active>>>);

impl Services {
    /// Starts what the configuration asks for, the last row first: the first row, which collects,
    /// then finds all others there when it reports on them.
    pub fn start(&self, shared: &Shared, store: &Store) -> anyhow::Result<()> {
        for (at, service) in SERVICES.iter().enumerate().rev() {
            let started = match service.start {
                Start::First(start) => start(shared, store),
                Start::Any(start) => start(shared),
            };
            let started = started.with_context(|| format!("cannot start {}", service.name))?;
            self.add(at, service, started);
        }
        Ok(())
    }

    fn add(&self, at: usize, service: &'static Service, started: Option<Started>) {
        let Some(Started { running, thread }) = started else { return };
        let active = Arc::new(Active { at, service, running, thread: Mutex::new(thread) });
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let place = all.partition_point(|other| other.at < at);
        all.insert(place, active);
    }

    fn all(&self) -> Vec<Arc<Active>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another configuration to use; an error is for people. Returns what has changed, in lines.
    pub async fn configure(
        &self,
        shared: &Shared,
        old: &Config,
        new: &Arc<Config>,
    ) -> Result<Vec<String>, String> {
        let running = self.all();
        let mut said = Vec::new();
        for (at, service) in SERVICES.iter().enumerate() {
            let first = shared.config.first();
            said.extend(service.settings.iter().filter_map(|s| s.change(first, old, new)));
            if let Some(active) = running.iter().find(|active| active.at == at)
                && let Some(answer) = active.running.configure(new)
            {
                in_time(answer).await?;
            }
        }
        shared.config.set(Arc::clone(new), shared.clock.wall_ms());
        for (at, service) in SERVICES.iter().enumerate() {
            let Start::Any(start) = service.start else { continue };
            if running.iter().any(|active| active.at == at) {
                continue;
            }
            match start(shared) {
                Ok(started) => self.add(at, service, started),
                Err(e) => shared.board.fail(service.name, format!("it cannot start: {e}")),
            }
        }
        Ok(said)
    }

    /// Logs one line for each service.
    pub fn greet(&self, config: &Config) {
        for active in self.all() {
            tracing::info!("{:<10} {}", active.service.greeting, active.running.greeting(config));
        }
    }

    /// As `/health` shows them.
    pub fn serving(&self, shared: &Shared) -> Vec<Serving> {
        let one = |active: Arc<Active>| Serving {
            name: active.service.name,
            up: !shared.board.has(active.service.subjects),
            listening: active.running.listening(),
        };
        self.all().into_iter().filter(|active| active.running.is_on()).map(one).collect()
    }

    /// Collects the metrics of each service about itself.
    pub fn report(&self, shared: &Shared, out: &mut Recorder) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for active in all.iter().filter(|active| active.running.is_on()) {
            let up = !shared.board.has(active.service.subjects);
            out.put_with(&UP, &[active.service.name], f64::from(u8::from(up)));
            active.running.report(out);
        }
    }

    /// The rates in force, by the place of the service in the table.
    pub async fn rates(&self) -> Result<Vec<(usize, Vec<Rate>)>, String> {
        let mut all = Vec::new();
        for active in self.all() {
            if let Some(answer) = active.running.rates() {
                all.push((active.at, in_time(answer).await?));
            }
        }
        Ok(all)
    }

    /// See [`Running::set_rate`]; `at` is the place of the service in the table.
    pub async fn set_rate(
        &self,
        at: usize,
        name: Option<&str>,
        interval: Option<Interval>,
        for_ms: Option<i64>,
    ) -> Result<(), String> {
        let active = self.all().into_iter().find(|active| active.at == at);
        let answer = active.and_then(|active| active.running.set_rate(name, interval, for_ms));
        match answer {
            Some(answer) => in_time(answer).await,
            None => Ok(()),
        }
    }

    /// Whether the first service that reads something at a rate, the one that collects, still
    /// answers.
    pub async fn is_alive(&self) -> bool {
        let answer = self.all().into_iter().find_map(|active| active.running.rates());
        match answer {
            Some(answer) => in_time(answer).await.is_ok(),
            None => false,
        }
    }

    /// Asks all to end, and waits for their threads, until `deadline` at most.
    pub fn stop(&self, deadline: Instant) {
        let all = self.all();
        all.iter().for_each(|active| active.running.stop());
        wait_until(deadline, || all.iter().all(|active| active.is_finished()));
        for active in &all {
            match active.is_finished() {
                true => tracing::debug!("{} has ended", active.service.name),
                false => tracing::debug!("{} has not ended in time", active.service.name),
            }
        }
    }

    /// Whether a thread that has ended panicked. To be called after [`Services::stop`].
    pub fn join(&self) -> anyhow::Result<()> {
        for active in self.all() {
            let mut thread = active.thread.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = thread.take_if(|thread| thread.is_finished()).map(JoinHandle::join);
            let panicked = active.running.panicked() || ended.is_some_and(|ended| ended.is_err());
            let name = active.service.name;
            anyhow::ensure!(!panicked, "the thread of {name} panicked; please report this");
        }
        Ok(())
    }
}

impl Active {
    fn is_finished(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        self.running.is_over() && thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// Waits until this is so, or `deadline` has come.
pub fn wait_until(deadline: Instant, done: impl Fn() -> bool) {
    while !done() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// The threads answer in microseconds, unless a collector hangs in the kernel.
const PATIENCE: Duration = Duration::from_secs(4);

async fn in_time<T>(answer: oneshot::Receiver<T>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err("plimsoll is stopping".into()),
        Err(_) => {
            Err("a collector hangs; plimsoll will answer when the kernel lets go of it".into())
        }
    }
}
