//! store: a block: the columns of up to 16 series over one stretch of time as one blob, with a
//! directory in front, so that a reader takes out one series without unpacking the others.
//! docs/format/block.md tells every byte. No SQLite here.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::{
    Corrupt, MAX_COUNT, Scratch, Timestamps, decode_timestamps, decode_values_within,
    encode_timestamps, encode_values,
};

/// Series a block holds at the most: few enough that merging one never takes long, enough that
/// SQLite's pages are full.
pub const GROUP: i64 = 16;

const VERSION: u8 = 1;
/// Columns of one series: samples as they came, or the parts of a rollup.
const MOST_COLUMNS: usize = GROUP as usize * 8;

/// One column to be written, or as it was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    /// The series' row in `series_dict`.
    pub series: i64,
    /// What the values are; 0: samples. Rollups number their parts.
    pub part: u8,
    /// Milliseconds since 1970 UTC, ascending, each once.
    pub ts: Vec<i64>,
    /// As many values.
    pub values: Vec<f64>,
}

/// A column, or a stretch of one, where somebody else holds it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// See [`Column`].
    pub series: i64,
    /// See [`Column`].
    pub part: u8,
    /// See [`Column`].
    pub ts: &'a [i64],
    /// See [`Column`].
    pub values: &'a [f64],
}

impl<'a> View<'a> {
    /// The samples at these places, which must be there.
    pub fn of(column: &'a Column, places: Range<usize>) -> Self {
        let Column { series, part, ts, values } = column;
        Self { series: *series, part: *part, ts: &ts[places.clone()], values: &values[places] }
    }
}

/// Why a column could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BlockError {
    /// The block is shorter than it says, or says something impossible.
    #[error("the directory is damaged")]
    Directory,
    /// The bytes of the column are not those that were written.
    #[error("its checksum does not fit")]
    Checksum,
    /// They are, but make no column.
    #[error(transparent)]
    Column(#[from] Corrupt),
}

#[derive(Debug, Clone, Copy)]
struct Span {
    at: usize,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    count: usize,
    span: Span,
}

/// One column in a directory.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The series' place in its group.
    pub offset: u8,
    /// See [`Column::part`].
    pub part: u8,
    times: usize,
    head: Span,
    body: Span,
    crc: u32,
}

/// What a block holds, and where.
#[derive(Debug, Clone)]
pub struct Directory {
    times: Vec<Times>,
    entries: Vec<Entry>,
    size: usize,
}

/// Packs the columns of one group. Equal columns of timestamps, and equal bodies of proportional
/// series, are stored once. Every column has 1 to [`MAX_COUNT`] samples.
pub fn encode(columns: &[View<'_>], scratch: &mut Scratch) -> Vec<u8> {
    let mut times: Vec<(&[i64], Vec<u8>)> = Vec::new();
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    let mut heads: Vec<u8> = Vec::new();
    let mut directory = Vec::new();
    let mut packed = Vec::new();
    // Of each column so far: where its head lies, and which body is its.
    let mut made: Vec<(Range<usize>, usize)> = Vec::with_capacity(columns.len());
    for (number, column) in columns.iter().enumerate() {
        debug_assert_eq!(column.ts.len(), column.values.len());
        let t = match times.iter().position(|(ts, _)| *ts == column.ts) {
            Some(at) => at,
            None => {
                let mut bytes = Vec::new();
                encode_timestamps(column.ts, scratch, &mut bytes);
                times.push((column.ts, bytes));
                times.len() - 1
            }
        };
        // Where one sample makes a bucket, most parts of a rollup are that sample.
        let own = columns[..number].iter().zip(&made).rev();
        let mut own = own.take_while(|(other, _)| other.series == column.series);
        let (head, b) = match own.find(|(other, _)| same(other.values, column.values)) {
            Some((_, (head, body))) => (heads[head.clone()].to_vec(), *body),
            None => {
                packed.clear();
                let head = encode_values(column.values, scratch, &mut packed);
                let (head, body) = packed.split_at(head);
                let b = bodies.iter().position(|b| *b == body).unwrap_or_else(|| {
                    bodies.push(body.to_vec());
                    bodies.len() - 1
                });
                (head.to_vec(), b)
            }
        };
        let mut crc = crc32fast::Hasher::new();
        for part in [&times[t].1, &head, &bodies[b]] {
            crc.update(part);
        }
        directory.push(column.series.rem_euclid(GROUP) as u8);
        directory.push(column.part);
        put(&mut directory, t);
        put(&mut directory, head.len());
        put(&mut directory, b);
        directory.extend(crc.finalize().to_le_bytes());
        made.push((heads.len()..heads.len() + head.len(), b));
        heads.extend_from_slice(&head);
    }
    let mut out = vec![VERSION];
    put(&mut out, times.len());
    put(&mut out, bodies.len());
    put(&mut out, columns.len());
    for (ts, bytes) in &times {
        put(&mut out, ts.len());
        put(&mut out, bytes.len());
    }
    for body in &bodies {
        put(&mut out, body.len());
    }
    out.extend(directory);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    for (_, bytes) in &times {
        out.extend_from_slice(bytes);
    }
    out.extend(heads);
    for body in &bodies {
        out.extend_from_slice(body);
    }
    out
}

/// Bit for bit.
fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

impl Directory {
    /// Reads the beginning of a block; more of it may be given. `None`: it goes on past `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, BlockError> {
        let mut cursor = Cursor { bytes, at: 1 };
        match bytes.first() {
            None => return Ok(None),
            Some(&VERSION) => {}
            Some(_) => return Err(BlockError::Directory),
        }
        match Self::parse(&mut cursor) {
            Err(End::Short) => Ok(None),
            Err(End::Wrong) => Err(BlockError::Directory),
            Ok(directory) => Ok(Some(directory)),
        }
    }

    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, End> {
        let counts = [cursor.number()?, cursor.number()?, cursor.number()?];
        if counts.iter().any(|n| *n > MOST_COLUMNS) {
            return Err(End::Wrong);
        }
        let mut times = Vec::with_capacity(counts[0]);
        for _ in 0..counts[0] {
            let count = cursor.number()?;
            times.push(Times { count, span: Span { at: 0, bytes: cursor.number()? } });
        }
        let mut bodies = Vec::with_capacity(counts[1]);
        for _ in 0..counts[1] {
            bodies.push(Span { at: 0, bytes: cursor.number()? });
        }
        let mut entries = Vec::with_capacity(counts[2]);
        for _ in 0..counts[2] {
            let (offset, part) = (cursor.byte()?, cursor.byte()?);
            let (t, head, body) = (cursor.number()?, cursor.number()?, cursor.number()?);
            let crc = cursor.crc()?;
            if i64::from(offset) >= GROUP || t >= times.len() || body >= bodies.len() {
                return Err(End::Wrong);
            }
            // The body's number, until its place is known below.
            let body = Span { at: body, bytes: 0 };
            let head = Span { at: 0, bytes: head };
            entries.push(Entry { offset, part, times: t, head, body, crc });
        }
        let own = crc32fast::hash(&cursor.bytes[..cursor.at]);
        if cursor.crc()? != own {
            return Err(End::Wrong);
        }
        let size = cursor.at;
        let mut at = size;
        let mut place = |span: &mut Span| -> Result<(), End> {
            span.at = at;
            at = at.checked_add(span.bytes).ok_or(End::Wrong)?;
            Ok(())
        };
        times.iter_mut().try_for_each(|t| place(&mut t.span))?;
        entries.iter_mut().try_for_each(|e| place(&mut e.head))?;
        bodies.iter_mut().try_for_each(&mut place)?;
        for entry in &mut entries {
            entry.body = bodies[entry.body.at];
        }
        Ok(Self { times, entries, size })
    }

    /// How many bytes it takes at the beginning of the block. They tell the block from any other:
    /// the checksum of each column is among them.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The columns, in the order in which they were written.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Takes the bytes of one column out. `get` fetches bytes of the block by place and length.
    pub fn take<E: From<BlockError>>(
        &self,
        entry: &Entry,
        mut get: impl FnMut(usize, usize, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Taken, E> {
        let Times { count, span } = self.times[entry.times];
        if !(1..=MAX_COUNT).contains(&count) {
            return Err(BlockError::Directory.into());
        }
        let spans = [span, entry.head, entry.body];
        // A damaged directory may say anything; then it grows as bytes come.
        let room = spans.iter().map(|s| s.bytes).fold(0, usize::saturating_add);
        let mut bytes = Vec::with_capacity(room.min(MAX_COUNT));
        for span in spans {
            get(span.at, span.bytes, &mut bytes)?;
        }
        Ok(Taken { count, times: span.bytes, crc: entry.crc, bytes: Arc::new(bytes) })
    }
}

/// The bytes of one column, not unpacked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    count: usize,
    /// The number of bytes that hold the times.
    times: usize,
    crc: u32,
    bytes: Arc<Vec<u8>>,
}

impl Taken {
    /// How many samples it says that it has.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many bytes it takes in memory.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Unpacks the times, after a look whether the bytes are what was written.
    ///
    /// # Errors
    /// When they are not.
    pub fn times(&self, scratch: &mut Scratch) -> Result<Timestamps, BlockError> {
        if crc32fast::hash(&self.bytes) != self.crc {
            return Err(BlockError::Checksum);
        }
        Ok(decode_timestamps(&self.bytes[..self.times], self.count, scratch)?)
    }

    /// Appends the values at the places of `range`.
    ///
    /// # Errors
    /// When the bytes make no column; nothing is appended then.
    pub fn values(
        &self,
        range: Range<usize>,
        scratch: &mut Scratch,
        out: &mut Vec<f64>,
    ) -> Result<(), BlockError> {
        let column = &self.bytes[self.times..];
        Ok(decode_values_within(column, self.count, range, scratch, out)?)
    }
}

/// A column of a block: its series, its part, and what it holds.
pub type Unpacked = (i64, u8, Result<(Timestamps, Vec<f64>), BlockError>);

/// Unpacks a whole block of a group.
///
/// # Errors
/// When its directory cannot be read; a damaged column is an error of its own.
pub fn decode(
    group: i64,
    bytes: &[u8],
    scratch: &mut Scratch,
) -> Result<Vec<Unpacked>, BlockError> {
    let directory = Directory::read(bytes)?.ok_or(BlockError::Directory)?;
    let get = |at: usize, length: usize, out: &mut Vec<u8>| -> Result<(), BlockError> {
        let part = at.checked_add(length).and_then(|end| bytes.get(at..end));
        out.extend_from_slice(part.ok_or(BlockError::Directory)?);
        Ok(())
    };
    let mut column = |e: &Entry| -> Result<(Timestamps, Vec<f64>), BlockError> {
        let taken = directory.take(e, get)?;
        let (times, mut values) = (taken.times(scratch)?, Vec::new());
        taken.values(0..times.len(), scratch, &mut values)?;
        Ok((times, values))
    };
    // A damaged file may have any number of a group.
    let first = group.wrapping_mul(GROUP);
    let unpack = |e: &Entry| (first.wrapping_add(e.offset.into()), e.part, column(e));
    Ok(directory.entries.iter().map(unpack).collect())
}

enum End {
    Short,
    Wrong,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn byte(&mut self) -> Result<u8, End> {
        let byte = *self.bytes.get(self.at).ok_or(End::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn crc(&mut self) -> Result<u32, End> {
        Ok(u32::from_le_bytes([self.byte()?, self.byte()?, self.byte()?, self.byte()?]))
    }

    /// LEB128, at most 32 bits.
    fn number(&mut self) -> Result<usize, End> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map(|v| v as usize).map_err(|_| End::Wrong);
            }
        }
        Err(End::Wrong)
    }
}

fn put(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn column(series: i64, part: u8, start: i64, values: &[f64]) -> Column {
        let ts = (0..values.len() as i64).map(|i| start + i * 10_000).collect();
        Column { series, part, ts, values: values.to_vec() }
    }

    fn encode(columns: &[Column], scratch: &mut Scratch) -> Vec<u8> {
        let views: Vec<_> = columns.iter().map(|c| View::of(c, 0..c.ts.len())).collect();
        super::encode(&views, scratch)
    }

    fn unpack(group: i64, bytes: &[u8]) -> Vec<Column> {
        decode(group, bytes, &mut Scratch::default())
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(series, part, column)| {
                let (ts, values) = column.ok()?;
                Some(Column { series, part, ts: ts.iter().collect(), values })
            })
            .collect()
    }

    #[test]
    fn columns_come_back_and_shared_ones_are_stored_once() {
        let noise: Vec<f64> = (0..500).map(|i| f64::from((i * 7919) % 1000)).collect();
        let twice: Vec<f64> = noise.iter().map(|v| v * 2.0).collect();
        let one = vec![column(33, 0, 0, &noise)];
        let both = vec![column(33, 0, 0, &noise), column(34, 1, 0, &twice)];
        let mut scratch = Scratch::default();
        let (a, b) = (encode(&one, &mut scratch), encode(&both, &mut scratch));
        assert_eq!(unpack(2, &a), one);
        assert_eq!(unpack(2, &b), both);
        assert!(b.len() < a.len() + 40, "{} against {}", b.len(), a.len());
    }

    #[test]
    fn a_damaged_column_loses_itself_and_nothing_else() {
        let noise = |seed: i32| (0..300).map(|i| f64::from((i * seed) % 997)).collect::<Vec<_>>();
        let columns: Vec<Column> =
            (0..4).map(|i| column(i, 0, 0, &noise(7919 + i as i32))).collect();
        let bytes = encode(&columns, &mut Scratch::default());
        let mut damaged = bytes.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        assert_eq!(unpack(0, &damaged), columns[..3]);
    }

    proptest! {
        #[test]
        fn hostile_bytes_only_ever_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            unpack(0, &bytes);
        }

        #[test]
        fn a_flipped_bit_is_seen(at in 0usize..2000, bit in 0u8..8) {
            let values: Vec<f64> = (0..200).map(|i| f64::from((i * 31) % 57) / 10.0).collect();
            let columns = vec![column(0, 0, 5, &values), column(1, 0, 7, &values)];
            let mut bytes = encode(&columns, &mut Scratch::default());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            for got in unpack(0, &bytes) {
                prop_assert!(columns.contains(&got));
            }
        }
    }
}
