//! wire, plugin: any bytes as the output of a plugin of each kind, as plugin-conf.d, as a cdef, as a
//! check of Nagios, and as what a simple plugin prints; and what is kept of a plugin from run to run.

use std::collections::HashSet;
use std::sync::Arc;

use plimsoll::model::Registry;
use plimsoll::plugin::{End, Keeper, Kind, Output};
use plimsoll::wire::munin::{Cdef, Described, SettingsFile, clean_fields, lines};
use plimsoll::wire::{nagios, simple};

pub fn run(data: &[u8]) {
    for (_, line) in lines(data) {
        let _unused = line;
    }
    let config = Described::read("plugin", data);
    for graph in &config.graphs {
        let names: HashSet<&str> = graph.fields.iter().map(|f| &*f.name).collect();
        assert_eq!(names.len(), graph.fields.len(), "each has a name of its own");
        for field in &graph.fields {
            assert_eq!(graph_field(&config, &graph.name, &field.written), field.name);
        }
        let clean = clean_fields(graph.fields.iter().map(|f| (&*f.name, &*f.name)));
        assert_eq!(clean.iter().collect::<HashSet<_>>().len(), graph.fields.len());
        assert_eq!(graph.graph("plugin").fields.len(), graph.fields.len());
    }
    let text = String::from_utf8_lossy(data);
    let mut file = SettingsFile::default();
    file.read(&text);
    file.of("plugin");
    if let Ok(cdef) = Cdef::parse(&text) {
        cdef.eval(|_| 1.0);
        cdef.promql(|field| Some(field.to_owned()));
    }
    let check = nagios::read(data);
    assert!(check.data.len() + check.faults.len() <= data.len());
    simple::pairs(data, |key, _| assert!(!key.is_empty()), |_, _| ());
    let _unused = simple::object(data, |key, _| assert!(!key.is_empty()));
}

fn graph_field<'a>(config: &'a Described, graph: &str, written: &str) -> &'a str {
    config.find(graph, written).map_or("", |f| &f.name)
}

/// What the daemon makes of it, run after run. The first byte chooses the kind of plugin.
pub fn keeps(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let kind = [Kind::Munin, Kind::Simple, Kind::Nagios][usize::from(*kind % 3)];
    let registry = Arc::new(Registry::default());
    let mut keeper = Keeper::new(registry, Arc::default(), "p", None, Some(kind));
    keeper.remember(&String::from_utf8_lossy(data));
    let answer = |ts: i64| Output {
        stdout: data.to_vec(),
        stderr: Vec::new(),
        end: End::Exited(0),
        took_ms: ts,
    };
    let _described = keeper.describe(&answer(0));
    for ts in [1_000, 2_000] {
        let Ok(samples) = keeper.values(&answer(1), ts) else { continue };
        assert_eq!(samples.values.len(), samples.times.len());
        // No series has two values of one time.
        let mut seen: Vec<_> =
            samples.values.iter().map(|(s, _)| s.place()).zip(&samples.times).collect();
        seen.sort_unstable();
        let all = seen.len();
        seen.dedup();
        let same = samples.values.iter().enumerate().any(|(i, (s, v))| {
            samples.values.iter().zip(&samples.times).skip(i + 1).any(|((other, w), at)| {
                s == other && samples.times[i] == *at && v != w && !(v.is_nan() && w.is_nan())
            })
        });
        assert!(seen.len() == all || !same, "two values of one series and one time");
    }
    keeper.end();
}
