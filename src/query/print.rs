//! query: an expression becomes a text again: on one line, or broken over lines where it is long,
//! in the form that Prometheus gives it. Reads back as the same expression.

use std::fmt;

use super::ast::*;
use super::matcher::{MatchOp, Matcher, NAME};
use super::number::{write_decimal, write_duration};
use super::quote::write_quoted;

/// The longest line in bytes; longer expressions are broken.
const WIDTH: usize = 100;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write_expr(&mut out, self);
        f.write_str(&out)
    }
}

/// An expression over as many lines as it takes.
pub fn pretty(expr: &Expr) -> String {
    pretty_in(expr, WIDTH)
}

fn pretty_in(expr: &Expr, width: usize) -> String {
    let mut out = String::new();
    Pretty { width }.write(&mut out, expr, 0);
    out
}

struct Pretty {
    width: usize,
}

impl Pretty {
    fn write(&self, out: &mut String, expr: &Expr, level: usize) {
        let start = out.len();
        // A subquery that fits is not indented, and a sign takes the indent of its operand:
        // Prometheus does so, and formatting twice must not change the text.
        if !matches!(expr, Expr::Subquery(_)) {
            indent(out, level);
        }
        let line = out.len();
        write_expr(out, expr);
        let fits = out.len() - line <= self.width;
        let whole = match expr {
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => true,
            Expr::Unary(_) => false,
            _ => fits,
        };
        if whole {
            return;
        }
        out.truncate(start);
        match expr {
            Expr::Aggregate(aggregate) => {
                indent(out, level);
                write_aggregate_op(out, aggregate);
                out.push_str("(\n");
                if let Some(param) = &aggregate.param {
                    self.write(out, param, level + 1);
                    out.push_str(",\n");
                }
                self.write(out, &aggregate.expr, level + 1);
                close(out, level);
            }
            Expr::Binary(binary) => {
                if is_infinite_base(binary) {
                    indent(out, level + 1);
                    out.push_str("Inf");
                } else {
                    self.write(out, &binary.lhs, level + 1);
                }
                out.push('\n');
                indent(out, level);
                write_operator(out, binary);
                out.push('\n');
                self.write(out, &binary.rhs, level + 1);
            }
            Expr::Call(call) => {
                indent(out, level);
                out.push_str(call.function.name);
                out.push_str("(\n");
                for (at, arg) in call.args.iter().enumerate() {
                    if at > 0 {
                        out.push_str(",\n");
                    }
                    self.write(out, arg, level + 1);
                }
                close(out, level);
            }
            Expr::Paren(paren) => {
                indent(out, level);
                out.push_str("(\n");
                self.write(out, &paren.expr, level + 1);
                close(out, level);
            }
            Expr::Subquery(subquery) => {
                self.write(out, &subquery.expr, level);
                write_subquery_suffix(out, subquery);
            }
            Expr::Unary(unary) => {
                indent(out, level);
                out.push(if unary.negate { '-' } else { '+' });
                let mut operand = String::new();
                self.write(&mut operand, &unary.expr, level);
                out.push_str(operand.trim());
            }
            Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
        }
    }
}

/// Whether it is a power of infinity. With the usual sign it would read as `+(Inf ^ …)`.
fn is_infinite_base(binary: &Binary) -> bool {
    let infinite = |n: &Number| n.value == f64::INFINITY;
    binary.op == BinaryOp::Pow && matches!(&binary.lhs, Expr::Number(n) if infinite(n))
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n("  ", level));
}

fn close(out: &mut String, level: usize) {
    out.push('\n');
    indent(out, level);
    out.push(')');
}

/// Appends an expression on one line.
pub fn write_expr(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Number(number) => write_number(out, number),
        Expr::String(string) => write_quoted(out, &string.value),
        Expr::Vector(selector) => {
            write_series(out, selector);
            write_at(out, selector.at);
            write_edges(out, selector.edges);
            write_offset(out, &selector.offset);
        }
        Expr::Matrix(matrix) => {
            write_series(out, &matrix.selector);
            out.push('[');
            write_length(out, &matrix.range);
            out.push(']');
            write_edges(out, matrix.selector.edges);
            write_at(out, matrix.selector.at);
            write_offset(out, &matrix.selector.offset);
        }
        Expr::Subquery(subquery) => {
            write_expr(out, &subquery.expr);
            write_subquery_suffix(out, subquery);
        }
        Expr::Unary(unary) => {
            out.push(if unary.negate { '-' } else { '+' });
            write_expr(out, &unary.expr);
        }
        Expr::Binary(binary) => {
            match is_infinite_base(binary) {
                true => out.push_str("Inf"),
                false => write_expr(out, &binary.lhs),
            }
            out.push(' ');
            write_operator(out, binary);
            out.push(' ');
            write_expr(out, &binary.rhs);
        }
        Expr::Aggregate(aggregate) => {
            write_aggregate_op(out, aggregate);
            out.push('(');
            if let Some(param) = &aggregate.param {
                write_expr(out, param);
                out.push_str(", ");
            }
            write_expr(out, &aggregate.expr);
            out.push(')');
        }
        Expr::Call(call) => {
            out.push_str(call.function.name);
            out.push('(');
            for (at, arg) in call.args.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_expr(out, arg);
            }
            out.push(')');
        }
        Expr::Paren(paren) => {
            out.push('(');
            write_expr(out, &paren.expr);
            out.push(')');
        }
    }
}

fn write_number(out: &mut String, number: &Number) {
    if number.duration {
        write_duration(out, (number.value * 1e9) as i64 / 1_000_000);
    } else {
        write_decimal(out, number.value);
    }
}

fn write_series(out: &mut String, selector: &VectorSelector) {
    let name = selector.name.as_deref().unwrap_or_default();
    out.push_str(name);
    let is_name = |m: &&Matcher| {
        m.name() == NAME && m.op() == MatchOp::Equal && m.value() == name && !name.is_empty()
    };
    let mut texts: Vec<String> =
        selector.matchers.iter().filter(|m| !is_name(m)).map(Matcher::to_string).collect();
    if texts.is_empty() {
        // `info` takes a selector that says nothing; it has to be seen, to be read back.
        out.push_str(if name.is_empty() { "{}" } else { "" });
        return;
    }
    texts.sort_unstable();
    out.push('{');
    out.push_str(&texts.join(","));
    out.push('}');
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        write_label(&mut out, self.name());
        out.push_str(self.op().word());
        write_quoted(&mut out, self.value());
        f.write_str(&out)
    }
}

fn write_at(out: &mut String, at: Option<At>) {
    match at {
        None => {}
        Some(At::Start) => out.push_str(" @ start()"),
        Some(At::End) => out.push_str(" @ end()"),
        Some(At::Time(ms)) => {
            use fmt::Write;
            let _ = write!(out, " @ {:.3}", ms as f64 / 1000.0);
        }
    }
}

fn write_edges(out: &mut String, edges: Edges) {
    out.push_str(match edges {
        Edges::Plain => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    });
}

fn write_offset(out: &mut String, offset: &Duration) {
    if !offset.is_zero() {
        out.push_str(" offset ");
        write_length(out, offset);
    }
}

fn write_length(out: &mut String, duration: &Duration) {
    match duration {
        Duration::Millis(ms) => write_duration(out, *ms),
        Duration::Expr(expr) => write_duration_expr(out, expr),
    }
}

fn write_duration_expr(out: &mut String, expr: &DurationExpr) {
    match &expr.kind {
        DurationKind::Number(number) => write_number(out, number),
        DurationKind::Step => out.push_str("step()"),
        DurationKind::Range => out.push_str("range()"),
        DurationKind::Negated(inside) => {
            out.push('-');
            write_duration_expr(out, inside);
        }
        DurationKind::Paren(inside) => {
            out.push('(');
            write_duration_expr(out, inside);
            out.push(')');
        }
        DurationKind::Binary(op @ (DurationOp::MinOf | DurationOp::MaxOf), left, right) => {
            out.push_str(op.word());
            out.push('(');
            write_duration_expr(out, left);
            out.push_str(", ");
            write_duration_expr(out, right);
            out.push(')');
        }
        DurationKind::Binary(op, left, right) => {
            write_duration_expr(out, left);
            out.push(' ');
            out.push_str(op.word());
            out.push(' ');
            write_duration_expr(out, right);
        }
    }
}

fn write_subquery_suffix(out: &mut String, subquery: &Subquery) {
    out.push('[');
    write_length(out, &subquery.range);
    out.push(':');
    if let Some(step) = &subquery.step {
        write_length(out, step);
    }
    out.push(']');
    write_at(out, subquery.at);
    write_offset(out, &subquery.offset);
}

/// The operator with its modifiers.
fn write_operator(out: &mut String, binary: &Binary) {
    out.push_str(binary.op.word());
    if binary.return_bool {
        out.push_str(" bool");
    }
    let Some(matching) = &binary.matching else { return };
    let grouped = match matching.card {
        Card::ManyToOne => Some(" group_left "),
        Card::OneToMany => Some(" group_right "),
        Card::OneToOne | Card::ManyToMany => None,
    };
    if matching.on || !matching.labels.is_empty() || grouped.is_some() {
        out.push_str(if matching.on { " on " } else { " ignoring " });
        write_labels(out, &matching.labels);
    }
    if let Some(word) = grouped {
        out.push_str(word);
        write_labels(out, &matching.include);
    }
    let mut fill = |word: &str, value: f64| {
        out.push_str(word);
        out.push_str(" (");
        write_decimal(out, value);
        out.push(')');
    };
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left == right => fill(" fill", left),
        (left, right) => {
            if let Some(value) = left {
                fill(" fill_left", value);
            }
            if let Some(value) = right {
                fill(" fill_right", value);
            }
        }
    }
}

fn write_aggregate_op(out: &mut String, aggregate: &Aggregate) {
    out.push_str(aggregate.op.word());
    if aggregate.without || !aggregate.grouping.is_empty() {
        out.push_str(if aggregate.without { " without " } else { " by " });
        write_labels(out, &aggregate.grouping);
        out.push(' ');
    }
}

fn write_labels(out: &mut String, labels: &[Box<str>]) {
    out.push('(');
    for (at, label) in labels.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write_label(out, label);
    }
    out.push(')');
}

/// A label's name, in quotes where it could be mistaken for something else.
fn write_label(out: &mut String, name: &str) {
    let plain =
        |(at, b): (usize, u8)| b == b'_' || b.is_ascii_alphabetic() || at > 0 && b.is_ascii_digit();
    if !name.is_empty() && name.bytes().enumerate().all(plain) {
        out.push_str(name);
    } else {
        write_quoted(out, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse;

    #[test]
    fn one_line_in_the_usual_form() {
        for (text, printed) in [
            ("1+2*3", "1 + 2 * 3"),
            ("sum(a)by(b,c)", "sum by (b, c) (a)"),
            ("sum without()(a)", "sum without () (a)"),
            ("sum by()(a)", "sum(a)"),
            ("topk  ( 3,a )", "topk(3, a)"),
            ("count_values('v',a)", "count_values(\"v\", a)"),
            ("a{z='1',b=~\"x|y\"}", "a{b=~\"x|y\",z=\"1\"}"),
            ("{'a.b','c d'!='e'}", "{\"c d\"!=\"e\",__name__=\"a.b\"}"),
            ("{__name__=\"\",a=\"b\"}", "{__name__=\"\",a=\"b\"}"),
            ("a{}", "a"),
            ("y*info(a,{})", "y * info(a, {})"),
            ("a[90s]offset 1h@5", "a[1m30s] @ 5.000 offset 1h"),
            ("a offset -5m", "a offset -5m"),
            ("a @ start()", "a @ start()"),
            ("a[5m:]", "a[5m:]"),
            ("a[5m:30s] @ end() offset 1d", "a[5m:30s] @ end() offset 1d"),
            ("a[step()*2]", "a[step() * 2]"),
            ("a[(5m)]", "a[(5m)]"),
            ("a offset -(step()+1s)", "a offset -(step() + 1s)"),
            ("a[max_of(step(),5s)]", "a[max_of(step(), 5s)]"),
            ("a[max(step(),5s)]", "a[max_of(step(), 5s)]"),
            ("a/on(x)group_left b", "a / on (x) group_left () b"),
            ("a == bool b", "a == bool b"),
            ("a+ignoring()b", "a + b"),
            ("a+on()b", "a + on () b"),
            ("a + fill(0) b", "a + fill (0) b"),
            ("a + fill_right(-1) fill_left(2) b", "a + fill_left (2) fill_right (-1) b"),
            ("sum by (\"a.b\", c) (d)", "sum by (\"a.b\", c) (d)"),
            ("-a^2", "-a ^ 2"),
            ("--1", "1"),
            ("inf", "+Inf"),
            ("0x10", "16"),
            ("1e21", "1000000000000000000000"),
            ("5m", "5m"),
            ("-90s", "-1m30s"),
            ("'a\"'", "\"a\\\"\""),
            ("holt_winters(a[5m],.5,.5)", "double_exponential_smoothing(a[5m], 0.5, 0.5)"),
            ("a[5m] smoothed offset 1m", "a[5m] smoothed offset 1m"),
        ] {
            let expr = parse(text).unwrap_or_else(|e| panic!("{}", e.shown(text)));
            assert_eq!(expr.to_string(), printed, "{text}");
            assert_eq!(parse(printed).unwrap().to_string(), printed, "reads back");
        }
    }

    #[test]
    fn long_expressions_are_broken_over_lines() {
        for (text, printed) in [
            ("a+b", "a + b"),
            ("(aaaaaaaaaa)", "(\n  aaaaaaaaaa\n)"),
            ("aaaaaaa + on(x) bbbbbbbbb", "  aaaaaaa\n+ on (x)\n  bbbbbbbbb"),
            ("sum by (le) (rate(abcdefg[1m]))", "sum by (le) (\n  rate(\n    abcdefg[1m]\n  )\n)"),
            ("quantile(0.9, -abs(abcdefgh))", "quantile(\n  0.9,\n  -abs(\n    abcdefgh\n  )\n)"),
            ("inf ^ abcdefghij", "  Inf\n^\n  abcdefghij"),
            ("clamp(abcdefgh, 1, 2)", "clamp(\n  abcdefgh,\n  1,\n  2\n)"),
            ("max_over_time(abcdefgh[5m:1m])", "max_over_time(\n  abcdefgh[5m:1m]\n)"),
        ] {
            let expr = parse(text).unwrap();
            assert_eq!(pretty_in(&expr, 10), printed, "{text}");
            let again = parse(printed).unwrap();
            assert_eq!(pretty_in(&again, 10), printed, "is settled");
        }
        assert_eq!(pretty(&parse("sum(rate(a[5m]))").unwrap()), "sum(rate(a[5m]))");
    }
}
