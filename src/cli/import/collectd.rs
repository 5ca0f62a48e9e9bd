//! cli: `plimsoll import collectd`: the tree of RRD files that collectd's rrdtool plugin writes,
//! under the names that its own exporter (write_prometheus) gives.
//!
//! Source: collectd 5.12, `src/write_prometheus.c` (`metric_family_name`: `collectd`, the plugin
//! unless the type is called the same, the type, the data source unless it is `value`, `total` for
//! what only grows; `metric_family_get_metric`: the labels) and `src/utils/rrdcreate/rrdcreate.c`.

use std::path::{Path, PathBuf};

use super::past::{Plan, below, bring, kind_of, with_rrd};
use super::{is_here, metric_name};
use crate::cli::Global;
use crate::model::{Identity, Kind, Labels, Series};
use crate::wire::rrd::{DataSource, SourceType};

/// `plimsoll import collectd`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "HOST/PLUGIN-INSTANCE/TYPE-INSTANCE.rrd gets the name that collectd's write_prometheus \
    uses:\ncollectd_PLUGIN_TYPE{PLUGIN=\"INSTANCE\",type=\"INSTANCE\"}, with _total if it only grows."
)]
pub struct Args {
    /// Folder that has one folder for each host
    #[arg(long, value_name = "DIR", default_value = "/var/lib/collectd/rrd")]
    dir: PathBuf,
    /// Only this host; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut plan = Plan::default();
    let this = crate::config::host_name();
    for path in below(&args.dir, &mut plan.failed)? {
        let Some(name) = Name::read(&args.dir, &path) else {
            plan.failed.add(&path, "its path does not end in HOST/PLUGIN/TYPE.rrd");
            continue;
        };
        if !args.host.is_empty() && !args.host.contains(&name.host) {
            continue;
        }
        let here = is_here(&name.host, &this);
        let read = with_rrd(&path, |rrd| {
            plan.add(path.clone(), rrd, |_, ds| Some(name.series(ds, here)));
        });
        if let Err(e) = read {
            plan.failed.add(&path, format!("{e:#}"));
        }
    }
    if plan.files.is_empty() {
        return plan.nothing();
    }
    bring(plan, "collectd", global)
}

/// The parts of a file's path.
#[derive(Debug, PartialEq)]
struct Name {
    host: String,
    plugin: String,
    plugin_instance: String,
    kind: String,
    kind_instance: String,
}

impl Name {
    fn read(dir: &Path, path: &Path) -> Option<Self> {
        let below = path.strip_prefix(dir).ok()?.to_str()?;
        let mut parts = below.split('/');
        let (host, plugin, file) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let apart = |text: &str| {
            let (name, instance) = text.split_once('-').unwrap_or((text, ""));
            (name.to_owned(), instance.to_owned())
        };
        let (plugin, plugin_instance) = apart(plugin);
        let (kind, kind_instance) = apart(file.strip_suffix(".rrd")?);
        Some(Self { host: host.to_owned(), plugin, plugin_instance, kind, kind_instance })
    }

    fn series(&self, ds: &DataSource, here: bool) -> Series {
        let mut name = "collectd".to_owned();
        let grows = matches!(ds.kind, SourceType::Counter | SourceType::Derive);
        let parts = [
            (self.plugin != self.kind).then_some(self.plugin.as_str()),
            Some(self.kind.as_str()),
            (ds.name != "value").then_some(ds.name.as_str()),
            grows.then_some("total"),
        ];
        for part in parts.into_iter().flatten() {
            name.push('_');
            name.push_str(part);
        }
        let plugin_label = metric_name(&self.plugin);
        let mut labels = Vec::new();
        if !self.plugin_instance.is_empty() {
            labels.push((plugin_label.clone(), self.plugin_instance.clone()));
        }
        if !self.kind_instance.is_empty() {
            let own = self.plugin_instance.is_empty();
            let label = if own { plugin_label } else { "type".to_owned() };
            labels.push((label, self.kind_instance.clone()));
        }
        let mut identity = Identity::local("collectd", &metric_name(&name), Labels::new(labels));
        identity.system = (!here).then(|| self.host.as_str().into());
        // collectd's own DERIVE has a minimum of 0 in types.db wherever it counts.
        let kind: Kind = kind_of(ds);
        Series { identity, kind, unit: "".into(), help: "".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_its_own_exporter_has_them() {
        let ds = |name: &str, kind| DataSource {
            name: name.into(),
            kind,
            min: Some(0.0),
            max: None,
            last: None,
        };
        let key = |file: &str, name: &str, kind| {
            let path = Path::new("/r").join(file);
            let name_of = Name::read(Path::new("/r"), &path).expect("a name");
            name_of.series(&ds(name, kind), true).identity.key()
        };
        use SourceType::*;
        for (file, name, kind, want) in [
            ("h/load/load.rrd", "shortterm", Gauge, "collectd_load_shortterm"),
            ("h/cpu-0/cpu-idle.rrd", "value", Derive, r#"collectd_cpu_total{cpu="0",type="idle"}"#),
            ("h/memory/memory-used.rrd", "value", Gauge, r#"collectd_memory{memory="used"}"#),
            (
                "h/interface-eth0/if_octets.rrd",
                "rx",
                Derive,
                r#"collectd_interface_if_octets_rx_total{interface="eth0"}"#,
            ),
            (
                "h/df-root/df_complex-free.rrd",
                "value",
                Gauge,
                r#"collectd_df_df_complex{df="root",type="free"}"#,
            ),
        ] {
            assert_eq!(key(file, name, kind), want);
        }
        let deep = Name::read(Path::new("/r"), Path::new("/r/a/b/c/d.rrd"));
        assert_eq!(deep, None);
    }
}
