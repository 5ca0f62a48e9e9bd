//! query: aggregations that look at all series of a group together: topk, bottomk, limitk,
//! limit_ratio, quantile, count_values.

use hashbrown::HashMap;

use super::super::annotation::Annotation;
use super::super::ast::{Aggregate, AggregateOp, Expr};
use super::super::budget::Held;
use super::super::float::{self, ABSENT, is_absent};
use super::aggregate::{choice, group_metric, param};
use super::error::{EvalError, Outcome};
use super::grid::{BESIDE, Choice, Classes, Grid, ROW};
use super::guard::Guard;
use super::relabel::LONGEST_LABEL;
use super::walk::{Evaluator, Frame, Scalars};
use super::{sampling, sorting};

/// The rows of each group, in order.
fn members(grid: &Grid, choice: Choice<'_>, guard: &Guard<'_>) -> Outcome<Vec<Vec<usize>>> {
    let mut pace = guard.pace();
    let mut classes = Classes::new(Some(choice));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (row, metric) in grid.metrics.iter().enumerate() {
        pace.work(ROW)?;
        let group = classes.class(metric);
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(row);
    }
    Ok(groups)
}

/// The smallest and largest value of a parameter at all steps, and whether one is NaN.
struct Extent {
    least: f64,
    most: f64,
    nan: bool,
}

impl Extent {
    fn of(values: &Scalars, steps: usize) -> Self {
        let steps = if matches!(values, Scalars::Same(_)) { 1 } else { steps };
        let mut extent = Self { least: f64::INFINITY, most: f64::NEG_INFINITY, nan: false };
        for value in (0..steps).map(|i| values.at(i)) {
            extent.least = float::min(extent.least, value);
            extent.most = float::max(extent.most, value);
            extent.nan |= value.is_nan();
        }
        extent
    }
}

/// Rows one after the other, and how many steps each has.
type Cells<'g> = (&'g [f64], usize);

/// A few steps of some rows, step by step: the rows of a grid lie far apart, and to look at one
/// value of each waits for memory once a value.
struct Tile {
    values: Vec<f64>,
    from: usize,
    steps: usize,
}

impl Tile {
    /// Steps in a tile: eight values are what memory hands out at a time.
    const STEPS: usize = 8;

    fn new() -> Self {
        Self { values: Vec::new(), from: 0, steps: 0 }
    }

    /// The values of these rows at a step. Steps come in order.
    fn at(&mut self, (values, steps): Cells<'_>, rows: &[usize], step: usize) -> &[f64] {
        if step == 0 || step >= self.from + self.steps {
            self.from = step;
            self.steps = Self::STEPS.min(steps - step);
            self.values.resize(self.steps * rows.len(), ABSENT);
            for (i, row) in rows.iter().enumerate() {
                let part = &values[row * steps + step..][..self.steps];
                for (at, value) in part.iter().enumerate() {
                    self.values[at * rows.len() + i] = *value;
                }
            }
        }
        &self.values[(step - self.from) * rows.len()..][..rows.len()]
    }
}

/// From this number of values on, a second thread shares the groups.
const MANY: usize = 1 << 18;

/// Fills the results of some groups, row after row.
type Fill<'f> = dyn Fn(&[Vec<usize>], &mut [f64]) -> Outcome<()> + Sync + 'f;

/// Fills the results of all groups, of half of them on another thread where they look at much. Which
/// thread does it changes nothing in a group's results.
fn by_halves(
    groups: &[Vec<usize>],
    results: &mut [f64],
    (values, steps): Cells<'_>,
    fill: &Fill<'_>,
) -> Outcome<()> {
    let half = groups.len() / 2;
    if half == 0 || values.len() < MANY {
        return fill(groups, results);
    }
    let done = std::thread::scope(|scope| {
        let (own, others) = results.split_at_mut(half * steps);
        let (now, later) = groups.split_at(half);
        let thread = std::thread::Builder::new().name("aggregate".to_owned());
        let thread = thread.spawn_scoped(scope, || fill(later, others)).ok()?;
        let done = fill(now, own);
        let gone = |_| Err(EvalError::execution("a thread of this query has ended"));
        Some(done.and(thread.join().unwrap_or_else(gone)))
    });
    // If no thread can be started, this one does it all.
    done.unwrap_or_else(|| fill(groups, results))
}

/// The quantile of each group at each step.
fn quantiles(
    q: &Scalars,
    groups: &[Vec<usize>],
    (values, steps): Cells<'_>,
    guard: &Guard<'_>,
    results: &mut [f64],
) -> Outcome<()> {
    let mut scratch = Vec::new();
    let mut pace = guard.pace();
    for (rows, results) in groups.iter().zip(results.chunks_exact_mut(steps)) {
        let mut tile = Tile::new();
        for (i, result) in results.iter_mut().enumerate() {
            // The values are also sorted.
            pace.work(8 * rows.len())?;
            scratch.clear();
            let at = tile.at((values, steps), rows, i);
            scratch.extend(at.iter().filter(|v| !is_absent(**v)));
            if !scratch.is_empty() {
                *result = float::quantile(q.at(i), &mut scratch);
            }
        }
    }
    Ok(())
}

/// The memory for the values of a group that are processed at a time: a tile, and the values of a
/// step with their rows. Two threads may do it.
fn tiles(groups: &[Vec<usize>], guard: &Guard<'_>) -> Outcome<Held> {
    let most = groups.iter().map(Vec::len).max().unwrap_or(0);
    let mut room = guard.hold();
    room.take_for::<f64>(2 * most * (Tile::STEPS + 2))?;
    Ok(room)
}

impl Evaluator<'_> {
    /// The parameter of an aggregation at all steps.
    fn param(&mut self, e: &Aggregate, frame: Frame) -> Outcome<Scalars> {
        match &e.param {
            Some(param) => self.scalar(param, frame),
            None => Err(EvalError::at(e.span, format!("{} needs a parameter", e.op.word()))),
        }
    }

    /// `quantile(q, v)`
    pub(super) fn quantile(&mut self, e: &Aggregate, frame: Frame) -> Outcome<Grid> {
        let q = self.param(e, frame)?;
        let grid = self.vector(&e.expr, frame)?;
        let extent = Extent::of(&q, frame.count);
        let span = param(e).map_or(e.span, Expr::span);
        if extent.nan {
            self.notes.add(Annotation::invalid_quantile(f64::NAN, span));
        }
        if extent.most > 1.0 {
            self.notes.add(Annotation::invalid_quantile(extent.most, span));
        }
        if extent.least < 0.0 {
            self.notes.add(Annotation::invalid_quantile(extent.least, span));
        }
        let mut out = self.grid(frame.count);
        let groups = members(&grid, choice(e), &self.guard)?;
        let _room = tiles(&groups, &self.guard)?;
        self.guard.make(frame.count.saturating_mul(groups.len()))?;
        for rows in &groups {
            out.add(group_metric(&grid.metrics[rows[0]], e.without, &e.grouping))?;
        }
        let from = (grid.values.as_slice(), frame.count);
        let guard = &self.guard;
        by_halves(&groups, &mut out.values, from, &|groups, results| {
            quantiles(&q, groups, from, guard, results)
        })?;
        Ok(out.drop_empty())
    }

    /// `count_values("label", v)`
    pub(super) fn count_values(&mut self, e: &Aggregate, frame: Frame) -> Outcome<Grid> {
        let Some(Expr::String(label)) = param(e) else {
            return Err(EvalError::at(e.span, "count_values needs the name of a label"));
        };
        if label.value.is_empty() || !label.utf8 {
            let message = format!("invalid label name \"{}\"", label.value);
            return Err(EvalError::at(e.span, message));
        }
        let label = &*label.value;
        if label.len() > LONGEST_LABEL {
            let why =
                format!("count_values: the label's name is longer than {LONGEST_LABEL} bytes");
            return Err(EvalError::at(e.span, why));
        }
        let grid = self.vector(&e.expr, frame)?;
        let mut grouping = e.grouping.clone();
        if !e.without {
            grouping.push(label.into());
        }
        let mut groups = Classes::new(None);
        let mut out = self.grid(frame.count);
        let mut room = self.guard.hold();
        for (metric, row) in grid.rows() {
            let mut pace = self.guard.pace();
            // Equal values go to the same group.
            let mut known: HashMap<u64, usize> = HashMap::new();
            for (i, value) in row.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                pace.work(1)?;
                let group = match known.get(&value.to_bits()) {
                    Some(group) => *group,
                    None => {
                        let text = float::plain(*value);
                        let valued = metric.with(&[(label, &text)]);
                        let valued = group_metric(&valued, e.without, &grouping);
                        pace.work(ROW)?;
                        let group = groups.class(&valued);
                        if group == out.len() {
                            let left = self.guard.left();
                            if ((out.len() + 1) * frame.count) as u64 > left {
                                return Err(EvalError::TooManySamples);
                            }
                            out.add(valued)?;
                        }
                        if known.len() == known.capacity() {
                            room.settle(4 * BESIDE * (known.len() + 1))?;
                        }
                        known.insert(value.to_bits(), group);
                        group
                    }
                };
                let cell = &mut out.row_mut(group)[i];
                *cell = if is_absent(*cell) { 1.0 } else { *cell + 1.0 };
            }
            self.guard.check()?;
        }
        self.guard.make(out.values.len())?;
        Ok(out)
    }

    /// `topk`, `bottomk`, `limitk` and `limit_ratio`: some of the series as they are.
    pub(super) fn ranked(&mut self, e: &Aggregate, frame: Frame) -> Outcome<Grid> {
        let many = self.param(e, frame)?;
        let grid = self.vector(&e.expr, frame)?;
        let extent = Extent::of(&many, frame.count);
        let span = param(e).map_or(e.span, Expr::span);
        if e.op == AggregateOp::LimitRatio {
            if extent.most == 0.0 && extent.least == 0.0 {
                return Ok(self.grid(frame.count));
            }
            if extent.nan {
                return Err(EvalError::at(span, "Ratio value is NaN"));
            }
            if extent.most > 1.0 {
                self.notes.add(Annotation::invalid_ratio(extent.most, 1.0, span));
            }
            if extent.least < -1.0 {
                self.notes.add(Annotation::invalid_ratio(extent.least, -1.0, span));
            }
            return by_ratio(grid, &many, &self.guard);
        }
        if extent.most < 1.0 {
            return Ok(self.grid(frame.count));
        }
        if extent.nan {
            return Err(EvalError::at(span, "Parameter value is NaN"));
        }
        let limit = 9_223_372_036_854_775_808.0;
        for (value, wrong, verb) in [
            (extent.least, extent.least <= -limit, "underflows"),
            (extent.most, extent.most >= limit, "overflows"),
        ] {
            if wrong {
                let value = float::shortest(value);
                return Err(EvalError::at(span, format!("Scalar value {value} {verb} int64")));
            }
        }
        let groups = members(&grid, choice(e), &self.guard)?;
        let mut room = tiles(&groups, &self.guard)?;
        if frame.count == 1 {
            return instant(e.op, &grid, &groups, many.at(0), &self.guard);
        }
        self.guard.make(grid.values.len())?;
        // Rows that are chosen once, in the order in which that happens, and where they are from.
        let mut chosen = self.grid(grid.steps);
        // Three words a row: where it is from, and its place among the chosen.
        room.take_for::<[usize; 4]>(grid.len())?;
        let mut origins: Vec<(usize, usize)> = Vec::new();
        let mut places: Vec<Option<usize>> = vec![None; grid.len()];
        let mut heap = Vec::new();
        let mut pace = self.guard.pace();
        for rows in &groups {
            let mut tile = Tile::new();
            for i in 0..frame.count {
                pace.work(4 * rows.len())?;
                choose(
                    e.op,
                    tile.at((&grid.values, grid.steps), rows, i),
                    rows,
                    many.at(i),
                    &mut heap,
                );
                for (value, row) in &heap {
                    let at = match places[*row] {
                        Some(at) => at,
                        None => {
                            origins.push((*row, chosen.len()));
                            places[*row] = Some(chosen.len());
                            chosen.add(grid.metrics[*row].clone())?;
                            chosen.len() - 1
                        }
                    };
                    chosen.row_mut(at)[i] = *value;
                }
            }
        }
        // Back in the order in which they came: what sums them up adds in that order.
        origins.sort_unstable();
        let mut out = self.grid(grid.steps);
        out.room.reserve(&mut out.values, chosen.values.len())?;
        let mut pace = self.guard.pace();
        for (_, at) in origins {
            pace.work(grid.steps)?;
            out.push(chosen.metrics[at].clone(), chosen.row(at))?;
        }
        Ok(out)
    }
}

/// The series of one step in the order in which they are chosen.
fn instant(
    op: AggregateOp,
    grid: &Grid,
    groups: &[Vec<usize>],
    many: f64,
    guard: &Guard<'_>,
) -> Outcome<Grid> {
    let mut out = grid.another(1);
    let mut heap = Vec::new();
    let mut pace = guard.pace();
    for rows in groups {
        pace.work(16 * rows.len())?;
        choose(op, Tile::new().at((&grid.values, grid.steps), rows, 0), rows, many, &mut heap);
        match op {
            AggregateOp::Topk => sorting::by_value(&mut heap, |(value, _)| *value, true),
            AggregateOp::Bottomk => sorting::by_value(&mut heap, |(value, _)| *value, false),
            _ => {}
        }
        for (value, row) in &heap {
            out.push(grid.metrics[*row].clone(), &[*value])?;
        }
    }
    Ok(out)
}

/// Fills `heap` with the chosen of the values of a group's rows at a step, and their rows.
fn choose(
    op: AggregateOp,
    values: &[f64],
    rows: &[usize],
    many: f64,
    heap: &mut Vec<(f64, usize)>,
) {
    heap.clear();
    let k = (many as i64).min(rows.len() as i64);
    if k < 1 {
        return;
    }
    let k = k as usize;
    let present = values.iter().copied().zip(rows.iter().copied());
    let present = present.filter(|(value, _)| !is_absent(*value));
    match op {
        AggregateOp::Topk => keep_best(present, k, heap, |a, b| a < b),
        AggregateOp::Bottomk => keep_best(present, k, heap, |a, b| a > b),
        _ => heap.extend(present.take(k)),
    }
}

/// Keeps the `k` best, the worst of them in front. Which of equal ones stay follows from the moves
/// of the heap, so these are those of Go's container/heap.
fn keep_best(
    all: impl Iterator<Item = (f64, usize)>,
    k: usize,
    heap: &mut Vec<(f64, usize)>,
    worse: impl Fn(f64, f64) -> bool,
) {
    // NaN is the worst, even of NaN.
    let before = |a: &(f64, usize), b: &(f64, usize)| a.0.is_nan() || worse(a.0, b.0);
    for new in all {
        if heap.len() < k {
            heap.push(new);
            let mut at = heap.len() - 1;
            while at > 0 {
                let parent = (at - 1) / 2;
                if !before(&heap[at], &heap[parent]) {
                    break;
                }
                heap.swap(at, parent);
                at = parent;
            }
        } else if worse(heap[0].0, new.0) || heap[0].0.is_nan() && !new.0.is_nan() {
            heap[0] = new;
            let mut at = 0;
            loop {
                let mut child = 2 * at + 1;
                if child >= k {
                    break;
                }
                if child + 1 < k && before(&heap[child + 1], &heap[child]) {
                    child += 1;
                }
                if !before(&heap[child], &heap[at]) {
                    break;
                }
                heap.swap(at, child);
                at = child;
            }
        }
    }
}

/// Keeps the series whose labels fall into the ratio.
fn by_ratio(mut grid: Grid, ratio: &Scalars, guard: &Guard<'_>) -> Outcome<Grid> {
    let steps = grid.steps;
    let mut pace = guard.pace();
    for (metric, row) in grid.metrics.iter().zip(grid.values.chunks_exact_mut(steps)) {
        pace.work(steps + ROW)?;
        let place = sampling::place(metric);
        for (i, value) in row.iter_mut().enumerate() {
            if !sampling::is_in(place, ratio.at(i).clamp(-1.0, 1.0)) {
                *value = ABSENT;
            }
        }
    }
    Ok(grid.drop_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_put_where_the_whole_would_be() {
        let (steps, rows) = (1_000, 300);
        let values: Vec<f64> = (0..steps * rows).map(|i| ((i * 7_919) % 10_007) as f64).collect();
        let guard = Guard::new(Default::default());
        let q = super::super::walk::Row::of(&guard, steps, |i| i as f64 / steps as f64);
        let q = Scalars::Steps(q.expect("there is room"));
        for size in [1, 7, 100, 300] {
            let all: Vec<usize> = (0..rows).collect();
            let groups: Vec<Vec<usize>> = all.chunks(size).map(<[usize]>::to_vec).collect();
            let (mut one, mut two) = (vec![ABSENT; groups.len() * steps], Vec::new());
            two.clone_from(&one);
            let from = (values.as_slice(), steps);
            quantiles(&q, &groups, from, &guard, &mut one).expect("in time");
            let fill = |g: &[Vec<usize>], out: &mut [f64]| quantiles(&q, g, from, &guard, out);
            by_halves(&groups, &mut two, from, &fill).expect("in time");
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(&one) == bits(&two) && !one.iter().any(|v| is_absent(*v)), "{size}");
        }
        assert!(values.len() >= MANY);
        let late = |_: &[Vec<usize>], _: &mut [f64]| Err(EvalError::Timeout);
        let mut out = vec![0.0; rows * steps];
        let groups: Vec<Vec<usize>> = (0..rows).map(|i| vec![i]).collect();
        assert!(by_halves(&groups, &mut out, (&values, steps), &late).is_err());
    }
}
