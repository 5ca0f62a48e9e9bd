//! pipeline: the intake of pushed values: from a name as sent to a numbered series, and from a push
//! to one batch in the queue. Parsers are above it, sockets and HTTP below.
//!
//! A sender repeats its names. So a name as it was sent (its *alias*) is kept with the number of
//! its series: a known name costs one hash of its bytes, and nothing is allocated.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::HashTable;

use super::arrivals::{Arrival, Arrivals};
use super::own::{measured_here, reserved};
use super::queue::Receipt;
use super::{Batch, Counters, Full, Latest, Names, Queue, Reason, Source};
use crate::model::{Identity, Kind, Labels, Registry, Series, SeriesRef, parse_key};
use crate::wire::About;
use crate::wire::time::{format_timestamp, in_range};

/// Longest name of a metric, a label, a system or a job, in bytes.
pub const MAX_NAME: usize = 200;
/// Longest value of a label, in bytes.
pub const MAX_LABEL_VALUE: usize = 1_000;
/// Most labels of a series.
pub const MAX_LABELS: usize = 64;
/// The number of aliases for each allowed name, because a series can be written in several ways.
/// Past that the list is cleared. It is a cache, so only time is lost.
const ALIASES_A_NAME: u64 = 2;
/// The mean length of aliases past which the list is cleared.
const ALIAS_LENGTH: u64 = 400;

/// The oldest accepted time: 2000-01-01, in ms since 1970 UTC. An older sample would make
/// everything that shows all times begin there.
pub const OLDEST_MS: i64 = 946_684_800_000;

/// How far ahead of this machine's clock a sample may lie, in ms: a day, because clocks and time
/// zones can be wrong. A sample further ahead could be neither sealed nor deleted before its time.
pub const AHEAD_MS: i64 = 86_400_000;

/// The sender, as far as it decides for which machines it may send.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sender<'a> {
    /// A program on this machine.
    #[default]
    Here,
    /// Another machine: it may not use this machine's name.
    Elsewhere,
    /// A token that is bound to this instance: its values are of that one and of no other.
    Bound(&'a str),
}

/// The origin of a push, with its consequences for the series.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The source under which its samples are counted.
    pub source: Source,
    /// The job of series that name none in a label `job`.
    pub job: &'a str,
    /// Labels that each series of this push gets, overriding its own; `instance` and `job` among
    /// them have their usual meaning.
    pub labels: &'a [(String, String)],
    /// Whether a label `host` names the system if there is no `instance`. Not for Prometheus' own
    /// formats, where it is a label like any other.
    pub host: bool,
    /// The sender.
    pub sender: Sender<'a>,
}

impl<'a> Origin<'a> {
    /// An origin without labels of its own.
    pub fn new(source: Source, job: &'a str, host: bool) -> Self {
        Self { source, job, labels: &[], host, sender: Sender::Here }
    }
}

/// Why a sample was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The name is new, and there are as many as allowed.
    #[error("{0}")]
    TooMany(#[from] Full),
    /// Its name or time is nothing plimsoll can keep.
    #[error("{0}")]
    Invalid(String),
    /// The value is of a machine for which this sender may not send, or plimsoll measures it
    /// itself.
    #[error("{0}")]
    Forbidden(String),
}

/// Too much waits to be written: the sender shall come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// See the module's text.
#[derive(Debug)]
pub struct Intake {
    registry: Arc<Registry>,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    names: Arc<Names>,
    system: Box<str>,
    latest: Option<Arc<Latest>>,
    state: Mutex<State>,
    /// Apart from `state`, which is held as long as a push is read.
    arrivals: Mutex<Arrivals>,
}

#[derive(Debug, Default)]
struct State {
    /// For the place of each series, its system in `named`, counted from 1; 0: none.
    systems: Vec<u32>,
    /// The other systems, each with the time of its newest sample in the push at hand.
    named: Vec<(Box<str>, i64)>,
    /// The place of each system in `named`, counted from 1.
    places: std::collections::HashMap<Box<str>, u32>,
    aliases: HashTable<Alias>,
    /// The bytes of all aliases.
    alias_bytes: usize,
    hasher: foldhash::quality::RandomState,
    scratch: Vec<u8>,
    /// The registry's when `aliases` were last looked through.
    epoch: u64,
}

/// No sample of a system came with a push.
const NONE: i64 = i64::MIN;

impl State {
    /// A series is of this system; nothing: of this machine.
    fn belongs(&mut self, series: SeriesRef, system: Option<&str>) {
        let at = match system.map(|system| (system, self.places.get(system))) {
            None => 0,
            Some((_, Some(at))) => *at,
            Some((system, None)) => {
                self.named.push((system.into(), NONE));
                let at = self.named.len() as u32;
                self.places.insert(system.into(), at);
                at
            }
        };
        let number = series.place();
        if self.systems.len() <= number {
            self.systems.resize(number + 1, 0);
        }
        if let Some(place) = self.systems.get_mut(number) {
            *place = at;
        }
    }

    /// Drops aliases of series that the registry has forgotten.
    #[cold]
    fn forget(&mut self, registry: &Registry) {
        self.epoch = registry.epoch();
        let Self { aliases, alias_bytes, .. } = self;
        let live = registry.live();
        aliases.retain(|alias| {
            let stays = live.has(alias.series);
            *alias_bytes -= if stays { 0 } else { alias.text.len() };
            stays
        });
    }

    /// Notes the newest time of each system.
    fn newest(&mut self, samples: &[(SeriesRef, f64)], times: &[i64]) {
        let Self { systems, named, .. } = self;
        for (_, newest) in named.iter_mut() {
            *newest = NONE;
        }
        for ((series, _), ts) in samples.iter().zip(times) {
            let of = systems.get(series.place()).copied().unwrap_or(0) as usize;
            if let Some((_, newest)) = of.checked_sub(1).and_then(|at| named.get_mut(at)) {
                *newest = (*newest).max(*ts);
            }
        }
    }
}

#[derive(Debug)]
struct Alias {
    text: Box<[u8]>,
    series: SeriesRef,
}

impl Intake {
    /// `system` is this machine's name; values from there are local.
    pub fn new(
        registry: Arc<Registry>,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        names: Arc<Names>,
        system: &str,
    ) -> Self {
        let (latest, state, arrivals) = (None, Mutex::default(), Mutex::default());
        let system = system.into();
        Self { registry, queue, counters, names, system, latest, state, arrivals }
    }

    /// Refuses the series that are measured here at present, too: plugins' series are in no table.
    pub fn beside(self, latest: Arc<Latest>) -> Self {
        Self { latest: Some(latest), ..self }
    }

    /// How samples of another system have arrived; nothing if none has since the start.
    pub fn arrival(&self, system: &str) -> Option<Arrival> {
        self.arrivals.lock().unwrap_or_else(|e| e.into_inner()).of(system)
    }

    /// How samples of all other systems that were heard of since the start have arrived.
    pub fn arrivals(&self) -> Vec<(Box<str>, Arrival)> {
        self.arrivals.lock().unwrap_or_else(|e| e.into_inner()).all()
    }

    /// Begins a push at this moment (ms since 1970 UTC). Others wait until it ends.
    pub fn begin<'a>(&'a self, origin: Origin<'a>, now_ms: i64) -> Push<'a> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if state.epoch != self.registry.epoch() {
            state.forget(&self.registry);
        }
        state.scratch.clear();
        let (sender, bound) = match origin.sender {
            Sender::Here => (0, ""),
            Sender::Elsewhere => (1, ""),
            Sender::Bound(instance) => (2, instance),
        };
        state.scratch.extend([origin.source as u8, u8::from(origin.host), sender]);
        state.scratch.extend_from_slice(bound.as_bytes());
        state.scratch.push(0xff);
        for text in origin.labels.iter().flat_map(|(n, v)| [n, v]).map(String::as_str) {
            state.scratch.extend_from_slice(text.as_bytes());
            state.scratch.push(0xff);
        }
        state.scratch.extend_from_slice(origin.job.as_bytes());
        // No byte of UTF-8: an alias behind it cannot be mistaken for a longer job.
        state.scratch.push(0xff);
        let prefix = state.scratch.len();
        let (samples, times) = (Vec::new(), Vec::new());
        Push { intake: self, state, prefix, origin, now_ms, samples, times }
    }
}

/// The values of one push: all of them get into the queue, or none.
#[derive(Debug)]
pub struct Push<'a> {
    intake: &'a Intake,
    state: MutexGuard<'a, State>,
    prefix: usize,
    origin: Origin<'a>,
    now_ms: i64,
    samples: Vec<(SeriesRef, f64)>,
    times: Vec<i64>,
}

impl<'a> Push<'a> {
    /// Adds a sample of the series of a key; see [`parse_key`]. A refused sample is counted.
    pub fn put(
        &mut self,
        key: &str,
        ts: i64,
        value: f64,
        about: Option<About<'_>>,
    ) -> Result<(), Refused> {
        // Before its name takes a place.
        self.in_time(ts)?;
        let series = self.series(key.as_bytes(), || {
            let (name, labels) = parse_key(key);
            Ok((name, labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(), about))
        });
        match series {
            Ok(series) => self.sample(series, ts, value),
            Err(refused) => {
                self.count(&refused, 1);
                Err(refused)
            }
        }
    }

    /// Whether this sender may send a series of this name with the origin's labels. Nothing is kept or
    /// counted.
    pub fn may_send(&self, name: &str) -> Result<(), Refused> {
        identity(&self.origin, &self.intake.system, name, Vec::new()).map(drop)
    }

    /// The series behind an alias: any bytes that mean the same series whenever they come from the
    /// same origin. `name` takes them apart, and is only asked about new ones. Nothing is counted.
    pub fn series<'n>(
        &mut self,
        alias: &[u8],
        name: impl FnOnce() -> Result<(String, Vec<(String, String)>, Option<About<'n>>), String>,
    ) -> Result<SeriesRef, Refused> {
        let State { aliases, hasher, scratch, .. } = &mut *self.state;
        scratch.truncate(self.prefix);
        scratch.extend_from_slice(alias);
        let hash = hasher.hash_one(&**scratch);
        if let Some(known) = aliases.find(hash, |a| *a.text == **scratch) {
            return Ok(known.series);
        }
        let (name, labels, about) = name().map_err(Refused::Invalid)?;
        let series = self.intern(name, labels, about)?;
        let described = self.intake.registry.get(series);
        self.state.belongs(series, described.as_ref().and_then(|d| d.identity.system.as_deref()));
        let State { aliases, alias_bytes, hasher, scratch, .. } = &mut *self.state;
        *alias_bytes += scratch.len();
        let many = ALIASES_A_NAME.saturating_mul(self.intake.names.most());
        let long = usize::try_from(many.saturating_mul(ALIAS_LENGTH)).unwrap_or(usize::MAX);
        if aliases.len() as u64 >= many || *alias_bytes > long {
            aliases.clear();
            *alias_bytes = scratch.len();
        }
        let alias = Alias { text: scratch.as_slice().into(), series };
        aliases.insert_unique(hash, alias, |a| hasher.hash_one(&*a.text));
        Ok(series)
    }

    fn intern(
        &self,
        name: String,
        labels: Vec<(String, String)>,
        about: Option<About<'_>>,
    ) -> Result<SeriesRef, Refused> {
        let intake = self.intake;
        let identity = identity(&self.origin, &intake.system, &name, labels)?;
        let known = intake.registry.find(&identity);
        if let Some(known) = known {
            let mut beside = intake.latest.iter();
            if beside.any(|latest| latest.get(known).is_some()) {
                return Err(Refused::Forbidden(measured_here(&name)));
            }
        }
        let kind = about.as_ref().map_or_else(|| Kind::guess(&name), |a| a.kind);
        let (unit, help) = about.map_or(("", ""), |a| (a.unit, a.help));
        // Only names that the file does not know need a place; this machine's own series are known.
        let charged = known.is_none();
        if charged {
            let about = unit.len().min(MAX_LABEL_VALUE) + help.len().min(MAX_LABEL_VALUE);
            intake.names.take(&identity, 1, about)?;
        }
        let short = |text: &str| text.chars().take(MAX_LABEL_VALUE).collect::<String>().into();
        let series = Series { identity, kind, unit: short(unit), help: short(help) };
        let series = intake.registry.intern(series);
        if charged {
            intake.registry.charge(series, 1);
        }
        Ok(series)
    }

    /// Refuses, and counts, a time that no sample can have; `ts` in ms since 1970 UTC.
    fn in_time(&self, ts: i64) -> Result<(), Refused> {
        // A machine without a clock of its own begins in 1970: it cannot judge.
        let ahead = self.now_ms >= OLDEST_MS && ts > self.now_ms.saturating_add(AHEAD_MS);
        if ts >= OLDEST_MS && in_range(ts).is_some() && !ahead {
            return Ok(());
        }
        let refused = Refused::Invalid(match in_range(ts) {
            None => format!("the time {ts} ms lies outside the calendar"),
            Some(_) if ahead => format!(
                "the time {} lies more than a day ahead of this machine's clock",
                format_timestamp(ts)
            ),
            Some(_) => format!("the time {} lies before 2000-01-01", format_timestamp(ts)),
        });
        self.count(&refused, 1);
        Err(refused)
    }

    /// Adds a sample of a known series; `ts` in ms since 1970 UTC. A refused sample is counted.
    pub fn sample(&mut self, series: SeriesRef, ts: i64, value: f64) -> Result<(), Refused> {
        self.in_time(ts)?;
        self.samples.push((series, value));
        self.times.push(ts);
        Ok(())
    }

    /// Counts samples that were refused.
    pub fn count(&self, refused: &Refused, samples: u64) {
        let reason = match refused {
            Refused::TooMany(_) => Reason::SeriesLimit,
            Refused::Invalid(_) => Reason::Invalid,
            Refused::Forbidden(_) => Reason::Forbidden,
        };
        self.lost(reason, samples);
    }

    /// Counts samples that could not even be read.
    pub fn lost(&self, reason: Reason, samples: u64) {
        self.intake.counters.lost(self.origin.source, reason, samples);
    }

    /// How many were taken so far.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The series taken so far, in the order of their samples.
    pub fn taken(&self) -> impl Iterator<Item = SeriesRef> + '_ {
        self.samples.iter().map(|(series, _)| *series)
    }

    /// Ends the push: others go on. The machines that it has samples of are not silent, whether or
    /// not the queue takes them.
    fn batch(self) -> (&'a Intake, Batch) {
        let Self { intake, origin, now_ms, samples, times, mut state, .. } = self;
        state.newest(&samples, &times);
        let mut arrivals = intake.arrivals.lock().unwrap_or_else(|e| e.into_inner());
        for (system, newest) in state.named.iter().filter(|(_, newest)| *newest != NONE) {
            arrivals.note(system, now_ms, *newest);
        }
        (intake, Batch { times, ..Batch::of(origin.source, now_ms, samples) })
    }

    /// Hands everything to the queue; how many samples that was. An error: nothing was taken.
    pub fn finish(self) -> Result<usize, Busy> {
        let (intake, batch) = self.batch();
        let taken = batch.samples.len();
        match taken {
            0 => Ok(0),
            _ => intake.queue.offer(batch).map(|()| taken).map_err(|_| Busy),
        }
    }

    /// Queues everything, for a sender that waits until it is in the file. Returns the number of
    /// samples, or an error if nothing was queued; the sender must then be told.
    pub fn finish_awaited(self) -> Result<(usize, Receipt), Busy> {
        let (intake, batch) = self.batch();
        let taken = batch.samples.len();
        match taken {
            0 => Ok((0, Receipt::nothing())),
            _ => intake.queue.offer_awaited(batch).map(|r| (taken, r)).map_err(|_| Busy),
        }
    }
}

fn too_many_labels(n: usize) -> String {
    format!("{n} labels; {MAX_LABELS} are allowed")
}

/// Checks a new name for all ways in: the length and characters of its parts. An error says what is
/// wrong.
pub fn check_name<'a>(
    system: Option<&str>,
    job: &str,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<(), String> {
    let texts = [("metric's name", name), ("job", job)].into_iter();
    let texts = texts.chain(system.map(|s| ("system's name", s)));
    for (what, text) in texts.chain(labels.clone().map(|(n, _)| ("label's name", n))) {
        if text.is_empty() {
            return Err(format!("no {what}"));
        }
        if text.len() > MAX_NAME {
            return Err(format!("a {what} of {} bytes; {MAX_NAME} are allowed", text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("a control character in a {what}"));
        }
    }
    let mut count = 0;
    for (n, value) in labels {
        count += 1;
        if value.len() > MAX_LABEL_VALUE {
            let long = value.len();
            return Err(format!("label `{n}` has {long} bytes; {MAX_LABEL_VALUE} are allowed"));
        }
        if value.contains('\0') {
            return Err(format!("label `{n}` has a zero byte"));
        }
    }
    if count > MAX_LABELS {
        return Err(too_many_labels(count));
    }
    Ok(())
}

/// Separates the name of the system, that of the job, and the remaining labels.
fn identity(
    origin: &Origin<'_>,
    own: &str,
    name: &str,
    mut labels: Vec<(String, String)>,
) -> Result<Identity, Refused> {
    let forbidden = |what: String| Err(Refused::Forbidden(what));
    // Prometheus reserves these and drops them: a `__name__` would replace the name.
    labels.retain(|(n, _)| !n.starts_with("__"));
    if !origin.labels.is_empty() {
        labels.retain(|(n, _)| !origin.labels.iter().any(|(own, _)| own == n));
        labels.extend_from_slice(origin.labels);
    }
    if labels.len() > MAX_LABELS {
        return Err(Refused::Invalid(too_many_labels(labels.len())));
    }
    // Of two labels with the same name the later one counts, as in `Labels::new`.
    let mut remove = |wanted: &str| {
        let value = labels.iter().rev().find(|(n, _)| n == wanted).map(|(_, v)| v.clone());
        labels.retain(|(n, _)| n != wanted);
        value.filter(|v| !v.is_empty())
    };
    let job = remove("job").unwrap_or_else(|| origin.job.to_owned());
    let mut system = remove("instance");
    if system.is_none() && origin.host {
        system = remove("host");
    }
    match (origin.sender, &system) {
        (Sender::Bound(bound), Some(other)) if other != bound => {
            let other: String = other.chars().take(MAX_NAME).collect();
            return forbidden(format!(
                "this token is for instance `{bound}`, and this is of `{other}`"
            ));
        }
        (Sender::Bound(bound), None) => system = Some(bound.to_owned()),
        (Sender::Elsewhere, Some(named)) if named == own => {
            return forbidden(format!(
                "instance `{own}` is this machine, and another one sends; give that one a name of its own"
            ));
        }
        _ => {}
    }
    let system = system.filter(|s| s != own);
    check_name(system.as_deref(), &job, name, labels.iter().map(|(n, v)| (&**n, &**v)))
        .map_err(Refused::Invalid)?;
    let (system, labels) = (system.map(String::into_boxed_str), Labels::new(labels));
    if system.is_none()
        && let Some(why) = reserved(&job, name, &labels)
    {
        return forbidden(why);
    }
    Ok(Identity { system, job: job.into(), name: name.into(), labels })
}

#[cfg(test)]
mod tests;
