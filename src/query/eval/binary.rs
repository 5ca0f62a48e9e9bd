//! query: operators: between scalars, between a vector and a scalar, and what both share with those
//! between vectors: the loop over two rows.

use super::super::annotation::Annotation;
use super::super::ast::{Binary, BinaryOp, Span};
use super::super::float::{ABSENT, is_absent};
use super::error::{EvalError, Outcome};
use super::frame::{Frame, Operand};
use super::grid::Grid;
use super::walk::Evaluator;

impl Evaluator<'_> {
    pub(super) fn binary(&mut self, e: &Binary, frame: Frame) -> Outcome<Operand> {
        let (lhs, rhs) = (self.eval(&e.lhs, frame)?, self.eval(&e.rhs, frame)?);
        let whole = e.lhs.span().to(e.rhs.span());
        let steps = frame.count;
        Ok(match (lhs, rhs) {
            (Operand::Scalar(a), Operand::Scalar(b)) => {
                let f = scalar(e.op).ok_or_else(|| unfit(e))?;
                Operand::Scalar(a.zip(b, &self.guard, steps, f)?)
            }
            (Operand::Vector(grid), Operand::Scalar(b)) => {
                let row = b.row(&self.guard, steps)?;
                Operand::Vector(self.with_scalar(e, whole, grid, &row, false)?)
            }
            (Operand::Scalar(a), Operand::Vector(grid)) => {
                let row = a.row(&self.guard, steps)?;
                Operand::Vector(self.with_scalar(e, whole, grid, &row, true)?)
            }
            (Operand::Vector(a), Operand::Vector(b)) => Operand::Vector(match e.op {
                BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => self.set(e, a, b)?,
                _ => self.between(e, whole, a, b)?,
            }),
            _ => return Err(unfit(e)),
        })
    }

    fn with_scalar(
        &mut self,
        e: &Binary,
        whole: Span,
        mut grid: Grid,
        other: &[f64],
        scalar_left: bool,
    ) -> Outcome<Grid> {
        let kernel = Kernel::of(e, scalar_left, true).ok_or_else(|| unfit(e))?;
        if kernel.is_trim() {
            self.note_trim(e, whole, &grid);
            return Ok(self.grid(grid.steps));
        }
        grid.by_steps(&self.guard, |from, values| kernel.run(values, &other[from..]))?;
        if kernel.keeps_name() { Ok(grid) } else { grid.drop_names(&self.guard) }
    }

    /// Operators for native histograms give nothing between numbers, and say so.
    pub(super) fn note_trim(&mut self, e: &Binary, whole: Span, grid: &Grid) {
        if grid.values.iter().any(|v| !is_absent(*v)) {
            self.notes.add(Annotation::incompatible_types(e.op.word(), whole));
        }
    }
}

fn unfit(e: &Binary) -> EvalError {
    EvalError::at(e.op_span, format!("operator \"{}\" does not fit these operands", e.op.word()))
}

/// The function of an operator on two numbers; comparisons give 0 or 1.
fn scalar(op: BinaryOp) -> Option<fn(f64, f64) -> f64> {
    if let Some(f) = arithmetic(op) {
        return Some(f);
    }
    Some(match op {
        BinaryOp::Eq => |a, b| f64::from(a == b),
        BinaryOp::Ne => |a, b| f64::from(a != b),
        BinaryOp::Gt => |a, b| f64::from(a > b),
        BinaryOp::Lt => |a, b| f64::from(a < b),
        BinaryOp::Ge => |a, b| f64::from(a >= b),
        BinaryOp::Le => |a, b| f64::from(a <= b),
        _ => return None,
    })
}

fn arithmetic(op: BinaryOp) -> Option<fn(f64, f64) -> f64> {
    Some(match op {
        BinaryOp::Add => |a, b| a + b,
        BinaryOp::Sub => |a, b| a - b,
        BinaryOp::Mul => |a, b| a * b,
        BinaryOp::Div => |a, b| a / b,
        BinaryOp::Mod => |a, b| a % b,
        BinaryOp::Pow => super::super::float::pow,
        BinaryOp::Atan2 => f64::atan2,
        _ => return None,
    })
}

fn comparison(op: BinaryOp) -> Option<fn(f64, f64) -> bool> {
    Some(match op {
        BinaryOp::Eq => |a, b| a == b,
        BinaryOp::Ne => |a, b| a != b,
        BinaryOp::Gt => |a, b| a > b,
        BinaryOp::Lt => |a, b| a < b,
        BinaryOp::Ge => |a, b| a >= b,
        BinaryOp::Le => |a, b| a <= b,
        _ => return None,
    })
}

/// An operator over two rows. The one that the result replaces is the row, the other the other.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    op: BinaryOp,
    /// The other one is the left operand.
    swapped: bool,
    /// A comparison gives 0 or 1.
    bool: bool,
    /// A comparison that holds keeps the row's value, even where the row is on the right.
    keeps_row: bool,
}

impl Kernel {
    pub(super) fn of(e: &Binary, swapped: bool, keeps_row: bool) -> Option<Self> {
        let known = arithmetic(e.op).is_some()
            || comparison(e.op).is_some()
            || matches!(e.op, BinaryOp::TrimUpper | BinaryOp::TrimLower);
        known.then_some(Self { op: e.op, swapped, bool: e.return_bool, keeps_row })
    }

    pub(super) fn is_trim(&self) -> bool {
        matches!(self.op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    /// Whether the result still is what the name says.
    pub(super) fn keeps_name(&self) -> bool {
        self.op.is_comparison() && !self.bool
    }

    pub(super) fn run(&self, row: &mut [f64], other: &[f64]) {
        match (self.op, self.swapped) {
            // Known here, these become vector instructions.
            (BinaryOp::Add, _) => each(row, other, |a, b| a + b),
            (BinaryOp::Mul, _) => each(row, other, |a, b| a * b),
            (BinaryOp::Sub, false) => each(row, other, |a, b| a - b),
            (BinaryOp::Sub, true) => each(row, other, |a, b| b - a),
            (BinaryOp::Div, false) => each(row, other, |a, b| a / b),
            (BinaryOp::Div, true) => each(row, other, |a, b| b / a),
            (op, swapped) => {
                if let Some(f) = arithmetic(op) {
                    each(row, other, |a, b| if swapped { f(b, a) } else { f(a, b) });
                } else if let Some(f) = comparison(op) {
                    let holds = |a, b| if swapped { f(b, a) } else { f(a, b) };
                    if self.bool {
                        each(row, other, |a, b| f64::from(holds(a, b)));
                    } else if self.keeps_row || !swapped {
                        each(row, other, |a, b| if holds(a, b) { a } else { ABSENT });
                    } else {
                        each(row, other, |a, b| if holds(a, b) { b } else { ABSENT });
                    }
                }
            }
        }
    }
}

#[inline]
fn each(row: &mut [f64], other: &[f64], f: impl Fn(f64, f64) -> f64) {
    for (a, b) in row.iter_mut().zip(other) {
        *a = if is_absent(*a) || is_absent(*b) { ABSENT } else { f(*a, *b) };
    }
}
