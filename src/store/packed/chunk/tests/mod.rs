//! store: the codec's tests. What is generated here is deterministic and needs no libm, so that the
//! fixtures mean the same values everywhere.

mod compression;
mod golden;
mod hostile;
mod parts;
mod timestamps;
mod values;

use super::{Scratch, decode_values, encode_values};
use crate::random::Random;

/// What a monitor would store as `None`: Prometheus' mark of a series that ended.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        (self.bits() % bound as u64) as i64
    }
}

fn encode(values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let head = encode_values(values, &mut Scratch::default(), &mut bytes);
    assert!(head <= bytes.len());
    bytes
}

fn decode(bytes: &[u8], count: usize) -> Vec<f64> {
    let mut values = Vec::new();
    decode_values(bytes, count, &mut Scratch::default(), &mut values).unwrap();
    values
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The bytes, after they have shown to give the values back.
fn round_trip(values: &[f64]) -> Vec<u8> {
    let bytes = encode(values);
    // Not assert_eq, which would print them all.
    assert!(bits(&decode(&bytes, values.len())) == bits(values), "{values:?} came back otherwise");
    bytes
}

/// One column for each thing the codec is made for.
fn cases() -> Vec<(&'static str, Vec<f64>)> {
    let mut columns: Vec<(&'static str, Vec<f64>)> = Vec::new();
    let mut column =
        |name: &'static str, count: usize, next: &mut dyn FnMut(usize, &mut Random) -> f64| {
            // Of its own, so that a case more changes no other one's fixture.
            let mut random =
                Random(name.bytes().fold(1876, |seed, b| seed.wrapping_mul(31) + u64::from(b)));
            let values = (0..count).map(|i| next(i, &mut random)).collect();
            columns.push((name, values));
        };
    column("one", 1, &mut |_, _| 42.5);
    column("constant", 500, &mut |_, _| 24_684_096.0);
    column("constant_bits", 500, &mut |_, _| std::f64::consts::PI);
    column("all_stale", 40, &mut |_, _| STALE);
    column("packed", 12, &mut |_, r| r.below(900) as f64);
    column("levels", 600, &mut |_, r| r.below(5).pow(3) as f64);
    let mut total = 0;
    column("counter", 1000, &mut |_, r| {
        total += r.below(300);
        total as f64
    });
    let mut total = 0;
    column("wide_counter", 600, &mut |_, r| {
        total += r.below(1 << 40);
        total as f64
    });
    let mut total = 0;
    column("bursts", 600, &mut |_, r| {
        total += 1i64 << (r.below(16) * r.below(4)) | r.below(8);
        total as f64
    });
    let (mut level, mut speed) = (0, 1_000_000);
    column("accelerating", 800, &mut |_, r| {
        speed += r.below(64) - 32;
        level += speed;
        level as f64
    });
    let mut level = 50;
    column("steps", 900, &mut |_, r| {
        if r.below(20) == 0 {
            level = r.below(100);
        }
        level as f64
    });
    let mut level = 5_000_000;
    column("steps_near", 900, &mut |i, r| {
        if i % 11 == 0 {
            level += r.below(64) * 4 - 126;
        }
        level as f64
    });
    let (mut level, mut busy) = (0, false);
    column("busy_and_idle", 1200, &mut |_, r| {
        busy ^= r.below(40) == 0;
        if r.below(40) < if busy { 37 } else { 1 } {
            level += 1 + r.below(30);
        }
        level as f64
    });
    let (mut level, mut speed) = (0, 0);
    column("rates", 900, &mut |_, r| {
        if r.below(30) == 0 {
            speed = [0, 7, 100][r.below(3) as usize];
        }
        level += speed;
        level as f64
    });
    let (mut level, mut speed) = (0, 1 << 30);
    column("rates_near", 900, &mut |i, r| {
        if i % 17 == 0 {
            speed += r.below(512) - 256;
        }
        level += speed;
        level as f64
    });
    column("ramp", 400, &mut |i, _| 1e9 + 15.0 * i as f64);
    let mut walk = 5_000;
    column("decimals", 1000, &mut |_, r| {
        walk += r.below(41) - 20;
        walk as f64 / 100.0
    });
    let mut ticks = 0;
    column("product", 600, &mut |_, r| {
        ticks += r.below(90);
        ticks as f64 * 1e-2
    });
    let mut available = 6_000_000;
    column("ratio", 360, &mut |_, r| {
        available += r.below(4096) - 2048;
        (available * 4) as f64 / 24_684_096.0
    });
    let mut used = 2_800_000;
    column("percent", 360, &mut |_, r| {
        used += r.below(16);
        used as f64 / 66_053_888.0 * 100.0
    });
    column("full_floats", 300, &mut |_, r| f64::from_bits(r.bits() >> 2 | 1 << 61));
    column("multiples", 600, &mut |_, r| r.below(4000) as f64 * 0.017_345_678_912_3);
    column("exceptions", 800, &mut |i, r| match i {
        0 => f64::NEG_INFINITY,
        100 => -0.0,
        300..400 => STALE,
        500 => f64::NAN,
        700 => 1e-300,
        _ => r.below(1000) as f64 / 10.0,
    });
    columns
}
