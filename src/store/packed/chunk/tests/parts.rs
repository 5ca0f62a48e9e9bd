//! store: the smaller parts by themselves: varints, bits, bins, fractions.

use proptest::prelude::*;

use super::super::bits::{BitReader, BitWriter, unpack, unpack_within, width};
use super::super::bytes::{Bytes, put_varint, unzigzag, zigzag};
use super::super::form::{self, Form};
use super::super::{Corrupt, changes, ratio};

#[test]
fn zigzag_puts_small_magnitudes_first() {
    assert_eq!([0, -1, 1, -2, 2].map(zigzag), [0, 1, 2, 3, 4]);
    for n in [0, 1, -1, i64::MIN, i64::MAX] {
        assert_eq!(unzigzag(zigzag(n)), n);
    }
}

#[test]
fn varints() {
    for (number, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2])] {
        let mut out = Vec::new();
        put_varint(&mut out, number);
        assert_eq!(out, bytes);
    }
    let too_long = [0xff; 10];
    assert_eq!(Bytes(&too_long).varint(), Err(Corrupt::Invalid("a varint exceeds 64 bits")));
    assert_eq!(Bytes(&too_long[..9]).varint(), Err(Corrupt::Short));
}

#[test]
fn the_fewest_decimals() {
    for (value, places) in [
        (0.0, Some(0)),
        (-5.0, Some(0)),
        (0.1, Some(1)),
        (-2.75, Some(2)),
        (0.001, Some(3)),
        (1e-15, Some(15)),
        (123_456_789.123, Some(3)),
        (1.0 / 3.0, None),
        (-0.0, None),
        (f64::NAN, None),
        (1e300, None),
    ] {
        assert_eq!(form::places(value), places, "{value}");
    }
}

#[test]
fn fractions_with_one_divisor_are_found() {
    let of = |numerators: &[u32], divisor: f64| -> Vec<f64> {
        numerators.iter().map(|&n| f64::from(n) / divisor).collect()
    };
    let some = [6_115_392, 6_044_078, 6_113_296, 5_999_999];
    assert_eq!(ratio::by_fractions(&of(&some, 6_171_024.0)), Some(Form::Ratio(6_171_024)));
    assert_eq!(ratio::by_fractions(&of(&[1, 2, 1], 3.0)), Some(Form::Ratio(3)));
    let percent: Vec<f64> = of(&some, 66_053_888.0).iter().map(|v| v * 100.0).collect();
    assert!(matches!(ratio::by_fractions(&percent), Some(Form::Percent(_) | Form::Ratio(_))));
    assert_eq!(ratio::by_fractions(&[std::f64::consts::PI, std::f64::consts::E]), None);
    assert_eq!(ratio::by_fractions(&[]), None);
    assert_eq!(ratio::by_fractions(&[f64::MIN_POSITIVE, f64::MAX]), None);
}

#[test]
fn a_large_divisor_is_found_by_small_differences() {
    let blocks = [91_234_567u32, 91_234_570, 91_234_570, 91_234_611, 91_234_650, 91_234_652];
    let ratio: Vec<f64> = blocks.iter().map(|&n| f64::from(n) / 244_190_646.0).collect();
    assert_eq!(ratio::by_fractions(&ratio), None);
    assert_eq!(ratio::by_differences(&ratio), Some(Form::Ratio(244_190_646)));
    let percent: Vec<f64> = ratio.iter().map(|v| v * 100.0).collect();
    assert_eq!(ratio::by_differences(&percent), Some(Form::Percent(244_190_646)));
    // Differences of a multiple of 8.
    let eighths: Vec<f64> =
        (0..9u32).map(|i| f64::from(1_000_000_001 + i * i % 7 * 8) / 1_999_999_999.0).collect();
    assert_eq!(ratio::by_differences(&eighths), Some(Form::Ratio(1_999_999_999)));
    assert_eq!(ratio::by_differences(&[0.1, std::f64::consts::E, 0.7]), None);
    assert_eq!(ratio::by_differences(&[f64::MAX, -f64::MAX, 1e-300]), None);
    assert_eq!(ratio::by_differences(&[]), None);
}

proptest! {
    #[test]
    fn bits_come_back(numbers in prop::collection::vec((any::<u64>(), 0u32..65), 0..50)) {
        let fits = |n: u64, bits: u32| if bits == 0 { 0 } else { n >> (64 - bits) };
        let mut out = Vec::new();
        let mut writer = BitWriter::new(&mut out);
        for &(n, bits) in &numbers {
            writer.put(fits(n, bits), bits);
        }
        writer.finish();
        let mut bytes = Bytes(&out);
        let mut reader = BitReader::new(&mut bytes);
        for &(n, bits) in &numbers {
            prop_assert_eq!(reader.get(bits), Ok(fits(n, bits)));
            prop_assert!(width(fits(n, bits)) <= bits);
        }
        prop_assert!(reader.finish().is_ok());
        prop_assert!(bytes.end().is_ok());
    }

    #[test]
    fn packed_numbers_come_back(
        numbers in prop::collection::vec(any::<u64>(), 1..80),
        bits in 0u32..65,
        least in any::<i64>(),
        behind in 0usize..12,
    ) {
        let fits = |n: u64| if bits == 0 { 0 } else { n >> (64 - bits) };
        let mut out = Vec::new();
        let mut writer = BitWriter::new(&mut out);
        numbers.iter().for_each(|n| writer.put(fits(*n), bits));
        writer.finish();
        let length = out.len();
        out.resize(length + behind, 0xff);
        let (mut bytes, mut got) = (Bytes(&out), Vec::new());
        prop_assert_eq!(unpack(&mut bytes, numbers.len(), bits, least, &mut got), Ok(()));
        let want: Vec<i64> = numbers.iter().map(|n| least.wrapping_add(fits(*n) as i64)).collect();
        prop_assert_eq!(got, want);
        prop_assert_eq!(bytes.0.len(), behind);
        if bits > 0 {
            let short = unpack(&mut Bytes(&out[..length - 1]), numbers.len(), bits, least, &mut Vec::new());
            prop_assert!(short.is_err());
            // A bit in the padding is seen.
            if !(numbers.len() * bits as usize).is_multiple_of(8) {
                out[length - 1] |= 0x80;
                let set = unpack(&mut Bytes(&out), numbers.len(), bits, least, &mut Vec::new());
                prop_assert!(set.is_err());
            }
        }
    }

    #[test]
    fn changes_come_back(
        runs in prop::collection::vec((1usize..200, 1usize..4), 1..60),
        spared in 0usize..4,
    ) {
        let mut numbers = Vec::new();
        for (i, (long, short)) in runs.into_iter().enumerate() {
            numbers.resize(numbers.len() + if i % 4 == spared { long } else { short }, i as i64);
        }
        let mut out = b"x".to_vec();
        changes::write(&numbers, &mut out);
        prop_assert!(!out[1..].ends_with(&[0]));
        let mut lengths = Vec::new();
        changes::read(&mut Bytes(&out[1..]), numbers.len(), &mut lengths).unwrap();
        let of_runs = numbers.chunk_by(|a, b| a == b).map(|run| run.len() as i64 - 1);
        lengths.push(numbers.len() as i64 - lengths.iter().map(|l| l + 1).sum::<i64>() - 1);
        prop_assert!(of_runs.eq(lengths.iter().copied()));
    }

    #[test]
    fn varints_come_back(number in any::<u64>()) {
        let mut out = Vec::new();
        put_varint(&mut out, number);
        prop_assert_eq!(Bytes(&out).varint(), Ok(number));
    }
}

/// Of numbers of every width, all as large as they can be or any: those in a range, and the sum of
/// those before it.
#[test]
fn packed_numbers_in_part() {
    let mut random = super::Random(11);
    for bits in 1..=64u32 {
        for count in [1usize, 2, 3, 7, 40, 900] {
            let most = u64::MAX >> (64 - bits);
            let number = |random: &mut super::Random| match count % 2 {
                0 => most,
                _ => random.bits() & most,
            };
            let numbers: Vec<u64> = (0..count).map(|_| number(&mut random)).collect();
            let mut packed = Vec::new();
            let mut writer = BitWriter::new(&mut packed);
            numbers.iter().for_each(|n| writer.put(*n, bits));
            writer.finish();
            for trailing in [0, 12] {
                packed.resize(packed.len() + trailing, 0xff);
                for from in [0, 1, count / 2, count - 1, count] {
                    let to = (from + 5).min(count);
                    let mut out = Vec::new();
                    let sum = unpack_within(&packed, bits, -3, from..to, &mut out).unwrap();
                    let less = |n: &u64| (*n as i64).wrapping_sub(3);
                    let want = numbers[..from].iter().map(less).fold(0, i64::wrapping_add);
                    assert_eq!(sum, want, "{bits} bits, {from} of {count}");
                    assert!(out.into_iter().eq(numbers[from..to].iter().map(less)));
                }
            }
        }
    }
}
