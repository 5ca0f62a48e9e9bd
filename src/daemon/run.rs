//! daemon: from the start to the end of `plimsoll run`.

mod munin;
mod rates;
mod web;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tokio::sync::{Notify, oneshot};

use super::beat::{Beat, Command, Shared};
use super::control::{self, Request, Response};
use super::munin_peers::Peers;
use super::plugins::Plugins;
use super::{graphite, log, memory, statsd};
use crate::config::{Config, Http};
use crate::http;
use crate::model::{Clock, Event, Interval, Labels, SystemClock, format_duration};
use crate::pipeline::{Board, Intake, MAX_SAMPLES, Names, Queue};
use crate::receive::NodeSettings;
use crate::store::{Head, Lock, Orders, Store, Writer, WriterSettings};

/// How long the last commit may take once somebody wants us gone.
const FAREWELL: Duration = Duration::from_millis(900);
/// When what only starting needed is given back.
const SETTLED: Duration = Duration::from_secs(3);

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--db`
    pub db: Option<PathBuf>,
    /// `--verbose`
    pub verbose: bool,
}

/// Held by a thread; tells when it ends.
struct Ending(Arc<Notify>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

struct Daemon {
    options: Options,
    database: PathBuf,
    head: Arc<Head>,
    system: String,
    started: i64,
    shared: Shared,
    beat: Beat,
    orders: Arc<Orders>,
    ended: Arc<Notify>,
    config: http::Running,
    http: Option<http::Hosts>,
    inside: Option<http::Inside>,
    secure: bool,
    /// Where the page is served; it may come later than the start.
    listening: Arc<OnceLock<std::net::SocketAddr>>,
    graphite: Vec<String>,
    munin_node: Vec<std::net::SocketAddr>,
    peers: Peers,
    plugins: Arc<Mutex<Option<Plugins>>>,
}

/// Collects until SIGINT or SIGTERM. An error here is one of starting, or of a last commit that did
/// not get through.
pub fn run(options: &Options) -> anyhow::Result<()> {
    log::start(if options.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO });
    // Two threads allocate; more arenas would only hold more freed memory.
    limit_arenas();
    let config = Arc::new(Config::find(options.config.as_deref())?);
    let database = crate::store::to_write(options.db.as_deref().or(config.db.as_deref()));
    let system = config.system.clone().unwrap_or_else(host_name);

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let counters = Arc::default();
    let registry = Arc::default();
    let queue = Arc::new(Queue::new(config.queue_ms, MAX_SAMPLES, Arc::clone(&counters)));
    let names = Arc::new(Names::new(config.max_names));
    let latest = Arc::default();
    let intake = Intake::new(
        Arc::clone(&registry),
        Arc::clone(&queue),
        Arc::clone(&counters),
        Arc::clone(&names),
        &system,
    )
    .beside(Arc::clone(&latest));
    let mut shared = Shared {
        registry,
        queue,
        intake: Arc::new(intake),
        names,
        latest,
        board: Arc::new(Board::new(Arc::clone(&clock))),
        counters,
        statsd: statsd::Watch::default(),
        shelf: Arc::default(),
        clock,
    };
    let ended = Arc::new(Notify::new());
    let orders = Arc::new(Orders::default());
    orders.keep(config.limits);
    let (mut store, full) = Store::open_or_wait(&database, &system, Arc::clone(&shared.registry))?;
    store.share_names(Arc::clone(&shared.names));
    let newest = store.newest_ts();
    tell_start(&shared, newest);
    let head = store.head();
    let (watch, receiver) = statsd::open(&config.statsd, &shared, &store);
    shared.statsd = watch;
    let writer = Writer::spawn(
        store,
        full,
        WriterSettings {
            queue: Arc::clone(&shared.queue),
            counters: Arc::clone(&shared.counters),
            board: Arc::clone(&shared.board),
            clock: Arc::clone(&shared.clock),
            rested: memory::give_back,
            orders: Arc::clone(&orders),
            inbox_every: inbox_every(config.interval),
        },
        Ending(Arc::clone(&ended)),
    )
    .context("cannot start the store thread")?;
    let (beat, thread) = Beat::spawn(
        shared.clone(),
        Arc::clone(&config),
        database.clone(),
        newest,
        Ending(Arc::clone(&ended)),
    )
    .context("cannot start the beat thread")?;

    let reader = receiver
        .map(|receiver| receiver.start(Ending(Arc::clone(&ended))))
        .transpose()
        .context("cannot start the statsd thread")?;
    let lines = graphite::start(&config.graphite, &shared, || Ending(Arc::clone(&ended)))
        .context("cannot start the Graphite thread")?;
    let (graphite, lines) = lines.map_or((Vec::new(), None), |(p, reader)| (p, Some(reader)));
    let readers: Vec<_> = reader.into_iter().chain(lines).collect();

    if !config.munin_node.node.listen.is_empty() {
        // Before the first plugin has spoken: it describes itself every five minutes only.
        shared.shelf.want();
    }
    let plugins = Plugins::start(&shared, &config, &database, || Ending(Arc::clone(&ended)))
        .context("cannot start the thread of plugins")?;
    let plugins = Arc::new(Mutex::new(plugins));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(serve(Daemon {
        options: options.clone(),
        database: database.clone(),
        head,
        system,
        started: shared.clock.wall_ms(),
        shared: shared.clone(),
        beat: beat.clone(),
        orders,
        ended,
        config: http::Running::new(config, shared.clock.wall_ms()),
        http: None,
        inside: None,
        secure: false,
        listening: Arc::default(),
        graphite,
        munin_node: Vec::new(),
        peers: Peers::default(),
        plugins: Arc::clone(&plugins),
    }));

    let _unused = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    beat.tell(Command::Stop);
    let deadline = Instant::now() + FAREWELL;
    for reader in &readers {
        reader.stop();
    }
    let plugins = plugins.lock().unwrap_or_else(|e| e.into_inner()).take();
    if let Some(plugins) = &plugins {
        plugins.stop();
    }
    wait_until(deadline - FAREWELL / 2, || {
        thread.is_finished()
            && readers.iter().all(|r| r.is_finished())
            && plugins.as_ref().is_none_or(Plugins::is_finished)
    });
    shared.queue.close();
    wait_until(deadline, || writer.is_finished());
    // Where the folder was replaced, the next one may have its socket there already.
    let mine = |pid: String| pid == std::process::id().to_string();
    if Lock::owner(&database).is_none_or(mine) {
        let _unused = std::fs::remove_file(control::socket_path(&database));
    }
    runtime.shutdown_background();
    outcome?;
    anyhow::ensure!(
        writer.is_finished(),
        "the last samples could not be written within a second; what was committed before is safe"
    );
    anyhow::ensure!(
        !thread.is_finished() || thread.join().is_ok(),
        "the beat thread panicked; please report this"
    );
    anyhow::ensure!(
        readers.into_iter().all(|r| !r.is_finished() || r.join().is_ok()),
        "a thread that receives panicked; please report this"
    );
    match writer.join() {
        Ok(0) => {}
        Ok(left) => anyhow::bail!(
            "{left} samples could not be written before the end; what was committed before is safe"
        ),
        Err(_) => anyhow::bail!("the store thread panicked; please report this"),
    }
    if shared.board.problems().iter().any(|(subject, _)| subject == crate::store::FILE) {
        tracing::warn!(
            "stopped; {} was deleted or replaced: what was measured since is lost",
            database.display()
        );
    } else {
        tracing::info!("stopped; everything is in {}", database.display());
    }
    Ok(())
}

fn wait_until(deadline: Instant, done: impl Fn() -> bool) {
    while !done() && Instant::now() < deadline {
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[allow(unsafe_code, reason = "libc's mallopt has no safe wrapper")]
fn limit_arenas() {
    // SAFETY: mallopt only stores two integers; no other thread runs yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

/// Every beat's commit takes in what SQL clients inserted. Between slow beats, and when none comes,
/// somebody else has to look; twice the beat, so that it never wakes the thread in vain.
fn inbox_every(beat: Interval) -> Duration {
    (beat.as_duration() * 2).clamp(Duration::from_secs(2), Duration::from_secs(60))
}

/// This machine's name when the configuration gives no other.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

async fn serve(mut daemon: Daemon) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let control = control::bind(&daemon.database)
        .and_then(tokio::net::UnixListener::from_std)
        .inspect_err(|e| daemon.shared.board.fail("control socket", e.to_string()))
        .ok();
    web::start_http(&mut daemon).await;
    munin::start_node(&mut daemon);
    daemon.peers.configure(&daemon.shared, &daemon.config(), &daemon.database, &daemon.system);
    let daemon = Arc::new(daemon);
    if let Some(listener) = control {
        let d = Arc::clone(&daemon);
        tokio::spawn(control::serve(listener, move |request| {
            let d = Arc::clone(&d);
            async move { d.answer(request).await }
        }));
    }
    daemon.greet();
    let _unused = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut watchdog = watchdog();
    // By then everything has run once.
    tokio::spawn(async {
        tokio::time::sleep(SETTLED).await;
        memory::give_back();
    });
    loop {
        tokio::select! {
            // Only a panic gets here: what is not collected or not stored any more is not to look
            // alive, and whoever supervises us starts us again.
            () = daemon.ended.notified() => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => {
                match daemon.reload().await {
                    Ok(said) => tracing::info!("{said}"),
                    Err(said) => tracing::error!("{said}"),
                }
            }
            _ = tick(&mut watchdog) => {
                if daemon.beats().await.is_ok() {
                    let _unused = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                }
            }
        }
    }
    Ok(())
}

/// Half of what systemd waits for; nothing without systemd.
fn watchdog() -> Option<tokio::time::Interval> {
    let every = sd_notify::watchdog_enabled()? / 2;
    Some(tokio::time::interval(every))
}

async fn tick(watchdog: &mut Option<tokio::time::Interval>) {
    match watchdog {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

/// An event of plimsoll's own, for whoever looks at charts later.
fn tell(shared: &Shared, kind: &'static str, ts: i64, title: &str, text: &str) {
    let event = Event {
        ts,
        system: None,
        kind,
        level: "info",
        title: title.into(),
        text: text.into(),
        tags: Labels::default(),
        priority: "normal",
        source: "plimsoll".into(),
    };
    if !shared.queue.push_event(event) {
        shared.counters.events_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// That plimsoll was started, and that the machine was, if it was since the newest sample.
fn tell_start(shared: &Shared, newest: Option<i64>) {
    let now = shared.clock.wall_ms();
    let booted = now - shared.clock.boot_ms();
    if newest.is_some_and(|newest| newest < booted) {
        tell(shared, "boot", booted, "machine started", "");
    }
    let title = concat!("plimsoll ", env!("CARGO_PKG_VERSION"), " started");
    tell(shared, "start", now, title, "");
}

impl Daemon {
    fn config(&self) -> Arc<Config> {
        self.config.now()
    }

    fn greet(&self) {
        let config = self.config();
        tracing::info!("database   {}", absolute(&self.database).display());
        tracing::info!("collecting {}", describe_collectors(&config));
        match self.listening.get() {
            Some(address) => {
                let scheme = if self.secure { "https" } else { "http" };
                tracing::info!(
                    "listening  {scheme}://{address}  (the page; /metrics, /health, /api/…)"
                )
            }
            None => tracing::info!("listening  nowhere (no HTTP)"),
        }
        if !self.graphite.is_empty() {
            tracing::info!("graphite   {}", self.graphite.join(", "));
        }
        if !self.munin_node.is_empty() {
            let places: Vec<String> = self.munin_node.iter().map(ToString::to_string).collect();
            tracing::info!("munin node {}", places.join(", "));
        }
        if !config.munin_peers.is_empty() {
            let place = |p: &NodeSettings| format!("{}:{}", p.host, p.port);
            let places: Vec<String> = config.munin_peers.iter().map(place).collect();
            tracing::info!("asking     {}", places.join(", "));
        }
        if let Some(plugins) = &*self.plugins.lock().unwrap_or_else(|e| e.into_inner()) {
            let folder = config.plugins.folder();
            tracing::info!("plugins    {} in {}", plugins.found, folder.display());
        }
        let statsd = &self.shared.statsd;
        if !statsd.places.is_empty() {
            let every = format_duration(config.statsd.gather.flush_ms);
            tracing::info!("statsd     {}, written every {every}", statsd.places.join(", "));
        }
    }

    async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Reload => match self.reload().await {
                Ok(said) => Response::done(said, serde_json::Value::Null),
                Err(said) => Response::failed(said),
            },
            Request::Rates => match self.rates().await {
                Ok(rates) => Response::done("", json!(rates)),
                Err(said) => Response::failed(said),
            },
            Request::Interval { collector, interval, for_ } => {
                match self.change_rate(collector, interval, for_).await {
                    Ok(rates) => Response::done("", json!(rates)),
                    Err(said) => Response::failed(said),
                }
            }
            Request::Compact => match self.compact().await {
                Ok(()) => Response::done("", serde_json::Value::Null),
                Err(said) => Response::failed(said),
            },
            Request::Query { path, form } => match &self.inside {
                Some(inside) => {
                    let (status, body) = inside.ask(&path, &form).await;
                    Response::done("", json!({ "status": status })).with(body)
                }
                None => Response::failed("nothing can be asked yet"),
            },
            Request::Status => {
                let problems: Vec<_> = (self.shared.board.problems().into_iter())
                    .map(|(subject, p)| json!({"subject": subject, "since": p.since, "count": p.count, "message": p.message}))
                    .collect();
                let data = json!({
                    "pid": std::process::id(),
                    "version": env!("CARGO_PKG_VERSION"),
                    "started": self.started,
                    "listening": self.listening.get().map(ToString::to_string),
                    "problems": problems,
                });
                Response::done("", data)
            }
        }
    }

    async fn compact(&self) -> Result<(), String> {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.orders.compact(reply);
        self.shared.queue.nudge();
        let done = tokio::task::spawn_blocking(move || answer.recv()).await;
        match done {
            Ok(Ok(done)) => done,
            _ => Err("plimsoll is stopping".into()),
        }
    }

    /// Reads the configuration again; whatever is wrong with it leaves the running one in force.
    async fn reload(&self) -> Result<String, String> {
        let _unused = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
        let done = self.try_reload().await;
        let _unused = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        done
    }

    async fn try_reload(&self) -> Result<String, String> {
        let new = Config::find(self.options.config.as_deref()).map_err(|e| {
            format!("{e}\nnothing was changed; the configuration before stays in force")
        })?;
        let old = self.config();
        let mut said = format!("reloaded: collecting {}", describe_collectors(&new));
        for (what, same) in [
            ("db", old.db == new.db),
            ("system", old.system == new.system),
            ("http.listen", old.http.listen == new.http.listen),
            ("http.socket", old.http.socket == new.http.socket),
            ("http.tls_cert", old.http.tls == new.http.tls),
            ("http.behind_proxy", old.http.behind_proxy == new.http.behind_proxy),
            ("store.queue", old.queue_ms == new.queue_ms),
            ("statsd", old.statsd == new.statsd),
            ("graphite", old.graphite == new.graphite),
            ("munin_node", old.munin_node == new.munin_node),
        ] {
            if !same {
                said.push_str(&format!("\nthe new `{what}` takes effect at the next start"));
            }
        }
        if let Some(hosts) = &self.http {
            // Where it listens stays as it is until the next start.
            let listen = self.listening.get().copied();
            hosts.set(web::names_of(&Http { listen, ..new.http.clone() }));
        }
        self.orders.keep(new.limits);
        self.shared.names.set_most(new.max_names);
        let new = Arc::new(new);
        let (reply, answer) = oneshot::channel();
        self.beat.tell(Command::Configure(Arc::clone(&new), reply));
        rates::in_time(answer).await?;
        self.configure_plugins(&new);
        self.peers.configure(&self.shared, &new, &self.database, &self.system);
        let now = self.shared.clock.wall_ms();
        self.config.set(new, now);
        tell(&self.shared, "reload", now, "configuration read again", &said);
        Ok(said)
    }
}

impl Daemon {
    /// The first plugin brings the thread; it stays when the last one goes.
    fn configure_plugins(&self, config: &Arc<Config>) {
        let mut plugins = self.plugins.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(plugins) = &*plugins {
            return plugins.configure(Arc::clone(config));
        }
        let ended = || Ending(Arc::clone(&self.ended));
        match Plugins::start(&self.shared, config, &self.database, ended) {
            Ok(started) => *plugins = started,
            Err(e) => self.shared.board.fail("plugins", format!("they cannot be run: {e}")),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// `every 10s: loadavg, meminfo; every 1m: filesystem`.
fn describe_collectors(config: &Config) -> String {
    let mut by_interval: Vec<(Interval, Vec<&str>)> = Vec::new();
    for c in &config.collectors {
        match by_interval.iter_mut().find(|(i, _)| *i == c.interval) {
            Some((_, names)) => names.push(c.name),
            None => by_interval.push((c.interval, vec![c.name])),
        }
    }
    let parts: Vec<String> =
        by_interval.iter().map(|(i, names)| format!("every {i}: {}", names.join(", "))).collect();
    if parts.is_empty() { "nothing but itself".to_owned() } else { parts.join("; ") }
}
