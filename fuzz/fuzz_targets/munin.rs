//! wire: any bytes as what plugins print, and as the files that say how they are run.

#![no_main]

#[path = "../bodies/munin.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
