//! overview: whether a machine is silent, and whether its clock is right. Samples carry the time of
//! their sender's clock, so of another machine it is their arrival that counts.

use super::chart::{Chart, Level, Term};
use super::holding::Finding;
use crate::pipeline::Arrival;
use crate::store::{Reader, SqlError, Want};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The number of its own beats after which a machine is silent; see also the least time.
const SILENT_BEATS: i64 = 4;
const SILENT_MS: i64 = 45_000;
/// Samples cannot come from the future: beyond this, a clock is ahead.
const AHEAD_MS: i64 = 5_000;
/// After so long without a sign a machine is gone, and nobody is alarmed any more.
const GONE_MS: i64 = 14 * DAY_MS;
/// The kind of the event that says that a machine is gone; a sample that comes later says it is back.
pub const FORGET: &str = "forget";
/// Samples may have waited: only beyond this they are reported.
const BEHIND_MS: i64 = 60_000;

/// The daemon's knowledge about the samples of another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ear {
    /// When the daemon was started, ms since 1970 UTC.
    pub started: i64,
    /// How they arrived since then; nothing if none has.
    pub arrival: Option<Arrival>,
}

/// Whose machine it is that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// The one that plimsoll runs on.
    Ours,
    /// Another one, by its name; with how samples of it arrive, if a daemon listens.
    Other(&'a str, Option<Ear>),
}

/// A machine's last sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sign {
    /// When it was, ms since 1970 UTC by this machine's clock.
    pub(super) at: i64,
    /// Whether that is too long ago.
    pub(super) silent: bool,
    /// Whether it is another machine that is gone for good: silent for long, or forgotten since.
    pub(super) gone: bool,
    /// How much the machine's clock is ahead of this one's, ms; 0 as long as it does not matter.
    pub(super) ahead: i64,
}

/// The last sign of life; nothing at all in the last month: none.
pub(super) fn sign(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    whose: Whose<'_>,
) -> Result<Option<Sign>, SqlError> {
    let (name, ear) = match whose {
        Whose::Ours => return heard(reader, charts, now, None),
        Whose::Other(name, ear) => (name, ear),
    };
    let Some(mut sign) = heard(reader, charts, now, ear)? else { return Ok(None) };
    if sign.silent {
        let forgotten = || -> Result<bool, SqlError> {
            let events = reader.events(name, sign.at, i64::MAX, MOST_EVENTS)?;
            Ok(events.iter().any(|event| event.kind == FORGET))
        };
        sign.gone = now - sign.at > GONE_MS || forgotten()?;
    }
    Ok(Some(sign))
}

/// Events of a silent machine that are looked through.
const MOST_EVENTS: u32 = 1_000;

fn heard(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    ear: Option<Ear>,
) -> Result<Option<Sign>, SqlError> {
    let Some(Ear { started, arrival }) = ear else {
        let (newest, longest) = newest(reader, charts, now)?;
        return Ok(newest.map(|at| Sign { at, silent: now - at > longest, gone: false, ahead: 0 }));
    };
    if let Some(Arrival { at, every, ahead }) = arrival {
        let ahead = if (-BEHIND_MS..=AHEAD_MS).contains(&ahead) { 0 } else { ahead };
        let (_, longest) = newest(reader, charts, now + ahead)?;
        let longest = longest.min(2 * HOUR_MS).max(SILENT_BEATS * every);
        // The clock may have been set back meanwhile.
        let at = at.min(now);
        return Ok(Some(Sign { at, silent: now - at > longest, gone: false, ahead }));
    }
    // It has not sent since the start. Its samples from before may have any time.
    let (found, longest) = newest(reader, charts, now)?;
    let newest = match found {
        Some(newest) => Some(newest),
        None => in_future(reader, charts, now)?,
    };
    Ok(newest.map(|newest| {
        let recent = newest > now || (started - HOUR_MS..started).contains(&newest);
        let at = if recent { started.min(now) } else { newest };
        Sign { at, silent: now - at > longest, gone: false, ahead: 0 }
    }))
}

/// A clock that is wrong is a finding.
pub(super) fn clock(sign: &Sign) -> Option<Finding> {
    let text = match sign.ahead {
        0 => return None,
        ahead if ahead > 0 => format!("is {} ahead of this machine's", rough(ahead)),
        behind => {
            format!("may be behind: the newest samples are {} old when they arrive", rough(-behind))
        }
    };
    Some(Finding {
        level: Level::Warning,
        subject: "Its clock".to_owned(),
        text,
        since: None,
        until: None,
        chart: None,
    })
}

/// A time in its largest unit.
fn rough(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The series by which a machine is known to be alive: those of the first line of each chart. A line has
/// several where two jobs bring the same name.
fn signs(charts: &[Chart]) -> impl Iterator<Item = &Term> {
    charts.iter().filter_map(|chart| chart.lines.first()).flat_map(|line| &line.terms)
}

/// When the newest sample was taken by its own time, and after how long without one a machine is
/// silent.
fn newest(reader: &Reader, charts: &[Chart], now: i64) -> Result<(Option<i64>, i64), SqlError> {
    // Clocks of senders may be ahead.
    let (mut newest, mut beat) = between(reader, charts, now - HOUR_MS, now + HOUR_MS)?;
    if newest.is_none() {
        for term in signs(charts).take(8) {
            let from = now - 30 * DAY_MS;
            let found = reader.summary(term.series, from, now, 720, Want::Mean)?;
            newest = newest.max(found.last().map(|b| b.last_ts));
        }
        // How often it came while it did.
        beat = match newest {
            Some(newest) => between(reader, charts, newest - HOUR_MS, newest + HOUR_MS)?.1,
            None => 0,
        };
    }
    let longest = match beat {
        // Beats of half an hour and more are normal.
        0 if newest.is_none_or(|newest| now - newest > HOUR_MS) => 2 * HOUR_MS,
        beat => (SILENT_BEATS * beat).max(SILENT_MS),
    };
    Ok((newest, longest))
}

/// The newest sample of a range, and the usual distance between two of one series; 0 without any.
fn between(
    reader: &Reader,
    charts: &[Chart],
    from: i64,
    to: i64,
) -> Result<(Option<i64>, i64), SqlError> {
    let (mut newest, mut beat) = (None, 0);
    for term in signs(charts).take(4) {
        let (ts, _) = reader.samples(term.series, from, to)?;
        let mut distances: Vec<i64> = ts.windows(2).map(|p| p[1] - p[0]).collect();
        if !distances.is_empty() {
            let middle = distances.len() / 2;
            beat = beat.max(*distances.select_nth_unstable(middle).1);
        }
        newest = newest.max(ts.last().copied());
    }
    Ok((newest, beat))
}

/// The newest sample of a machine whose clock is far ahead.
fn in_future(reader: &Reader, charts: &[Chart], now: i64) -> Result<Option<i64>, SqlError> {
    let mut newest = None;
    for term in signs(charts).take(4) {
        let (ts, _) = reader.samples(term.series, now, i64::MAX)?;
        newest = newest.max(ts.last().copied());
    }
    Ok(newest)
}
