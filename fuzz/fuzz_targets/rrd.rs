//! wire: any bytes as what other tools keep of the past.

#![no_main]

#[path = "../bodies/rrd.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
