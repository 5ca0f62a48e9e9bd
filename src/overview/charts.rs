//! overview: from the table of the first view and the existing series to charts. Each metric that
//! is not in the table has a chart of its own, grouped by its origin.

use std::collections::BTreeMap;

use super::described::described;
use super::mounts::Mount;
use super::rules::{Measure, RULES};
use super::table::{LEFT_OUT, Mark, Pick, ROWS, Row, Scale};
use super::verdict::Level;
use crate::model::{Graph, Kind, Range, Unit, unit};
use crate::store::Known;

/// The largest number of lines in a chart; more lines say nothing and are only counted.
pub const MOST_LINES: usize = 24;

/// A chart without its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Names it in addresses: `load`, `disk:/home`, `node:node_forks_total`.
    pub id: String,
    /// The title, in one line.
    pub title: String,
    /// `percent`, `bytes`, `seconds`, `celsius`, `ratio`, with `/s` behind it for a rate; or nothing.
    pub unit: String,
    /// The section of the chart: empty for the first view, otherwise the origin of its series.
    pub group: String,
    /// A description in one sentence, or empty.
    pub help: String,
    /// Areas on top of each other, not lines.
    pub stack: bool,
    /// The end of the axis, if it is fixed.
    pub top: Option<f64>,
    /// Thresholds: the value and word of each.
    pub marks: Vec<(f64, String)>,
    /// The lines, from the bottom.
    pub lines: Vec<Line>,
    /// Lines beyond [`MOST_LINES`] that are left out.
    pub more: usize,
    /// The series that says how much is left, for charts of something that is used up: its number
    /// in the file.
    pub left: Option<i64>,
    /// All mounts of the machine, for the verdict; only set in one of its charts.
    pub mounts: Vec<Mount>,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The name in the legend.
    pub name: String,
    /// Whether its series are counters, whose rates are shown.
    pub rate: bool,
    /// Drawn below zero.
    pub down: bool,
    /// The terms that are added up.
    pub terms: Vec<Term>,
    /// The range in which its source wants it to be.
    pub bounds: Bounds,
}

impl Line {
    /// The line of one series: the values of a gauge, the rate of a counter.
    pub fn of_series(known: &Known) -> Self {
        Self { rate: known.kind == Kind::Counter, ..Self::of_values(known.id) }
    }

    /// The values of one series, by its number in the file.
    pub fn of_values(series: i64) -> Self {
        let terms = vec![Term { series, factor: 1.0 }];
        Self { name: String::new(), rate: false, down: false, terms, bounds: Bounds::default() }
    }

    /// The whole of which this line is a part: for a difference, its first term.
    pub fn whole(&self) -> Option<Self> {
        let terms: Vec<Term> = self.terms.iter().copied().filter(|t| t.factor > 0.0).collect();
        let part = terms.len() < self.terms.len() && !terms.is_empty();
        part.then(|| Self { name: String::new(), terms, ..self.clone() })
    }
}

/// The unit in which a series is shown: its own, or for a counter that of its rate.
pub fn unit_of(known: &Known) -> String {
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

/// The good values of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bounds {
    /// A value outside of this range is a warning.
    pub warning: Range,
    /// A value outside of this range is critical. It goes before `warning`.
    pub critical: Range,
}

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    /// A series by its number in the file ([`Known::id`]).
    pub series: i64,
    /// The factor of its value or rate.
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

/// All charts of one system, from all its series and the descriptions of their sources
/// ([`crate::store::Reader::graphs`]): those of the first view, those with descriptions, then the
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

/// The place of a series' number in a mount.
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

/// Whether a series deserves a chart: not if it is always 1, repeats another, or is a time.
fn tells(seen: &Seen<'_>) -> bool {
    let name = &*seen.known.name;
    let moment = ["_timestamp_seconds", "_boot_time_seconds", "_start_time_seconds"];
    !name.ends_with("_info")
        && !moment.iter().any(|end| name.ends_with(end))
        && !matches!(name, "cpu" | "memory" | "node_time_seconds")
}

/// Metrics of this machine that are grouped together, by the word after `node_`.
const TOGETHER: [(&str, &[&str]); 4] = [
    ("disks", &["disk", "filesystem"]),
    ("memory", &["vmstat", "swap"]),
    ("network", &["netstat", "sockstat"]),
    ("system", &["boot", "context", "entropy", "filefd", "forks", "intr", "load1", "procs"]),
];

/// The group of a series that is not in the first view.
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
    // Parts that all names share are left out.
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

/// Sorts by urgency: the costs of programs at the bottom, waiting above; idle is the rest.
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
