//! cli: `plimsoll reload`.

use std::io::Write;

use super::Global;
use crate::daemon::control::{Request, ask};

/// `plimsoll reload`
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(super) fn run(_args: &Args, global: &Global) -> anyhow::Result<()> {
    let response = ask(&global.database()?, &Request::Reload)?;
    anyhow::ensure!(response.ok, "{}", response.message);
    let mut out = super::stdout();
    writeln!(out, "{}", response.message)?;
    out.flush()?;
    Ok(())
}
