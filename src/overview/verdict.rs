//! overview: whether a machine is well, or what is wrong with it and since when. Read from its
//! charts; the daemon's own problems are passed in.

use super::chart::{Bounds, Chart, Level, Line, Term};
use super::columns::read;
use super::holding::{DAY_MS, Finding, HOUR_MS, WIDTH_MS, holds};
use super::mounts::mounts;
use super::rules::{Measure, RULES, SPACE_USED};
use super::silence::{Whose, clock, sign};
use crate::alert::forecast::{Forecast, forecast};
use crate::model::{Range, Unit};
use crate::pipeline::{BEAT, WRITER};
use crate::store::{Reader, SqlError, Want};

/// A problem of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Its subject: `collector filesystem`, `database`.
    pub subject: String,
    /// Since when, ms since 1970 UTC.
    pub since: i64,
    /// Its message.
    pub message: String,
}

/// A machine at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The worst of the findings, or well.
    pub level: Level,
    /// The problems, the worst first.
    pub findings: Vec<Finding>,
    /// When the newest sample was taken, ms since 1970 UTC; of another machine, when it arrived.
    /// Nothing in the last month: none.
    pub newest: Option<i64>,
    /// How much that machine's clock is ahead of this one's, ms; 0 as long as it does not matter.
    pub ahead: i64,
    /// Whether it is another machine that has been silent for so long, or was forgotten, that nobody
    /// is alarmed any more.
    pub gone: bool,
}

impl Verdict {
    /// The verdict behind the machine's name, as the rest of a sentence: `is well`.
    pub fn words(&self) -> String {
        let many = self.findings.len();
        match (self.level, many) {
            _ if self.gone => "is gone".to_owned(),
            _ if self.newest.is_none() && many == 0 => "has no samples yet".to_owned(),
            (Level::Well, _) => "is well".to_owned(),
            (Level::Warning, 1) => "has a warning".to_owned(),
            (Level::Warning, _) => format!("has {many} warnings"),
            (Level::Bad, 1) => "needs you now".to_owned(),
            (Level::Bad, _) => format!("needs you now: {many} problems"),
        }
    }
}

/// The subject of the finding that another machine is silent.
pub const SILENT: &str = "No sample";

/// The length of the past by which a disk's future is judged.
const TREND_MS: i64 = 7 * DAY_MS;

/// Whether the machine with these charts is well at this moment (ms since 1970 UTC). Where no daemon
/// listens, the samples' own times have to tell whether another machine is silent. Fails where the file
/// cannot be read.
pub fn verdict(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    troubles: &[Trouble],
    whose: Whose<'_>,
) -> Result<Verdict, SqlError> {
    let mut findings: Vec<Finding> = troubles
        .iter()
        .map(|t| Finding {
            level: if ["database", BEAT, WRITER].contains(&&*t.subject) {
                Level::Bad
            } else {
                Level::Warning
            },
            subject: t.subject.clone(),
            text: t.message.clone(),
            since: Some(t.since),
            until: None,
            chart: None,
        })
        .collect();
    let sign = sign(reader, charts, now, whose)?;
    // Nothing in the last month, but something before.
    let long_ago = sign.is_none() && !charts.is_empty() && whose != Whose::Ours;
    let gone = long_ago || sign.is_some_and(|sign| sign.gone);
    if let Some(sign) = sign.filter(|sign| sign.silent && !sign.gone) {
        findings.push(Finding {
            level: Level::Bad,
            subject: SILENT.to_owned(),
            text: "received".to_owned(),
            since: Some(sign.at),
            until: None,
            chart: None,
        });
    }
    if let Some(sign) = sign.filter(|sign| !sign.silent) {
        findings.extend(clock(&sign));
        let known = findings.len();
        conditions(reader, charts, now + sign.ahead, troubles, &mut findings)?;
        // Findings carry times of this machine's clock.
        for finding in findings.iter_mut().skip(known) {
            finding.since = finding.since.map(|since| since - sign.ahead);
            finding.until = finding.until.map(|until| until - sign.ahead);
        }
    }
    findings.sort_by_key(|f| std::cmp::Reverse(f.level));
    let level = findings.first().map_or(Level::Well, |f| f.level);
    let (newest, ahead) = (sign.map(|sign| sign.at), sign.map_or(0, |sign| sign.ahead));
    Ok(Verdict { level, findings, newest, ahead, gone })
}

/// The problems in the newest samples; `now` is the time by the machine's own clock.
fn conditions(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    troubles: &[Trouble],
    findings: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    by_rules(reader, charts, now, findings)?;
    mounts(reader, charts, now, findings)?;
    bounds(reader, charts, now, findings)?;
    counts(reader, charts, now, troubles, findings)?;
    for (chart, forecast) in disk_forecasts(reader, charts, now)? {
        let days = forecast.at - now;
        let known = findings
            .iter()
            .any(|f| f.chart.as_ref() == Some(&chart.id) && f.text.ends_with(SPACE_USED));
        if days < 7 * DAY_MS && !known {
            let level = if days < DAY_MS { Level::Bad } else { Level::Warning };
            let text = "will be full soon".to_owned();
            findings.push(about(chart, level, text, None, Some(forecast.at)));
        }
    }
    Ok(())
}

/// The day each disk fills, of those whose past tells.
pub fn disk_forecasts<'a>(
    reader: &Reader,
    charts: &'a [Chart],
    now: i64,
) -> Result<Vec<(&'a Chart, Forecast)>, SqlError> {
    let mut out = Vec::new();
    for chart in charts.iter().filter(|c| c.group.is_empty() && c.left.is_some()) {
        let Some(series) = chart.left else { continue };
        let points = u32::try_from(TREND_MS / HOUR_MS).unwrap_or(168);
        let found = reader.summary(series, now - TREND_MS, now, points, Want::Mean)?;
        let left: Vec<(i64, f64)> = found.iter().map(|b| (b.start, b.mean())).collect();
        if let Some(forecast) = forecast(&left) {
            out.push((chart, forecast));
        }
    }
    Ok(out)
}

fn about(
    chart: &Chart,
    level: Level,
    text: String,
    since: Option<i64>,
    until: Option<i64>,
) -> Finding {
    let subject = match chart.id.as_str() {
        "pressure" => "Pressure".to_owned(),
        _ => chart.title.clone(),
    };
    Finding { level, subject, text, since, until, chart: Some(chart.id.clone()) }
}

/// The problems by the rules.
fn by_rules(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    for rule in RULES {
        for chart in charts.iter().filter(|c| rule.is_about(c)) {
            let Some(measured) = measured(reader, chart, rule.measure, now)? else { continue };
            for (line, each) in measured {
                let beyond = |v: f64| rule.level(v * each) > Level::Well;
                let Some((since, shown)) = holds(reader, &line, now, rule.buckets, beyond)? else {
                    continue;
                };
                let value = shown * each;
                let text = rule.say(chart, &line.name, value, shown);
                out.push(about(chart, rule.level(value), text, Some(since), None));
            }
        }
    }
    Ok(())
}

/// The lines that a rule measures, each with a factor; empty if that is unknown.
fn measured(
    reader: &Reader,
    chart: &Chart,
    measure: Measure,
    now: i64,
) -> Result<Option<Vec<(Line, f64)>>, SqlError> {
    let named = |name: &str| chart.lines.iter().find(|l| l.name == name).cloned();
    Ok(match measure {
        Measure::Each => Some(chart.lines.iter().map(|l| (l.clone(), 1.0)).collect()),
        Measure::Line(name) => named(name).map(|l| vec![(l, 1.0)]),
        Measure::OfMark(name) => {
            let mark = chart.marks.first().map(|(at, _)| *at);
            named(name).zip(mark).map(|(l, mark)| vec![(l, 1.0 / mark)])
        }
        Measure::LeftBeside(name) => {
            let sum = |lines: &mut dyn Iterator<Item = &Line>| {
                let terms: Vec<Term> = lines.flat_map(|l| l.terms.iter().copied()).collect();
                Line { terms, ..Line::of_values(0) }
            };
            let all = sum(&mut chart.lines.iter());
            let left = sum(&mut chart.lines.iter().filter(|l| l.name != name));
            let total = holds(reader, &all, now, 1, |v| v > 0.0)?;
            total.map(|(_, total)| vec![(left, 100.0 / total)])
        }
    })
}

/// Values outside of a plugin's ranges.
fn bounds(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    for chart in charts {
        let unit = Unit::of_word(&chart.unit);
        for line in chart.lines.iter().filter(|l| l.bounds != Bounds::default()) {
            let outside = |v| line.bounds.level(v) > Level::Well;
            if let Some((since, value)) = holds(reader, line, now, 1, outside)? {
                let level = line.bounds.level(value);
                let Bounds { warning, critical } = line.bounds;
                let broken = if level == Level::Bad { critical } else { warning };
                let expected = expected(&broken, &unit);
                let text = format!("{} is {}, {expected}", line.name, unit.format(value));
                out.push(about(chart, level, text, Some(since), None));
            }
        }
    }
    Ok(())
}

/// The expected range of a value that is outside of it.
fn expected(range: &Range, unit: &Unit) -> String {
    match (range.min, range.max) {
        (Some(min), Some(max)) => {
            format!("not from {} to {}", unit.format(min), unit.format(max))
        }
        (Some(min), None) => format!("below {}", unit.format(min)),
        (None, Some(max)) => format!("above {}", unit.format(max)),
        (None, None) => String::new(),
    }
}

/// Collectors that fail, and processes that the kernel ended.
fn counts(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    troubles: &[Trouble],
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    let of = |name: &str| charts.iter().find(|c| c.title == name && !c.group.is_empty());
    if let Some(chart) = of("plimsoll_collect_success") {
        for line in &chart.lines {
            let subject = format!("collector {}", line.name);
            if troubles.iter().any(|t| t.subject == subject) {
                continue;
            }
            if let Some((since, _)) = holds(reader, line, now, 1, |v| v < 0.5)? {
                let text = "fails".to_owned();
                let found = about(chart, Level::Warning, text, Some(since), None);
                out.push(Finding { subject, ..found });
            }
        }
    }
    if let Some(chart) = of("node_vmstat_oom_kill")
        && let Some(line) = chart.lines.first()
    {
        let columns = read(reader, line, now - HOUR_MS, now, WIDTH_MS)?;
        let (killed, first) = if line.rate {
            let killed = columns.mean.iter().map(|v| v * WIDTH_MS as f64 / 1e3).sum();
            (killed, columns.mean.iter().position(|v| *v > 0.0))
        } else {
            // An older plimsoll stored it as a gauge: its increase.
            let grew = |p: &[f64]| (p[1] - p[0]).max(0.0);
            let grown = |at: &[f64]| grew(at) > 0.0;
            let first = columns.mean.windows(2).position(grown).map(|at| at + 1);
            (columns.mean.windows(2).map(grew).sum(), first)
        };
        let killed: f64 = killed;
        if let (true, Some(first)) = (killed >= 0.5, first) {
            let what = if killed < 1.5 { "1 process" } else { "processes" };
            let text = format!("ran out: the kernel ended {what}");
            let found = about(chart, Level::Bad, text, Some(columns.start[first]), None);
            out.push(Finding { subject: "Memory".to_owned(), ..found });
        }
    }
    Ok(())
}
