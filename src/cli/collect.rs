//! cli: `plimsoll collect`: one reading printed, no database.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;

use super::{Global, show, table};
use crate::collect::{COLLECTORS, CollectError};
use crate::config::Config;
use crate::model::{Recorder, Registry};

/// `plimsoll collect`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these collectors [default: those of the configuration]
    collector: Vec<String>,
    /// List the collectors instead
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Read this folder as /proc, for example a saved one
    #[arg(long, value_name = "DIR")]
    proc: Option<PathBuf>,
    /// Read this folder as /sys
    #[arg(long, value_name = "DIR")]
    sys: Option<PathBuf>,
    /// Prefix of all other paths
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut out = super::stdout();
    if args.list {
        let rows: Vec<Vec<String>> =
            COLLECTORS.iter().map(|e| vec![e.name.to_owned(), e.about.to_owned()]).collect();
        table::print(&mut out, &["collector", ""], &rows)?;
        out.flush()?;
        return Ok(());
    }
    let config = Config::find(global.config.as_deref())?;
    let names: Vec<&str> = if args.collector.is_empty() {
        config.collectors.iter().map(|c| c.name).collect()
    } else {
        args.collector.iter().map(String::as_str).collect()
    };
    let mut settings = config.collect.clone();
    for (told, root) in [
        (&args.proc, &mut settings.proc),
        (&args.sys, &mut settings.sys),
        (&args.root, &mut settings.root),
    ] {
        if let Some(told) = told {
            root.clone_from(told);
        }
    }
    let registry = Arc::new(Registry::default());
    let mut failed = 0;
    let mut readings = Vec::new();
    for name in &names {
        let Some(entry) = COLLECTORS.iter().find(|e| e.name == *name) else {
            anyhow::bail!("there is no collector `{name}`\n  'plimsoll collect --list' names them");
        };
        let mut recorder =
            Recorder::new(Arc::clone(&registry), "node", Arc::new(config.filter.clone()));
        recorder.begin();
        match (entry.make)(&settings).collect(&mut recorder) {
            Ok(()) => {}
            Err(CollectError::Absent) => recorder.begin(),
            Err(e) => {
                failed += 1;
                writeln!(super::stderr(), "plimsoll: collector {name}: {e}")?;
            }
        }
        for odd in recorder.take_told() {
            writeln!(super::stderr(), "plimsoll: collector {name}: {odd}")?;
        }
        readings.extend_from_slice(recorder.samples());
    }
    if args.json {
        let object: serde_json::Map<String, serde_json::Value> = readings
            .iter()
            .filter_map(|(series, value)| {
                Some((registry.get(*series)?.identity.key(), json!(value)))
            })
            .collect();
        serde_json::to_writer_pretty(&mut out, &object)?;
        writeln!(out)?;
    } else {
        for (series, value) in &readings {
            let Some(series) = registry.get(*series) else { continue };
            writeln!(out, "{series} {value}")?;
        }
    }
    out.flush()?;
    anyhow::ensure!(
        failed == 0,
        "{} of {} collectors failed",
        failed,
        show::count(names.len() as u64)
    );
    Ok(())
}
