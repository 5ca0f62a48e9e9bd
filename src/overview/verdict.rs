//! overview: whether a machine is well, or what is wrong with it and since when. Read from its
//! charts; what the daemon itself complains of comes in from outside.

use super::charts::{Bounds, Chart, Line, Term};
use super::columns::read;
use super::forecast::{Forecast, forecast};
use super::mounts::mounts;
use super::rules::{Measure, RULES, SPACE_USED};
use super::silence::{Ear, clock, sign};
use crate::model::{Range, Unit};
use crate::pipeline::{BEAT, WRITER};
use crate::store::{Reader, SqlError, Want};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing to do.
    Well,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Bad,
}

impl Level {
    /// `well`, `warning` or `bad`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Well => "well",
            Level::Warning => "warning",
            Level::Bad => "bad",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How bad it is; never [`Level::Well`].
    pub level: Level,
    /// What it is about: `Memory`, `Disk /home`, `collector hwmon`.
    pub subject: String,
    /// What is wrong with it, as the rest of a sentence.
    pub text: String,
    /// Since when, ms since 1970 UTC, as far as the last day tells.
    pub since: Option<i64>,
    /// When it will have come to an end, for a disk that fills.
    pub until: Option<i64>,
    /// The chart that shows it.
    pub chart: Option<String>,
}

/// What the daemon complains of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is about: `collector filesystem`, `database`.
    pub subject: String,
    /// Since when, ms since 1970 UTC.
    pub since: i64,
    /// What it says.
    pub message: String,
}

/// A machine at a glance.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The worst of the findings, or well.
    pub level: Level,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// When the newest sample was taken, ms since 1970 UTC; of another machine, when it arrived.
    /// Nothing in the last month: none.
    pub newest: Option<i64>,
    /// How much that machine's clock is ahead of this one's, ms; 0 as long as it does not matter.
    pub ahead: i64,
}

impl Verdict {
    /// The verdict behind the machine's name, as the rest of a sentence: `is well`.
    pub fn words(&self) -> String {
        let many = self.findings.len();
        match (self.level, many) {
            _ if self.newest.is_none() && many == 0 => "has no samples yet".to_owned(),
            (Level::Well, _) => "is well".to_owned(),
            (Level::Warning, 1) => "wants a look".to_owned(),
            (Level::Warning, _) => format!("wants a look at {many} things"),
            (Level::Bad, 1) => "needs you now".to_owned(),
            (Level::Bad, _) => format!("needs you now: {many} things are wrong"),
        }
    }
}

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Conditions are looked at in buckets of this width, over a day.
pub(super) const WIDTH_MS: i64 = 5 * MINUTE_MS;
/// What disks will do is judged by so much of their past.
const TREND_MS: i64 = 7 * DAY_MS;
/// Whether the machine with these charts is well at this moment (ms since 1970 UTC). `ear`: how samples
/// of it arrive, if it is another machine and a daemon listens; without that, their own times have to
/// tell whether it is silent. Fails where the file cannot be read.
pub fn verdict(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    troubles: &[Trouble],
    ear: Option<Ear>,
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
    let sign = sign(reader, charts, now, ear)?;
    if let Some(sign) = sign.filter(|sign| sign.silent) {
        findings.push(Finding {
            level: Level::Bad,
            subject: "No sample".to_owned(),
            text: "came since then".to_owned(),
            since: Some(sign.at),
            until: None,
            chart: None,
        });
    }
    if let Some(sign) = sign.filter(|sign| !sign.silent) {
        findings.extend(clock(&sign));
        let known = findings.len();
        conditions(reader, charts, now + sign.ahead, troubles, &mut findings)?;
        // What was found is told by this machine's clock.
        for finding in findings.iter_mut().skip(known) {
            finding.since = finding.since.map(|since| since - sign.ahead);
            finding.until = finding.until.map(|until| until - sign.ahead);
        }
    }
    findings.sort_by_key(|f| std::cmp::Reverse(f.level));
    let level = findings.first().map_or(Level::Well, |f| f.level);
    let (newest, ahead) = (sign.map(|sign| sign.at), sign.map_or(0, |sign| sign.ahead));
    Ok(Verdict { level, findings, newest, ahead })
}

/// What is wrong by the newest samples; `now` is the time by the machine's own clock.
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

/// Since when the condition holds without a break until now, if it has for so many buckets.
pub(super) fn holds(
    reader: &Reader,
    line: &Line,
    now: i64,
    buckets: usize,
    is: impl Fn(f64) -> bool,
) -> Result<Option<(i64, f64)>, SqlError> {
    let columns = read(reader, line, now - DAY_MS, now, WIDTH_MS)?;
    let held = columns.mean.iter().rev().take_while(|v| is(**v)).count();
    let fresh = columns.start.last().is_some_and(|s| now - s < 3 * WIDTH_MS);
    if held < buckets || held == 0 || !fresh {
        return Ok(None);
    }
    let at = columns.mean.len() - held;
    Ok(Some((columns.start[at], columns.mean[columns.mean.len() - 1])))
}

/// What is wrong by the rules.
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

/// What a rule measures: lines, each with what its values are multiplied by; nothing where that is not
/// known.
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

/// What a plugin says is not fine.
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

/// What a plugin expected, for a value that is outside of it.
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
            // Stored as a gauge by an older plimsoll, which did not know better: what it grew by.
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
