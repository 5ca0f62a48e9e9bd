//! model: each series gets a small number for the life of the process.

use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, RwLock};

use hashbrown::HashTable;

use super::{Identity, Labels, Series};

/// A series' number in one [`Registry`]; dense, from 0, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u32);

/// All series this process has seen. Cheap to share: readers do not block each other.
#[derive(Debug, Default)]
pub struct Registry {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    list: Vec<Arc<Series>>,
    /// Seeded per process: names come from the network too.
    hasher: foldhash::quality::RandomState,
    index: HashTable<u32>,
    shared: Shared,
}

/// What many series have in common is kept once: a job, a unit, a sentence; and the labels, which a
/// disk's dozen metrics have, and all timers of statsd.
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
    /// The number of this series, new or known. What is known about it is kept from its first
    /// mention.
    pub fn intern(&self, mut series: Series) -> SeriesRef {
        if let Some(known) = self.find(&series.identity) {
            return known;
        }
        let mut inner = self.inner.write().unwrap_or_else(|e| e.into_inner());
        let Inner { list, hasher, index, shared } = &mut *inner;
        let hash = hasher.hash_one(&series.identity);
        if let Some(known) = index.find(hash, |i| list[*i as usize].identity == series.identity) {
            return SeriesRef(*known);
        }
        let number = list.len() as u32;
        shared.share(&mut series, hasher);
        list.push(Arc::new(series));
        index.insert_unique(hash, number, |i| hasher.hash_one(&list[*i as usize].identity));
        SeriesRef(number)
    }

    /// The number of a known series.
    pub fn find(&self, identity: &Identity) -> Option<SeriesRef> {
        let inner = self.inner.read().unwrap_or_else(|e| e.into_inner());
        let hash = inner.hasher.hash_one(identity);
        inner
            .index
            .find(hash, |i| inner.list[*i as usize].identity == *identity)
            .map(|i| SeriesRef(*i))
    }

    /// The series behind a number of this registry.
    pub fn get(&self, series: SeriesRef) -> Arc<Series> {
        let inner = self.inner.read().unwrap_or_else(|e| e.into_inner());
        Arc::clone(&inner.list[series.0 as usize])
    }

    /// How many there are; numbers run from 0 to this.
    pub fn len(&self) -> usize {
        self.inner.read().unwrap_or_else(|e| e.into_inner()).list.len()
    }

    /// Whether nothing has been seen yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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
            let kept = registry.get(registry.intern(series));
            let value = kept.identity.labels.get("device").map(str::as_ptr);
            (kept.identity.job.as_ptr(), kept.help.as_ptr(), value)
        };
        let (a, b, c) = (kept("read", "sda"), kept("written", "sda"), kept("read", "sdb"));
        assert_eq!(a, b);
        assert_eq!((a.0, a.1), (c.0, c.1));
        assert_ne!(a.2, c.2);
    }
}
