//! store: a column of timestamps as bytes and back. On the grid of a beat they cost nothing.

use super::bytes::{Bytes, put_varint, zigzag};
use super::ratio::gcd;
use super::{Corrupt, MAX_COUNT, Scratch, plan};

/// One step from first to last.
const REGULAR: u8 = 0;
/// A regular grid in which some steps are missing.
const GAPS: u8 = 1;
/// Anything else.
const LIST: u8 = 2;

/// With so few gaps nothing is smaller.
const FEW_GAPS: usize = 4;

/// Timestamps in milliseconds since 1970-01-01 00:00 UTC, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timestamps {
    /// `start`, `start + step`, … , of which there are `count`.
    Regular {
        /// The first.
        start: i64,
        /// Milliseconds from one to the next; 0 when there is only one.
        step: i64,
        /// How many there are.
        count: usize,
    },
    /// One by one.
    List(Vec<i64>),
}

impl Timestamps {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Timestamps::Regular { count, .. } => *count,
            Timestamps::List(list) => list.len(),
        }
    }

    /// Whether there is none, which [`decode_timestamps`] never returns.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at this place; `None` past the end.
    pub fn get(&self, index: usize) -> Option<i64> {
        match self {
            Timestamps::Regular { start, step, count } => {
                (index < *count).then(|| start + step * index as i64)
            }
            Timestamps::List(list) => list.get(index).copied(),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Appends those of a range of places; what of it lies past the end is left out.
    pub fn extend(&self, range: std::ops::Range<usize>, out: &mut Vec<i64>) {
        let (from, to) = (range.start.min(self.len()), range.end.min(self.len()));
        match self {
            Timestamps::Regular { start, step, .. } => {
                out.extend((from..to).map(|i| start + step * i as i64));
            }
            Timestamps::List(list) => out.extend_from_slice(list.get(from..to).unwrap_or(&[])),
        }
    }

    /// The place of the first that is not before `ts`; their number if there is none.
    pub fn partition(&self, ts: i64) -> usize {
        match self {
            Timestamps::Regular { start, .. } if ts <= *start => 0,
            // In 128 bits, for the distance of two i64 may exceed 64.
            Timestamps::Regular { start, step, count } if *step > 0 => {
                let distance = i128::from(ts) - i128::from(*start);
                let steps = (distance + i128::from(*step) - 1) / i128::from(*step);
                steps.min(*count as i128) as usize
            }
            Timestamps::Regular { count, .. } => *count,
            Timestamps::List(list) => list.partition_point(|&t| t < ts),
        }
    }
}

/// Appends the column. `timestamps` are 1 to [`MAX_COUNT`] and ascend; two may be equal. Their
/// number is not written.
pub fn encode_timestamps(timestamps: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    debug_assert!((1..=MAX_COUNT).contains(&timestamps.len()));
    debug_assert!(timestamps.is_sorted());
    let start = timestamps[0];
    let numbers = &mut scratch.numbers;
    numbers.clear();
    // Apart by more than an i64 can say, they wrap around, and back when they are read.
    numbers.extend(timestamps.iter().map(|t| t.wrapping_sub(start)));
    let step = numbers.windows(2).fold(0, |step, pair| {
        if step == 1 { 1 } else { gcd(pair[1].wrapping_sub(pair[0]) as u64, step) }
    });
    // What wraps around cannot be divided.
    let wide = timestamps[timestamps.len() - 1].checked_sub(start).is_none();
    let step = if wide { 1 } else { step as i64 };

    let gaps = numbers.windows(2).filter(|pair| pair[1].wrapping_sub(pair[0]) != step).count();
    if gaps == 0 {
        out.push(REGULAR);
        put_varint(out, zigzag(start));
        put_varint(out, step as u64);
        return;
    }
    for n in numbers.iter_mut() {
        *n /= step;
    }
    let before = out.len();
    if gaps <= numbers.len() / 4 && numbers.is_sorted() {
        out.push(GAPS);
        put_varint(out, zigzag(start));
        put_varint(out, step as u64);
        write_gaps(numbers, gaps, out);
        if gaps <= FEW_GAPS {
            return;
        }
    }
    let list = &mut scratch.trial;
    list.clear();
    list.push(LIST);
    put_varint(list, zigzag(start));
    put_varint(list, step as u64);
    plan::write(numbers, &mut scratch.plan, list);
    if out.len() == before || list.len() < out.len() - before {
        out.truncate(before);
        out.extend_from_slice(list);
    }
}

/// A gap is told by how many steps after the last one it comes, and how many are left out.
fn write_gaps(numbers: &[i64], gaps: usize, out: &mut Vec<u8>) {
    put_varint(out, gaps as u64 - 1);
    let mut last = 0;
    for (i, pair) in numbers.windows(2).enumerate() {
        if pair[1] - pair[0] != 1 {
            put_varint(out, (i - last) as u64);
            // Less one the other way round: two equal timestamps are a step too few.
            put_varint(out, zigzag(pair[1] - pair[0] - 1));
            last = i;
        }
    }
}

/// Reads the `count` timestamps of a column, which takes up all of `bytes`.
///
/// # Errors
/// When the bytes are no such column.
pub fn decode_timestamps(
    bytes: &[u8],
    count: usize,
    scratch: &mut Scratch,
) -> Result<Timestamps, Corrupt> {
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(Corrupt::Count(count));
    }
    let mut bytes = Bytes(bytes);
    let kind = bytes.byte()?;
    let start = bytes.signed()?;
    let step = i64::try_from(bytes.varint()?).map_err(|_| OVERFLOW)?;
    let timestamps = match kind {
        REGULAR => {
            step.checked_mul(count as i64 - 1)
                .and_then(|s| s.checked_add(start))
                .ok_or(OVERFLOW)?;
            Timestamps::Regular { start, step, count }
        }
        GAPS => Timestamps::List(read_gaps(&mut bytes, start, step, count)?),
        LIST if count > 1 => {
            plan::read(count, &mut bytes, &mut scratch.plan, &mut scratch.numbers)?;
            let list: Vec<i64> =
                scratch.numbers.iter().map(|n| n.wrapping_mul(step).wrapping_add(start)).collect();
            if !list.is_sorted() {
                return Err(Corrupt::Invalid("the timestamps do not ascend"));
            }
            Timestamps::List(list)
        }
        other => return Err(Corrupt::UnknownEncoding(other)),
    };
    bytes.end()?;
    Ok(timestamps)
}

const OVERFLOW: Corrupt = Corrupt::Invalid("a timestamp exceeds 64 bits");

fn read_gaps(
    bytes: &mut Bytes<'_>,
    start: i64,
    step: i64,
    count: usize,
) -> Result<Vec<i64>, Corrupt> {
    let gaps = bytes.varint()?;
    if gaps >= count as u64 {
        return Err(Corrupt::Invalid("there are more gaps than steps"));
    }
    let mut list = Vec::with_capacity(count);
    list.push(start);
    let mut last = start;
    for gap in 0..=gaps {
        let at = bytes.varint()?;
        let more = bytes.signed()?;
        // The place of the first gap counts from the first step, that of others from the last gap.
        let regular = if gap == 0 { at } else { at.saturating_sub(1) };
        if regular >= (count - list.len()) as u64 {
            return Err(Corrupt::Invalid("a gap lies past the end"));
        }
        fill(&mut list, &mut last, step, regular as usize)?;
        let jump = more.checked_add(1).and_then(|n| n.checked_mul(step)).ok_or(OVERFLOW)?;
        if jump < 0 {
            return Err(Corrupt::Invalid("the timestamps do not ascend"));
        }
        last = last.checked_add(jump).ok_or(OVERFLOW)?;
        list.push(last);
    }
    let rest = count - list.len();
    fill(&mut list, &mut last, step, rest)?;
    Ok(list)
}

fn fill(list: &mut Vec<i64>, last: &mut i64, step: i64, count: usize) -> Result<(), Corrupt> {
    step.checked_mul(count as i64).and_then(|s| s.checked_add(*last)).ok_or(OVERFLOW)?;
    list.extend((1..=count as i64).map(|i| *last + i * step));
    *last += step * count as i64;
    Ok(())
}
