//! benches: what a warm reading costs, per collector and in all, on this machine.

use std::sync::Arc;
use std::time::Instant;

use plimsoll::collect::{COLLECTORS, Settings};
use plimsoll::model::{Recorder, Registry};

const WARM_UP: usize = 200;
const ROUNDS: usize = 5000;

fn main() {
    let settings = Settings::default();
    let registry = Arc::new(Registry::default());
    let mut total = 0.0;
    println!("{:<12} {:>9} {:>9} {:>7}", "collector", "median µs", "p99 µs", "series");
    for entry in COLLECTORS {
        let mut collector = (entry.make)(&settings);
        let mut recorder = Recorder::new(Arc::clone(&registry), "node", Arc::default());
        let mut spent = Vec::with_capacity(ROUNDS);
        for round in 0..WARM_UP + ROUNDS {
            let start = Instant::now();
            recorder.begin();
            let outcome = collector.collect(&mut recorder);
            let elapsed = start.elapsed();
            if round >= WARM_UP {
                spent.push(elapsed.as_nanos() as f64 / 1000.0);
            }
            std::hint::black_box(outcome.is_ok());
        }
        spent.sort_by(f64::total_cmp);
        let median = spent[ROUNDS / 2];
        total += median;
        let series = recorder.samples().len();
        println!("{:<12} {median:>9.2} {:>9.2} {series:>7}", entry.name, spent[ROUNDS * 99 / 100]);
    }
    println!("{:<12} {total:>9.2} {:>9} {:>7}", "all", "", registry.len());
}
