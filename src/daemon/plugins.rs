//! daemon: the thread that runs plugins, each at its own interval, some at a time, none twice at
//! once. It exists only if there are plugins. Their readings take the same way as those of
//! collectors.
//!
//! Bound: so many at once as the configuration says, and each once. Policy: those that behaved the
//! last time go first, and those that did not, or never ran, have at most half of the places, so that
//! what hangs makes nobody late. A plugin whose time has come while it still runs misses it, and that is
//! counted (`plimsoll_ticks_skipped_total`).

mod handle;
mod handover;
mod stand;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

use handle::Command;
pub use handle::{Plugins, RATE_PREFIX};
pub use handover::{hand_over, state_folder};
pub use stand::Stand;

use super::alarm::Alarm;
use super::outcome;
use super::rate::Rate;
use super::schedule::{Due, Now, Schedule};
use super::shared::Shared;
use crate::collect::JOB;
use crate::config::{Config, host_name};
use crate::model::{Graph, Interval, Labels, Metric, Recorder, SeriesRef};
use crate::pipeline::Group;
use crate::plugin::{self, Action, End, Keeper, Output, Plugin, Runner, Samples};
use crate::wire::munin::JOB as MUNIN;

/// The interval at which plugins are asked for their descriptions again: disks come and go,
/// thresholds change.
const CONFIG_EVERY_MS: i64 = 300_000;
/// The interval at which the descriptions of charts are stored again.
const TELL_EVERY_MS: i64 = 3_600_000;
/// The interval at which the folders are checked for new plugins.
const LOOK_EVERY_MS: i64 = 30_000;

static TIMEOUTS: Metric = Metric::counter(
    "plimsoll_plugin_timeouts_total",
    "",
    "Runs of the plugin that were killed because they took too long.",
)
.by(&["plugin"]);
static CUT: Metric = Metric::counter(
    "plimsoll_plugin_cut_total",
    "",
    "Runs of the plugin that were killed because they printed too much.",
)
.by(&["plugin"]);

fn find(config: &Config, database: &Path) -> plugin::Found {
    let state = std::path::absolute(state_folder(database)).unwrap_or_default();
    plugin::find(&config.plugins, &state, &host_name())
}

/// Reports plugins that must not run, and lines that were not understood.
fn tell(shared: &Shared, found: &plugin::Found) {
    for (name, why) in &found.refused {
        shared.board.fail(&subject(name), format!("it is not run: {why}"));
    }
    for fault in &found.faults {
        tracing::warn!("plugins: {fault}");
    }
}

fn subject(name: &str) -> String {
    format!("plugin {name}")
}

impl Plugins {
    /// Starts the thread if there are plugins.
    pub fn start(shared: &Shared) -> std::io::Result<Option<(Self, JoinHandle<()>)>> {
        let config = shared.config();
        let found = find(&config, &shared.database);
        tell(shared, &found);
        if found.plugins.is_empty() {
            return Ok(None);
        }
        let alarm = Alarm::new()?;
        let (mailbox, bell) = (Arc::default(), alarm.bell());
        let runner = Runner::new()?;
        let count = Arc::new(AtomicUsize::new(found.plugins.len()));
        let crew = Crew {
            shared: shared.clone(),
            found: Arc::clone(&count),
            stand: Stand::here(&shared.database, &config.collect.proc),
            config,
            alarm,
            runner,
            mailbox: Arc::clone(&mailbox),
            schedule: Schedule::default(),
            members: Vec::new(),
            tags: 0,
            gone: Vec::new(),
            looked: 0,
            stamps: Vec::new(),
        };
        let ending = shared.ending();
        let thread = std::thread::Builder::new()
            .name("plugins".into())
            .stack_size(256 << 10)
            .spawn(move || crew.run(found, ending))?;
        Ok(Some((Self { found: count, mailbox, bell }, thread)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    /// Its time has come; it waits for a place.
    Waiting(i64),
    /// It runs, for a reading of this time.
    Running(i64, Action),
}

struct Member {
    plugin: Plugin,
    /// Its number in the runner; never given to another.
    tag: usize,
    keeper: Keeper,
    recorder: Recorder,
    group: Group,
    state: Phase,
    /// Boot time in ms of the next question for its description.
    describe_at: i64,
    /// Its charts as the store has them.
    told: Vec<Graph>,
    /// Boot time in ms at which they are told again: the file may be another one by then.
    tell_at: i64,
    /// Whether it ran the last time, and neither took too long nor printed too much.
    trusted: bool,
    took_ms: i64,
    timeouts: u64,
    cut: u64,
}

struct Crew {
    shared: Shared,
    /// The number of members, for readers outside.
    found: Arc<AtomicUsize>,
    config: Arc<Config>,
    stand: Stand,
    alarm: Alarm,
    runner: Runner,
    mailbox: Arc<Mutex<Vec<Command>>>,
    schedule: Schedule,
    /// The members in the order of the schedule's entries.
    members: Vec<Member>,
    /// The number of tags given to members; none is given twice.
    tags: usize,
    /// Series of plugins that have gone, to be ended.
    gone: Vec<Samples>,
    looked: i64,
    stamps: Vec<Option<SystemTime>>,
}

impl Crew {
    fn now(&self) -> Now {
        Now { wall: self.shared.clock.wall_ms(), boot: self.shared.clock.boot_ms() }
    }

    fn run<H>(mut self, found: plugin::Found, held: H) {
        self.looked = self.now().boot;
        self.stamps = self.folders();
        self.take_in(found, false);
        let now = self.now();
        for (at, member) in self.members.iter_mut().enumerate() {
            member.state = Phase::Waiting(self.schedule.first(at, now));
        }
        let (mut due, mut done) = (Vec::new(), Vec::new());
        while !self.obey() {
            self.start_some();
            let now = self.now();
            let look = Some(self.looked + LOOK_EVERY_MS);
            let ends = [self.schedule.wake(), self.runner.wake(now.boot), look];
            let until = ends.into_iter().flatten().min();
            match self.alarm.sleep_beside(until, Some(self.runner.fd())) {
                Ok(false) => {}
                Ok(true) => {
                    let now = self.now();
                    self.schedule.clock_was_set(now);
                }
                Err(e) => {
                    self.shared.board.fail("timer of plugins", e.to_string());
                    std::thread::park_timeout(std::time::Duration::from_millis(100));
                }
            }
            let now = self.now();
            self.runner.step(now.boot, &mut done);
            for (tag, output) in done.drain(..) {
                self.ended(tag, &output);
            }
            due.clear();
            self.schedule.due(now, &mut due);
            self.note(&due);
            if now.boot - self.looked >= LOOK_EVERY_MS {
                self.look(now.boot);
            }
        }
        self.runner.stop();
        self.members.iter().for_each(|m| self.keep_counters(m));
        drop(held);
    }

    /// When each folder was last changed.
    fn folders(&self) -> Vec<Option<SystemTime>> {
        let s = &self.config.plugins;
        let changed = |p: &PathBuf| std::fs::metadata(p).and_then(|m| m.modified()).ok();
        std::iter::once(&s.folder()).chain(&s.conf_dirs).map(changed).collect()
    }

    fn look(&mut self, now: i64) {
        self.looked = now;
        let stamps = self.folders();
        if stamps != self.stamps {
            self.stamps = stamps;
            let found = find(&self.config, &self.shared.database);
            tell(&self.shared, &found);
            self.take_in(found, true);
        }
    }

    fn obey(&mut self) -> bool {
        let commands = std::mem::take(&mut *self.mailbox.lock().unwrap_or_else(|e| e.into_inner()));
        for command in commands {
            match command {
                Command::Stop => return true,
                Command::Configure(config) => {
                    self.config = config;
                    self.stamps = self.folders();
                    let found = find(&self.config, &self.shared.database);
                    tell(&self.shared, &found);
                    self.take_in(found, false);
                }
                // The caller may be gone, and then the answer is not needed.
                Command::Report(reply) => drop(reply.send(self.rates())),
                Command::Rate(name, interval, for_ms, reply) => {
                    let now = self.now();
                    if let Some(at) = self.members.iter().position(|m| m.plugin.name == name) {
                        self.schedule.ask(at, interval, for_ms, now);
                    }
                    let _unused = reply.send(());
                }
            }
        }
        false
    }

    fn rates(&self) -> Vec<Rate> {
        let boot = self.now().boot;
        let name = |m: &Member| format!("{RATE_PREFIX}{}", m.plugin.name);
        let all = self.members.iter().enumerate();
        all.map(|(at, member)| self.schedule.rate(at, name(member), boot)).collect()
    }

    /// Replaces the set of plugins. Unchanged ones keep running; with `keep_rates` also at an
    /// interval that was set by hand.
    fn take_in(&mut self, found: plugin::Found, keep_rates: bool) {
        let now = self.now();
        let was = std::mem::take(&mut self.schedule);
        let mut before: Vec<(usize, Member)> =
            std::mem::take(&mut self.members).into_iter().enumerate().collect();
        let filter = Arc::new(self.config.filter.clone());
        for plugin in found.plugins {
            let known = before.iter().position(|(_, m)| m.plugin.name == plugin.name);
            let known = known.map(|at| before.swap_remove(at));
            let place = known.as_ref().map(|(at, _)| *at).filter(|_| keep_rates);
            let member = match known.map(|(_, member)| member) {
                Some(same) if same.plugin == plugin => same,
                changed => {
                    // The old member still runs and keeps its number; the new one waits for that.
                    let tag = changed.as_ref().map_or(self.tags, |m| m.tag);
                    self.tags += usize::from(changed.is_none());
                    if let Some(old) = changed {
                        self.retire(old);
                    }
                    if let Err(e) = plugin.prepare() {
                        let what = format!("its state folder cannot be made: {e}");
                        self.shared.board.fail(&subject(&plugin.name), what);
                    }
                    let registry = &self.shared.registry;
                    let mut keeper = Keeper::new(
                        Arc::clone(registry),
                        Arc::clone(&filter),
                        &plugin.name,
                        plugin.host.as_deref(),
                        plugin.kind,
                    );
                    if let Some(text) = self.stand.read(&plugin.name) {
                        keeper.remember(&text);
                    }
                    Member {
                        tag,
                        keeper,
                        recorder: Recorder::new(Arc::clone(registry), JOB, Arc::clone(&filter)),
                        group: self.shared.latest.group(),
                        state: Phase::Waiting(now.wall - now.wall.rem_euclid(1_000)),
                        describe_at: i64::MIN,
                        told: Vec::new(),
                        tell_at: i64::MIN,
                        trusted: false,
                        took_ms: 0,
                        timeouts: 0,
                        cut: 0,
                        plugin,
                    }
                }
            };
            let at = self.schedule.add(self.interval(&member), now);
            if let Some(place) = place {
                self.schedule.go_on(at, &was, place, now);
            }
            self.members.push(member);
        }
        for (_, gone) in before {
            self.retire(gone);
        }
        self.found.store(self.members.len(), Relaxed);
        let at = now.wall;
        for gone in std::mem::take(&mut self.gone) {
            self.push(gone, at, &[]);
        }
    }

    /// Saves the state of counters. A full disk is reported elsewhere; the counters then begin
    /// again in the next process.
    fn keep_counters(&self, member: &Member) {
        let kept = self.stand.write(&member.plugin.name, &member.keeper.memory());
        if let Err(e) = kept {
            tracing::debug!("plugin {}: where its counters stand: {e}", member.plugin.name);
        }
    }

    fn retire(&mut self, mut member: Member) {
        self.keep_counters(&member);
        self.shared.shelf.forget(&member.plugin.name);
        self.shared.board.forget(&subject(&member.plugin.name));
        self.shared.latest.retire(member.group);
        self.gone.push(member.keeper.end());
    }

    /// The configuration's word goes first, then the plugin's own.
    fn interval(&self, member: &Member) -> Interval {
        let own = || member.keeper.update_rate().and_then(Interval::from_ms);
        member.plugin.interval.or_else(own).unwrap_or(self.config.plugins.interval)
    }

    /// Takes note of whose time has come.
    fn note(&mut self, due: &[Due]) {
        let mut skipped = self.schedule.take_skipped();
        for d in due {
            let Some(member) = self.members.get_mut(d.entry) else { continue };
            if member.state == Phase::Idle {
                member.state = Phase::Waiting(d.ts);
            } else {
                skipped += 1;
            }
        }
        if skipped > 0 {
            self.shared.counters.ticks_skipped.fetch_add(skipped, Relaxed);
        }
    }

    /// Gives the free places away.
    fn start_some(&mut self) {
        let places = self.config.plugins.parallel.max(1);
        let doubtful = |m: &&Member| !m.trusted && matches!(m.state, Phase::Running(..));
        let mut bad = self.members.iter().filter(doubtful).count();
        for trusted in [true, false] {
            for at in 0..self.members.len() {
                if self.runner.len() >= places {
                    return;
                }
                let Some(member) = self.members.get(at) else { break };
                let Phase::Waiting(ts) = member.state else { continue };
                if member.trusted != trusted || self.runner.is_running(member.tag) {
                    continue;
                }
                if !trusted {
                    if bad >= places.div_ceil(2) {
                        break;
                    }
                    bad += 1;
                }
                self.start(at, ts);
            }
        }
    }

    fn start(&mut self, at: usize, ts: i64) {
        let now = self.now().boot;
        let Some(member) = self.members.get(at) else { return };
        let describes = matches!(member.keeper.kind(), None | Some(plugin::Kind::Munin));
        let asks = describes && now >= member.describe_at;
        self.ask(at, ts, if asks { Action::Config } else { Action::Fetch });
    }

    fn ask(&mut self, at: usize, ts: i64, action: Action) {
        let now = self.now().boot;
        let Some(member) = self.members.get_mut(at) else { return };
        if action == Action::Config || member.state == Phase::Waiting(ts) {
            member.took_ms = 0;
        }
        member.state = Phase::Running(ts, action);
        if let Err(output) = self.runner.start(member.tag, &member.plugin, action, now) {
            let tag = member.tag;
            self.ended(tag, &output);
        }
    }

    fn ended(&mut self, tag: usize, output: &Output) {
        let now = self.now();
        // A plugin that was removed while it ran is not reported.
        let Some(at) = self.members.iter().position(|m| m.tag == tag) else { return };
        let Some(member) = self.members.get_mut(at) else { return };
        let Phase::Running(ts, action) = member.state else { return };
        member.took_ms += output.took_ms;
        member.timeouts += u64::from(output.end == End::TimedOut);
        member.cut += u64::from(output.end == End::Cut);
        member.trusted &= !matches!(output.end, End::TimedOut | End::Cut);
        if action == Action::Config {
            match member.keeper.describe(output) {
                Ok(values) => {
                    member.describe_at = now.boot + CONFIG_EVERY_MS;
                    if member.keeper.kind() == Some(plugin::Kind::Munin) {
                        let (name, host) = (&member.plugin.name, member.plugin.host.as_deref());
                        self.shared.shelf.describe(name, host, &output.stdout);
                    }
                    self.describe(at);
                    if !values {
                        return self.ask(at, ts, Action::Fetch);
                    }
                }
                Err(why) => return self.report(at, ts, Err(why)),
            }
        }
        let Some(member) = self.members.get_mut(at) else { return };
        let samples = member.keeper.values(output, ts);
        if samples.as_ref().is_ok_and(|s| s.undescribed) {
            member.describe_at = i64::MIN;
        }
        if let Ok(samples) = &samples {
            self.pass_on(at, output, samples);
            if let Some(member) = self.members.get(at).filter(|_| samples.wrapped) {
                self.keep_counters(member);
            }
        }
        if self.members.get(at).is_some_and(|m| m.keeper.kind() != Some(plugin::Kind::Munin)) {
            self.describe(at);
        }
        self.report(at, ts, samples);
    }

    /// Keeps the output for Munin masters, if they are allowed. It is valid until the next run but
    /// one should have ended.
    fn pass_on(&self, at: usize, output: &Output, samples: &Samples) {
        let Some(member) = self.members.get(at).filter(|_| self.shared.shelf.is_wanted()) else {
            return;
        };
        let (name, shelf) = (&member.plugin.name, &self.shared.shelf);
        let patience = member.plugin.timeout_ms + 2 * self.schedule.interval(at).as_ms();
        let good_until = self.now().boot + patience;
        if member.keeper.kind() == Some(plugin::Kind::Munin) {
            return shelf.values(name, &output.stdout, good_until);
        }
        let config = plugin::config_of(member.keeper.graphs());
        if !config.is_empty() {
            shelf.describe(name, member.plugin.host.as_deref(), config.as_bytes());
            let values = plugin::values_of(samples, member.keeper.graphs(), &self.shared.registry);
            shelf.values(name, values.as_bytes(), good_until);
        }
    }

    /// Tells the store what the charts look like, if that has changed.
    fn describe(&mut self, at: usize) {
        let interval = self.members.get(at).map(|m| self.interval(m));
        if let Some(interval) = interval.filter(|i| self.schedule.base(at) != *i) {
            let now = self.now();
            self.schedule.set_base(at, interval, now);
        }
        let Some(member) = self.members.get_mut(at) else { return };
        let now = self.shared.clock.boot_ms();
        if member.keeper.graphs() == member.told && now < member.tell_at {
            return;
        }
        let all = member.keeper.graphs().iter().cloned().map(|mut g| {
            g.system = member.plugin.host.as_deref().map(Into::into);
            self.shared.queue.push_graph(g)
        });
        // Descriptions that found no room are stored again the next time.
        if all.fold(true, |all, one| all & one) {
            member.told = member.keeper.graphs().to_vec();
            member.tell_at = now + TELL_EVERY_MS;
        }
    }

    /// Hands over the readings, and the metrics about the run.
    fn report(&mut self, at: usize, ts: i64, samples: Result<Samples, String>) {
        let interval = self.schedule.interval(at);
        let Some(member) = self.members.get_mut(at) else { return };
        member.state = Phase::Idle;
        member.trusted |= samples.is_ok();
        let board = &self.shared.board;
        let name = &member.plugin.name;
        match &samples {
            Ok(samples) if samples.faults.is_empty() => board.ok_with(|| subject(name)),
            Ok(samples) => board.fail(&subject(name), samples.faults.to_string()),
            Err(why) => board.fail(&subject(name), why.clone()),
        }
        let collector = format!("plugin/{name}");
        let own = &mut member.recorder;
        own.begin();
        outcome::report(own, &collector, samples.is_ok(), member.took_ms as f64 / 1e3, interval);
        let success = f64::from(u8::from(samples.is_ok()));
        if member.timeouts > 0 {
            own.put_with(&TIMEOUTS, &[name], member.timeouts as f64);
        }
        if member.cut > 0 {
            own.put_with(&CUT, &[name], member.cut as f64);
        }
        let mut own = own.samples().to_vec();
        // A program that prints exporter's text is a target like an exporter.
        let (registry, host) = (&self.shared.registry, member.plugin.host.as_deref());
        let series = match member.keeper.job() {
            Some(job) => outcome::up(registry, &self.config.filter, host, job, Labels::default()),
            None => {
                let labels = Labels::new([("plugin", &**name)]);
                outcome::up(registry, &self.config.filter, None, MUNIN, labels)
            }
        };
        // It may print an `up` of its own.
        let said = |series: &SeriesRef| {
            samples.as_ref().is_ok_and(|s| s.values.iter().any(|(said, _)| said == series))
        };
        own.extend(series.filter(|s| !said(s)).map(|series| (series, success)));
        let samples = samples.unwrap_or_default();
        let mut latest = samples.values.clone();
        latest.extend_from_slice(&own);
        self.shared.latest.update(member.group, ts, &latest);
        self.push(samples, ts, &own);
    }

    fn push(&self, samples: Samples, ts: i64, own: &[(SeriesRef, f64)]) {
        hand_over(&self.shared, samples, ts, own);
    }
}
