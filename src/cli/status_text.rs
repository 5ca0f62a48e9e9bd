//! cli: the text of `plimsoll status`.

use std::io::{self, Write};
use std::path::Path;

use hashbrown::HashSet;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::current::{Current, Daemon, Status, is_own, last_reading};
use super::{screen, show};
use crate::draw::{self, spark};
use crate::model::{Clock, SystemClock, Unit, unit, uptime_ms};
use crate::overview::glance::{Glance, Hour, LOOKS, added};
use crate::overview::{Chart, Finding, Level, Verdict, rules};

/// A system as a person looks at it first.
pub(super) struct View {
    /// Whether it is well.
    pub(super) verdict: Verdict,
    /// The charts of the first view.
    pub(super) glances: Vec<Glance>,
    /// The charts that plugins describe, and what their lines are now; NaN where that is not known.
    pub(super) plugins: Vec<(Chart, Vec<f64>)>,
    /// The series in those, by their numbers in the file.
    pub(super) charted: HashSet<i64>,
}

const NAME_WIDTH: usize = 11;
/// A terminal of fewer letters has no room for the last hour, nor for two rates in a line.
const NARROW: usize = 64;

/// The abilities of the terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Letters across.
    pub(super) width: usize,
    /// Whether there are colours.
    pub(super) colour: bool,
    /// Whether letters may be more than ASCII.
    pub(super) unicode: bool,
    /// Whether a sentence that is longer than a line goes on in the next one.
    pub(super) wraps: bool,
}

pub(super) struct Page<'a, W> {
    pub(super) out: &'a mut W,
    pub(super) width: usize,
    colour: bool,
    pub(super) unicode: bool,
    wraps: bool,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Much {
    /// This machine on one screen, and a line for each other one.
    Screen,
    /// Every series of every machine.
    All,
}

/// The whole page.
pub(super) fn print(
    out: &mut impl Write,
    status: &Status,
    views: &[View],
    path: &Path,
    much: Much,
    look: Look,
) -> io::Result<()> {
    let mut page = Page::new(out, look, look.width.min(100));
    if status.systems.is_empty() {
        let path = draw::clean(&path.to_string_lossy());
        writeln!(page.out, "nothing collected yet in {path}")?;
    }
    let whole = |list: &[Current]| much == Much::All || status.systems.len() == 1 || is_own(list);
    let (full, brief): (Vec<_>, Vec<_>) =
        status.systems.iter().zip(views).partition(|((_, list), _)| whole(list));
    for (i, ((name, list), view)) in full.into_iter().enumerate() {
        if i > 0 {
            writeln!(page.out)?;
        }
        page.head(name, list, status)?;
        page.verdict(&view.verdict)?;
        page.measures(&view.glances)?;
        page.rest(list, view, status.now, much)?;
    }
    page.others(&brief, status.now)?;
    page.daemon(&status.daemon, path)
}

/// One line for a machine.
pub(super) fn short(name: &str, view: &View) -> String {
    let mut line = format!("{} {}", draw::clean(name), view.verdict.words());
    match &*view.verdict.findings {
        [] => {}
        [first, rest @ ..] => {
            line.push_str(&format!(": {}", said(first, &TimeZone::system())));
            if !rest.is_empty() {
                line.push_str(&format!("; and {} more", rest.len()));
            }
        }
    }
    let numbers = numbers(&view.glances);
    if !numbers.is_empty() && !view.verdict.gone {
        line.push_str(&format!(" ({})", numbers.join(", ")));
    }
    line
}

/// The load, the memory in use and the fullest disk, in words.
pub(super) fn numbers(glances: &[Glance]) -> Vec<String> {
    let of = |id: &str| glances.iter().find(|g| g.chart.id == id);
    let percent = |value: f64| Unit::Percent.format(value);
    let load = of("load").map(|g| g.now[0]).filter(|v| !v.is_nan());
    let memory = of("memory").and_then(|g| Some(100.0 * g.now[0] / g.whole?));
    let disks = glances.iter().filter(|g| g.chart.id.starts_with("disk:") && !g.now[0].is_nan());
    let fullest = disks.max_by(|a, b| a.now[0].total_cmp(&b.now[0]));
    let mount = |g: &Glance| draw::clean(g.chart.id.split_once(':').map_or("", |(_, m)| m));
    [
        load.map(|v| format!("load {}", Unit::Plain.format(v))),
        memory.filter(|v| !v.is_nan()).map(|v| format!("memory {} used", percent(v))),
        fullest.map(|g| format!("disk {} used on {}", percent(g.now[0]), mount(g))),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The first view of one system, a chart or a part of it in each line.
pub(super) fn measures(out: &mut impl Write, glances: &[Glance], look: Look) -> io::Result<()> {
    Page::new(out, look, look.width).measures(glances)
}

/// The colour of a verdict or of a value, as a terminal's code; healthy ones are green.
pub(super) fn code(level: Level) -> u8 {
    match level {
        Level::Well => 32,
        Level::Warning => 33,
        Level::Bad => 31,
    }
}

/// A problem, in a sentence.
pub(super) fn said(finding: &Finding, zone: &TimeZone) -> String {
    let mut text = format!("{} {}", finding.subject, finding.text);
    if let Some(since) = finding.since {
        text.push_str(&format!(", since {}", clock(since, zone)));
    }
    if let Some(until) = finding.until {
        text.push_str(&format!(", {}", format(until, zone, "%-d %b %Y")));
    }
    draw::clean(&text)
}

/// A moment: the time of today, with its day otherwise.
pub(super) fn clock(ms: i64, zone: &TimeZone) -> String {
    let today = format(SystemClock.wall_ms(), zone, "%F");
    let how = if format(ms, zone, "%F") == today { "%H:%M:%S" } else { "%-d %b %Y %H:%M" };
    format(ms, zone, how)
}

fn format(ms: i64, zone: &TimeZone, how: &str) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    at.to_zoned(zone.clone()).strftime(how).to_string()
}

/// Disks that have a line of their own; the fullest.
const MOST_DISKS: usize = 5;

/// How full a disk is, in percent, that is shown with a line of its own; those that somebody should look at
/// always are.
fn fullest(glances: &[Glance]) -> f64 {
    let disks = glances.iter().filter(|g| g.chart.id.starts_with("disk:"));
    let mut used: Vec<f64> = disks.map(|g| g.now[0]).filter(|v| !v.is_nan()).collect();
    used.sort_by(|a, b| b.total_cmp(a));
    let least = used.get(MOST_DISKS - 1).copied().unwrap_or(f64::NEG_INFINITY);
    let wrong = glances.iter().filter(|g| {
        g.chart.id.starts_with("disk:") && rules::level_of_share(&g.chart, g.now[0]) > Level::Well
    });
    wrong.map(|g| g.now[0]).fold(least, f64::min)
}

/// Where the page is, by what the daemon says of its services.
fn page_of(answer: &serde_json::Value) -> Option<String> {
    let services = answer.get("services")?.as_array()?;
    let http = services.iter().find(|service| service["name"] == "http")?;
    let place = http["listening"].as_array()?.iter().find_map(|place| place.as_str())?;
    place.starts_with("http").then(|| draw::clean(place))
}

/// The parts of a line's name: `eth0 in` is `in` of `eth0`.
fn direction(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once(' ').filter(|(_, word)| ["in", "out", "read", "written"].contains(word))
}

/// The line, cut to the width of the terminal; colours take no room. `mark` replaces the missing
/// part.
fn cut(line: &str, width: usize, mark: char) -> String {
    if visible(line) <= width {
        return line.to_owned();
    }
    let mut out = String::new();
    let (mut used, mut colour) = (0, false);
    for c in line.chars() {
        if c == '\x1b' {
            colour = true;
        }
        if !colour {
            used += 1;
        }
        if used < width || colour {
            out.push(c);
        } else {
            out.push(mark);
            return out;
        }
        if c == 'm' {
            colour = false;
        }
    }
    out
}

/// The visible letters of a line, without colours.
fn visible(line: &str) -> usize {
    line.split("\x1b[").enumerate().fold(0, |seen, (at, part)| {
        let text = if at == 0 { part } else { part.split_once('m').map_or("", |(_, text)| text) };
        seen + text.chars().count()
    })
}

impl<'a, W: Write> Page<'a, W> {
    fn new(out: &'a mut W, look: Look, width: usize) -> Self {
        let Look { colour, unicode, wraps, .. } = look;
        Page { out, width, colour, unicode, wraps }
    }

    /// The mark for a missing part.
    fn dots(&self) -> char {
        if self.unicode { '…' } else { '~' }
    }

    pub(super) fn cut(&self, line: &str) -> String {
        cut(line, self.width, self.dots())
    }

    pub(super) fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&mut self, name: &str, hour: Hour, rest: &str) -> io::Result<()> {
        let spark = self.spark(hour);
        let line = format!("  {name:<NAME_WIDTH$} {spark}{}", rest.trim_end());
        let line = self.cut(&line);
        writeln!(self.out, "{line}")
    }

    /// A line that ends with the name of its subject. If there is no room for all of it, `more` is
    /// left out, and then the middle of the name, because its end distinguishes names.
    fn named(
        &mut self,
        line: &str,
        hour: Hour,
        rest: &str,
        more: &str,
        name: &str,
    ) -> io::Result<()> {
        let spark = self.spark(hour);
        let taken = 2 + NAME_WIDTH + 1 + visible(&spark) + visible(rest) + 2;
        let fits = taken + visible(more) + visible(name) <= self.width;
        let (more, room) =
            if fits { (more, self.width) } else { ("", self.width.saturating_sub(taken)) };
        let name = draw::cut(name, room);
        let name = if self.unicode { name } else { name.replace('…', "~") };
        self.line(line, hour, &format!("{rest}{more}  {name}"))
    }

    /// The last hour and the room behind it; nothing on a terminal without room for it.
    pub(super) fn spark(&self, hour: Hour) -> String {
        let spark = |values: &[f64]| {
            let (low, high) = spark::bounds(values);
            let text = spark::spark(values, low, high, self.unicode);
            format!("{}  ", self.paint(&text, "36"))
        };
        match self.width {
            ..NARROW => String::new(),
            NARROW..90 => {
                // The larger of the two, so that short bars stay visible.
                let pairs = hour.chunks(2).map(|p| p.iter().copied().fold(f64::NAN, f64::max));
                spark(&pairs.collect::<Vec<f64>>())
            }
            90.. => spark(&hour),
        }
    }

    fn bar(&self, percent: f64, level: Level) -> String {
        let width = if self.width < 90 { 10 } else { 20 };
        let bar = show::bar(percent / 100.0, width, self.unicode);
        let bar = self.paint(&bar, &code(level).to_string());
        format!("{bar} {:>6}", self.value(&Unit::Percent, percent))
    }

    /// A value with its unit; a line below zero goes the other way and is not negative.
    pub(super) fn value(&self, unit: &Unit, value: f64) -> String {
        let size = if *unit == Unit::Celsius { value } else { value.abs() };
        let text = unit.format(size);
        if self.unicode { text } else { text.replace('°', "").replace(['–', '−'], "-") }
    }

    fn measures(&mut self, glances: &[Glance]) -> io::Result<()> {
        let mut before = "";
        let few = fullest(glances);
        for glance in glances.iter().filter(|g| g.now.iter().any(|v| !v.is_nan())) {
            if glance.chart.id.starts_with("disk:") && glance.now[0] < few {
                continue;
            }
            let id = glance.chart.id.split(':').next().unwrap_or_default();
            // The name stands once before all of one kind.
            let name = if id == before { "" } else { id };
            before = id;
            match id {
                "disk" => self.disk(name, glance)?,
                "memory" | "swap" => self.part(name, glance)?,
                "cpu" => self.cpu(name, glance)?,
                "temperature" => self.largest(name, glance)?,
                _ if glance.chart.lines.iter().all(|l| direction(&l.name).is_some()) => {
                    self.directions(name, glance)?;
                }
                _ => self.several(name, glance)?,
            }
        }
        Ok(())
    }

    pub(super) fn in_words(&self, current: &Current) -> String {
        let text = current.in_words();
        if self.unicode {
            text
        } else {
            text.replace('°', "").replace(['–', '−'], "-").replace('µ', "u")
        }
    }

    /// Prints the verdict and the problems.
    fn verdict(&mut self, verdict: &Verdict) -> io::Result<()> {
        let dot = if self.unicode { '●' } else { '*' };
        let code = |level| code(level).to_string();
        let line = self.paint(&format!("{dot} {}", verdict.words()), &code(verdict.level));
        writeln!(self.out, "{line}")?;
        let zone = TimeZone::system();
        for finding in &verdict.findings {
            self.finding(finding, &zone)?;
        }
        Ok(())
    }

    /// A sentence to its end, each of its lines in its colour.
    pub(super) fn finding(&mut self, finding: &Finding, zone: &TimeZone) -> io::Result<()> {
        let text = said(finding, zone);
        let width = if self.wraps { self.width.saturating_sub(4) } else { usize::MAX };
        for (at, line) in screen::wrapped(&text, width).iter().enumerate() {
            let indent = if at == 0 { "  " } else { "    " };
            let line = self.paint(line, &code(finding.level).to_string());
            writeln!(self.out, "{indent}{line}")?;
        }
        Ok(())
    }

    fn head(&mut self, name: &str, list: &[Current], status: &Status) -> io::Result<()> {
        let mut head = self.paint(&draw::clean(name), "1");
        let booted = list.iter().find(|c| c.series.key == "node_boot_time_seconds");
        let booted = booted.and_then(Current::value).filter(|value| !value.is_nan());
        if let Some(up) = booted.and_then(|booted| uptime_ms(booted, status.now)) {
            head.push_str(&format!("  up {}", unit::duration(up)));
        }
        if let Some(newest) = last_reading(list, status.now) {
            let age = status.now - newest;
            let text = format!("last reading {} ago", unit::duration(age));
            let text = if age > 120_000 { self.paint(&text, "33") } else { text };
            head.push_str(&format!("  {text}"));
        }
        writeln!(self.out, "{head}")
    }

    /// Prints the used part of something limited.
    fn part(&mut self, name: &str, glance: &Glance) -> io::Result<()> {
        let (used, hour) = (glance.now[0], glance.hours[0]);
        let Some(whole) = glance.whole.filter(|whole| *whole > 0.0 && !used.is_nan()) else {
            return Ok(());
        };
        let percent = 100.0 * used / whole;
        let text = self.bar(percent, rules::level_of_share(&glance.chart, percent));
        let unit = Unit::of_word(&glance.chart.unit);
        // A share alone could as well be what is free.
        let text = format!("{text} used");
        let of = format!("  {} of {}", self.value(&unit, used), self.value(&unit, whole));
        self.named(name, hour, &text, &of, "")
    }

    fn disk(&mut self, name: &str, glance: &Glance) -> io::Result<()> {
        let (percent, chart) = (glance.now[0], &glance.chart);
        let text = self.bar(percent, rules::level_of_share(chart, percent));
        let left = |left| format!("  {} left", self.value(&Unit::Bytes, left));
        let left = glance.left.map_or(String::new(), left);
        let mount = chart.id.split_once(':').map_or("", |(_, mount)| mount);
        self.named(name, glance.hours[0], &text, &left, &draw::clean(mount))
    }

    fn cpu(&mut self, name: &str, glance: &Glance) -> io::Result<()> {
        let mut modes: Vec<(f64, &str)> =
            glance.now.iter().zip(&glance.chart.lines).map(|(v, l)| (*v, &*l.name)).collect();
        modes.retain(|(percent, _)| *percent >= 0.5);
        modes.sort_by(|a, b| b.0.total_cmp(&a.0));
        let one = |(v, mode): &(f64, &str)| {
            format!("{} {}", draw::clean(mode), self.value(&Unit::Percent, *v))
        };
        // Counters are read one after the other, so all modes together may come to a little more.
        let busy = glance.sum().min(100.0);
        let (mut text, hour) = (self.bar(busy, Level::Well), added(&glance.hours));
        let taken = 2 + NAME_WIDTH + 1 + visible(&self.spark(hour));
        for (at, part) in modes.iter().take(4).map(one).enumerate() {
            let between = if at == 0 { "  " } else { ", " };
            if taken + visible(&text) + between.len() + visible(&part) > self.width {
                break;
            }
            text.push_str(between);
            text.push_str(&part);
        }
        self.line(name, hour, &text)
    }

    /// Each device with both of its directions.
    fn directions(&mut self, name: &str, glance: &Glance) -> io::Result<()> {
        let unit = Unit::of_word(&glance.chart.unit);
        let lines = || glance.chart.lines.iter().zip(&glance.now).zip(&glance.hours);
        let mut devices: Vec<&str> = Vec::new();
        for (device, _) in glance.chart.lines.iter().filter_map(|l| direction(&l.name)) {
            if !devices.contains(&device) {
                devices.push(device);
            }
        }
        let mut name = name;
        for device in devices {
            let own: Vec<(&str, f64, Hour)> = lines()
                .filter_map(|((l, v), hour)| {
                    let (of, word) = direction(&l.name)?;
                    (of == device && !v.is_nan()).then(|| (word, *v, hour.map(f64::abs)))
                })
                .collect();
            // A device that has not moved a byte for an hour is not worth a line.
            let hour = added(own.iter().map(|(_, _, hour)| hour));
            let moves = own.iter().any(|(_, v, _)| *v != 0.0) || hour.iter().any(|v| *v > 0.0);
            if !moves {
                continue;
            }
            let rates: Vec<String> = own
                .iter()
                .map(|(word, v, _)| format!("{:>11} {word}", self.value(&unit, *v)))
                .collect();
            let device = draw::clean(device);
            if let ([first, second], ..NARROW) = (&*rates, self.width) {
                self.named(name, hour, first, "", &device)?;
                self.line("", hour, second)?;
            } else {
                self.named(name, hour, &rates.join("  "), "", &device)?;
            }
            name = "";
        }
        Ok(())
    }

    /// The line of the largest value.
    fn largest(&mut self, name: &str, glance: &Glance) -> io::Result<()> {
        let known = glance.now.iter().enumerate().filter(|(_, v)| !v.is_nan());
        let Some((at, value)) = known.max_by(|a, b| a.1.total_cmp(b.1)) else { return Ok(()) };
        let line = &glance.chart.lines[at].name;
        let level = rules::level(&glance.chart, line, *value);
        let text = self.value(&Unit::of_word(&glance.chart.unit), *value);
        let text = self.coloured(&text, level);
        self.named(name, glance.hours[at], &text, "", &draw::clean(line))
    }

    /// Lines of one kind, those with the largest values where they are many.
    fn several(&mut self, name: &str, glance: &Glance) -> io::Result<()> {
        /// The number of shown lines.
        const MOST: usize = 4;
        let (chart, unit) = (&glance.chart, Unit::of_word(&glance.chart.unit));
        let mut lines: Vec<(&str, f64, &Hour)> = (chart.lines.iter().zip(&glance.now))
            .zip(&glance.hours)
            .map(|((l, v), hour)| (&*l.name, *v, hour))
            .filter(|(_, v, _)| !v.is_nan())
            .collect();
        if lines.len() > MOST {
            lines.sort_by(|a, b| b.1.total_cmp(&a.1));
            lines.truncate(MOST);
        }
        let one = |(line, v, _): &(&str, f64, &Hour)| {
            let value = self.coloured(&self.value(&unit, *v), rules::level(chart, line, *v));
            format!("{} {value}", draw::clean(line))
        };
        let mut parts: Vec<String> = lines.iter().map(one).collect();
        parts.extend(chart.marks.first().map(|(_, word)| word.clone()));
        let hour = lines.first().map_or([f64::NAN; LOOKS], |(_, _, hour)| **hour);
        self.line(name, hour, &parts.join(", "))
    }

    /// Text in the colour of a value's level.
    pub(super) fn coloured(&self, text: &str, level: Level) -> String {
        if level == Level::Well {
            text.to_owned()
        } else {
            self.paint(text, &code(level).to_string())
        }
    }

    fn daemon(&mut self, daemon: &Daemon, path: &Path) -> io::Result<()> {
        writeln!(self.out)?;
        let path = draw::clean(&path.to_string_lossy());
        match daemon {
            Daemon::Stopped => {
                let text = self.paint("not collecting", "33");
                writeln!(self.out, "{text} into {path}; start with 'plimsoll run'")
            }
            Daemon::Unknown(why) => writeln!(self.out, "{}", screen::clean_lines(why)),
            Daemon::Running(answer) => {
                let word = |key: &str| {
                    answer.get(key).map_or(String::new(), |v| match v.as_str() {
                        Some(s) => draw::clean(s),
                        None => v.to_string(),
                    })
                };
                let pid = word("pid");
                let page = page_of(answer);
                let behind = page.as_ref().map_or(String::new(), |page| format!(", {page}"));
                let line = format!("collecting into {path} (pid {pid}){behind}");
                if self.wraps && visible(&line) > self.width {
                    writeln!(self.out, "collecting (pid {pid}) into")?;
                    let path = draw::cut(&path, self.width - 2);
                    let path = if self.unicode { path } else { path.replace('…', "~") };
                    writeln!(self.out, "  {path}")?;
                    page.iter().try_for_each(|page| writeln!(self.out, "  {page}"))?;
                } else {
                    writeln!(self.out, "{line}")?;
                }
                Ok(())
            }
        }
    }
}
