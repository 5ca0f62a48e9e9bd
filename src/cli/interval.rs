//! cli: `plimsoll interval`: the beat, shown and changed while it runs.

use std::io::Write;

use super::{Global, table};
use crate::daemon::Rate;
use crate::daemon::control::{Request, ask};
use crate::model::{Interval, format_duration, parse_duration};

/// `plimsoll interval`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll interval                     show the rates in force\n  \
    plimsoll interval 1s --for 10m        everything each second, for ten minutes\n  \
    plimsoll interval 250ms cpu           one collector, until the next reload\n  \
    plimsoll interval 5s plugin:df --for 10m   one plugin\n  \
    plimsoll interval default             back to the configuration")]
pub struct Args {
    /// 100ms to 1d, or 'default' for the configured interval
    interval: Option<String>,
    /// Only this collector or plugin (plugin:NAME) [default: all collectors]
    collector: Option<String>,
    /// Return to the configured rate after this time [default: at the next reload]
    #[arg(long = "for", value_name = "DURATION", requires = "interval")]
    for_: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let request = match args.interval.as_deref() {
        None => Request::Rates,
        Some("default") => {
            Request::Interval { collector: args.collector.clone(), interval: None, for_: None }
        }
        Some(text) => {
            // Checked here too, so that a slip is told with a daemon and without one.
            text.parse::<Interval>()?;
            if let Some(for_) = &args.for_ {
                parse_duration(for_)?;
            }
            Request::Interval {
                collector: args.collector.clone(),
                interval: Some(text.to_owned()),
                for_: args.for_.clone(),
            }
        }
    };
    let response = ask(&global.database()?, &request)?;
    anyhow::ensure!(response.ok, "{}", response.message);
    let mut out = super::stdout();
    if args.json {
        writeln!(out, "{}", response.data)?;
    } else {
        let rates: Vec<Rate> = serde_json::from_value(response.data)?;
        let row = |r: &Rate| {
            vec![
                r.collector.clone(),
                format_duration(r.interval_ms),
                format_duration(r.configured_ms),
                until(r),
            ]
        };
        table::print(
            &mut out,
            &["what", "now", "configured", ""],
            &rates.iter().map(row).collect::<Vec<_>>(),
        )?;
    }
    out.flush()?;
    Ok(())
}

/// How long a collector keeps a rate that is not its own; empty for its own.
pub(super) fn until(r: &Rate) -> String {
    match (r.interval_ms == r.configured_ms, r.ends_in_ms) {
        (true, _) => String::new(),
        (false, Some(ms)) => format!("for {} more", format_duration((ms + 999) / 1000 * 1000)),
        (false, None) => "until the next reload".to_owned(),
    }
}
