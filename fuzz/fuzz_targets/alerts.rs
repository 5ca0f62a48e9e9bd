//! wire, alert, notify: any text as what people write about alerts.

#![no_main]

#[path = "../bodies/alerts.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
