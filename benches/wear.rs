//! benches: days of beats in minutes, for the bytes that they write: what the store does with one
//! machine's series, beat by beat, with commits, upkeep and checkpoints where the daemon has them.
//!
//! `cargo bench --bench wear -- FOLDER [SERIES [DAYS [SECONDS [BEATS]]]]` prints a line a simulated day, with so many
//! beats in one commit;
//! `ci/bench/wear.py` runs it on a disk of its own and reads that disk's counters at each line.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll::model::{Identity, Labels, Registry, Series};
use plimsoll::pipeline::{Batch, Source};
use plimsoll::store::{Store, Times, sizes};
use random::Random;

#[path = "../tests/random/mod.rs"]
mod random;

/// As the writer has it: upkeep is looked for so often.
const UPKEEP_MS: i64 = 30_000;

/// Half of a machine's series stand still, a quarter only grow, a quarter wander with two decimals.
fn next(i: usize, value: f64, dice: &mut Random) -> f64 {
    let dice = dice.bits();
    match i % 4 {
        0 | 1 => value,
        2 => value + (dice % 5_000) as f64,
        _ => ((value + (dice % 201) as f64 / 100.0 - 1.0) * 100.0).round() / 100.0,
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let folder = words.first().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let number = |i: usize, usual: i64| words.get(i).and_then(|w| w.parse().ok()).unwrap_or(usual);
    let (series, days, every) = (number(1, 220) as usize, number(2, 4), number(3, 10) * 1_000);
    let together = number(4, 1) as usize;
    let dir = tempfile::tempdir_in(folder).unwrap();
    let path = dir.path().join("metrics.sqlite");
    let registry = Arc::new(Registry::default());
    let refs: Vec<_> = (0..series)
        .map(|i| {
            let labels = Labels::new([("n", i.to_string())]);
            registry.intern(Series::undescribed(Identity::local("bench", "synthetic", labels)))
        })
        .collect();
    let mut values = vec![100.0; series];
    let mut dice = Random(0x9E37_79B9_7F4A_7C15);
    let mut store = Store::open(&path, "bench", registry).unwrap();
    let checkpoint = |store: &Store| {
        store.checkpoint().unwrap();
    };
    let start_ms = 1_700_000_000_000;
    let mut looked = 0;
    let mut waiting = Vec::new();
    for day in 1..=days {
        for beat in (day - 1) * 86_400_000 / every..day * 86_400_000 / every {
            let ts = start_ms + beat * every;
            let mut samples = Vec::with_capacity(series);
            for (i, (value, of)) in values.iter_mut().zip(&refs).enumerate() {
                *value = next(i, *value, &mut dice);
                samples.push((*of, *value));
            }
            waiting.push(Batch::of(Source::Collect, ts, samples));
            if waiting.len() < together {
                continue;
            }
            store.commit(&waiting).unwrap();
            waiting.clear();
            if ts - looked >= UPKEEP_MS {
                looked = ts;
                let now = Times { wall: ts, boot: ts };
                while store.upkeep(now, Duration::from_millis(25)).unwrap() {
                    checkpoint(&store);
                }
            }
            checkpoint(&store);
        }
        let bytes: u64 = sizes(&path).iter().map(|(_, bytes)| bytes).sum();
        println!("day {day}: {bytes} bytes");
        std::io::stdout().flush().unwrap();
    }
}
