//! query: how much memory questions may hold. It is counted while they work: a [`Budget`] for each
//! question, and a [`Pool`] that all questions of the process share. What is about to be allocated is
//! asked for first, and refused where it would be too much. No values in here, only bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The memory of one question, in bytes.
pub const ONE: u64 = 64 << 20;

/// The memory of all questions together, in bytes.
pub const ALL: u64 = 128 << 20;

/// The least room of a list, in bytes, so that short ones are not counted again and again.
const LEAST: usize = 256;

/// There is no room. The numbers are limits in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    /// The question itself needs too much.
    #[error(
        "this question needs more than {} MiB of memory, the limit for one question; ask for fewer \
         series, a shorter time or a longer step", .0 >> 20
    )]
    One(u64),
    /// All questions together hold too much at the moment.
    #[error(
        "the questions that are being answered hold all the memory that questions may take \
         ({} MiB); ask again in a moment", .0 >> 20
    )]
    All(u64),
}

/// The memory of all questions.
#[derive(Debug)]
pub struct Pool {
    most: u64,
    held: AtomicU64,
    peak: AtomicU64,
}

impl Pool {
    /// A pool of this many bytes.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { most, held: AtomicU64::new(0), peak: AtomicU64::new(0) })
    }

    /// The bytes in use.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// The most that was ever held, in bytes.
    pub fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }

    fn take(&self, bytes: u64, most: u64) -> Result<(), Spent> {
        let held = self.held.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if held > most {
            self.held.fetch_sub(bytes, Relaxed);
            return Err(Spent::All(self.most));
        }
        self.peak.fetch_max(held, Relaxed);
        Ok(())
    }
}

/// The memory of one question. All threads that work on it share it.
#[derive(Debug)]
pub struct Budget {
    most: u64,
    held: AtomicU64,
    peak: AtomicU64,
    /// Whether an allocation was refused, and whether by the pool.
    refused: AtomicBool,
    by_pool: AtomicBool,
    /// And how much of the pool may be in use for this question to take more of it.
    pool: Option<(Arc<Pool>, u64)>,
}

impl Budget {
    /// A budget of this many bytes, without a shared pool.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self::of(most, None))
    }

    /// A budget of this many bytes from a pool, as long as at most `share` bytes of the pool are in
    /// use; the rest of it is for others.
    pub fn within(pool: &Arc<Pool>, most: u64, share: u64) -> Arc<Self> {
        Arc::new(Self::of(most, Some((Arc::clone(pool), share.min(pool.most)))))
    }

    /// A budget without limit, for a person's own program.
    pub fn unbounded() -> Arc<Self> {
        Self::new(u64::MAX)
    }

    fn of(most: u64, pool: Option<(Arc<Pool>, u64)>) -> Self {
        let (held, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        let (refused, by_pool) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { most, held, peak, refused, by_pool, pool }
    }

    /// The bytes in use.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// The most that was ever held, in bytes.
    pub fn peak(&self) -> u64 {
        self.peak.load(Relaxed)
    }

    /// The reason of the first refusal, for callers that get an error of another kind.
    pub fn refused(&self) -> Option<Spent> {
        let most = self.pool.as_ref().map_or(0, |(pool, _)| pool.most);
        let why = if self.by_pool.load(Relaxed) { Spent::All(most) } else { Spent::One(self.most) };
        self.refused.load(Relaxed).then_some(why)
    }

    /// An account without bytes yet.
    pub fn hold(self: &Arc<Self>) -> Held {
        Held { budget: Arc::clone(self), bytes: 0 }
    }

    fn try_take(&self, bytes: u64) -> Result<(), Spent> {
        let held = self.held.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let fits = if held > self.most {
            Err(Spent::One(self.most))
        } else {
            self.pool.as_ref().map_or(Ok(()), |(pool, share)| pool.take(bytes, *share))
        };
        if fits.is_err() {
            self.held.fetch_sub(bytes, Relaxed);
        } else {
            self.peak.fetch_max(held, Relaxed);
        }
        fits
    }

    fn refuse(&self, why: Spent) -> Spent {
        if !self.refused.swap(true, Relaxed) {
            self.by_pool.store(matches!(why, Spent::All(_)), Relaxed);
        }
        why
    }

    fn give(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Relaxed);
        if let Some((pool, _)) = &self.pool {
            pool.held.fetch_sub(bytes, Relaxed);
        }
    }
}

/// Bytes of a budget; they go back when this is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Held {
    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An empty account of the same budget.
    pub fn another(&self) -> Self {
        self.budget.hold()
    }

    /// Takes this many more bytes. Fails if the budget or the pool has not as many left.
    pub fn take(&mut self, bytes: usize) -> Result<(), Spent> {
        let bytes = bytes as u64;
        self.budget.try_take(bytes).map_err(|why| self.budget.refuse(why))?;
        self.bytes += bytes;
        Ok(())
    }

    /// Takes room for this many more items of a type.
    pub fn take_for<T>(&mut self, count: usize) -> Result<(), Spent> {
        self.take(count.saturating_mul(size_of::<T>()))
    }

    /// Changes the account to this many bytes. Fails as [`Held::take`] does.
    pub fn settle(&mut self, bytes: usize) -> Result<(), Spent> {
        match (bytes as u64).checked_sub(self.bytes) {
            Some(more) => self.take(more as usize),
            None => {
                self.budget.give(self.bytes - bytes as u64);
                self.bytes = bytes as u64;
                Ok(())
            }
        }
    }

    /// Room in a list for some more, twice as much as before where there is as much. Fails as
    /// [`Held::take`] does, with the list as it was.
    pub fn reserve<T>(&mut self, list: &mut Vec<T>, more: usize) -> Result<(), Spent> {
        let needed = list.len().saturating_add(more);
        if needed > list.capacity() {
            let room = self.room(list.capacity(), needed, size_of::<T>())?;
            list.reserve_exact(room - list.len());
        }
        Ok(())
    }

    /// Room in a text for some bytes more; see [`Held::reserve`].
    pub fn reserve_text(&mut self, text: &mut String, more: usize) -> Result<(), Spent> {
        let needed = text.len().saturating_add(more);
        if needed > text.capacity() {
            let room = self.room(text.capacity(), needed, 1)?;
            text.reserve_exact(room - text.len());
        }
        Ok(())
    }

    /// The room of a growing list: double, or exactly what it needs.
    fn room(&mut self, now: usize, needed: usize, size: usize) -> Result<usize, Spent> {
        let size = size.max(1);
        let bytes = |room: usize| (room - now).saturating_mul(size) as u64;
        let doubled = needed.max(now.saturating_mul(2)).max(LEAST / size);
        if self.budget.try_take(bytes(doubled)).is_ok() {
            self.bytes += bytes(doubled);
            return Ok(doubled);
        }
        self.take(bytes(needed) as usize)?;
        Ok(needed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_and_given_back() {
        let budget = Budget::new(1_000);
        let mut held = budget.hold();
        held.take(600).unwrap();
        assert_eq!(held.another().take(500), Err(Spent::One(1_000)));
        assert_eq!((budget.held(), budget.refused()), (600, Some(Spent::One(1_000))));
        held.settle(900).unwrap();
        held.settle(100).unwrap();
        assert_eq!((budget.held(), budget.peak()), (100, 900));
        drop(held);
        assert_eq!((budget.held(), budget.peak()), (0, 900));
    }

    #[test]
    fn a_list_grows_within_it_and_not_beyond() {
        let budget = Budget::new(8 * 1_000);
        let (mut held, mut list) = (budget.hold(), Vec::new());
        let mut pushed = 0_u64;
        while held.reserve(&mut list, 1).is_ok() {
            list.push(pushed);
            pushed += 1;
        }
        // If doubling is too much, only the needed room is taken.
        assert_eq!((list.len(), list.capacity(), budget.held()), (1_000, 1_000, 8_000));
        assert_eq!(budget.hold().take_for::<u64>(usize::MAX), Err(Spent::One(8_000)));
        let (mut text, mut held) = (String::new(), Budget::new(10).hold());
        assert!(held.reserve_text(&mut text, 11).is_err() && text.capacity() == 0);
        assert!(held.reserve_text(&mut text, 9).is_ok() && text.capacity() >= 9);
    }

    #[test]
    fn what_all_hold_together_is_bounded_and_some_of_it_is_kept_for_others() {
        let pool = Pool::new(1_000);
        let (heavy, page) = (Budget::within(&pool, 900, 800), Budget::within(&pool, 900, 1_000));
        let (mut one, mut other, mut third) = (heavy.hold(), heavy.hold(), page.hold());
        one.take(700).unwrap();
        assert_eq!(other.take(150), Err(Spent::All(1_000)), "the rest is for the page");
        third.take(300).unwrap();
        assert_eq!(third.take(1), Err(Spent::All(1_000)));
        assert_eq!((heavy.refused(), pool.held()), (Some(Spent::All(1_000)), 1_000));
        drop((one, third));
        assert!(other.take(150).is_ok());
        assert_eq!((pool.held(), pool.peak()), (150, 1_000));
    }
}
