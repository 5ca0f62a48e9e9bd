//! store: any bytes as a column of timestamps, and any timestamps through encoder and decoder.

use plimsoll::store::chunk::{Scratch, Timestamps, decode_timestamps, encode_timestamps};

fn comes_back(list: &[i64], scratch: &mut Scratch) {
    let mut bytes = Vec::new();
    encode_timestamps(list, scratch, &mut bytes);
    let again = decode_timestamps(&bytes, list.len(), scratch).expect("what was encoded decodes");
    assert!(again.iter().eq(list.iter().copied()));
}

/// One input.
pub fn run(data: &[u8]) {
    let [low, high, bytes @ ..] = data else { return };
    let count = usize::from(u16::from_le_bytes([*low, *high])) + 1;
    let mut scratch = Scratch::default();
    if let Ok(timestamps) = decode_timestamps(bytes, count, &mut scratch) {
        assert_eq!(timestamps.len(), count);
        if let Timestamps::List(list) = &timestamps {
            assert!(list.is_sorted());
            comes_back(&list[..count.min(2000)], &mut scratch);
        }
    }
    let mut list: Vec<i64> = if high % 2 == 0 {
        bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect()
    } else {
        let mut ts = 0;
        bytes
            .iter()
            .map(|&b| {
                ts += i64::from(b % 8) * i64::from(*low);
                ts
            })
            .collect()
    };
    list.sort_unstable();
    if !list.is_empty() {
        comes_back(&list, &mut scratch);
    }
}
