//! plugin: the answers of programs without descriptions: named values, records, Prometheus text,
//! and Nagios checks.

use std::collections::{BTreeMap, HashSet};

use super::{Keeper, MAX_SERIES, Rate, Samples, Slot};
use crate::model::{Field, Graph, Identity, Kind as SeriesKind, Labels, Range, parse_key};
use crate::wire::exposition::Reader as Text;
use crate::wire::json::Reader as Json;
use crate::wire::munin::{FieldConfig, GraphConfig, JOB, Type, identity};
use crate::wire::simple::{self, Look};
use crate::wire::{Record, Records, nagios};

/// The field that a check's exit status is.
const STATUS: &str = "status";
/// Jobs of others: a plugin that is called so would write their series.
const TAKEN: [&str; 12] = [
    "node",
    JOB,
    "statsd",
    "sql",
    "import",
    "push",
    "influx",
    "graphite",
    "remote_write",
    "rrd",
    "collectd",
    "salvaged",
];

/// The job of a plugin that prints its own names: the plugin's name, so that two exporters are two
/// jobs. A reserved name gets `exported_` in front, as labels do when Prometheus scrapes.
fn job(plugin: &str) -> String {
    match TAKEN.contains(&plugin) {
        true => format!("exported_{plugin}"),
        false => plugin.to_owned(),
    }
}

/// Renames labels that would name the origin of a series.
fn exported(labels: Labels) -> Labels {
    let taken = |name: &str| name == "job" || name == "instance";
    if !labels.iter().any(|(name, _)| taken(name)) {
        return labels;
    }
    Labels::new(labels.iter().map(|(name, value)| {
        let mut name = name.to_owned();
        let mut again = taken(&name);
        while again {
            name.insert_str(0, "exported_");
            again = labels.get(&name).is_some();
        }
        (name, value.to_owned())
    }))
}

impl Keeper {
    /// A field of a plugin without description; `None` if there are too many.
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
        let Some(slot) = self.slots.get_mut(at) else { return };
        if slot.takes_twice(ts, value) {
            return out.wrong(|| format!("`{}` is there twice, with two values", slot.field));
        }
        slot.lives = true;
        let value = slot.rate.store_plain(ts, value);
        out.put(slot.series.as_ref(), ts, value);
    }

    pub(super) fn simple(&mut self, text: &[u8], ts: i64, out: &mut Samples) -> Result<(), String> {
        let gauge = |name: &str| FieldConfig {
            name: name.to_owned(),
            drawn: true,
            ..FieldConfig::default()
        };
        let mut found: Vec<(String, Option<f64>)> = Vec::new();
        match Look::of(text) {
            Look::Pairs => {
                simple::pairs(
                    text,
                    |key, value| found.push((key.to_owned(), value)),
                    |line, what| out.wrong(|| format!("line {line} of its answer: {what}")),
                );
                if found.iter().any(|(key, _)| key.ends_with(".value")) {
                    self.kind = None;
                    return Err("it prints values as Munin's plugins do and does not answer \
                         `config`; 'plimsoll plugin test' says what is wrong"
                        .into());
                }
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
        if found.is_empty() && out.faults.is_empty() {
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
                    let job = self.job.get_or_insert_with(|| job(&self.plugin).into());
                    let identity = Identity::local(job, &name, exported(labels));
                    let series = self.intern(identity, kind, unit, help, out);
                    let Some(series) = series else { break };
                    self.slots.push(Slot {
                        graph: "".into(),
                        field: record.key.as_str().into(),
                        written: "".into(),
                        series,
                        rate: Rate::plain(kind),
                        seen: true,
                        said: None,
                        earlier: BTreeMap::new(),
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
        if taken == 0 && !out.faults.is_empty() {
            return Err(out.faults.to_string());
        }
        Ok(())
    }

    pub(super) fn nagios(&mut self, text: &[u8], status: i32, ts: i64, out: &mut Samples) {
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
        for fault in check.faults {
            out.wrong(|| format!("its performance data: {fault}"));
        }
        let mut names = HashSet::from([STATUS.to_owned()]);
        for datum in check.data {
            let unit = datum.unit;
            let label = datum.label;
            // The status and thresholds have names of this kind, too.
            if !names.insert(label.clone()) {
                let what = "its performance data: a second value is called";
                out.wrong(|| format!("{what} `{label}`; the first is taken"));
                continue;
            }
            // Thresholds as series, so that a chart shows how they moved.
            for (what, range) in [("warning", datum.warning), ("critical", datum.critical)] {
                for (side, bound) in [("min", range.min), ("max", range.max)] {
                    // `0:80` comes from a plain number, and its 0 has no meaning.
                    let name = format!("{label}.{what}_{side}");
                    let bound = bound.filter(|b| side == "max" || *b != 0.0);
                    if let Some(bound) = bound.filter(|_| names.insert(name.clone())) {
                        fields.push(FieldConfig { name, drawn: false, ..FieldConfig::default() });
                        units.push(unit.clone());
                        values.push(Some(bound));
                    }
                }
            }
            let kind = match datum.kind {
                SeriesKind::Counter => Type::Counter,
                SeriesKind::Gauge => Type::Gauge,
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
