//! cli: the part of `plimsoll status` below the first view: values of plugins, pushed values, stale series,
//! and other machines. Parts without problems are counted; `--all` shows each.

use std::io::{self, Write};

use hashbrown::HashSet;
use jiff::tz::TimeZone;

use super::current::Current;
use super::status_text::{Much, Page, View, code, numbers};
use crate::draw;
use crate::model::{Unit, unit};
use crate::overview::{Chart, Level, gloss};

/// Pushed values that have a line of their own.
const MOST_PUSHED: usize = 8;
/// Stale series that are named.
const MOST_STALE: usize = 3;
/// What the lines that count begin with is so wide.
const NAME_WIDTH: usize = 11;

/// A system and what is known of it.
type System<'a> = (&'a (String, Vec<Current>), &'a View);

/// Whether a series says if a plugin or a node answers.
fn is_up(current: &Current) -> bool {
    current.series.name == "up"
}

impl<W: Write> Page<'_, W> {
    /// All that stands below the first view of one system.
    pub(super) fn rest(
        &mut self,
        list: &[Current],
        view: &View,
        now: i64,
        much: Much,
    ) -> io::Result<()> {
        if much == Much::All {
            self.plugins(&view.plugins)?;
            self.series(list, now)?;
            return self.stale(list, now);
        }
        let out: Vec<&(Chart, Vec<f64>)> =
            view.plugins.iter().filter(|(chart, now)| worst(chart, now) > Level::Well).collect();
        for (chart, now) in out {
            self.out_of_bounds(chart, now)?;
        }
        let pushed = pushed(list, &view.charted);
        if !view.plugins.is_empty() || list.iter().any(is_up) || !pushed.is_empty() {
            writeln!(self.out)?;
        }
        self.counted(list, &view.plugins)?;
        self.pushed(&pushed)?;
        self.stale(list, now)
    }

    /// A line that counts.
    fn count(&mut self, name: &str, text: &str) -> io::Result<()> {
        let line = self.cut(&format!("  {name:<NAME_WIDTH$} {text}"));
        writeln!(self.out, "{line}")
    }

    /// How many plugins answer, and how many of their charts are as they should be.
    fn counted(&mut self, list: &[Current], plugins: &[(Chart, Vec<f64>)]) -> io::Result<()> {
        let asked: Vec<&Current> =
            list.iter().filter(|c| is_up(c) && c.series.labels.get("plugin").is_some()).collect();
        let silent: Vec<&str> = asked
            .iter()
            .filter(|c| c.stale || c.value() == Some(0.0))
            .map(|c| c.series.key.split('"').nth(1).unwrap_or_default())
            .collect();
        let shown = plugins.iter().filter(|(_, now)| now.iter().any(|v| !v.is_nan())).count();
        if asked.is_empty() && shown == 0 {
            return Ok(());
        }
        let out = plugins.iter().filter(|(chart, now)| worst(chart, now) > Level::Well).count();
        let mut parts = Vec::new();
        if !asked.is_empty() {
            let answer = asked.len() - silent.len();
            parts.push(if silent.is_empty() {
                format!("{answer} answer")
            } else {
                format!("{answer} of {} answer", asked.len())
            });
        }
        if shown > 0 {
            let well = if out == 0 {
                ", all within limits".into()
            } else {
                format!(", {out} not within limits")
            };
            parts.push(format!("{shown} charts{well}"));
        }
        parts.push("--all shows them".to_owned());
        self.count("plugins", &parts.join("; "))?;
        if !silent.is_empty() {
            let few: Vec<String> = silent.iter().take(6).map(|name| draw::clean(name)).collect();
            let more = if silent.len() > few.len() { ", …" } else { "" };
            let text = format!("no answer of {}{more}", few.join(", "));
            let text = self.coloured(&text, Level::Warning);
            self.count("", &text)?;
        }
        Ok(())
    }

    /// The lines of a chart that are outside of their limits.
    fn out_of_bounds(&mut self, chart: &Chart, now: &[f64]) -> io::Result<()> {
        let head = self.paint(&draw::clean(&chart.title), "1");
        let head = self.cut(&format!("  {head}"));
        writeln!(self.out, "{head}")?;
        let unit = Unit::of_word(&chart.unit);
        for (line, value) in chart.lines.iter().zip(now) {
            let level = line.bounds.level(*value);
            if level > Level::Well {
                let text = format!("{:>14}", self.value(&unit, *value));
                let text = self.coloured(&text, level);
                let line = self.cut(&format!("  {text}  {}", draw::clean(&line.name)));
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(())
    }

    /// What plugins measure, under their titles.
    fn plugins(&mut self, plugins: &[(Chart, Vec<f64>)]) -> io::Result<()> {
        let mut began = false;
        for (chart, now) in plugins.iter().filter(|(_, now)| now.iter().any(|v| !v.is_nan())) {
            if !began {
                writeln!(self.out)?;
                began = true;
            }
            let head = self.paint(&draw::clean(&chart.title), "1");
            let head = self.cut(&format!("  {head}"));
            writeln!(self.out, "{head}")?;
            let unit = Unit::of_word(&chart.unit);
            for (line, value) in chart.lines.iter().zip(now) {
                let text = format!("{:>14}", self.value(&unit, *value));
                let text = self.coloured(&text, line.bounds.level(*value));
                let line = self.cut(&format!("  {text}  {}", draw::clean(&line.name)));
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(())
    }

    /// What was pushed: some of it, the others are counted.
    fn pushed(&mut self, pushed: &[&Current]) -> io::Result<()> {
        for current in pushed.iter().take(MOST_PUSHED) {
            self.one(current, "")?;
        }
        let more = pushed.len().saturating_sub(MOST_PUSHED);
        if more > 0 {
            writeln!(self.out, "  {:>16}  {more} more that were sent; --all shows them", "")?;
        }
        Ok(())
    }

    /// Every series.
    fn series(&mut self, list: &[Current], now: i64) -> io::Result<()> {
        if !list.is_empty() {
            writeln!(self.out)?;
        }
        for current in list {
            let age = match current.newest() {
                Some(newest) if current.stale => {
                    format!("  {} ago", unit::duration(now - newest.ts))
                }
                _ => String::new(),
            };
            let gloss = gloss(&current.series.key).map_or(String::new(), |g| format!("  ({g})"));
            self.one(current, &format!("{gloss}{age}"))?;
        }
        Ok(())
    }

    fn one(&mut self, current: &Current, behind: &str) -> io::Result<()> {
        let (text, spark) = (self.in_words(current), self.spark(current.hour()));
        let key = draw::clean(&current.series.key);
        writeln!(self.out, "  {text:>16}  {spark}{key}{behind}")
    }

    /// Series that have no new samples: a few by name, many counted.
    fn stale(&mut self, list: &[Current], now: i64) -> io::Result<()> {
        // Counts of plimsoll itself are there while there is something to count.
        let own = |c: &Current| c.series.job == "node" && c.series.name.starts_with("plimsoll_");
        let stale: Vec<&Current> = list.iter().filter(|c| c.stale && !own(c)).collect();
        if stale.is_empty() || stale.len() == list.len() {
            return Ok(());
        }
        let head = self.paint("stale", "33");
        let pad = " ".repeat(NAME_WIDTH - "stale".len());
        if stale.len() > MOST_STALE {
            let line = format!(
                "  {head}{pad} {} series have no new samples; --all shows them",
                stale.len()
            );
            let line = self.cut(&line);
            return writeln!(self.out, "{line}");
        }
        for (at, current) in stale.into_iter().enumerate() {
            let age = current.newest().map_or("never written".to_owned(), |n| {
                format!("{} ago", unit::duration(now - n.ts))
            });
            let head = if at == 0 { format!("{head}{pad}") } else { " ".repeat(NAME_WIDTH) };
            let key = draw::clean(&current.series.key);
            let line = self.cut(&format!("  {head} {age}  {key}"));
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    /// Other machines, a line each and what is wrong with them; those that are gone come last.
    pub(super) fn others(&mut self, all: &[System<'_>], now: i64) -> io::Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        writeln!(self.out)?;
        let zone = TimeZone::system();
        let dot = if self.unicode { '●' } else { '*' };
        let mut all: Vec<&System<'_>> = all.iter().collect();
        all.sort_by_key(|(_, view)| (view.verdict.gone, std::cmp::Reverse(view.verdict.level)));
        for ((name, _), view) in all {
            let verdict = &view.verdict;
            let code = if verdict.gone { 2 } else { code(verdict.level) };
            let words = self.paint(&format!("{dot} {}", verdict.words()), &code.to_string());
            let mut parts = if verdict.gone { Vec::new() } else { numbers(&view.glances) };
            if let Some(newest) = verdict.newest {
                parts.push(format!("heard of {} ago", unit::duration(now - newest)));
            }
            let name = self.paint(&draw::clean(name), "1");
            let line = self.cut(&format!("{name}  {words}  {}", parts.join(", ")));
            writeln!(self.out, "{}", line.trim_end())?;
            for finding in &verdict.findings {
                self.finding(finding, &zone)?;
            }
        }
        Ok(())
    }
}

/// How bad the worst line of a chart is.
fn worst(chart: &Chart, now: &[f64]) -> Level {
    let lines = chart.lines.iter().zip(now);
    lines.map(|(line, value)| line.bounds.level(*value)).max().unwrap_or(Level::Well)
}

/// What senders brought, and still bring.
fn pushed<'a>(list: &'a [Current], charted: &HashSet<i64>) -> Vec<&'a Current> {
    let theirs = |c: &&Current| {
        let ours = ["node", "munin"].contains(&&*c.series.job) || charted.contains(&c.series.id);
        !ours && !is_up(c) && !c.stale
    };
    list.iter().filter(theirs).collect()
}
