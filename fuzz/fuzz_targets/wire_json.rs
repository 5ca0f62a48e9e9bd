//! wire: any bytes as JSON that was pushed.

#![no_main]

#[path = "../bodies/push.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::json(data));
