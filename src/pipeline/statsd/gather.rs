//! pipeline: the gatherer of statsd's values between two flushes. It lives on the thread that reads
//! the sockets, so nothing here is locked.
use std::sync::Arc;

use hashbrown::HashMap;

use super::distinct::{Distinct, Room};
use super::held::{
    Counter, FORGOTTEN_MS, Flush, Gauge, LOOK_MS, NEVER, Set, Timed, Timer, TimerTotals, UNNAMED,
    next_on_grid, not_written, put,
};
use super::index::{Index, Place};
use super::naming::Naming;
use super::tally::{Counts, Refused};
use super::timer::Values;
use super::{Outlet, Settings, legacy, sketch};
use crate::model::counter::Held;
use crate::model::{Event, Labels, Series, SeriesRef};
use crate::pipeline::own::reserved;
use crate::pipeline::{Group, Reason, Source};
use crate::receive::{Carrier, Lost, Sink, Turn};
use crate::wire::statsd::{self as wire, Bad, Item, Items, Metric, Type, Value};

/// Values with a time of their own between two flushes; they are not gathered but kept one by one.
pub const MAX_TIMED: usize = 100_000;

/// A name may be written in as many ways, on average, before one costs more than a look-up.
const SPELLINGS: u64 = 4;

/// The number of lines that are read before the first of them is looked up.
const AHEAD: usize = 16;
const NOTHING: Metric<'static> = Metric {
    name: b"",
    tags: b"",
    kind: Type::Counter,
    value: Value::Number(0.0),
    rate: 1.0,
    time: None,
};

/// One in this many bad lines is shown in the log at debug level.
const SAMPLED: u64 = 1_000;

/// The sink of statsd's sockets. See the module's text.
pub struct Gather {
    pub(super) settings: Settings,
    pub(super) outlet: Outlet,
    pub(super) group: Group,
    pub(super) naming: Naming,
    index: Index,
    /// Which name has a series: two spellings of a name meet here.
    owners: HashMap<SeriesRef, Place, foldhash::quality::RandomState>,
    pub(super) counters: Vec<Counter>,
    pub(super) gauges: Vec<Gauge>,
    pub(super) timers: Vec<Timer>,
    pub(super) totals: Vec<TimerTotals>,
    /// The number of timers, from the first, whose series are all named.
    pub(super) named: usize,
    pub(super) sets: Vec<Set>,
    /// The room that sets and timers may still take.
    pub(super) room: Room,
    pub(super) bins: sketch::Room,
    /// Bytes that the last flush has freed.
    pub(super) freed: usize,
    pub(super) series: Vec<SeriesRef>,
    /// The series at the same places. While they are held the registry does not forget them.
    held: Vec<Option<Arc<Series>>>,
    /// Places of names that were forgotten, by type, and where the series of each begin.
    free: [Vec<(usize, u32)>; 4],
    /// When names were looked through for those that are not sent any more; ms since 1970.
    looked: i64,
    /// Series of counters that have not been written yet.
    pub(super) fresh: Vec<SeriesRef>,
    pub(super) timed: Vec<Timed>,
    /// The newest time of a counter's timed value, since the last flush.
    timed_totals: HashMap<u32, i64, foldhash::quality::RandomState>,
    /// A hash of the last check of each service.
    checks: HashMap<u32, u64, foldhash::quality::RandomState>,
    pub(super) counts: Counts,
    pub(super) names: u64,
    pub(super) flush: Option<Flush>,
    /// The time of the next flush, and the begin of the current period; ms since 1970.
    pub(super) next: i64,
    pub(super) since: i64,
    /// The legacy counters of the receiver: their places, and their last values.
    pub(super) own: Vec<(usize, u64)>,
    pub(super) lag: Option<usize>,
    /// Used again and again.
    pub(super) spare: Vec<(SeriesRef, f64)>,
    pub(super) ranks: Vec<u64>,
    scratch: String,
}

impl std::fmt::Debug for Gather {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gather").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Gather {
    /// A gatherer without values.
    pub fn new(mut settings: Settings, outlet: Outlet) -> Self {
        if !settings.legacy_names {
            // Ranks are looked up in one walk.
            settings.percentiles.sort_by(f64::total_cmp);
        }
        let now = outlet.clock.wall_ms();
        let mut gather = Self {
            group: outlet.latest.group(),
            naming: Naming::new(&settings.percentiles, settings.legacy_names),
            index: Index::new(),
            owners: HashMap::default(),
            counters: Vec::new(),
            gauges: Vec::new(),
            timers: Vec::new(),
            totals: Vec::new(),
            named: 0,
            sets: Vec::new(),
            room: Room::default(),
            bins: sketch::Room::default(),
            freed: 0,
            series: Vec::new(),
            held: Vec::new(),
            free: Default::default(),
            looked: now,
            fresh: Vec::new(),
            timed: Vec::new(),
            timed_totals: HashMap::default(),
            checks: HashMap::default(),
            counts: Counts::default(),
            names: 0,
            flush: None,
            next: next_on_grid(now, settings.flush_ms),
            since: now,
            own: Vec::new(),
            lag: None,
            spare: Vec::new(),
            ranks: Vec::new(),
            scratch: String::new(),
            settings,
            outlet,
        };
        if gather.settings.legacy_names {
            for name in legacy::OWN {
                if let Some(place) = gather.new_place(Type::Counter, name, Labels::default(), true)
                {
                    gather.own.push((place.number(), 0));
                }
            }
            let lag = gather.new_place(Type::Gauge, legacy::LAG, Labels::default(), true);
            gather.lag = lag.map(Place::number);
        }
        gather
    }

    /// Gauges as they were before a restart: name of the series, labels, value. `age_ms`: how long
    /// ago that was.
    pub fn restore(&mut self, gauges: impl Iterator<Item = (String, Labels, f64)>, age_ms: i64) {
        let idle = u32::try_from(age_ms / self.settings.flush_ms).unwrap_or(NEVER - 1);
        for (series, labels, value) in gauges {
            let Some(name) = self.naming.gauge_name(&series) else { continue };
            if let Some(place) = self.new_place(Type::Gauge, name, labels, false)
                && let Some(gauge) = self.gauges.get_mut(place.number())
                && value.is_finite()
            {
                gauge.value = value;
                gauge.idle = idle;
            }
        }
    }

    #[inline(always)]
    fn metric(&mut self, hash: u64, metric: &Metric<'_>) {
        let place = match self.index.find(hash, metric.kind, metric.name, metric.tags) {
            Some(place) => place,
            None => match self.learn(metric.kind, metric.name, metric.tags) {
                Some(place) => place,
                None => return,
            },
        };
        self.counts.values += 1;
        let at = place.number();
        if let Some(seconds) = metric.time {
            return self.timed(metric, at, seconds);
        }
        match (metric.kind, metric.value) {
            (Type::Counter, Value::Number(v)) => {
                let counter = &mut self.counters[at];
                counter.sum += if metric.rate == 1.0 { v } else { v * (1.0 / metric.rate) };
                counter.idle = 0;
            }
            (Type::Timer, Value::Number(v)) => {
                let timer = &mut self.timers[at];
                timer.values.add(v, &mut self.bins);
                timer.idle = 0;
                if metric.rate == 1.0 {
                    timer.weight += 1.0;
                } else {
                    let weight = 1.0 / metric.rate;
                    timer.weight += weight;
                    timer.unsent += v * (weight - 1.0);
                }
            }
            (Type::Gauge, Value::Number(v)) => {
                let gauge = &mut self.gauges[at];
                gauge.value = v;
                gauge.idle = 0;
            }
            (Type::Gauge, Value::Delta(v)) => {
                let gauge = &mut self.gauges[at];
                // A name that is no longer written is no longer known.
                let known = self.settings.ttl_ms / self.settings.flush_ms > i64::from(gauge.idle);
                gauge.value = if known { gauge.value + v } else { v };
                gauge.idle = 0;
            }
            (Type::Set, Value::Member(bytes)) => {
                // The reference takes nothing for a zero.
                let hash = self.index.member(if bytes.is_empty() { b"0" } else { bytes });
                let set = &mut self.sets[at];
                set.members.insert(hash, &mut self.room);
                set.idle = 0;
            }
            // The parser makes no other pairs.
            _ => {}
        }
    }

    /// A value with a time is written as it is, not gathered. A counter's also goes into its total:
    /// then its time counts only if that leaves the total growing with time.
    #[cold]
    fn timed(&mut self, metric: &Metric<'_>, at: usize, seconds: i64) {
        let now = self.outlet.clock.wall_ms();
        let ts = seconds.saturating_mul(1_000);
        match (metric.kind, metric.value) {
            (Type::Gauge, Value::Number(value) | Value::Delta(value)) => {
                if self.timed.len() >= MAX_TIMED || ts > now + 60_000 || ts < 0 {
                    self.counts.values -= 1;
                    return self.refuse(Refused::Full);
                }
                let gauge = &mut self.gauges[at];
                // It was sent, but a flush does not write it.
                gauge.idle = gauge.idle.min(not_written(&self.settings));
                let series = self.series[gauge.series as usize];
                self.timed.push(Timed { ts, series, value, total: false });
            }
            (Type::Counter, Value::Number(v)) => {
                let value = v * (1.0 / metric.rate);
                let counter = &mut self.counters[at];
                counter.idle = 0;
                let newest = self.timed_totals.get(&(at as u32)).copied().unwrap_or(self.since);
                let in_order = ts > newest && ts <= now && self.timed.len() < MAX_TIMED;
                if !in_order || self.settings.legacy_names {
                    counter.sum += value;
                    return;
                }
                counter.total += value;
                let series = self.series[counter.series as usize];
                let value = counter.held.rise(counter.total);
                self.timed.push(Timed { ts, series, value, total: true });
                self.timed_totals.insert(at as u32, ts);
            }
            _ => {}
        }
    }

    /// A name that the index does not know: new, or written in a new way.
    #[cold]
    fn learn(&mut self, kind: Type, name: &[u8], tags: &[u8]) -> Option<Place> {
        let mut clean = std::mem::take(&mut self.scratch);
        let understood = wire::clean_name(name, &mut clean).and_then(|()| wire::labels(name, tags));
        let place = match understood {
            Ok(labels) => self.new_place(kind, &clean, labels, false),
            Err(bad) => {
                self.bad(bad as usize, name);
                None
            }
        };
        self.scratch = clean;
        if let Some(place) = place {
            // The setting may change at runtime.
            let most = usize::try_from(self.outlet.names.most() * SPELLINGS).unwrap_or(usize::MAX);
            self.index.remember(kind, name, tags, place, most);
        }
        place
    }

    /// The place of a name, made if it is new. The receiver's own names are always accepted.
    fn new_place(&mut self, kind: Type, name: &str, labels: Labels, own: bool) -> Option<Place> {
        let first = self.naming.first(kind, name, labels);
        if !own
            && reserved(&first.identity.job, &first.identity.name, &first.identity.labels).is_some()
        {
            self.refuse(Refused::Own);
            return None;
        }
        let known = self.outlet.registry.find(&first.identity);
        if let Some(place) = known.and_then(|series| self.owners.get(&series)) {
            if place.is(kind) {
                return Some(*place);
            }
            self.refuse(Refused::Type);
            return None;
        }
        // A name that came another way has its place already.
        let parts = self.naming.series_of(kind);
        let charged = known.is_none() && !own;
        if charged && self.outlet.names.take(&first.identity, parts, first.help.len()).is_err() {
            self.refuse(Refused::Names);
            return None;
        }
        self.names += u64::from(!own);
        let counts = first.kind == crate::model::Kind::Counter;
        let first = self.outlet.registry.intern(first);
        if charged {
            self.outlet.registry.charge(first, parts.min(2) as u8);
        }
        let (number, series) = match self.free[kind as usize].pop() {
            Some((number, series)) => (number, series),
            None => (self.count_of(kind), UNNAMED),
        };
        let series = if kind == Type::Timer && series == UNNAMED {
            UNNAMED
        } else {
            self.name_all(kind, first, series)
        };
        match kind {
            Type::Counter => {
                let (sum, total, held) = (0.0, 0.0, Held::at(0.0));
                put(&mut self.counters, number, Counter { sum, total, held, idle: NEVER, series });
            }
            Type::Gauge => {
                put(&mut self.gauges, number, Gauge { value: 0.0, idle: NEVER, series });
            }
            Type::Timer => {
                let values = Values::default();
                let timer = Timer { values, weight: 0.0, unsent: 0.0, idle: NEVER, series };
                put(&mut self.timers, number, timer);
                let (first, held) = (Some(first), Held::at(0.0));
                put(
                    &mut self.totals,
                    number,
                    TimerTotals { first, held, ..TimerTotals::default() },
                );
            }
            Type::Set => {
                let set = Set { members: Distinct::default(), idle: NEVER, series };
                put(&mut self.sets, number, set);
            }
        }
        if counts {
            self.fresh.push(first);
        }
        let place = Place::new(kind, number);
        self.owners.insert(first, place);
        Some(place)
    }

    /// Makes all series of a name, given the first: at a place that another name had, or behind all
    /// others. Where they begin.
    pub(super) fn name_all(&mut self, kind: Type, first: SeriesRef, at: u32) -> u32 {
        let mut named = Vec::new();
        self.naming.all(kind, first, &self.outlet.registry, &mut named);
        let at = if at == UNNAMED { self.series.len() } else { at as usize };
        for (at, series) in (at..).zip(named) {
            put(&mut self.series, at, series);
            put(&mut self.held, at, self.outlet.registry.get(series));
        }
        if kind == Type::Timer && !self.settings.legacy_names {
            self.fresh.extend(self.series.get(at + 1));
        }
        at as u32
    }

    /// Forgets names that have not been sent for long. A counter that is sent again begins at zero, as
    /// after a restart.
    fn forget(&mut self, now: i64) {
        if now - self.looked < LOOK_MS && now >= self.looked {
            return;
        }
        self.looked = now;
        let most = (self.settings.ttl_ms + FORGOTTEN_MS) / self.settings.flush_ms;
        let idle = |idle: u32| idle != NEVER && i64::from(idle) >= most;
        let before = self.owners.len();
        let Self { owners, counters, gauges, timers, sets, free, held, .. } = self;
        owners.retain(|_, place| {
            let at = place.number();
            let (kind, gone, series) = if place.is(Type::Counter) {
                (Type::Counter, idle(counters[at].idle), counters[at].series)
            } else if place.is(Type::Gauge) {
                (Type::Gauge, idle(gauges[at].idle), gauges[at].series)
            } else if place.is(Type::Timer) {
                (Type::Timer, idle(timers[at].idle), timers[at].series)
            } else {
                (Type::Set, idle(sets[at].idle), sets[at].series)
            };
            if !gone {
                return true;
            }
            match kind {
                Type::Counter => counters[at].idle = NEVER,
                Type::Gauge => gauges[at].idle = NEVER,
                Type::Timer => timers[at].idle = NEVER,
                Type::Set => sets[at].idle = NEVER,
            }
            if series != UNNAMED {
                let parts = self.naming.series_of(kind) as usize;
                held.iter_mut().skip(series as usize).take(parts).for_each(|held| *held = None);
            }
            free[kind as usize].push((at, series));
            false
        });
        let gone = before - self.owners.len();
        if gone == 0 {
            return;
        }
        self.names -= gone as u64;
        let mut places: Vec<Place> = self.owners.values().copied().collect();
        places.sort_unstable();
        self.index.retain(|place| places.binary_search(&place).is_ok());
        self.checks.retain(|number, _| {
            places.binary_search(&Place::new(Type::Gauge, *number as usize)).is_ok()
        });
    }

    fn refuse(&mut self, why: Refused) {
        self.counts.refused[why as usize] += 1;
        let reason = match why {
            Refused::Names => Reason::SeriesLimit,
            Refused::Own => Reason::Forbidden,
            Refused::Type | Refused::Full => return,
        };
        self.outlet.counters.lost(Source::Statsd, reason, 1);
    }

    #[cold]
    fn bad(&mut self, reason: usize, line: &[u8]) {
        let before = self.counts.all_bad();
        self.counts.bad[reason] += 1;
        if before.is_multiple_of(SAMPLED) {
            let shown = String::from_utf8_lossy(&line[..line.len().min(200)]);
            tracing::debug!("statsd: a line that was not understood (1 in {SAMPLED}): {shown:?}");
        }
    }

    #[cold]
    fn event(&mut self, event: &wire::Event<'_>) {
        let now = self.outlet.clock.wall_ms();
        let labels = match wire::labels(b"", event.tags) {
            Ok(labels) => labels,
            Err(bad) => return self.bad(bad as usize, event.title),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut tags: Vec<(String, String)> =
            labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        if !event.key.is_empty() {
            tags.push(("aggregation_key".into(), text(event.key)));
        }
        let source = if event.source.is_empty() { super::JOB.into() } else { text(event.source) };
        self.tell(Event {
            ts: event.time.map_or(now, |s| s.saturating_mul(1_000)),
            system: host(event.host),
            kind: "event",
            level: event.alert.word(),
            title: wire::unescape(event.title).into(),
            text: wire::unescape(event.text).into(),
            tags: Labels::new(tags),
            priority: event.priority.word(),
            source: source.into(),
        });
    }

    fn tell(&mut self, event: Event) {
        if self.outlet.queue.push_event(event) {
            self.counts.values += 1;
        } else {
            self.outlet.counters.events_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.refuse(Refused::Full);
        }
    }

    /// Stores a gauge of 0 to 3, and an event if the state of the service has changed.
    #[cold]
    fn check(&mut self, check: &wire::ServiceCheck<'_>) {
        let hash = self.index.hash(Type::Gauge, check.name, check.tags);
        let Some(place) = (self.index.find(hash, Type::Gauge, check.name, check.tags))
            .or_else(|| self.learn(Type::Gauge, check.name, check.tags))
        else {
            return;
        };
        let gauge = &mut self.gauges[place.number()];
        gauge.value = f64::from(check.status);
        gauge.idle = 0;
        let said = self.index.member(check.message) ^ u64::from(check.status);
        if self.checks.insert(place.number() as u32, said) == Some(said) {
            self.counts.values += 1;
            return;
        }
        let (level, word) = [
            ("success", "OK"),
            ("warning", "WARNING"),
            ("error", "CRITICAL"),
            ("warning", "UNKNOWN"),
        ][usize::from(check.status.min(3))];
        let now = self.outlet.clock.wall_ms();
        let name = String::from_utf8_lossy(check.name);
        self.tell(Event {
            ts: check.time.map_or(now, |s| s.saturating_mul(1_000)),
            system: host(check.host),
            kind: "check",
            level,
            title: format!("{name}: {word}").into(),
            text: wire::unescape(check.message).into(),
            tags: wire::labels(b"", check.tags).unwrap_or_default(),
            priority: "normal",
            source: super::JOB.into(),
        });
    }
}

fn host(bytes: &[u8]) -> Option<Box<str>> {
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into())
}

impl Sink for Gather {
    fn take(&mut self, _from: Carrier, text: &[u8]) {
        self.counts.packets += 1;
        let mut items = Items::new(text);
        let mut ahead = [(0, NOTHING); AHEAD];
        loop {
            // Lines are read some way ahead of the look-ups, which then wait for memory together
            // and not one after the other.
            let mut read = 0;
            for (hash, place) in &mut ahead {
                let Some(metric) = items.usual() else { break };
                *hash = self.index.hash(metric.kind, metric.name, metric.tags);
                *place = metric;
                read += 1;
            }
            for (hash, metric) in &ahead[..read] {
                self.metric(*hash, metric);
            }
            if read == AHEAD {
                continue;
            }
            match items.next() {
                Some(item) => self.unusual(item, text),
                None => break,
            }
        }
        self.counts.lines += items.lines();
    }

    fn lost(&mut self, what: Lost) {
        let reason = Bad::ALL.len()
            + match what {
                Lost::Line => 0,
                Lost::Datagram => 1,
                Lost::Connection => 2,
            };
        self.bad(reason, b"");
    }

    fn turn(&mut self) -> Turn {
        self.publish();
        self.turn_at(self.outlet.clock.wall_ms())
    }

    fn end(&mut self) {
        self.finish();
        self.publish();
    }
}

impl Gather {
    /// Handles a line that is not read by the shorter way.
    fn unusual(&mut self, item: Result<Item<'_>, Bad>, text: &[u8]) {
        match item {
            Ok(Item::Metric(metric)) => {
                let hash = self.index.hash(metric.kind, metric.name, metric.tags);
                self.metric(hash, &metric);
            }
            Ok(Item::Event(event)) => self.event(&event),
            Ok(Item::Check(check)) => self.check(&check),
            Err(bad) => self.bad(bad as usize, text),
        }
    }

    fn publish(&self) {
        self.counts.publish(&self.outlet.tally, self.names);
    }

    /// Forgets data that was only needed for the flushed period.
    pub(super) fn begin_period(&mut self, ts: i64) {
        self.since = ts;
        self.forget(ts);
        self.timed_totals.clear();
    }
}
