//! overview: from the table of the first view and the existing series to charts. Each metric that
//! is not in the table has a chart of its own, grouped by its origin.

use std::collections::BTreeMap;

use super::chart::{Bounds, Chart, Line, MOST_LINES, Mount, Term, unit_of};
use super::described::described;
use super::rules::{Measure, RULES};
use super::table::{LEFT_OUT, Mark, Pick, ROWS, Row, Scale};
use crate::model::{Graph, Kind, Unit};
use crate::store::Known;

/// A series of the system.
struct Seen<'a> {
    known: &'a Known,
}

impl Seen<'_> {
    fn label(&self, name: &str) -> &str {
        self.known.labels.get(name).unwrap_or_default()
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
    let seen: Vec<Seen<'_>> =
        known.iter().filter(|k| k.system == system).map(|known| Seen { known }).collect();
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
    let shared: Vec<&str> = (first.labels.iter())
        .filter(|(label, value)| all.iter().all(|s| s.label(label) == *value))
        .map(|(label, _)| label)
        .collect();
    let line = |seen: &&Seen<'_>| {
        let telling = seen.known.labels.iter().filter(|(label, _)| !shared.contains(label));
        let words: Vec<&str> = telling.map(|(_, value)| value).collect();
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
            for (label, value) in seen.known.labels.iter() {
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
