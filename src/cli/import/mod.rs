//! cli: `plimsoll import`: what other tools wrote, in, with a daemon and without one.
//!
//! ```text
//!   files      CSV, JSON, OpenMetrics          -> samples
//!   past       RRD files of any program        -> samples, five-minute buckets, hours
//!   munin      the folder of a Munin master    -> past, by the names of its plugins
//!   rrd        any RRD file                    -> past
//!   collectd   the folder of collectd's rrdtool plugin -> past
//!   sar        what sadc wrote                 -> samples
//! ```

mod collectd;
mod files;
mod munin;
mod past;
mod rrd;
mod sar;

use std::io::Write;

use clap::Subcommand;

use super::Global;
use crate::config::Config;
use crate::model::format_size;
use crate::store::Limits;

/// `plimsoll import`
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[group(skip)]
pub struct Args {
    #[command(subcommand)]
    from: Option<From>,
    #[command(flatten)]
    files: files::Args,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Import the history of a Munin master: all RRD files in its folder
    Munin(munin::Args),
    /// Import RRD files of any program
    Rrd(rrd::Args),
    /// Import the RRD files of collectd
    Collectd(collectd::Args),
    /// Import files of sysstat (sar -o, /var/log/sysstat/sa*)
    Sar(sar::Args),
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    match &args.from {
        None => files::run(&args.files, global),
        Some(From::Munin(args)) => munin::run(args, global),
        Some(From::Rrd(args)) => rrd::run(args, global),
        Some(From::Collectd(args)) => collectd::run(args, global),
        Some(From::Sar(args)) => sar::run(args, global),
    }
}

/// What the configuration allows the database.
fn limits(global: &Global) -> Limits {
    Config::find(global.config.as_deref()).map(|config| config.limits).unwrap_or_default()
}

/// Says that something older had to go, if it had to.
fn tell_of_room(gave_way: bool, limits: &Limits) -> std::io::Result<()> {
    if !gave_way {
        return Ok(());
    }
    writeln!(
        super::stderr(),
        "the database has reached `max_size` ({}): the oldest of it was deleted, also of what was \
         imported; set `max_size` under [store] to more to keep it",
        format_size(limits.max_size)
    )
}

/// Letters, digits, `_` and `:`; everything else becomes `_`.
fn metric_name(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut name: String = text.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        name.insert(0, '_');
    }
    name
}

/// Whether this machine is called so: by its whole name or its first part, or `localhost`.
fn is_here(host: &str, here: &str) -> bool {
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    first(host) == "localhost" || first(host) == first(here)
}
