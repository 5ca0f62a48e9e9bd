//! query: the file as a source: series by their labels, their samples, and the buckets before them.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashMap;

use super::ahead::Ahead;
use super::budget::{Budget, Held, Spent};
use super::eval::Limits;
use super::matcher::{MatchOp, Matcher, NAME};
use super::plan;
use super::source::{
    Columns, Cost, Part, Resolution, Rollups, Selection, SeriesSet, Source, SourceError,
};
use crate::model::Labels;
use crate::store::block::{Column, GROUP};
use crate::store::{Fetched, Known, Reader, Rolled, SqlError};

impl From<SqlError> for SourceError {
    fn from(e: SqlError) -> Self {
        SourceError(e.to_string())
    }
}

/// The series of a file by their labels; `instance` is the system, `job` where it came from. Does
/// not change; [`Catalog::is_current`] tells when there are more.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The series in the order of their labels, which are unique.
    series: Vec<(Arc<Labels>, i64)>,
    /// The hash of each label and its value beside the place of the series, in order. Two labels may
    /// share a hash.
    by_label: Vec<(u32, u32)>,
    hasher: foldhash::fast::RandomState,
    newest: i64,
}

impl Catalog {
    /// Reads the names of all series.
    pub fn read(reader: &Reader) -> Result<Self, SqlError> {
        let newest = reader.newest_series()?;
        let mut series = Vec::new();
        reader.each_series(0, |_| true, |known| series.push(labelled(known)))?;
        Ok(Self::of(series, newest))
    }

    fn of(mut series: Vec<(Arc<Labels>, i64)>, newest: i64) -> Self {
        series.sort();
        series.dedup_by(|later, first| later.0 == first.0);
        series.shrink_to_fit();
        let hasher = foldhash::fast::RandomState::default();
        let labels: usize = series.iter().map(|(labels, _)| labels.len()).sum();
        let mut by_label = Vec::with_capacity(labels);
        for (at, (labels, _)) in series.iter().enumerate() {
            by_label.extend(labels.iter().map(|pair| (hash(&hasher, pair), at as u32)));
        }
        by_label.sort_unstable();
        Self { series, by_label, hasher, newest }
    }

    /// Takes in the series that came since, as far as `wanted` lets their names pass: a catalog of a few
    /// names in a file of many. Where it takes in none, it stays the same.
    pub fn extend(
        &mut self,
        reader: &Reader,
        seen: i64,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), SqlError> {
        let mut new = Vec::new();
        reader.each_series(seen, wanted, |known| new.push(labelled(known)))?;
        if let Some(newest) = new.iter().map(|(_, id)| *id).max() {
            let series = std::mem::take(&mut self.series);
            *self = Self::of(series.into_iter().chain(new).collect(), newest);
        }
        Ok(())
    }

    /// Whether the file has no series beside these.
    pub fn is_current(&self, reader: &Reader) -> Result<bool, SqlError> {
        Ok(reader.newest_series()? == self.newest)
    }

    /// The series that match, in the order of their labels: labels and number in the file.
    pub fn matching(&self, matchers: &[Matcher]) -> Vec<&(Arc<Labels>, i64)> {
        self.matching_while(matchers, || true).unwrap_or_default()
    }

    /// Finds matching series as long as `goes_on` returns true, which is called every few labels,
    /// because patterns may be many and slow. `None` if it was stopped.
    pub fn matching_while(
        &self,
        matchers: &[Matcher],
        mut goes_on: impl FnMut() -> bool,
    ) -> Option<Vec<&(Arc<Labels>, i64)>> {
        let (mut found, mut looked) = (Vec::new(), 0_usize);
        let mut look = |series: &'_ (Arc<Labels>, i64)| {
            for matcher in matchers {
                looked += 1;
                if looked.is_multiple_of(LOOKS) && !goes_on() {
                    return None;
                }
                if !matcher.matches(series.0.get(matcher.name()).unwrap_or_default()) {
                    return Some(false);
                }
            }
            Some(true)
        };
        match self.among(matchers) {
            Among::Labelled(places) => {
                for (_, at) in places {
                    let series = &self.series[*at as usize];
                    look(series)?.then(|| found.push(series));
                }
            }
            Among::Named(lists) => {
                let mut places: Vec<u32> = lists.into_iter().flatten().map(|(_, at)| *at).collect();
                places.sort_unstable();
                places.dedup();
                for at in places {
                    let series = &self.series[at as usize];
                    look(series)?.then(|| found.push(series));
                }
            }
            Among::All => {
                for series in &self.series {
                    look(series)?.then(|| found.push(series));
                }
            }
        }
        Some(found)
    }

    /// The series among which the matching ones are searched.
    fn among(&self, matchers: &[Matcher]) -> Among<'_> {
        // The rarest label that is asked for by its value says most; the name is one of them.
        let equal = |m: &&Matcher| m.op() == MatchOp::Equal && !m.value().is_empty();
        let rarest = (matchers.iter().filter(equal))
            .map(|m| self.labelled((m.name(), m.value())))
            .min_by_key(|places| places.len());
        if let Some(places) = rarest {
            return Among::Labelled(places);
        }
        let names = matchers.iter().filter(|m| m.name() == NAME).find_map(Matcher::listed);
        let Some(names) = names else { return Among::All };
        Among::Named(names.into_iter().map(|name| self.labelled((NAME, name))).collect())
    }

    /// The places of the series with a label, and perhaps of some others.
    fn labelled(&self, pair: (&str, &str)) -> &[(u32, u32)] {
        let hash = hash(&self.hasher, pair);
        let first = self.by_label.partition_point(|(of, _)| *of < hash);
        let found = &self.by_label[first..];
        &found[..found.partition_point(|(of, _)| *of == hash)]
    }

    /// The number of the newest series: as long as it stays the same, a selector means the same series.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// The names of all series, each once.
    pub fn names(&self) -> Vec<&str> {
        let names = self.series.iter().filter_map(|(labels, _)| labels.get(NAME));
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

/// The number of labels between two looks at the clock.
const LOOKS: usize = 64;

/// A series by its labels, as questions name it.
fn labelled(known: Known) -> (Arc<Labels>, i64) {
    let pairs = known.labels.iter().chain([
        (NAME, known.name.as_str()),
        ("instance", known.system.as_str()),
        ("job", known.job.as_str()),
    ]);
    (Arc::new(Labels::new(pairs)), known.id)
}

/// The hash of a label and its value.
fn hash(hasher: &foldhash::fast::RandomState, pair: (&str, &str)) -> u32 {
    hasher.hash_one(pair) as u32
}

/// Places in a catalog.
enum Among<'c> {
    Labelled(&'c [(u32, u32)]),
    Named(Vec<&'c [(u32, u32)]>),
    All,
}

/// A file, by the names of its catalog.
#[derive(Debug)]
pub struct StoreSource<'a> {
    reader: &'a Reader,
    catalog: &'a Catalog,
    limits: Limits<'a>,
}

impl<'a> StoreSource<'a> {
    /// The contents of the file, by the names of the catalog.
    pub fn new(reader: &'a Reader, catalog: &'a Catalog) -> Self {
        Self { reader, catalog, limits: Limits::default() }
    }

    /// For a question with these limits: its deadline, whether anybody waits, and its memory are
    /// asked about while the file is read, too.
    pub fn within(self, limits: Limits<'a>) -> Self {
        Self { limits, ..self }
    }
}

impl Source for StoreSource<'_> {
    fn select(&self, selection: &Selection<'_>) -> Result<Box<dyn SeriesSet + '_>, SourceError> {
        let goes_on = || self.limits.check().is_ok();
        let found = self.catalog.matching_while(selection.matchers, goes_on).ok_or_else(over)?;
        let mut room = self.limits.budget.map_or_else(Budget::unbounded, Arc::clone).hold();
        let lists = found.len() * A_SERIES;
        room.take(lists).map_err(spent)?;
        let (labels, ids): (Vec<_>, Vec<i64>) =
            found.into_iter().map(|(labels, id)| (Arc::clone(labels), *id)).unzip();
        let mut waiting = ids.clone();
        waiting.sort_unstable();
        let Selection { start, end, hints, .. } = *selection;
        let reach = self.reader.reach()?;
        let held = plan::Held { raw_from: reach.samples_from, rolled_until: reach.rolled_until };
        let raw_from =
            plan::raw_from(held, &hints, (start, end), |from| self.samples(&waiting, from, end))?;
        Ok(Box::new(StoreSet {
            reader: self.reader,
            labels,
            ids,
            waiting: waiting.clone(),
            unrolled: waiting,
            start,
            end,
            raw_from,
            hours_only: hints.finest == Resolution::Hour,
            last_only: hints.step == 0 && hints.range == 0,
            fetched: HashMap::new(),
            held: 0,
            next: 0,
            sent: 0,
            ahead: None,
            rolled: HashMap::new(),
            rolled_up: 0,
            crowded: None,
            limits: self.limits,
            room,
            lists,
        }))
    }
}

impl StoreSource<'_> {
    /// About how many samples of these series are held: from what some of their groups hold.
    fn samples(&self, ids: &[i64], from: i64, to: i64) -> Result<u64, SourceError> {
        let seconds = to.saturating_sub(from).max(0) as u64 / 1000 + 1;
        if seconds.saturating_mul(ids.len() as u64) <= plan::MANY {
            return Ok(0);
        }
        let few = ids.len().clamp(1, LOOKED_AT);
        let mut values = 0;
        for id in ids.iter().step_by(ids.len().div_ceil(few).max(1)) {
            values += self.reader.weight(0, id.div_euclid(GROUP), from, to)?.values;
        }
        Ok(values / few as u64 * ids.len() as u64)
    }
}

/// Why a store did not go on; the evaluator asks the guard for the words.
fn over() -> SourceError {
    SourceError("the question was stopped".to_owned())
}

fn spent(why: Spent) -> SourceError {
    SourceError(why.to_string())
}

/// The memory of a matching series in lists: its labels, its number, and its state of reading.
const A_SERIES: usize = 64;

/// A sample in memory: time and value.
const SAMPLE: usize = 16;

/// The number of groups from which the density of samples is estimated.
const LOOKED_AT: usize = 8;

/// Series lie in the file in groups that are read together; in the order of their labels those of a
/// group mostly follow each other.
struct StoreSet<'a> {
    reader: &'a Reader,
    labels: Vec<Arc<Labels>>,
    ids: Vec<i64>,
    /// Not read yet, in the order of their numbers.
    waiting: Vec<i64>,
    /// Series whose buckets are not read yet, in the order of their numbers.
    unrolled: Vec<i64>,
    start: i64,
    end: i64,
    /// The time from which samples are read; buckets are read before it.
    raw_from: i64,
    hours_only: bool,
    /// Whether only the last sample of each series counts.
    last_only: bool,
    /// Fetched together with others and not asked for yet, and how many bytes that is.
    fetched: HashMap<i64, Fetched>,
    held: usize,
    /// The one that is asked for next, where they are asked for in order.
    next: usize,
    /// Those before it went to the other thread.
    sent: usize,
    ahead: Option<Ahead>,
    /// Read together with others and not asked for yet, and how many bytes that is.
    rolled: HashMap<i64, Rolled>,
    rolled_up: usize,
    /// The last checked group, and whether it holds so much that its series are read alone.
    crowded: Option<(i64, bool)>,
    limits: Limits<'a>,
    /// The memory of all that, and of the series at hand.
    room: Held,
    lists: usize,
}

/// Takes what waits of a series' group; one that was asked for before comes alone.
fn take_group(waiting: &mut Vec<i64>, id: i64) -> Vec<i64> {
    let group = id.div_euclid(GROUP);
    let from = waiting.partition_point(|w| w.div_euclid(GROUP) < group);
    let to = waiting.partition_point(|w| w.div_euclid(GROUP) <= group);
    let ids: Vec<i64> = waiting.drain(from..to).collect();
    if ids.contains(&id) { ids } else { vec![id] }
}

/// From this number of series on, a second thread unpacks them; not if only one sample of each
/// counts, which takes less time than waking a thread.
const MANY: usize = 32;
/// The bytes that may be fetched together with neighbours; beyond that each series is read alone.
const MOST_HELD: usize = 24 << 20;

/// The number of further series that are fetched at once if only the last sample of each counts.
const TOGETHER: usize = 128;

fn several_cores() -> bool {
    std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

impl StoreSet<'_> {
    /// The samples of one series, not unpacked; those of its group come with it and wait.
    fn fetch(&mut self, series: usize, from: i64) -> Result<Fetched, SourceError> {
        let id = self.ids[series];
        if let Some(fetched) = self.fetched.remove(&id) {
            self.held -= fetched.size();
            return Ok(fetched);
        }
        self.limits.check().map_err(|_| over())?;
        let ids = if self.held < MOST_HELD && !self.is_crowded(id.div_euclid(GROUP), from)? {
            let mut ids = take_group(&mut self.waiting, id);
            if self.last_only {
                // The following ones are requested soon, and a statement costs more than its
                // results.
                let at = self.waiting.partition_point(|w| *w < id);
                let more = self.waiting.len().min(at + TOGETHER);
                ids.extend(self.waiting.drain(at..more));
            }
            ids
        } else {
            if let Ok(at) = self.waiting.binary_search(&id) {
                self.waiting.remove(at);
            }
            vec![id]
        };
        let fetched = self.reader.fetch(&ids, from, self.end, self.last_only)?;
        for (id, fetched) in ids.into_iter().zip(fetched) {
            self.held += fetched.size();
            self.fetched.insert(id, fetched);
        }
        self.settle(0)?;
        let fetched = self.fetched.remove(&id);
        self.held -= fetched.as_ref().map_or(0, Fetched::size);
        fetched.ok_or_else(|| SourceError(format!("series {id} was not read")))
    }
}

impl StoreSet<'_> {
    /// Counts the memory in use, and that of the current series.
    fn settle(&mut self, now: usize) -> Result<(), SourceError> {
        let waits = self.lists + self.held + self.rolled_up;
        self.room.settle(waits.saturating_add(now)).map_err(spent)
    }

    /// Whether a group holds so much of the requested time that its series are better read alone.
    fn is_crowded(&mut self, group: i64, from: i64) -> Result<bool, SourceError> {
        if self.last_only || self.end.saturating_sub(from) < LONG_MS {
            return Ok(false);
        }
        if let Some((_, crowded)) = self.crowded.filter(|(known, _)| *known == group) {
            return Ok(crowded);
        }
        let crowded = self.reader.packed(group, from, self.end)? > MOST_HELD as u64 / 2;
        self.crowded = Some((group, crowded));
        Ok(crowded)
    }
}

/// Shorter times are never much: sixteen series of a value a second are some megabytes.
const LONG_MS: i64 = 86_400_000;

/// The memory of the buckets of a series, in bytes.
fn size(rolled: &Rolled) -> usize {
    rolled.ends.len() * size_of::<f64>() * (rolled.parts.len() + 1)
}

impl SeriesSet for StoreSet<'_> {
    fn labels(&self) -> &[Arc<Labels>] {
        &self.labels
    }

    fn read(&mut self, series: usize, into: &mut Columns) -> Result<(), SourceError> {
        into.clear();
        let from = self.start.max(self.raw_from);
        if from > self.end || series >= self.ids.len() {
            return Ok(());
        }
        self.limits.check().map_err(|_| over())?;
        let used = std::mem::take(into);
        let mut column = Column { ts: used.times, values: used.values, ..Column::default() };
        let much = self.ids.len() >= MANY && !self.last_only;
        if series == 0 && self.next == 0 && much && several_cores() {
            self.ahead = Ahead::new(from, self.end);
        }
        match self.ahead.take() {
            Some(mut ahead) if series == self.next => {
                while self.sent < self.ids.len() && ahead.has_room() {
                    let fetched = self.fetch(self.sent, from)?;
                    self.settle((ahead.samples() + fetched.samples(from, self.end)) * SAMPLE)?;
                    ahead.add(fetched)?;
                    self.sent += 1;
                }
                column = ahead.take(column)?;
                self.ahead = Some(ahead);
                self.next += 1;
            }
            // Out of order, so the next series is unknown.
            _ => {
                let fetched = self.fetch(series, from)?;
                let samples = fetched.samples(from, self.end);
                self.settle(samples.max(column.ts.capacity()) * SAMPLE + fetched.size())?;
                column.ts.clear();
                column.values.clear();
                column.ts.reserve_exact(samples);
                column.values.reserve_exact(samples);
                self.reader.unpack(&fetched, from, self.end, &mut column);
            }
        }
        into.times = column.ts;
        into.values = column.values;
        Ok(())
    }

    fn raw_from(&self) -> i64 {
        self.raw_from
    }

    fn cost(&self) -> Result<Cost, SourceError> {
        let mut groups: Vec<i64> = self.ids.iter().map(|id| id.div_euclid(GROUP)).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut blocks = 0;
        for group in groups {
            let from = self.start.max(self.raw_from);
            blocks += self.reader.weight(0, group, from, self.end)?.blocks;
            if self.start < self.raw_from && !self.hours_only {
                let five = Resolution::FiveMinutes.width();
                let to = self.end.min(self.raw_from);
                blocks += self.reader.weight(five, group, self.start, to)?.blocks;
            }
        }
        Ok(Cost { blocks })
    }

    fn read_rollups(
        &mut self,
        series: usize,
        parts: &[Part],
        into: &mut Rollups,
    ) -> Result<(), SourceError> {
        into.clear();
        let Some(id) = self.ids.get(series) else { return Ok(()) };
        if !self.rolled.contains_key(id) {
            let hour = Resolution::Hour.width();
            let down = |time: i64| time.saturating_sub(time.rem_euclid(hour));
            // The bucket that a window begins in, and the one before it.
            let from = down(self.start.saturating_sub(2 * hour));
            let to = self.raw_from.min(down(self.end).saturating_add(hour));
            let numbers: Vec<u8> = parts.iter().map(|part| *part as u8).collect();
            let (id, five) = (*id, Resolution::FiveMinutes.width());
            self.limits.check().map_err(|_| over())?;
            let weight = self.reader.weight(five, id.div_euclid(GROUP), from, to)?;
            let each = weight.values as usize * (parts.len() + 1) * size_of::<f64>();
            let ids = match each.saturating_mul(GROUP as usize) {
                bytes if bytes < MOST_HELD / 2 => take_group(&mut self.unrolled, id),
                _ => {
                    self.unrolled.retain(|other| *other != id);
                    vec![id]
                }
            };
            self.settle(each.saturating_mul(ids.len()))?;
            let found = self.reader.rollups(&ids, &numbers, from, to, self.hours_only)?;
            for rolled in found {
                self.rolled_up += size(&rolled);
                self.rolled.insert(rolled.series, rolled);
            }
        }
        let Some(rolled) = self.rolled.remove(&self.ids[series]) else { return Ok(()) };
        self.rolled_up -= size(&rolled);
        // The results beside samples take as much again.
        self.settle(2 * size(&rolled))?;
        into.ends = rolled.ends;
        into.hours_until = rolled.hours_until;
        for (part, values) in parts.iter().zip(rolled.parts) {
            into.parts[*part as usize] = values;
        }
        Ok(())
    }
}
