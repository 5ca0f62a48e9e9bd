//! alert: any text as the template of an annotation.

#![no_main]

#[path = "../bodies/alerts.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::template(data));
