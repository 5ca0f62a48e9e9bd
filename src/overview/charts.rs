//! overview: the table of the first view and the series that are there -> charts. What the table
//! does not speak of has a chart for each metric, grouped by where it came from.

use std::collections::BTreeMap;

use super::described::{described, unit_of_field};
use super::mounts::Mount;
use super::rules::{Measure, RULES};
use super::table::{LEFT_OUT, Mark, Pick, ROWS, Row, Scale};
use super::verdict::Level;
use crate::model::{Graph, Kind, Range, Unit, unit};
use crate::store::Known;

/// More lines than this say nothing in one chart; the others are counted.
pub const MOST_LINES: usize = 24;

/// A chart: what is drawn, not yet its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Names it in addresses: `load`, `disk:/home`, `node:node_forks_total`.
    pub id: String,
    /// One line for people.
    pub title: String,
    /// `percent`, `bytes`, `seconds`, `celsius`, `ratio`, with `/s` behind it for a rate; or nothing.
    pub unit: String,
    /// Where it stands: nothing for the first view, otherwise the source it came from.
    pub group: String,
    /// One sentence about it, or nothing.
    pub help: String,
    /// Areas on top of each other, not lines.
    pub stack: bool,
    /// Where the axis ends, if it always ends at the same place.
    pub top: Option<f64>,
    /// Thresholds: where each lies and what it is.
    pub marks: Vec<(f64, String)>,
    /// What is drawn, from the bottom.
    pub lines: Vec<Line>,
    /// Lines beyond [`MOST_LINES`] that are left out.
    pub more: usize,
    /// What is left of what this chart shows being used up: the number of a series in the file.
    pub left: Option<i64>,
    /// All mounts of the machine, for the verdict; in one of its charts only.
    pub mounts: Vec<Mount>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What it is called beside the others.
    pub name: String,
    /// Its series are counters, and it shows what they grow by in a second.
    pub rate: bool,
    /// Drawn below zero.
    pub down: bool,
    /// What is added up.
    pub terms: Vec<Term>,
    /// Where its source wants it to be.
    pub bounds: Bounds,
}

impl Line {
    /// One series as a line: a gauge as its values, a counter as what it grows by in a second.
    pub fn of_series(known: &Known) -> Self {
        Self { rate: known.kind == Kind::Counter, ..Self::of_values(known.id) }
    }

    /// The values of one series, by its number in the file.
    pub fn of_values(series: i64) -> Self {
        let terms = vec![Term { series, factor: 1.0 }];
        Self { name: String::new(), rate: false, down: false, terms, bounds: Bounds::default() }
    }

    /// What this line is a part of: of a difference, what something is taken from.
    pub fn whole(&self) -> Option<Self> {
        let terms: Vec<Term> = self.terms.iter().copied().filter(|t| t.factor > 0.0).collect();
        let part = terms.len() < self.terms.len() && !terms.is_empty();
        part.then(|| Self { name: String::new(), terms, ..self.clone() })
    }
}

/// The word for what a series is shown in: its own unit, of a counter that a second.
pub fn unit_of(known: &Known) -> String {
    if known.job == "munin" {
        return unit_of_field(&known.unit, known.kind == Kind::Counter).to_owned();
    }
    let own = unit::word(&known.unit, &known.name);
    if known.kind == Kind::Counter { unit::word_a_second(own) } else { own.to_owned() }
}

impl Bounds {
    /// How bad a value is.
    pub fn level(&self, value: f64) -> Level {
        match value {
            v if !self.critical.holds(v) => Level::Bad,
            v if !self.warning.holds(v) => Level::Warning,
            _ => Level::Well,
        }
    }
}

/// What values of a line are fine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// Outside: somebody should look.
    pub warning: Range,
    /// Outside: somebody should look now. Goes before `warning`.
    pub critical: Range,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// A series by its number in the file ([`Known::id`]).
    pub series: i64,
    /// What its value or rate is multiplied by.
    pub factor: f64,
}

/// A series with its labels taken apart.
struct Seen<'a> {
    known: &'a Known,
    labels: BTreeMap<String, String>,
}

impl Seen<'_> {
    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    fn left_out(&self) -> bool {
        LEFT_OUT.iter().any(|(label, starts)| {
            let value = self.label(label);
            starts.iter().any(|s| value.starts_with(s) && (*s != "lo" || value == "lo"))
        })
    }
}

/// All charts of one system, out of all series that are known and of what sources say of their charts
/// ([`crate::store::Reader::graphs`]): those of the first view, those that are described, then the
/// others by source and name.
pub fn charts(known: &[Known], graphs: &[(String, Graph)], system: &str) -> Vec<Chart> {
    let seen: Vec<Seen<'_>> = known
        .iter()
        .filter(|k| k.system == system)
        .map(|known| Seen {
            known,
            labels: serde_json::from_str(&known.labels).unwrap_or_default(),
        })
        .collect();
    let mut by_name: BTreeMap<&str, Vec<&Seen<'_>>> = BTreeMap::new();
    for one in &seen {
        by_name.entry(&one.known.name).or_default().push(one);
    }
    let mut cpus: Vec<&str> = by_name
        .get("node_cpu_seconds_total")
        .map(|all| all.iter().map(|s| s.label("cpu")).collect())
        .unwrap_or_default();
    cpus.sort_unstable();
    cpus.dedup();
    let mut out = Vec::new();
    for row in ROWS {
        from_row(row, &by_name, cpus.len(), &mut out);
    }
    out.retain(|c| !c.lines.is_empty());
    let shown: std::collections::HashSet<&str> =
        ROWS.iter().flat_map(|r| r.picks).flat_map(|p| p.metrics).map(|(name, _)| *name).collect();
    let own: Vec<&Known> = seen.iter().map(|s| s.known).collect();
    let (told, in_told) = described(&own, graphs, system);
    let mut rest: BTreeMap<(String, &str, &str), Vec<&Seen<'_>>> = BTreeMap::new();
    let left = |s: &&Seen<'_>| !shown.contains(&*s.known.name) && !in_told.contains(&s.known.id);
    for one in seen.iter().filter(|s| left(s) && tells(s)) {
        let key = (group(one.known), &*one.known.name, &*one.known.job);
        rest.entry(key).or_default().push(one);
    }
    out.extend(told);
    out.extend(rest.into_iter().map(|((group, name, job), all)| of_metric(group, name, job, &all)));
    if let Some(first) = out.first_mut() {
        first.mounts = mounts(&by_name);
    }
    out
}

/// Where the number of a series stands in a mount.
type Place = fn(&mut Mount) -> &mut Option<i64>;

/// The series of each mount that are looked at and not drawn.
fn mounts(by_name: &ByName<'_>) -> Vec<Mount> {
    let mut found: BTreeMap<[&str; 3], Mount> = BTreeMap::new();
    let metrics: [(&str, Place); 3] = [
        ("node_filesystem_files", |m| &mut m.files),
        ("node_filesystem_files_free", |m| &mut m.files_free),
        ("node_filesystem_readonly", |m| &mut m.read_only),
    ];
    for (metric, place) in metrics {
        for seen in by_name.get(metric).into_iter().flatten() {
            let [point, device, fstype] = ["mountpoint", "device", "fstype"].map(|l| seen.label(l));
            let mount = found.entry([point, device, fstype]).or_insert_with(|| Mount {
                point: point.to_owned(),
                fstype: fstype.to_owned(),
                ..Mount::default()
            });
            *place(mount) = Some(seen.known.id);
        }
    }
    found.into_values().collect()
}

/// Series that never say anything but 1, that repeat others, or that are moments, are no chart.
fn tells(seen: &Seen<'_>) -> bool {
    let name = &*seen.known.name;
    !name.ends_with("_info") && !is_moment(name) && !matches!(name, "cpu" | "memory")
}

/// What a key is, where its name could as well be something else: `memory` is what is free, though a
/// chart of that name shows what is used.
pub fn gloss(key: &str) -> Option<&'static str> {
    match key {
        "cpu" => Some("load average over 5 minutes"),
        "memory" => Some("share that is free"),
        key if key.starts_with("disk_/") => Some("share that is used"),
        _ => None,
    }
}

/// Whether a metric's values are moments, in seconds since 1970: not how long something takes.
pub fn is_moment(name: &str) -> bool {
    let ends = ["_timestamp_seconds", "_boot_time_seconds", "_start_time_seconds"];
    name == "node_time_seconds" || ends.iter().any(|end| name.ends_with(end))
}

/// Which metrics of this machine stand together, by the word after `node_`.
const TOGETHER: [(&str, &[&str]); 4] = [
    ("disks", &["disk", "filesystem"]),
    ("memory", &["vmstat", "swap"]),
    ("network", &["netstat", "sockstat"]),
    ("system", &["boot", "context", "entropy", "filefd", "forks", "intr", "load1", "procs"]),
];

/// Where a series stands that the first view does not show.
fn group(known: &Known) -> String {
    let name = &*known.name;
    match &*known.job {
        "node" => {
            let own = name.starts_with("plimsoll_") || name.starts_with("process_");
            if own || name == "up" {
                return "plimsoll itself".to_owned();
            }
            let mut words = name.split('_');
            let what = match words.next() {
                Some("node") => words.next().unwrap_or_default(),
                Some(first) => first,
                None => "",
            };
            let at = TOGETHER.iter().find(|(_, words)| words.contains(&what));
            format!("This machine: {}", at.map_or(what, |(name, _)| name))
        }
        "statsd" => {
            let first = name.split(['.', '_']).next().unwrap_or_default();
            format!("statsd: {first}")
        }
        "" => "Other".to_owned(),
        job => job.to_owned(),
    }
}

fn of_metric(group: String, name: &str, job: &str, all: &[&Seen<'_>]) -> Chart {
    let first = all[0].known;
    let rate = first.kind == Kind::Counter;
    // What all of them share says nothing.
    let shared: Vec<String> = all[0]
        .labels
        .iter()
        .filter(|(label, value)| all.iter().all(|s| s.label(label) == value.as_str()))
        .map(|(label, _)| label.clone())
        .collect();
    let line = |seen: &&Seen<'_>| {
        let telling = seen.labels.iter().filter(|(label, _)| !shared.contains(label));
        let words: Vec<&str> = telling.map(|(_, value)| value.as_str()).collect();
        let name = if words.is_empty() { name.to_owned() } else { words.join(" ") };
        let terms = vec![Term { series: seen.known.id, factor: 1.0 }];
        Line { name, rate, down: false, terms, bounds: Bounds::default() }
    };
    Chart {
        id: format!("{job}:{name}"),
        title: name.to_owned(),
        unit: unit_of(first),
        group,
        help: first.help.clone(),
        stack: false,
        top: None,
        marks: Vec::new(),
        lines: all.iter().take(MOST_LINES).map(line).collect(),
        more: all.len().saturating_sub(MOST_LINES),
        left: None,
        mounts: Vec::new(),
    }
}

type ByName<'a> = BTreeMap<&'a str, Vec<&'a Seen<'a>>>;

fn from_row<'a>(row: &Row, by_name: &ByName<'a>, cpus: usize, out: &mut Vec<Chart>) {
    let Some(each) = row.each else {
        out.push(chart(row, by_name, cpus, None));
        return;
    };
    let first = row.picks.first().and_then(|p| p.metrics.first());
    let Some(all) = first.and_then(|(metric, _)| by_name.get(metric)) else { return };
    let mut values: Vec<&str> = all.iter().map(|s| s.label(each)).collect();
    values.sort_unstable();
    values.dedup();
    for value in values {
        out.push(chart(row, by_name, cpus, Some((each, value))));
    }
}

fn chart(row: &Row, by_name: &ByName<'_>, cpus: usize, only: Option<(&str, &str)>) -> Chart {
    let scale = match row.scale {
        Scale::By(factor) => factor,
        Scale::PerCpu => 100.0 / cpus.max(1) as f64,
    };
    let mut lines: Vec<Line> = Vec::new();
    for pick in row.picks {
        lines_of(pick, row.rate, scale, by_name, only, &mut lines);
    }
    if row.id == "cpu" {
        by_urgency(&mut lines);
    }
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let marks = match row.mark {
        Some(Mark::Cpus) if cpus > 0 => {
            let word = if cpus == 1 { "1 CPU".to_owned() } else { format!("{cpus} CPUs") };
            Some((cpus as f64, word))
        }
        Some(Mark::Warning) => {
            let rule = RULES.iter().find(|r| r.chart == row.id && r.measure == Measure::Each);
            rule.map(|r| (r.warning, Unit::of_word(row.unit).format(r.warning)))
        }
        _ => None,
    };
    let left = only.and_then(|(label, value)| {
        by_name.get(row.left).and_then(|all| all.iter().find(|s| s.label(label) == value))
    });
    let (id, title) = match only {
        Some((label, value)) => {
            (format!("{}:{value}", row.id), row.title.replace(&format!("{{{label}}}"), value))
        }
        None => (row.id.to_owned(), row.title.to_owned()),
    };
    Chart {
        id,
        title,
        unit: row.unit.to_owned(),
        group: String::new(),
        help: String::new(),
        stack: row.stack,
        top: row.top,
        marks: marks.into_iter().collect(),
        lines,
        more,
        left: left.map(|s| s.known.id),
        mounts: Vec::new(),
    }
}

/// What programs cost at the bottom, what the machine waits for above it; idle is the rest.
fn by_urgency(lines: &mut Vec<Line>) {
    const ORDER: [&str; 7] = ["user", "system", "iowait", "steal", "nice", "softirq", "irq"];
    lines.retain(|l| !["idle", "guest", "guest_nice"].contains(&&*l.name));
    let place = |l: &Line| ORDER.iter().position(|o| *o == l.name).unwrap_or(ORDER.len());
    lines.sort_by_key(place);
}

/// The series of a metric that share a name are one line.
fn lines_of(
    pick: &Pick,
    rate: bool,
    scale: f64,
    by_name: &ByName<'_>,
    only: Option<(&str, &str)>,
    out: &mut Vec<Line>,
) {
    let mut found: BTreeMap<String, Vec<Term>> = BTreeMap::new();
    for (metric, factor) in pick.metrics {
        let Some(all) = by_name.get(metric) else { return };
        for seen in all {
            let other = only.is_some_and(|(label, value)| seen.label(label) != value);
            if other || seen.left_out() {
                continue;
            }
            let mut name = pick.name.to_owned();
            for (label, value) in &seen.labels {
                name = name.replace(&format!("{{{label}}}"), value);
            }
            let term = Term { series: seen.known.id, factor: factor * scale };
            found.entry(name).or_default().push(term);
        }
    }
    let line =
        |(name, terms)| Line { name, rate, down: pick.down, terms, bounds: Bounds::default() };
    out.extend(found.into_iter().map(line));
}
