//! cli: `plimsoll forget`: a machine that will not come back alarms nobody any more.

use std::io::Write;

use super::{Global, current};
use crate::daemon::control::{Request, ask};
use crate::model::unit;
use crate::overview::{self, SILENT, Whose};
use crate::store::Reader;

/// `plimsoll forget`
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Its samples stay as long as all others. It is shown as gone, and nothing is said of \
    its silence; should it send again, it is back. A machine that is silent for 14 days is gone by itself.\n\n\
    Example:\n  plimsoll forget web7"
)]
pub struct Args {
    /// The machine, as `plimsoll status` calls it
    host: String,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let (path, host) = (global.database()?, &args.host);
    let reader = Reader::open(&path)?.load_head()?;
    let status = current::gather(&path, &reader)?;
    let Some((_, list)) = status.systems.iter().find(|(name, _)| name == host) else {
        let others: Vec<&str> = status.systems.iter().map(|(name, _)| name.as_str()).collect();
        anyhow::bail!("no machine in this file is called {host}; there are: {}", others.join(", "));
    };
    anyhow::ensure!(
        list.iter().all(|c| c.series.system_id != 1),
        "{host} is the machine that plimsoll itself runs on"
    );
    let known = reader.series()?;
    let charts = overview::charts(&known, &status.graphs, host);
    let whose = Whose::Other(host, None);
    let verdict = overview::verdict(&reader, &charts, status.now, &[], whose)?;
    let silent = verdict.gone || verdict.findings.iter().any(|f| f.subject == SILENT);
    if let (Some(newest), false) = (verdict.newest, silent) {
        let ago = unit::duration(status.now - newest);
        anyhow::bail!(
            "{host} is not silent: its newest sample is {ago} old. Stop its sender first, or it would \
             be back at once"
        );
    }
    let response = ask(&path, &Request::Forget { host: host.clone() })?;
    anyhow::ensure!(response.ok, "{}", response.message);
    let mut out = super::stdout();
    writeln!(out, "{host} is gone; should it send again, it is back")?;
    out.flush()?;
    Ok(())
}
