//! store: the few values of a column that its encoding cannot express (NaN, an infinity, -0.0, one
//! odd number): runs of positions, each with one of few bit patterns.

use super::Corrupt;
use super::bytes::{Bytes, put_varint};

/// Appends the list; `positions` ascend and are not empty.
pub(super) fn write(values: &[f64], positions: &[usize], out: &mut Vec<u8>) {
    let mut patterns: Vec<u64> = Vec::new();
    // First position, length, pattern.
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for &at in positions {
        let bits = values[at].to_bits();
        let pattern = patterns.iter().position(|&p| p == bits).unwrap_or_else(|| {
            patterns.push(bits);
            patterns.len() - 1
        });
        match runs.last_mut() {
            Some((start, length, p)) if *start + *length == at && *p == pattern => *length += 1,
            _ => runs.push((at, 1, pattern)),
        }
    }
    put_varint(out, patterns.len() as u64 - 1);
    for bits in &patterns {
        out.extend_from_slice(&bits.to_le_bytes());
    }
    put_varint(out, runs.len() as u64 - 1);
    let mut end = 0;
    for (start, length, pattern) in runs {
        put_varint(out, (start - end) as u64);
        put_varint(out, length as u64 - 1);
        if patterns.len() > 1 {
            put_varint(out, pattern as u64);
        }
        end = start + length;
    }
}

/// Reads the list past its end; returns it for [`apply`]. Nothing is allocated.
pub(super) fn skip<'a>(bytes: &mut Bytes<'a>, count: usize) -> Result<Bytes<'a>, Corrupt> {
    let list = *bytes;
    walk(bytes, count, |_, _, _| ())?;
    Ok(list)
}

/// Puts the listed values of `count` into their places; `values` are those from `from` on.
pub(super) fn apply(
    mut list: Bytes<'_>,
    count: usize,
    from: usize,
    values: &mut [f64],
) -> Result<(), Corrupt> {
    let to = from + values.len();
    walk(&mut list, count, |start, length, bits| {
        let (start, end) = (start.clamp(from, to), (start + length).clamp(from, to));
        values[start - from..end - from].fill(f64::from_bits(bits));
    })
}

fn walk(
    bytes: &mut Bytes<'_>,
    count: usize,
    mut each: impl FnMut(usize, usize, u64),
) -> Result<(), Corrupt> {
    let outside = Corrupt::Invalid("an exception lies outside the column");
    let bounded = |number: u64| usize::try_from(number).ok().filter(|&n| n < count).ok_or(outside);
    let patterns = bounded(bytes.varint()?)? + 1;
    let table = bytes.take(patterns * 8)?;
    let runs = bounded(bytes.varint()?)? + 1;
    let mut end = 0;
    for _ in 0..runs {
        let start = end + bounded(bytes.varint()?)?;
        let length = bounded(bytes.varint()?)? + 1;
        let pattern = if patterns > 1 { bounded(bytes.varint()?)? } else { 0 };
        if start + length > count || pattern >= patterns {
            return Err(outside);
        }
        each(start, length, Bytes(&table[pattern * 8..]).word()?);
        end = start + length;
    }
    Ok(())
}
