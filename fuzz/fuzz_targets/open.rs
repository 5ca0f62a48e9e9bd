//! store: a database whose bytes are not what was written, opened and used.

#![no_main]

#[path = "../bodies/open.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
