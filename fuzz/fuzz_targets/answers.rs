//! reach, notify: any bytes as what a receiver of messages answers.

#![no_main]

#[path = "../bodies/answers.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
