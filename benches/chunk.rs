//! store: what the chunk codec makes of real and generated data: bytes a sample, and speed.
//!
//! ```text
//! cargo bench --bench chunk [-- RECORDING.csv.gz]
//! ```
//!
//! The recording (columns key, unix_ts, value; gzip) is looked for at ../shared/data/proc1s.csv.gz.

use std::collections::{BTreeMap, HashSet};
use std::io::Read as _;
use std::time::Instant;

use plimsoll::store::chunk::{Scratch, decode_values, encode_values};
use random::Random;

#[path = "../tests/random/mod.rs"]
mod random;

const SIZES: [usize; 5] = [360, 600, 1000, 3600, 8000];
const NAMES: [&str; 7] =
    ["integer", "decimal", "ratio", "percent", "product", "bits", "pco floats"];

type Series = (String, Vec<f64>);

fn recording(path: &str) -> Vec<Series> {
    let Ok(file) = std::fs::File::open(path) else {
        println!("{path}: not found, left out");
        return Vec::new();
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("gzip");
    let mut series: Vec<Series> = Vec::new();
    for line in text.lines().skip(1) {
        let mut columns = line.rsplitn(3, ',');
        let value = columns.next().and_then(|v| v.parse().ok()).expect("a value");
        let key = columns.nth(1).expect("a key");
        if series.last().is_none_or(|(last, _)| last != key) {
            series.push((key.to_owned(), Vec::new()));
        }
        series.last_mut().expect("one").1.push(value);
    }
    series
}

impl Random {
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

const MONTH: usize = 30 * 1440;

/// Twenty random walks with a daily sine, two decimals, a sample a minute.
fn walks() -> Vec<Series> {
    let mut random = Random(88_172_645_463_325_252);
    (0..20)
        .map(|s| {
            let mut w = 50.0;
            let values = (0..MONTH)
                .map(|i| {
                    w += (random.unit() - 0.5) * 0.6;
                    w += (50.0 - w) * 0.0005;
                    let day =
                        (std::f64::consts::TAU * (i % 1440) as f64 / 1440.0 + f64::from(s)).sin();
                    let y = w + 15.0 * day + (random.unit() - 0.5) * 2.0;
                    (y * 100.0).round() / 100.0
                })
                .collect();
            (format!("walk{s}"), values)
        })
        .collect()
}

fn generated(name: &str, count: usize, mut next: impl FnMut(&mut Random) -> f64) -> Vec<Series> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|i| (format!("{name}{i}"), (0..MONTH).map(|_| next(&mut random)).collect()))
        .collect()
}

fn data(path: &str) -> Vec<(&'static str, Vec<Series>)> {
    let (mut counter, mut burst) = (0.0, 0.0);
    let (mut used, mut disk) = (9e6f64, 3e7f64);
    let mut seconds = 0.0;
    let mut temperature = 48.0;
    vec![
        ("recording", recording(path)),
        ("walk, 2 decimals", walks()),
        ("latency, full floats", generated("latency", 4, |r| (r.normal() * 0.6 - 6.0).exp())),
        (
            "counter with bursts",
            generated("counter", 4, move |r| {
                if r.unit() < 0.01 {
                    burst = r.unit() * 1e5;
                }
                burst *= 0.9;
                counter += (burst + 20.0 * r.unit()).floor();
                counter
            }),
        ),
        (
            "memory, MemAvailable / MemTotal",
            generated("memory", 4, move |r| {
                used = (used + r.normal() * 3000.0).clamp(1e6, 1.6e7);
                (used / 4.0).round() * 4.0 / 16_303_420.0
            }),
        ),
        (
            "disk percent of 1 TB",
            generated("disk", 4, move |r| {
                disk += (r.unit() * 30.0).floor();
                disk / 244_190_646.0 * 100.0
            }),
        ),
        (
            "cpu seconds (ticks / 100)",
            generated("cpu", 4, move |r| {
                seconds += (r.normal().abs() * 40.0).floor();
                seconds / 100.0
            }),
        ),
        (
            "temperature, 0.5 steps",
            generated("temp", 4, move |r| {
                temperature += (r.normal() * 0.4).round() * 0.5;
                temperature
            }),
        ),
    ]
}

struct Totals {
    samples: usize,
    bytes: usize,
    shared: usize,
    encode: f64,
    slowest: f64,
    decode: f64,
    by_encoding: BTreeMap<u8, (usize, usize)>,
}

fn run(series: &[Series], size: usize) -> Totals {
    let mut scratch = Scratch::default();
    let mut totals = Totals {
        samples: 0,
        bytes: 0,
        shared: 0,
        encode: 0.0,
        slowest: 0.0,
        decode: 0.0,
        by_encoding: BTreeMap::new(),
    };
    let mut seen: HashSet<(usize, Vec<u8>)> = HashSet::new();
    let mut columns = Vec::new();
    for (_, values) in series {
        for (at, chunk) in values.chunks(size).enumerate() {
            let mut bytes = Vec::new();
            let start = Instant::now();
            let head = encode_values(chunk, &mut scratch, &mut bytes);
            let took = start.elapsed().as_secs_f64();
            totals.encode += took;
            totals.slowest = totals.slowest.max(took);
            totals.samples += chunk.len();
            totals.bytes += bytes.len();
            let of = totals.by_encoding.entry(bytes[0] & 0x0f).or_default();
            *of = (of.0 + 1, of.1 + bytes.len());
            if bytes.len() - head > 8 && !seen.insert((at, bytes[head..].to_vec())) {
                totals.shared += bytes.len() - head;
            }
            columns.push((bytes, chunk));
        }
    }
    let mut out = Vec::new();
    let rounds = (2_000_000 / totals.samples).max(1);
    let start = Instant::now();
    for _ in 0..rounds {
        for (bytes, chunk) in &columns {
            decode_values(bytes, chunk.len(), &mut scratch, &mut out).expect("decodes");
        }
    }
    totals.decode = start.elapsed().as_secs_f64() / rounds as f64;
    for (bytes, chunk) in &columns {
        decode_values(bytes, chunk.len(), &mut scratch, &mut out).expect("decodes");
        assert!(out.iter().map(|v| v.to_bits()).eq(chunk.iter().map(|v| v.to_bits())));
    }
    totals
}

fn main() {
    let path = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let path = path.unwrap_or_else(|| "../shared/data/proc1s.csv.gz".to_owned());
    for (name, series) in data(&path) {
        if series.is_empty() {
            continue;
        }
        println!("\n{name}: {} series", series.len());
        println!(
            "  chunk   bytes  B/sample  (bodies shared)  encode: µs/chunk  slowest  Mvalues/s  decode: Mvalues/s   MB/s"
        );
        for size in SIZES {
            if series[0].1.len() < size {
                continue;
            }
            let t = run(&series, size);
            let chunks: usize = t.by_encoding.values().map(|(chunks, _)| chunks).sum();
            let samples = t.samples as f64;
            println!(
                "  {size:5} {:7}    {:.4}           {:.4}            {:6.1}   {:6.0}     {:6.1}             {:6.1} {:6.0}",
                t.bytes,
                t.bytes as f64 / samples,
                (t.bytes - t.shared) as f64 / samples,
                t.encode * 1e6 / chunks as f64,
                t.slowest * 1e6,
                samples / t.encode / 1e6,
                samples / t.decode / 1e6,
                samples * 8.0 / t.decode / 1e6,
            );
            let parts: Vec<String> = t
                .by_encoding
                .iter()
                .map(|(id, (chunks, bytes))| {
                    format!("{} {chunks} chunks {bytes} B", NAMES[usize::from(*id)])
                })
                .collect();
            println!("        {}", parts.join(", "));
        }
    }
}
