//! plugin: the last output of each plugin, for those who must not run it: its answer to `config`,
//! and its newest values. Kept only on request. At most two answers a plugin.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::model::{Graph, Kind, Registry};
use crate::wire::munin::{clean_fields, host_of};

use super::Samples;

/// The last output of a plugin, in Munin's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The machine it is about, in small letters; nothing: this one.
    pub host: Option<Box<str>>,
    /// Its answer to `config`.
    pub config: Arc<[u8]>,
    /// Its answer without an argument.
    pub values: Arc<[u8]>,
    /// Boot time in ms until which the values are the newest that can be expected.
    pub good_until: i64,
}

/// See the module's text. Shared by the thread that runs plugins and the tasks that pass on their
/// output.
#[derive(Debug, Default)]
pub struct Shelf {
    wanted: AtomicBool,
    said: Mutex<BTreeMap<Box<str>, Said>>,
}

impl Shelf {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Box<str>, Said>> {
        self.said.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Asks for the output to be kept from now on.
    pub fn want(&self) {
        self.wanted.store(true, Relaxed);
    }

    /// Whether anybody wants it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Relaxed)
    }

    /// Stores a plugin's answer to `config`; values in it become its newest.
    pub fn describe(&self, plugin: &str, host: Option<&str>, config: &[u8]) {
        if !self.is_wanted() {
            return;
        }
        let host = host.or_else(|| host_of(config)).map(|h| h.to_ascii_lowercase().into());
        let mut said = self.lock();
        match said.get_mut(plugin) {
            Some(known) => {
                known.host = host;
                known.config = config.into();
            }
            None => {
                let (config, values) = (config.into(), Arc::default());
                let new = Said { host, config, values, good_until: i64::MIN };
                said.insert(plugin.into(), new);
            }
        }
    }

    /// Its newest values, and until when (boot time in ms) they are that.
    pub fn values(&self, plugin: &str, values: &[u8], good_until: i64) {
        if let Some(said) = self.lock().get_mut(plugin) {
            said.values = values.into();
            said.good_until = good_until;
        }
    }

    /// A plugin has gone.
    pub fn forget(&self, plugin: &str) {
        self.lock().remove(plugin);
    }

    /// Which plugins have described themselves, with their hosts, in the order of their names.
    pub fn names(&self) -> Vec<(Box<str>, Option<Box<str>>)> {
        self.lock().iter().map(|(name, said)| (name.clone(), said.host.clone())).collect()
    }

    /// The last output of a plugin.
    pub fn get(&self, plugin: &str) -> Option<Said> {
        self.lock().get(plugin).cloned()
    }

    /// Whether it is there.
    pub fn has(&self, plugin: &str) -> bool {
        self.lock().contains_key(plugin)
    }
}

/// A plugin that does not speak as Munin's do, put into its words: its answer to `config`.
pub fn config_of(graphs: &[Graph]) -> String {
    let mut out = String::new();
    for graph in graphs {
        if let (Some(id), true) = (graph.id.strip_prefix("munin/"), graphs.len() > 1) {
            let _unused = writeln!(out, "multigraph {}", id.replace('/', "."));
        }
        let category = &graph.category;
        let _unused = writeln!(out, "graph_title {}\ngraph_category {category}", graph.title);
        if !graph.unit.is_empty() {
            let _unused = writeln!(out, "graph_vlabel {}", graph.unit);
        }
        for (field, name) in graph.fields.iter().zip(names(graph)) {
            let _unused = writeln!(out, "{name}.label {}", field.label);
            if field.kind == Kind::Counter {
                let _unused = writeln!(out, "{name}.type DERIVE\n{name}.min 0");
            }
            if !field.drawn {
                let _unused = writeln!(out, "{name}.graph no");
            }
            for (word, range) in [("warning", field.warning), ("critical", field.critical)] {
                if !range.is_empty() {
                    let side = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
                    let (min, max) = (side(range.min), side(range.max));
                    let _unused = writeln!(out, "{name}.{word} {min}:{max}");
                }
            }
        }
    }
    out
}

/// The names of a chart's fields for a master.
fn names(graph: &Graph) -> Vec<String> {
    clean_fields(graph.fields.iter().map(|f| (&*f.name, &*f.name)))
}

/// The newest values of such a plugin, of which these are the charts.
pub fn values_of(samples: &Samples, graphs: &[Graph], registry: &Registry) -> String {
    let mut out = String::new();
    let named: HashMap<&str, String> =
        graphs.iter().flat_map(|g| g.fields.iter().map(|f| &*f.name).zip(names(g))).collect();
    for (series, value) in &samples.values {
        let Some(series) = registry.get(*series) else { continue };
        // A counter's value is a whole number for RRD, or none.
        let value = if series.kind == Kind::Counter { value.round() } else { *value };
        let field = series.identity.labels.get("field");
        let name = field.and_then(|field| named.get(field));
        if let Some(name) = name.filter(|_| value.is_finite()) {
            let _unused = writeln!(out, "{name}.value {value}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Field, Range};

    #[test]
    fn what_nobody_wants_is_not_kept() {
        let shelf = Shelf::default();
        shelf.describe("load", None, b"load.label x\n");
        assert!(!shelf.has("load"));
        shelf.want();
        shelf.describe("load", None, b"load.label x\nhost_name Far\n");
        shelf.values("load", b"load.value 1\n", 7);
        shelf.values("df", b"a.value 1\n", 7);
        assert_eq!(shelf.names(), [("load".into(), Some("far".into()))]);
        shelf.describe("load", Some("Near"), b"load.label y\n");
        let said = shelf.get("load").expect("kept");
        assert_eq!(
            (&*said.config, &*said.values),
            (&b"load.label y\n"[..], &b"load.value 1\n"[..])
        );
        assert_eq!((said.host.as_deref(), said.good_until), (Some("near"), 7));
        shelf.forget("load");
        assert!(!shelf.has("load"));
    }

    #[test]
    fn fields_that_a_master_would_call_alike_have_names_of_their_own() {
        let field =
            |name: &str| Field { name: name.into(), label: name.into(), ..Field::default() };
        let fields = vec![field("in/s"), field("in_s"), field("in.s")];
        let graph = Graph { id: "munin/p".into(), fields, ..Graph::default() };
        let registry = Registry::default();
        let number = |name: &str| {
            let identity = crate::wire::munin::identity("p", "p", name);
            registry.intern(crate::model::Series::undescribed(identity))
        };
        // One of the fields has no value this time.
        let values = vec![(number("in.s"), 3.0), (number("in/s"), 1.0)];
        let samples = Samples { values, ..Samples::default() };
        let graphs = [graph];
        let (config, told) = (config_of(&graphs), values_of(&samples, &graphs, &registry));
        let labels: HashMap<&str, &str> =
            config.lines().filter_map(|l| l.split_once(".label ")).collect();
        assert_eq!(labels.len(), 3, "{config}");
        let said: Vec<(&str, &str)> = told
            .lines()
            .filter_map(|l| l.split_once(".value "))
            .map(|(field, value)| (labels[field], value))
            .collect();
        assert_eq!(said, [("in.s", "3"), ("in/s", "1")]);
    }

    #[test]
    fn a_simple_plugin_in_munin_s_words() {
        let graph = Graph {
            id: "munin/room".into(),
            title: "room".into(),
            category: "other".into(),
            fields: vec![
                Field { name: "users.now".into(), label: "users.now".into(), ..Field::default() },
                Field {
                    name: "sent".into(),
                    label: "sent".into(),
                    kind: Kind::Counter,
                    warning: Range { min: None, max: Some(5.5) },
                    drawn: false,
                    ..Field::default()
                },
            ],
            ..Graph::default()
        };
        assert_eq!(
            config_of(&[graph]),
            "graph_title room\ngraph_category other\nusers_now.label users.now\nsent.label sent\n\
             sent.type DERIVE\nsent.min 0\nsent.graph no\nsent.warning :5.5\n"
        );
    }
}
