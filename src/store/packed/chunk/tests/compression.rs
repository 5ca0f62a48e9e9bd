//! store: ten minutes of a real machine must not take more bytes than before.

use super::round_trip;

/// One line a series: key, then 600 values, a second apart.
const RECORDING: &str = include_str!("../../../../../tests/fixtures/chunk/recording.csv");

#[test]
fn a_real_recording_stays_small() {
    let mut samples = 0;
    let mut bytes = 0;
    for line in RECORDING.lines() {
        let (_, values) = line.split_once(',').unwrap();
        let values: Vec<f64> = values.split(',').map(|v| v.parse().unwrap()).collect();
        samples += values.len();
        bytes += round_trip(&values).len();
    }
    assert_eq!(samples, 7200);
    assert!(bytes <= LIMIT, "{bytes} bytes for {samples} samples");
}

/// What it was when this was written, and one percent.
const LIMIT: usize = 5472 + 54;
