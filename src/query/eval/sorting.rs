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
        FunctionId::Sort => by_value(&mut order, value, false),
        FunctionId::SortDesc => by_value(&mut order, value, true),
        FunctionId::SortByLabel => order.sort_by(labels),
        _ => order.sort_by(|a, b| labels(b, a)),
    }
    let mut sorted = Grid::new(grid.steps);
    for row in order {
        sorted.push(grid.metrics[row].clone(), grid.row(row));
    }
    sorted
}

/// Ascending, or the other way around; NaN comes last both ways. Among a few, NaNs change places as
/// they do in Go's insertion sort, so that small answers have Prometheus' order.
pub(super) fn by_value<T>(list: &mut [T], value: impl Fn(&T) -> f64, descending: bool) {
    const FEW: usize = 12;
    let before = |a: f64, b: f64| b.is_nan() || if descending { a > b } else { a < b };
    if list.len() > FEW {
        list.sort_by(|a, b| nan_last(value(a), value(b), descending));
        return;
    }
    for from in 1..list.len() {
        let mut at = from;
        while at > 0 && before(value(&list[at]), value(&list[at - 1])) {
            list.swap(at, at - 1);
            at -= 1;
        }
    }
}

fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
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
