//! store: any bytes as a column of timestamps, and any timestamps through encoder and decoder.

#![no_main]

#[path = "../bodies/chunk_timestamps.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
