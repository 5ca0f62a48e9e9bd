//! store: a cache of packed columns, filled on the second request. A column of a year's block lies behind
//! thirty pages of others, and each page is a call to the kernel. Entries are compared with the block's
//! directory, which is read each time and holds the checksum of every column, because numbers of blocks
//! are used again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, BuildHasherDefault};
use std::sync::{Mutex, MutexGuard};

use crate::store::packed::block::Taken;

/// At most this many bytes are kept; then the cache begins again empty.
const MOST: usize = 12 << 20;
/// What a column takes beside its bytes.
const BESIDE: usize = 96;
/// What was asked for once is remembered as one of so many bits, until half of them are taken.
const BITS: usize = 1 << 16;

/// A column of a block: its series and its part.
pub(super) type Key = (i64, u8);

/// See the module. Shared by the readers of one file; empty it takes nothing.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    once: Vec<u64>,
    taken: usize,
    blocks: BTreeMap<i64, Block>,
    bytes: usize,
}

#[derive(Debug)]
struct Block {
    directory: Box<[u8]>,
    /// Nothing: the block has no such column.
    columns: BTreeMap<Key, Option<Taken>>,
}

impl Kept {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.inner() = Inner::default();
    }

    /// How many bytes of columns it holds.
    pub fn bytes(&self) -> usize {
        self.inner().bytes
    }

    /// How long the directory is of a block that some columns are kept of.
    pub(super) fn directory(&self, block: i64) -> Option<usize> {
        self.inner().blocks.get(&block).map(|block| block.directory.len())
    }

    /// The wanted columns of a block that begins like this, if all of them are kept, by their places
    /// among those wanted.
    pub(super) fn find(
        &self,
        block: i64,
        begins: &[u8],
        wanted: &[Key],
    ) -> Option<Vec<Option<Taken>>> {
        let inner = self.inner();
        let known = inner.blocks.get(&block)?;
        if !begins.starts_with(&known.directory) {
            return None;
        }
        wanted.iter().map(|key| known.columns.get(key).cloned()).collect()
    }

    /// Which of the wanted columns of a block were asked for before; from now on all were.
    fn again(&self, block: i64, wanted: &[Key]) -> Vec<bool> {
        let mut inner = self.inner();
        if inner.taken > BITS / 2 {
            inner.once.clear();
        }
        if inner.once.is_empty() {
            inner.once.resize(BITS / 64, 0);
            inner.taken = 0;
        }
        let hasher = BuildHasherDefault::<std::hash::DefaultHasher>::default();
        let mut ask = |key: &Key| {
            let bit = hasher.hash_one((block, key)) as usize % BITS;
            let word = &mut inner.once[bit / 64];
            let before = *word >> (bit % 64) & 1 == 1;
            *word |= 1 << (bit % 64);
            inner.taken += usize::from(!before);
            before
        };
        wanted.iter().map(&mut ask).collect()
    }

    /// Keeps columns of a block with this directory; nothing: it has no such column.
    fn add(&self, block: i64, directory: &[u8], columns: Vec<(Key, Option<Taken>)>) {
        let size = |taken: &Option<Taken>| taken.as_ref().map_or(0, Taken::size) + BESIDE;
        let more = columns.iter().map(|(_, taken)| size(taken)).sum::<usize>() + directory.len();
        let mut inner = self.inner();
        if inner.bytes + more > MOST {
            inner.blocks = BTreeMap::new();
            inner.bytes = 0;
        }
        if more > MOST {
            return;
        }
        inner.bytes += more;
        let known = inner.blocks.get_mut(&block).filter(|known| *known.directory == *directory);
        match known {
            Some(known) => known.columns.extend(columns),
            None => {
                let columns = columns.into_iter().collect();
                inner.blocks.insert(block, Block { directory: directory.into(), columns });
            }
        }
    }
}

/// Columns of a block that are to be kept while they are read.
pub(super) struct Keep<'k> {
    kept: &'k Kept,
    block: i64,
    /// By their places among those wanted: not to be kept; not found so far; found.
    columns: Vec<Option<Option<Taken>>>,
}

impl<'k> Keep<'k> {
    pub(super) fn new(kept: &'k Kept, block: i64, wanted: &[Key]) -> Self {
        let again = kept.again(block, wanted);
        Self {
            kept,
            block,
            columns: again.into_iter().map(|again| again.then_some(None)).collect(),
        }
    }

    /// A wanted column, by its place.
    pub(super) fn found(&mut self, at: usize, taken: &Taken) {
        self.columns[at] = match self.columns[at] {
            Some(None) => Some(Some(taken.clone())),
            // Twice in a block: something is wrong with it.
            _ => None,
        };
    }

    pub(super) fn damaged(&mut self, at: usize) {
        self.columns[at] = None;
    }

    /// The block begins with this directory, and was read without an error of its own.
    pub(super) fn keep(self, directory: &[u8], wanted: &[Key]) {
        let columns = wanted.iter().zip(self.columns);
        let columns: Vec<_> = columns.filter_map(|(key, taken)| Some((*key, taken?))).collect();
        if !columns.is_empty() {
            self.kept.add(self.block, directory, columns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::packed::block::{BlockError, Column, Directory, View, encode};
    use crate::store::packed::chunk::Scratch;

    /// A block of a series with these values, its directory, and the column as it is taken out of it.
    fn block(series: i64, values: &[f64]) -> (Vec<u8>, Taken) {
        let ts = (0..values.len() as i64).collect();
        let column = Column { series, part: 0, ts, values: values.to_vec() };
        let bytes = encode(&[View::of(&column, 0..values.len())], &mut Scratch::default());
        let directory = Directory::read(&bytes).expect("whole").expect("complete");
        let taken = directory
            .take(&directory.entries()[0], |at, length, into| {
                into.extend_from_slice(&bytes[at..at + length]);
                Ok::<(), BlockError>(())
            })
            .expect("takes");
        (bytes[..directory.size()].to_vec(), taken)
    }

    fn read(kept: &Kept, number: i64, wanted: &[Key], (directory, taken): &(Vec<u8>, Taken)) {
        let mut keep = Keep::new(kept, number, wanted);
        keep.found(0, taken);
        keep.keep(directory, wanted);
    }

    #[test]
    fn what_is_asked_for_twice_is_kept_and_what_once_is_not() {
        let (kept, first) = (Kept::default(), block(3, &[1.0, 2.5, 7.0]));
        let wanted = [(3, 0), (4, 0)];
        read(&kept, 9, &wanted, &first);
        assert_eq!((kept.bytes(), kept.directory(9)), (0, None));
        read(&kept, 9, &wanted, &first);
        assert_eq!(kept.directory(9), Some(first.0.len()));
        let found = kept.find(9, &first.0, &wanted).expect("all of them");
        assert_eq!(found[0].as_ref().map(Taken::count), Some(3));
        assert!(found[1].is_none(), "the block has none of that series");
        assert!(kept.find(9, &first.0, &[(3, 0), (5, 0)]).is_none(), "nobody knows");
        kept.clear();
        assert_eq!((kept.bytes(), kept.directory(9)), (0, None));
    }

    #[test]
    fn another_block_of_the_same_number_is_not_taken_for_it() {
        let (kept, old, new) = (Kept::default(), block(3, &[1.0, 2.0]), block(3, &[1.0, 3.0]));
        let wanted = [(3, 0)];
        read(&kept, 9, &wanted, &old);
        read(&kept, 9, &wanted, &old);
        assert!(kept.find(9, &new.0, &wanted).is_none());
        read(&kept, 9, &wanted, &new);
        assert!(kept.find(9, &old.0, &wanted).is_none());
        assert!(kept.find(9, &new.0, &wanted).is_some());
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        let noise: Vec<f64> = (0..8_000).map(|i| f64::from(i).sin()).collect();
        let (kept, one) = (Kept::default(), block(3, &noise));
        let size = one.1.size();
        for number in 0..(3 * MOST / size) as i64 {
            read(&kept, number, &[(3, 0)], &one);
            read(&kept, number, &[(3, 0)], &one);
            assert!(kept.bytes() <= MOST && kept.bytes() >= size, "{}", kept.bytes());
        }
    }
}
