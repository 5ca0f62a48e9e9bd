//! reach: any bytes as what a node of Munin answers.

#![no_main]

#[path = "../bodies/answers.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::node(data));
