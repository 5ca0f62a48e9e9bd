//! overview: from the descriptions of sources (mostly Munin plugins) and the existing series to
//! charts: titles, names of lines, stacking, lines below zero, and ranges of good values.

use super::axis::axis_unit;
use std::collections::{HashMap, HashSet};

use super::chart::{Bounds, Chart, Line, MOST_LINES, Term};
use crate::model::{Field, Graph, Kind, Range, write_key};
use crate::query::ast::{BinaryOp, Expr, VectorSelector};
use crate::query::parse;
use crate::store::Known;

/// The prefix of the groups of these charts.
const PLUGINS: &str = "Plugins: ";

impl Chart {
    /// Whether a source describes it, as plugins do.
    pub fn is_described(&self) -> bool {
        self.group.starts_with(PLUGINS)
    }

    /// Whether it shows a single part (`munin/diskstats_latency.sda`) of another chart's sum.
    pub fn is_part(&self) -> bool {
        self.is_described() && self.id.splitn(3, '/').nth(2).is_some_and(|n| n.contains('.'))
    }
}

/// The largest number of thresholds in a chart; more would be a grating.
const MOST_MARKS: usize = 4;

/// The charts of one system with descriptions, and the numbers of their series.
pub(super) fn described(
    known: &[&Known],
    graphs: &[(String, Graph)],
    system: &str,
) -> (Vec<Chart>, HashSet<i64>) {
    let mut by_key: HashMap<&str, &Known> = HashMap::new();
    for one in known {
        // A plugin's own series go before others of the same name.
        if one.job == "munin" || !by_key.contains_key(&*one.key) {
            by_key.insert(&one.key, one);
        }
    }
    let (mut charts, mut used) = (Vec::new(), HashSet::new());
    let mut own: Vec<&Graph> =
        graphs.iter().filter(|(of, _)| of == system).map(|(_, graph)| graph).collect();
    // A disk's own charts come after those of all disks.
    own.sort_by_key(|g| (&g.category, g.id.matches('/').count()));
    for graph in own {
        let fields = graph.fields.iter().filter_map(|f| by_key.get(&*f.series));
        let series: Vec<i64> = fields.map(|k| k.id).collect();
        let chart = chart(graph, &by_key);
        if !chart.lines.is_empty() {
            used.extend(series);
            charts.push(chart);
        }
    }
    (charts, used)
}

fn chart(graph: &Graph, by_key: &HashMap<&str, &Known>) -> Chart {
    let below: HashSet<&str> =
        graph.fields.iter().map(|f| &*f.negative).filter(|n| !n.is_empty()).collect();
    let shown = |f: &&Field| f.drawn || below.contains(&*f.name);
    let mut lines: Vec<Line> = graph
        .fields
        .iter()
        .filter(shown)
        .filter_map(|f| {
            let name = name(graph, f);
            line(f, name, below.contains(&*f.name), by_key)
        })
        .collect();
    let over = || graph.fields.iter().filter(|f| f.drawn && !below.contains(&*f.name));
    let piled = |f: &Field| f.draw.ends_with("STACK");
    let stack = below.is_empty()
        && over().any(piled)
        && over().enumerate().all(|(at, f)| piled(f) || (at == 0 && f.draw.starts_with("AREA")));
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let unit = match axis_unit(&graph.unit, lines.iter().any(|l| l.rate)) {
        "" if lines.iter().all(|l| l.rate) => "/s",
        unit => unit,
    };
    let axis = if matches!(unit, "" | "/s") { graph.unit.trim() } else { "" };
    let help = [axis, graph.info.trim()].into_iter().filter(|t| !t.is_empty());
    Chart {
        id: graph.id.to_string(),
        title: graph.title.to_string(),
        unit: unit.to_owned(),
        group: format!("{PLUGINS}{}", graph.category),
        help: help.collect::<Vec<_>>().join(". "),
        stack,
        top: top(&graph.args),
        marks: marks(graph),
        lines,
        more,
        left: None,
        mounts: Vec::new(),
    }
}

/// The name of a line: its label. Munin shows both directions under the label of the upper one, and
/// names them in the text of the axis: `in (-) / out (+)`.
fn name(graph: &Graph, field: &Field) -> String {
    let upper = graph.fields.iter().find(|f| f.negative == field.name);
    let (label, sign) = match upper {
        Some(upper) => (&upper.label, Some("(-)")),
        None if field.negative.is_empty() => (&field.label, None),
        None => (&field.label, Some("(+)")),
    };
    let label = label.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some(sign) = sign else { return label };
    let before = graph.unit.split(sign).next().filter(|b| b.len() < graph.unit.len());
    match before.and_then(|b| b.split_whitespace().last()) {
        Some("write") => format!("{label} written"),
        Some(word) => format!("{label} {word}"),
        None if upper.is_some() => format!("{label}, below"),
        None => label,
    }
}

/// The line of a field; `None` if its series does not exist, or its arithmetic is more than sums
/// and factors.
fn line(field: &Field, name: String, down: bool, by_key: &HashMap<&str, &Known>) -> Option<Line> {
    let own = by_key.get(&*field.series)?;
    let (rate, terms) = if field.query.is_empty() {
        (field.kind == Kind::Counter, vec![Term { series: own.id, factor: 1.0 }])
    } else {
        let sum = sum(&parse(&field.query).ok()?, by_key)?;
        let rate = sum.terms.first()?.0;
        if sum.constant != 0.0 || sum.terms.iter().any(|(r, _)| *r != rate) {
            return None;
        }
        (rate, sum.terms.into_iter().map(|(_, term)| term).collect())
    };
    let bounds = Bounds { warning: field.warning, critical: field.critical };
    Some(Line { name, rate, down, terms, bounds })
}

/// An expression as a number and multiples of series or of their rates.
#[derive(Default)]
struct Sum {
    constant: f64,
    terms: Vec<(bool, Term)>,
}

impl Sum {
    fn times(mut self, factor: f64) -> Self {
        self.constant *= factor;
        self.terms.iter_mut().for_each(|(_, term)| term.factor *= factor);
        self
    }

    fn and(mut self, other: Self) -> Self {
        self.constant += other.constant;
        self.terms.extend(other.terms);
        self
    }
}

fn sum(expr: &Expr, by_key: &HashMap<&str, &Known>) -> Option<Sum> {
    let of = |selector: &VectorSelector, rate| {
        let term = Term { series: by_key.get(&*key(selector))?.id, factor: 1.0 };
        Some(Sum { constant: 0.0, terms: vec![(rate, term)] })
    };
    match expr {
        Expr::Number(number) => Some(Sum { constant: number.value, terms: Vec::new() }),
        Expr::Paren(paren) => sum(&paren.expr, by_key),
        Expr::Vector(selector) => of(selector, false),
        Expr::Call(call) if call.function.name == "rate" => match call.args.first()? {
            Expr::Matrix(matrix) => of(&matrix.selector, true),
            _ => None,
        },
        Expr::Binary(binary) => {
            let (a, b) = (sum(&binary.lhs, by_key)?, sum(&binary.rhs, by_key)?);
            match binary.op {
                BinaryOp::Add => Some(a.and(b)),
                BinaryOp::Sub => Some(a.and(b.times(-1.0))),
                BinaryOp::Mul if b.terms.is_empty() => Some(a.times(b.constant)),
                BinaryOp::Mul if a.terms.is_empty() => Some(b.times(a.constant)),
                BinaryOp::Div if b.terms.is_empty() && b.constant != 0.0 => {
                    Some(a.times(1.0 / b.constant))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn key(selector: &VectorSelector) -> String {
    let pairs = selector.matchers.iter().map(|m| (m.name(), m.value()));
    let (names, mut labels): (Vec<_>, Vec<_>) = pairs.partition(|(label, _)| *label == "__name__");
    labels.sort_unstable();
    let mut key = String::new();
    write_key(&mut key, names.first().map_or("", |(_, name)| name), labels.into_iter());
    key
}

/// The limit of `--upper-limit 100` together with `--rigid`; without the latter it is only a wish.
fn top(args: &str) -> Option<f64> {
    let mut words = args.split_whitespace();
    let rigid = args.split_whitespace().any(|w| w == "-r" || w == "--rigid");
    let at = words.find(|w| *w == "-u" || w.starts_with("--upper-limit"))?;
    let number = at.strip_prefix("--upper-limit=").or_else(|| words.next())?;
    number.parse().ok().filter(|top: &f64| rigid && top.is_finite() && *top > 0.0)
}

/// The thresholds of its fields, each value once.
fn marks(graph: &Graph) -> Vec<(f64, String)> {
    let mut out: Vec<(f64, String)> = Vec::new();
    let mut add = |range: &Range, word: &str| {
        for at in [range.max, range.min].into_iter().flatten() {
            if at != 0.0 && !out.iter().any(|(other, _)| *other == at) {
                out.push((at, word.to_owned()));
            }
        }
    };
    for field in &graph.fields {
        add(&field.critical, "critical");
        add(&field.warning, "warning");
    }
    if out.len() > MOST_MARKS { Vec::new() } else { out }
}
