//! daemon: the services that run: each is asked and told things here, without knowing what it is.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::rate::Rate;
use crate::config::Config;
use crate::http::Serving;
use crate::model::{Interval, Metric, Recorder};
use crate::pipeline::Board;

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

/// What a row of the table of services says to those who look at the running service.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, see `Service`.
    pub name: &'static str,
    /// Before its line in the greeting.
    pub greeting: &'static str,
    /// The subjects of its problems begin with these.
    pub subjects: &'static [&'static str],
}

/// A row with what runs of it.
struct Active {
    /// Its place in the table.
    at: usize,
    row: Row,
    running: Box<dyn Running>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The services that run, in the order of the table.
#[derive(Default)]
pub struct Services(RwLock<Vec<Arc<Active>>>);

impl Services {
    /// One more runs. `at` is its place in the table.
    pub fn add(&self, at: usize, row: Row, started: Started) {
        let Started { running, thread } = started;
        let active = Arc::new(Active { at, row, running, thread: Mutex::new(thread) });
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let place = all.partition_point(|other| other.at < at);
        all.insert(place, active);
    }

    /// The places in the table of those that run.
    pub fn places(&self) -> Vec<usize> {
        self.all().iter().map(|active| active.at).collect()
    }

    /// Gives one of them another configuration, and waits until it works by it. An error is for
    /// people.
    pub async fn configure(&self, at: usize, config: &Arc<Config>) -> Result<(), String> {
        let active = self.all().into_iter().find(|active| active.at == at);
        match active.and_then(|active| active.running.configure(config)) {
            Some(answer) => in_time(answer).await,
            None => Ok(()),
        }
    }

    /// Gives one of them another configuration, and waits for nothing.
    pub fn tell(&self, at: usize, config: &Arc<Config>) {
        if let Some(active) = self.all().into_iter().find(|active| active.at == at) {
            // It works by it when it comes to it.
            let _answer = active.running.configure(config);
        }
    }

    fn all(&self) -> Vec<Arc<Active>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs one line for each service.
    pub fn greet(&self, config: &Config) {
        for active in self.all().iter().filter(|active| active.running.is_on()) {
            tracing::info!("{:<10} {}", active.row.greeting, active.running.greeting(config));
        }
    }

    /// As `/health` shows them.
    pub fn serving(&self, board: &Board) -> Vec<Serving> {
        let one = |active: Arc<Active>| Serving {
            name: active.row.name,
            up: !board.has(active.row.subjects),
            listening: active.running.listening(),
        };
        self.all().into_iter().filter(|active| active.running.is_on()).map(one).collect()
    }

    /// Collects the metrics of each service about itself.
    pub fn report(&self, board: &Board, out: &mut Recorder) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for active in all.iter().filter(|active| active.running.is_on()) {
            let up = !board.has(active.row.subjects);
            out.put_with(&UP, &[active.row.name], f64::from(u8::from(up)));
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
                true => tracing::debug!("{} has ended", active.row.name),
                false => tracing::debug!("{} has not ended in time", active.row.name),
            }
        }
    }

    /// Whether a thread that has ended panicked. To be called after [`Services::stop`].
    pub fn join(&self) -> anyhow::Result<()> {
        for active in self.all() {
            let mut thread = active.thread.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = thread.take_if(|thread| thread.is_finished()).map(JoinHandle::join);
            let panicked = active.running.panicked() || ended.is_some_and(|ended| ended.is_err());
            let name = active.row.name;
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
