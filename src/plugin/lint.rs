//! plugin: the faults of a plugin, in words for its author. It is run as the daemon would run it,
//! and each fault that would cost a value, a chart or a word is reported with its line.

use std::collections::HashMap;
use std::io::Read;

use super::{Action, End, Kind, Output, Plugin, run_one};
use crate::collect::regular;
use crate::model::Clock;
use crate::wire::munin::{Described, FieldConfig, Line, clean_field, lines};
use crate::wire::nagios;
use crate::wire::simple::{self, Look};

/// A remark about a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// True: values or charts are lost by it. False: it would be better otherwise.
    pub wrong: bool,
    /// Where: `config, line 3: graph_titel Load`; empty: everywhere.
    pub place: String,
    /// The fault and its correction.
    pub text: String,
}

/// The attributes of fields that Munin knows.
const ATTRIBUTES: &[&str] = &[
    "label",
    "info",
    "extinfo",
    "type",
    "min",
    "max",
    "warning",
    "critical",
    "unknown_limit",
    "draw",
    "colour",
    "color",
    "negative",
    "cdef",
    "graph",
    "line",
    "sum",
    "stack",
    "skipdraw",
    "oldname",
    "special_sum",
    "special_stack",
    "onlynullcdef",
    "graphable",
];

/// The attributes of graphs that Munin knows.
const GLOBALS: &[&str] = &[
    "graph",
    "graph_title",
    "graph_vlabel",
    "graph_category",
    "graph_info",
    "graph_args",
    "graph_order",
    "graph_period",
    "graph_scale",
    "graph_total",
    "graph_width",
    "graph_height",
    "graph_printf",
    "graph_sources",
    "graph_noscale",
    "graph_vtitle",
    "graph_printf_colw",
    "create_args",
    "update",
    "update_rate",
    "host_name",
    "graph_data_size",
    "graph_future",
    "service_order",
    "graph_args_after",
    "graph_xport",
    "timeout",
    "graph_public",
];

/// The faults of a plugin, and its kind. The plugin is run at most twice.
pub fn lint(plugin: &Plugin, clock: &dyn Clock) -> (Kind, Vec<Remark>) {
    let mut out = Vec::new();
    first_line(plugin, &mut out);
    let mut kind = plugin.kind;
    if matches!(kind, None | Some(Kind::Munin)) {
        let output = run_one(plugin, Action::Config, clock);
        let described = Described::read(&plugin.name, &output.stdout);
        // A plugin that answers `config` with values, or with unknown lines, is a simple one.
        if kind.is_none() && !described.is_munin() && matches!(output.end, End::Exited(_)) {
            kind = Some(Kind::Simple);
        } else {
            munin(plugin, &output, &described, clock, &mut out);
            return (Kind::Munin, out);
        }
    }
    let kind = kind.unwrap_or(Kind::Simple);
    let output = run_one(plugin, Action::Fetch, clock);
    match kind {
        Kind::Nagios => check(&output, &mut out),
        Kind::Munin | Kind::Simple => plain(&output, &mut out),
    }
    (kind, out)
}

fn remark(wrong: bool, place: &str, text: impl Into<String>) -> Remark {
    Remark { wrong, place: place.to_owned(), text: text.into() }
}

fn first_line(plugin: &Plugin, out: &mut Vec<Remark>) {
    let mut head = [0u8; 2];
    let read = regular::open(&plugin.file).and_then(|mut f| f.read_exact(&mut head));
    if read.is_ok() && head != *b"#!" && head != *b"\x7fE" {
        let text = "it has to begin with #! and the program that runs it, for example #!/bin/sh";
        out.push(remark(true, "the file, line 1", text));
    }
    if let Some(wanted) = &plugin.account.wanted {
        let name = &plugin.account.name;
        let text = format!(
            "it wants to run as `{wanted}`; here it runs as `{name}`, for only root can change that"
        );
        out.push(remark(false, "", text));
    }
}

/// The text of a line, shortened.
fn place(what: &str, output: &Output, line: usize) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let text: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    format!("{what}, line {line}: {text}")
}

fn ended(what: &str, output: &Output, out: &mut Vec<Remark>) {
    if let Some(failure) = output.failure(0..=0) {
        out.push(remark(true, what, failure));
    } else if !output.stderr.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.lines().next().unwrap_or_default().chars().take(200).collect();
        out.push(remark(false, what, format!("it complains on standard error: {said}")));
    }
}

fn munin(
    plugin: &Plugin,
    config: &Output,
    described: &Described,
    clock: &dyn Clock,
    out: &mut Vec<Remark>,
) {
    ended("config", config, out);
    for (line, fault) in &described.faults {
        out.push(remark(true, &place("config", config, *line), fault));
    }
    for (number, line) in lines(&config.stdout) {
        let (known, name, what): (&[&str], _, _) = match line {
            Ok(Line::Attribute { name, .. }) => (ATTRIBUTES, name, "attribute of a field"),
            Ok(Line::Global { name, .. }) => (GLOBALS, name, "attribute of a graph"),
            _ => continue,
        };
        if !known.contains(&name) {
            let text = match near(name, known) {
                Some(better) => format!("unknown {what}: `{name}`; did you mean `{better}`?"),
                None => format!("unknown {what}: `{name}`; it is left out"),
            };
            out.push(remark(false, &place("config", config, number), text));
        }
    }
    for graph in &described.graphs {
        let of =
            if graph.name == plugin.name { String::new() } else { format!("{}, ", graph.name) };
        let mut missing = |what: &str, text: &str| {
            out.push(remark(false, &format!("config, {of}{what}"), text));
        };
        if graph.title.is_empty() {
            missing("graph_title", "the chart has no headline: print `graph_title …`");
        }
        if graph.category.is_empty() {
            missing("graph_category", "it will be listed under `other`: print `graph_category …`");
        }
        if graph.unit.is_empty() {
            missing("graph_vlabel", "the axis has no unit: print `graph_vlabel …`");
        }
        let alike = |f: &&FieldConfig| f.name != clean_field(&f.name);
        for field in graph.fields.iter().filter(alike) {
            let name = clean_field(&field.name);
            let text = format!(
                "Munin calls this field and another one `{name}`; here each is what it is \
                 written as, and a master sees one of them"
            );
            out.push(remark(false, &format!("config, {of}{}", field.name), text));
        }
        for field in graph.fields.iter().filter(|f| f.label.is_empty()) {
            let text = format!("the field has no label: print `{}.label …`", field.name);
            out.push(remark(false, &format!("config, {of}{}", field.name), text));
        }
    }
    if described.values {
        return values(plugin, "config", config, described, out);
    }
    let output = run_one(plugin, Action::Fetch, clock);
    ended("fetch", &output, out);
    values(plugin, "fetch", &output, described, out);
}

fn values(
    plugin: &Plugin,
    what: &str,
    output: &Output,
    described: &Described,
    out: &mut Vec<Remark>,
) {
    let mut graph: &str = &plugin.name;
    let mut seen: Vec<(String, String)> = Vec::new();
    for (number, line) in lines(&output.stdout) {
        let field = match line {
            Ok(Line::Graph(name)) => {
                graph = name;
                continue;
            }
            Ok(Line::Value { field, .. }) => field,
            Ok(Line::Global { .. } | Line::Attribute { .. }) if what == "fetch" => {
                let text = "without an argument a plugin prints `field.value …` lines only";
                out.push(remark(false, &place(what, output, number), text));
                continue;
            }
            Ok(_) => continue,
            Err(fault) => {
                // The faults of `config` were reported already.
                if what == "fetch" {
                    out.push(remark(true, &place(what, output, number), fault));
                }
                continue;
            }
        };
        let found = described.find(graph, field);
        if found.is_none_or(|f| f.label.is_empty()) && what == "fetch" {
            let text =
                format!("`config` does not say what `{field}` is: print `{field}.label …` there");
            out.push(remark(true, &place(what, output, number), text));
        }
        seen.push((graph.to_owned(), found.map_or(field, |f| &f.name).to_owned()));
    }
    for graph in &described.graphs {
        for field in &graph.fields {
            if !seen.iter().any(|(g, f)| *g == graph.name && *f == field.name) {
                let text = format!(
                    "`{}` is described and has no value: print `{}.value …`, or U where it is not known",
                    field.name, field.name
                );
                out.push(remark(true, what, text));
            }
            if !field.negative.is_empty() && !graph.fields.iter().any(|f| f.name == field.negative)
            {
                let text = format!(
                    "the negative of `{}` is `{}`, which is no field of this graph",
                    field.name, field.negative
                );
                out.push(remark(true, "config", text));
            }
        }
    }
}

fn plain(output: &Output, out: &mut Vec<Remark>) {
    ended("", output, out);
    let (mut values, mut seen, mut again) = (0, HashMap::new(), Vec::new());
    match Look::of(&output.stdout) {
        Look::Pairs => simple::pairs(
            &output.stdout,
            |key, value| {
                values += 1;
                twice(&mut seen, key, value, &mut again);
            },
            |line, fault| out.push(remark(true, &place("output", output, line), fault)),
        ),
        Look::Object => {
            let each = |key: &str, value| {
                values += 1;
                twice(&mut seen, key, Some(value), &mut again);
            };
            if let Err(e) = simple::object(&output.stdout, each) {
                out.push(remark(true, "output", format!("this JSON cannot be read: {e}")));
            }
        }
        Look::Records | Look::Exposition => return,
    }
    out.extend(again);
    if values == 0 && !out.iter().any(|r| r.wrong) {
        let text = "it prints no value: print `name number`, a line each; or, as Munin's plugins do, `name.value number`, and `name.label …` when asked for `config`";
        out.push(remark(true, "output", text));
    }
}

/// Records a value, and a fault if another value has the same name.
fn twice(seen: &mut HashMap<String, f64>, key: &str, value: Option<f64>, out: &mut Vec<Remark>) {
    let Some(value) = value else { return };
    if seen.get(key).is_some_and(|before| *before != value) {
        let text = format!("`{key}` is there twice, with two values; the first is taken");
        return out.push(remark(true, "output", text));
    }
    seen.insert(key.to_owned(), value);
}

fn check(output: &Output, out: &mut Vec<Remark>) {
    if let Some(failure) = output.failure(0..=3) {
        out.push(remark(true, "", format!("{failure}; a check ends with 0, 1, 2 or 3")));
    }
    let check = nagios::read(&output.stdout);
    if check.text.is_empty() {
        out.push(remark(true, "output, line 1", "a check says in its first line how things are"));
    }
    for fault in check.faults {
        out.push(remark(true, "performance data", fault));
    }
}

/// The known word that differs by one letter left out, put in, changed, or two swapped.
fn near<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let close = |a: &[u8], b: &[u8]| {
        let same = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        let (a, b) = (&a[same..], &b[same..]);
        let tail = |a: &[u8], b: &[u8]| a == b;
        match (a, b) {
            ([], [_]) | ([_], []) => true,
            ([x, p, ra @ ..], [y, q, rb @ ..]) if x == q && y == p && tail(ra, rb) => true,
            _ => {
                tail(a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default())
                    || tail(a, b.get(1..).unwrap_or_default())
                    || tail(a.get(1..).unwrap_or_default(), b)
            }
        }
    };
    known.iter().copied().find(|k| close(word.as_bytes(), k.as_bytes()))
}
