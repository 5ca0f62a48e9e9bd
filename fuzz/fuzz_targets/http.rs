//! http: any bytes as a request.

#![no_main]

#[path = "../bodies/http.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    body::run(data);
});
