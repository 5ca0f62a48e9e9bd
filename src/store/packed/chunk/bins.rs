//! store: pco's table of bins in few bits. pco's own form takes 48 to 80 bits a bin, a twentieth
//! of a chunk of 1,000 samples; this one takes about 20, and admits nothing but what we use of pco
//! (classic mode, no delta encoding, one latent variable).

use pco::metadata::Bin;

use super::Corrupt;
use super::bits::{BitReader, BitWriter, width};
use super::bytes::Bytes;

/// pco's limit for the table of its entropy coder.
const MAX_SIZE_LOG: u32 = 14;
/// Bits of the field that says how many bins there are.
const COUNT_BITS: u32 = 15;

/// The integers that pco codes for us: `u32` where they fit, as that halves its work.
pub(super) trait Latent:
    pco::data_types::Number<L = Self> + pco::data_types::Latent
{
    /// Bits of the type.
    const WIDTH: u32;
    /// Bits in which pco writes a bin's number of offset bits.
    const OFFSET_FIELD: u32;
    /// Out of 64 bits, which must fit.
    fn narrow(value: u64) -> Self;
    /// Into 64 bits.
    fn widen(self) -> u64;
    /// The bins of the right type, if it is the right one.
    fn bins(bins: &pco::metadata::DynBins) -> Option<&[Bin<Self>]>;
}

impl Latent for u32 {
    const WIDTH: u32 = 32;
    const OFFSET_FIELD: u32 = 6;
    fn narrow(value: u64) -> Self {
        value as u32
    }
    fn widen(self) -> u64 {
        u64::from(self)
    }
    fn bins(bins: &pco::metadata::DynBins) -> Option<&[Bin<Self>]> {
        bins.downcast_ref::<u32>().map(Vec::as_slice)
    }
}

impl Latent for u64 {
    const WIDTH: u32 = 64;
    const OFFSET_FIELD: u32 = 7;
    fn narrow(value: u64) -> Self {
        value
    }
    fn widen(self) -> u64 {
        self
    }
    fn bins(bins: &pco::metadata::DynBins) -> Option<&[Bin<Self>]> {
        bins.downcast_ref::<u64>().map(Vec::as_slice)
    }
}

/// Bits of a field that holds numbers from 0 to `max`.
fn field(max: u32) -> u32 {
    width(u64::from(max))
}

/// A number as its width in a field of `field` bits, then what follows its leading one.
fn put_scaled(bits: &mut BitWriter<'_>, value: u64, field: u32) {
    let width = width(value);
    bits.put(u64::from(width), field);
    if width > 1 {
        bits.put(value ^ (1 << (width - 1)), width - 1);
    }
}

fn get_scaled(bits: &mut BitReader<'_, '_>, field: u32, limit: u32) -> Result<u64, Corrupt> {
    match bits.get(field)? as u32 {
        0 => Ok(0),
        width if width <= limit => Ok(bits.get(width - 1)? | 1 << (width - 1)),
        _ => Err(Corrupt::Invalid("a bin's number is too wide")),
    }
}

/// Appends the table; the weights add up to `1 << size_log`, so the last one is left out.
pub(super) fn write<L: Latent>(bins: &[Bin<L>], size_log: u32, out: &mut Vec<u8>) {
    let widest = |number: &dyn Fn(usize) -> u64| {
        (0..bins.len()).map(|i| width(number(i))).max().unwrap_or_default()
    };
    // pco sorts its bins; wrapping keeps the format right should it stop to.
    let gap = |i: usize| {
        let before = if i == 0 { 0 } else { bins[i - 1].lower.widen() };
        bins[i].lower.widen().wrapping_sub(before) & (u64::MAX >> (64 - L::WIDTH))
    };
    let weight = |i: usize| {
        if i + 1 == bins.len() { 0 } else { u64::from(bins[i].weight - 1) }
    };
    let offset = |i: usize| u64::from(bins[i].offset_bits);
    let gap_field = field(widest(&gap));
    let weight_field = field(widest(&weight));
    let offset_field = widest(&offset);

    let mut bits = BitWriter::new(out);
    bits.put(u64::from(size_log), 4);
    put_scaled(&mut bits, bins.len() as u64 - 1, 4);
    bits.put(u64::from(gap_field), 3);
    bits.put(u64::from(weight_field), 3);
    bits.put(u64::from(offset_field), 3);
    for i in 0..bins.len() {
        put_scaled(&mut bits, gap(i), gap_field);
        bits.put(offset(i), offset_field);
        if i + 1 < bins.len() {
            put_scaled(&mut bits, weight(i), weight_field);
        }
    }
    bits.finish();
}

/// Reads the table and appends pco's own form of it (format 4.1: "chunk metadata").
pub(super) fn read<L: Latent>(bytes: &mut Bytes<'_>, pco: &mut Vec<u8>) -> Result<(), Corrupt> {
    let mut bits = BitReader::new(bytes);
    let size_log = bits.get(4)? as u32;
    let count = get_scaled(&mut bits, 4, MAX_SIZE_LOG)? + 1;
    if size_log > MAX_SIZE_LOG || count > 1 << size_log || (count == 1 && size_log > 0) {
        return Err(Corrupt::Invalid("the table of bins has a wrong size"));
    }
    let gap_field = bits.get(3)? as u32;
    let weight_field = bits.get(3)? as u32;
    let offset_field = bits.get(3)? as u32;

    let mut meta = BitWriter::new(pco);
    meta.put(0, 4); // mode: classic
    meta.put(0, 4); // delta encoding: none
    meta.put(u64::from(size_log), 4);
    meta.put(count, COUNT_BITS);
    let mut weight_left = 1u64 << size_log;
    let mut lower = 0u64;
    for i in 0..count {
        let gap = get_scaled(&mut bits, gap_field, L::WIDTH)?;
        lower = lower.wrapping_add(gap) & (u64::MAX >> (64 - L::WIDTH));
        let offset_bits = bits.get(offset_field)?;
        if offset_bits > u64::from(L::WIDTH) {
            return Err(Corrupt::Invalid("a bin is wider than its type"));
        }
        let weight = if i + 1 < count {
            get_scaled(&mut bits, weight_field, MAX_SIZE_LOG)? + 1
        } else {
            weight_left
        };
        // One for each bin to come, or the sum would be wrong.
        if weight + (count - 1 - i) > weight_left {
            return Err(Corrupt::Invalid("the weights of the bins do not add up"));
        }
        weight_left -= weight;
        meta.put(weight - 1, size_log);
        meta.put(lower, L::WIDTH);
        meta.put(offset_bits, L::OFFSET_FIELD);
    }
    meta.finish();
    bits.finish()
}
