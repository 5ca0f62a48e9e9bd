//! store: bytes in and out of a column: LEB128 varints, zigzag, fixed words; never past the end.

use super::Corrupt;

/// Maps signed numbers to unsigned ones, small magnitudes first: 0, -1, 1, -2, …
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The reverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends an unsigned LEB128 varint: seven bits a byte, lowest first, 1 to 10 bytes.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// What is left to read of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Corrupt> {
        let (&first, rest) = self.0.split_first().ok_or(Corrupt::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Corrupt::Short)?;
        self.0 = rest;
        Ok(head)
    }

    /// A varint of at most 10 bytes that fits 64 bits.
    pub fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Corrupt::Invalid("a varint exceeds 64 bits"));
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt::Invalid("a varint exceeds 64 bits"))
    }

    /// A zigzag varint.
    pub fn signed(&mut self) -> Result<i64, Corrupt> {
        self.varint().map(unzigzag)
    }

    /// Eight bytes, little-endian.
    pub fn word(&mut self) -> Result<u64, Corrupt> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)))
    }

    /// Refuses bytes that nobody asked for.
    pub fn end(&self) -> Result<(), Corrupt> {
        if self.0.is_empty() { Ok(()) } else { Err(Corrupt::Trailing(self.0.len())) }
    }
}
