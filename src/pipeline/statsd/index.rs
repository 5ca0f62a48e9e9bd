//! pipeline: from a name as it was sent, with its tags, to the place of its values: one look-up of
//! the raw bytes. A name is only parsed when it is new.

use std::hash::{BuildHasher, Hasher};

use crate::wire::statsd::Type;

/// The place of a name's values: a type, and a number among those of that type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

impl Place {
    /// A quarter of the numbers for each type; the limit on names is far below.
    const NUMBER: u32 = (1 << 30) - 1;

    pub(super) fn new(kind: Type, number: usize) -> Self {
        Self((kind as u32) << 30 | (number as u32 & Self::NUMBER))
    }

    #[inline(always)]
    pub(super) fn is(self, kind: Type) -> bool {
        self.0 >> 30 == kind as u32
    }

    #[inline(always)]
    pub(super) fn number(self) -> usize {
        (self.0 & Self::NUMBER) as usize
    }
}

/// A name that is longer than this, with its tags, is looked up the long way each time.
const LONGEST: usize = 1 << 12;

/// Bytes of all names, for each that may be remembered, and at least this; further names are looked
/// up the long way.
const USUAL: usize = 100;
const LEAST_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    /// The place where its bytes begin.
    at: u32,
    name: u16,
    tags: u16,
    /// The place of its values, or [`FREE`].
    place: Place,
}

/// No place has this number: it is past the limit on names.
const FREE: Place = Place(u32::MAX);
const NOTHING: Entry = Entry { hash: 0, at: 0, name: 0, tags: 0, place: FREE };

/// See the module's text. An open table with linear probing, at most three quarters full: a look-up
/// mostly touches one line of memory, and then the name's bytes.
#[derive(Debug)]
pub(super) struct Index {
    /// The table; its length is a power of two.
    table: Vec<Entry>,
    used: usize,
    bytes: Vec<u8>,
    /// Seeded in each process, so that senders cannot choose where their names fall.
    hasher: foldhash::quality::RandomState,
}

impl Index {
    /// Knows nothing yet.
    pub(super) fn new() -> Self {
        Self {
            table: vec![NOTHING; 64],
            used: 0,
            bytes: Vec::new(),
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    #[inline(always)]
    pub(super) fn hash(&self, kind: Type, name: &[u8], tags: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        if !tags.is_empty() {
            hasher.write(tags);
        }
        hasher.write_u8(kind as u8);
        hasher.finish()
    }

    /// The place of a name whose hash is known.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, kind: Type, name: &[u8], tags: &[u8]) -> Option<Place> {
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let entry = &self.table[at & mask];
            if entry.place == FREE {
                return None;
            }
            if entry.hash == hash && self.is(entry, kind, name, tags) {
                return Some(entry.place);
            }
            at += 1;
        }
    }

    #[inline(always)]
    fn is(&self, entry: &Entry, kind: Type, name: &[u8], tags: &[u8]) -> bool {
        let (start, n) = (entry.at as usize, name.len());
        usize::from(entry.name) == n
            && usize::from(entry.tags) == tags.len()
            && entry.place.is(kind)
            && self.bytes[start..start + n] == *name
            && (tags.is_empty() || self.bytes[start + n..start + n + tags.len()] == *tags)
    }

    /// Remembers a name that was not found, unless there are `most` already. A name that can be
    /// written in several ways is there several times.
    pub(super) fn remember(
        &mut self,
        kind: Type,
        name: &[u8],
        tags: &[u8],
        place: Place,
        most: usize,
    ) {
        let at = self.bytes.len();
        if self.used >= most
            || name.len() + tags.len() > LONGEST
            || at > most.saturating_mul(USUAL).clamp(LEAST_BYTES, (u32::MAX as usize) - LONGEST)
        {
            return;
        }
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(tags);
        let (name_length, tags_length) = (name.len() as u16, tags.len() as u16);
        let hash = self.hash(kind, name, tags);
        self.add(Entry { hash, at: at as u32, name: name_length, tags: tags_length, place });
    }

    /// Forgets the names of places that do not stay.
    pub(super) fn retain(&mut self, stays: impl Fn(Place) -> bool) {
        let table = std::mem::replace(&mut self.table, vec![NOTHING; 64]);
        let bytes = std::mem::take(&mut self.bytes);
        self.used = 0;
        for entry in table {
            if entry.place == FREE || !stays(entry.place) {
                continue;
            }
            let start = entry.at as usize;
            let end = start + usize::from(entry.name) + usize::from(entry.tags);
            let at = self.bytes.len() as u32;
            self.bytes.extend_from_slice(&bytes[start..end]);
            self.add(Entry { at, ..entry });
        }
    }

    fn add(&mut self, entry: Entry) {
        if (self.used + 1) * 4 > self.table.len() * 3 {
            let size = self.table.len() * 2;
            for entry in std::mem::replace(&mut self.table, vec![NOTHING; size]) {
                if entry.place != FREE {
                    self.put(entry);
                }
            }
        }
        self.put(entry);
        self.used += 1;
    }

    fn put(&mut self, entry: Entry) {
        let mask = self.table.len() - 1;
        let mut at = entry.hash as usize & mask;
        while self.table[at].place != FREE {
            at = (at + 1) & mask;
        }
        self.table[at] = entry;
    }

    /// Hash of a set's member.
    pub(super) fn member(&self, bytes: &[u8]) -> u64 {
        self.hasher.hash_one(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_tags_and_type_together_are_the_key() {
        let mut index = Index::new();
        let keys: [(Type, &[u8], &[u8]); 4] = [
            (Type::Counter, b"ab", b"c"),
            (Type::Counter, b"a", b"bc"),
            (Type::Gauge, b"ab", b"c"),
            (Type::Set, b"ab", b"c"),
        ];
        let find = |index: &Index, (kind, name, tags): (Type, &[u8], &[u8])| {
            index.find(index.hash(kind, name, tags), kind, name, tags).map(Place::number)
        };
        for (number, key) in keys.into_iter().enumerate() {
            assert_eq!(find(&index, key), None);
            index.remember(key.0, key.1, key.2, Place::new(key.0, number), 3);
        }
        let found = keys.map(|key| find(&index, key));
        assert_eq!(found, [Some(0), Some(1), Some(2), None], "the fourth has no room");
    }

    #[test]
    fn what_is_forgotten_is_not_found_and_the_rest_is() {
        let mut index = Index::new();
        let name = |i: usize| format!("app.web.name{i}").into_bytes();
        for i in 0..1_000 {
            index.remember(Type::Counter, &name(i), b"", Place::new(Type::Counter, i), 1_000);
        }
        let bytes = index.bytes.len();
        index.retain(|place| place.number() % 10 == 0);
        assert!(index.bytes.len() < bytes / 8);
        for i in 0..1_000 {
            let hash = index.hash(Type::Counter, &name(i), b"");
            let found = index.find(hash, Type::Counter, &name(i), b"").map(Place::number);
            assert_eq!(found, (i % 10 == 0).then_some(i));
        }
        index.remember(Type::Counter, &name(1), b"", Place::new(Type::Counter, 1), 101);
        let hash = index.hash(Type::Counter, &name(1), b"");
        assert!(index.find(hash, Type::Counter, &name(1), b"").is_some(), "there is room again");
    }

    #[test]
    fn it_grows_and_finds_all() {
        let mut index = Index::new();
        let name = |i: usize| format!("app.web{:02}.name{i}", i % 16).into_bytes();
        for i in 0..5_000 {
            index.remember(Type::Timer, &name(i), b"a:b", Place::new(Type::Timer, i), 10_000);
        }
        for i in 0..5_001 {
            let hash = index.hash(Type::Timer, &name(i), b"a:b");
            let found = index.find(hash, Type::Timer, &name(i), b"a:b").map(Place::number);
            assert_eq!(found, (i < 5_000).then_some(i));
        }
    }
}
