//! tests: the bytes of sealed samples are what docs/format says. `reader.py` follows those
//! documents and not the source, in another language; it has to find every bit that was put in, and
//! to notice every bit that was turned.

mod columns;
mod database;
#[path = "../random/mod.rs"]
mod random;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use random::Random;

/// Runs the reader; `input` is its standard input.
fn reader(words: &[&str], input: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format/reader.py");
    // The machine's own, as in the tests of the extension, and no bytecode left in the sources.
    let mut child = Command::new("/usr/bin/python3")
        .arg("-B")
        .arg(script)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the Debian package python3");
    let mut stdin = child.stdin.take().expect("piped");
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().expect("it ends")
    })
}

/// What it prints, where nothing is damaged.
#[track_caller]
fn read(words: &[&str], input: &str) -> String {
    let output = reader(words, input);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{words:?}: {:?}", output.status);
    String::from_utf8(output.stdout).expect("text")
}

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        (self.bits() % bound as u64) as i64
    }

    /// One time in so many.
    fn one_in(&mut self, bound: i64) -> bool {
        self.below(bound) == 0
    }
}

/// The values that text, SQL and arithmetic lose most easily: infinities, both zeros, subnormals,
/// numbers that are none, with and without a sign and something to say.
const ODD: [u64; 12] = [
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x0000_0000_0000_0000,
    0x8000_0000_0000_0000,
    0x0000_0000_0000_0001,
    0x800f_ffff_ffff_ffff,
    0x7fef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0002, // stale
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0000,
    0x7ff8_dead_beef_0001,
    0xfff0_0000_0000_0001,
];

/// The next value of a series, of the `kind`-th of many behaviours; `level` is what it remembers.
/// No libm: everywhere the same.
fn next_value(kind: usize, i: usize, level: &mut i64, random: &mut Random) -> f64 {
    let turn = |chance: i64, random: &mut Random| i > 0 && random.one_in(chance);
    match kind {
        // Whole numbers: noise, a walk, far from zero, near the ends of what there is.
        0 => random.below(5).pow(3) as f64,
        1 => {
            *level += random.below(4_001) - 2_000;
            (10_000_000_000 + *level * 4_096) as f64
        }
        2 => {
            *level = level.wrapping_add((random.bits() >> 1) as i64);
            *level as f64
        }
        // Counters: steady, in bursts, begun anew, idle for long.
        3 => {
            *level += 1_000 + random.below(300);
            *level as f64
        }
        4 => {
            *level += 1i64 << (random.below(16) * random.below(4)) | random.below(8);
            *level as f64
        }
        5 => {
            *level = if turn(150, random) { random.below(9) } else { *level + random.below(90) };
            *level as f64
        }
        6 => {
            *level += if (i / 70).is_multiple_of(3) { 1 + random.below(30) } else { 0 };
            *level as f64
        }
        // Rates that change now and then, and ramps.
        7 => {
            let speed = [0, 7, 100, 12_345][i / 41 % 4];
            *level += speed;
            *level as f64
        }
        8 => 1e9 + 15.0 * i as f64,
        9 => {
            *level += random.below(64) - 32;
            (*level * i as i64 + 1_000_000) as f64
        }
        // Constant, nearly so, and steps.
        10 => 24_684_096.0,
        11 => std::f64::consts::PI,
        12 => {
            if turn(60, random) {
                *level = random.below(100);
            }
            *level as f64
        }
        13 => {
            if i.is_multiple_of(23) {
                *level += random.below(64) * 4 - 126;
            }
            (5_000_000 + *level) as f64
        }
        // Decimals, ratios, per cent, products.
        14 => {
            *level += random.below(41) - 20;
            *level as f64 / 100.0
        }
        15 => {
            *level += random.below(2_000_001) - 1_000_000;
            *level as f64 / 1e6
        }
        16 => {
            *level += random.below(4_096) - 2_048;
            ((6_000_000 + *level) * 4) as f64 / 24_684_096.0
        }
        17 => {
            *level += random.below(16);
            (2_800_000 + *level) as f64 / 66_053_888.0 * 100.0
        }
        18 => {
            *level += random.below(90);
            *level as f64 * 1e-2
        }
        // All the digits that there are: any, multiples, of 32 bits, smooth.
        19 => f64::from_bits(random.bits() >> 2 | 1 << 61),
        20 => random.below(4_000) as f64 * 0.017_345_678_912_3,
        21 => f64::from(f32::from_bits(0x4000_0000 | (random.bits() >> 41) as u32)),
        22 => {
            let x = i as f64 / 500.0;
            (x * x * x - 3.0 * x) / (1.0 + x * x)
        }
        23 => {
            *level += random.below(2_001) - 1_000;
            *level as f64 * 1e-310
        }
        // Odd ones: any of them, in runs, any bits, nothing else.
        24 => match random.below(6) {
            0 => f64::from_bits(ODD[random.below(ODD.len() as i64) as usize]),
            _ => random.below(1_000) as f64 / 10.0,
        },
        25 => match i / 30 % 4 {
            1 => f64::from_bits(ODD[i / 120 % ODD.len()]),
            _ => random.below(1_000) as f64,
        },
        26 => f64::from_bits(random.bits()),
        27 => f64::from_bits(0x7ff0_0000_0000_0002),
        28 => -0.0,
        // Idle for long, then nearly always another value, then sometimes.
        _ => {
            let busy = [random.one_in(300), !random.one_in(300), random.one_in(2)][i / 600 % 3];
            *level += if busy { 1 + random.below(30) } else { 0 };
            *level as f64
        }
    }
}

/// How many behaviours [`next_value`] knows.
const KINDS: usize = 30;
