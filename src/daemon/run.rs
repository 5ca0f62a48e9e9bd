//! daemon: the course of `plimsoll run` from start to end.

mod rates;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::alerting;
use super::control::{self, Request, Response};
use super::running::wait_until;
use super::service::Setting;
use super::services::{self, collecting};
use super::shared::Shared;
use super::{log, memory};
use crate::collect::regular;
use crate::config::{Config, PushOptions, Running, host_name};
use crate::model::{Event, Interval, Labels, SystemClock};
use crate::overview::FORGET;
use crate::pipeline::{Flow, MAX_SAMPLES, Names};
use crate::query::desk::Desk;
use crate::store::{Lock, Orders, START, STOP, Store, Writer, WriterSettings};

/// The longest time of the last commit after a signal to end.
const FAREWELL: Duration = Duration::from_millis(900);
/// When what only starting needed is given back.
const SETTLED: Duration = Duration::from_secs(3);

/// The options of the command line.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--db`
    pub db: Option<PathBuf>,
    /// `--verbose`
    pub verbose: bool,
}

struct Daemon {
    options: Options,
    shared: Shared,
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
    let names = Names::new(config.of::<PushOptions>().max_names);
    let flow = Flow::new(Arc::new(SystemClock), &system, config.queue_ms, MAX_SAMPLES, names);
    let orders = Arc::new(Orders::default());
    orders.keep(config.limits);
    let (mut store, full) = Store::open_or_wait(&database, &system, Arc::clone(&flow.registry))?;
    store.share_names(Arc::clone(&flow.names));
    let boot = boot_id();
    tell_start(&flow, &store, &boot);
    let (started, inbox_every) = (flow.clock.wall_ms(), inbox_every(config.interval));
    let head = store.head();
    let shared = Shared {
        alerts: Arc::default(),
        orders: Arc::clone(&orders),
        shelf: Arc::default(),
        config: Running::new(config, started),
        database: database.as_path().into(),
        head: Arc::clone(&head),
        desk: Arc::new(Desk::new(database.clone(), head, Arc::clone(&flow.counters))),
        system: system.into(),
        started,
        services: Arc::default(),
        door: Arc::default(),
        ended: Arc::default(),
        flow,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    {
        let _inside = runtime.enter();
        services::start(&shared, &store)?;
    }
    let settings = WriterSettings {
        flow: shared.flow.clone(),
        rested: memory::give_back,
        orders: Arc::clone(&orders),
        inbox_every,
    };
    let writer = Writer::spawn(store, full, settings, shared.ending())
        .context("cannot start the store thread")?;
    let (options, shared) = (options.clone(), &shared);
    let outcome = runtime.block_on(serve(Daemon { options, shared: shared.clone() }));

    let _unused = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let deadline = Instant::now() + FAREWELL;
    shared.services.stop(deadline - FAREWELL / 2);
    tell_end(&shared.flow, &boot);
    shared.queue.close();
    wait_until(deadline, || writer.is_finished());
    // If the folder was replaced, the next daemon may have its socket there already.
    let mine = |pid: String| pid == std::process::id().to_string();
    if Lock::owner(&database).is_none_or(mine) {
        let _unused = std::fs::remove_file(control::socket_path(&database));
    }
    runtime.shutdown_background();
    outcome?;
    farewell(shared, writer)
}

/// The result at the end, after everything that could end has ended.
fn farewell(shared: &Shared, writer: Writer) -> anyhow::Result<()> {
    anyhow::ensure!(
        writer.is_finished(),
        "the last samples could not be written within a second; what was committed before is safe"
    );
    shared.services.join()?;
    match writer.join() {
        Ok(0) => {}
        Ok(left) => anyhow::bail!(
            "{left} samples could not be written before the end; what was committed before is safe"
        ),
        Err(_) => anyhow::bail!("the store thread panicked; please report this"),
    }
    let file = shared.database.display();
    if shared.board.problems().iter().any(|(subject, _)| subject == crate::store::FILE) {
        tracing::warn!("stopped; {file} was deleted or replaced: what was measured since is lost");
    } else {
        tracing::info!("stopped; everything is in {file}");
    }
    Ok(())
}

#[allow(unsafe_code, reason = "libc's mallopt has no safe wrapper")]
fn limit_arenas() {
    // SAFETY: mallopt only stores two integers; no other thread runs yet.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 2) };
}

/// The interval at which rows of SQL clients are taken in without a beat. Every beat's commit takes
/// them in; this serves slow beats. Twice the beat, so that it never wakes the thread in vain.
fn inbox_every(beat: Interval) -> Duration {
    (beat.as_duration() * 2).clamp(Duration::from_secs(2), Duration::from_secs(60))
}

async fn serve(daemon: Daemon) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let control = control::bind(&daemon.shared.database)
        .and_then(tokio::net::UnixListener::from_std)
        .inspect_err(|e| daemon.shared.board.fail("control socket", e.to_string()))
        .ok();
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
            // Only a panic gets here. A daemon that does not collect or store any more must not
            // look alive; the supervisor starts plimsoll again.
            () = daemon.shared.ended.notified() => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => drop(daemon.reload().await),
            _ = tick(&mut watchdog) => {
                if daemon.shared.services.is_alive().await {
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

/// Records an event of plimsoll's own, for later readers of charts.
/// `host`: of another machine.
fn tell(flow: &Flow, host: Option<&str>, kind: &'static str, ts: i64, title: &str, text: &str) {
    push(
        flow,
        Event {
            ts,
            system: host.map(Into::into),
            kind,
            level: "info",
            title: title.into(),
            text: text.into(),
            tags: Labels::default(),
            priority: "normal",
            source: "plimsoll".into(),
        },
    );
}

fn push(flow: &Flow, event: Event) {
    if !flow.queue.push_event(event) {
        flow.counters.events_dropped.fetch_add(1, Relaxed);
    }
}

/// The kernel's name for the time since the machine was started.
fn boot_id() -> String {
    let id = regular::read_text(Path::new("/proc/sys/kernel/random/boot_id"), 4_096);
    id.unwrap_or_default().trim().to_owned()
}

/// That plimsoll was started, and that the machine was, if it was since the newest sample. Whether the
/// machine went down without telling plimsoll is counted.
fn tell_start(flow: &Flow, store: &Store, boot: &str) {
    let now = flow.clock.wall_ms();
    let booted = now - flow.clock.boot_ms();
    if store.newest_ts().is_some_and(|newest| newest < booted) {
        tell(flow, None, "boot", booted, "machine started", "");
    }
    let before = store.last_of_another_boot(boot);
    flow.counters.unclean_boot.store(before.as_deref() == Some(START), Relaxed);
    tell_life(flow, START, boot, "started");
}

/// That plimsoll was told to end. What ends without it was cut off.
fn tell_end(flow: &Flow, boot: &str) {
    tell_life(flow, STOP, boot, "stopped");
}

fn tell_life(flow: &Flow, kind: &'static str, boot: &str, what: &str) {
    push(
        flow,
        Event {
            ts: flow.clock.wall_ms(),
            system: None,
            kind,
            level: "info",
            title: format!("plimsoll {} {what}", env!("CARGO_PKG_VERSION")).into(),
            text: "".into(),
            tags: Labels::new([("boot", boot)]),
            priority: "normal",
            source: "plimsoll".into(),
        },
    );
}

impl Daemon {
    fn greet(&self) {
        tracing::info!("database   {}", absolute(&self.shared.database).display());
        self.shared.services.greet(&self.shared.config());
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
            Request::Alert { command } => {
                let alerts = Arc::clone(&self.shared.alerts);
                // It may wait for the database and for a receiver.
                match tokio::task::spawn_blocking(move || alerts.command(command)).await {
                    Ok(Ok(said)) => Response::done(said, serde_json::Value::Null),
                    Ok(Err(said)) => Response::failed(said),
                    Err(e) => Response::failed(format!("it failed: {e}")),
                }
            }
            Request::Forget { host } => {
                let now = self.shared.clock.wall_ms();
                let title = format!("{host} is gone");
                tell(&self.shared, Some(&host), FORGET, now, &title, "said by plimsoll forget");
                Response::done(title, serde_json::Value::Null)
            }
            Request::Compact => match self.compact().await {
                Ok(()) => Response::done("", serde_json::Value::Null),
                Err(said) => Response::failed(said),
            },
            Request::Query { path, form } => match self.shared.door.inside.get() {
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
                let source = self.shared.config().source.clone();
                let data = json!({
                    "pid": std::process::id(),
                    "version": env!("CARGO_PKG_VERSION"),
                    "started": self.shared.started,
                    "listening": self.shared.door.listening.get().map(ToString::to_string),
                    "config": source.map(|path| absolute(&path)),
                    "services": self.shared.services.serving(&self.shared.board),
                    "problems": problems,
                });
                Response::done("", data)
            }
        }
    }

    async fn compact(&self) -> Result<(), String> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.shared.orders.compact(reply);
        self.shared.queue.nudge();
        answer.await.unwrap_or_else(|_| Err("plimsoll is stopping".into()))
    }

    /// Reads the configuration again; whatever is wrong with it leaves the running one in force. The log
    /// has what came of it.
    async fn reload(&self) -> Result<String, String> {
        let _unused = sd_notify::notify(&[sd_notify::NotifyState::Reloading]);
        let done = self.try_reload().await;
        let _unused = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        match &done {
            Ok(said) if said.is_empty() => tracing::info!("reloaded   nothing is different"),
            Ok(said) => tracing::info!("reloaded   {}", said.join("; ")),
            Err(said) => {
                // The log gets the first mistake with its place; the caller gets all of them.
                let brief: Vec<&str> = said.lines().take(2).map(str::trim).collect();
                tracing::error!("not reloaded, all stays as it was: {}", brief.join(" "));
            }
        }
        let collecting = collecting(&self.shared.config());
        done.map(|said| {
            let first = format!("reloaded: collecting {collecting}");
            std::iter::once(first).chain(said).collect::<Vec<_>>().join("\n")
        })
    }

    /// Reloads the configuration; returns the changes, a line each.
    async fn try_reload(&self) -> Result<Vec<String>, String> {
        // The disk may hang, and this thread may not.
        let path = self.options.config.clone();
        let read = tokio::task::spawn_blocking(move || {
            Config::find(path.as_deref()).map_err(|e| e.to_string())
        });
        let new = read.await.unwrap_or_else(|e| Err(e.to_string())).map_err(|e| {
            format!("{e}\nnothing was changed; the configuration before stays in force")
        })?;
        let (old, new, shared) = (self.shared.config(), Arc::new(new), &self.shared);
        let first = shared.config.first();
        let changed = |setting: &Setting| setting.change(first, &old, &new);
        let mut said: Vec<String> = SETTINGS.iter().filter_map(changed).collect();
        said.extend(services::configure(shared, &old, &new).await?);
        // Behind all that may fail.
        shared.orders.keep(new.limits);
        shared.names.set_most(new.of::<PushOptions>().max_names);
        // Rules and receivers that are left out: the rest is in force.
        let left_out = shared.board.problems().into_iter();
        let left_out = left_out.filter(|(subject, _)| subject == alerting::LEFT_OUT);
        said.extend(left_out.map(|(_, problem)| format!("left out: {}", problem.message)));
        let text = match &*said {
            [] => "nothing is different".to_owned(),
            said => said.join("\n"),
        };
        let now = shared.clock.wall_ms();
        tell(shared, None, "reload", now, "configuration read again", &text);
        Ok(said)
    }
}

/// The settings that are no service's.
static SETTINGS: &[Setting] = &[
    Setting::next_start("db", |a, b| a.db == b.db),
    Setting::next_start("system", |a, b| a.system == b.system),
    Setting::next_start("store.queue", |a, b| a.queue_ms == b.queue_ms),
    Setting::at_once("store", |a, b| a.limits == b.limits),
    Setting::at_once("push.max_names", |a, b| a.of::<PushOptions>() == b.of::<PushOptions>()),
];

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
