//! cli: `plimsoll import munin`: the history of a Munin master, under the names that the same
//! plugins have here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::is_here;
use super::past::{Plan, below, bring, with_rrd};
use crate::cli::Global;
use crate::collect::regular;
use crate::model::{Graph, Range, Series};
use crate::store::Reader;
use crate::wire::munin::{
    Datafile, FieldConfig, FileName, GraphConfig, Type, identity, is_plugin_name, rrd_file,
};
use crate::wire::rrd::DataSource;

/// `plimsoll import munin`
#[derive(Debug, clap::Args)]
#[command(after_help = "Each field becomes the series that plimsoll records for the same plugin: \
    munin_PLUGIN{field=\"…\"}.\nYou may stop the import and start it again: it continues where it \
    stopped, and a second run adds nothing.\ndocs/MUNIN.md says how rows and rates are stored.")]
pub struct Args {
    /// Folder of the Munin master
    #[arg(long, value_name = "DIR", default_value = "/var/lib/munin")]
    dir: PathBuf,
    /// Only this host; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// The host in the files that is this machine [default: the host of the same name, or
    /// localhost, or the only --host]
    #[arg(long, value_name = "NAME")]
    here: Option<String>,
    /// Folder with the plugin links, from which plimsoll learns which plugin brings a multigraph
    #[arg(long, value_name = "DIR", default_value = "/etc/munin/plugins")]
    plugins: PathBuf,
}

/// The master's list of everything; of thousands of machines it has some 100 MB.
const MAX_DATAFILE: u64 = 1 << 30;
/// A longer plugin is looked at no further.
const MAX_PLUGIN: u64 = 4 << 20;

/// A file of the master, and whose it is.
struct Found {
    path: PathBuf,
    group: String,
    host: String,
    graph: String,
    field: String,
    kind: Type,
    /// The datafile speaks of it.
    named: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut plan = Plan::default();
    let files = below(&args.dir, &mut plan.failed)?;
    let datafile = match regular::read(&args.dir.join("datafile"), MAX_DATAFILE) {
        Ok(bytes) => Datafile::read(&String::from_utf8_lossy(&bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Datafile::default(),
        Err(e) => {
            plan.failed.add(&args.dir.join("datafile"), e);
            Datafile::default()
        }
    };
    let known = Plugins::find(&args.plugins, global);
    let mut found = Vec::new();
    let claimed = claims(&datafile, &args.dir);
    for path in files {
        let claim = claimed.get(&path).cloned();
        let named = claim.is_some();
        match claim.or_else(|| by_name(args, &datafile, &known, &path)) {
            Some((group, host, graph, field, kind)) => {
                found.push(Found { path, group, host, graph, field, kind, named });
            }
            None => plan.failed.add(&path, "the name of the file is not HOST-PLUGIN-FIELD-g.rrd"),
        }
    }
    let hosts: BTreeSet<String> = found.iter().map(|f| f.host.clone()).collect();
    for wanted in args.host.iter().chain(&args.here) {
        let names: Vec<&str> = hosts.iter().map(String::as_str).collect();
        anyhow::ensure!(
            hosts.contains(wanted),
            "there is no host `{wanted}` in {}; there are: {}",
            args.dir.display(),
            names.join(", ")
        );
    }
    found.retain(|f| args.host.is_empty() || args.host.contains(&f.host));
    let this = crate::config::host_name();
    let here = |host: &str| match (&args.here, args.host.as_slice()) {
        (Some(here), _) => here == host,
        (None, [only]) => only == host,
        (None, _) => is_here(host, &this),
    };
    let mut described: BTreeMap<(String, String, String), BTreeSet<String>> = BTreeMap::new();
    for f in &found {
        let config = datafile.hosts.get(&(f.group.clone(), f.host.clone()));
        let config = config.and_then(|graphs| graphs.get(&f.graph));
        let system = (!here(&f.host)).then(|| Box::from(f.host.as_str()));
        let plugin = known.of(&f.graph);
        let read = with_rrd(&f.path, |rrd| {
            plan.add(f.path.clone(), rrd, |source, ds| {
                (source == 0).then(|| {
                    let field = config.and_then(|g| g.fields.iter().find(|c| c.name == f.field));
                    series(plugin, f, field, system.clone(), ds)
                })
            });
        });
        match read {
            Ok(()) => {
                if f.named {
                    plan.prefer_last();
                }
                let key = (f.group.clone(), f.host.clone(), f.graph.clone());
                described.entry(key).or_default().insert(f.field.clone());
            }
            Err(e) => plan.failed.add(&f.path, format!("{e:#}")),
        }
    }
    for ((group, host, graph), fields) in described {
        let config = datafile.hosts.get(&(group, host.clone())).and_then(|g| g.get(&graph));
        plan.graphs.extend(config.map(|config| {
            chart(config, known.of(&graph), &fields, || {
                (!here(&host)).then(|| host.as_str().into())
            })
        }));
    }
    if plan.files.is_empty() {
        return plan.nothing();
    }
    bring(plan, "munin", global)
}

/// The files of which the datafile speaks.
type Claim = (String, String, String, String, Type);

fn claims(datafile: &Datafile, dir: &Path) -> BTreeMap<PathBuf, Claim> {
    let mut claims = BTreeMap::new();
    for ((group, host), graphs) in &datafile.hosts {
        for (name, graph) in graphs {
            for field in &graph.fields {
                let file = dir.join(rrd_file(group, host, name, &field.name, field.kind));
                let claim =
                    (group.clone(), host.clone(), name.clone(), field.name.clone(), field.kind);
                claims.insert(file, claim);
            }
        }
    }
    claims
}

/// The field of a file, by its name alone.
fn by_name(args: &Args, datafile: &Datafile, known: &Plugins, path: &Path) -> Option<Claim> {
    let name = FileName::read(path.file_name()?.to_str()?)?;
    let group = path.parent()?.strip_prefix(&args.dir).ok()?.to_str()?.replace('/', ";");
    let mut hosts: Vec<&str> = args.host.iter().chain(&args.here).map(String::as_str).collect();
    hosts.extend(datafile.hosts.keys().filter(|(g, _)| *g == group).map(|(_, h)| h.as_str()));
    let host = name.host(&group, &hosts);
    let plugins: Vec<&str> = known.links.keys().map(String::as_str).collect();
    let graph = name.graph(host, &plugins)?;
    Some((group, host.to_owned(), graph, name.field.to_owned(), name.kind))
}

/// The series that the plugin's runner makes of the same field.
fn series(
    plugin: &str,
    f: &Found,
    field: Option<&FieldConfig>,
    system: Option<Box<str>>,
    ds: &DataSource,
) -> Series {
    let bounds = Range { min: ds.min, max: ds.max };
    let own = FieldConfig { kind: f.kind, bounds, ..FieldConfig::default() };
    let field = field.filter(|field| field.kind == f.kind).unwrap_or(&own);
    let mut identity = identity(plugin, &f.graph, &f.field);
    identity.system = system;
    let help = if field.info.is_empty() { &field.label } else { &field.info };
    Series { identity, kind: field.series_kind(), unit: "".into(), help: help.as_str().into() }
}

fn chart(
    config: &GraphConfig,
    plugin: &str,
    fields: &BTreeSet<String>,
    system: impl FnOnce() -> Option<Box<str>>,
) -> Graph {
    let mut config = config.clone();
    config.fields.retain(|f| fields.contains(&f.name));
    Graph { system: system(), ..config.graph(plugin) }
}

/// Which plugin brings a graph: a multigraph's name alone does not say.
struct Plugins {
    /// Links of plugins, and whether they know how to print a multigraph.
    links: BTreeMap<String, bool>,
    /// Graphs that were recorded here already, with their plugins.
    recorded: BTreeMap<String, String>,
}

impl Plugins {
    fn find(folder: &Path, global: &Global) -> Self {
        let mut links = BTreeMap::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            if is_plugin_name(&name) {
                let text = regular::read(&entry.path(), MAX_PLUGIN).unwrap_or_default();
                links.insert(name, memchr::memmem::find(&text, b"multigraph").is_some());
            }
        }
        let ids = global.database().ok().and_then(|db| Reader::open(&db).ok());
        let graphs = ids.and_then(|reader| reader.graphs().ok()).unwrap_or_default();
        let recorded = graphs.iter().filter(|(_, g)| g.system.is_none()).filter_map(|(_, g)| {
            let (plugin, graph) = g.id.strip_prefix("munin/")?.split_once('/')?;
            Some((graph.to_owned(), plugin.to_owned()))
        });
        Self { links, recorded: recorded.collect() }
    }

    /// The plugin of a graph: that of its name; the one that was seen to bring it; the one whose
    /// name it begins with; else it is its own.
    fn of<'a>(&'a self, graph: &'a str) -> &'a str {
        let top = graph.split('.').next().unwrap_or(graph);
        if let Some((name, _)) = self.links.get_key_value(graph).or(self.links.get_key_value(top)) {
            return name;
        }
        if let Some(plugin) = self.recorded.get(graph) {
            return plugin;
        }
        let begins = |name: &str| top.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
        let longest = self.links.iter().filter(|(name, multi)| **multi && begins(name));
        longest.map(|(name, _)| name.as_str()).max_by_key(|name| name.len()).unwrap_or(top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn the_plugin_behind_a_multigraph() {
        let links = [("diskstats", true), ("df", false), ("df_inode", false), ("if_eth0", false)];
        let known = Plugins {
            links: links.into_iter().map(|(name, multi)| (name.to_owned(), multi)).collect(),
            recorded: [("mysql_bytes".to_owned(), "mysql_".to_owned())].into(),
        };
        for (graph, plugin) in [
            ("df", "df"),
            ("df_inode", "df_inode"),
            ("df_abs", "df_abs"),
            ("diskstats_latency.sda", "diskstats"),
            ("if_eth0", "if_eth0"),
            ("mysql_bytes", "mysql_"),
            ("load", "load"),
            ("unknown.child", "unknown"),
        ] {
            assert_eq!(known.of(graph), plugin, "{graph}");
        }
    }

    #[test]
    fn a_rate_that_may_fall_is_a_gauge() {
        let ds = |min| DataSource {
            name: "42".into(),
            kind: crate::wire::rrd::SourceType::Derive,
            min,
            max: None,
            last: None,
        };
        let found = Found {
            path: PathBuf::new(),
            group: "g".into(),
            host: "h".into(),
            graph: "diskstats_latency.sda".into(),
            field: "x".into(),
            kind: Type::Derive,
            named: false,
        };
        let made = |min| series("diskstats", &found, None, None, &ds(min));
        assert_eq!((made(Some(0.0)).kind, made(None).kind), (Kind::Counter, Kind::Gauge));
        let key = made(None).identity.key();
        assert_eq!(key, r#"munin_diskstats{field="x",graph="diskstats_latency.sda"}"#);
    }
}
