//! collect: any bytes as what the kernel and other programs tell.

#![no_main]

#[path = "../bodies/collect.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
