//! store: single bits in and out of bytes, lowest bit first.

use std::ops::Range;

use super::Corrupt;
use super::bytes::Bytes;

/// How many bits a number needs: 0 for 0, 64 for the largest.
pub(super) fn width(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Appends bits to a byte vector.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u128,
    filled: u32,
}

impl<'a> BitWriter<'a> {
    /// Starts at a byte boundary.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, pending: 0, filled: 0 }
    }

    /// Appends the lowest `bits` (0 to 64) of `value`; the others must be zero.
    pub fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(width(value) <= bits, "{value} in {bits} bits");
        self.pending |= u128::from(value) << self.filled;
        self.filled += bits;
        while self.filled >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.filled -= 8;
        }
    }

    /// Fills the last byte with zeros.
    pub fn finish(self) {
        if self.filled > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

/// Appends `count` numbers of `bits` (0 to 64) each, `least` more than what is packed, from one byte
/// boundary to another; the bits up to that one must be zero.
pub(super) fn unpack(
    bytes: &mut Bytes<'_>,
    count: usize,
    bits: u32,
    least: i64,
    numbers: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    numbers.reserve(count);
    let (mut at, mut done) = (0, 0);
    // A number of so many bits lies within eight bytes wherever it begins; all but the last one, as
    // what follows that is looked at too. Several times as fast as byte by byte.
    if bits <= 56 {
        let mask = (1u64 << bits) - 1;
        for _ in 1..count {
            let Some(word) = bytes.0[at / 8..].first_chunk() else { break };
            let number = u64::from_le_bytes(*word) >> (at % 8) & mask;
            numbers.push(least.wrapping_add(number as i64));
            at += bits as usize;
            done += 1;
        }
    }
    bytes.0 = &bytes.0[at / 8..];
    let mut reader = BitReader::new(bytes);
    reader.get((at % 8) as u32)?;
    for _ in done..count {
        numbers.push(least.wrapping_add(reader.get(bits)? as i64));
    }
    reader.finish()
}

/// Of numbers packed as for [`unpack`] those at the places of `range`, `least` more than what is
/// packed; returns the sum of all before them, which are looked at once and kept nowhere.
pub(super) fn unpack_within(
    bytes: &[u8],
    bits: u32,
    least: i64,
    range: Range<usize>,
    numbers: &mut Vec<i64>,
) -> Result<i64, Corrupt> {
    let bits = bits as usize;
    if bytes.len() < (range.end * bits).div_ceil(8) {
        return Err(Corrupt::Short);
    }
    let mask = if bits == 64 { u64::MAX } else { (1u64 << bits) - 1 };
    // Where eight bytes hold all of a number, and are there.
    let whole = match bytes.len().checked_sub(8) {
        Some(last) if (1..=56).contains(&bits) => (last * 8 / bits + 1).min(range.end),
        _ => 0,
    };
    let quick = |i: usize| {
        let at = i * bits;
        let word = bytes.get(at / 8..).and_then(|b| b.first_chunk()).copied().unwrap_or_default();
        u64::from_le_bytes(word) >> (at % 8) & mask
    };
    let slow = |i: usize| {
        let at = i * bits;
        let end = bytes.len().min(at / 8 + 9);
        let word = bytes[at / 8..end].iter().rev().fold(0u128, |w, b| w << 8 | u128::from(*b));
        (word >> (at % 8)) as u64 & mask
    };
    let before = range.start.min(whole);
    // Four sums, so that none has to wait for the one before.
    let mut sums = [0u64; 4];
    let fours = before - before % 4;
    let mut i = 0;
    while i < fours {
        sums[0] = sums[0].wrapping_add(quick(i));
        sums[1] = sums[1].wrapping_add(quick(i + 1));
        sums[2] = sums[2].wrapping_add(quick(i + 2));
        sums[3] = sums[3].wrapping_add(quick(i + 3));
        i += 4;
    }
    let rest = (fours..before).map(quick).chain((before..range.start).map(slow));
    let sum = sums.into_iter().chain(rest).fold(0u64, u64::wrapping_add);
    let middle = range.end.min(whole).max(range.start);
    numbers.extend((range.start..middle).map(|i| least.wrapping_add(quick(i) as i64)));
    numbers.extend((middle..range.end).map(|i| least.wrapping_add(slow(i) as i64)));
    Ok((sum as i64).wrapping_add(least.wrapping_mul(range.start as i64)))
}

/// Takes bits off the front of [`Bytes`].
#[derive(Debug)]
pub(super) struct BitReader<'a, 'b> {
    bytes: &'b mut Bytes<'a>,
    pending: u128,
    filled: u32,
}

impl<'a, 'b> BitReader<'a, 'b> {
    /// Starts at a byte boundary.
    pub fn new(bytes: &'b mut Bytes<'a>) -> Self {
        Self { bytes, pending: 0, filled: 0 }
    }

    /// The next `bits` (0 to 64) as a number.
    pub fn get(&mut self, bits: u32) -> Result<u64, Corrupt> {
        while self.filled < bits {
            self.pending |= u128::from(self.bytes.byte()?) << self.filled;
            self.filled += 8;
        }
        let value = (self.pending & ((1u128 << bits) - 1)) as u64;
        self.pending >>= bits;
        self.filled -= bits;
        Ok(value)
    }

    /// Ends at a byte boundary; the bits up to it must be zero.
    pub fn finish(self) -> Result<(), Corrupt> {
        if self.pending == 0 { Ok(()) } else { Err(Corrupt::Invalid("padding bits are set")) }
    }
}
