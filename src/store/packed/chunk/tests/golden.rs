//! store: bytes once written are read for ever. A fixture is never changed; a new encoding brings
//! a new one.
//!
//! `PLIMSOLL_FIXTURES=write cargo test golden` writes those that are missing.

use std::path::PathBuf;

use super::super::{Scratch, decode_timestamps, encode_timestamps};
use super::{bits, cases, decode, encode};

fn fixture(name: &str, bytes: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/chunk")
        .join(format!("{name}.hex"));
    if !path.exists() && std::env::var_os("PLIMSOLL_FIXTURES").is_some_and(|v| v == "write") {
        let lines: Vec<String> = bytes()
            .chunks(32)
            .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect();
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    }
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|e| panic!("{}: {e}; see this file's head", path.display()));
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn values_of_old() {
    for (name, values) in cases() {
        let bytes = fixture(name, || encode(&values));
        assert!(bits(&decode(&bytes, values.len())) == bits(&values), "{name}");
    }
}

#[test]
fn timestamps_of_old() {
    let start = 1_795_342_660_000i64;
    let lists: [(&str, Vec<i64>); 3] = [
        ("ts_regular", (0..1000).map(|i| start + i * 10_000).collect()),
        ("ts_gaps", (0..1000).filter(|i| i % 333 != 5).map(|i| start + i * 1000).collect()),
        ("ts_list", (0..500).map(|i| start + i * 1000 + i * i % 7).collect()),
    ];
    for (kind, (name, list)) in lists.into_iter().enumerate() {
        let mut scratch = Scratch::default();
        let bytes = fixture(name, || {
            let mut bytes = Vec::new();
            encode_timestamps(&list, &mut Scratch::default(), &mut bytes);
            bytes
        });
        assert_eq!(usize::from(bytes[0]), kind, "{name}");
        let decoded = decode_timestamps(&bytes, list.len(), &mut scratch).unwrap();
        assert!(decoded.iter().eq(list), "{name}");
    }
}
