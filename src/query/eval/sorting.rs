//! query: sort and its like: the order of an instant vector.

use std::cmp::Ordering;

use super::super::ast::{Call, Expr};
use super::super::functions::FunctionId;
use super::super::natural;
use super::grid::{Grid, Metric};

/// Puts the rows of one step in order.
pub(super) fn sort(call: &Call, grid: Grid) -> Grid {
    let names: Vec<&str> = call.args[1..]
        .iter()
        .filter_map(|arg| match arg.unwrap_parens() {
            Expr::String(s) => Some(&*s.value),
            _ => None,
        })
        .collect();
    let mut order: Vec<usize> = (0..grid.len()).collect();
    let value = |row: &usize| grid.row(*row)[0];
    let labels = |a: &usize, b: &usize| by_labels(&names, &grid.metrics[*a], &grid.metrics[*b]);
    match call.function.id {
        FunctionId::Sort => order.sort_by(|a, b| nan_last(value(a), value(b), false)),
        FunctionId::SortDesc => order.sort_by(|a, b| nan_last(value(a), value(b), true)),
        FunctionId::SortByLabel => order.sort_by(labels),
        _ => order.sort_by(|a, b| labels(b, a)),
    }
    let mut sorted = Grid::new(grid.steps);
    for row in order {
        sorted.push(grid.metrics[row].clone(), grid.row(row));
    }
    sorted
}

/// Ascending, or the other way around; NaN comes last both ways.
pub(super) fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
        (a, b) => a.cmp(&b),
    }
}

fn by_labels(names: &[&str], a: &Metric, b: &Metric) -> Ordering {
    for name in names {
        let (left, right) = (a.get(name), b.get(name));
        if left != right {
            return natural::compare(left, right);
        }
    }
    a.iter().cmp(b.iter())
}
