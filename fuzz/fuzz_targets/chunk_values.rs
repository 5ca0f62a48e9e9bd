//! store: any bytes as a column of values, without the checksum that protects them in a file; and
//! any values through encoder and decoder.

#![no_main]

#[path = "../bodies/chunk_values.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
