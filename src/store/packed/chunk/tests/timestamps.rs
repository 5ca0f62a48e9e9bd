//! store: timestamps come back, regular ones without a list.

use proptest::prelude::*;

use super::super::{Corrupt, Scratch, Timestamps, decode_timestamps, encode_timestamps};

fn encode(timestamps: &[i64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_timestamps(timestamps, &mut Scratch::default(), &mut bytes);
    bytes
}

fn round_trip(timestamps: &[i64]) -> (Vec<u8>, Timestamps) {
    let bytes = encode(timestamps);
    let decoded = decode_timestamps(&bytes, timestamps.len(), &mut Scratch::default()).unwrap();
    assert_eq!(decoded.len(), timestamps.len());
    assert!(decoded.iter().eq(timestamps.iter().copied()), "{timestamps:?} gave {decoded:?}");
    (bytes, decoded)
}

const NOON: i64 = 1_795_342_660_000;

#[test]
fn regular_ones_are_never_listed() {
    let beat: Vec<i64> = (0..1000).map(|i| NOON + i * 10_000).collect();
    let (bytes, decoded) = round_trip(&beat);
    assert_eq!(decoded, Timestamps::Regular { start: NOON, step: 10_000, count: 1000 });
    assert_eq!(bytes.len(), 9);
    let (_, one) = round_trip(&[NOON]);
    assert_eq!(one, Timestamps::Regular { start: NOON, step: 0, count: 1 });
    round_trip(&[NOON, NOON]);
    round_trip(&[i64::MIN, i64::MAX]);
    round_trip(&[i64::MIN, 0, i64::MAX]);
    round_trip(&[i64::MIN, -1, 0, i64::MAX]);
    round_trip(&[-6_000_000_000_000_000_000, 0, 6_000_000_000_000_000_000]);
}

#[test]
fn missed_beats_cost_a_few_bytes() {
    let beat: Vec<i64> = (0..1000)
        .filter(|i| *i != 17 && !(400..460).contains(i))
        .map(|i| NOON + i * 1000)
        .collect();
    let (bytes, _) = round_trip(&beat);
    assert_eq!(bytes[0], 1);
    assert!(bytes.len() <= 15, "{}", bytes.len());
}

#[test]
fn late_beats_are_listed() {
    let late: Vec<i64> = (0..1000).map(|i| NOON + i * 1000 + i * i % 7).collect();
    let (bytes, _) = round_trip(&late);
    assert_eq!(bytes[0], 2);
    assert!(bytes.len() < 600, "{}", bytes.len());
}

#[test]
fn a_place_is_found_in_either() {
    let lists = [
        (0..10).map(|i| NOON + i * 1000).collect::<Vec<_>>(),
        vec![NOON],
        vec![NOON, NOON, NOON],
        vec![NOON, NOON + 3, NOON + 5, NOON + 1000],
    ];
    for list in lists {
        let (_, decoded) = round_trip(&list);
        for ts in (NOON - 2..NOON + 2).chain(NOON + 990..NOON + 1010).chain([i64::MIN, i64::MAX]) {
            assert_eq!(
                decoded.partition(ts),
                list.partition_point(|&t| t < ts),
                "{ts} in {list:?}"
            );
        }
        assert_eq!(decoded.get(list.len()), None);
    }
}

#[test]
fn what_descends_or_overflows_is_refused() {
    let decode = |bytes: &[u8], count| decode_timestamps(bytes, count, &mut Scratch::default());
    // Regular, start 0, step 2^62, 4 of them.
    let far = [0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
    assert!(matches!(decode(&far, 4), Err(Corrupt::Invalid(_))));
    assert!(decode(&far, 2).is_ok());
    // A gap of -3 steps.
    assert!(matches!(decode(&[1, 0, 1, 0, 0, 7], 3), Err(Corrupt::Invalid(_))));
    assert_eq!(decode(&[0, 0, 1], 0), Err(Corrupt::Count(0)));
    assert_eq!(decode(&[0, 0, 1, 1], 2), Err(Corrupt::Trailing(1)));
    assert_eq!(decode(&[0, 0], 2), Err(Corrupt::Short));
    assert_eq!(decode(&[9, 0, 0], 2), Err(Corrupt::UnknownEncoding(9)));
}

proptest! {
    #[test]
    fn any_list_comes_back(mut timestamps in prop::collection::vec(any::<i64>(), 1..300)) {
        timestamps.sort_unstable();
        round_trip(&timestamps);
    }

    #[test]
    fn any_beat_comes_back(
        start in any::<i32>(),
        step in 1i64..100_000,
        missed in prop::collection::vec((1usize..40, 0i64..5), 0..40),
        late in 0i64..3,
    ) {
        let mut list = vec![i64::from(start)];
        for (count, skipped) in missed {
            for _ in 0..count {
                list.push(list[list.len() - 1] + step);
            }
            let last = list[list.len() - 1];
            list.push(last + step * skipped + late);
        }
        round_trip(&list);
    }
}
