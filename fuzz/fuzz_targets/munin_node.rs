//! wire: any bytes as what masters and nodes of Munin say to each other.

#![no_main]

#[path = "../bodies/munin_node.rs"]
mod body;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::run(data));
