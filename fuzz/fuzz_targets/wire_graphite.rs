//! wire: any bytes as a line of Graphite.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::model::parse_key;
use plimsoll::wire::{Record, graphite};

fuzz_target!(|data: &[u8]| {
    let mut record = Record::default();
    if let Ok(true) = graphite::parse(data, 0, &mut record) {
        assert!(!record.value.is_nan());
        assert!(!parse_key(&record.key).0.is_empty());
    }
});
