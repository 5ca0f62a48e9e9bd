//! query: lengths of time in selectors, those that are computed from the query's step and range
//! among them.

use super::super::ast::{Duration, DurationExpr, DurationKind, DurationOp, Span};
use super::super::float::{max, min};
use super::error::{EvalError, Outcome};
use super::walk::Evaluator;

impl Evaluator<'_> {
    /// An offset, ms; may be negative.
    pub(super) fn offset(&self, duration: &Duration) -> Outcome<i64> {
        self.millis(duration, true)
    }

    /// A range or a step, ms; positive.
    pub(super) fn length(&self, duration: &Duration) -> Outcome<i64> {
        self.millis(duration, false)
    }

    fn millis(&self, duration: &Duration, any: bool) -> Outcome<i64> {
        let expr = match duration {
            Duration::Millis(ms) => return Ok(*ms),
            Duration::Expr(expr) => expr,
        };
        let seconds = self.seconds(expr)?;
        let wrong = |what: &str| Err(EvalError::question(expr.span, what));
        if !seconds.is_finite() {
            return wrong("duration is NaN or infinite");
        }
        if seconds <= 0.0 && !any {
            return wrong("duration must be greater than 0");
        }
        // The longest that fits into Prometheus' nanoseconds: some 292 years.
        if seconds.abs() > i64::MAX as f64 / 1e9 {
            return wrong("duration is out of range");
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn seconds(&self, expr: &DurationExpr) -> Outcome<f64> {
        Ok(match &expr.kind {
            DurationKind::Number(number) => number.value,
            DurationKind::Step => self.step as f64 / 1000.0,
            DurationKind::Range => self.end.saturating_sub(self.start) as f64 / 1000.0,
            DurationKind::Negated(inner) => -self.seconds(inner)?,
            DurationKind::Paren(inner) => self.seconds(inner)?,
            DurationKind::Binary(op, lhs, rhs) => {
                binary(*op, self.seconds(lhs)?, self.seconds(rhs)?, expr.span)?
            }
        })
    }
}

fn binary(op: DurationOp, a: f64, b: f64, span: Span) -> Outcome<f64> {
    Ok(match op {
        DurationOp::Add => a + b,
        DurationOp::Sub => a - b,
        DurationOp::Mul => a * b,
        DurationOp::Div if b == 0.0 => return Err(EvalError::question(span, "division by zero")),
        DurationOp::Div => a / b,
        DurationOp::Mod if b == 0.0 => return Err(EvalError::question(span, "modulo by zero")),
        DurationOp::Mod => a % b,
        DurationOp::Pow => a.powf(b),
        DurationOp::MinOf => min(a, b),
        DurationOp::MaxOf => max(a, b),
    })
}
