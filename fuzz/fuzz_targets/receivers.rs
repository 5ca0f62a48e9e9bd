//! notify: any text as where messages go.

#![no_main]

#[path = "../bodies/alerts.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::targets(data));
