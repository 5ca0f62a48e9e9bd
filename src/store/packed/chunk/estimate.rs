//! store: the estimated size of a list of integers, from a histogram; a small part of pco's work.

use super::bits::width;
use super::bytes::zigzag;

/// Numbers below this have a class of their own; above it a class is half an octave.
const EXACT: u64 = 32;
const EXACT_WIDTH: u32 = 5;
const CLASSES: usize = EXACT as usize + 2 * (64 - EXACT_WIDTH as usize);
/// What a class costs as one of pco's bins, in bits.
const TABLE_BITS: f32 = 18.0;
/// Classes of equal width, for numbers that lie anywhere but around zero.
const LINEAR: usize = 128;
/// How many of them also are counted as one.
const WIDE: usize = 16;

/// Bits that pco would take for `numbers` if they lie around zero.
pub(super) fn around_zero(numbers: &[i64]) -> f32 {
    let mut counts = [0u32; CLASSES];
    let mut raw = 0u64;
    for &number in numbers {
        let z = zigzag(number);
        let class = if z < EXACT {
            z as usize
        } else {
            let below = width(z) - 2;
            raw += u64::from(below);
            (EXACT as u32 + 2 * (width(z) - EXACT_WIDTH - 1)) as usize + (z >> below & 1) as usize
        };
        counts[class] += 1;
    }
    raw as f32 + entropy(&counts, numbers.len())
}

/// The estimated size of numbers without an order.
pub(super) fn anywhere(numbers: &[i64]) -> f32 {
    let near = around_zero(numbers);
    let Some((&first, rest)) = numbers.split_first() else { return 0.0 };
    let (least, most) = rest.iter().fold((first, first), |(l, m), &n| (l.min(n), m.max(n)));
    let range = most.wrapping_sub(least) as u64;
    let shift = width(range).saturating_sub(LINEAR.trailing_zeros());
    let mut counts = [0u32; LINEAR];
    for &number in numbers {
        counts[(number.wrapping_sub(least) as u64 >> shift) as usize & (LINEAR - 1)] += 1;
    }
    let linear = |shift: u32, counts: &[u32]| {
        shift as f32 * numbers.len() as f32 + entropy(counts, numbers.len())
    };
    // Where they are spread evenly, wide classes do, as pco finds out too.
    let mut wide = [0u32; LINEAR / WIDE];
    for (wide, counts) in wide.iter_mut().zip(counts.chunks(WIDE)) {
        *wide = counts.iter().sum();
    }
    near.min(linear(shift, &counts)).min(linear(shift + WIDE.trailing_zeros(), &wide))
}

fn entropy(counts: &[u32], total: usize) -> f32 {
    let whole = (total as f32).log2();
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let count = count as f32;
            // A bin pays only where it saves more than its place in the table costs.
            (count * (whole - count.log2())) + TABLE_BITS.min(count * 2.0)
        })
        .sum()
}
