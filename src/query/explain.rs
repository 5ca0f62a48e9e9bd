//! query: the plan of a query in words: its tree, with the cost of each selector. Pure.

use std::fmt::Write;
use std::time::Duration;

use super::ast::{Aggregate, Binary, Expr, Span};
use super::eval::{Answer, Looked};
use super::quote::quoted;

/// The tree of a query that was answered with `Options::watch`, a line a node, each selector with
/// its series, what served it, how much was read, and how long that took. `took`: the whole query.
pub fn explain(text: &str, expr: &Expr, answer: &Answer, took: Duration) -> String {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    walk(text, expr, "", "", answer, &mut lines);
    let width = lines.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    let cells = lines.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0);
    let widest = |at: usize| {
        let cells = lines.iter().filter_map(|(_, cells)| cells.get(at));
        cells.map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..cells).map(widest).collect();
    let mut out = String::new();
    for (left, cells) in &lines {
        let mut line = format!("{left:width$}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(line, "  {cell:>width$}");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    let stats = &answer.stats;
    let _ = write!(
        out,
        "\n{} answered in {} from {}: {} read",
        counted(stats.series, "series", "series"),
        shown(took),
        stats.resolution().replace(',', " and "),
        counted(stats.samples, "sample", "samples"),
    );
    if stats.buckets > 0 {
        let _ = write!(out, ", {}", counted(stats.buckets, "bucket", "buckets"));
    }
    let _ = writeln!(out, ", {} made on the way.", counted(stats.cells, "value", "values"));
    out
}

fn walk(
    text: &str,
    expr: &Expr,
    here: &str,
    below: &str,
    answer: &Answer,
    lines: &mut Vec<(String, Vec<String>)>,
) {
    let expr = expr.unwrap_parens();
    let cells = match expr {
        Expr::Vector(selector) => cells(selector.span, answer),
        Expr::Matrix(matrix) => cells(matrix.selector.span, answer),
        _ => Vec::new(),
    };
    lines.push((format!("{here}{}", label(text, expr)), cells));
    let children: Vec<&Expr> = expr.children().collect();
    for (at, child) in children.iter().enumerate() {
        let (branch, line) =
            if at + 1 == children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let (here, below) = (format!("{below}{branch}"), format!("{below}{line}"));
        walk(text, child, &here, &below, answer, lines);
    }
}

fn label(text: &str, expr: &Expr) -> String {
    match expr {
        Expr::Call(call) => format!("{}()", call.function.name),
        Expr::Aggregate(aggregate) => grouped(aggregate),
        Expr::Binary(binary) => operator(binary),
        Expr::Unary(unary) => if unary.negate { "-" } else { "+" }.to_owned(),
        Expr::Subquery(subquery) => {
            // The text after the inner expression: its brackets and modifiers.
            let inner = subquery.expr.span().end;
            let rest = Span::new(inner, subquery.span.end).of(text);
            format!("subquery {}", rest.trim_start_matches([')', ' ']).trim())
        }
        Expr::String(s) => quoted(&s.value),
        other => other.span().of(text).split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn grouped(aggregate: &Aggregate) -> String {
    let word = aggregate.op.word();
    if aggregate.grouping.is_empty() && !aggregate.without {
        return word.to_owned();
    }
    let how = if aggregate.without { "without" } else { "by" };
    format!("{word} {how} ({})", aggregate.grouping.join(", "))
}

fn operator(binary: &Binary) -> String {
    let mut out = binary.op.word().to_owned();
    if binary.return_bool {
        out.push_str(" bool");
    }
    if let Some(matching) = binary.matching.as_ref().filter(|m| m.on || !m.labels.is_empty()) {
        let how = if matching.on { "on" } else { "ignoring" };
        let _ = write!(out, " {how} ({})", matching.labels.join(", "));
    }
    out
}

/// The cost of a selector, over all its evaluations.
fn cells(span: Span, answer: &Answer) -> Vec<String> {
    let mut all = Looked::default();
    let asked = answer.watched.iter().flat_map(|w| &w.selectors).filter(|l| l.span == span);
    for one in asked {
        all.series = all.series.max(one.series);
        all.samples += one.samples;
        all.five_minutes += one.five_minutes;
        all.hours += one.hours;
        all.blocks += one.blocks;
        all.took += one.took;
    }
    let read = [(all.samples, "raw"), (all.five_minutes, "5m"), (all.hours, "1h")];
    let read: Vec<String> = read
        .iter()
        .filter(|(n, word)| *n > 0 || *word == "raw" && all.five_minutes + all.hours == 0)
        .map(|(n, word)| format!("{} {word}", grouped_digits(*n)))
        .collect();
    vec![
        counted(all.series, "series", "series"),
        read.join(" + "),
        counted(all.blocks, "block", "blocks"),
        shown(all.took),
    ]
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped_digits(n), if n == 1 { one } else { many })
}

/// `1,234,567`
fn grouped_digits(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time in milliseconds, or in seconds if it is long.
fn shown(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1000.0;
    if ms >= 1000.0 { format!("{:.2} s", ms / 1000.0) } else { format!("{ms:.2} ms") }
}
