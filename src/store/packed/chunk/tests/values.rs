//! store: every column comes back bit for bit, and each encoding is chosen where it belongs.

use proptest::prelude::*;

use super::super::form::id;
use super::super::{MAX_COUNT, Scratch, decode_values, decode_values_within, encode_values};
use super::{STALE, bits, cases, decode, encode, round_trip};

fn values_of(name: &str) -> Vec<f64> {
    cases().into_iter().find(|(n, _)| *n == name).unwrap().1
}

/// The id of the encoding, then, where there is a body, its plan and the kinds of its streams.
fn chosen(name: &str) -> (u8, Option<[u8; 3]>) {
    let mut bytes = Vec::new();
    let head = encode_values(&values_of(name), &mut Scratch::default(), &mut bytes);
    let kinds = bytes.get(head).map(|k| [k >> 4, k >> 2 & 3, k & 3]);
    (bytes[0] & 0x0f, kinds)
}

#[test]
fn every_case_comes_back() {
    for (_, values) in cases() {
        round_trip(&values);
    }
}

#[test]
fn every_encoding_is_chosen_for_what_it_is_made_for() {
    let shown: Vec<String> = cases()
        .iter()
        .map(|(name, values)| {
            let (id, kinds) = chosen(name);
            let bytes = encode(values).len();
            format!("{name}: {} values, {bytes} bytes, encoding {id}, {kinds:?}", values.len())
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn forms() {
    assert_eq!(chosen("counter").0, id::INTEGER);
    assert_eq!(chosen("decimals").0, id::DECIMAL);
    assert_eq!(chosen("ratio").0, id::RATIO);
    assert_eq!(chosen("percent").0, id::PERCENT);
    assert_eq!(chosen("product").0, id::PRODUCT);
    assert_eq!(chosen("constant_bits").0, id::BITS);
    assert_eq!(chosen("multiples").0, id::PCO_FLOATS);
}

#[test]
fn plans() {
    let plan = |name| chosen(name).1.map(|kinds| kinds[0]);
    assert_eq!(plan("constant"), None);
    assert_eq!(plan("levels"), Some(0));
    assert_eq!(plan("counter"), Some(1));
    assert_eq!(plan("accelerating"), Some(2));
    assert_eq!(plan("steps"), Some(3));
    assert_eq!(plan("steps_near"), Some(4));
    assert_eq!(plan("rates"), Some(5));
    assert_eq!(plan("rates_near"), Some(6));
}

#[test]
fn constants_take_a_few_bytes() {
    assert_eq!(encode(&[0.0; 3600]), [0, 0]);
    assert_eq!(encode(&[24_684_096.0; 3600]).len(), 5);
    assert!(encode(&[0.25; 100]).len() <= 4);
    assert!(encode(&[STALE; 100]).len() <= 16);
}

#[test]
fn a_few_special_values_cost_little() {
    let mut values = values_of("decimals");
    let plain = encode(&values).len();
    values[17] = f64::NAN;
    values[400..420].fill(STALE);
    values[999] = f64::INFINITY;
    let bytes = round_trip(&values);
    assert_eq!(bytes[0] & 0x0f, id::DECIMAL);
    assert!(bytes.len() < plain + 60, "{} against {plain}", bytes.len());
}

#[test]
fn proportional_series_have_the_same_body() {
    let body = |values: &[f64]| {
        let mut bytes = Vec::new();
        let head = encode_values(values, &mut Scratch::default(), &mut bytes);
        bytes.split_off(head)
    };
    let available: Vec<f64> = values_of("counter").iter().map(|v| 9e6 + v * 4.0).collect();
    let share: Vec<f64> = available.iter().map(|v| v / 24_684_096.0).collect();
    let bytes: Vec<f64> = available.iter().map(|v| v * 1024.0).collect();
    assert_eq!(body(&available), body(&share));
    assert_eq!(body(&available), body(&bytes));
}

#[test]
fn the_longest_column() {
    let values: Vec<f64> = (0..MAX_COUNT).map(|i| (i * i % 977) as f64).collect();
    round_trip(&values);
}

#[test]
fn scratch_carries_nothing_over() {
    let mut scratch = Scratch::default();
    let mut out = vec![1.0; 5];
    for (_, values) in cases() {
        let mut bytes = b"before".to_vec();
        encode_values(&values, &mut scratch, &mut bytes);
        assert_eq!(&bytes[..6], b"before");
        assert_eq!(&bytes[6..], encode(&values));
        decode_values(&bytes[6..], values.len(), &mut scratch, &mut out).unwrap();
        assert!(bits(&out) == bits(&values));
    }
}

/// What lies at these places, unpacked alone, is what all of it has there.
fn part(values: &[f64], bytes: &[u8], from: usize, length: usize, scratch: &mut Scratch) {
    let (mut out, to) = (vec![1.0], from + length);
    decode_values_within(bytes, values.len(), from..to, scratch, &mut out).unwrap();
    let end = to.min(values.len());
    assert!(
        out[0] == 1.0 && bits(&out[1..]) == bits(&values[from.min(end)..end]),
        "{from}..{to} of {values:?}"
    );
}

#[test]
fn every_part_of_every_case() {
    let mut scratch = Scratch::default();
    for (_, values) in cases() {
        let bytes = encode(&values);
        for length in [0, 1, 2, 3, 20, 256, 300] {
            for from in (0..values.len() + 2).step_by(values.len() / 70 + 1) {
                part(&values, &bytes, from, length, &mut scratch);
            }
            part(&values, &bytes, values.len().saturating_sub(length), length, &mut scratch);
        }
    }
}

fn special() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(STALE),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        Just(0.0),
        Just(f64::MIN_POSITIVE / 4.0),
        Just(f64::MAX),
        Just(9_007_199_254_740_993.0),
        Just(i64::MAX as f64),
        Just(i64::MIN as f64),
        Just(u64::MAX as f64),
        any::<u64>().prop_map(f64::from_bits),
    ]
}

fn column() -> impl Strategy<Value = Vec<f64>> {
    let integers = prop::collection::vec(any::<i32>().prop_map(f64::from), 1..400);
    let large = prop::collection::vec(any::<i64>().prop_map(|n| n as f64), 1..100);
    let decimals = (1u8..12, prop::collection::vec(any::<i32>(), 1..400)).prop_map(|(k, ns)| {
        ns.into_iter().map(|n| f64::from(n) / 10f64.powi(i32::from(k))).collect()
    });
    let scaled = (1u32..1 << 30, prop::collection::vec(0u32..1 << 24, 1..400), any::<bool>())
        .prop_map(|(d, ns, percent)| {
            let scale = if percent { 100.0 } else { 1.0 };
            ns.into_iter().map(|n| f64::from(n) / f64::from(d) * scale).collect()
        });
    let walk = (any::<i32>(), prop::collection::vec(-3i32..4, 1..600), 0..4i32).prop_map(
        |(start, steps, k)| {
            let mut level = f64::from(start);
            let scale = 10f64.powi(k);
            steps
                .into_iter()
                .map(|step| {
                    level += f64::from(step);
                    level / scale
                })
                .collect()
        },
    );
    let runs = prop::collection::vec((0..50u32, 1..90usize), 1..20).prop_map(|runs| {
        runs.into_iter().flat_map(|(n, len)| std::iter::repeat_n(f64::from(n), len)).collect()
    });
    let floats = prop::collection::vec(any::<f64>(), 1..300);
    let anything = prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 1..300);
    prop_oneof![integers, large, decimals, scaled, walk, runs, floats, anything]
}

#[test]
fn nans_of_many_kinds_cost_no_more_than_their_bits() {
    let nan =
        |n: u64| f64::from_bits(0x7ff8_0000_0000_0000 | n.wrapping_mul(0x9e37_79b9_7f4a) >> 4);
    for ordinary in [0, 1, 3] {
        let mut values: Vec<f64> = (0..60).map(nan).collect();
        values[20..20 + ordinary].fill(7.0);
        let bytes = round_trip(&values);
        assert!(bytes.len() <= 32 + 9 * values.len(), "{ordinary}: {} bytes", bytes.len());
    }
}

proptest! {
    #[test]
    fn any_column_comes_back(values in column()) {
        round_trip(&values);
    }

    #[test]
    fn with_special_values_too(
        mut values in column(),
        odd in prop::collection::vec((any::<prop::sample::Index>(), special()), 0..12),
        from in any::<prop::sample::Index>(),
        length in 0usize..90,
    ) {
        for (at, value) in odd {
            let at = at.index(values.len());
            values[at] = value;
        }
        let bytes = round_trip(&values);
        part(&values, &bytes, from.index(values.len()), length, &mut Scratch::default());
    }

    #[test]
    fn only_special_values(values in prop::collection::vec(special(), 1..200)) {
        let bytes = encode(&values);
        prop_assert!(bits(&decode(&bytes, values.len())) == bits(&values));
    }
}
