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
    let total = count * bits as usize;
    unpack_within(bytes.0, bits, least, 0..count, numbers)?;
    let packed = bytes.take(total.div_ceil(8))?;
    match packed.last() {
        Some(last) if !total.is_multiple_of(8) && last >> (total % 8) > 0 => {
            Err(Corrupt::Invalid("padding bits are set"))
        }
        _ => Ok(()),
    }
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
    // A number of so many bits lies within eight bytes wherever it begins: several times as fast as
    // byte by byte, where they are there.
    let whole = match bytes.len().checked_sub(8) {
        Some(last) if (1..=56).contains(&bits) => (last * 8 / bits + 1).min(range.end),
        _ => 0,
    };
    let slow = |i: usize| {
        let at = i * bits;
        let end = bytes.len().min(at / 8 + 9);
        let word = bytes[at / 8..end].iter().rev().fold(0u128, |w, b| w << 8 | u128::from(*b));
        (word >> (at % 8)) as u64 & mask
    };
    let before = range.start.min(whole);
    let sum = (before..range.start).map(slow).fold(sum_of(bytes, bits, before), u64::wrapping_add);
    let middle = range.end.min(whole).max(range.start);
    // As many as a word holds are taken out of it.
    let at_once = (56 / bits.max(1)).max(1);
    let from = numbers.len();
    numbers.resize(from + middle - range.start, 0);
    let mut at = range.start * bits;
    for some in numbers[from..].chunks_mut(at_once) {
        let mut word = word(bytes, at);
        for number in some {
            *number = least.wrapping_add((word & mask) as i64);
            word >>= bits;
        }
        at += at_once * bits;
    }
    numbers.extend((middle..range.end).map(|i| least.wrapping_add(slow(i) as i64)));
    Ok((sum as i64).wrapping_add(least.wrapping_mul(range.start as i64)))
}

/// 57 bits and more from a place on; zeros where there are no eight bytes.
#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    let word = bytes.get(at / 8..at / 8 + 8).and_then(|b| b.first_chunk());
    u64::from_le_bytes(word.copied().unwrap_or_default()) >> (at % 8)
}

/// The sum of the first `count` numbers of `bits` (1 to 56) each; eight bytes from the beginning of
/// each are there. As many as fit into a word are added at once: every other one, so that there is
/// room for what the sums have more, and the others by themselves.
fn sum_of(bytes: &[u8], bits: usize, count: usize) -> u64 {
    if count == 0 {
        return 0;
    }
    let mask = (1u64 << bits) - 1;
    let at_once = 56 / bits;
    let lanes = |n: usize| (0..n).fold(0, |m, lane| m | mask << (2 * lane * bits));
    let (even, odd) = (lanes(at_once.div_ceil(2)), lanes(at_once / 2));
    let wide = if bits < 32 { (1u64 << (2 * bits)) - 1 } else { u64::MAX };
    let add_up = |sums: u64| {
        (0..at_once.div_ceil(2))
            .fold(0u64, |s, lane| s.wrapping_add(sums >> (2 * lane * bits) & wide))
    };
    // So often no sum outgrows its room, not even the uppermost, which has eight bits more.
    let most = 1usize << bits.min(8);
    let (mut sum, mut at, mut words) = (0u64, 0, count / at_once);
    while words > 0 {
        let now = words.min(most);
        let (mut a, mut b) = (0u64, 0u64);
        for _ in 0..now {
            let word = word(bytes, at);
            a = a.wrapping_add(word & even);
            b = b.wrapping_add(word >> bits & odd);
            at += at_once * bits;
        }
        sum = sum.wrapping_add(add_up(a)).wrapping_add(add_up(b));
        words -= now;
    }
    (count - count % at_once..count).fold(sum, |s, i| s.wrapping_add(word(bytes, i * bits) & mask))
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
