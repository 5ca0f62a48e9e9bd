//! store: a column of values as bytes and back, bit for bit.

use std::ops::Range;

use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec};

use super::bits::BitReader;
use super::bytes::{Bytes, put_varint, unzigzag, zigzag};
use super::form::{self, Form, id};
use super::stream::{BATCH, LEVEL, PCO_HEADER};
use super::{Corrupt, MAX_COUNT, Scratch, others, plan, ratio};

/// The low bits of the first byte say which encoding it is.
const ID_BITS: u8 = 0x0f;
/// A step other than 1 follows the base.
const STEP: u8 = 0x10;
/// Values that the encoding cannot express follow the form.
const OTHERS: u8 = 0x20;

/// Values looked at to guess a form.
const SAMPLES: usize = 48;
/// Of them, those whose fractions are expanded.
const FRACTIONS: usize = 8;
/// A guess may turn out wrong this many times.
const GUESSES: usize = 6;

/// Appends the column.
///
/// `values` are 1 to [`MAX_COUNT`]; their number is not written, as the columns of a block share it.
///
/// Returns the length of the column's head. What follows it, the body, is the same bytes for two
/// columns whose values are proportional to each other (received and sent bytes of `lo`,
/// MemAvailable and its share of MemTotal), and may be stored once.
pub fn encode_values(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) -> usize {
    debug_assert!((1..=MAX_COUNT).contains(&values.len()));
    let mut form = guess(values, scratch);
    let start = out.len();
    let mut head = write_integers(form, values, scratch, out);
    // NaNs of many kinds, each listed by itself, cost more than the bits of all values.
    if !scratch.others.is_empty() && out.len() - start > 9 * values.len() {
        out.truncate(start);
        form = Form::Bits;
        form.fit(values, 0, &mut scratch.numbers, &mut scratch.others);
        head = write_integers(form, values, scratch, out);
    }
    // Floats know nothing of runs, so where most values repeat the one before they only take time.
    let repeats = values.windows(2).filter(|p| p[0].to_bits() == p[1].to_bits()).count();
    if !scratch.means && form == Form::Bits && out.len() - start > 9 && repeats * 2 < values.len() {
        let mut trial = std::mem::take(&mut scratch.trial);
        trial.clear();
        if write_floats(values, &mut trial) && trial.len() < out.len() - start {
            out.truncate(start);
            out.extend_from_slice(&trial);
            head = trial.len();
        }
        scratch.trial = trial;
    }
    head
}

/// Leaves the numbers and the exceptions of the form it returns in `scratch`.
fn guess(values: &[f64], scratch: &mut Scratch) -> Form {
    let Scratch { numbers, others, means, .. } = scratch;
    if Form::Integer.fit(values, 0, numbers, others) {
        return Form::Integer;
    }
    let ordinary = |x: f64| x.is_finite() && x.to_bits() != (-0.0f64).to_bits();
    let specials = values.iter().filter(|&&x| !ordinary(x)).count();
    let apart = values.len().div_ceil(SAMPLES);
    let mut samples: Vec<f64> =
        values.iter().step_by(apart).copied().filter(|&x| ordinary(x)).collect();
    // Each value listed by itself costs about 10 bytes; with more of them than these another form
    // is better.
    let allowed = values.len() / 64 + specials;
    let mut fits = |form: Form, allowed| form.fit(values, allowed, numbers, others).then_some(form);

    if let Some(form) = decimal(values, &samples, |form| fits(form, allowed)) {
        return form;
    }
    for form in (1..=9).map(Form::Product) {
        if samples.iter().all(|&x| form.fits(x)) && fits(form, allowed).is_some() {
            return form;
        }
    }
    if *means {
        Form::Bits.fit(values, 0, numbers, others);
        return Form::Bits;
    }
    samples.retain(|&x| x != 0.0);
    samples.dedup();
    let few = samples.len().div_ceil(FRACTIONS).max(1);
    let mut fractions: Vec<f64> = samples.into_iter().step_by(few).collect();
    for _ in 0..GUESSES {
        let Some(form) = ratio::by_fractions(&fractions) else { break };
        if fits(form, specials).is_some() {
            return form;
        }
        // What stopped it knows a factor that the samples did not.
        fractions.extend(values.iter().find(|&&x| x.is_finite() && !form.fits(x)));
    }
    if let Some(form) = ratio::by_differences(values).and_then(|form| fits(form, specials)) {
        return form;
    }
    Form::Bits.fit(values, 0, numbers, others);
    Form::Bits
}

/// The integers or decimals that nearly all of the values are.
fn decimal(
    values: &[f64],
    samples: &[f64],
    mut fits: impl FnMut(Form) -> Option<Form>,
) -> Option<Form> {
    let mut places: Vec<u8> = samples.iter().copied().filter_map(form::places).collect();
    if places.len() * 8 < samples.len() * 7 {
        return None;
    }
    places.sort_unstable();
    // One odd value is cheaper listed than all others with its many decimals.
    let mut most = places.get(places.len() * 9 / 10).copied().unwrap_or(0);
    for _ in 0..GUESSES {
        let form = if most == 0 { Form::Integer } else { Form::Decimal(most) };
        if let Some(form) = fits(form) {
            return Some(form);
        }
        let mut missed = values.iter().filter(|x| !form.fits(**x)).filter_map(|&x| form::places(x));
        most = missed.find(|&places| places > most)?;
    }
    None
}

fn write_integers(form: Form, values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let Scratch { numbers, others, plan, .. } = scratch;
    let base = numbers[0];
    let step = normalise(numbers);
    let flags = if step == 1 { 0 } else { STEP } | if others.is_empty() { 0 } else { OTHERS };
    form.write(flags, out);
    if !others.is_empty() {
        others::write(values, others, out);
    }
    put_varint(out, zigzag(base));
    if step != 1 {
        put_varint(out, zigzag(step));
    }
    let head = out.len() - start;
    // All the same is nothing at all.
    if numbers.iter().any(|&n| n != 0) {
        plan::write(numbers, plan, out);
    }
    head
}

/// Makes the first number 0 and the step between them 1; returns the step. Series proportional to
/// each other become the same.
fn normalise(numbers: &mut [i64]) -> i64 {
    let base = numbers[0];
    let mut step = 0u64;
    for n in numbers.iter_mut() {
        let Some(distance) = n.checked_sub(base) else {
            step = 1;
            break;
        };
        if step != 1 {
            step = ratio::gcd(distance.unsigned_abs(), step);
        }
    }
    if step <= 1 || step > i64::MAX as u64 {
        for n in numbers {
            *n = n.wrapping_sub(base);
        }
        return 1;
    }
    for n in numbers {
        *n = (*n - base) / step as i64;
    }
    step as i64
}

fn write_floats(values: &[f64], out: &mut Vec<u8>) -> bool {
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    let config = if values.len() < 32 { config.with_delta_spec(DeltaSpec::NoOp) } else { config };
    out.push(id::PCO_FLOATS);
    let Ok(mut chunk) = FileCompressor::default().chunk_compressor(values, &config) else {
        return false;
    };
    let meta = out.len();
    chunk.write_meta(&mut *out).is_ok()
        && bounded(&out[meta..]).is_ok()
        && chunk.write_page(0, &mut *out).is_ok()
}

/// Admits of pco's modes and delta encodings those that need no memory but for their bins: a
/// dictionary or a lookback window may claim 256 MB in a few bytes.
fn bounded(meta: &[u8]) -> Result<(), Corrupt> {
    let mut bytes = Bytes(meta);
    let mut bits = BitReader::new(&mut bytes);
    // Classic; a float multiplier of 64 bits; a number of quantised bits.
    match bits.get(4)? {
        0 => {}
        2 => drop(bits.get(64)?),
        3 => drop(bits.get(8)?),
        _ => return Err(Corrupt::Invalid("pco's mode is none of ours")),
    }
    // None; differences.
    match bits.get(4)? {
        0 | 1 => Ok(()),
        _ => Err(Corrupt::Invalid("pco's delta encoding is none of ours")),
    }
}

/// Replaces `out` by the `count` values of a column, which takes up all of `bytes`.
///
/// # Errors
/// When the bytes are no such column; `out` is then empty. Bytes that were not written by
/// [`encode_values`] may also give values that nobody wrote: a checksum is for the block to keep.
pub fn decode_values(
    bytes: &[u8],
    count: usize,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    out.clear();
    decode_values_within(bytes, count, 0..count, scratch, out)
}

/// Appends those values that lie at the places of `range`; of it what lies past the end is left
/// out. A few of many take a fraction of the time, and what is behind them is not looked at.
///
/// # Errors
/// As far as the bytes are looked at; nothing is appended then.
pub fn decode_values_within(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    let (before, end) = (out.len(), range.end.min(count));
    let result = read_column(bytes, count, range.start.min(end)..end, scratch, out);
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// Less than this share of a column is worth being looked for.
const FEW: usize = 2;

fn read_column(
    bytes: &[u8],
    count: usize,
    range: Range<usize>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    if !(1..=MAX_COUNT).contains(&count) {
        return Err(Corrupt::Count(count));
    }
    let before = out.len();
    let mut bytes = Bytes(bytes);
    let first = bytes.byte()?;
    if first == id::PCO_FLOATS {
        return read_floats(bytes, count, range, scratch, out);
    }
    if first & !(ID_BITS | STEP | OTHERS) != 0 {
        return Err(Corrupt::UnknownEncoding(first));
    }
    let form = Form::read(first & ID_BITS, &mut bytes)?;
    let others = if first & OTHERS == 0 { None } else { Some(others::skip(&mut bytes, count)?) };
    let base = bytes.signed()?;
    let step = if first & STEP == 0 { 1 } else { unzigzag(bytes.varint()?) };
    let numbers = &mut scratch.numbers;
    let from = range.start;
    if bytes.0.is_empty() {
        // All the same.
        form.values(&[0], base, step, out);
        let value = out.pop().unwrap_or(f64::NAN);
        out.resize(before + range.len(), value);
    } else if count < 2 {
        return Err(Corrupt::Trailing(bytes.0.len()));
    } else if range.len() < count / FEW {
        plan::read_within(count, range, &mut bytes, &mut scratch.plan, numbers)?;
        form.values(numbers, base, step, out);
    } else {
        plan::read(count, &mut bytes, &mut scratch.plan, numbers)?;
        bytes.end()?;
        form.values(numbers.get(range).unwrap_or_default(), base, step, out);
    }
    if let Some(list) = others {
        others::apply(list, count, from, &mut out[before..])?;
    }
    Ok(())
}

fn read_floats(
    bytes: Bytes<'_>,
    count: usize,
    range: Range<usize>,
    scratch: &mut Scratch,
    out: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    bounded(bytes.0)?;
    let (file, _) = FileDecompressor::new(&PCO_HEADER[..]).map_err(Corrupt::pco)?;
    let (chunk, rest) = file.chunk_decompressor::<f64, _>(bytes.0).map_err(Corrupt::pco)?;
    let mut page = chunk
        .page_decompressor_with_scratch(rest, count, &mut scratch.pco)
        .map_err(Corrupt::pco)?;
    let wanted = range.end.next_multiple_of(BATCH).min(count);
    let before = out.len();
    out.resize(before + wanted, 0.0);
    let progress = page.read(&mut out[before..]).map_err(Corrupt::pco)?;
    if progress.n_processed != wanted {
        return Err(Corrupt::Short);
    }
    if wanted == count {
        Bytes(page.into_src()).end()?;
    }
    out.truncate(before + range.end);
    out.drain(before..before + range.start);
    Ok(())
}
