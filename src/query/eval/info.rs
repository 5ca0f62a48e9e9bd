//! query: info(): labels of info series (`target_info` and its like) beside those of the series
//! with the same `instance` and `job`. At each step the newest info series counts.

use hashbrown::HashMap;

use super::super::ast::{At, Call, Duration, Expr, VectorSelector};
use super::super::float::{ABSENT, is_absent};
use super::super::matcher::{MatchOp, Matcher, NAME};
use super::error::{EvalError, Outcome};
use super::grid::{Collector, Grid, Metric};
use super::select::Wanted;
use super::walk::{Evaluator, Frame, Row};

/// The labels that identify the subject of an info.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The info series where none is asked for.
const TARGET: &str = "target_info";

/// Name, instance and job.
type Key = [String; 3];

fn key(name: &str, metric: &Metric) -> Key {
    [name.to_owned(), metric.get(IDENTIFYING[0]).to_owned(), metric.get(IDENTIFYING[1]).to_owned()]
}

impl Evaluator<'_> {
    /// `info(v, {label=~".*"})`
    pub(super) fn info(&mut self, call: &Call, frame: Frame) -> Outcome<Grid> {
        let base = self.vector(&call.args[0], frame)?;
        let asked: &[Matcher] = match call.args.get(1).map(Expr::unwrap_parens) {
            Some(Expr::Vector(selector)) => &selector.matchers,
            _ => &[],
        };
        let (named, data): (Vec<_>, Vec<_>) = asked.iter().cloned().partition(|m| m.name() == NAME);
        let names = names(named)?;
        let is_info = |m: &Metric| names.iter().all(|n| n.matches(m.get(NAME)));
        let infos = self.infos(&call.args[0], frame, &base, &is_info, &names, &data)?;

        let mut sorts: Vec<&str> = infos.metrics.iter().map(|m| m.get(NAME)).collect();
        sorts.sort_unstable();
        sorts.dedup();
        let mut rows: HashMap<Key, Vec<usize>> = HashMap::new();
        for (row, metric) in infos.metrics.iter().enumerate() {
            rows.entry(key(metric.get(NAME), metric)).or_default().push(row);
        }
        let needed = data.iter().any(|m| !m.matches_empty());
        let mut out = Collector::new(self.grid(frame.count));
        for (metric, row) in base.rows() {
            self.guard.make(frame.count)?;
            self.guard.check()?;
            if is_info(metric) {
                out.add(metric.clone(), row)?;
                continue;
            }
            let candidates: Vec<&[usize]> = sorts
                .iter()
                .filter_map(|name| rows.get(&key(name, metric)))
                .map(Vec::as_slice)
                .collect();
            // The chosen infos of a step, and the part of the row that has them.
            let mut parts: Vec<(Vec<usize>, Row)> = Vec::new();
            let mut pace = self.guard.pace();
            for (i, value) in row.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                pace.work(parts.len() + candidates.iter().map(|rows| rows.len()).sum::<usize>())?;
                let mut chosen = Vec::new();
                for rows in &candidates {
                    chosen.extend(newest(&infos, rows, i)?);
                }
                if chosen.is_empty() && needed {
                    continue;
                }
                let at = match parts.iter().position(|(c, _)| *c == chosen) {
                    Some(at) => at,
                    None => {
                        parts.push((chosen, Row::of(&self.guard, frame.count, |_| ABSENT)?));
                        parts.len() - 1
                    }
                };
                parts[at].1[i] = *value;
            }
            for (chosen, part) in parts {
                let chosen: Vec<&Metric> = chosen.iter().map(|row| &infos.metrics[*row]).collect();
                out.add(enriched(metric, &chosen, &data)?, &part)?;
            }
        }
        Ok(out.grid)
    }

    /// The info series of the base's instances and jobs; their values are the times of their
    /// newest samples.
    fn infos(
        &mut self,
        base_expr: &Expr,
        frame: Frame,
        base: &Grid,
        is_info: &dyn Fn(&Metric) -> bool,
        names: &[Matcher],
        data: &[Matcher],
    ) -> Outcome<Grid> {
        let mut matchers: Vec<Matcher> = names.iter().chain(data).cloned().collect();
        let mut any = false;
        let mut wanted: Vec<(&str, Vec<&str>)> = Vec::new();
        for name in IDENTIFYING {
            let enrich = base.metrics.iter().filter(|m| !is_info(m));
            let mut values: Vec<&str> =
                enrich.map(|m| m.get(name)).filter(|v| !v.is_empty()).collect();
            values.sort_unstable();
            values.dedup();
            any |= !values.is_empty();
            wanted.push((name, values));
        }
        if !any {
            return Ok(self.grid(frame.count));
        }
        // It looks at the same moment as the first selector.
        let (at, offset) = self.first_moment(base_expr)?.unwrap_or_default();
        let selector = VectorSelector {
            span: base_expr.span(),
            name: None,
            matchers: std::mem::take(&mut matchers),
            offset: Duration::ZERO,
            at,
            edges: Default::default(),
        };
        let mut grid = self.grid(frame.count);
        let left = self.guard.left();
        self.each_newest_at(&selector, offset, frame, Wanted::Time, &mut |metric, row| {
            let fits = |(name, values): &(&str, Vec<&str>)| {
                values.is_empty() || values.binary_search(&metric.get(name)).is_ok()
            };
            if wanted.iter().all(fits) {
                grid.push_within(left, metric, row)?;
            }
            Ok(())
        })?;
        self.guard.make(grid.values.len())?;
        Ok(grid)
    }

    /// `@` and offset (ms) of the first selector in the order of the text, including those of the
    /// subqueries around it: offsets add up until an `@` gives the base. `None` without a selector.
    fn first_moment(&self, expr: &Expr) -> Outcome<Option<(Option<At>, i64)>> {
        let selector = match expr {
            Expr::Vector(selector) => selector,
            Expr::Matrix(matrix) => &matrix.selector,
            other => {
                for child in other.children() {
                    let Some((at, offset)) = self.first_moment(child)? else { continue };
                    return Ok(Some(match other {
                        Expr::Subquery(around) if at.is_none() => {
                            let more = self.offset(&around.offset)?;
                            (around.at, offset.saturating_add(more))
                        }
                        _ => (at, offset),
                    }));
                }
                return Ok(None);
            }
        };
        Ok(Some((selector.at, self.offset(&selector.offset)?)))
    }
}

/// Which info series to look at: those asked for, all others where only some are ruled out,
/// `target_info` where nothing is said.
fn names(mut named: Vec<Matcher>) -> Outcome<Vec<Matcher>> {
    if named.is_empty() {
        return Ok(vec![Matcher::equal(NAME, TARGET)]);
    }
    let positive = |m: &Matcher| matches!(m.op(), MatchOp::Equal | MatchOp::Regex);
    if !named.iter().any(positive) {
        let all = Matcher::new(MatchOp::Regex, NAME, ".+_info").map_err(EvalError::execution)?;
        named.insert(0, all);
    }
    Ok(named)
}

/// Which of the rows is the newest at a step; an error where two are.
fn newest(infos: &Grid, rows: &[usize], step: usize) -> Outcome<Option<usize>> {
    let mut best: Option<(f64, usize)> = None;
    for row in rows {
        let time = infos.row(*row)[step];
        if is_absent(time) {
            continue;
        }
        match best {
            Some((known, other)) if known == time => {
                let ms = (time * 1000.0) as i64;
                return Err(EvalError::execution(format!(
                    "found duplicate series for info metric: existing {} @ {ms}, new {} @ {ms}",
                    infos.metrics[other].shown(),
                    infos.metrics[*row].shown()
                )));
            }
            Some((known, _)) if known > time => {}
            _ => best = Some((time, *row)),
        }
    }
    Ok(best.map(|(_, row)| row))
}

/// The labels of a series with those of its infos; its own labels stay.
fn enriched(metric: &Metric, infos: &[&Metric], data: &[Matcher]) -> Outcome<Metric> {
    let mut added: Vec<(&str, &str)> = Vec::new();
    for (name, value) in infos.iter().flat_map(|info| info.iter()) {
        if name == NAME || !data.is_empty() && data.iter().all(|m| m.name() != name) {
            continue;
        }
        match added.iter().find(|(n, _)| *n == name) {
            Some((_, known)) if *known != value => {
                return Err(EvalError::execution(format!("conflicting label: {name}")));
            }
            Some(_) => {}
            None if metric.get(name).is_empty() => added.push((name, value)),
            None => {}
        }
    }
    Ok(metric.with(&added))
}
