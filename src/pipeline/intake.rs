//! pipeline: the way in for what senders bring: from a name as sent to a numbered series, and from
//! a push to one batch in the queue. Parsers stand above it, sockets and HTTP below.
//!
//! A sender says the same names again and again. So a name as it was sent (its *alias*) is kept with
//! its series' number: a known name costs one hash of its bytes, and nothing is allocated.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::HashTable;

use super::arrivals::{Arrival, Arrivals};
use super::{Batch, Counters, Names, Queue, Reason, Source};
use crate::model::{Identity, Kind, Labels, Registry, Series, SeriesRef, parse_key};
use crate::wire::About;
use crate::wire::time::in_range;

/// Longest name of a metric, a label, a system or a job, in bytes.
pub const MAX_NAME: usize = 200;
/// Longest value of a label, in bytes.
pub const MAX_LABEL_VALUE: usize = 1_000;
/// Most labels of a series.
pub const MAX_LABELS: usize = 64;
/// The same series can be written in several ways; past so many for each name, the list is begun
/// anew. It is a cache, so only time is lost.
const ALIASES_A_NAME: u64 = 2;

/// Where a push comes from, and what that says about its series.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// What is counted.
    pub source: Source,
    /// The job of series that name none in a label `job`.
    pub job: &'a str,
    /// Labels that every series of this push gets, whatever it says itself; `instance` and `job`
    /// among them mean what they always do.
    pub labels: &'a [(String, String)],
    /// Whether a label `host` names the system where there is no `instance`. Not for Prometheus'
    /// own formats, where it is a label like any other.
    pub host: bool,
}

impl<'a> Origin<'a> {
    /// An origin without labels of its own.
    pub fn new(source: Source, job: &'a str, host: bool) -> Self {
        Self { source, job, labels: &[], host }
    }
}

/// Why a sample was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its name is new, and there are as many as may be.
    #[error("one name too many: {0} are known; known ones go on (see `max_names` under [push])")]
    TooMany(u64),
    /// Its name or time is nothing plimsoll can keep.
    #[error("{0}")]
    Invalid(String),
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
    state: Mutex<State>,
    /// Apart from `state`, which is held as long as a push is read.
    arrivals: Mutex<Arrivals>,
}

#[derive(Debug, Default)]
struct State {
    /// By the number of a series, which of `named` it is of, counted from 1; 0: none.
    systems: Vec<u32>,
    /// The other systems, each with the time of its newest sample in the push at hand.
    named: Vec<(Box<str>, i64)>,
    /// Where each is in `named`, counted from 1.
    places: std::collections::HashMap<Box<str>, u32>,
    aliases: HashTable<Alias>,
    hasher: foldhash::quality::RandomState,
    scratch: Vec<u8>,
}

/// No sample of a system came with a push.
const NONE: i64 = i64::MIN;

impl State {
    /// A series is of this system; nothing: of this machine.
    fn belongs(&mut self, series: SeriesRef, system: Option<&str>) {
        let Some(system) = system else { return };
        let at = match self.places.get(system) {
            Some(at) => *at,
            None => {
                self.named.push((system.into(), NONE));
                let at = self.named.len() as u32;
                self.places.insert(system.into(), at);
                at
            }
        };
        let number = series.0 as usize;
        if self.systems.len() <= number {
            self.systems.resize(number + 1, 0);
        }
        if let Some(place) = self.systems.get_mut(number) {
            *place = at;
        }
    }

    /// Notes the newest time of each system.
    fn newest(&mut self, samples: &[(SeriesRef, f64)], times: &[i64]) {
        let Self { systems, named, .. } = self;
        for (_, newest) in named.iter_mut() {
            *newest = NONE;
        }
        for ((series, _), ts) in samples.iter().zip(times) {
            let of = systems.get(series.0 as usize).copied().unwrap_or(0) as usize;
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
    /// `system`: this machine's name; what says it comes from there is local.
    pub fn new(
        registry: Arc<Registry>,
        queue: Arc<Queue>,
        counters: Arc<Counters>,
        names: Arc<Names>,
        system: &str,
    ) -> Self {
        let (state, arrivals) = (Mutex::default(), Mutex::default());
        Self { registry, queue, counters, names, system: system.into(), state, arrivals }
    }

    /// How samples of another system have arrived; nothing if none has since the start.
    pub fn arrival(&self, system: &str) -> Option<Arrival> {
        self.arrivals.lock().unwrap_or_else(|e| e.into_inner()).of(system)
    }

    /// Begins a push at this moment (ms since 1970 UTC). Others wait until it ends.
    pub fn begin<'a>(&'a self, origin: Origin<'a>, now_ms: i64) -> Push<'a> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.scratch.clear();
        state.scratch.extend([origin.source as u8, u8::from(origin.host)]);
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

/// What one sender brings at once: all of it gets into the queue, or nothing.
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

impl Push<'_> {
    /// One sample of the series that a key means; see [`parse_key`]. What is refused is counted.
    pub fn put(
        &mut self,
        key: &str,
        ts: i64,
        value: f64,
        about: Option<About<'_>>,
    ) -> Result<(), Refused> {
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
        self.state.belongs(series, self.intake.registry.get(series).identity.system.as_deref());
        let State { aliases, hasher, scratch, .. } = &mut *self.state;
        if aliases.len() as u64 >= ALIASES_A_NAME * self.intake.names.most() {
            aliases.clear();
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
        // Only what nobody knows needs a place; what this machine measures itself is known.
        if intake.registry.find(&identity).is_none() && !intake.names.take() {
            return Err(Refused::TooMany(intake.names.most()));
        }
        let kind = about.as_ref().map_or_else(|| Kind::guess(&name), |a| a.kind);
        let (unit, help) = about.map_or(("", ""), |a| (a.unit, a.help));
        let short = |text: &str| text.chars().take(MAX_LABEL_VALUE).collect::<String>().into();
        let series = Series { identity, kind, unit: short(unit), help: short(help) };
        Ok(intake.registry.intern(series))
    }

    /// One sample of a known series; `ts` in ms since 1970 UTC. What is refused is counted.
    pub fn sample(&mut self, series: SeriesRef, ts: i64, value: f64) -> Result<(), Refused> {
        if in_range(ts).is_none() {
            let refused = Refused::Invalid(format!("the time {ts} ms lies outside the calendar"));
            self.count(&refused, 1);
            return Err(refused);
        }
        self.samples.push((series, value));
        self.times.push(ts);
        Ok(())
    }

    /// Counts samples that were refused.
    pub fn count(&self, refused: &Refused, samples: u64) {
        let reason = match refused {
            Refused::TooMany(_) => Reason::SeriesLimit,
            Refused::Invalid(_) => Reason::Invalid,
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

    /// Hands everything to the queue; how many samples that was. An error: nothing was taken, and
    /// the sender has to be told.
    pub fn finish(self) -> Result<usize, Busy> {
        let Self { intake, origin, now_ms, samples, times, mut state, .. } = self;
        let taken = samples.len();
        if taken == 0 {
            return Ok(0);
        }
        state.newest(&samples, &times);
        let batch = Batch { times, ..Batch::of(origin.source, now_ms, samples) };
        intake.queue.offer(batch).map_err(|_| Busy)?;
        let mut arrivals = intake.arrivals.lock().unwrap_or_else(|e| e.into_inner());
        for (system, newest) in state.named.iter().filter(|(_, newest)| *newest != NONE) {
            arrivals.note(system, now_ms, *newest);
        }
        Ok(taken)
    }
}

/// Sorts out what is the system's name, what the job's, and what is left as labels.
fn identity(
    origin: &Origin<'_>,
    own: &str,
    name: &str,
    mut labels: Vec<(String, String)>,
) -> Result<Identity, Refused> {
    let bad = |what: String| Err(Refused::Invalid(what));
    if !origin.labels.is_empty() {
        labels.retain(|(n, _)| !origin.labels.iter().any(|(own, _)| own == n));
        labels.extend_from_slice(origin.labels);
    }
    if labels.len() > MAX_LABELS {
        return bad(format!("{} labels; {MAX_LABELS} are allowed", labels.len()));
    }
    // Of two with the same name the later one counts, as in `Labels::new`.
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
    let system = system.filter(|s| s != own);
    let texts = [("metric's name", name), ("job", job.as_str())].into_iter();
    let texts = texts.chain(system.as_deref().map(|s| ("system's name", s)));
    for (what, text) in texts.chain(labels.iter().map(|(n, _)| ("label's name", n.as_str()))) {
        if text.is_empty() {
            return bad(format!("no {what}"));
        }
        if text.len() > MAX_NAME {
            return bad(format!("a {what} of {} bytes; {MAX_NAME} are allowed", text.len()));
        }
        if text.chars().any(char::is_control) {
            return bad(format!("a control character in a {what}"));
        }
    }
    for (n, value) in &labels {
        if value.len() > MAX_LABEL_VALUE {
            let long = value.len();
            return bad(format!("label `{n}` has {long} bytes; {MAX_LABEL_VALUE} are allowed"));
        }
        if value.contains('\0') {
            return bad(format!("label `{n}` has a zero byte"));
        }
    }
    let system = system.map(String::into_boxed_str);
    Ok(Identity { system, job: job.into(), name: name.into(), labels: Labels::new(labels) })
}

#[cfg(test)]
mod tests;
