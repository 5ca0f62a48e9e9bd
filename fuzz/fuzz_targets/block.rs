//! store: any bytes as a block of columns.

#![no_main]

#[path = "../bodies/block.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
