//! plugin: what a plugin printed, as series and samples: it knows the plugin's fields, and keeps the
//! state of those whose changes count. No processes here.

use std::sync::Arc;

use super::memory::{self, Memory};
use super::rate::Rate;
use super::{Kind, Output};
use crate::model::{
    Field, Graph, Identity, KeyFilter, Kind as SeriesKind, Range, Registry, Series, SeriesRef,
    parse_key,
};
use crate::wire::exposition::Reader as Text;
use crate::wire::json::Reader as Json;
use crate::wire::munin::{
    Described, FieldConfig, GraphConfig, JOB, Line, Time, clean_field, identity, lines,
};
use crate::wire::simple::{self, Look};
use crate::wire::{Record, Records, nagios};

/// More series of one plugin are a plugin gone wrong.
const MAX_SERIES: usize = 2_000;
/// Ends a series: its field has vanished.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);
/// The field that a check's exit status is.
const STATUS: &str = "status";

/// The readings of one run.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Samples {
    /// Series and value.
    pub values: Vec<(SeriesRef, f64)>,
    /// Their times, in the same order, in ms since 1970 UTC.
    pub times: Vec<i64>,
    /// Series that have ended: they get a marker at the run's time.
    pub ended: Vec<SeriesRef>,
    /// The first thing that was wrong with the answer, if that cost a value.
    pub fault: Option<String>,
    /// A field came that the plugin has not described: it is to be asked for `config` again.
    pub undescribed: bool,
    /// A counter has wrapped: where it stands is worth being kept.
    pub wrapped: bool,
}

impl Samples {
    fn put(&mut self, series: Option<SeriesRef>, ts: i64, value: f64) {
        // What the filter does not want has no number.
        if let Some(series) = series {
            self.values.push((series, value));
            self.times.push(ts);
        }
    }

    fn wrong(&mut self, what: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(what());
        }
    }

    /// All of it, markers for what has ended at `ts` included.
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
    series: Option<SeriesRef>,
    rate: Rate,
    /// Whether the last answer had it.
    seen: bool,
    /// Whether the stored series goes on.
    lives: bool,
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
    /// Where counters stood before this process, until they are seen.
    memory: Memory,
}

impl Keeper {
    /// For one plugin; its series are of `host` if that is not this machine.
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
            memory: Memory::new(),
        }
    }

    /// Where its counters stand, for a process to come; nothing if it has none.
    pub fn memory(&self) -> String {
        let mut out = String::new();
        for slot in &self.slots {
            if let Some(stood) = slot.rate.stands() {
                memory::write_line(&mut out, &slot.graph, &slot.field, stood);
            }
        }
        out
    }

    /// Takes what [`Keeper::memory`] gave; before the first values.
    pub fn remember(&mut self, text: &str) {
        self.memory = memory::read(text);
    }

    /// What sort of plugin it is; nothing as long as nobody knows.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// How often it wants to be asked, in ms.
    pub fn update_rate(&self) -> Option<i64> {
        self.described.update_rate
    }

    /// Its charts. They change when [`Keeper::describe`] or [`Keeper::values`] says so.
    pub fn graphs(&self) -> &[Graph] {
        &self.graphs
    }

    /// Takes the answer to `config`. An error: it is none. `Ok`: whether the values are in it, too.
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
            // What hangs or floods when asked for `config` is not asked for anything else.
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
        // Fields described otherwise now begin anew.
        for slot in &mut self.slots {
            if let Some(field) = self.described.find(&slot.graph, &slot.field) {
                let new = Rate::new(field);
                if !slot.rate.continues(&new) {
                    slot.rate = new;
                }
            }
        }
        Ok(values)
    }

    /// Takes the values of a run that is stamped `ts` (ms since 1970 UTC). An error: it gave none.
    pub fn values(&mut self, output: &Output, ts: i64) -> Result<Samples, String> {
        // What a check has to say is its status.
        let fine = if self.kind == Some(Kind::Nagios) { 0..=3 } else { 0..=0 };
        if let Some(failure) = output.failure(fine) {
            return Err(failure);
        }
        let mut out = Samples::default();
        self.cursor = 0;
        for slot in &mut self.slots {
            slot.seen = false;
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
                out.ended.extend(slot.series);
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
                out.ended.extend(slot.series);
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
                Ok(Line::Value { field, reading }) => (clean_field(field), reading),
                Ok(_) => continue,
                Err(fault) => {
                    out.wrong(|| format!("line {number} of its answer: {fault}"));
                    continue;
                }
            };
            let Some(at) = self.slot(graph, &field, out) else {
                strange += 1;
                if strange > MAX_SERIES {
                    let what =
                        "fields, or of such as it has not described; the others are left out";
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
            if let Some(value) = reading.value.and_then(|v| slot.rate.store(at, v)) {
                slot.lives = true;
                out.put(slot.series, at, value);
            }
        }
    }

    /// Where a field is kept. Fields come in the same order run after run, so that nearly always it
    /// is the one behind the last.
    fn slot(&mut self, graph: &str, field: &str, out: &mut Samples) -> Option<usize> {
        let is = |s: &Slot| *s.field == *field && *s.graph == *graph;
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
            return None;
        };
        let config = config.clone();
        let described = self.described.graphs.iter().find(|g| g.name == graph);
        let unit = described.map(|g| g.unit.clone()).unwrap_or_default();
        self.add(graph, field, &config, &unit, out)
    }

    fn add(
        &mut self,
        graph: &str,
        field: &str,
        config: &FieldConfig,
        unit: &str,
        out: &mut Samples,
    ) -> Option<usize> {
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
            series,
            rate,
            seen: false,
            lives: false,
        });
        self.cursor = self.slots.len();
        Some(self.slots.len() - 1)
    }

    /// The number of a series, or none if the filter does not want it. `None` at all: there are too
    /// many.
    fn intern(
        &self,
        mut identity: Identity,
        kind: SeriesKind,
        unit: &str,
        help: &str,
        out: &mut Samples,
    ) -> Option<Option<SeriesRef>> {
        if self.slots.len() >= MAX_SERIES {
            out.wrong(|| format!("it has more than {MAX_SERIES} fields; the others are left out"));
            return None;
        }
        identity.system = self.host.clone();
        if !self.filter.wants(&identity.key()) {
            return Some(None);
        }
        let series = Series { identity, kind, unit: unit.into(), help: help.into() };
        Some(Some(self.registry.intern(series)))
    }

    /// A field of a plugin that describes nothing; `None`: there are too many.
    fn plain(&mut self, field: &FieldConfig, unit: &str, out: &mut Samples) -> Option<usize> {
        let plugin = self.plugin.clone();
        let is = |s: &Slot| *s.field == *field.name && *s.graph == *plugin;
        let known = match self.slots.get(self.cursor) {
            Some(slot) if is(slot) => Some(self.cursor),
            _ => self.slots.iter().position(is),
        };
        let at = match known {
            Some(at) => at,
            None => self.add(&plugin, &field.name, field, unit, out)?,
        };
        self.cursor = at + 1;
        if let Some(slot) = self.slots.get_mut(at) {
            slot.seen = true;
        }
        Some(at)
    }

    fn put_plain(&mut self, at: usize, ts: i64, value: f64, out: &mut Samples) {
        if let Some(slot) = self.slots.get_mut(at) {
            slot.lives = true;
            let value = slot.rate.store_plain(ts, value);
            out.put(slot.series, ts, value);
        }
    }

    fn simple(&mut self, text: &[u8], ts: i64, out: &mut Samples) -> Result<(), String> {
        let gauge = |name: &str| FieldConfig {
            name: name.to_owned(),
            drawn: true,
            ..FieldConfig::default()
        };
        let mut found: Vec<(String, Option<f64>)> = Vec::new();
        match Look::of(text) {
            Look::Pairs => {
                let mut fault = None;
                simple::pairs(
                    text,
                    |key, value| found.push((key.to_owned(), value)),
                    |line, what| {
                        fault.get_or_insert_with(|| format!("line {line} of its answer: {what}"));
                    },
                );
                if found.iter().any(|(key, _)| key.ends_with(".value")) {
                    self.kind = None;
                    return Err("it prints values as Munin's plugins do and does not answer \
                         `config`; 'plimsoll plugin test' says what is wrong"
                        .into());
                }
                out.fault = fault;
            }
            Look::Object => {
                let told = simple::object(text, |key, value| {
                    found.push((key.to_owned(), Some(value)));
                });
                told.map_err(|e| format!("its JSON cannot be read: {e}"))?;
            }
            Look::Records => return self.records(&mut Json::pushed(text, ts), out),
            Look::Exposition => return self.records(&mut Text::new(text, ts), out),
        }
        if found.is_empty() && out.fault.is_none() {
            return Err("it printed nothing".into());
        }
        for (key, value) in found {
            let Some(at) = self.plain(&gauge(&key), "", out) else { break };
            if let Some(value) = value {
                self.put_plain(at, ts, value, out);
            }
        }
        self.draw(String::new());
        Ok(())
    }

    /// Values that bring names and labels of their own.
    fn records(&mut self, from: &mut dyn Records, out: &mut Samples) -> Result<(), String> {
        let mut record = Record::default();
        let mut taken = 0;
        while let Some(result) = from.next(&mut record) {
            if taken > MAX_SERIES {
                out.wrong(|| format!("it has more than {MAX_SERIES} values"));
                break;
            }
            if let Err(e) = result {
                out.wrong(|| e.to_string());
                if e.fatal {
                    break;
                }
                continue;
            }
            let is = |s: &Slot| s.graph.is_empty() && *s.field == *record.key;
            let known = match self.slots.get(self.cursor) {
                Some(slot) if is(slot) => Some(self.cursor),
                _ => self.slots.iter().position(is),
            };
            let at = match known {
                Some(at) => at,
                None => {
                    let (name, labels) = parse_key(&record.key);
                    let about = from.about();
                    let kind = about.as_ref().map_or_else(|| SeriesKind::guess(&name), |a| a.kind);
                    let (unit, help) = about.map_or(("", ""), |a| (a.unit, a.help));
                    let identity = Identity::local(JOB, &name, labels);
                    let series = self.intern(identity, kind, unit, help, out);
                    let Some(series) = series else { break };
                    self.slots.push(Slot {
                        graph: "".into(),
                        field: record.key.as_str().into(),
                        series,
                        rate: Rate::plain(kind),
                        seen: true,
                        lives: false,
                    });
                    self.slots.len() - 1
                }
            };
            self.cursor = at + 1;
            if let Some(slot) = self.slots.get_mut(at) {
                slot.seen = true;
            }
            self.put_plain(at, record.ts, record.value, out);
            taken += 1;
        }
        match out.fault.take() {
            Some(fault) if taken == 0 => Err(fault),
            fault => {
                out.fault = fault;
                Ok(())
            }
        }
    }

    fn nagios(&mut self, text: &[u8], status: i32, ts: i64, out: &mut Samples) {
        let check = nagios::read(text);
        let mut fields = vec![FieldConfig {
            name: STATUS.to_owned(),
            info: "0 is ok, 1 a warning, 2 critical, 3 unknown.".to_owned(),
            drawn: true,
            warning: Range { min: None, max: Some(0.0) },
            critical: Range { min: None, max: Some(1.0) },
            ..FieldConfig::default()
        }];
        let mut units = vec![String::new()];
        let mut values = vec![Some(f64::from(status))];
        for datum in check.data {
            let unit = datum.unit;
            let label = datum.label;
            // Thresholds as series, so that a chart shows how they moved.
            for (what, range) in [("warning", datum.warning), ("critical", datum.critical)] {
                for (side, bound) in [("min", range.min), ("max", range.max)] {
                    // `0:80` is how the number alone is read; its 0 says nothing.
                    if let Some(bound) = bound.filter(|b| side == "max" || *b != 0.0) {
                        fields.push(FieldConfig {
                            name: format!("{label}.{what}_{side}"),
                            drawn: false,
                            ..FieldConfig::default()
                        });
                        units.push(unit.clone());
                        values.push(Some(bound));
                    }
                }
            }
            let kind = match datum.kind {
                SeriesKind::Counter => crate::wire::munin::Type::Counter,
                SeriesKind::Gauge => crate::wire::munin::Type::Gauge,
            };
            fields.push(FieldConfig {
                name: label,
                kind,
                warning: datum.warning,
                critical: datum.critical,
                drawn: true,
                ..FieldConfig::default()
            });
            units.push(unit);
            values.push(datum.value);
        }
        if let Some(fault) = check.faults.into_iter().next() {
            out.wrong(|| format!("its performance data: {fault}"));
        }
        for ((field, unit), value) in fields.iter().zip(&units).zip(values) {
            let Some(at) = self.plain(field, unit, out) else { break };
            if let Some(value) = value {
                self.put_plain(at, ts, value, out);
            }
        }
        let graph = GraphConfig {
            name: self.plugin.to_string(),
            title: self.plugin.to_string(),
            category: "checks".to_owned(),
            unit: units.iter().find(|u| !u.is_empty()).cloned().unwrap_or_default(),
            fields,
            ..GraphConfig::default()
        };
        let mut graph = graph.graph(&self.plugin);
        for field in &mut graph.fields {
            field.series = identity(&self.plugin, &self.plugin, &field.name).key().into();
        }
        self.graphs = vec![graph];
    }

    /// The chart of a plugin that describes nothing: all of its fields.
    fn draw(&mut self, unit: String) {
        let fields = self.slots.iter().filter(|s| s.seen).map(|s| Field {
            name: s.field.clone(),
            label: s.field.clone(),
            series: identity(&self.plugin, &s.graph, &s.field).key().into(),
            ..Field::default()
        });
        self.graphs = vec![Graph {
            id: format!("munin/{}", self.plugin).into(),
            title: self.plugin.clone(),
            category: "other".into(),
            unit: unit.into(),
            fields: fields.collect(),
            ..Graph::default()
        }];
    }
}
