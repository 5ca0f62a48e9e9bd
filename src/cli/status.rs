//! cli: `plimsoll status`: every system's current values, read from the file; a running daemon is
//! only asked what is wrong.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;

use hashbrown::HashMap;
use serde_json::{Value, json};

use super::{Global, status_text};
use crate::daemon::control::{AskError, Request, ask};
use crate::model::{Clock, Graph, Kind, SystemClock};
use crate::store::{Known, Reader, Row};

/// `plimsoll status`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Every series, not only what a person looks at first
    #[arg(short, long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Rows read back at the most: a series that has been gone for days is not worth reading on for.
const MOST_ROWS: usize = 200_000;
/// A series is stale after so many of its own intervals without a sample.
const STALE_INTERVALS: i64 = 3;
const STALE_AT_LEAST_MS: i64 = 30_000;

/// One series as it stands.
#[derive(Debug, Clone)]
pub(super) struct Current {
    /// The series.
    pub(super) series: Known,
    /// Its newest sample, and the one before.
    pub(super) newest: Option<Row>,
    pub(super) before: Option<Row>,
    /// Whether it should have had a newer one.
    pub(super) stale: bool,
}

impl Current {
    /// The newest value.
    pub(super) fn value(&self) -> Option<f64> {
        self.newest.map(|r| r.value)
    }

    /// Per second, for a counter with two samples.
    pub(super) fn rate(&self) -> Option<f64> {
        let (a, b) = (self.before?, self.newest?);
        let seconds = (b.ts - a.ts) as f64 / 1e3;
        (seconds > 0.0 && b.value >= a.value).then(|| (b.value - a.value) / seconds)
    }

    /// One label's value.
    pub(super) fn label(&self, name: &str) -> Option<String> {
        let labels: Value = serde_json::from_str(&self.series.labels).ok()?;
        labels.get(name)?.as_str().map(str::to_owned)
    }
}

/// What the daemon says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Daemon {
    /// It runs; its answer.
    Running(Value),
    /// Nobody collects into this file.
    Stopped,
    /// It could not be asked.
    Unknown(String),
}

/// Everything there is to show.
pub(super) struct Status {
    pub(super) systems: Vec<(String, Vec<Current>)>,
    /// The charts that plugins describe, by system.
    pub(super) graphs: Vec<(String, Graph)>,
    pub(super) daemon: Daemon,
    pub(super) now: i64,
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let path = global.database()?;
    let status = gather(&path)?;
    let mut out = super::stdout();
    if args.json {
        serde_json::to_writer_pretty(&mut out, &as_json(&status))?;
        writeln!(out)?;
    } else {
        let terminal = std::io::stdout().is_terminal();
        let width = if terminal { terminal_width() } else { 80 };
        status_text::print(&mut out, &status, &path, args.all, width, terminal)?;
    }
    out.flush()?;
    Ok(())
}

fn terminal_width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(80, |w| usize::from(w.ws_col).max(40))
}

fn gather(path: &Path) -> anyhow::Result<Status> {
    let reader = Reader::open(path)?;
    let daemon = match ask(path, &Request::Status) {
        Ok(response) => Daemon::Running(response.data),
        Err(AskError::NotRunning(_)) => Daemon::Stopped,
        Err(e) => Daemon::Unknown(e.to_string()),
    };
    let mut series: Vec<Current> = (reader.series()?.into_iter())
        .map(|series| Current { series, newest: None, before: None, stale: false })
        .collect();
    let at: HashMap<i64, usize> =
        series.iter().enumerate().map(|(i, c)| (c.series.id, i)).collect();
    let (mut read, mut complete) = (0, 0);
    reader.rows_back(i64::MIN, |row| {
        read += 1;
        if let Some(current) = at.get(&row.series_id).map(|i| &mut series[*i]) {
            match (current.newest, current.before) {
                (None, _) => current.newest = Some(row),
                (Some(_), None) => {
                    current.before = Some(row);
                    complete += 1;
                }
                _ => {}
            }
        }
        if complete == at.len() || read >= MOST_ROWS {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    let now = SystemClock.wall_ms();
    let mut systems: Vec<(String, Vec<Current>)> = Vec::new();
    for mut current in series {
        current.stale = is_stale(&current, now);
        match systems.iter_mut().find(|(name, _)| *name == current.series.system) {
            Some((_, list)) => list.push(current),
            None => systems.push((current.series.system.clone(), vec![current])),
        }
    }
    Ok(Status { systems, graphs: reader.graphs()?, daemon, now })
}

fn is_stale(current: &Current, now: i64) -> bool {
    let Some(newest) = current.newest else { return true };
    let spacing = current.before.map_or(0, |b| newest.ts - b.ts);
    now - newest.ts > (spacing * STALE_INTERVALS).max(STALE_AT_LEAST_MS)
}

fn as_json(status: &Status) -> Value {
    let daemon = match &status.daemon {
        Daemon::Running(answer) => answer.clone(),
        Daemon::Stopped => Value::Null,
        Daemon::Unknown(why) => json!({ "error": why }),
    };
    let one = |c: &Current| {
        json!({
            "key": c.series.key,
            "value": c.value(),
            "timestamp": c.newest.map(|r| r.ts),
            "rate": if c.series.kind == Kind::Counter { c.rate() } else { None },
            "kind": c.series.kind.as_str(),
            "unit": c.series.unit,
            "job": c.series.job,
            "stale": c.stale,
        })
    };
    let systems: Vec<Value> = (status.systems.iter())
        .map(|(name, list)| json!({ "system": name, "values": list.iter().map(one).collect::<Vec<_>>() }))
        .collect();
    json!({ "now": status.now, "daemon": daemon, "systems": systems })
}
