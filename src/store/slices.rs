//! store: a block in slices of time. Where a block has many bytes, it is several blocks, one behind
//! the other, with a table in front: a reader of a moment takes the slice that it lies in and leaves
//! the others. docs/format/block.md tells every byte. No SQLite here.

use std::ops::Range;

use super::block::{self, BlockError, Column, Cursor, End, Unpacked, View, put, put_long};
use super::chunk::Scratch;
use super::join::join_packed;

const VERSION: u8 = 2;

/// Columns that are not longer are merged again, and blocks of them small enough.
const LONG: usize = 4_096;
/// What a slice is to have: a few pages of SQLite, so that finding it costs no more than reading it.
const BYTES: usize = 20 << 10;
/// How long the first slice is; the next ones go by what it took.
const FIRST: usize = 1_024;
/// Shorter slices would be all directory.
const LEAST: usize = 512;
/// pco packs so many at a time.
const BATCH: usize = 256;
/// More than any block has.
const MOST: usize = 4_096;

/// One slice: a block of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    /// Samples in it are not earlier, those of the one before are; ms since 1970 UTC.
    pub(super) start: i64,
    /// Where in the block it begins.
    pub(super) at: usize,
    /// How long it is.
    pub(super) bytes: usize,
}

/// Packs the columns of one group, in slices where there is much of them. Every column has at least
/// one sample, and there is at least one column.
pub(super) fn encode(columns: &[Column], scratch: &mut Scratch) -> Vec<u8> {
    let whole: Vec<View<'_>> = columns.iter().map(|c| View::of(c, 0..c.ts.len())).collect();
    let longest = whole.iter().map(|c| c.ts.len()).max().unwrap_or(0);
    if longest < LONG || columns.iter().any(|c| c.part != 0) {
        return block::encode(&whole, scratch);
    }
    let mut slices: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut places = vec![0; columns.len()];
    let mut length = FIRST;
    loop {
        let views = next(columns, &mut places, length);
        let Some(start) = views.iter().filter_map(|v| v.ts.first()).min() else { break };
        let bytes = block::encode(&views, scratch);
        let taken = views.iter().map(|v| v.ts.len()).max().unwrap_or(1);
        length = (taken * BYTES / bytes.len().max(1)).clamp(LEAST, longest) / BATCH * BATCH;
        if slices.is_empty() && enough(longest, length) {
            return block::encode(&whole, scratch);
        }
        slices.push((*start, bytes));
    }
    let mut out = vec![VERSION];
    put(&mut out, slices.len());
    let mut before = None;
    for (start, bytes) in &slices {
        put_long(
            &mut out,
            match before {
                None => ((start << 1) ^ (start >> 63)) as u64,
                Some(before) => start.abs_diff(before),
            },
        );
        put(&mut out, bytes.len());
        before = Some(*start);
    }
    out.extend(crc32fast::hash(&out).to_le_bytes());
    slices.iter().for_each(|(_, bytes)| out.extend_from_slice(bytes));
    out
}

/// Whether so much is left that it is one slice rather than two.
fn enough(left: usize, length: usize) -> bool {
    left <= length + length / 2
}

/// What comes next of each column, up to a time at which none of them is longer than `length`, or to
/// the end; what has nothing is left out.
fn next<'c>(columns: &'c [Column], places: &mut [usize], length: usize) -> Vec<View<'c>> {
    let left = columns.iter().zip(&*places).map(|(c, at)| c.ts.len() - at).max().unwrap_or(0);
    let too_far = columns.iter().zip(&*places).filter_map(|(c, at)| c.ts.get(at + length));
    let end = too_far.min().filter(|_| !enough(left, length)).copied();
    let mut views = Vec::with_capacity(columns.len());
    for (column, at) in columns.iter().zip(places) {
        let to = match end {
            Some(end) => *at + column.ts[*at..].partition_point(|t| *t < end),
            None => column.ts.len(),
        };
        if *at < to {
            views.push(View::of(column, *at..to));
        }
        *at = to;
    }
    views
}

/// Reads the beginning of a block of `size` bytes: its slices, in the order of time. A block that is
/// not in slices is one. `None`: the table goes on past `bytes`.
pub(super) fn table(bytes: &[u8], size: usize) -> Result<Option<Vec<Slice>>, BlockError> {
    match bytes.first() {
        None if size == 0 => return Err(BlockError::Directory),
        None => return Ok(None),
        Some(&VERSION) => {}
        Some(_) => return Ok(Some(vec![Slice { start: i64::MIN, at: 0, bytes: size }])),
    }
    match read_table(&mut Cursor { bytes, at: 1 }) {
        Err(End::Short) => Ok(None),
        Err(End::Wrong) => Err(BlockError::Directory),
        Ok(slices) => Ok(Some(slices)),
    }
}

fn read_table(cursor: &mut Cursor<'_>) -> Result<Vec<Slice>, End> {
    let count = cursor.number()?;
    if !(1..=MOST).contains(&count) {
        return Err(End::Wrong);
    }
    let mut slices: Vec<Slice> = Vec::new();
    for _ in 0..count {
        let distance = cursor.long()?;
        let start = match slices.last() {
            None => Some((distance >> 1) as i64 ^ -((distance & 1) as i64)),
            Some(last) => last.start.checked_add_unsigned(distance).filter(|_| distance > 0),
        };
        let bytes = cursor.number()?;
        slices.push(Slice { start: start.ok_or(End::Wrong)?, at: 0, bytes });
    }
    cursor.end()?;
    let mut at = cursor.at;
    for slice in &mut slices {
        slice.at = at;
        at = at.checked_add(slice.bytes).ok_or(End::Wrong)?;
    }
    Ok(slices)
}

/// Which of the slices can have samples from `from` to `to` inclusive (ms since 1970 UTC).
pub(super) fn within(slices: &[Slice], from: i64, to: i64) -> Range<usize> {
    let first = slices.partition_point(|s| s.start <= from).saturating_sub(1);
    first..slices.partition_point(|s| s.start <= to).max(first)
}

/// Unpacks a whole block of a group; a column comes as often as it has slices, in the order of time.
///
/// # Errors
/// When the block's own directory, or that of its only slice, cannot be read. Where one of several
/// cannot, each series of the others is damaged there.
pub(super) fn decode(
    group: i64,
    bytes: &[u8],
    scratch: &mut Scratch,
) -> Result<Vec<Unpacked>, BlockError> {
    let slices = table(bytes, bytes.len())?.ok_or(BlockError::Directory)?;
    let mut out: Vec<Unpacked> = Vec::new();
    let mut gone = 0;
    for slice in &slices {
        let part = slice.at.checked_add(slice.bytes).and_then(|end| bytes.get(slice.at..end));
        match part.map(|part| block::decode(group, part, scratch)) {
            Some(Ok(columns)) => out.extend(columns),
            _ => gone += 1,
        }
    }
    if gone > 0 {
        let mut keys: Vec<(i64, u8)> =
            out.iter().map(|(series, part, _)| (*series, *part)).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return Err(BlockError::Directory);
        }
        let lost = |(series, part)| (series, part, Err(BlockError::Directory));
        out.extend(keys.into_iter().map(lost));
    }
    Ok(out)
}

/// Puts what was unpacked into columns, one for each series and part, in their order; of two samples
/// of one time the one that comes later stays. `lost` is told of what is damaged.
pub(super) fn gather(
    unpacked: Vec<Unpacked>,
    columns: &mut Vec<Column>,
    mut lost: impl FnMut(i64, BlockError),
) {
    for (series, part, unpacked) in unpacked {
        let (ts, values) = match unpacked {
            Ok(unpacked) => unpacked,
            Err(e) => {
                lost(series, e);
                continue;
            }
        };
        let place = columns.binary_search_by_key(&(series, part), |c| (c.series, c.part));
        let at = place.unwrap_or_else(|at| {
            columns.insert(at, Column { series, part, ..Column::default() });
            at
        });
        join_packed(&mut columns[at], &ts, 0..ts.len(), &values);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Counters that grow by whole numbers no one can guess: some 1.3 bytes a sample.
    fn busy(series: i64, start: i64, step: i64, count: usize) -> Column {
        let (mut at, mut total) = (series as u64 + 1, 0);
        let values = (0..count).map(|_| {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            total += (at >> 33) % 1_000;
            total as f64
        });
        let ts = (0..count as i64).map(|i| start + i * step).collect();
        Column { series, part: 0, ts, values: values.collect() }
    }

    fn all(group: i64, bytes: &[u8]) -> (Vec<Column>, Vec<i64>) {
        let (mut columns, mut lost) = (Vec::new(), Vec::new());
        if let Ok(unpacked) = decode(group, bytes, &mut Scratch::default()) {
            gather(unpacked, &mut columns, |series, _| lost.push(series));
        }
        (columns, lost)
    }

    fn slices(bytes: &[u8]) -> Vec<Slice> {
        table(bytes, bytes.len()).ok().flatten().unwrap_or_default()
    }

    /// The whole group, with one that begins late, one that ends early, and one that is sparse.
    fn group() -> Vec<Column> {
        let mut columns: Vec<Column> =
            (0..13).map(|i| busy(32 + i, 1_000, 15_000, 8_000)).collect();
        columns.push(busy(45, 90_000_000, 15_000, 2_000));
        columns.push(busy(46, -5_000_000, 15_000, 700));
        columns.push(busy(47, 7, 300_000, 390));
        columns
    }

    #[test]
    fn what_is_much_comes_in_slices_and_what_is_not_does_not() {
        let mut scratch = Scratch::default();
        let columns = group();
        let bytes = encode(&columns, &mut scratch);
        let found = slices(&bytes);
        assert!((6..12).contains(&found.len()), "{found:?}");
        assert_eq!(found[0].start, -5_000_000);
        assert!(found[1..].iter().all(|s| s.bytes < 2 * BYTES && s.bytes > BYTES / 2), "{found:?}");
        assert_eq!(all(2, &bytes), (columns.clone(), Vec::new()));
        let whole: Vec<View<'_>> = columns.iter().map(|c| View::of(c, 0..c.ts.len())).collect();
        let whole = block::encode(&whole, &mut scratch);
        assert!(bytes.len() < whole.len() * 103 / 100, "{} for {}", bytes.len(), whole.len());

        let still = |series| Column { values: vec![4.0; 8_000], ..busy(series, 0, 15_000, 8_000) };
        let quiet: Vec<Column> = (0..16).map(still).collect();
        let bytes = encode(&quiet, &mut scratch);
        assert_eq!(slices(&bytes).len(), 1);
        assert_eq!(all(0, &bytes), (quiet, Vec::new()));
        let short = [busy(1, 0, 1_000, LONG - 1)];
        assert_eq!(slices(&encode(&short, &mut scratch)).len(), 1);
        let rollup = [Column { part: 3, ..busy(1, 0, 1_000, 8_000) }];
        assert_eq!(slices(&encode(&rollup, &mut scratch)).len(), 1);
    }

    #[test]
    fn a_moment_lies_in_one_slice() {
        let found = slices(&encode(&group(), &mut Scratch::default()));
        let end = 1_000 + 15_000 * 8_000;
        for (from, to) in [(0, 0), (i64::MIN, i64::MAX), (end, end), (i64::MIN, -5_000_001)] {
            let range = within(&found, from, to);
            assert!(range.len() <= 1 || range.len() == found.len(), "{range:?}");
        }
        for (i, slice) in found.iter().enumerate().skip(1) {
            assert_eq!(within(&found, slice.start, slice.start), i..i + 1);
            assert_eq!(within(&found, slice.start - 1, slice.start), i - 1..i + 1);
            assert_eq!(within(&found, slice.start - 1, slice.start - 1), i - 1..i);
        }
    }

    #[test]
    fn a_damaged_slice_loses_itself_and_nothing_else() {
        let columns = group();
        let bytes = encode(&columns, &mut Scratch::default());
        let found = slices(&bytes);
        // A body, then a directory.
        let (mut damaged, third) = (bytes.clone(), found[2]);
        damaged[third.at + third.bytes - 1] ^= 1;
        let (left, lost) = all(2, &damaged);
        assert_eq!((left.len(), lost.len()), (columns.len(), 1));
        let samples = |columns: &[Column]| columns.iter().map(|c| c.ts.len()).sum::<usize>();
        let gone = samples(&columns) - samples(&left);
        assert!((LEAST..2 * FIRST).contains(&gone), "{gone}");
        let mut damaged = bytes.clone();
        damaged[third.at + 3] ^= 1;
        let (left, lost) = all(2, &damaged);
        assert_eq!((left.len(), lost.len()), (columns.len(), columns.len()));
        assert!(
            left.iter().all(|c| !c.ts.iter().any(|t| (third.start..found[3].start).contains(t)))
        );
        // The table, and only one slice.
        let mut damaged = bytes;
        damaged[2] ^= 1;
        assert_eq!(decode(2, &damaged, &mut Scratch::default()), Err(BlockError::Directory));
        assert_eq!(decode(2, &[], &mut Scratch::default()), Err(BlockError::Directory));
    }

    proptest! {
        #[test]
        fn any_columns_come_back(
            counts in prop::collection::vec(1usize..9_000, 1..5),
            starts in prop::collection::vec(any::<i32>(), 5),
            steps in prop::collection::vec(1i64..100_000, 5),
        ) {
            let columns: Vec<Column> = (counts.iter().zip(&starts).zip(&steps).enumerate())
                .map(|(i, ((count, start), step))| busy(i as i64, i64::from(*start), *step, *count))
                .collect();
            let bytes = encode(&columns, &mut Scratch::default());
            prop_assert_eq!(all(0, &bytes), (columns, Vec::new()));
        }

        #[test]
        fn a_flipped_bit_is_seen(at: usize, bit in 0u8..8) {
            let columns = [busy(0, 5, 10, 4_500), busy(1, 7, 10, 4_500)];
            let mut bytes = encode(&columns, &mut Scratch::default());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            for got in all(0, &bytes).0 {
                let from = &columns[got.series as usize];
                for (ts, value) in got.ts.iter().zip(&got.values) {
                    let at = from.ts.binary_search(ts);
                    prop_assert_eq!(at.map(|at| from.values[at]), Ok(*value));
                }
            }
        }

        #[test]
        fn hostile_bytes_only_ever_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            all(0, &bytes);
            // Past its checksum, too.
            let length = bytes.len().min(20);
            let crc = crc32fast::hash(&bytes[..length]).to_le_bytes();
            bytes.splice(length..length, crc);
            all(0, &bytes);
        }
    }
}
