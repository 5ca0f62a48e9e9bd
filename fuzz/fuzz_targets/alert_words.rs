//! alert: any text as rules, silences and times of the week.

#![no_main]

#[path = "../bodies/alerts.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::words(data));
