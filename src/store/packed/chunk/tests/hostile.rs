//! store: bytes that nobody wrote give an error or other values, never a panic, a hang or memory
//! beyond what the count allows.

use proptest::prelude::*;

use super::super::{
    Corrupt, MAX_COUNT, Scratch, decode_timestamps, decode_values, decode_values_within,
    encode_timestamps,
};
use super::{Random, cases, encode};

fn decode(bytes: &[u8], count: usize, scratch: &mut Scratch) -> Result<(), Corrupt> {
    let mut values = Vec::new();
    // A few of them: whatever comes of it.
    let _ = decode_values_within(bytes, count, count / 3..count / 3 + 40, scratch, &mut values);
    let result = decode_values(bytes, count, scratch, &mut values);
    match result {
        Ok(()) => assert_eq!(values.len(), count),
        Err(_) => assert!(values.is_empty()),
    }
    result
}

#[test]
fn mutated_columns() {
    let mut random = Random(7);
    let mut scratch = Scratch::default();
    for (_, values) in cases() {
        let bytes = encode(&values);
        for round in 0..400 {
            let mut wrong = bytes.clone();
            for _ in 0..1 + round % 4 {
                // Most of what matters stands in front.
                let reach = if round % 2 == 0 { wrong.len() } else { wrong.len().min(40) };
                let at = random.below(reach as i64) as usize;
                wrong[at] ^= 1 << random.below(8);
            }
            let _ = decode(&wrong, values.len(), &mut scratch);
            let _ = decode(&wrong, 1 + random.below(MAX_COUNT as i64) as usize, &mut scratch);
        }
    }
}

#[test]
fn a_column_cut_short_is_refused() {
    let mut scratch = Scratch::default();
    for (name, values) in cases() {
        let bytes = encode(&values);
        for end in 0..bytes.len() {
            // A column may lose all of its body and be a constant one; changes do not say where
            // they end, and may by chance be as many.
            if decode(&bytes[..end], values.len(), &mut scratch).is_ok() {
                assert!(
                    end < 100 || name == "busy_and_idle",
                    "{name} without its last {} bytes",
                    bytes.len() - end
                );
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(decode(&longer, values.len(), &mut scratch).is_err(), "{name}");
    }
}

#[test]
fn counts_are_bounded() {
    let mut scratch = Scratch::default();
    assert_eq!(decode(&[0, 0], 0, &mut scratch), Err(Corrupt::Count(0)));
    assert_eq!(decode(&[0, 0], MAX_COUNT + 1, &mut scratch), Err(Corrupt::Count(MAX_COUNT + 1)));
    assert_eq!(decode(&[0, 0], usize::MAX, &mut scratch), Err(Corrupt::Count(usize::MAX)));
    assert_eq!(decode(&[], 5, &mut scratch), Err(Corrupt::Short));
    assert_eq!(decode(&[0x4f, 0], 5, &mut scratch), Err(Corrupt::UnknownEncoding(0x4f)));
    assert_eq!(decode(&[9, 0], 5, &mut scratch), Err(Corrupt::UnknownEncoding(9)));
    assert_eq!(decode(&[0, 0, 0x70, 0], 5, &mut scratch), Err(Corrupt::UnknownPlan(7)));
}

#[test]
fn a_dictionary_that_claims_much_is_refused_before_it_is_allocated() {
    // pco's float column with mode 4 (dictionary) of 2^25 - 1 entries; with lookback of 2^24.
    for meta in [[0xf4, 0xff, 0xff, 0xff, 0x0f], [0x20, 0xff, 0xff, 0xff, 0xff]] {
        let mut bytes = vec![6];
        bytes.extend_from_slice(&meta);
        bytes.resize(64, 0);
        assert!(matches!(decode(&bytes, 100, &mut Scratch::default()), Err(Corrupt::Invalid(_))));
    }
}

#[test]
fn errors_are_sentences() {
    let said = decode(&[9, 0], 5, &mut Scratch::default()).unwrap_err().to_string();
    assert_eq!(said, "encoding 0x09 is unknown; a later version of plimsoll may have written it");
}

proptest! {
    #[test]
    fn random_bytes(
        id in 0u8..0x40,
        rest in prop::collection::vec(any::<u8>(), 0..200),
        count in 1usize..2000,
    ) {
        let mut bytes = vec![id];
        bytes.extend_from_slice(&rest);
        let mut scratch = Scratch::default();
        let _ = decode(&bytes, count, &mut scratch);
        let _ = decode_timestamps(&bytes, count, &mut scratch);
        bytes[0] %= 3;
        let _ = decode_timestamps(&bytes, count, &mut scratch);
    }

    #[test]
    fn mutated_timestamps(
        steps in prop::collection::vec(0i64..50, 1..300),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut ts = 0;
        let list: Vec<i64> = steps.iter().map(|s| { ts += s; ts }).collect();
        let mut scratch = Scratch::default();
        let mut bytes = Vec::new();
        encode_timestamps(&list, &mut scratch, &mut bytes);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(decoded) = decode_timestamps(&bytes, list.len(), &mut scratch) {
            prop_assert_eq!(decoded.iter().count(), list.len());
            prop_assert!(decoded.iter().is_sorted());
        }
    }
}
