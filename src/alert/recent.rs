//! alert: the newest samples of the series that rules look at, in memory, so that a pass does not read
//! the file. Selectors are resolved to series once, and again when there are more series. What is not
//! held here (an offset, a window of days) is read from the store as by any question.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use hashbrown::{HashMap, HashTable};

use super::rule::{Measure, Query, Rule};
use crate::model::Labels;
use crate::query::ast::{Duration, Expr};
use crate::query::matcher::Matcher;
use crate::query::source::{Columns, Selection, SeriesSet, Source, SourceError};
use crate::query::{Catalog, StoreSource};
use crate::store::block::Column;
use crate::store::{Reader, SqlError};

/// Longer windows than this are read from the store, ms.
pub const LONGEST_MS: i64 = 3_600_000;

/// How far back samples are read when a series is looked at for the first time, ms.
const FIRST_MS: i64 = 900_000;

/// The number of samples that stay of a series without windows: they show how far apart its samples are.
const LEAST: usize = 3;

/// Samples farther apart than this say nothing about how soon a series is missed, ms.
const FARTHEST_MS: i64 = 900_000;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Recent {
    hasher: foldhash::fast::RandomState,
    index: HashTable<u32>,
    selectors: Vec<Selector>,
    /// The selectors of what each rule measures.
    of_rule: Vec<Vec<u32>>,
    slots: Vec<Slot>,
    /// The series of the slots, in the same order.
    series: Vec<i64>,
    /// Up to this series, selectors are resolved.
    resolved: Option<i64>,
    /// Samples are held up to this time.
    at: i64,
    /// Whether memory held all that is new.
    complete: bool,
}

#[derive(Debug)]
struct Selector {
    matchers: Vec<Matcher>,
    /// The longest window, ms; 0 where only the newest sample counts.
    reach_ms: i64,
    labels: Vec<Arc<Labels>>,
    slots: Vec<u32>,
}

/// The newest samples of a series.
#[derive(Debug, Clone, Default)]
struct Slot {
    reach_ms: i64,
    times: Vec<i64>,
    values: Vec<f64>,
}

impl Slot {
    /// How far apart samples are, ms: the shorter one of the last two distances; 0 where that is unknown.
    fn gap(&self) -> i64 {
        let last = &self.times[self.times.len().saturating_sub(LEAST)..];
        last.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(0)
    }

    fn push(&mut self, at: i64, value: f64) {
        // In one go, and not a sample a beat.
        if self.times.len() == self.times.capacity() {
            let old = self.times.partition_point(|t| *t < at - self.reach_ms);
            let old = old.min(self.times.len().saturating_sub(LEAST));
            self.times.drain(..old);
            self.values.drain(..old);
        }
        self.times.push(at);
        self.values.push(value);
    }
}

impl Recent {
    /// For these rules, in this order, and for more expressions.
    pub fn with_queries<'r>(
        rules: impl IntoIterator<Item = &'r Rule>,
        queries: impl IntoIterator<Item = &'r Query>,
    ) -> Self {
        let mut recent = Self::default();
        for rule in rules {
            let mut own = Vec::new();
            if let Measure::Query(query) | Measure::Forecast(query) = &rule.measure {
                recent.want(&query.expr, &mut own);
            }
            for query in rule.queries() {
                recent.want(&query.expr, &mut Vec::new());
            }
            recent.of_rule.push(own);
        }
        for query in queries {
            recent.want(&query.expr, &mut Vec::new());
        }
        recent
    }

    /// Adds the selectors of an expression that look at the present.
    fn want(&mut self, expr: &Expr, found: &mut Vec<u32>) {
        let (selector, reach_ms) = match expr {
            Expr::Vector(selector) => (selector, 0),
            Expr::Matrix(matrix) => match matrix.range {
                Duration::Millis(ms) if ms <= LONGEST_MS => (&matrix.selector, ms),
                _ => return,
            },
            Expr::Subquery(_) => return,
            other => return other.children().for_each(|child| self.want(child, found)),
        };
        if !selector.offset.is_zero() || selector.at.is_some() {
            return;
        }
        let at = match self.find(&selector.matchers) {
            Some(at) => at,
            None => {
                let at = self.selectors.len() as u32;
                let matchers = selector.matchers.clone();
                self.selectors.push(Selector {
                    matchers,
                    reach_ms: 0,
                    labels: Vec::new(),
                    slots: Vec::new(),
                });
                let Self { hasher, index, selectors, .. } = self;
                index.insert_unique(hash(hasher, &selector.matchers), at, |at| {
                    hash(hasher, &selectors[*at as usize].matchers)
                });
                at
            }
        };
        let known = &mut self.selectors[at as usize].reach_ms;
        *known = (*known).max(reach_ms);
        found.push(at);
    }

    fn find(&self, matchers: &[Matcher]) -> Option<u32> {
        let same = |at: &u32| self.selectors[*at as usize].matchers == matchers;
        self.index.find(hash(&self.hasher, matchers), same).copied()
    }

    /// Takes in new samples up to a time (ms since 1970 UTC). It reads the file only for series that are new
    /// here, and after holes, and fails if that cannot be done.
    pub fn refresh(&mut self, reader: &Reader, catalog: &Catalog, at: i64) -> Result<(), SqlError> {
        if at < self.at {
            // The clock was set back: what is newer than now does not count.
            self.resolved = None;
            self.slots.clear();
            self.series.clear();
        }
        self.at = at;
        if self.resolved != Some(catalog.newest()) {
            self.resolve(reader, catalog)?;
            self.resolved = Some(catalog.newest());
        }
        let (mut holes, mut looked) = (Vec::new(), vec![false; self.series.len()]);
        let slots = &mut self.slots;
        self.complete = reader.newest_in_memory(&self.series, at, |i, newest| {
            looked[i] = true;
            let (Some((ts, value)), slot) = (newest, &mut slots[i]) else { return };
            let Some(last) = slot.times.last().copied() else {
                holes.push(i);
                return;
            };
            let gap = slot.gap();
            if ts > last && gap > 0 && ts - last <= gap + gap / 2 {
                slot.push(ts, value);
            } else if ts > last {
                holes.push(i);
            }
        });
        holes.extend(looked.iter().enumerate().filter(|(_, looked)| !**looked).map(|(i, _)| i));
        holes.sort_unstable();
        self.read(reader, &holes)
    }

    /// Whether all samples up to now are here; otherwise the store has to be asked.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// How far apart the samples are that a rule looks at, ms: of those that still come, the longest
    /// distance; 0 where that is unknown.
    pub fn gap_ms(&self, rule: usize) -> i64 {
        let selectors = self.of_rule.get(rule).map_or(&[][..], Vec::as_slice);
        let slots = selectors.iter().flat_map(|at| &self.selectors[*at as usize].slots);
        let gaps = slots.filter_map(|slot| {
            let slot = &self.slots[*slot as usize];
            let gap = slot.gap();
            let comes = slot.times.last().is_some_and(|last| self.at - last <= 4 * gap);
            comes.then_some(gap)
        });
        gaps.max().unwrap_or(0).min(FARTHEST_MS)
    }

    /// These samples, and those of the store where they do not suffice.
    pub fn source<'a>(&'a self, store: &'a StoreSource<'a>) -> RecentSource<'a> {
        RecentSource { recent: self, store }
    }

    /// Finds the series of all selectors, and reads those that are new here.
    fn resolve(&mut self, reader: &Reader, catalog: &Catalog) -> Result<(), SqlError> {
        let mut known: HashMap<i64, Slot> =
            self.series.drain(..).zip(self.slots.drain(..)).collect();
        let mut reach: HashMap<i64, i64> = HashMap::new();
        let found: Vec<Vec<(Arc<Labels>, i64)>> = (self.selectors.iter())
            .map(|selector| catalog.matching(&selector.matchers).into_iter().cloned().collect())
            .collect();
        for (selector, found) in self.selectors.iter().zip(&found) {
            for (_, id) in found {
                let reach = reach.entry(*id).or_default();
                *reach = (*reach).max(selector.reach_ms);
            }
        }
        let mut series: Vec<i64> = reach.keys().copied().collect();
        series.sort_unstable();
        let mut new = Vec::new();
        for (at, id) in series.iter().enumerate() {
            let slot = known.remove(id).unwrap_or_else(|| {
                new.push(at);
                Slot::default()
            });
            self.slots.push(Slot { reach_ms: reach[id], ..slot });
        }
        for (selector, found) in self.selectors.iter_mut().zip(found) {
            let place = |id: &i64| series.binary_search(id).unwrap_or_default() as u32;
            selector.slots = found.iter().map(|(_, id)| place(id)).collect();
            selector.labels = found.into_iter().map(|(labels, _)| labels).collect();
        }
        self.series = series;
        self.read(reader, &new)
    }

    /// Reads the samples that these slots lack from the file.
    fn read(&mut self, reader: &Reader, slots: &[usize]) -> Result<(), SqlError> {
        if slots.is_empty() {
            return Ok(());
        }
        let from = |slot: &Slot| {
            let whole = self.at - slot.reach_ms.max(FIRST_MS);
            slot.times.last().map_or(whole, |last| whole.max(last + 1))
        };
        let first = slots.iter().map(|at| from(&self.slots[*at])).min().unwrap_or(self.at);
        let mut columns: Vec<Column> = (slots.iter())
            .map(|at| Column { series: self.series[*at], ..Column::default() })
            .collect();
        reader.columns(first, self.at, &mut columns)?;
        for (at, column) in slots.iter().zip(columns) {
            let slot = &mut self.slots[*at];
            let last = slot.times.last().copied().unwrap_or(i64::MIN);
            let least = self.at - slot.reach_ms;
            let keep = column.ts.partition_point(|t| *t < least);
            let keep = keep.min(column.ts.len().saturating_sub(LEAST));
            for (ts, value) in column.ts.iter().zip(&column.values).skip(keep) {
                if *ts > last {
                    slot.push(*ts, *value);
                }
            }
        }
        Ok(())
    }
}

fn hash(hasher: &foldhash::fast::RandomState, matchers: &[Matcher]) -> u64 {
    let mut state = hasher.build_hasher();
    for matcher in matchers {
        (matcher.name(), matcher.op(), matcher.value()).hash(&mut state);
    }
    std::hash::Hasher::finish(&state)
}

/// See [`Recent::source`].
#[derive(Debug)]
pub struct RecentSource<'a> {
    recent: &'a Recent,
    store: &'a StoreSource<'a>,
}

impl Source for RecentSource<'_> {
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
        let recent = self.recent;
        let now = selection.end == recent.at && selection.hints.step == 0 && recent.complete;
        let known = now.then(|| recent.find(selection.matchers)).flatten();
        let selector = known.map(|at| &recent.selectors[at as usize]);
        match selector.filter(|selector| selection.hints.range <= selector.reach_ms) {
            Some(selector) => Ok(Box::new(RecentSet { recent, selector, start: selection.start })),
            None => self.store.select(selection),
        }
    }
}

struct RecentSet<'a> {
    recent: &'a Recent,
    selector: &'a Selector,
    start: i64,
}

impl SeriesSet for RecentSet<'_> {
    fn labels(&self) -> &[Arc<Labels>] {
        &self.selector.labels
    }

    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError> {
        into.clear();
        let slot = self.selector.slots.get(series).map(|at| &self.recent.slots[*at as usize]);
        let Some(slot) = slot else { return Ok(()) };
        let from = slot.times.partition_point(|t| *t < self.start);
        into.times.extend_from_slice(&slot.times[from..]);
        into.values.extend_from_slice(&slot.values[from..]);
        Ok(())
    }
}
