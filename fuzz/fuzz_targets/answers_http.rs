//! reach, notify: any bytes as what a web server or a proxy answers to a message.

#![no_main]

#[path = "../bodies/answers.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::http(data));
