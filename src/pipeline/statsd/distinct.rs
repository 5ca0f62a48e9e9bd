//! pipeline: how many different members a set had: exactly up to [`EXACT`], from then on within
//! about one per cent (a HyperLogLog of 16 KiB), however many come.
//!
//! Bound: [`MEMBERS`] and [`ESTIMATES`] in all sets together, between two flushes. Policy: beyond them a
//! set of more than [`LEAST`] members is estimated in 1 KiB, within about three per cent.

use hashbrown::HashTable;

/// The number of members of a set that are counted exactly; beyond that the number is estimated.
pub const EXACT: usize = 2_048;
/// The number of members of all sets together that are counted exactly: 5 MB.
const MEMBERS: usize = 1 << 18;
/// The number of members that any set may count exactly, whatever the others have.
const LEAST: usize = 16;
/// The number of sets with a good estimate: 4 MiB.
const ESTIMATES: usize = 256;

/// Registers of the estimate: the standard error is 1.04 / sqrt of it, 0.8 %.
const REGISTERS: usize = 1 << 14;
/// The registers of a set beyond that number: an error of 3.3 %.
const FEW_REGISTERS: usize = 1 << 10;

/// The room that all sets together may still take until the next flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    members: usize,
    estimates: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { members: MEMBERS, estimates: ESTIMATES }
    }
}

/// Members by their hashes: two of 2,048 look alike in one case of 10^13.
#[derive(Debug, Clone)]
pub enum Distinct {
    /// The hash of each member, once.
    Exact(HashTable<u64>),
    /// The longest run of zero bits in each register; their number is a power of two.
    Estimate(Box<[u8]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exact(HashTable::new())
    }
}

impl Distinct {
    /// Takes a member by its hash, all bits of which must be good.
    pub fn insert(&mut self, hash: u64, room: &mut Room) {
        match self {
            Self::Exact(members) => {
                if members.find(hash, |h| *h == hash).is_some() {
                    return;
                }
                let known = members.len();
                if known < LEAST || known < EXACT && room.members > 0 {
                    room.members = room.members.saturating_sub(usize::from(known >= LEAST));
                    members.insert_unique(hash, hash, |h| *h);
                } else {
                    self.estimate(room);
                    self.insert(hash, room);
                }
            }
            Self::Estimate(registers) => note(registers, hash),
        }
    }

    #[cold]
    fn estimate(&mut self, room: &mut Room) {
        let Self::Exact(members) = self else { return };
        // A set that may be small is not worth the large one.
        let well = members.len() >= EXACT && room.estimates > 0;
        let size = if well { REGISTERS } else { FEW_REGISTERS };
        let mut registers = vec![0; size].into_boxed_slice();
        members.iter().for_each(|h| note(&mut registers, *h));
        let estimated = Self::Estimate(registers);
        room.estimates -= usize::from(well);
        room.members += members.len().saturating_sub(LEAST);
        *self = estimated;
    }

    /// Empties the set; returns the number of members, and the bytes that are free now.
    pub fn close(&mut self, room: &mut Room) -> (f64, usize) {
        let count = self.count();
        if count == 0.0 {
            return (0.0, 0);
        }
        let bytes = match std::mem::take(self) {
            Self::Exact(members) => {
                room.members += members.len().saturating_sub(LEAST);
                members.allocation_size()
            }
            Self::Estimate(registers) => {
                room.estimates += usize::from(registers.len() == REGISTERS);
                registers.len()
            }
        };
        (count, bytes)
    }

    /// The number of members.
    pub fn count(&self) -> f64 {
        let registers = match self {
            Self::Exact(members) => return members.len() as f64,
            Self::Estimate(registers) => registers,
        };
        let m = registers.len() as f64;
        let alpha = 0.7213 / (1.0 + 1.079 / m);
        let sum: f64 = registers.iter().map(|r| (-f64::from(*r)).exp2()).sum();
        let raw = alpha * m * m / sum;
        let empty = registers.iter().filter(|r| **r == 0).count();
        // While many registers are empty, counting those is nearer.
        let estimate = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
        estimate.round()
    }
}

fn note(registers: &mut [u8], hash: u64) {
    let bits = registers.len().trailing_zeros();
    let at = hash as usize & (registers.len() - 1);
    let run = (hash >> bits).trailing_zeros().min(50) as u8 + 1;
    if let Some(register) = registers.get_mut(at) {
        *register = (*register).max(run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    #[test]
    fn exact_then_near() {
        let hasher = foldhash::quality::RandomState::default();
        let (mut set, mut room) = (Distinct::default(), Room::default());
        let mut members = 0u64;
        for (upto, allowed) in
            [(1, 0.0), (2_048, 0.0), (3_000, 0.04), (40_000, 0.04), (500_000, 0.04)]
        {
            while members < upto {
                set.insert(hasher.hash_one(members), &mut room);
                set.insert(hasher.hash_one(members / 2), &mut room);
                members += 1;
            }
            let off = set.count() / upto as f64 - 1.0;
            assert!(off.abs() <= allowed, "{upto}: {}", set.count());
        }
    }

    #[test]
    fn many_large_sets_take_no_more_than_their_room() {
        let hasher = foldhash::quality::RandomState::default();
        let mut room = Room::default();
        let mut sets = vec![Distinct::default(); 700];
        for (i, set) in sets.iter_mut().enumerate() {
            let members = if i % 2 == 0 { EXACT as u64 - 1 } else { EXACT as u64 * 2 };
            (0..members).for_each(|m| set.insert(hasher.hash_one((i, m)), &mut room));
            let off = set.count() / members as f64 - 1.0;
            assert!(off.abs() < 0.2, "{i}: {} of {members}", set.count());
        }
        let mut few = Distinct::default();
        (0..LEAST).for_each(|m| few.insert(hasher.hash_one(m), &mut room));
        assert!(matches!(&few, Distinct::Exact(m) if m.len() == LEAST), "there is always so much");
        let taken: usize = sets.iter_mut().map(|set| set.close(&mut room).1).sum();
        assert!(taken < 16 << 20, "{taken} bytes");
        few.close(&mut room);
        assert_eq!(room, Room::default(), "all of it is free again");
    }
}
