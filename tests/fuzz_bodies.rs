//! tests: what the fuzz targets do, on inputs that were found once (fuzz/seeds) and on some that are
//! thrown by dice: a target that nobody runs for a while must still hold. For hours: cargo fuzz.

#![allow(clippy::unwrap_used, reason = "the bodies are shared with the fuzz targets")]

use std::path::Path;

#[path = "../fuzz/bodies/chunk_timestamps.rs"]
mod chunk_timestamps;
#[path = "../fuzz/bodies/chunk_values.rs"]
mod chunk_values;
#[path = "../fuzz/bodies/munin.rs"]
mod munin;
#[path = "../fuzz/bodies/open.rs"]
mod open;
#[path = "../fuzz/bodies/rrd.rs"]
mod rrd;

/// The body on every kept input, then on so many of random bytes and lengths.
fn hold(target: &str, random: u64, longest: u64, body: impl Fn(&[u8])) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(kept)
        .map(|d| d.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    files.sort();
    for file in files {
        println!("{}", file.display());
        body(&std::fs::read(&file).expect("readable"));
    }
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut roll = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    for _ in 0..random {
        let length = roll() % longest;
        let bytes: Vec<u8> = (0..length).map(|_| roll() as u8).collect();
        println!("{bytes:?}");
        body(&bytes);
    }
}

#[test]
fn any_bytes_as_a_column_of_values() {
    hold("chunk_values", 2_000, 400, chunk_values::run);
}

#[test]
fn any_bytes_as_a_column_of_timestamps() {
    hold("chunk_timestamps", 2_000, 400, chunk_timestamps::run);
}

#[test]
fn a_database_with_changed_bytes() {
    hold("open", 60, 60, open::run);
}

#[test]
fn any_bytes_as_what_a_plugin_prints() {
    hold("munin", 2_000, 400, munin::run);
}

#[test]
fn any_bytes_as_what_other_tools_keep() {
    hold("rrd", 2_000, 400, rrd::run);
}
