//! wire: any bytes as JSON that was pushed: records or errors, and an end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::wire::{Record, Records};

fuzz_target!(|data: &[u8]| {
    let mut reader = plimsoll::wire::json::Reader::pushed(data, 0);
    let mut record = Record::default();
    let mut turns = 0;
    while let Some(result) = reader.next(&mut record) {
        assert!(result.is_err() || !record.key.is_empty());
        let _said = reader.about();
        turns += 1;
        assert!(turns <= data.len() + 1, "it ends");
    }
});
