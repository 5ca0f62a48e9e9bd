//! query: a second opinion: the crate promql-parser reads the same texts.

use promql_parser::parser as theirs;
use proptest::prelude::*;

use super::texts::{classic, soup};
use crate::query::ast::Expr;
use crate::query::parse;

fn compare(text: &str) -> Result<(), TestCaseError> {
    // A duration that is too long for it makes it panic: then it has no opinion.
    let Ok(theirs) = std::panic::catch_unwind(|| theirs::parse(text)) else { return Ok(()) };
    match (parse(text), theirs) {
        (Ok(ours), Ok(theirs)) => {
            // They print a duration as its seconds.
            let ours = without_durations(ours);
            let again = theirs.to_string();
            let read = parse(&again).map_err(|e| TestCaseError::fail(e.shown(&again)))?;
            prop_assert_eq!(ours.to_string(), read.to_string(), "{}", text);
        }
        (Err(_), Err(_)) => {}
        (Ok(_), Err(error)) => prop_assert!(false, "only we read {text}: {error}"),
        // They take a `+` before a text; Prometheus does not.
        (Err(error), Ok(_)) if error.shown(text).contains("unary expression only allowed") => {}
        (Err(error), Ok(_)) => prop_assert!(false, "only they read: {}", error.shown(text)),
    }
    Ok(())
}

fn without_durations(mut expr: Expr) -> Expr {
    fn visit(expr: &mut Expr) {
        match expr {
            Expr::Number(number) => number.duration = false,
            Expr::Subquery(e) => visit(&mut e.expr),
            // Nor do they keep a `+` that says nothing.
            Expr::Unary(e) if !e.negate => {
                visit(&mut e.expr);
                *expr = e.expr.clone();
            }
            Expr::Unary(e) => visit(&mut e.expr),
            Expr::Paren(e) => visit(&mut e.expr),
            Expr::Binary(e) => {
                visit(&mut e.lhs);
                visit(&mut e.rhs);
            }
            Expr::Aggregate(e) => {
                e.param.iter_mut().for_each(visit);
                visit(&mut e.expr);
            }
            Expr::Call(e) => e.args.iter_mut().for_each(visit),
            Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {}
        }
    }
    visit(&mut expr);
    expr
}

proptest! {
    #[test]
    fn expressions_are_read_alike(text in classic()) {
        compare(&text)?;
    }

    #[test]
    fn what_is_made_of_words_is_accepted_alike(text in soup()) {
        compare(&text)?;
    }
}
