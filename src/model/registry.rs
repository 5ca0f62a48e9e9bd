//! model: the registry gives each series a small number while it is in use.
//!
//! Names come and go: containers, network interfaces, units. A series that is not written any more
//! is forgotten in two steps, some minutes apart, so that nothing on its way to the file loses its
//! name. [`Registry::retire`] marks it; if it is named again, it comes back as it was. Otherwise
//! [`Registry::release`] frees it, and its place is used for another series. The number of a
//! released series is never valid again, because it contains how often its place was used.
//!
//! Code that keeps state of a series (a counter's last value) pins it ([`Registry::pin`]), so it is
//! not retired. Code that keeps only its number checks [`Registry::epoch`] before each use, and
//! drops numbers that are no longer [`Live`].

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, RwLock, RwLockReadGuard};

use hashbrown::HashTable;

use super::{Identity, Labels, Series};

/// A series' number in one [`Registry`]. Places are dense, from 0, and used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef {
    place: u32,
    /// How many series had this place before.
    generation: u32,
}

impl SeriesRef {
    /// The number of the series at `place`, which had `generation` series before.
    pub const fn new(place: u32, generation: u32) -> Self {
        Self { place, generation }
    }

    /// Its place; no other series that is known has it.
    pub const fn place(self) -> usize {
        self.place as usize
    }

    /// How many series had its place before.
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// A series that is pinned: it is not retired while this or a copy lives.
#[derive(Debug, Clone)]
pub struct Pinned {
    number: SeriesRef,
    series: Arc<Series>,
}

impl Pinned {
    /// Its number, which stays valid.
    pub const fn number(&self) -> SeriesRef {
        self.number
    }

    /// The description of the series.
    pub fn series(&self) -> &Series {
        &self.series
    }
}

/// All series in use. Cheap to share: readers do not block each other.
#[derive(Debug, Default)]
pub struct Registry {
    inner: RwLock<Inner>,
    epoch: AtomicU64,
    made: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    slots: Vec<Slot>,
    /// Places of slots without a series.
    free: Vec<u32>,
    /// Seeded per process: names come from the network too.
    hasher: foldhash::quality::RandomState,
    index: HashTable<u32>,
    shared: Shared,
    /// Whether series were freed since `shared` was tidied.
    untidy: bool,
}

#[derive(Debug)]
struct Slot {
    series: Option<Arc<Series>>,
    generation: u32,
    retired: bool,
    /// See [`Registry::charge`].
    charged: u8,
}

/// A series that was forgotten.
#[derive(Debug)]
pub struct Released {
    /// The description of the series.
    pub series: Arc<Series>,
    /// The number of names charged for it.
    pub charged: u8,
}

impl Inner {
    fn slot(&self, series: SeriesRef) -> Option<&Slot> {
        self.slots.get(series.place()).filter(|slot| slot.generation == series.generation)
    }

    fn find(&self, identity: &Identity) -> Option<u32> {
        let hash = self.hasher.hash_one(identity);
        let is = |place: &u32| {
            let series = self.slots.get(*place as usize).and_then(|slot| slot.series.as_ref());
            series.is_some_and(|series| series.identity == *identity)
        };
        self.index.find(hash, is).copied()
    }

    fn number(&self, place: u32) -> SeriesRef {
        let generation = self.slots.get(place as usize).map_or(0, |slot| slot.generation);
        SeriesRef { place, generation }
    }

    /// Frees a series; its place can be used again.
    fn free(&mut self, place: u32) -> Option<Released> {
        let slot = self.slots.get_mut(place as usize)?;
        let series = slot.series.take()?;
        slot.retired = false;
        let charged = std::mem::take(&mut slot.charged);
        slot.generation = slot.generation.wrapping_add(1);
        let hash = self.hasher.hash_one(&series.identity);
        if let Ok(entry) = self.index.find_entry(hash, |p| *p == place) {
            entry.remove();
        }
        self.free.push(place);
        Some(Released { series, charged })
    }
}

/// A look at which numbers are valid; nothing is retired or released while it lives.
#[derive(Debug)]
pub struct Live<'a>(RwLockReadGuard<'a, Inner>);

impl Live<'_> {
    /// Whether a number is that of a series that is in use.
    pub fn has(&self, series: SeriesRef) -> bool {
        self.0.slot(series).is_some_and(|slot| slot.series.is_some() && !slot.retired)
    }
}

/// Parts that many series share, stored once: jobs, units, help texts, and labels, which all
/// metrics of a disk have in common, and all series of a statsd timer.
#[derive(Debug, Default)]
struct Shared {
    words: HashTable<Arc<str>>,
    labels: HashTable<Labels>,
}

impl Shared {
    fn share(&mut self, series: &mut Series, hasher: &impl BuildHasher) {
        one(&mut self.words, &mut series.identity.job, hasher);
        one(&mut self.words, &mut series.unit, hasher);
        one(&mut self.words, &mut series.help, hasher);
        one(&mut self.labels, &mut series.identity.labels, hasher);
    }

    /// Drops parts that no series uses any more.
    fn tidy(&mut self) {
        self.words.retain(|word| Arc::strong_count(word) > 1);
        self.labels.retain(|labels| labels.holders() > 1);
    }
}

/// The one that is known takes the place of the same.
fn one<T: Hash + Eq + Clone>(known: &mut HashTable<T>, item: &mut T, hasher: &impl BuildHasher) {
    let hash = hasher.hash_one(&*item);
    match known.find(hash, |k| k == item) {
        Some(same) => item.clone_from(same),
        None => {
            known.insert_unique(hash, item.clone(), |k| hasher.hash_one(k));
        }
    }
}

impl Registry {
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(|e| e.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(|e| e.into_inner())
    }

    /// The number of this series, new or known. Its description is kept from its first mention.
    pub fn intern(&self, mut series: Series) -> SeriesRef {
        let inner = self.read();
        if let Some(place) = inner.find(&series.identity)
            && inner.slots.get(place as usize).is_some_and(|slot| !slot.retired)
        {
            return inner.number(place);
        }
        drop(inner);
        let mut inner = self.write();
        if let Some(place) = inner.find(&series.identity) {
            if let Some(slot) = inner.slots.get_mut(place as usize) {
                slot.retired = false;
            }
            return inner.number(place);
        }
        let Inner { slots, free, hasher, index, shared, .. } = &mut *inner;
        shared.share(&mut series, hasher);
        let hash = hasher.hash_one(&series.identity);
        let series = Some(Arc::new(series));
        let place = match free.pop() {
            Some(place) => {
                if let Some(slot) = slots.get_mut(place as usize) {
                    slot.series = series;
                }
                place
            }
            None => {
                slots.push(Slot { series, generation: 0, retired: false, charged: 0 });
                (slots.len() - 1) as u32
            }
        };
        index.insert_unique(hash, place, |p| {
            let series = slots.get(*p as usize).and_then(|slot| slot.series.as_ref());
            series.map_or(0, |series| hasher.hash_one(&series.identity))
        });
        self.made.fetch_add(1, Relaxed);
        inner.number(place)
    }

    /// Records that this series takes `charged` places among the names of senders.
    /// [`Registry::release`] returns them, so that the places can be freed.
    pub fn charge(&self, series: SeriesRef, charged: u8) {
        let mut inner = self.write();
        let slot = inner.slots.get_mut(series.place());
        if let Some(slot) = slot.filter(|slot| slot.generation == series.generation) {
            slot.charged = charged;
        }
    }

    /// The number of a known series.
    pub fn find(&self, identity: &Identity) -> Option<SeriesRef> {
        let inner = self.read();
        inner.find(identity).map(|place| inner.number(place))
    }

    /// The series behind a number of this registry. `None`: it was released.
    pub fn get(&self, series: SeriesRef) -> Option<Arc<Series>> {
        self.read().slot(series).and_then(|slot| slot.series.clone())
    }

    /// Keeps a series from being retired. `None`: it was released.
    pub fn pin(&self, number: SeriesRef) -> Option<Pinned> {
        self.get(number).map(|series| Pinned { number, series })
    }

    /// All series, with their numbers.
    pub fn all(&self) -> Vec<(SeriesRef, Arc<Series>)> {
        let inner = self.read();
        (0..)
            .zip(&inner.slots)
            .filter_map(|(place, slot)| {
                let number = SeriesRef { place, generation: slot.generation };
                Some((number, Arc::clone(slot.series.as_ref()?)))
            })
            .collect()
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        self.read().index.len()
    }

    /// Whether there are no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many series were made since the start, those that are forgotten included. It changes when
    /// a new one comes.
    pub fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }

    /// Changes when series are retired: numbers that were kept may not be [`Live`] any more.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// A look at which numbers are valid.
    pub fn live(&self) -> Live<'_> {
        Live(self.read())
    }

    /// Retires each series that is not pinned and that `idle` reports as not written any more;
    /// `idle` is called for all of them. Retired series stay retired.
    pub fn retire(&self, mut idle: impl FnMut(SeriesRef) -> bool) {
        let mut inner = self.write();
        let mut any = false;
        for (place, slot) in (0..).zip(&mut inner.slots) {
            let Some(series) = &slot.series else { continue };
            let number = SeriesRef { place, generation: slot.generation };
            if idle(number) && !slot.retired && Arc::strong_count(series) == 1 {
                slot.retired = true;
                any = true;
            }
        }
        if any {
            self.epoch.fetch_add(1, Relaxed);
        }
    }

    /// Frees each retired series for which `idle` still holds, and returns them. One that was written
    /// or is held meanwhile is no longer retired.
    pub fn release(&self, mut idle: impl FnMut(SeriesRef) -> bool) -> Vec<Released> {
        let mut inner = self.write();
        let mut places = Vec::new();
        for (place, slot) in (0..).zip(&mut inner.slots) {
            let Some(series) = slot.series.as_ref().filter(|_| slot.retired) else { continue };
            let number = SeriesRef { place, generation: slot.generation };
            if Arc::strong_count(series) == 1 && idle(number) {
                places.push(place);
            } else {
                slot.retired = false;
            }
        }
        // Parts of the last series, which nobody holds any more.
        if std::mem::replace(&mut inner.untidy, !places.is_empty()) {
            inner.shared.tidy();
        }
        places.into_iter().filter_map(|place| inner.free(place)).collect()
    }
}

/// A value with its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Which series.
    pub series: SeriesRef,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub ts: i64,
    /// The value; NaN and infinities are values too.
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_series_have_in_common_is_kept_once() {
        let registry = Registry::default();
        let kept = |name: &str, device: &str| {
            let labels = Labels::new([("device", device)]);
            let mut series = Series::undescribed(Identity::local("node", name, labels));
            series.help = "Bytes read.".into();
            let kept = registry.get(registry.intern(series)).expect("it is known");
            let value = kept.identity.labels.get("device").map(str::as_ptr);
            (kept.identity.job.as_ptr(), kept.help.as_ptr(), value)
        };
        let (a, b, c) = (kept("read", "sda"), kept("written", "sda"), kept("read", "sdb"));
        assert_eq!(a, b);
        assert_eq!((a.0, a.1), (c.0, c.1));
        assert_ne!(a.2, c.2);
    }

    fn named(name: &str) -> Series {
        Series::undescribed(Identity::local("node", name, Labels::new([("device", name)])))
    }

    #[test]
    fn one_that_is_not_written_is_forgotten_in_two_steps_and_its_place_used_again() {
        let registry = Registry::default();
        let (gone, stays) = (registry.intern(named("gone")), registry.intern(named("stays")));
        let idle = |series: SeriesRef| series == gone;
        let epoch = registry.epoch();
        registry.retire(idle);
        assert_ne!(registry.epoch(), epoch);
        assert!(!registry.live().has(gone) && registry.live().has(stays));
        assert_eq!(registry.get(gone).expect("still known").identity.name, "gone".into());
        let freed = registry.release(idle);
        assert_eq!(freed.len(), 1);
        assert_eq!((registry.get(gone), registry.len()), (None, 1));
        let next = registry.intern(named("next"));
        assert_eq!(next.place(), gone.place());
        assert_ne!(next, gone, "the old number is not valid for the new series");
        assert_eq!(registry.get(gone), None);
        assert_eq!(registry.find(&named("gone").identity), None);
        assert_eq!(registry.find(&named("stays").identity), Some(stays));
        drop(freed);
        registry.release(|_| false);
        assert_eq!(registry.read().shared.labels.len(), 2, "labels of what is gone are gone");
    }

    #[test]
    fn what_is_named_held_or_written_again_stays() {
        let registry = Registry::default();
        let [again, held, written] =
            ["again", "held", "written"].map(|n| registry.intern(named(n)));
        let pinned = registry.pin(held);
        registry.retire(|_| true);
        assert!(registry.live().has(held), "somebody keeps state of it");
        assert!(!registry.live().has(again));
        assert_eq!(registry.intern(named("again")), again);
        assert!(registry.release(|series| series != written).is_empty());
        for series in [again, held, written] {
            assert!(registry.live().has(series));
        }
        drop(pinned);
        registry.retire(|_| true);
        assert_eq!(registry.release(|_| true).len(), 3);
    }
}
