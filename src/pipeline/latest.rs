//! pipeline: the newest value of every series, for `/metrics`, `/health` and the burst rules.

use std::num::NonZeroU32;
use std::sync::Mutex;

use crate::model::SeriesRef;

/// The readings of one source at one moment. A series without a value in the newest of them has
/// vanished (an unmounted disk). Counted from 1, which makes an [`Entry`] that may be missing a
/// quarter smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group(NonZeroU32);

impl Group {
    fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Latest {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The values by the places of their series.
    values: Vec<Option<Entry>>,
    /// The newest moment of each group.
    groups: Vec<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    group: Group,
    generation: u32,
    ts: i64,
    value: f64,
}

impl Latest {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A group for one more source.
    pub fn group(&self) -> Group {
        let mut inner = self.lock();
        let group = Group(NonZeroU32::MIN.saturating_add(inner.groups.len() as u32));
        inner.groups.push(i64::MIN);
        group
    }

    /// The readings of one source at one moment.
    pub fn update(&self, group: Group, ts: i64, samples: &[(SeriesRef, f64)]) {
        let mut inner = self.lock();
        inner.groups[group.at()] = ts;
        for &(series, value) in samples {
            let at = series.place();
            if at >= inner.values.len() {
                inner.values.resize(at + 1, None);
            }
            let generation = series.generation();
            inner.values[at] = Some(Entry { group, generation, ts, value });
        }
    }

    /// A source has gone (switched off by a reload): its values with it.
    pub fn retire(&self, group: Group) {
        self.lock().groups[group.at()] = i64::MIN;
    }

    /// The current value of a series and its time.
    pub fn get(&self, series: SeriesRef) -> Option<(i64, f64)> {
        let inner = self.lock();
        inner
            .values
            .get(series.place())?
            .filter(|e| e.generation == series.generation())
            .filter(|e| inner.groups[e.group.at()] == e.ts)
            .map(|e| (e.ts, e.value))
    }

    /// All current values: series, time, value, in the order of the series' places.
    pub fn all(&self) -> Vec<(SeriesRef, i64, f64)> {
        let inner = self.lock();
        (0..)
            .zip(&inner.values)
            .filter_map(|(i, e)| e.map(|e| (SeriesRef::new(i, e.generation), e)))
            .filter(|(_, e)| inner.groups[e.group.at()] == e.ts)
            .map(|(s, e)| (s, e.ts, e.value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_newest_reading_lacks_is_gone() {
        let number = |place| SeriesRef::new(place, 0);
        let latest = Latest::default();
        let (a, b) = (latest.group(), latest.group());
        latest.update(a, 1, &[(number(0), 1.0), (number(2), 2.0)]);
        latest.update(b, 1, &[(number(1), 3.0)]);
        latest.update(a, 2, &[(number(2), 4.0)]);
        assert_eq!(latest.all(), [(number(1), 1, 3.0), (number(2), 2, 4.0)]);
        latest.retire(b);
        assert_eq!(latest.get(number(1)), None);
        assert_eq!(latest.get(number(2)), Some((2, 4.0)));
        assert_eq!(latest.get(SeriesRef::new(2, 1)), None, "of another that has its place now");
    }
}
