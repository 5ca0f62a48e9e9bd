//! daemon: polls munin-nodes, each at its own interval, as a Munin master does. Their values take
//! the way of local plugins: the same series, of another instance.
//!
//! Bound: eight nodes at once, each once, with a deadline for every answer and one for all. Policy: a
//! node that is not done when its time comes again misses it (`plimsoll_ticks_skipped_total`). A plugin
//! that does not answer comes after all others from then on, at growing distances up to an hour.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

use crate::collect::JOB as OWN_JOB;
use crate::config::Config;
use crate::daemon::outcome;
use crate::daemon::plugins::{Stand, hand_over};
use crate::daemon::service::{Running, Service, Setting, Start, Started};
use crate::daemon::shared::Shared;
use crate::model::{Graph, KeyFilter, Labels, Recorder, SeriesRef, format_duration};
use crate::pipeline::Group;
use crate::plugin::{self, End, Keeper, Output, Samples};
use crate::reach::{NodeError, NodeSettings, Told, Wish, ask_node};
use crate::wire::munin::JOB;

/// Nodes that are asked at once.
const PLACES: usize = 8;
/// The interval at which plugins are asked for their descriptions again.
const CONFIG_EVERY_MS: i64 = 300_000;
/// The interval at which the descriptions of charts are stored again.
const TELL_EVERY_MS: i64 = 3_600_000;
/// All of a node's answers together have this long, or three of its intervals.
const LEAST_PATIENCE_MS: i64 = 60_000;

/// A plugin that does not answer is asked again after this long at the latest.
const LONGEST_PAUSE_MS: i64 = 3_600_000;
/// Plugins of a node that are told by name at once, if something is wrong with them.
const MOST_TOLD: usize = 50;

pub(super) const SERVICE: Service = Service {
    name: "munin_peers",
    greeting: "asking",
    subjects: &["munin node "],
    settings: &[Setting::at_once("munin.node", |a, b| a.munin_peers == b.munin_peers)],
    plan: |config| {
        let place = |p: &NodeSettings| format!("{}:{}, every {}", p.host, p.port, p.interval);
        config.munin_peers.iter().map(place).collect()
    },
    json: |config| {
        let peer = |p: &NodeSettings| {
            json!({
                "host": p.host,
                "port": p.port,
                "name": p.name,
                "interval_ms": p.interval.as_ms(),
                "timeout_ms": p.timeout_ms,
            })
        };
        config.munin_peers.iter().map(peer).collect()
    },
    start: Start::Any(|shared| {
        let config = shared.config();
        if config.munin_peers.is_empty() {
            return Ok(None);
        }
        let peers = Peers { shared: shared.clone(), asking: Mutex::default() };
        peers.ask(&config);
        Ok(Some(Started::tasks(peers)))
    }),
};

/// The tasks that ask.
struct Peers {
    shared: Shared,
    /// Whom they ask, and the tasks.
    asking: Mutex<(Vec<NodeSettings>, Vec<AbortHandle>)>,
}

impl Peers {
    /// Asks the nodes that the configuration names, and no others any more.
    fn ask(&self, config: &Config) {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if asking.0 == config.munin_peers {
            return;
        }
        let places = Arc::new(Semaphore::new(PLACES));
        let filter = Arc::new(config.filter.clone());
        let fresh = config.munin_peers.iter().map(|settings| {
            let peer = Peer::new(self.shared.clone(), settings.clone(), Arc::clone(&filter));
            tokio::spawn(peer.run(Arc::clone(&places))).abort_handle()
        });
        let fresh = (config.munin_peers.clone(), fresh.collect());
        let (_, before) = std::mem::replace(&mut *asking, fresh);
        before.iter().for_each(AbortHandle::abort);
    }
}

impl Running for Peers {
    fn greeting(&self, config: &Config) -> String {
        let place = |p: &NodeSettings| format!("{}:{}", p.host, p.port);
        config.munin_peers.iter().map(place).collect::<Vec<_>>().join(", ")
    }

    fn is_on(&self) -> bool {
        !self.asking.lock().unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    fn configure(&self, config: &Arc<Config>) -> Option<oneshot::Receiver<()>> {
        self.ask(config);
        None
    }

    fn stop(&self) {
        let asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.1.iter().for_each(AbortHandle::abort);
    }
}

struct Member {
    keeper: Keeper,
    group: Group,
    /// Boot time in ms of the next question for its description.
    describe_at: i64,
    told: Vec<Graph>,
    tell_at: i64,
}

/// A plugin that did not answer.
struct Slow {
    /// The number of failures in a row.
    times: u32,
    /// Boot time in ms at which it is asked again.
    again_at: i64,
    why: String,
}

/// A machine behind the node (`None`: the node itself), and a plugin.
type Key = (Option<String>, String);

struct Peer {
    shared: Shared,
    settings: NodeSettings,
    filter: Arc<KeyFilter>,
    /// Its subject on the board.
    subject: String,
    /// The instance, once it is known.
    name: Option<String>,
    members: HashMap<Key, Member>,
    slow: HashMap<Key, Slow>,
    /// Those that were asked before the time was up, when it was: the others go before them.
    asked: HashSet<Key>,
    /// Plugins that the board shows.
    failing: BTreeSet<String>,
    stand: Stand,
    recorder: Recorder,
    /// The group of the metrics about the node itself.
    group: Group,
}

impl Slow {
    fn told(&self, now: i64) -> String {
        let left = format_duration((self.again_at - now).max(1_000) / 1_000 * 1_000);
        match self.times {
            0..=1 => self.why.clone(),
            n => format!("{}, {n} times; it is asked again in {left}", self.why),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.shared.board.forget(&self.subject);
        self.failing.iter().for_each(|subject| self.shared.board.forget(subject));
        self.members.iter().for_each(|(key, member)| self.keep_counters(key, member));
        let groups = self.members.values().map(|m| m.group);
        groups.chain([self.group]).for_each(|group| self.shared.latest.retire(group));
    }
}

impl Peer {
    fn new(shared: Shared, settings: NodeSettings, filter: Arc<KeyFilter>) -> Self {
        let subject = format!("munin node {}:{}", settings.host, settings.port);
        let recorder = Recorder::new(Arc::clone(&shared.registry), OWN_JOB, Arc::clone(&filter));
        Self {
            group: shared.latest.group(),
            name: settings.name.clone(),
            members: HashMap::new(),
            slow: HashMap::new(),
            asked: HashSet::new(),
            failing: BTreeSet::new(),
            stand: Stand::elsewhere(&shared.database),
            shared,
            settings,
            filter,
            subject,
            recorder,
        }
    }

    async fn run(mut self, places: Arc<Semaphore>) {
        let every = self.settings.interval.as_ms();
        let mut ts = self.shared.clock.wall_ms();
        ts -= ts.rem_euclid(1_000);
        loop {
            let Ok(place) = places.acquire().await else { return };
            self.ask(ts).await;
            drop(place);
            let now = self.shared.clock.wall_ms();
            let next = now - now.rem_euclid(every) + every;
            // The first moment lies beside the grid.
            let missed = (next - ts - 1) / every;
            if missed > 0 {
                self.shared.counters.ticks_skipped.fetch_add(missed as u64, Relaxed);
            }
            ts = next;
            tokio::time::sleep(Duration::from_millis((next - now).max(1) as u64)).await;
        }
    }

    async fn ask(&mut self, ts: i64) {
        let begun = self.shared.clock.boot_ms();
        let fresh: HashSet<Key> = (self.members.iter())
            .filter(|(_, m)| m.describe_at > begun)
            .map(|(key, _)| key.clone())
            .collect();
        let (mut told, mut greeted, mut skipped) = (Vec::new(), None, HashSet::new());
        let (slow, before) = (&self.slow, &self.asked);
        let wish = |host: Option<&str>, plugin: &str| {
            let key = (host.map(str::to_owned), plugin.to_owned());
            let order = match slow.get(&key) {
                Some(slow) if begun < slow.again_at => {
                    skipped.insert(key);
                    return None;
                }
                Some(_) => 2,
                None => u8::from(before.contains(&key)),
            };
            Some(Wish { order, config: !fresh.contains(&key) })
        };
        let patience = (self.settings.interval.as_ms() * 3).max(LEAST_PATIENCE_MS);
        let asking = ask_node(
            &self.settings,
            |name| greeted = Some(name.to_owned()),
            wish,
            |one| told.push(one),
        );
        let patience = Duration::from_millis(patience as u64);
        let asked = match tokio::time::timeout(patience, asking).await {
            Ok(asked) => asked,
            Err(_) => Err(NodeError::Late("everything".into())),
        };
        self.rename(greeted, ts);
        self.asked = match &asked {
            Ok(()) => HashSet::new(),
            Err(_) => told.iter().map(key).collect(),
        };
        let mut faults = BTreeMap::new();
        for one in &told {
            let of = key(one);
            let wrong = match &one.failed {
                Some(why) => {
                    let wait = self.put_off(&of, why, begun);
                    // It continues where it stopped when it answers again.
                    self.end(&of, ts, false);
                    Some(wait)
                }
                None => {
                    self.slow.remove(&of);
                    self.take(one, ts).err()
                }
            };
            if let Some(why) = wrong {
                // Its old values are not current any more.
                if let Some(member) = self.members.get(&of) {
                    self.shared.latest.update(member.group, ts, &[]);
                }
                faults.insert(self.subject_of(&of), why);
            }
        }
        for of in &skipped {
            if let Some(slow) = self.slow.get(of) {
                faults.insert(self.subject_of(of), slow.told(begun));
            }
        }
        let up = asked.is_ok()
            && (told.iter().any(|one| one.failed.is_none())
                || told.is_empty() && skipped.is_empty());
        let listed: HashSet<Key> = told.iter().map(key).chain(skipped).collect();
        // A broken connection says nothing about the remaining plugins.
        let gone = self.members.keys().filter(|key| !listed.contains(*key));
        for gone in gone.cloned().collect::<Vec<_>>() {
            self.end(&gone, ts, asked.is_ok());
        }
        if asked.is_ok() {
            self.slow.retain(|key, _| listed.contains(key));
        }
        self.tell(asked, faults);
        self.report(ts, up, self.shared.clock.boot_ms() - begun);
    }

    /// Says on the board how it went: of the node, and of each plugin by name.
    fn tell(&mut self, asked: Result<(), NodeError>, mut faults: BTreeMap<String, String>) {
        let board = &self.shared.board;
        let more = faults.len().saturating_sub(MOST_TOLD);
        while faults.len() > MOST_TOLD {
            faults.pop_last();
        }
        for subject in self.failing.iter().filter(|s| !faults.contains_key(*s)) {
            // The plugins of a node that could not be polled are unknown.
            match asked.is_ok() {
                true => board.ok(subject),
                false => board.forget(subject),
            }
        }
        self.failing = faults.keys().cloned().collect();
        for (subject, why) in faults {
            board.fail(&subject, why);
        }
        match asked {
            Ok(()) if more == 0 => board.ok(&self.subject),
            Ok(()) => board.fail(&self.subject, format!("{more} more of its plugins failed")),
            Err(e) => board.fail(&self.subject, e.to_string()),
        }
    }

    /// Records a plugin that did not answer: the time of the next attempt, and the message until
    /// then.
    fn put_off(&mut self, key: &Key, why: &str, now: i64) -> String {
        let every = self.settings.interval.as_ms();
        let times = self.slow.get(key).map_or(1, |slow| slow.times.saturating_add(1));
        // Half an interval less, so that it is not missed by a moment.
        let wait = every.saturating_mul(1 << (times - 1).min(20)) - every / 2;
        let again_at = now + wait.min(LONGEST_PAUSE_MS.max(every));
        let slow = Slow { times, again_at, why: why.to_owned() };
        let told = slow.told(now);
        self.slow.insert(key.clone(), slow);
        told
    }

    /// A plugin of the node, as the board shows it.
    fn subject_of(&self, (host, plugin): &Key) -> String {
        match host {
            Some(host) => format!("{} plugin {plugin} of {host}", self.subject),
            None => format!("{} plugin {plugin}", self.subject),
        }
    }

    /// What it calls itself is its instance, unless the configuration says otherwise; other machines
    /// that it tells of have their own names. One that calls itself as this machine does goes by its
    /// address: what it says is not what plimsoll measured.
    fn rename(&mut self, greeted: Option<String>, ts: i64) {
        let address = || format!("{}:{}", self.settings.host, self.settings.port);
        let greeted = greeted.map(|g| if *g == *self.shared.system { address() } else { g });
        let name = self.settings.name.clone().or(greeted);
        if name.is_some() && name != self.name {
            for key in self.members.keys().cloned().collect::<Vec<_>>() {
                self.end(&key, ts, true);
            }
            self.name = name;
        }
    }

    /// By the machine that it is of, and the plugin.
    fn stand_of(&self, (host, plugin): &Key) -> String {
        let host = host.as_deref().or(self.name.as_deref()).unwrap_or_default();
        format!("{plugin}@{host}")
    }

    fn keep_counters(&self, key: &Key, member: &Member) {
        if let Err(e) = self.stand.write(&self.stand_of(key), &member.keeper.memory()) {
            tracing::debug!("{}: where counters stand: {e}", self.subject);
        }
    }

    /// Its plugin has gone, or cannot be asked now.
    fn end(&mut self, key: &Key, ts: i64, forget: bool) {
        if let Some(member) = self.members.get(key).filter(|_| forget) {
            self.keep_counters(key, member);
        }
        let Some(member) = self.members.get_mut(key) else { return };
        let ended = member.keeper.end();
        self.shared.latest.retire(member.group);
        self.push(ended, ts, &[]);
        if forget {
            self.members.remove(key);
        }
    }

    fn take(&mut self, told: &Told, ts: i64) -> Result<(), String> {
        if told.host.as_deref() == Some(&*self.shared.system) {
            let why = "it speaks for this machine, whose values plimsoll measures itself";
            return Err(why.to_owned());
        }
        let now = self.shared.clock.boot_ms();
        let Some(name) = told.host.clone().or_else(|| self.name.clone()) else { return Ok(()) };
        let of = key(told);
        let stood = match self.members.contains_key(&of) {
            true => None,
            false => self.stand.read(&self.stand_of(&of)),
        };
        let member = self.members.entry(of.clone()).or_insert_with(|| {
            let mut keeper = Keeper::new(
                Arc::clone(&self.shared.registry),
                Arc::clone(&self.filter),
                &told.plugin,
                Some(&name),
                Some(plugin::Kind::Munin),
            );
            if let Some(stood) = stood {
                keeper.remember(&stood);
            }
            let group = self.shared.latest.group();
            let (told, tell_at) = (Vec::new(), i64::MIN);
            Member { keeper, group, describe_at: i64::MIN, told, tell_at }
        });
        if let Some(config) = &told.config {
            refusal(config)?;
            member.keeper.describe(&output(config))?;
            member.describe_at = now + CONFIG_EVERY_MS;
            if member.keeper.graphs() != member.told || now >= member.tell_at {
                let all = member.keeper.graphs().iter().cloned().map(|mut graph| {
                    graph.system = Some(name.as_str().into());
                    self.shared.queue.push_graph(graph)
                });
                // Descriptions that found no room are stored again the next time.
                if all.fold(true, |all, one| all & one) {
                    member.told = member.keeper.graphs().to_vec();
                    member.tell_at = now + TELL_EVERY_MS;
                }
            }
        }
        let values = told.values.as_ref().or(told.config.as_ref());
        let values = values.map(Vec::as_slice).unwrap_or_default();
        refusal(values)?;
        let samples = member.keeper.values(&output(values), ts)?;
        if samples.undescribed {
            member.describe_at = i64::MIN;
        }
        self.shared.latest.update(member.group, ts, &samples.values);
        if let Some(member) = self.members.get(&of).filter(|_| samples.wrapped) {
            self.keep_counters(&of, member);
        }
        let faults = samples.faults.clone();
        self.push(samples, ts, &[]);
        if faults.is_empty() { Ok(()) } else { Err(faults.to_string()) }
    }

    /// Reports the result of a poll.
    fn report(&mut self, ts: i64, up: bool, took_ms: i64) {
        let address = format!("{}:{}", self.settings.host, self.settings.port);
        let name = self.name.clone().unwrap_or_else(|| address.clone());
        let collector = format!("munin/{name}");
        let own = &mut self.recorder;
        own.begin();
        let took = took_ms as f64 / 1e3;
        outcome::report(own, &collector, up, took, self.settings.interval);
        let up = f64::from(u8::from(up));
        let mut all = own.samples().to_vec();
        let series =
            outcome::up(&self.shared.registry, &self.filter, Some(&name), JOB, Labels::default());
        all.extend(series.map(|series| (series, up)));
        self.shared.latest.update(self.group, ts, &all);
        self.push(Samples::default(), ts, &all);
    }

    fn push(&self, samples: Samples, ts: i64, own: &[(SeriesRef, f64)]) {
        hand_over(&self.shared, samples, ts, own);
    }
}

fn key(told: &Told) -> Key {
    (told.host.clone(), told.plugin.clone())
}

/// The error of a node in place of a plugin's answer.
fn refusal(text: &[u8]) -> Result<(), String> {
    let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
    match first.trim_ascii() {
        b"# Timed out" => Err("it took too long".into()),
        b"# Bad exit" => Err("it failed".into()),
        b"# Unknown service" => Err("the node does not know it".into()),
        _ => Ok(()),
    }
}

/// An answer that came by the network, as if a program had printed it.
fn output(text: &[u8]) -> Output {
    Output { stdout: text.to_vec(), stderr: Vec::new(), end: End::Exited(0), took_ms: 0 }
}
