//! store: the head: samples that are committed as plain rows but not sealed yet, by series, in
//! memory, so that a query need not walk over every row of the last minutes and a seal need not
//! sort them. It is only ever a copy: it is read back from the plain rows when the file is opened.

mod tail;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::RwLock;

use rusqlite::Connection;

use self::tail::Tail;
use crate::store::file::state;
use crate::store::packed::block::{Column, GROUP};
use crate::store::{SqlError, from_column};

/// The head holds at most this many samples, of about 3 bytes each. A longer backlog (a file from
/// another machine) is taken in piece by piece as it is sealed.
const MOST: usize = 8_000_000;

/// A committed sample: series, ms since 1970 UTC, value.
pub(in crate::store) type Sample = (i64, i64, f64);

/// See the module.
#[derive(Debug, Default)]
pub struct Head(RwLock<Inner>);

#[derive(Debug)]
struct Inner {
    /// By group, as blocks have them. Not one list by the series' row: a flipped bit in the file
    /// makes a row of a thousand billion.
    groups: BTreeMap<i64, Box<[Tail; GROUP as usize]>>,
    samples: usize,
    /// Newer samples than this are not held.
    covers: i64,
    /// Device and number of the file that this is a copy of, once that is read.
    file: Option<(u64, u64)>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { groups: BTreeMap::new(), samples: 0, covers: i64::MAX, file: None }
    }
}

/// Device and number of the file that has this name now.
pub(in crate::store) fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// What a seal would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Waiting {
    /// Samples.
    pub(in crate::store) samples: usize,
    /// The first of them.
    pub(in crate::store) oldest: i64,
    /// The last moment that can be sealed together with all before it.
    pub(in crate::store) until: i64,
    /// Whether that is everything there is.
    pub(in crate::store) all: bool,
    /// Series that are still written.
    pub(in crate::store) live: usize,
    /// Series that are not written any more.
    pub(in crate::store) gone: usize,
}

impl Head {
    fn inner(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(|e| e.into_inner())
    }

    fn inner_mut(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(|e| e.into_inner())
    }

    /// Begins again with the samples of the file.
    pub(in crate::store) fn load(&self, conn: &Connection) -> Result<(), SqlError> {
        self.load_most(conn, MOST)
    }

    fn load_most(&self, conn: &Connection, most: usize) -> Result<(), SqlError> {
        let sealed = state::get(conn, state::SEALED_UNTIL)?.unwrap_or(i64::MIN);
        let file = conn.path().and_then(|path| identity(Path::new(path)));
        let mut inner = Inner { file, ..Inner::default() };
        let mut statement =
            conn.prepare("SELECT series_id, ts, value FROM samples WHERE ts > ?1 ORDER BY ts")?;
        let mut rows = statement.query([sealed])?;
        let mut at = sealed;
        while let Some(row) = rows.next()? {
            let ts = row.get(1)?;
            // Whole moments only.
            if inner.samples >= most && ts != at {
                inner.covers = at;
                break;
            }
            at = ts;
            if let Some(value) = from_column(row.get_ref(2)?) {
                inner.push((row.get(0)?, ts, value));
            }
        }
        *self.inner_mut() = inner;
        Ok(())
    }

    /// Adds what has been committed.
    pub(in crate::store) fn append(&self, samples: &[Sample]) {
        let mut inner = self.inner_mut();
        for sample in samples {
            if sample.1 <= inner.covers {
                inner.push(*sample);
            }
        }
        if inner.samples > MOST && inner.covers == i64::MAX {
            // What comes from now on is left to the rows until some of this is sealed.
            inner.covers =
                inner.tails().filter(|t| !t.is_empty()).map(Tail::max).max().unwrap_or(0);
        }
    }

    /// Whether this is a copy of another file than this one (device and number).
    pub fn is_of_another(&self, file: (u64, u64)) -> bool {
        self.inner().file.is_some_and(|own| own != file)
    }

    /// Whether rows newer than what is held wait in the file.
    pub(in crate::store) fn is_partial(&self) -> bool {
        self.inner().covers != i64::MAX
    }

    /// Forgets what has been sealed.
    pub(in crate::store) fn forget(&self, until: i64) {
        let mut inner = self.inner_mut();
        inner.groups.retain(|_, group| {
            group.iter_mut().for_each(|t| t.forget(until));
            // Series that are not written any more take no memory here.
            group.iter().any(|t| !t.is_empty())
        });
        inner.samples = inner.tails().map(Tail::len).sum();
    }

    /// Appends to each column the samples of its series from `from` to `to` inclusive. Newer ones
    /// than the time that comes back are in the file only.
    pub(super) fn read(&self, from: i64, to: i64, columns: &mut [Column]) -> i64 {
        let inner = self.inner();
        for column in columns {
            if let Some(tail) = inner.tail(column.series) {
                tail.read(from, to, &mut column.ts, &mut column.values);
            }
        }
        inner.covers
    }

    /// Reads the newest sample of each series, and perhaps others before it.
    pub(super) fn read_newest(&self, from: i64, to: i64, columns: &mut [Column]) -> i64 {
        let inner = self.inner();
        for column in columns {
            let Some(tail) = inner.tail(column.series) else { continue };
            match tail.newest(from, to) {
                Some(newest) => newest.into_iter().for_each(|(ts, value)| {
                    column.ts.push(ts);
                    column.values.push(value);
                }),
                None => tail.read(from, to, &mut column.ts, &mut column.values),
            }
        }
        inner.covers
    }

    /// Hands out the newest sample of each series up to `to`: by its place in the list, and nothing where
    /// memory has none; a series is left out where they have to be looked through. False: newer ones may
    /// be in the file only.
    pub(in crate::store) fn newest(
        &self,
        series: &[i64],
        to: i64,
        mut each: impl FnMut(usize, Option<(i64, f64)>),
    ) -> bool {
        let inner = self.inner();
        for (at, series) in series.iter().enumerate() {
            let Some(tail) = inner.tail(*series) else {
                each(at, None);
                continue;
            };
            if let Some(newest) = tail.newest(i64::MIN, to) {
                each(at, newest);
            }
        }
        inner.covers == i64::MAX
    }

    /// Takes out of `missing` the series that have a sample from `from` to `to` inclusive. Newer
    /// ones than the time that comes back are in the file only.
    pub(in crate::store) fn strike(&self, from: i64, to: i64, missing: &mut Vec<i64>) -> i64 {
        let inner = self.inner();
        let within = |ts: i64| (from..=to).contains(&ts);
        let (mut times, mut values) = (Vec::new(), Vec::new());
        missing.retain(|series| {
            let tail = inner.tail(*series);
            let Some(tail) = tail.filter(|t| !t.is_empty() && t.min() <= to && t.max() >= from)
            else {
                return true;
            };
            if within(tail.min()) || within(tail.max()) {
                return false;
            }
            // It may have a gap just there.
            times.clear();
            values.clear();
            tail.read(from, to, &mut times, &mut values);
            times.is_empty()
        });
        inner.covers
    }

    /// What could be sealed at `now` (ms since 1970 UTC) in columns of at most `longest` samples;
    /// `None`: nothing.
    pub(in crate::store) fn waiting(&self, now: i64, longest: usize) -> Option<Waiting> {
        let inner = self.inner();
        let (oldest, until) = (i64::MAX, i64::MIN);
        let mut found = Waiting { samples: 0, oldest, until, all: true, live: 0, gone: 0 };
        let mut bound = inner.covers.min(now);
        let mut late_ones = Column::default();
        for tail in inner.tails().filter(|t| !t.is_empty() && t.min() <= now) {
            found.oldest = found.oldest.min(tail.min());
            *if tail.is_gone(now) { &mut found.gone } else { &mut found.live } += 1;
            if tail.max() <= now && tail.len() <= longest {
                found.samples += tail.len();
                found.until = found.until.max(tail.max());
                continue;
            }
            late_ones.ts.clear();
            late_ones.values.clear();
            tail.read(i64::MIN, now, &mut late_ones.ts, &mut late_ones.values);
            found.samples += late_ones.ts.len();
            found.until = found.until.max(late_ones.ts.last().copied().unwrap_or(i64::MIN));
            if let Some(too_far) = late_ones.ts.get(longest) {
                bound = bound.min(too_far - 1);
            }
        }
        found.all = bound >= found.until && inner.covers == i64::MAX;
        found.until = found.until.min(bound);
        (found.samples > 0).then_some(found)
    }

    /// Groups of series that may have samples, in their order.
    pub(in crate::store) fn groups(&self) -> Vec<i64> {
        self.inner().groups.keys().copied().collect()
    }

    /// About how many bytes of memory it takes.
    #[cfg(test)]
    pub(in crate::store) fn bytes(&self) -> usize {
        let inner = self.inner();
        inner.tails().map(Tail::bytes).sum()
    }

    /// The samples of one group up to `until`, ready to be sealed.
    pub(in crate::store) fn group(&self, group: i64, until: i64) -> Vec<Column> {
        let mut columns: Vec<Column> = (group * GROUP..(group + 1) * GROUP)
            .map(|series| Column { series, ..Column::default() })
            .collect();
        self.read(i64::MIN, until, &mut columns);
        columns.retain(|c| !c.ts.is_empty());
        columns
    }
}

impl Inner {
    fn push(&mut self, (series, ts, value): Sample) {
        let group = self.groups.entry(series.div_euclid(GROUP)).or_default();
        group[series.rem_euclid(GROUP) as usize].push(ts, value);
        self.samples += 1;
    }

    fn tail(&self, series: i64) -> Option<&Tail> {
        let group = self.groups.get(&series.div_euclid(GROUP))?;
        Some(&group[series.rem_euclid(GROUP) as usize])
    }

    fn tails(&self) -> impl Iterator<Item = &Tail> {
        self.groups.values().flat_map(|group| group.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_which_all_is_sealed_take_no_memory() {
        let head = Head::default();
        let samples = |series: i64| (0..10).map(move |i| (series, i * 1_000, 1.0));
        let all: Vec<Sample> = samples(1).chain(samples(1_000)).chain([(1, 20_000, 2.0)]).collect();
        head.0.write().expect("free").covers = i64::MAX;
        head.append(&all);
        assert_eq!(head.inner().groups.len(), 2);
        head.forget(10_000);
        let inner = head.inner();
        assert_eq!((inner.groups.len(), inner.samples), (1, 1));
    }
}
