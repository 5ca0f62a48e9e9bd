//! cli: `plimsoll silence` and `plimsoll ack`.

use std::io::Write;

use super::alert::{tell, user};
use super::{Global, table};
use crate::alert::Command;
use crate::store::Reader;

/// `plimsoll silence`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll silence                              list silences\n  \
    plimsoll silence disk_/ --for 2h --why 'moving the archive'\n  \
    plimsoll silence web2 --every 'Sun 02:00-04:00 Europe/Berlin'\n  \
    plimsoll silence --end 3")]
pub struct Args {
    /// A key (disk_/), a rule (disk_full), a host, or matchers ({mountpoint=\"/srv\"})
    what: Option<String>,
    /// For how long
    #[arg(long = "for", value_name = "DURATION", requires = "what")]
    for_: Option<String>,
    /// A window every week, such as 'Sun 02:00-04:00 Europe/Berlin'
    #[arg(long, value_name = "WINDOW", requires = "what")]
    every: Option<String>,
    /// The reason, for those who look
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
    /// End the silence of this number
    #[arg(long, value_name = "NUMBER", conflicts_with = "what")]
    end: Option<i64>,
}

/// `plimsoll ack`
#[derive(Debug, clap::Args)]
pub struct AckArgs {
    /// A key (disk_/), a rule (disk_full), a host, or matchers
    what: String,
    /// A word for those who look
    #[arg(long, value_name = "TEXT", default_value = "")]
    why: String,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    if let Some(id) = args.end {
        return tell(global, Command::End { what: id.to_string() });
    }
    let Some(what) = &args.what else { return list(global) };
    tell(
        global,
        Command::Silence {
            what: what.clone(),
            for_: args.for_.clone(),
            every: args.every.clone(),
            who: user(),
            why: args.why.clone(),
        },
    )
}

pub(super) fn ack(args: &AckArgs, global: &Global) -> anyhow::Result<()> {
    tell(global, Command::Ack { what: args.what.clone(), who: user(), why: args.why.clone() })
}

fn list(global: &Global) -> anyhow::Result<()> {
    let stored = Reader::open(&global.database()?)?.alerts()?;
    let now = super::alert::now_ms();
    let rows: Vec<Vec<String>> = stored
        .silences
        .iter()
        .filter(|row| row.ends_at.is_none_or(|ends| ends > now))
        .map(|row| {
            let until = row.ends_at.map(super::alert::moment).unwrap_or_default();
            vec![
                row.id.to_string(),
                row.what.clone(),
                row.every.clone(),
                until,
                row.who.clone(),
                row.why.clone(),
            ]
        })
        .collect();
    let mut out = super::stdout();
    match rows.is_empty() {
        true => writeln!(out, "nothing is silenced")?,
        false => table::print(&mut out, &["number", "what", "every", "until", "by", "why"], &rows)?,
    }
    out.flush()?;
    Ok(())
}
