//! wire: the `datafile` of a Munin master, with its hosts and graphs, and the names of its RRD
//! files.
//!
//! Source: Munin 2.0.73, `Munin/Master/UpdateWorker.pm` (`_get_rrd_file_name`) and
//! `Munin/Master/Utils.pm` (`munin_writeconfig`): a line is `GROUP;HOST:PLUGIN.FIELD.ATTRIBUTE VALUE`,
//! or `GROUP;HOST:PLUGIN.graph_… VALUE`; graphs of a multigraph are `PLUGIN.GRAPH`.

use std::collections::BTreeMap;

use super::{Described, GraphConfig, Type, is_plugin_name};

/// Longest line that is read.
const LONGEST: usize = 10_000;
/// The largest number of graphs. No real master has more.
const MOST: usize = 200_000;

/// The graphs of each host, by group (`a;b` for groups in groups) and host.
#[derive(Debug, Default)]
pub struct Datafile {
    /// Graphs by their dotted names, by group and host.
    pub hosts: BTreeMap<(String, String), BTreeMap<String, GraphConfig>>,
    /// Lines that were not understood.
    pub faults: u64,
}

impl Datafile {
    /// Reads it; lines that are not understood are counted.
    pub fn read(text: &str) -> Self {
        let mut texts: BTreeMap<(&str, &str), BTreeMap<String, String>> = BTreeMap::new();
        let (mut faults, mut graphs) = (0, 0);
        for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with("version ")) {
            let Some((host, graph, said)) = split(line).filter(|_| line.len() <= LONGEST) else {
                faults += 1;
                continue;
            };
            let of = texts.entry(host).or_default();
            if !of.contains_key(&graph) {
                graphs += 1;
                if graphs > MOST {
                    faults += 1;
                    continue;
                }
            }
            let config = of.entry(graph).or_default();
            config.push_str(&said);
            config.push('\n');
        }
        let hosts = texts.into_iter().map(|((group, host), graphs)| {
            let described = graphs.into_iter().filter_map(|(name, text)| {
                let graph = Described::read(&name, text.as_bytes()).graphs.into_iter().next()?;
                Some((name, graph))
            });
            ((group.to_owned(), host.to_owned()), described.collect())
        });
        Self { hosts: hosts.collect(), faults }
    }
}

/// Host, graph, and the line as in the plugin's `config`.
fn split(line: &str) -> Option<((&str, &str), String, String)> {
    let (path, rest) = line.split_once(':')?;
    let (group, host) = path.rsplit_once(';')?;
    let (key, value) = rest.split_once(' ')?;
    let (before, last) = key.rsplit_once('.')?;
    let whole = last.starts_with("graph_") || last == "update_rate" || last == "host_name";
    if whole || (last == "graph" && !before.contains('.')) {
        return Some(((group, host), before.to_owned(), format!("{last} {value}")));
    }
    let (graph, field) = before.rsplit_once('.')?;
    Some(((group, host), graph.to_owned(), format!("{field}.{last} {value}")))
}

/// The parts of an RRD file's name in the folder of its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName<'a> {
    /// The host, the graph and the field with `-` between them.
    graph: &'a str,
    /// The field.
    pub field: &'a str,
    /// The type of the field.
    pub kind: Type,
}

impl<'a> FileName<'a> {
    /// Reads `HOST-GRAPH-FIELD-g.rrd`. `None`: it is not called like that.
    pub fn read(name: &'a str) -> Option<Self> {
        let (rest, kind) = name.strip_suffix(".rrd")?.rsplit_once('-')?;
        let kind = match kind {
            "g" => Type::Gauge,
            "d" => Type::Derive,
            "c" => Type::Counter,
            "a" => Type::Absolute,
            _ => return None,
        };
        let (graph, field) = rest.rsplit_once('-')?;
        (graph.contains('-') && !field.is_empty()).then_some(Self { graph, field, kind })
    }

    /// The host: one that is known, else the part that ends with the name of its group, else all
    /// before the first `-`.
    pub fn host(&self, group: &str, known: &[&str]) -> &'a str {
        let longest = known
            .iter()
            .filter(|h| self.graph.strip_prefix(**h).is_some_and(|r| r.starts_with('-')))
            .map(|h| h.len())
            .max();
        let domain = group.rsplit(';').next().unwrap_or(group);
        let ends: Vec<usize> = self.graph.match_indices('-').map(|(at, _)| at).collect();
        let in_domain = || {
            let of = |at: &&usize| {
                let host = &self.graph[..**at];
                host == domain || host.strip_suffix(domain).is_some_and(|h| h.ends_with('.'))
            };
            ends.iter().find(of).copied()
        };
        let end = longest.or_else(in_domain).or(ends.first().copied());
        &self.graph[..end.unwrap_or(self.graph.len())]
    }

    /// The name of the graph on that host. The name of a known plugin keeps its `-`; any other `-`
    /// is the point between a multigraph and its graphs.
    pub fn graph(&self, host: &str, plugins: &[&str]) -> Option<String> {
        let graph = self.graph.strip_prefix(host)?.strip_prefix('-')?;
        let known = plugins.iter().filter(|p| {
            graph.strip_prefix(**p).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        let kept = known.map(|p| p.len()).max().unwrap_or(0);
        let (plugin, rest) = graph.split_at(kept);
        let name = format!("{plugin}{}", rest.replace('-', "."));
        is_plugin_name(&name).then_some(name)
    }
}

/// How the file of a field is called, below the folder of the master.
pub fn rrd_file(group: &str, host: &str, graph: &str, field: &str, kind: Type) -> String {
    let letter = match kind {
        Type::Gauge => 'g',
        Type::Derive => 'd',
        Type::Counter => 'c',
        Type::Absolute => 'a',
    };
    let (group, graph) = (group.replace([';', ':'], "/"), graph.replace('.', "-"));
    format!("{group}/{host}-{graph}-{field}-{letter}.rrd")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datafile() {
        let text = "version 2.0.73\n\
            example.com;web-1.example.com:if_eth0.graph_title eth0 traffic\n\
            example.com;web-1.example.com:if_eth0.down.type DERIVE\n\
            example.com;web-1.example.com:if_eth0.down.min 0\n\
            example.com;web-1.example.com:if_eth0.down.label received\n\
            a;b;web2:diskstats_latency.sda.graph_title sda\n\
            a;b;web2:diskstats_latency.sda.avgwait.label wait\n\
            nonsense\n";
        let read = Datafile::read(text);
        assert_eq!(read.faults, 1);
        let web = &read.hosts[&("example.com".into(), "web-1.example.com".into())];
        let graph = &web["if_eth0"];
        assert_eq!((&*graph.title, graph.fields.len()), ("eth0 traffic", 1));
        assert_eq!((graph.fields[0].kind, graph.fields[0].bounds.min), (Type::Derive, Some(0.0)));
        let nested = &read.hosts[&("a;b".into(), "web2".into())]["diskstats_latency.sda"];
        assert_eq!((&*nested.title, &*nested.fields[0].label), ("sda", "wait"));
        let file = rrd_file("a;b", "web2", "diskstats_latency.sda", "avgwait", Type::Gauge);
        assert_eq!(file, "a/b/web2-diskstats_latency-sda-avgwait-g.rrd");
    }

    #[test]
    fn names_alone() {
        let name = FileName::read("web-1.example.com-if_err-eth0-rx-d.rrd").expect("a name");
        assert_eq!((name.field, name.kind), ("rx", Type::Derive));
        let host = name.host("example.com", &[]);
        assert_eq!(host, "web-1.example.com");
        assert_eq!(name.graph(host, &[]).as_deref(), Some("if_err.eth0"));
        assert_eq!(name.graph(host, &["if_err-eth0"]).as_deref(), Some("if_err-eth0"));
        let other = FileName::read("db-2-load-load-g.rrd").expect("a name");
        assert_eq!(other.host("servers", &[]), "db");
        assert_eq!(other.host("servers", &["db-2", "db"]), "db-2");
        for wrong in ["load.rrd", "a-b-x.rrd", "a-b-c-x.rrd", "a-b-g.rrd", "a-b-c-g.txt"] {
            assert_eq!(FileName::read(wrong), None, "{wrong}");
        }
    }
}
