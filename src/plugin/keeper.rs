//! plugin: turns the output of a plugin into series and samples. It knows the plugin's fields, and
//! keeps the state of its counters. No processes here.

mod plain;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::faults::Faults;
use super::memory::{self, Memory};
use super::rate::Rate;
use super::{Kind, Output};
use crate::model::{
    Graph, Identity, KeyFilter, Kind as SeriesKind, Pinned, Registry, Series, SeriesRef,
};
use crate::wire::munin::{Described, FieldConfig, Line, Time, identity, lines};

/// The largest number of series of one plugin. A plugin with more is faulty.
const MAX_SERIES: usize = 2_000;
/// Ends a series: its field has vanished.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// The readings of one run.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Samples {
    /// Series and value.
    pub values: Vec<(SeriesRef, f64)>,
    /// Their times, in the same order, in ms since 1970 UTC.
    pub times: Vec<i64>,
    /// Series that have ended: they get a marker at the run's time.
    pub ended: Vec<SeriesRef>,
    /// Faults of the answer that cost a value.
    pub faults: Faults,
    /// A field came that the plugin has not described: it is to be asked for `config` again.
    pub undescribed: bool,
    /// Whether a counter has wrapped, so that its state should be saved.
    pub wrapped: bool,
}

impl Samples {
    fn put(&mut self, series: Option<&Pinned>, ts: i64, value: f64) {
        // A series that the filter rejects has no number.
        if let Some(series) = series {
            self.values.push((series.number(), value));
            self.times.push(ts);
        }
    }

    fn wrong(&mut self, what: impl FnOnce() -> String) {
        self.faults.add(what);
    }

    /// All samples, with markers for the series that have ended at `ts`.
    pub fn with_markers(mut self, ts: i64) -> Self {
        self.values.extend(self.ended.iter().map(|series| (*series, STALE)));
        self.times.extend(self.ended.iter().map(|_| ts));
        self
    }
}

#[derive(Debug)]
struct Slot {
    graph: Box<str>,
    field: Box<str>,
    /// The field's name as the plugin writes it before a value.
    written: Box<str>,
    /// `None`: the filter does not want it.
    series: Option<Pinned>,
    rate: Rate,
    /// Whether the last answer had it.
    seen: bool,
    /// The value and time of the last answer; `None` before the first one, and for U.
    said: Option<(i64, f64)>,
    /// What it said before that for other times.
    earlier: BTreeMap<i64, f64>,
    /// Whether the stored series is alive.
    lives: bool,
}

impl Slot {
    /// Whether one answer has two different values for one time. It is unknown which one is right.
    fn takes_twice(&mut self, ts: i64, value: f64) -> bool {
        let before = match self.said {
            Some((then, said)) if then == ts => Some(said),
            Some((then, said)) => {
                self.earlier.insert(then, said);
                self.earlier.get(&ts).copied()
            }
            None => None,
        };
        if before.is_some_and(|said| said != value) {
            return true;
        }
        self.said = Some((ts, value));
        false
    }
}

/// See the module's text. One for each plugin.
#[derive(Debug)]
pub struct Keeper {
    registry: Arc<Registry>,
    filter: Arc<KeyFilter>,
    plugin: Box<str>,
    host: Option<Box<str>>,
    kind: Option<Kind>,
    described: Described,
    slots: Vec<Slot>,
    cursor: usize,
    graphs: Vec<Graph>,
    /// The job of its Prometheus text or records, once it has printed any.
    job: Option<Box<str>>,
    /// The saved state of counters from before this process, until the counters appear.
    memory: Memory,
}

impl Keeper {
    /// A keeper for one plugin. Its series belong to `host`, if that is not this machine.
    pub fn new(
        registry: Arc<Registry>,
        filter: Arc<KeyFilter>,
        plugin: &str,
        host: Option<&str>,
        kind: Option<Kind>,
    ) -> Self {
        Self {
            registry,
            filter,
            plugin: plugin.into(),
            host: host.map(Into::into),
            kind,
            described: Described::default(),
            slots: Vec::new(),
            cursor: 0,
            graphs: Vec::new(),
            job: None,
            memory: Memory::new(),
        }
    }

    /// The state of its counters as text, for a later process; empty without counters.
    pub fn memory(&self) -> String {
        let mut out = String::new();
        for slot in &self.slots {
            if let Some(stood) = slot.rate.stands() {
                memory::write_line(&mut out, &slot.graph, &slot.field, stood);
            }
        }
        out
    }

    /// Takes the text of [`Keeper::memory`], before the first values.
    pub fn remember(&mut self, text: &str) {
        self.memory = memory::read(text);
    }

    /// The kind of plugin; `None` until it is known.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// How often it wants to be asked, in ms.
    pub fn update_rate(&self) -> Option<i64> {
        self.described.update_rate
    }

    /// The job of its series, if it prints them with names and labels of their own, as an exporter
    /// does.
    pub fn job(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// Its charts. [`Keeper::describe`] and [`Keeper::values`] report changes of them.
    pub fn graphs(&self) -> &[Graph] {
        &self.graphs
    }

    /// Takes the answer to `config`. Returns whether it contains the values, too, or an error if it
    /// is not an answer.
    pub fn describe(&mut self, output: &Output) -> Result<bool, String> {
        let failure = output.failure(0..=0);
        let described = match &failure {
            None => Described::read(&self.plugin, &output.stdout),
            Some(_) => Described::default(),
        };
        match (self.kind, described.is_munin(), failure) {
            (Some(Kind::Munin), _, Some(failure)) => return Err(failure),
            (None | Some(Kind::Munin), true, _) => {}
            (Some(Kind::Munin), false, None) => {
                return Err(
                    "its answer to `config` names no graph and no field; 'plimsoll plugin \
                     test' says what is wrong"
                        .into(),
                );
            }
            // A plugin that hangs or floods at `config` is not asked for its values.
            (None, false, Some(failure)) if !matches!(output.end, super::End::Exited(_)) => {
                return Err(failure);
            }
            (None, false, _) => {
                self.kind = Some(Kind::Simple);
                return Ok(false);
            }
            (Some(_), ..) => return Ok(false),
        }
        self.kind = Some(Kind::Munin);
        let values = described.values;
        self.graphs = (described.graphs.iter())
            .filter(|g| !g.hidden && !g.fields.is_empty())
            .map(|g| g.graph(&self.plugin))
            .collect();
        self.described = described;
        // Fields that are described otherwise now begin again.
        for slot in &mut self.slots {
            if let Some(field) = self.described.find(&slot.graph, &slot.written) {
                let new = Rate::new(field);
                if !slot.rate.continues(&new) {
                    slot.rate = new;
                }
                // It got another name, because of a field whose name would be equal.
                if field.name != *slot.field {
                    slot.written = "".into();
                }
            }
        }
        Ok(values)
    }

    /// Takes the values of a run that is stamped `ts` (ms since 1970 UTC). An error: it gave none.
    pub fn values(&mut self, output: &Output, ts: i64) -> Result<Samples, String> {
        // The main value of a check is its status.
        let fine = if self.kind == Some(Kind::Nagios) { 0..=3 } else { 0..=0 };
        if let Some(failure) = output.failure(fine) {
            return Err(failure);
        }
        let mut out = Samples::default();
        self.cursor = 0;
        if self.slots.len() >= MAX_SERIES {
            // Room for new fields in the place of those that have ended.
            self.slots.retain(|slot| slot.lives);
        }
        for slot in &mut self.slots {
            slot.seen = false;
            slot.said = None;
            slot.earlier.clear();
        }
        match self.kind {
            Some(Kind::Munin) => self.munin(&output.stdout, ts, &mut out),
            Some(Kind::Nagios) => {
                let super::End::Exited(status) = output.end else { return Ok(out) };
                self.nagios(&output.stdout, status, ts, &mut out);
            }
            Some(Kind::Simple) | None => self.simple(&output.stdout, ts, &mut out)?,
        }
        for slot in &mut self.slots {
            if slot.lives && !slot.seen {
                slot.lives = false;
                out.ended.extend(slot.series.as_ref().map(Pinned::number));
            }
            out.wrapped |= slot.rate.take_wrapped();
        }
        Ok(out)
    }

    /// The plugin has gone: markers for all that lived.
    pub fn end(&mut self) -> Samples {
        let mut out = Samples::default();
        for slot in &mut self.slots {
            if std::mem::take(&mut slot.lives) {
                out.ended.extend(slot.series.as_ref().map(Pinned::number));
            }
        }
        out
    }

    fn munin(&mut self, text: &[u8], ts: i64, out: &mut Samples) {
        let own = self.plugin.clone();
        let mut graph: &str = &own;
        let mut strange = 0;
        for (number, line) in lines(text) {
            let (field, reading) = match line {
                Ok(Line::Graph(name)) => {
                    graph = name;
                    continue;
                }
                Ok(Line::Value { field, reading }) => (field, reading),
                Ok(_) => continue,
                Err(fault) => {
                    out.wrong(|| format!("line {number} of its answer: {fault}"));
                    continue;
                }
            };
            let Some(at) = self.slot(graph, field, out) else {
                strange += 1;
                if strange > MAX_SERIES {
                    let what =
                        "fields, or fields that it has not described; the others are left out";
                    return out.wrong(|| format!("it has more than {MAX_SERIES} {what}"));
                }
                continue;
            };
            let Some(slot) = self.slots.get_mut(at) else { continue };
            slot.seen = true;
            let at = match reading.time {
                Time::Now => ts,
                Time::At(at) => at,
            };
            let Some(value) = reading.value else { continue };
            if slot.takes_twice(at, value) {
                out.wrong(|| format!("line {number} of its answer: `{field}` has a value already"));
                continue;
            }
            if let Some(value) = slot.rate.store(at, value) {
                slot.lives = true;
                out.put(slot.series.as_ref(), at, value);
            }
        }
    }

    /// The slot of a field, by its name as the plugin writes it. Fields come in the same order at
    /// every run, so it is nearly always the next one.
    fn slot(&mut self, graph: &str, field: &str, out: &mut Samples) -> Option<usize> {
        let is = |s: &Slot| *s.written == *field && *s.graph == *graph;
        let found = match self.slots.get(self.cursor) {
            Some(slot) if is(slot) => Some(self.cursor),
            // A spool tells the same field many times.
            _ => match self.cursor.checked_sub(1).and_then(|at| self.slots.get(at)) {
                Some(slot) if is(slot) => Some(self.cursor - 1),
                _ => self.slots.iter().position(is),
            },
        };
        if let Some(at) = found {
            self.cursor = at + 1;
            return Some(at);
        }
        let Some(config) = self.described.find(graph, field) else {
            out.undescribed = true;
            if self.described.is_doubtful(graph, field) {
                out.wrong(|| format!("`{field}` could be one of several fields of `config`"));
            }
            return None;
        };
        let is = |s: &Slot| *s.field == *config.name && *s.graph == *graph;
        if let Some(at) = self.slots.iter().position(is) {
            // A field in another spelling, or a repeated one.
            if let Some(slot) = self.slots.get_mut(at) {
                slot.written = field.into();
            }
            self.cursor = at + 1;
            return Some(at);
        }
        let config = config.clone();
        let described = self.described.graphs.iter().find(|g| g.name == graph);
        let unit = described.map(|g| g.unit.clone()).unwrap_or_default();
        self.add(graph, field, &config, &unit, out)
    }

    fn add(
        &mut self,
        graph: &str,
        written: &str,
        config: &FieldConfig,
        unit: &str,
        out: &mut Samples,
    ) -> Option<usize> {
        let field = config.name.as_str();
        let identity = identity(&self.plugin, graph, field);
        let help = if config.info.is_empty() { &config.label } else { &config.info };
        let series = self.intern(identity, config.series_kind(), unit, help, out)?;
        let mut rate = Rate::new(config);
        if let Some(stood) = self.memory.remove(&(graph.into(), field.into())) {
            rate.resume(stood);
        }
        self.slots.push(Slot {
            graph: graph.into(),
            field: field.into(),
            written: written.into(),
            series,
            rate,
            seen: false,
            said: None,
            earlier: BTreeMap::new(),
            lives: false,
        });
        self.cursor = self.slots.len();
        Some(self.slots.len() - 1)
    }

    /// The number of a series, or an inner `None` if the filter rejects it. An outer `None` means
    /// too many series.
    fn intern(
        &self,
        mut identity: Identity,
        kind: SeriesKind,
        unit: &str,
        help: &str,
        out: &mut Samples,
    ) -> Option<Option<Pinned>> {
        if self.slots.len() >= MAX_SERIES {
            out.wrong(|| format!("it has more than {MAX_SERIES} fields; the others are left out"));
            return None;
        }
        identity.system = self.host.clone();
        if !self.filter.wants(&identity.key()) {
            return Some(None);
        }
        let series = Series { identity, kind, unit: unit.into(), help: help.into() };
        Some(self.registry.pin(self.registry.intern(series)))
    }
}
