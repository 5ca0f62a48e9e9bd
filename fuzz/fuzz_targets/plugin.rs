//! plugin: any bytes as what a plugin prints, run after run.

#![no_main]

#[path = "../bodies/munin.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::keeps(data));
