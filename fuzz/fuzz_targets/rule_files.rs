//! alert: any text as a rule file of Prometheus.

#![no_main]

#[path = "../bodies/alerts.rs"]
#[allow(dead_code, reason = "a target runs one of them")]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::files(data));
