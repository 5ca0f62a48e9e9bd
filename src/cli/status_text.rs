//! cli: how `plimsoll status` looks to a person.

use std::io::{self, Write};
use std::path::Path;

use super::status::{Current, Daemon, LOOKS, Status};
use super::{screen, show, status};
use crate::draw::{self, spark};
use crate::model::{Field, Graph, Kind, uptime_ms};

const NAME_WIDTH: usize = 11;
/// A terminal of fewer letters has no room for the last hour, nor for two rates in a line.
const NARROW: usize = 64;
/// So many fields of a plugin are shown.
const FIELDS: usize = 8;

/// What the terminal can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Letters across.
    pub(super) width: usize,
    /// Whether there are colours.
    pub(super) colour: bool,
    /// Whether letters may be more than ASCII.
    pub(super) unicode: bool,
}

struct Page<'a, W> {
    out: &'a mut W,
    width: usize,
    colour: bool,
    unicode: bool,
}

/// The last hour of something.
type Hour = [f64; LOOKS];

/// What many come to, look by look, as far as they are known.
fn added<'a>(all: impl Iterator<Item = &'a Current>) -> Hour {
    let mut sum = [f64::NAN; LOOKS];
    for hour in all.map(Current::hour) {
        for (sum, value) in sum.iter_mut().zip(hour).filter(|(_, v)| !v.is_nan()) {
            *sum = if sum.is_nan() { value } else { *sum + value };
        }
    }
    sum
}

/// The whole page.
pub(super) fn print(
    out: &mut impl Write,
    status: &Status,
    path: &Path,
    all: bool,
    look: Look,
) -> io::Result<()> {
    let Look { width, colour, unicode } = look;
    let mut page = Page { out, width: width.min(100), colour, unicode };
    if status.systems.is_empty() {
        let path = draw::clean(&path.to_string_lossy());
        writeln!(page.out, "nothing collected yet in {path}")?;
    }
    for (i, (name, list)) in status.systems.iter().enumerate() {
        if i > 0 {
            writeln!(page.out)?;
        }
        page.head(name, list, status)?;
        page.measures(list)?;
        let graphs: Vec<&Graph> =
            status.graphs.iter().filter(|(of, _)| of == name).map(|(_, graph)| graph).collect();
        page.plugins(list, &graphs, all)?;
        page.others(list, &graphs, status.now, all)?;
        page.stale(list, status.now)?;
    }
    page.daemon(&status.daemon, path, status.now)
}

/// The lines of one system that a person looks at first.
pub(super) fn measures(out: &mut impl Write, list: &[Current], look: Look) -> io::Result<()> {
    let Look { width, colour, unicode } = look;
    Page { out, width, colour, unicode }.measures(list)
}

struct System<'a>(&'a [Current]);

impl System<'_> {
    /// Nothing, too, of a series that has ended: its last sample is the mark of that, and no number.
    fn get(&self, key: &str) -> Option<f64> {
        self.0.iter().find(|c| c.series.key == key)?.value().filter(|value| !value.is_nan())
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Current> {
        self.0.iter().filter(move |c| c.series.name == name && !c.stale)
    }

    fn labelled(&self, name: &str, label: &str, value: &str) -> Option<&Current> {
        self.0.iter().find(|c| c.series.name == name && c.label(label).as_deref() == Some(value))
    }
}

/// The line, no wider than the terminal; colours take no room. `mark` stands for what is missing.
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

/// How many letters of a line are seen: colours are not.
fn visible(line: &str) -> usize {
    line.split("\x1b[").enumerate().fold(0, |seen, (at, part)| {
        let text = if at == 0 { part } else { part.split_once('m').map_or("", |(_, text)| text) };
        seen + text.chars().count()
    })
}

impl<W: Write> Page<'_, W> {
    /// What stands where something is left out.
    fn dots(&self) -> char {
        if self.unicode { '…' } else { '~' }
    }

    fn cut(&self, line: &str) -> String {
        cut(line, self.width, self.dots())
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&mut self, name: &str, hour: Hour, rest: &str) -> io::Result<()> {
        let spark = self.spark(hour);
        let line = format!("  {name:<NAME_WIDTH$} {spark}{}", rest.trim_end());
        let line = self.cut(&line);
        writeln!(self.out, "{line}")
    }

    /// The same for a line that ends with the name of what it is about. Where there is no room for all
    /// of it, `more` is left out, and then the middle of the name: its end is what tells names apart.
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
    fn spark(&self, hour: Hour) -> String {
        let spark = |values: &[f64]| {
            let (low, high) = spark::bounds(values);
            let text = spark::spark(values, low, high, self.unicode);
            format!("{}  ", self.paint(&text, "36"))
        };
        match self.width {
            ..NARROW => String::new(),
            NARROW..90 => {
                // The larger of two: what is short should still be seen.
                let pairs = hour.chunks(2).map(|p| p.iter().copied().fold(f64::NAN, f64::max));
                spark(&pairs.collect::<Vec<f64>>())
            }
            90.. => spark(&hour),
        }
    }

    fn bar(&self, share: f64) -> String {
        let text = show::bar(share, if self.width < 90 { 10 } else { 20 }, self.unicode);
        match share {
            s if s >= 0.95 => self.paint(&text, "31"),
            s if s >= 0.85 => self.paint(&text, "33"),
            _ => self.paint(&text, "32"),
        }
    }

    fn measures(&mut self, list: &[Current]) -> io::Result<()> {
        let system = System(list);
        self.load(&system)?;
        self.memory(&system)?;
        self.disks(&system)?;
        self.cpu(&system)?;
        self.rates(&system)?;
        self.temperatures(&system)
    }

    fn head(&mut self, name: &str, list: &[Current], status: &Status) -> io::Result<()> {
        let mut head = self.paint(&draw::clean(name), "1");
        let system = System(list);
        let booted = system.get("node_boot_time_seconds");
        if let Some(up) = booted.and_then(|booted| uptime_ms(booted, status.now)) {
            head.push_str(&format!("  up {}", show::duration(up)));
        }
        if let Some(newest) = status::last_reading(list, status.now) {
            let age = status.now - newest;
            let text = format!("last reading {} ago", show::duration(age));
            let text = if age > 120_000 { self.paint(&text, "33") } else { text };
            head.push_str(&format!("  {text}"));
        }
        writeln!(self.out, "{head}")
    }

    fn load(&mut self, system: &System<'_>) -> io::Result<()> {
        let Some(load5) = system.get("cpu") else { return Ok(()) };
        let mut text = match (system.get("node_load1"), system.get("node_load15")) {
            (Some(one), Some(fifteen)) => {
                format!("{one:.2}  {load5:.2}  {fifteen:.2}   in 1, 5 and 15 min")
            }
            _ => format!("{load5:.2}   in 5 min"),
        };
        if self.width < NARROW {
            let hour = system.0.iter().filter(|c| c.series.key == "cpu").take(1);
            return self.line("load", added(hour), text.split("   in").next().unwrap_or_default());
        }
        let cpus = system
            .named("node_cpu_seconds_total")
            .filter(|c| c.label("mode").as_deref() == Some("idle"))
            .count();
        if cpus > 0 {
            text.push_str(&format!(", {cpus} CPU{}", if cpus == 1 { "" } else { "s" }));
        }
        let hour = system.0.iter().filter(|c| c.series.key == "cpu").take(1);
        self.line("load", added(hour), &text)
    }

    fn memory(&mut self, system: &System<'_>) -> io::Result<()> {
        let Some(available) = system.get("memory") else { return Ok(()) };
        let text = format!("{} {:3.0} %", self.bar(1.0 - available), (1.0 - available) * 100.0);
        let used = |used: f64, total: f64| {
            format!("  {} of {} used", show::binary_bytes(used), show::binary_bytes(total))
        };
        let total = system.get("node_memory_MemTotal_bytes");
        let more = total.map_or(String::new(), |total| used(total * (1.0 - available), total));
        let hour = added(system.0.iter().filter(|c| c.series.key == "memory").take(1));
        self.named("memory", hour.map(|available| 1.0 - available), &text, &more, "")?;
        let swap = system.get("node_memory_SwapTotal_bytes").filter(|t| *t > 0.0);
        if let Some((total, free)) = swap.zip(system.get("node_memory_SwapFree_bytes")) {
            let share = 1.0 - free / total;
            let text = format!("{} {:3.0} %", self.bar(share), share * 100.0);
            let more = used(total - free, total);
            let key = |key| added(system.0.iter().filter(move |c| c.series.key == key).take(1));
            let hour = key("node_memory_SwapFree_bytes").map(|free| total - free);
            self.named("swap", hour, &text, &more, "")?;
        }
        Ok(())
    }

    fn disks(&mut self, system: &System<'_>) -> io::Result<()> {
        let mut name = "disk";
        for disk in system.named("disk") {
            let (Some(mount), Some(percent)) = (disk.label("mountpoint"), disk.value()) else {
                continue;
            };
            let text = format!("{} {percent:3.0} %", self.bar(percent / 100.0));
            let part =
                |metric| system.labelled(metric, "mountpoint", &mount).and_then(Current::value);
            let sizes = part("node_filesystem_size_bytes").zip(part("node_filesystem_free_bytes"));
            let more = sizes.map_or(String::new(), |(size, free)| {
                format!("  {} of {} used", show::bytes(size - free), show::bytes(size))
            });
            self.named(name, disk.hour(), &text, &more, &mount)?;
            name = "";
        }
        Ok(())
    }

    fn cpu(&mut self, system: &System<'_>) -> io::Result<()> {
        let mut modes: Vec<(String, f64)> = Vec::new();
        for c in system.named("node_cpu_seconds_total") {
            let (Some(mode), Some(rate)) = (c.label("mode"), c.rate()) else { continue };
            match modes.iter_mut().find(|(m, _)| *m == mode) {
                Some((_, sum)) => *sum += rate,
                None => modes.push((mode, rate)),
            }
        }
        let all: f64 = modes.iter().map(|(_, r)| r).sum();
        if all <= 0.0 {
            return Ok(());
        }
        let idle: f64 = modes.iter().filter(|(m, _)| m == "idle").map(|(_, r)| r).sum();
        let busy = 1.0 - idle / all;
        modes.retain(|(m, r)| m != "idle" && *r / all >= 0.005);
        modes.sort_by(|a, b| b.1.total_cmp(&a.1));
        let parts: Vec<String> =
            modes.iter().take(4).map(|(m, r)| format!("{m} {:.0} %", r / all * 100.0)).collect();
        let text = format!("{} {:3.0} %  {}", self.bar(busy), busy * 100.0, parts.join(", "));
        let all = || system.named("node_cpu_seconds_total");
        let is_idle = |c: &&Current| c.label("mode").as_deref() == Some("idle");
        let (idle, all) = (added(all().filter(is_idle)), added(all()));
        let hour = std::array::from_fn(|i| 1.0 - idle[i] / all[i]);
        self.line("cpu", hour, &text)
    }

    fn rates(&mut self, system: &System<'_>) -> io::Result<()> {
        for (title, from, to, from_word, to_word, idle) in [
            (
                "network",
                "node_network_receive_bytes_total",
                "node_network_transmit_bytes_total",
                "in",
                "out",
                "lo",
            ),
            (
                "disk i/o",
                "node_disk_read_bytes_total",
                "node_disk_written_bytes_total",
                "read",
                "written",
                "",
            ),
        ] {
            let mut name = title;
            for c in system.named(from) {
                let Some(device) = c.label("device").filter(|d| d != idle) else { continue };
                let other = system.labelled(to, "device", &device);
                let rates = c.rate().zip(other.and_then(Current::rate));
                let Some((a, b)) = rates else { continue };
                // A device that has never moved a byte is not worth a line.
                if c.value() == Some(0.0) && b == 0.0 {
                    continue;
                }
                let rate =
                    |rate, word| format!("{:>11} {word}", format!("{}/s", show::bytes(rate)));
                let hour = added(std::iter::once(c).chain(other));
                if self.width < NARROW {
                    self.named(name, hour, &rate(a, from_word), "", &device)?;
                    self.line("", hour, &rate(b, to_word))?;
                } else {
                    let both = format!("{}  {}", rate(a, from_word), rate(b, to_word));
                    self.named(name, hour, &both, "", &device)?;
                }
                name = "";
            }
        }
        Ok(())
    }

    fn temperatures(&mut self, system: &System<'_>) -> io::Result<()> {
        let hottest = system
            .named("node_hwmon_temp_celsius")
            .filter_map(|c| Some((c.value()?, c.label("chip")?, c.label("sensor")?, c.hour())))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match hottest {
            Some((t, chip, sensor, hour)) => {
                let degrees = if self.unicode { "°C" } else { "C" };
                let rest = format!("{t:.0} {degrees}");
                self.named("hottest", hour, &rest, "", &format!("{chip} {sensor}"))
            }
            None => Ok(()),
        }
    }

    /// What plugins measure, under their titles; of large ones the first few fields, and not the
    /// single parts (`diskstats_latency.sda`) of what is summed up above them.
    fn plugins(&mut self, list: &[Current], graphs: &[&Graph], all: bool) -> io::Result<()> {
        let part = |g: &Graph| g.id.splitn(3, '/').nth(2).is_some_and(|name| name.contains('.'));
        // Those that are only there to be drawn mirrored belong to another.
        let other = |g: &Graph, f: &Field| {
            !f.drawn && !g.fields.iter().any(|above| above.negative == f.name)
        };
        let mut began = false;
        for graph in graphs.iter().filter(|g| all || !part(g)) {
            let current = |f: &Field| list.iter().find(|c| c.series.key == *f.series && !c.stale);
            let rows: Vec<(&Field, &Current)> =
                (graph.fields.iter().filter(|f| all || !other(graph, f)))
                    .filter_map(|f| Some((f, current(f)?)))
                    .collect();
            if rows.is_empty() {
                continue;
            }
            if !began {
                writeln!(self.out)?;
                began = true;
            }
            let head = self.paint(&draw::clean(&graph.title), "1");
            let unit = if graph.unit.is_empty() { "" } else { ", " };
            let head = format!("  {head}{unit}{}", draw::clean(&graph.unit));
            let head = self.cut(&head);
            writeln!(self.out, "{head}")?;
            let most = if all { rows.len() } else { FIELDS };
            for (field, c) in rows.iter().take(most) {
                let value = match c.series.kind {
                    Kind::Counter => c.rate(),
                    Kind::Gauge => c.value(),
                };
                let per = if c.series.kind == Kind::Counter { "/s" } else { "" };
                let text = match value {
                    Some(value) => {
                        let text = format!("{}{per}", show::value(value));
                        let text = format!("{text:>14}");
                        match () {
                            () if !field.critical.holds(value) => self.paint(&text, "31"),
                            () if !field.warning.holds(value) => self.paint(&text, "33"),
                            () => text,
                        }
                    }
                    None => format!("{:>14}", self.dots()),
                };
                let label = draw::clean(&field.label);
                let line = self.cut(&format!("  {text}  {label}"));
                writeln!(self.out, "{line}")?;
            }
            if rows.len() > most {
                let more = rows.len() - most;
                writeln!(self.out, "  {:>14}  {more} more (plimsoll status --all)", "")?;
            }
        }
        Ok(())
    }

    /// What was pushed, and with --all everything.
    fn others(
        &mut self,
        list: &[Current],
        graphs: &[&Graph],
        now: i64,
        all: bool,
    ) -> io::Result<()> {
        let charted = |c: &Current| {
            graphs.iter().any(|g| g.fields.iter().any(|f| *f.series == *c.series.key))
        };
        let own = |c: &Current| c.series.job == "node" || c.series.job == "munin" && charted(c);
        let shown = |c: &&Current| all || !own(c) && !c.stale;
        let mut rows = list.iter().filter(shown).peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        writeln!(self.out)?;
        for c in rows {
            let text = match (c.series.kind, c.rate(), c.value()) {
                (Kind::Counter, Some(rate), _) => format!("{}/s", show::value(rate)),
                (_, _, Some(value)) => show::value(value),
                _ => "no sample".to_owned(),
            };
            let age = match c.newest {
                Some(newest) if c.stale => format!("  {} ago", show::duration(now - newest.ts)),
                _ => String::new(),
            };
            let spark = self.spark(c.hour());
            writeln!(self.out, "  {text:>14}  {spark}{}{age}", draw::clean(&c.series.key))?;
        }
        Ok(())
    }

    fn stale(&mut self, list: &[Current], now: i64) -> io::Result<()> {
        let stale: Vec<&Current> = list.iter().filter(|c| c.stale).collect();
        if stale.is_empty() || stale.len() == list.len() {
            return Ok(());
        }
        writeln!(self.out)?;
        let head = self.paint("stale", "33");
        writeln!(self.out, "  {head}")?;
        for c in stale.iter().take(8) {
            let age = c.newest.map_or("never".to_owned(), |n| show::duration(now - n.ts) + " ago");
            writeln!(self.out, "  {age:>14}  {}", draw::clean(&c.series.key))?;
        }
        if stale.len() > 8 {
            writeln!(self.out, "  {:>14}  {} more (plimsoll status --all)", "", stale.len() - 8)?;
        }
        Ok(())
    }

    fn daemon(&mut self, daemon: &Daemon, path: &Path, now: i64) -> io::Result<()> {
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
                let listening = answer.get("listening").is_some_and(|l| l.is_string());
                let page = listening.then(|| format!("http://{}", word("listening")));
                if self.width < NARROW {
                    writeln!(self.out, "collecting (pid {pid}) into")?;
                    let path = draw::cut(&path, self.width - 2);
                    let path = if self.unicode { path } else { path.replace('…', "~") };
                    writeln!(self.out, "  {path}")?;
                    page.iter().try_for_each(|page| writeln!(self.out, "  {page}"))?;
                } else {
                    let page = page.map_or(String::new(), |page| format!(", {page}"));
                    writeln!(self.out, "collecting into {path} (pid {pid}){page}")?;
                }
                let none = Vec::new();
                for p in answer.get("problems").and_then(|p| p.as_array()).unwrap_or(&none) {
                    let part = |key: &str| {
                        draw::clean(p.get(key).and_then(|v| v.as_str()).unwrap_or_default())
                    };
                    let since = p.get("since").and_then(serde_json::Value::as_i64).unwrap_or(now);
                    let what = self.paint(&part("subject"), "31");
                    let ago = show::duration(now - since);
                    writeln!(self.out, "{what}: {} (for {ago})", part("message"))?;
                }
                Ok(())
            }
        }
    }
}
