//! query: any text as PromQL.

#![no_main]

#[path = "../bodies/promql.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|text: &str| body::parses(text));
