//! cli: `plimsoll status`: the first view and verdict of every system, read from the file; a
//! running daemon is only asked for its problems.

use std::io::{IsTerminal, Write};

use serde_json::{Value, json};

use super::current::{Current, Daemon, Status, gather, is_own, troubles};
use super::status_text::{Much, View};
use super::{Global, screen, status_text};
use crate::model::Kind;
use crate::overview::glance::glance;
use crate::overview::{self, Whose};
use crate::store::Reader;

/// `plimsoll status`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this machine, which sends to here [default: this machine, and a line for each other]
    host: Option<String>,
    /// Show all series, not only the first view
    #[arg(short, long)]
    all: bool,
    /// One line a machine
    #[arg(short, long, conflicts_with = "all")]
    short: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "short")]
    json: bool,
}

/// The first view of each system of the status, in their order; `all`: every part of every chart.
pub(super) fn views(reader: &Reader, status: &Status, all: bool) -> anyhow::Result<Vec<View>> {
    let known = reader.series()?;
    let one = |name: &str, own: bool| {
        let charts = overview::charts(&known, &status.graphs, name);
        let troubles = if own { troubles(&status.daemon, status.now) } else { Vec::new() };
        let whose = if own { Whose::Ours } else { Whose::Other(name, None) };
        let verdict = overview::verdict(reader, &charts, status.now, &troubles, whose)?;
        // By that machine's clock.
        let now = status.now + verdict.ahead;
        let glances = glance(reader, &charts, now)?;
        let described = || charts.iter().filter(|c| c.is_described());
        let terms = described().flat_map(|c| &c.lines).flat_map(|l| &l.terms);
        let charted = terms.map(|t| t.series).collect();
        let mut plugins = Vec::new();
        for chart in described().filter(|c| all || !c.is_part()) {
            let value = |l| Ok(overview::newest(reader, l, now)?.unwrap_or(f64::NAN));
            plugins.push((
                chart.clone(),
                chart.lines.iter().map(value).collect::<anyhow::Result<_>>()?,
            ));
        }
        Ok(View { verdict, glances, plugins, charted })
    };
    status.systems.iter().map(|(name, list)| one(name, is_own(list))).collect()
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let path = global.database()?;
    let reader = Reader::open(&path)?.load_head()?;
    let mut status = gather(&path, &reader)?;
    if let Some(host) = &args.host {
        let all: Vec<String> = status.systems.iter().map(|(name, _)| name.clone()).collect();
        status.systems.retain(|(name, _)| name == host);
        anyhow::ensure!(
            !status.systems.is_empty(),
            "no machine in this file is called {host}; there are: {}",
            all.join(", ")
        );
    }
    let views = views(&reader, &status, args.all)?;
    if args.short {
        let mut out = super::stdout();
        for ((name, _), view) in status.systems.iter().zip(&views) {
            writeln!(out, "{}", status_text::short(name, view))?;
        }
        out.flush()?;
    } else if args.json {
        let mut out = super::stdout();
        serde_json::to_writer_pretty(&mut out, &as_json(&status, &views))?;
        writeln!(out)?;
        out.flush()?;
    } else {
        let mut out = super::painted_stdout();
        let terminal = std::io::stdout().is_terminal();
        let look = status_text::Look {
            width: if terminal { screen::width() } else { 80 },
            colour: terminal && screen::has_colours(),
            unicode: screen::is_unicode(),
            // A line in a pipe is a sentence.
            wraps: terminal,
        };
        let much = if args.all { Much::All } else { Much::Screen };
        status_text::print(&mut out, &status, &views, &path, much, look)?;
        out.flush()?;
    }
    Ok(())
}

fn as_json(status: &Status, views: &[View]) -> Value {
    let daemon = match &status.daemon {
        Daemon::Running(answer) => answer.clone(),
        Daemon::Stopped => Value::Null,
        Daemon::Unknown(why) => json!({ "error": why }),
    };
    let one = |c: &Current| {
        json!({
            "key": c.series.key,
            "value": c.value(),
            "timestamp": c.newest().map(|r| r.ts),
            "rate": if c.series.kind == Kind::Counter { c.rate() } else { None },
            "kind": c.series.kind.as_str(),
            "unit": c.series.unit,
            "job": c.series.job,
            "stale": c.stale,
            "hour": c.hour().map(|v| v.is_finite().then_some(v)),
        })
    };
    let verdict = |view: &View| -> Value {
        let mut text = String::from("{");
        overview::write_verdict(&mut text, status.now, &view.verdict, std::iter::empty());
        text.push('}');
        let mut all: Value = serde_json::from_str(&text).unwrap_or_default();
        all["verdict"].take()
    };
    let systems: Vec<Value> = (status.systems.iter().zip(views))
        .map(|((name, list), view)| {
            let values: Vec<Value> = list.iter().map(one).collect();
            json!({ "system": name, "verdict": verdict(view), "values": values })
        })
        .collect();
    json!({ "now": status.now, "daemon": daemon, "systems": systems })
}
