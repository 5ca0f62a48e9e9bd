//! cli: the newest samples of every series, read from the file, and what a running daemon says of
//! itself: for `status`, `watch` and `snapshot`.

use std::ops::ControlFlow;
use std::path::Path;

use hashbrown::HashMap;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::daemon::control::{AskError, Request, ask};
use crate::model::{Clock, Graph, Kind, SystemClock, Unit};
use crate::overview::glance::{Hour, LOOK_MS, LOOKS};
use crate::overview::{FRESH_MS, Running, Trouble, gap, grown, is_moment, unit_of};
use crate::store::{Known, Reader, SampleRow};

/// Rows read back at the most: a series that has been gone for days is not worth reading on for.
const MOST_ROWS: usize = 200_000;
/// The number of samples from which their usual distance is computed.
const RECENT: usize = 4;
/// How long after its moment a value of the past may be and still count.
const LOOK_WITHIN_MS: i64 = 60_000;

/// The current state of a series.
#[derive(Debug, Clone)]
pub(super) struct Current {
    /// The series.
    pub(super) series: Known,
    /// Its newest samples, the newest first.
    recent: [Option<SampleRow>; RECENT],
    /// Whether it should have had a newer one.
    pub(super) stale: bool,
    /// Its last hour, oldest first: time and value of each look.
    looks: Box<[Option<(i64, f64)>; LOOKS]>,
}

impl Current {
    /// Its newest sample.
    pub(super) fn newest(&self) -> Option<SampleRow> {
        self.recent[0]
    }

    /// The newest value.
    pub(super) fn value(&self) -> Option<f64> {
        self.recent[0].map(|r| r.value)
    }

    /// The time of its newest sample that is not of the future.
    pub(super) fn newest_until(&self, now: i64) -> Option<i64> {
        self.recent.iter().flatten().map(|r| r.ts).find(|ts| *ts <= now)
    }

    /// The rate of a counter; `None` beyond a gap.
    pub(super) fn rate(&self) -> Option<f64> {
        let mut running = Running::default();
        let samples = self.recent.iter().rev().flatten();
        samples.fold(None, |_, row| running.take(row.ts, row.value))
    }

    /// The shown value: the rate of a counter, the value of a gauge.
    pub(super) fn shown(&self) -> Option<f64> {
        if self.series.kind == Kind::Counter { self.rate() } else { self.value() }
    }

    /// The shown value in words.
    pub(super) fn in_words(&self) -> String {
        if let Some(at) = self.moment() {
            return at;
        }
        let unit = Unit::of_word(&unit_of(&self.series));
        match (self.shown(), self.value()) {
            (Some(value), _) => unit.format(value),
            (None, Some(_)) => "–".to_owned(),
            (None, None) => "no sample".to_owned(),
        }
    }

    /// The moment that its value says, if that is what it says: `2026-11-30 21:49`.
    fn moment(&self) -> Option<String> {
        let seconds = self.value().filter(|_| is_moment(&self.series.name))?;
        let at = Timestamp::from_second(seconds as i64).ok().filter(|_| seconds > 0.0)?;
        Some(at.to_zoned(TimeZone::system()).strftime("%F %H:%M").to_string())
    }

    /// The last hour in [`LOOKS`] numbers, the newest last: values, of a counter rates; NaN where
    /// nothing is known.
    pub(super) fn hour(&self) -> Hour {
        let newest = self.recent[0].map(|r| (r.ts, r.value));
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
                (Some((a, from)), Some((b, to))) if b > a && b - a <= gap(LOOK_MS) => {
                    grown(from, to) * 1e3 / (b - a) as f64
                }
                _ => f64::NAN,
            }
        })
    }

    /// A newer sample has come.
    pub(super) fn push(&mut self, row: SampleRow) {
        if self.recent[0].is_none_or(|newest| newest.ts < row.ts) {
            self.recent.rotate_right(1);
        }
        self.recent[0] = Some(row);
        self.stale = false;
    }
}

/// When this machine's collectors last took a sample, or when another machine's newest one was taken;
/// ms since 1970 UTC. What was pushed says nothing of the collectors, and no reading is of the future.
pub(super) fn last_reading(list: &[Current], now: i64) -> Option<i64> {
    let collected = |c: &&Current| c.series.system_id != 1 || c.series.job == "node";
    list.iter().filter(collected).filter_map(|c| c.newest_until(now)).max()
}

/// Whether these series are of the machine that plimsoll runs on.
pub(super) fn is_own(list: &[Current]) -> bool {
    list.first().is_some_and(|c| c.series.system_id == 1)
}

/// The state of the daemon.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Daemon {
    /// It runs; its answer.
    Running(Value),
    /// No daemon collects into this file.
    Stopped,
    /// It could not be asked.
    Unknown(String),
}

/// All data to show.
pub(super) struct Status {
    /// Each system with its series.
    pub(super) systems: Vec<(String, Vec<Current>)>,
    /// The charts that plugins describe, by system.
    pub(super) graphs: Vec<(String, Graph)>,
    /// The state of the daemon.
    pub(super) daemon: Daemon,
    /// When all this was read, ms since 1970 UTC.
    pub(super) now: i64,
}

/// The state of the daemon of a file.
pub(super) fn daemon(path: &Path) -> Daemon {
    match ask(path, &Request::Status) {
        Ok(response) => Daemon::Running(response.data),
        Err(AskError::NotRunning(_)) => Daemon::Stopped,
        Err(e) => Daemon::Unknown(e.to_string()),
    }
}

/// Reads the newest samples of every series, and asks the daemon.
pub(super) fn gather(path: &Path, reader: &Reader) -> anyhow::Result<Status> {
    let daemon = daemon(path);
    let mut series: Vec<Current> = (reader.series()?.into_iter())
        .map(|series| Current {
            series,
            recent: [None; RECENT],
            stale: false,
            looks: Box::new([None; LOOKS]),
        })
        .collect();
    let at: HashMap<i64, usize> =
        series.iter().enumerate().map(|(i, c)| (c.series.id, i)).collect();
    let (mut read, mut complete) = (0, 0);
    reader.rows_back(i64::MIN, |row| {
        read += 1;
        if let Some(current) = at.get(&row.series_id).map(|i| &mut series[*i])
            && let Some(free) = current.recent.iter().position(Option::is_none)
        {
            current.recent[free] = Some(row);
            complete += usize::from(free + 1 == RECENT);
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
    let live = series.iter().filter(|c| c.newest().is_some_and(|r| r.ts > recent)).count();
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
                found += usize::from(current.newest().is_some_and(|r| r.ts > recent));
            }
            if found >= live { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(())
}

/// Whether it should have had a newer sample.
fn is_stale(current: &Current, now: i64) -> bool {
    let [Some(newest), before, ..] = current.recent else { return true };
    let apart = before.map_or(0, |b| newest.ts - b.ts);
    now - newest.ts > gap(apart).max(FRESH_MS)
}

/// The daemon's problems.
pub(super) fn troubles(daemon: &Daemon, now: i64) -> Vec<Trouble> {
    let Daemon::Running(answer) = daemon else { return Vec::new() };
    let problems = answer.get("problems").and_then(|p| p.as_array()).cloned().unwrap_or_default();
    let text = |p: &serde_json::Value, key: &str| {
        p.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned()
    };
    problems
        .iter()
        .map(|p| Trouble {
            subject: text(p, "subject"),
            message: text(p, "message"),
            since: p.get("since").and_then(serde_json::Value::as_i64).unwrap_or(now),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    #[test]
    fn only_what_was_collected_and_is_not_of_the_future_counts_as_a_reading() {
        let current = |system_id, job: &str, times: &[i64]| {
            let row =
                |at: usize| times.get(at).map(|ts| SampleRow { series_id: 1, ts: *ts, value: 1.0 });
            let series = Known {
                id: 1,
                system_id,
                system: "a".to_owned(),
                key: "a".to_owned(),
                name: "a".to_owned(),
                labels: Labels::default(),
                job: job.to_owned(),
                kind: Kind::Gauge,
                unit: String::new(),
                help: String::new(),
            };
            let looks = Box::new([None; LOOKS]);
            Current { series, recent: [row(0), row(1), None, None], stale: false, looks }
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
