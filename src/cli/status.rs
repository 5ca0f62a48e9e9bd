//! cli: `plimsoll status`: every system's current values, read from the file; a running daemon is
//! only asked what is wrong.

use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;

use hashbrown::HashMap;
use serde_json::{Value, json};

use super::{Global, screen, status_text};
use crate::daemon::control::{AskError, Request, ask};
use crate::draw;
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

/// The last hour is looked at so often: every three minutes, on the clock's own grid, where all
/// collectors have their beat.
pub(super) const LOOKS: usize = 20;
const LOOK_MS: i64 = 180_000;
/// How long after a look's moment a value may be and still count.
const LOOK_WITHIN_MS: i64 = 60_000;

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
    /// Its last hour, oldest first: time and value of each look.
    looks: Box<[Option<(i64, f64)>; LOOKS]>,
}

impl Current {
    /// The newest value.
    pub(super) fn value(&self) -> Option<f64> {
        self.newest.map(|r| r.value)
    }

    /// The time of its newest sample that is not of the future.
    pub(super) fn newest_until(&self, now: i64) -> Option<i64> {
        [self.newest, self.before].into_iter().flatten().map(|r| r.ts).find(|ts| *ts <= now)
    }

    /// Per second, for a counter with two samples.
    pub(super) fn rate(&self) -> Option<f64> {
        let (a, b) = (self.before?, self.newest?);
        let seconds = (b.ts - a.ts) as f64 / 1e3;
        (seconds > 0.0 && b.value >= a.value).then(|| (b.value - a.value) / seconds)
    }

    /// The last hour in [`LOOKS`] numbers, the newest last: values, of a counter rates; NaN where
    /// nothing is known.
    pub(super) fn hour(&self) -> [f64; LOOKS] {
        let newest = self.newest.map(|r| (r.ts, r.value));
        if self.series.kind == Kind::Gauge {
            // The newest value stands for the last look, whose time has come already.
            let mut all = self.looks.map(|look| look.map_or(f64::NAN, |(_, value)| value));
            if let (Some((_, value)), false) = (newest, self.stale) {
                all[LOOKS - 1] = value;
            }
            return all;
        }
        std::array::from_fn(|i| {
            let next = if i + 1 < LOOKS { self.looks[i + 1] } else { newest };
            match (self.looks[i], next) {
                (Some((a, from)), Some((b, to))) if b > a && to >= from => {
                    (to - from) * 1e3 / (b - a) as f64
                }
                _ => f64::NAN,
            }
        })
    }

    /// A newer sample has come.
    pub(super) fn push(&mut self, row: Row) {
        self.before = self.newest.filter(|newest| newest.ts < row.ts).or(self.before);
        self.newest = Some(row);
        self.stale = false;
    }

    /// One label's value, as it may be shown.
    pub(super) fn label(&self, name: &str) -> Option<String> {
        let labels: Value = serde_json::from_str(&self.series.labels).ok()?;
        labels.get(name)?.as_str().map(draw::clean)
    }
}

/// When this machine's collectors last took a sample, or when another machine's newest one was taken;
/// ms since 1970 UTC. What was pushed says nothing of the collectors, and no reading is of the future.
pub(super) fn last_reading(list: &[Current], now: i64) -> Option<i64> {
    let collected = |c: &&Current| c.series.system_id != 1 || c.series.job == "node";
    list.iter().filter(collected).filter_map(|c| c.newest_until(now)).max()
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
    let status = gather(&path, &Reader::open(&path)?)?;
    if args.json {
        let mut out = super::stdout();
        serde_json::to_writer_pretty(&mut out, &as_json(&status))?;
        writeln!(out)?;
        out.flush()?;
    } else {
        let mut out = super::painted_stdout();
        let terminal = std::io::stdout().is_terminal();
        let look = status_text::Look {
            width: if terminal { screen::width() } else { 80 },
            colour: terminal && screen::has_colours(),
            unicode: screen::is_unicode(),
        };
        status_text::print(&mut out, &status, &path, args.all, look)?;
        out.flush()?;
    }
    Ok(())
}

/// What the daemon of a file says of itself.
pub(super) fn daemon(path: &Path) -> Daemon {
    match ask(path, &Request::Status) {
        Ok(response) => Daemon::Running(response.data),
        Err(AskError::NotRunning(_)) => Daemon::Stopped,
        Err(e) => Daemon::Unknown(e.to_string()),
    }
}

pub(super) fn gather(path: &Path, reader: &Reader) -> anyhow::Result<Status> {
    let daemon = daemon(path);
    let mut series: Vec<Current> = (reader.series()?.into_iter())
        .map(|series| Current {
            series,
            newest: None,
            before: None,
            stale: false,
            looks: Box::new([None; LOOKS]),
        })
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
    look_back(reader, now, &at, &mut series)?;
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

/// Notes what each series was at some moments of the last hour. A look ends when it has found every
/// series that was there a moment ago, so an hour costs no more than a minute of rows.
fn look_back(
    reader: &Reader,
    now: i64,
    at: &HashMap<i64, usize>,
    series: &mut [Current],
) -> anyhow::Result<()> {
    let recent = now - LOOK_MS;
    let live = series.iter().filter(|c| c.newest.is_some_and(|r| r.ts > recent)).count();
    let last = now - now.rem_euclid(LOOK_MS);
    for look in 0..LOOKS {
        let moment = last - (LOOKS - 1 - look) as i64 * LOOK_MS;
        let (mut read, mut found) = (0, 0);
        reader.rows_from(moment, |row| {
            read += 1;
            if row.ts >= moment + LOOK_WITHIN_MS || read > 4 * live + 100 {
                return ControlFlow::Break(());
            }
            if let Some(current) = at.get(&row.series_id).map(|i| &mut series[*i])
                && current.looks[look].is_none()
            {
                current.looks[look] = Some((row.ts, row.value));
                found += usize::from(current.newest.is_some_and(|r| r.ts > recent));
            }
            if found >= live { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(())
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
            "hour": c.hour().map(|v| v.is_finite().then_some(v)),
        })
    };
    let systems: Vec<Value> = (status.systems.iter())
        .map(|(name, list)| json!({ "system": name, "values": list.iter().map(one).collect::<Vec<_>>() }))
        .collect();
    json!({ "now": status.now, "daemon": daemon, "systems": systems })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_collected_and_is_not_of_the_future_counts_as_a_reading() {
        let current = |system_id, job: &str, times: &[i64]| {
            let row = |at: usize| times.get(at).map(|ts| Row { series_id: 1, ts: *ts, value: 1.0 });
            let series = Known {
                id: 1,
                system_id,
                system: "a".to_owned(),
                key: "a".to_owned(),
                name: "a".to_owned(),
                labels: "{}".to_owned(),
                job: job.to_owned(),
                kind: Kind::Gauge,
                unit: String::new(),
                help: String::new(),
            };
            let looks = Box::new([None; LOOKS]);
            Current { series, newest: row(0), before: row(1), stale: false, looks }
        };
        let pushed = current(1, "push", &[90, 80]);
        let ahead = current(1, "node", &[500, 40]);
        let node = current(1, "node", &[50, 45]);
        assert_eq!(last_reading(&[pushed.clone(), ahead.clone()], 100), Some(40));
        assert_eq!(last_reading(&[pushed.clone(), ahead, node], 100), Some(50));
        assert_eq!(last_reading(&[pushed], 100), None);
        assert_eq!(last_reading(&[current(2, "push", &[500, 90])], 100), Some(90));
    }
}
