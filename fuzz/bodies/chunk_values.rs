//! store: any bytes as a column of values, without the checksum that protects them in a file; and
//! any values through encoder and decoder.

use std::cell::RefCell;

use plimsoll::store::chunk::{
    MAX_COUNT, Scratch, decode_values, decode_values_within, encode_values,
};

thread_local! {
    // Kept, so that what one column leaves behind would show in the next.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

fn comes_back(values: &[f64], scratch: &mut Scratch) {
    let (mut bytes, mut again) = (Vec::new(), Vec::new());
    let head = encode_values(values, scratch, &mut bytes);
    assert!(head <= bytes.len());
    assert!(bytes.len() <= 32 + 9 * values.len(), "{} bytes", bytes.len());
    decode_values(&bytes, values.len(), scratch, &mut again).expect("what was encoded decodes");
    assert!(values.iter().map(|v| v.to_bits()).eq(again.iter().map(|v| v.to_bits())));
}

/// One input.
pub fn run(data: &[u8]) {
    let [low, high, bytes @ ..] = data else { return };
    let count = usize::from(u16::from_le_bytes([*low, *high])) + 1;
    assert!(count <= MAX_COUNT);
    SCRATCH.with_borrow_mut(|scratch| {
        let mut values = Vec::new();
        // Any part, even of what makes no column; of one that does, the values that are there.
        let (from, mut part) = (usize::from(*low) * count / 256, Vec::new());
        let to = (from + usize::from(*high)).min(count);
        let found = decode_values_within(bytes, count, from..to, scratch, &mut part);
        if decode_values(bytes, count, scratch, &mut values).is_ok() {
            assert_eq!(values.len(), count);
            found.expect("a part of what decodes does");
            let bits = |v: &f64| v.to_bits();
            assert!(part.iter().map(bits).eq(values[from..to].iter().map(bits)));
            comes_back(&values[..count.min(2000)], scratch);
        }
        let values: Vec<f64> = match high % 3 {
            0 => bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            1 => bytes.iter().map(|&b| f64::from(b) / f64::from(*low)).collect(),
            _ => bytes.chunks_exact(2).map(|b| f64::from(b[0]) * 0.01 + f64::from(b[1])).collect(),
        };
        if !values.is_empty() {
            comes_back(&values, scratch);
        }
    });
}
