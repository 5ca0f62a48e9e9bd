//! query: whether the parts of an expression fit together: types, numbers of arguments, matching
//! of labels. Fills in what follows from the types of both sides of an operator.

use super::ast::*;
use super::error::ParseError;
use super::functions::FunctionId;
use super::matcher::NAME;
use super::quote::quoted;
use super::types::ValueType;

/// Checks an expression as it was read; `text` is where it was read from.
pub(super) fn check(mut expr: Expr, text: &str) -> Result<Expr, ParseError> {
    debug_assert!(expr.span().end as usize <= text.len());
    visit(&mut expr)?;
    Ok(expr)
}

fn error<T>(span: Span, message: impl Into<Box<str>>) -> Result<T, ParseError> {
    Err(ParseError::new(span, message))
}

fn visit(expr: &mut Expr) -> Result<ValueType, ParseError> {
    let span = expr.span();
    match expr {
        Expr::Number(_) => Ok(ValueType::Scalar),
        Expr::String(_) => Ok(ValueType::String),
        Expr::Vector(selector) => {
            check_selector(selector)?;
            Ok(ValueType::Vector)
        }
        Expr::Matrix(matrix) => {
            check_selector(&matrix.selector)?;
            Ok(ValueType::Matrix)
        }
        Expr::Subquery(subquery) => match visit(&mut subquery.expr)? {
            ValueType::Vector => Ok(ValueType::Matrix),
            other => error(
                span,
                format!("subquery is only allowed on instant vector, got {} instead", other.word()),
            ),
        },
        Expr::Unary(unary) => match visit(&mut unary.expr)? {
            ty @ (ValueType::Scalar | ValueType::Vector) => Ok(ty),
            other => error(
                span,
                format!(
                    "unary expression only allowed on expressions of type scalar or instant \
                     vector, got {}",
                    quoted(other.documented())
                ),
            ),
        },
        Expr::Paren(paren) => visit(&mut paren.expr),
        Expr::Binary(binary) => visit_binary(binary, span),
        Expr::Aggregate(aggregate) => {
            expect(&mut aggregate.expr, ValueType::Vector, "aggregation expression")?;
            if let (Some(param), Some(wanted)) = (&mut aggregate.param, aggregate.op.param()) {
                expect(param, wanted, "aggregation parameter")?;
            }
            Ok(ValueType::Vector)
        }
        Expr::Call(call) => visit_call(call),
    }
}

fn expect(expr: &mut Expr, wanted: ValueType, context: &str) -> Result<(), ParseError> {
    let found = visit(expr)?;
    if found == wanted {
        return Ok(());
    }
    let message =
        format!("expected type {} in {context}, got {}", wanted.documented(), found.documented());
    error(expr.span(), message)
}

fn visit_binary(binary: &mut Binary, span: Span) -> Result<ValueType, ParseError> {
    let left = visit(&mut binary.lhs)?;
    let right = visit(&mut binary.rhs)?;
    let op = binary.op;
    let scalars = (left == ValueType::Scalar, right == ValueType::Scalar);
    if binary.return_bool && !op.is_comparison() {
        return error(binary.op_span, "bool modifier can only be used on comparison operators");
    }
    if op.is_comparison() && !binary.return_bool && scalars == (true, true) {
        return error(binary.op_span, "comparisons between scalars must use BOOL modifier");
    }
    let mut matching = binary.matching.take().unwrap_or_default();
    if matching.on
        && let Some(both) = matching.labels.iter().find(|l| matching.include.contains(l))
    {
        let message =
            format!("label {} must not occur in ON and GROUP clause at once", quoted(both));
        return error(binary.op_span, message);
    }
    for (ty, side) in [(left, &binary.lhs), (right, &binary.rhs)] {
        if !matches!(ty, ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return error(side.span(), message);
        }
    }
    let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
    if scalars != (false, false) {
        if !matching.labels.is_empty() {
            return error(span, "vector matching only allowed between instant vectors");
        }
        if filled {
            return error(span, "filling in missing series only allowed between instant vectors");
        }
        if op.is_set() {
            let message = format!(
                "set operator {} not allowed in binary scalar expression",
                quoted(op.word())
            );
            return error(span, message);
        }
        return Ok(if scalars == (true, true) { ValueType::Scalar } else { ValueType::Vector });
    }
    if op.is_set() {
        if matching.card != Card::OneToOne {
            let message = format!("no grouping allowed for {} operation", quoted(op.word()));
            return error(span, message);
        }
        if filled {
            return error(span, "filling in missing series not allowed for set operators");
        }
        matching.card = Card::ManyToMany;
    }
    binary.matching = Some(matching);
    Ok(ValueType::Vector)
}

fn visit_call(call: &mut Call) -> Result<ValueType, ParseError> {
    let function = call.function;
    let given = call.args.len();
    let name = || quoted(function.name);
    if function.least == function.most && given != function.least {
        let least = function.least;
        let message = format!("expected {least} argument(s) in call to {}, got {given}", name());
        return error(call.span, message);
    }
    if given < function.least {
        let least = function.least;
        let message =
            format!("expected at least {least} argument(s) in call to {}, got {given}", name());
        return error(call.span, message);
    }
    if given > function.most {
        let most = function.most;
        let message =
            format!("expected at most {most} argument(s) in call to {}, got {given}", name());
        return error(call.span, message);
    }
    for (index, arg) in call.args.iter_mut().enumerate() {
        if function.id == FunctionId::Info && index == 1 {
            check_info_selector(arg)?;
            continue;
        }
        let Some(wanted) = function.arg(index) else { continue };
        let found = visit(arg)?;
        if found != wanted {
            let message = format!(
                "expected type {} in call to function {}, got {}",
                wanted.documented(),
                name(),
                found.documented()
            );
            return error(arg.span(), message);
        }
    }
    Ok(function.returns)
}

/// The second argument of `info` says which labels to take, and may leave the name open.
fn check_info_selector(arg: &mut Expr) -> Result<(), ParseError> {
    match arg {
        Expr::Vector(selector) if selector.name.is_none() => Ok(()),
        Expr::Vector(selector) => {
            error(selector.span, "expected label selectors only, got vector selector instead")
        }
        other => error(other.span(), "expected label selectors only"),
    }
}

/// A selector has one name, or something else that not every series has.
pub(super) fn check_selector(selector: &VectorSelector) -> Result<(), ParseError> {
    let Some(name) = &selector.name else {
        if selector.matchers.iter().all(|m| m.matches_empty()) {
            let message = "vector selector must contain at least one non-empty matcher";
            return error(selector.span, message);
        }
        return Ok(());
    };
    let others = selector.matchers.len().saturating_sub(1);
    match selector.matchers[..others].iter().find(|m| m.name() == NAME) {
        None => Ok(()),
        Some(second) => error(
            selector.span,
            format!(
                "metric name must not be set twice: {} or {}",
                quoted(name),
                quoted(second.value())
            ),
        ),
    }
}
