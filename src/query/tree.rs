//! query: an expression as JSON, as the API's `parse_query` gives it: the keys of each object in
//! the order of the alphabet.

use super::ast::*;
use super::matcher::Matcher;
use super::number::write_decimal;
use crate::wire::json::write_string;

/// Appends an expression as a JSON object.
pub fn write_tree(out: &mut String, expr: &Expr) {
    match expr {
        Expr::Number(number) => {
            out.push_str(r#"{"type":"numberLiteral","val":""#);
            write_decimal(out, number.value);
            out.push_str("\"}");
        }
        Expr::String(string) => {
            out.push_str(r#"{"type":"stringLiteral","val":"#);
            write_string(out, &string.value);
            out.push('}');
        }
        Expr::Vector(selector) => {
            write_selector(out, selector);
            write_when(out, selector.at, "vectorSelector");
        }
        Expr::Matrix(matrix) => {
            write_selector(out, &matrix.selector);
            write_length(out, "range", &matrix.range);
            write_when(out, matrix.selector.at, "matrixSelector");
        }
        Expr::Subquery(subquery) => {
            out.push_str(r#"{"expr":"#);
            write_tree(out, &subquery.expr);
            write_length(out, "offset", &subquery.offset);
            write_length(out, "range", &subquery.range);
            write_start_or_end(out, subquery.at);
            write_length(out, "step", subquery.step.as_ref().unwrap_or(&Duration::ZERO));
            write_timestamp(out, subquery.at, "subquery");
        }
        Expr::Unary(unary) => {
            out.push_str(r#"{"expr":"#);
            write_tree(out, &unary.expr);
            let op = if unary.negate { "-" } else { "+" };
            out.push_str(&format!(r#","op":"{op}","type":"unaryExpr"}}"#));
        }
        Expr::Paren(paren) => {
            out.push_str(r#"{"expr":"#);
            write_tree(out, &paren.expr);
            out.push_str(r#","type":"parenExpr"}"#);
        }
        Expr::Binary(binary) => write_binary(out, binary),
        Expr::Aggregate(aggregate) => {
            out.push_str(r#"{"expr":"#);
            write_tree(out, &aggregate.expr);
            out.push_str(r#","grouping":"#);
            write_list(out, &aggregate.grouping, |out, label| write_string(out, label));
            let op = aggregate.op.word();
            out.push_str(&format!(r#","op":"{op}","param":"#));
            match &aggregate.param {
                Some(param) => write_tree(out, param),
                None => out.push_str("null"),
            }
            let without = aggregate.without;
            out.push_str(&format!(r#","type":"aggregation","without":{without}}}"#));
        }
        Expr::Call(call) => {
            let function = call.function;
            out.push_str(r#"{"args":"#);
            write_list(out, &call.args, write_tree);
            out.push_str(r#","func":{"argTypes":"#);
            write_list(out, function.args, |out, ty| write_string(out, ty.word()));
            out.push_str(&format!(
                r#","name":"{}","returnType":"{}","variadic":{}}},"type":"call"}}"#,
                function.name,
                function.returns.word(),
                function.variadic()
            ));
        }
    }
}

fn write_list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// The common part of a vector and a range, up to the offset.
fn write_selector(out: &mut String, selector: &VectorSelector) {
    out.push_str(&format!(r#"{{"anchored":{},"matchers":"#, selector.edges == Edges::Anchored));
    write_list(out, &selector.matchers, |out, matcher: &Matcher| {
        out.push_str(r#"{"name":"#);
        write_string(out, matcher.name());
        out.push_str(&format!(r#","type":"{}","value":"#, matcher.op().word()));
        write_string(out, matcher.value());
        out.push('}');
    });
    out.push_str(r#","name":"#);
    write_string(out, selector.name.as_deref().unwrap_or_default());
    write_length(out, "offset", &selector.offset);
    out.push_str(if selector.edges == Edges::Smoothed { SMOOTHED } else { NOT_SMOOTHED });
}

/// `smoothed` stands between `range` and `startOrEnd`, but readers of JSON do not count on it.
const SMOOTHED: &str = r#","smoothed":true"#;
const NOT_SMOOTHED: &str = r#","smoothed":false"#;

fn write_when(out: &mut String, at: Option<At>, ty: &str) {
    write_start_or_end(out, at);
    write_timestamp(out, at, ty);
}

fn write_start_or_end(out: &mut String, at: Option<At>) {
    out.push_str(match at {
        Some(At::Start) => r#","startOrEnd":"start""#,
        Some(At::End) => r#","startOrEnd":"end""#,
        _ => r#","startOrEnd":null"#,
    });
}

fn write_timestamp(out: &mut String, at: Option<At>, ty: &str) {
    out.push_str(&match at {
        Some(At::Time(ms)) => format!(r#","timestamp":{ms},"type":"{ty}"}}"#),
        _ => format!(r#","timestamp":null,"type":"{ty}"}}"#),
    });
}

/// `"range":300000,"rangeExpr":null`
fn write_length(out: &mut String, key: &str, duration: &Duration) {
    match duration {
        Duration::Millis(ms) => out.push_str(&format!(r#","{key}":{ms},"{key}Expr":null"#)),
        Duration::Expr(expr) => {
            out.push_str(&format!(r#","{key}":0,"{key}Expr":"#));
            write_duration(out, expr, false);
        }
    }
}

fn write_duration(out: &mut String, expr: &DurationExpr, wrapped: bool) {
    let mut node = |op: &str, left: Option<&DurationExpr>, right: Option<&DurationExpr>| {
        out.push_str(r#"{"lhs":"#);
        write_side(out, left);
        out.push_str(&format!(r#","op":"{op}","rhs":"#));
        write_side(out, right);
        out.push_str(&format!(r#","type":"durationExpr","wrapped":{wrapped}}}"#));
    };
    match &expr.kind {
        // A number in parentheses is written as one with a sign, to have where to say so.
        DurationKind::Number(_) if wrapped => node("+", None, Some(expr)),
        DurationKind::Number(number) => {
            out.push_str(&format!(r#"{{"duration":{},"type":"numberLiteral","val":""#, {
                number.duration
            }));
            write_decimal(out, number.value);
            out.push_str("\"}");
        }
        DurationKind::Step => node("step", None, None),
        DurationKind::Range => node("range", None, None),
        DurationKind::Negated(inside) => node("-", None, Some(inside)),
        DurationKind::Paren(inside) => write_duration(out, inside, true),
        DurationKind::Binary(op, left, right) => node(op.word(), Some(left), Some(right)),
    }
}

fn write_side(out: &mut String, side: Option<&DurationExpr>) {
    match side {
        Some(expr) => write_duration(out, expr, false),
        None => out.push_str("null"),
    }
}

fn write_binary(out: &mut String, binary: &Binary) {
    out.push_str(&format!(r#"{{"bool":{},"lhs":"#, binary.return_bool));
    write_tree(out, &binary.lhs);
    out.push_str(r#","matching":"#);
    match &binary.matching {
        None => out.push_str("null"),
        Some(matching) => {
            let number = |value: Option<f64>| match value {
                Some(value) if value.is_finite() => value.to_string(),
                _ => "null".to_owned(),
            };
            out.push_str(&format!(
                r#"{{"card":"{}","fillValues":{{"lhs":{},"rhs":{}}},"include":"#,
                matching.card.word(),
                number(matching.fill_left),
                number(matching.fill_right),
            ));
            write_list(out, &matching.include, |out, label| write_string(out, label));
            out.push_str(r#","labels":"#);
            write_list(out, &matching.labels, |out, label| write_string(out, label));
            out.push_str(&format!(r#","on":{}}}"#, matching.on));
        }
    }
    out.push_str(&format!(r#","op":"{}","rhs":"#, binary.op.word()));
    write_tree(out, &binary.rhs);
    out.push_str(r#","type":"binaryExpr"}"#);
}
