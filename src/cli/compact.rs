//! cli: `plimsoll compact`: all the work that upkeep does bit by bit, at once.

use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use super::{Global, show, table};
use crate::config::Config;
use crate::daemon::control::{Request, ask};
use crate::model::{Clock, SystemClock, Unit};
use crate::store::{OpenError, Reader, Store, Times, Usage};

/// `plimsoll compact`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let path = global.database()?;
    let config = Config::find(global.config.as_deref())?;
    // A missing database is not created.
    drop(Reader::open(&path)?);
    let before;
    match Store::open(&path, &crate::config::host_name(), Arc::default()) {
        Ok(mut store) => {
            // A file of an older plimsoll gets its new tables only now.
            before = Reader::open(&path)?.parts()?;
            store.set_limits(config.limits);
            let clock = SystemClock;
            store.compact(Times { wall: clock.wall_ms(), boot: clock.boot_ms() })?;
        }
        Err(OpenError::InUse { .. }) => {
            before = Reader::open(&path)?.parts()?;
            let response = ask(&path, &Request::Compact)?;
            anyhow::ensure!(response.ok, "{}", response.message);
        }
        Err(e) => return Err(e.into()),
    }
    let after = Reader::open(&path)?.parts()?;
    let mut out = super::stdout();
    if args.json {
        writeln!(out, "{}", json!({ "before": as_json(&before), "after": as_json(&after) }))?;
    } else {
        let rows: Vec<Vec<String>> = after.iter().map(|a| row(&before, a)).collect();
        table::print(&mut out, &["", "before", "after", "samples", "bytes a sample"], &rows)?;
        let sum = |parts: &[Usage]| parts.iter().map(|p| p.bytes).sum::<u64>() as f64;
        writeln!(
            out,
            "{} before, {} after",
            Unit::Bytes.format(sum(&before)),
            Unit::Bytes.format(sum(&after))
        )?;
    }
    out.flush()?;
    Ok(())
}

fn row(before: &[Usage], after: &Usage) -> Vec<String> {
    let was = before.iter().find(|p| p.name == after.name).map_or(0, |p| p.bytes);
    let each = after.bytes_a_sample().map_or(String::new(), |b| format!("{b:.3}"));
    let samples = if after.samples > 0 { show::count(after.samples) } else { String::new() };
    vec![
        after.name.to_owned(),
        Unit::Bytes.format(was as f64),
        Unit::Bytes.format(after.bytes as f64),
        samples,
        each,
    ]
}

fn as_json(parts: &[Usage]) -> serde_json::Value {
    let one = |p: &Usage| {
        (
            p.name.to_owned(),
            json!({ "bytes": p.bytes, "samples": p.samples, "bytes_per_sample": p.bytes_a_sample() }),
        )
    };
    parts.iter().map(one).collect::<serde_json::Map<_, _>>().into()
}
