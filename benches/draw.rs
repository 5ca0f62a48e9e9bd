//! benches: what a picture costs: a year of a series out of the file (five-minute rollups), as SVG
//! and as PNG, and each part of that.
//!
//! `cargo bench --bench draw`: medians. The bound: the SVG of a year takes 20 ms at most.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll::draw::{self, Ask, Frame};
use plimsoll::model::Registry;
use plimsoll::query::Catalog;
use plimsoll::query::eval::Limits;
use plimsoll::store::{Limits as Bounds, Reader, Store, Times};

const START: i64 = 1_735_689_600_000;
const MINUTE: i64 = 60_000;
const COUNT: i64 = 525_600;
const END: i64 = START + COUNT * MINUTE;

fn main() {
    let scratch = tempfile::tempdir_in(".").unwrap();
    let path = scratch.path().join("metrics.sqlite");
    fill(&path);
    let reader = Reader::open(&path).unwrap();
    let catalog = Catalog::read(&reader).unwrap();
    let ask = |expression: &'static str| {
        let limits = Limits::default();
        draw::gather(
            &reader,
            &catalog,
            &Ask { expression, from: START, to: END, points: 710, limits },
        )
        .unwrap()
    };
    let frame = Frame::default();
    for expression in ["s0", "s1_total", "{__name__=~\"s.*\"}"] {
        let chart = ask(expression);
        let picture = draw::picture(&chart, &frame);
        println!(
            "{expression}: {} lines, {} kB of SVG",
            chart.lines.len(),
            draw::svg(&picture).len() / 1000
        );
        show("  a year out of the file, as SVG", || {
            draw::svg(&draw::picture(&ask(expression), &frame)).len()
        });
        show("  reading it", || ask(expression).lines.len());
        show("  laying it out", || draw::picture(&chart, &frame).width as usize);
        show("  writing SVG", || draw::svg(&picture).len());
        show("  painting PNG", || draw::png(&picture, 1.0).unwrap().len());
    }
}

fn fill(path: &Path) {
    let mut store = Store::open(path, "bench", Arc::new(Registry::default())).unwrap();
    store.set_limits(Bounds { raw_ms: i64::MAX / 4, max_size: 8 << 30, ..Bounds::default() });
    let keys = ["s0", "s1_total", "s2", "s3", "s4", "s5", "s6", "s7"];
    let mut seed = 1u64;
    let mut random = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    for from in (0..COUNT).step_by(1440) {
        let mut rows = Vec::new();
        for i in from..(from + 1440).min(COUNT) {
            for (n, key) in keys.iter().enumerate() {
                let wave = (i as f64 / 20_000.0 + n as f64).sin() * 20.0;
                let value = if n == 1 { i as f64 * 60.0 } else { 50.0 + wave + random() * 9.0 };
                rows.push((*key, START + i * MINUTE, (value * 100.0).round() / 100.0));
            }
        }
        store.import(rows.into_iter()).unwrap();
        let now = Times { wall: START + (from + 1440) * MINUTE, boot: from * MINUTE };
        while store.upkeep(now, Duration::from_secs(1)).unwrap() {}
        store.checkpoint().unwrap();
    }
    store.compact(Times { wall: END, boot: END - START }).unwrap();
}

fn show(what: &str, mut work: impl FnMut() -> usize) {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..25 {
        let start = Instant::now();
        black_box(work());
        times.push(start.elapsed());
    }
    times.sort();
    println!("{what:<36} {:>8.2} ms", times[times.len() / 2].as_secs_f64() * 1e3);
}
