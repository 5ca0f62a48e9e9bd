//! alert: rules that cannot work: those that can never fire, and those about series that never were.

use super::rule::{Query, Rule, split};
use crate::model::Op;
use crate::query::Catalog;
use crate::query::ast::{BinaryOp, Expr, VectorSelector};
use crate::query::matcher::Matcher;
use crate::query::print::write_expr;

/// Why a rule can never fire, or that it always does; nothing: it can. `kept_ms`: how long samples and
/// buckets are kept, ms.
pub fn cannot_fire(rule: &Rule, kept_ms: Option<i64>) -> Option<String> {
    for limit in &rule.limits {
        if let Some(kept) = kept_ms.filter(|kept| limit.for_ms > *kept) {
            return Some(format!(
                "it would have to hold for longer ({} s) than samples are kept ({} s)",
                limit.for_ms / 1000,
                kept / 1000
            ));
        }
        if let (Some(fires), Some(Query { expr, .. })) = (limit.fires, rule.queries().next())
            && let Some((low, high)) = range(expr)
            && !reaches(fires.op, fires.value, low, high)
        {
            return Some(format!(
                "what it measures lies between {low} and {high}, so it is never {} {}",
                fires.op.sign(),
                fires.value
            ));
        }
    }
    rule.queries().find_map(|query| never(&query.expr))
}

/// Whether some value of a range is beyond a limit.
fn reaches(op: Op, limit: f64, low: f64, high: f64) -> bool {
    match op {
        Op::Above => high > limit,
        Op::AtLeast => high >= limit,
        Op::Below => low < limit,
        Op::AtMost => low <= limit,
        Op::Equal => (low..=high).contains(&limit),
        Op::NotEqual => low < high || low != limit,
    }
}

/// Between which values an expression lies, where that is plain: counts and comparisons with `bool`.
fn range(expr: &Expr) -> Option<(f64, f64)> {
    match expr.unwrap_parens() {
        Expr::Binary(e) if e.return_bool => Some((0.0, 1.0)),
        Expr::Aggregate(e) if e.op.word() == "group" => Some((1.0, 1.0)),
        Expr::Aggregate(e) if e.op.word() == "count" => Some((1.0, f64::INFINITY)),
        Expr::Call(e) => match e.function.name {
            "absent" | "absent_over_time" => Some((1.0, 1.0)),
            "count_over_time" => Some((1.0, f64::INFINITY)),
            "rate" | "increase" | "irate" | "changes" | "resets" | "stddev_over_time" => {
                Some((0.0, f64::INFINITY))
            }
            _ => None,
        },
        _ => None,
    }
}

/// `x > 5 and x < 3`: two limits of the same expression that exclude each other.
fn never(expr: &Expr) -> Option<String> {
    if let Expr::Binary(e) = expr.unwrap_parens()
        && e.op == BinaryOp::And
        && let (Some((a, first)), Some((b, second))) = (split(&e.lhs), split(&e.rhs))
        && written(a) == written(b)
    {
        let (low, high) = match (first.op.is_upward(), second.op.is_upward()) {
            (true, false) => (first, second),
            (false, true) => (second, first),
            _ => return None,
        };
        let strict = low.op == Op::Above || high.op == Op::Below;
        if low.value > high.value || strict && low.value == high.value {
            return Some(format!(
                "nothing is {} {} and {} {} at once",
                low.op.sign(),
                low.value,
                high.op.sign(),
                high.value
            ));
        }
    }
    expr.children().find_map(never)
}

fn written(expr: &Expr) -> String {
    let mut out = String::new();
    write_expr(&mut out, expr.unwrap_parens());
    out
}

/// A selector that no series ever was like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The selector's name, or the whole selector where only its labels are unknown.
    pub what: String,
    /// Whether there are series of that name, with other labels.
    pub named: bool,
    /// The name that is most like it.
    pub like: Option<String>,
}

/// The selectors of expressions for which there never was a series in the file.
pub fn unknown<'q>(
    queries: impl IntoIterator<Item = &'q Query>,
    catalog: &Catalog,
) -> Vec<Unknown> {
    let mut out: Vec<Unknown> = Vec::new();
    let mut look = |selector: &VectorSelector| {
        if !catalog.matching(&selector.matchers).is_empty() {
            return;
        }
        let name = selector.matchers.iter().find(|m| m.name() == crate::query::matcher::NAME);
        let names = name.map(std::slice::from_ref).unwrap_or_default();
        let named = !names.is_empty() && !catalog.matching(names).is_empty();
        let shown = match name {
            Some(name) if !named => name.value().to_owned(),
            _ => shown(&selector.matchers),
        };
        let like = name.filter(|_| !named).and_then(|name| nearest(name.value(), catalog));
        let unknown = Unknown { what: shown, named, like };
        if !out.contains(&unknown) {
            out.push(unknown);
        }
    };
    for query in queries {
        query.expr.for_each_selector(&mut look);
    }
    out
}

fn shown(matchers: &[Matcher]) -> String {
    let each = matchers.iter().map(|m| format!("{}{}\"{}\"", m.name(), m.op().word(), m.value()));
    format!("{{{}}}", each.collect::<Vec<_>>().join(","))
}

fn nearest(name: &str, catalog: &Catalog) -> Option<String> {
    let all = catalog.names();
    let close = all.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    let best = close.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.85).then(|| best.1.to_owned())
}
