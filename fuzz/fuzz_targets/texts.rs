//! wire, model, config: any bytes as what people write.

#![no_main]

#[path = "../bodies/texts.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
