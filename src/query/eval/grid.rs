//! query: many series at many steps as one block of numbers, and the labels of its rows. Labels are
//! shared with the store; a dropped name is a flag, not a copy.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashTable;

use super::super::budget::Held;
use super::super::float::{ABSENT, is_absent};
use super::super::matcher::NAME;
use super::super::quote::quoted;
use super::error::{EvalError, Outcome};
use super::guard::{Guard, STRIDE};
use crate::model::Labels;

/// The labels that are dropped together with the name when a value changes its meaning.
const RESERVED: [&str; 3] = [NAME, "__type__", "__unit__"];

/// The labels of a row.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    labels: Arc<Labels>,
    nameless: bool,
    /// Made by this question, and not shared with the store.
    made: bool,
}

impl Metric {
    pub(super) fn new(labels: Arc<Labels>) -> Self {
        Self { labels, nameless: false, made: false }
    }

    pub(super) fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { labels: Arc::new(Labels::new(pairs)), nameless: false, made: true }
    }

    /// The memory of its labels if this question made them, in bytes. Each copy counts as much
    /// although they are shared, because the last one is unknown.
    pub(super) fn size(&self) -> usize {
        if self.made { size(&self.labels) } else { 0 }
    }

    pub(super) fn empty() -> Self {
        Self::new(Arc::default())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let nameless = self.nameless;
        self.labels.iter().filter(move |(n, _)| !nameless || !RESERVED.contains(n))
    }

    /// The value of a label, empty if it is missing.
    pub(super) fn get(&self, name: &str) -> &str {
        if self.nameless && RESERVED.contains(&name) {
            return "";
        }
        self.labels.get(name).unwrap_or_default()
    }

    pub(super) fn drop_name(&mut self) {
        self.nameless = true;
    }

    pub(super) fn without_name(mut self) -> Self {
        self.nameless = true;
        self
    }

    /// These labels with some set to other values; an empty value takes the label away.
    pub(super) fn with<'a>(&'a self, set: &[(&'a str, &'a str)]) -> Self {
        Self::of(self.iter().chain(set.iter().copied()))
    }

    pub(super) fn keep(&self, keep: impl Fn(&str) -> bool) -> Self {
        Self::of(self.iter().filter(|(n, _)| keep(n)))
    }

    /// The memory of the labels to hand out, in bytes, if they are a copy.
    pub(super) fn copied(&self) -> usize {
        if self.is_copied() { size(&self.labels) } else { self.size() }
    }

    fn is_copied(&self) -> bool {
        self.nameless && RESERVED.iter().any(|n| self.labels.get(n).is_some())
    }

    /// The labels to hand out.
    pub(super) fn labels(&self) -> Arc<Labels> {
        if self.is_copied() {
            return Arc::new(Labels::new(self.iter()));
        }
        Arc::clone(&self.labels)
    }

    /// `{name="value", …}`, the form of errors.
    pub(super) fn shown(&self) -> String {
        let mut out = String::from("{");
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            let bare = name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric())
                && !name.starts_with(|c: char| c.is_ascii_digit());
            out.push_str(&if bare { name.to_owned() } else { quoted(name) });
            out.push('=');
            out.push_str(&quoted(value));
        }
        out.push('}');
        out
    }

    pub(super) fn hash_into(&self, hasher: &mut impl Hasher, keep: impl Fn(&str) -> bool) {
        for (name, value) in self.iter().filter(|(n, _)| keep(n)) {
            name.hash(hasher);
            value.hash(hasher);
        }
    }
}

/// The memory of labels, in bytes.
pub(super) fn size(labels: &Labels) -> usize {
    // Two texts a label, each with a place in the list and what the allocator wants for itself.
    64 + labels.iter().map(|(name, value)| 64 + name.len() + value.len()).sum::<usize>()
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.labels, &other.labels) && self.nameless == other.nameless;
        same || self.iter().eq(other.iter())
    }
}

/// Which labels tell series apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice<'a> {
    /// These.
    By(&'a [Box<str>]),
    /// All but these, and never the name.
    Without(&'a [Box<str>]),
    /// All but these.
    AllBut(&'a [Box<str>]),
}

impl Choice<'_> {
    pub(super) fn keeps(&self, name: &str) -> bool {
        match self {
            Choice::By(names) => names.iter().any(|n| **n == *name),
            Choice::Without(names) => name != NAME && !names.iter().any(|n| **n == *name),
            Choice::AllBut(names) => !names.iter().any(|n| **n == *name),
        }
    }
}

/// Numbers the classes of series that are the same in the chosen labels, in order of appearance.
pub(super) struct Classes<'a> {
    choice: Option<Choice<'a>>,
    hasher: foldhash::quality::RandomState,
    table: HashTable<u32>,
    /// One series of each class.
    pub(super) firsts: Vec<Metric>,
}

impl<'a> Classes<'a> {
    /// By a choice of labels; `None` is by all of them.
    pub(super) fn new(choice: Option<Choice<'a>>) -> Self {
        let hasher = foldhash::quality::RandomState::default();
        Self { choice, hasher, table: HashTable::new(), firsts: Vec::new() }
    }

    /// The number of the series' class.
    pub(super) fn class(&mut self, metric: &Metric) -> usize {
        let Self { choice, hasher, table, firsts } = self;
        let keeps = |name: &str| choice.is_none_or(|c| c.keeps(name));
        let hash = |metric: &Metric| {
            let mut state = hasher.build_hasher();
            metric.hash_into(&mut state, keeps);
            state.finish()
        };
        let same = |at: &u32| {
            let known = &firsts[*at as usize];
            let kept = |m: &&str| keeps(m);
            known.iter().filter(|(n, _)| kept(n)).eq(metric.iter().filter(|(n, _)| kept(n)))
        };
        let key = hash(metric);
        if let Some(known) = table.find(key, same) {
            return *known as usize;
        }
        let number = firsts.len();
        firsts.push(metric.clone());
        table.insert_unique(key, number as u32, |at| hash(&firsts[*at as usize]));
        number
    }
}

/// The memory of a row beside its values and labels: in tables that distinguish rows, and in lists
/// of groups.
pub(super) const BESIDE: usize = 64;

/// Rows of values, one a step; [`ABSENT`] where a series has none. No two rows have the same labels.
#[derive(Debug)]
pub(super) struct Grid {
    /// The number of values in a row; at least one.
    pub(super) steps: usize,
    pub(super) metrics: Vec<Metric>,
    pub(super) values: Vec<f64>,
    /// The memory of all that.
    pub(super) room: Held,
}

impl Grid {
    /// A grid without rows; `room` is the account of its memory.
    pub(super) fn new(steps: usize, room: Held) -> Self {
        Self { steps, metrics: Vec::new(), values: Vec::new(), room }
    }

    /// Another one without rows, of the same question.
    pub(super) fn another(&self, steps: usize) -> Self {
        Self::new(steps, self.room.another())
    }

    /// Adds a row. Fails before anything is allocated where there is no memory left for it.
    pub(super) fn push(&mut self, metric: Metric, row: &[f64]) -> Outcome<()> {
        self.room.reserve(&mut self.values, self.steps)?;
        self.name(metric)?;
        self.values.extend_from_slice(row);
        Ok(())
    }

    /// Adds a row, as long as all rows together have at most `most` values.
    pub(super) fn push_within(&mut self, most: u64, metric: Metric, row: &[f64]) -> Outcome<()> {
        if (self.values.len() + row.len()) as u64 > most {
            return Err(EvalError::TooManySamples);
        }
        self.push(metric, row)
    }

    /// A new row without values; fails as [`Grid::push`] does.
    pub(super) fn add(&mut self, metric: Metric) -> Outcome<&mut [f64]> {
        self.room.reserve(&mut self.values, self.steps)?;
        self.name(metric)?;
        let from = self.values.len();
        self.values.resize(from + self.steps, ABSENT);
        Ok(&mut self.values[from..])
    }

    /// Adds the labels of a row whose values come by another way.
    pub(super) fn name(&mut self, metric: Metric) -> Outcome<()> {
        let before = self.metrics.capacity();
        self.room.reserve(&mut self.metrics, 1)?;
        let made = metric.size();
        let beside = (self.metrics.capacity() - before) * BESIDE;
        if made + beside > 0 {
            self.room.take(made + beside)?;
        }
        self.metrics.push(metric);
        Ok(())
    }

    /// Gives a row other labels.
    pub(super) fn rename(&mut self, row: usize, metric: Metric) -> Outcome<()> {
        self.room.take(metric.size())?;
        self.metrics[row] = metric;
        Ok(())
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.steps..][..self.steps]
    }

    pub(super) fn row_mut(&mut self, row: usize) -> &mut [f64] {
        &mut self.values[row * self.steps..][..self.steps]
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (&Metric, &[f64])> {
        self.metrics.iter().zip(self.values.chunks_exact(self.steps))
    }

    pub(super) fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Replaces each value by a function of itself; absent values stay absent.
    pub(super) fn map(&mut self, guard: &Guard<'_>, f: impl Fn(f64) -> f64) -> Outcome<()> {
        for values in self.values.chunks_mut(STRIDE) {
            guard.check()?;
            for value in values.iter_mut().filter(|v| !is_absent(**v)) {
                *value = f(*value);
            }
        }
        Ok(())
    }

    /// Works on every row, some steps of it at a time: the first of them, and their values.
    pub(super) fn by_steps(
        &mut self,
        guard: &Guard<'_>,
        mut work: impl FnMut(usize, &mut [f64]),
    ) -> Outcome<()> {
        let mut pace = guard.pace();
        for row in self.values.chunks_exact_mut(self.steps) {
            for (at, part) in row.chunks_mut(STRIDE).enumerate() {
                pace.work(part.len())?;
                work(at * STRIDE, part);
            }
        }
        Ok(())
    }

    /// Takes the names away; rows that become the same are joined where they do not overlap.
    pub(super) fn drop_names(mut self, guard: &Guard<'_>) -> Outcome<Self> {
        let mut names = self.metrics.iter().map(|m| m.labels.get(NAME).filter(|_| !m.nameless));
        let first = names.next().flatten();
        // Rows with one and the same name stay as different as they were.
        let alike = names.all(|n| n == first);
        self.metrics.iter_mut().for_each(Metric::drop_name);
        if alike { Ok(self) } else { self.join_same(guard) }
    }

    /// Joins rows of the same labels; an error where two have a value at the same step.
    pub(super) fn join_same(self, guard: &Guard<'_>) -> Outcome<Self> {
        let mut joined = Collector::new(self.another(self.steps));
        let mut pace = guard.pace();
        for (metric, row) in self.rows() {
            pace.work(row.len() + ROW)?;
            joined.add(metric.clone(), row)?;
        }
        Ok(joined.grid)
    }

    /// Rows without any value are none.
    pub(super) fn drop_empty(mut self) -> Self {
        let mut kept = 0;
        for row in 0..self.len() {
            if self.row(row).iter().all(|v| is_absent(*v)) {
                continue;
            }
            if kept != row {
                self.metrics.swap(kept, row);
                let from = row * self.steps;
                self.values.copy_within(from..from + self.steps, kept * self.steps);
            }
            kept += 1;
        }
        self.metrics.truncate(kept);
        self.values.truncate(kept * self.steps);
        self
    }
}

/// The work for a row's labels, which are read, hashed and compared, in values.
pub(super) const ROW: usize = 128;

/// Collects rows and joins those of the same labels.
pub(super) struct Collector {
    classes: Classes<'static>,
    pub(super) grid: Grid,
}

impl Collector {
    /// Into a grid without rows.
    pub(super) fn new(grid: Grid) -> Self {
        Self { classes: Classes::new(None), grid }
    }

    /// Adds a row; returns its number and whether there was one of the same labels before. An error
    /// where both have a value at the same step.
    pub(super) fn add(&mut self, metric: Metric, row: &[f64]) -> Outcome<(usize, bool)> {
        let at = self.classes.class(&metric);
        if at == self.grid.len() {
            self.grid.push(metric, row)?;
            return Ok((at, false));
        }
        for (old, new) in self.grid.row_mut(at).iter_mut().zip(row) {
            if !is_absent(*new) {
                if !is_absent(*old) {
                    return Err(EvalError::same_labelset());
                }
                *old = *new;
            }
        }
        Ok((at, true))
    }
}
