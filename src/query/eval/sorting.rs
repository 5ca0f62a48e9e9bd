//! query: sort and its like: the order of an instant vector.

use std::cmp::Ordering;

use super::super::ast::{Call, Expr};
use super::super::functions::FunctionId;
use super::super::natural;
use super::error::Outcome;
use super::grid::{Grid, Metric};
use super::guard::Guard;

/// Puts the rows of one step in order.
pub(super) fn sort(call: &Call, mut grid: Grid, guard: &Guard<'_>) -> Outcome<Grid> {
    let names: Vec<&str> = call.args[1..]
        .iter()
        .filter_map(|arg| match arg.unwrap_parens() {
            Expr::String(s) => Some(&*s.value),
            _ => None,
        })
        .collect();
    grid.room.take_for::<usize>(2 * grid.len())?;
    guard.check()?;
    let mut order: Vec<usize> = (0..grid.len()).collect();
    let value = |row: &usize| grid.row(*row)[0];
    let few = order.len() <= FEW;
    let labels = |a: &usize, b: &usize| by_labels(&names, &grid.metrics[*a], &grid.metrics[*b]);
    match call.function.id {
        FunctionId::Sort if few => by_value(&mut order, value, false),
        FunctionId::SortDesc if few => by_value(&mut order, value, true),
        FunctionId::Sort => {
            patiently(&mut order, guard, |a, b| nan_last(value(a), value(b), false))?
        }
        FunctionId::SortDesc => {
            patiently(&mut order, guard, |a, b| nan_last(value(a), value(b), true))?;
        }
        FunctionId::SortByLabel => patiently(&mut order, guard, labels)?,
        _ => patiently(&mut order, guard, |a, b| labels(b, a))?,
    }
    let mut sorted = grid.another(grid.steps);
    for row in order {
        sorted.push(grid.metrics[row].clone(), grid.row(row))?;
    }
    Ok(sorted)
}

/// Up to this number, values are sorted as Go does it.
const FEW: usize = 12;

/// The number of values that are sorted between two looks at the clock.
const RUN: usize = 2_048;

/// A stable sort that asks the guard on its way: comparing labels takes long where they are long. It
/// needs room for another list of the same length.
pub(super) fn patiently<T: Clone>(
    list: &mut Vec<T>,
    guard: &Guard<'_>,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Outcome<()> {
    for run in list.chunks_mut(RUN) {
        guard.check()?;
        run.sort_by(&compare);
    }
    let mut length = RUN;
    while length < list.len() {
        let mut merged = Vec::with_capacity(list.len());
        for pair in list.chunks(2 * length) {
            let (mut left, mut right) = pair.split_at(length.min(pair.len()));
            while let ([a, ..], [b, ..]) = (left, right) {
                if merged.len() % RUN == 0 {
                    guard.check()?;
                }
                let from = if compare(a, b) == Ordering::Greater { &mut right } else { &mut left };
                merged.push(from[0].clone());
                *from = &from[1..];
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        *list = merged;
        length *= 2;
    }
    Ok(())
}

/// Ascending, or the other way around; NaN comes last both ways. Among a few, NaNs change places as
/// they do in Go's insertion sort, so that small answers have Prometheus' order.
pub(super) fn by_value<T>(list: &mut [T], value: impl Fn(&T) -> f64, descending: bool) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_sort_is_a_stable_sort_and_ends_when_it_is_told() {
        let guard = Guard::new(Default::default());
        for length in [0, 1, RUN, RUN + 1, 5 * RUN + 77] {
            let mut list: Vec<(usize, usize)> =
                (0..length).map(|i| ((i * 7_919) % 613, i)).collect();
            let mut right = list.clone();
            right.sort_by_key(|(key, _)| *key);
            patiently(&mut list, &guard, |a, b| a.0.cmp(&b.0)).expect("in time");
            assert!(list == right, "{length}");
        }
        let gone = std::sync::atomic::AtomicBool::new(true);
        let limits = super::super::Limits { cancel: Some(&gone), ..Default::default() };
        assert!(patiently(&mut vec![2, 1], &Guard::new(limits), i32::cmp).is_err());
    }
}
