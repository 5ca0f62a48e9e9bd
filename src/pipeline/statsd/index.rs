//! pipeline: from a name as it was sent, tags and all, to the place where its values are kept: one
//! look-up of the raw bytes. What is behind a name is found out when it is new.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;

use crate::wire::statsd::Type;

/// Where the values of a name are kept: a type and a number among those of that type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// A quarter of the numbers for each type; the limit on names is far below.
    const NUMBER: u32 = (1 << 30) - 1;

    pub(super) fn new(kind: Type, number: usize) -> Self {
        Self((kind as u32) << 30 | (number as u32 & Self::NUMBER))
    }

    #[inline]
    pub(super) fn is(self, kind: Type) -> bool {
        self.0 >> 30 == kind as u32
    }

    #[inline]
    pub(super) fn number(self) -> usize {
        (self.0 & Self::NUMBER) as usize
    }
}

/// A name that is longer than this, with its tags, is looked up the long way each time.
const LONGEST: usize = 1 << 12;

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    /// Where its bytes begin.
    at: u32,
    name: u16,
    tags: u16,
    place: Place,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Index {
    table: HashTable<Entry>,
    bytes: Vec<u8>,
    most: usize,
    /// Seeded anew in each process: who sends names must not be able to choose where they fall.
    hasher: foldhash::quality::RandomState,
}

impl Index {
    /// Knows up to `most` names: one that can be written in several ways takes a place for each.
    pub(super) fn new(most: usize) -> Self {
        Self {
            table: HashTable::new(),
            bytes: Vec::new(),
            most,
            hasher: foldhash::quality::RandomState::default(),
        }
    }

    #[inline]
    fn hash(&self, kind: Type, name: &[u8], tags: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        if !tags.is_empty() {
            hasher.write(tags);
        }
        hasher.write_u8(kind as u8);
        hasher.finish()
    }

    #[inline]
    pub(super) fn find(&self, kind: Type, name: &[u8], tags: &[u8]) -> Option<Place> {
        let hash = self.hash(kind, name, tags);
        let entry = self.table.find(hash, |e| {
            e.hash == hash
                && usize::from(e.name) == name.len()
                && usize::from(e.tags) == tags.len()
                && e.place.is(kind)
                && {
                    let key = &self.bytes[e.at as usize..][..name.len() + tags.len()];
                    key[..name.len()] == *name && key[name.len()..] == *tags
                }
        });
        entry.map(|e| e.place)
    }

    /// Remembers a name that was not found; nothing happens when there is no room for it.
    pub(super) fn remember(&mut self, kind: Type, name: &[u8], tags: &[u8], place: Place) {
        let at = self.bytes.len();
        if self.table.len() >= self.most
            || name.len() + tags.len() > LONGEST
            || at > (u32::MAX as usize) - LONGEST
        {
            return;
        }
        let hash = self.hash(kind, name, tags);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(tags);
        let entry =
            Entry { hash, at: at as u32, name: name.len() as u16, tags: tags.len() as u16, place };
        self.table.insert_unique(hash, entry, |e| e.hash);
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
        let mut index = Index::new(3);
        let keys: [(Type, &[u8], &[u8]); 4] = [
            (Type::Counter, b"ab", b"c"),
            (Type::Counter, b"a", b"bc"),
            (Type::Gauge, b"ab", b"c"),
            (Type::Set, b"ab", b"c"),
        ];
        for (number, (kind, name, tags)) in keys.into_iter().enumerate() {
            assert_eq!(index.find(kind, name, tags), None);
            index.remember(kind, name, tags, Place::new(kind, number));
        }
        let found = keys.map(|(kind, name, tags)| index.find(kind, name, tags).map(Place::number));
        assert_eq!(found, [Some(0), Some(1), Some(2), None], "the fourth has no room");
    }
}
