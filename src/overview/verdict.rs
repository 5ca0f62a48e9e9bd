//! overview: whether a machine is well, or what is wrong with it and since when. Read from its
//! charts; what the daemon itself complains of comes in from outside.

use super::charts::{Bounds, Chart, Line, Term};
use super::columns::read;
use super::forecast::{Forecast, forecast};
use super::mounts::mounts;
use super::silence::{Ear, clock, sign};
use crate::model::Range;
use crate::pipeline::BEAT;
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

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Conditions are looked at in buckets of this width, over a day.
pub(super) const WIDTH_MS: i64 = 5 * MINUTE_MS;
/// What disks will do is judged by so much of their past.
const TREND_MS: i64 = 7 * DAY_MS;
/// What is too much of a line: chart, line (empty: each of them), warning and bad from here on, how
/// many five minutes it has to hold.
struct Limit {
    chart: &'static str,
    line: &'static str,
    warning: f64,
    bad: f64,
    buckets: usize,
    /// More than this is no reading.
    most: f64,
    say: fn(&str, f64) -> String,
}

/// How a finding about space ends.
const SPACE_USED: &str = " % used";

/// No sensor of a computer that works shows more, in degrees.
const HOTTEST: f64 = 300.0;

const LIMITS: [Limit; 5] = [
    Limit {
        chart: "disk",
        line: "",
        warning: 90.0,
        bad: 97.0,
        buckets: 1,
        most: f64::INFINITY,
        say: |_, v| format!("{v:.0}{SPACE_USED}"),
    },
    Limit {
        chart: "pressure",
        line: "memory",
        warning: 10.0,
        bad: 40.0,
        buckets: 2,
        most: f64::INFINITY,
        say: |_, v| format!("tasks wait for memory {v:.0} % of the time"),
    },
    Limit {
        chart: "pressure",
        line: "disks",
        warning: 50.0,
        bad: 90.0,
        buckets: 2,
        most: f64::INFINITY,
        say: |_, v| format!("tasks wait for disks {v:.0} % of the time"),
    },
    Limit {
        chart: "pressure",
        line: "CPU",
        warning: 60.0,
        bad: 95.0,
        buckets: 2,
        most: f64::INFINITY,
        say: |_, v| format!("tasks wait for a CPU {v:.0} % of the time"),
    },
    Limit {
        chart: "temperature",
        line: "",
        warning: 90.0,
        bad: 100.0,
        buckets: 2,
        most: HOTTEST,
        say: |name, v| format!("{name} is at {v:.0} °C"),
    },
];

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
            level: if ["database", BEAT].contains(&&*t.subject) {
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
    limits(reader, charts, now, findings)?;
    mounts(reader, charts, now, findings)?;
    bounds(reader, charts, now, findings)?;
    load(reader, charts, now, findings)?;
    memory(reader, charts, now, findings)?;
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

fn limits(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    for limit in &LIMITS {
        let of = |c: &&Chart| c.id.split(':').next() == Some(limit.chart) && c.group.is_empty();
        for chart in charts.iter().filter(of) {
            let lines =
                chart.lines.iter().filter(|l| limit.line.is_empty() || l.name == limit.line);
            for line in lines {
                let too_much = |v| v >= limit.warning && v <= limit.most;
                let held = holds(reader, line, now, limit.buckets, too_much)?;
                if let Some((since, value)) = held {
                    let level = if value >= limit.bad { Level::Bad } else { Level::Warning };
                    let text = (limit.say)(&line.name, value);
                    out.push(about(chart, level, text, Some(since), None));
                }
            }
        }
    }
    Ok(())
}

/// What a plugin says is not fine.
fn bounds(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    for chart in charts {
        for line in chart.lines.iter().filter(|l| l.bounds != Bounds::default()) {
            let Bounds { warning, critical } = line.bounds;
            let outside = |v| !warning.holds(v) || !critical.holds(v);
            if let Some((since, value)) = holds(reader, line, now, 1, outside)? {
                let level = if critical.holds(value) { Level::Warning } else { Level::Bad };
                let broken = if level == Level::Bad { critical } else { warning };
                let text = format!("{} is {}, {}", line.name, short(value), expected(&broken));
                out.push(about(chart, level, text, Some(since), None));
            }
        }
    }
    Ok(())
}

/// Three digits or so.
fn short(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{}", (value * 100.0).round() / 100.0)
    }
}

fn expected(range: &Range) -> String {
    match (range.min, range.max) {
        (Some(min), Some(max)) => format!("not from {min} to {max}"),
        (Some(min), None) => format!("below {min}"),
        (None, Some(max)) => format!("above {max}"),
        (None, None) => String::new(),
    }
}

/// Load beyond the CPUs that there are: twice as much for a while, or four times.
fn load(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    let Some(chart) = charts.iter().find(|c| c.id == "load") else { return Ok(()) };
    let Some((cpus, word)) = chart.marks.first() else { return Ok(()) };
    let Some(line) = chart.lines.iter().find(|l| l.name == "5 min") else { return Ok(()) };
    if let Some((since, value)) = holds(reader, line, now, 2, |v| v > 2.0 * cpus)? {
        let level = if value > 4.0 * cpus { Level::Bad } else { Level::Warning };
        let text = format!("is {value:.1} on {word}");
        out.push(about(chart, level, text, Some(since), None));
    }
    Ok(())
}

/// Memory that programs could still get.
fn memory(
    reader: &Reader,
    charts: &[Chart],
    now: i64,
    out: &mut Vec<Finding>,
) -> Result<(), SqlError> {
    let Some(chart) = charts.iter().find(|c| c.id == "memory") else { return Ok(()) };
    let line = |names: &[&str]| {
        let chosen = chart.lines.iter().filter(|l| names.contains(&&*l.name));
        let terms: Vec<Term> = chosen.flat_map(|l| l.terms.iter().copied()).collect();
        Line { name: String::new(), rate: false, down: false, terms, bounds: Bounds::default() }
    };
    let all = line(&["used", "cache", "free"]);
    let Some((_, total)) = holds(reader, &all, now, 1, |v| v > 0.0)? else { return Ok(()) };
    let left = line(&["cache", "free"]);
    if let Some((since, value)) = holds(reader, &left, now, 1, |v| v < total * 0.1)? {
        let share = 100.0 * value / total;
        let level = if share < 4.0 { Level::Bad } else { Level::Warning };
        out.push(about(chart, level, format!("{share:.0} % left"), Some(since), None));
    }
    Ok(())
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
