//! query: operators between vectors. The matching of series is found once for all steps. Forbidden
//! matches are an error only at a step at which both sides have values.

use super::super::ast::{Binary, BinaryOp, Card, Matching, Span};
use super::super::budget::Held;
use super::super::float::{ABSENT, is_absent};
use super::binary::Kernel;
use super::error::{EvalError, Outcome};
use super::grid::{BESIDE, Choice, Classes, Collector, Grid, Metric, ROW};
use super::guard::Guard;
use super::walk::{Evaluator, Row, mark};

/// The classes of series of both sides: those that may meet have the same one.
struct Classed {
    lhs: Vec<usize>,
    rhs: Vec<usize>,
    count: usize,
}

fn choice(matching: &Matching) -> Choice<'_> {
    if matching.on { Choice::By(&matching.labels) } else { Choice::Without(&matching.labels) }
}

fn classify(matching: &Matching, lhs: &Grid, rhs: &Grid, guard: &Guard<'_>) -> Outcome<Classed> {
    let mut classes = Classes::new(Some(choice(matching)));
    let mut pace = guard.pace();
    let mut all = |grid: &Grid| -> Outcome<Vec<usize>> {
        let class = |metric| pace.work(ROW).map(|()| classes.class(metric));
        grid.metrics.iter().map(class).collect()
    };
    let (lhs, rhs) = (all(lhs)?, all(rhs)?);
    Ok(Classed { lhs, rhs, count: classes.firsts.len() })
}

/// Steps at which each class has a series, and their memory.
fn presence(
    grid: &Grid,
    classes: &[usize],
    count: usize,
    guard: &Guard<'_>,
) -> Outcome<(Vec<Vec<bool>>, Held)> {
    let (mut room, mut pace) = (guard.hold(), guard.pace());
    let mut seen = vec![Vec::new(); count];
    for ((_, row), class) in grid.rows().zip(classes) {
        pace.work(row.len())?;
        let seen: &mut Vec<bool> = &mut seen[*class];
        let new = grid.steps.saturating_sub(seen.len());
        room.reserve(seen, new)?;
        seen.resize(grid.steps, false);
        mark(seen, row);
    }
    Ok((seen, room))
}

impl Evaluator<'_> {
    /// `and`, `or`, `unless`
    pub(super) fn set(&mut self, e: &Binary, mut lhs: Grid, rhs: Grid) -> Outcome<Grid> {
        let matching = e.matching.clone().unwrap_or_default();
        let classed = classify(&matching, &lhs, &rhs, &self.guard)?;
        let steps = lhs.steps;
        if e.op == BinaryOp::Or {
            self.guard.make(rhs.values.len())?;
            let (left, _room) = presence(&lhs, &classed.lhs, classed.count, &self.guard)?;
            let mut out = Collector::new(self.grid(steps));
            let mut pace = self.guard.pace();
            for (metric, row) in lhs.rows() {
                pace.work(ROW + steps)?;
                out.add(metric.clone(), row)?;
            }
            let mut kept = Row::of(&self.guard, steps, |_| ABSENT)?;
            for ((metric, row), class) in rhs.rows().zip(&classed.rhs) {
                pace.work(ROW + steps)?;
                let taken = |i: usize| left[*class].get(i).copied().unwrap_or(false);
                for (i, (kept, value)) in kept.iter_mut().zip(row).enumerate() {
                    *kept = if taken(i) { ABSENT } else { *value };
                }
                if kept.iter().any(|v| !is_absent(*v)) {
                    out.add(metric.clone(), &kept)?;
                }
            }
            return Ok(out.grid);
        }
        let (right, _room) = presence(&rhs, &classed.rhs, classed.count, &self.guard)?;
        let wanted = e.op == BinaryOp::And;
        let mut pace = self.guard.pace();
        for (row, class) in lhs.values.chunks_exact_mut(steps).zip(&classed.lhs) {
            pace.work(steps)?;
            for (i, value) in row.iter_mut().enumerate() {
                if right[*class].get(i).copied().unwrap_or(false) != wanted {
                    *value = ABSENT;
                }
            }
        }
        Ok(lhs.drop_empty())
    }

    /// Arithmetic and comparisons.
    pub(super) fn between(
        &mut self,
        e: &Binary,
        whole: Span,
        lhs: Grid,
        rhs: Grid,
    ) -> Outcome<Grid> {
        let matching = e.matching.clone().unwrap_or_default();
        let swapped = matching.card == Card::OneToMany;
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        // With group_right, Prometheus exchanges the sides but not the values that fill them, and
        // its own scripts hold it to that: fill_left always stands in on the side with many.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        let Some(kernel) = Kernel::of(e, swapped, false) else {
            return Err(EvalError::at(e.op_span, "this operator does not fit two vectors"));
        };
        let classed = classify(&matching, &many, &one, &self.guard)?;
        let left = self.guard.left();
        let meeting = Meeting {
            span: e.op_span,
            matching: &matching,
            kernel,
            ones: by_class(&classed.rhs, classed.count),
            crowd: by_class(&classed.lhs, classed.count).iter().map(Vec::len).collect(),
            filled: fill_many.is_some() || fill_one.is_some(),
            many: &many,
            one: &one,
            guard: &self.guard,
        };
        meeting.check_one_side()?;
        if kernel.is_trim() {
            self.note_trim(e, whole, &many);
            return Ok(self.grid(many.steps));
        }
        let mut out = Output {
            rows: Collector::new(self.grid(many.steps)),
            pairs: vec![Vec::new(); classed.count],
            result: Row::of(&self.guard, many.steps, |_| ABSENT)?,
            room: self.guard.hold(),
        };
        let mut made = 0;
        for (i, class) in classed.lhs.iter().enumerate() {
            made += many.steps as u64;
            if made > left {
                return Err(EvalError::TooManySamples);
            }
            for other in &meeting.ones[*class] {
                let metric = meeting.metric(&many.metrics[i], &one.metrics[*other]);
                out.pair(&meeting, *class, metric, many.row(i), one.row(*other))?;
            }
            if let Some(fill) = fill_one {
                let missing = missing(&one, &meeting.ones[*class], fill, &self.guard)?;
                let labels = meeting.matched(&many.metrics[i]);
                let metric = meeting.metric(&many.metrics[i], &labels);
                out.pair(&meeting, *class, metric, many.row(i), &missing)?;
            }
            self.guard.check()?;
        }
        if let Some(fill) = fill_many {
            let crowds = by_class(&classed.lhs, classed.count);
            for (i, class) in classed.rhs.iter().enumerate() {
                let missing = missing(&many, &crowds[*class], fill, &self.guard)?;
                let labels = meeting.matched(&one.metrics[i]);
                let metric = meeting.metric(&labels, &one.metrics[i]);
                out.pair(&meeting, *class, metric, &missing, one.row(i))?;
            }
        }
        self.guard.make(made as usize)?;
        Ok(out.rows.grid.drop_empty())
    }
}

/// The value `fill` at the steps at which none of the rows has one.
fn missing(grid: &Grid, rows: &[usize], fill: f64, guard: &Guard<'_>) -> Outcome<Row> {
    let mut out = Row::of(guard, grid.steps, |_| fill)?;
    for row in rows {
        guard.check()?;
        for (out, value) in out.iter_mut().zip(grid.row(*row)) {
            if !is_absent(*value) {
                *out = ABSENT;
            }
        }
    }
    Ok(out)
}

fn by_class(classes: &[usize], count: usize) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); count];
    for (row, class) in classes.iter().enumerate() {
        rows[*class].push(row);
    }
    rows
}

/// Both sides of an operator: the one of which each class may have one series at a step, and the
/// other one.
struct Meeting<'m> {
    span: Span,
    matching: &'m Matching,
    kernel: Kernel,
    many: &'m Grid,
    one: &'m Grid,
    guard: &'m Guard<'m>,
    /// The rows of each class on the side with one.
    ones: Vec<Vec<usize>>,
    /// The number of rows of each class on the other side.
    crowd: Vec<usize>,
    /// Whether a default replaces missing values.
    filled: bool,
}

impl Meeting<'_> {
    /// Two series of a class on the side with one, at a step at which the other side has any.
    fn check_one_side(&self) -> Outcome<()> {
        if self.ones.iter().all(|rows| rows.len() < 2) {
            return Ok(());
        }
        let mut room = self.guard.hold();
        room.take_for::<bool>(self.many.steps)?;
        let mut pace = self.guard.pace();
        let mut asked = vec![self.filled; self.many.steps];
        for (_, row) in self.many.rows() {
            pace.work(row.len())?;
            mark(&mut asked, row);
        }
        // The first step counts, and at it the first series that is one too many.
        let mut found: Option<(usize, usize, usize)> = None;
        for rows in self.ones.iter().filter(|rows| rows.len() > 1) {
            for (i, _) in asked.iter().enumerate().filter(|(_, asked)| **asked) {
                if found.is_some_and(|(step, _, _)| i > step) {
                    break;
                }
                pace.work(rows.len())?;
                let mut there = rows.iter().filter(|r| !is_absent(self.one.row(**r)[i]));
                if let (Some(first), Some(second)) = (there.next(), there.next()) {
                    let earlier = found.is_none_or(|(s, _, other)| (i, *second) < (s, other));
                    if earlier {
                        found = Some((i, *first, *second));
                    }
                    break;
                }
            }
        }
        let Some((_, first, second)) = found else { return Ok(()) };
        let side = if self.matching.card == Card::OneToMany { "left" } else { "right" };
        let group = self.matched(&self.one.metrics[second]).shown();
        let mut both = [first, second].map(|row| self.one.metrics[row].shown());
        both.sort();
        Err(EvalError::at(
            self.span,
            format!(
                "found duplicate series for the match group {group} on the {side} hand-side of \
                 the operation: [{}, {}];many-to-many matching not allowed: matching labels must \
                 be unique on one side",
                both[0], both[1]
            ),
        ))
    }

    /// The labels by which series meet.
    fn matched(&self, metric: &Metric) -> Metric {
        let choice = choice(self.matching);
        metric.keep(|name| choice.keeps(name))
    }

    /// The labels of what comes of two series.
    fn metric(&self, many: &Metric, one: &Metric) -> Metric {
        let matching = self.matching;
        let mut metric = many.clone();
        if !self.kernel.keeps_name() {
            metric.drop_name();
        }
        if matching.card == Card::OneToOne {
            if matching.on {
                metric = metric.keep(|name| matching.labels.iter().any(|l| **l == *name));
            } else if !matching.labels.is_empty() {
                metric = metric.keep(|name| matching.labels.iter().all(|l| **l != *name));
            }
        }
        if !matching.include.is_empty() {
            let taken: Vec<(&str, &str)> =
                matching.include.iter().map(|name| (&**name, one.get(name))).collect();
            metric = metric.with(&taken);
        }
        metric
    }
}

/// The results so far.
struct Output {
    rows: Collector,
    /// For classes with many series: which result each pair went to, and at which steps both were
    /// there.
    pairs: Vec<Vec<(Metric, Vec<bool>)>>,
    result: Row,
    /// The memory of the pairs.
    room: Held,
}

impl Output {
    fn pair(
        &mut self,
        meeting: &Meeting<'_>,
        class: usize,
        metric: Metric,
        many: &[f64],
        one: &[f64],
    ) -> Outcome<()> {
        if meeting.crowd[class] > 1 {
            self.room.take(many.len() + metric.size() + BESIDE)?;
            let mut pace = meeting.guard.pace();
            let met: Vec<bool> =
                many.iter().zip(one).map(|(a, b)| !is_absent(*a) && !is_absent(*b)).collect();
            let one_to_one = meeting.matching.card == Card::OneToOne;
            for (other, at) in &self.pairs[class] {
                pace.work(ROW + at.len() / 4)?;
                let together = || at.iter().zip(&met).any(|(a, b)| *a && *b);
                if (one_to_one || *other == metric) && together() {
                    return Err(EvalError::at(
                        meeting.span,
                        if one_to_one {
                            "multiple matches for labels: many-to-one matching must be explicit \
                             (group_left/group_right)"
                        } else {
                            "multiple matches for labels: grouping labels must ensure unique \
                             matches"
                        },
                    ));
                }
            }
            if met.contains(&true) {
                self.pairs[class].push((metric.clone(), met));
            }
        }
        self.result.copy_from_slice(many);
        meeting.kernel.run(&mut self.result, one);
        if self.result.iter().any(|v| !is_absent(*v)) {
            self.rows.add(metric, &self.result)?;
        }
        Ok(())
    }
}
