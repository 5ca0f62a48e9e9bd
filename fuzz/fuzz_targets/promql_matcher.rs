//! query: any text as a pattern and a value.

#![no_main]

#[path = "../bodies/promql.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| body::matcher(input.0, input.1));
