//! draw: the unit of an expression, as far as its parts show it.

use crate::model::Unit;
use crate::query::ast::{AggregateOp, BinaryOp, Expr, VectorSelector};

/// The unit of an expression's values; plain if it is unknown. `series` returns the unit of the
/// series that a selector selects.
pub(super) fn unit(expr: &Expr, series: &dyn Fn(&VectorSelector) -> Box<str>) -> Unit {
    let inner = |e: &Expr| unit(e, series);
    match expr {
        Expr::Vector(selector) => Unit::of_series(&series(selector), false),
        Expr::Matrix(matrix) => Unit::of_series(&series(&matrix.selector), false),
        Expr::Subquery(subquery) => inner(&subquery.expr),
        Expr::Unary(unary) => inner(&unary.expr),
        Expr::Paren(paren) => inner(&paren.expr),
        Expr::Number(_) | Expr::String(_) => Unit::Plain,
        Expr::Aggregate(aggregate) => match aggregate.op {
            AggregateOp::Count | AggregateOp::CountValues | AggregateOp::Group => Unit::Plain,
            _ => inner(&aggregate.expr),
        },
        Expr::Call(call) => {
            let first = call.args.iter().map(inner).find(|u| *u != Unit::Plain);
            match (call.function.name, first) {
                ("rate" | "irate" | "deriv", first) => a_second(first.unwrap_or_default()),
                (name, Some(first)) if keeps(name) => first,
                _ => Unit::Plain,
            }
        }
        Expr::Binary(binary) => {
            let (left, right) = (inner(&binary.lhs), inner(&binary.rhs));
            let factor = |e: &Expr| match e.unwrap_parens() {
                Expr::Number(n) => Some(n.value),
                _ => None,
            };
            let (a, b) = (factor(&binary.lhs), factor(&binary.rhs));
            match binary.op {
                BinaryOp::Mul => match (left, right, a, b) {
                    (unit, _, _, Some(by)) | (_, unit, Some(by), _) => times(unit, by),
                    _ => Unit::Plain,
                },
                BinaryOp::Div => match (left, right) {
                    (left, right) if left == right && left != Unit::Plain => Unit::Share,
                    _ => Unit::Plain,
                },
                BinaryOp::Add | BinaryOp::Sub => match (left, right) {
                    (left, right) if left == right || b.is_some() => left,
                    (_, right) if a.is_some() => right,
                    _ => Unit::Plain,
                },
                op if op.is_comparison() && binary.return_bool => Unit::Plain,
                op if op.is_comparison() || op.is_set() => left,
                _ => Unit::Plain,
            }
        }
    }
}

fn a_second(unit: Unit) -> Unit {
    match unit {
        Unit::Bytes => Unit::BytesPerSecond,
        Unit::Seconds => Unit::Share,
        _ => Unit::PerSecond,
    }
}

fn times(unit: Unit, by: f64) -> Unit {
    match unit {
        Unit::Share if by == 100.0 => Unit::Percent,
        _ if by == 1.0 || by == -1.0 => unit,
        _ => Unit::Plain,
    }
}

/// Functions whose result has the unit of their argument.
fn keeps(name: &str) -> bool {
    matches!(
        name,
        "abs"
            | "avg_over_time"
            | "ceil"
            | "clamp"
            | "clamp_max"
            | "clamp_min"
            | "delta"
            | "double_exponential_smoothing"
            | "first_over_time"
            | "floor"
            | "histogram_quantile"
            | "idelta"
            | "increase"
            | "label_join"
            | "label_replace"
            | "last_over_time"
            | "max_over_time"
            | "min_over_time"
            | "predict_linear"
            | "quantile_over_time"
            | "round"
            | "scalar"
            | "sort"
            | "sort_by_label"
            | "sort_by_label_desc"
            | "sort_desc"
            | "stddev_over_time"
            | "sum_over_time"
            | "vector"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse;

    #[test]
    fn what_an_expression_measures() {
        let words = |s: &VectorSelector| match s.name.as_deref().unwrap_or_default() {
            n if n.contains("bytes") => "bytes".into(),
            n if n.contains("seconds") => "seconds".into(),
            "memory" => "ratio".into(),
            "disk" => "percent".into(),
            _ => "".into(),
        };
        for (text, unit_of) in [
            ("mem_bytes", Unit::Bytes),
            ("rate(net_bytes_total[5m])", Unit::BytesPerSecond),
            ("sum by (mode) (rate(cpu_seconds_total[5m]))", Unit::Share),
            ("100 * (1 - memory)", Unit::Percent),
            ("1 - memory", Unit::Share),
            ("a_bytes / b_bytes", Unit::Share),
            ("increase(requests_total[1h])", Unit::Plain),
            ("rate(requests_total[1h])", Unit::PerSecond),
            ("count(a_bytes)", Unit::Plain),
            ("a_bytes + b_bytes > 1e9", Unit::Bytes),
            ("a_bytes * b_bytes", Unit::Plain),
            ("a_bytes * 8", Unit::Plain),
            ("max_over_time(disk[1d])", Unit::Percent),
            ("quantile_over_time(0.9, lag_seconds[1h])", Unit::Seconds),
            ("topk(3, a_bytes)", Unit::Bytes),
            ("time()", Unit::Plain),
        ] {
            assert_eq!(unit(&parse(text).unwrap(), &words), unit_of, "{text}");
        }
    }
}
