//! cli: `plimsoll import rrd`: any RRD file.

use std::path::{Path, PathBuf};

use super::metric_name;
use super::past::{Plan, bring, kind_of, with_rrd};
use crate::cli::Global;
use crate::model::{Identity, Labels, Series, parse_key};

/// `plimsoll import rrd`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each data source becomes a series, named by its file or by --key, with a label ds if the\n\
    file has several. COUNTER, ABSOLUTE and DERIVE with a minimum of 0 or more become counters\n\
    (docs/MUNIN.md)."
)]
pub struct Args {
    /// RRD files of any machine, or the output of 'rrdtool dump', also packed with gzip
    #[arg(required = true)]
    file: Vec<PathBuf>,
    /// The series: NAME or NAME{LABEL="VALUE",…} [default: the file's name]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A label of every series; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = crate::cli::send::parse_tag)]
    labels: Vec<(String, String)>,
    /// The host of the measurements [default: this machine]
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.key.is_none() || args.file.len() == 1,
        "--key names the series of one file; there are {}",
        args.file.len()
    );
    let mut plan = Plan::default();
    for path in &args.file {
        let (name, own) = match &args.key {
            Some(key) => parse_key(key),
            None => (metric_name(&stem(path)), Labels::default()),
        };
        let read = with_rrd(path, |rrd| {
            let several = rrd.sources.len() > 1;
            plan.add(path.clone(), rrd, |_, ds| {
                let pairs = own.iter().map(|(n, v)| (n.to_owned(), v.to_owned()));
                let ds_label = several.then(|| ("ds".to_owned(), ds.name.clone()));
                let labels = Labels::new(pairs.chain(ds_label).chain(args.labels.iter().cloned()));
                let mut identity = Identity::local("rrd", &name, labels);
                identity.system = args.host.as_deref().map(Into::into);
                Some(Series { identity, kind: kind_of(ds), unit: "".into(), help: "".into() })
            });
        });
        if let Err(e) = read {
            plan.failed.add(path, format!("{e:#}"));
        }
    }
    if plan.files.is_empty() {
        return plan.nothing();
    }
    bring(plan, "rrd", global)
}

/// The name of a file without what says its kind: `temp` of `temp.rrd` and of `temp.xml.gz`.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let name = name.strip_suffix(".xml").unwrap_or(name);
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    }
}
