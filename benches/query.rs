//! query: what the evaluator makes of a day of counters and a year of a gauge, in memory: time a
//! query and nanoseconds a sample read. The store, HTTP and JSON stay out.
//!
//! ```text
//! cargo bench --bench query
//! ```

use std::time::{Duration, Instant};

use plimsoll::model::Labels;
use plimsoll::query::eval::{Limits, Options, When, evaluate};
use plimsoll::query::parse;
use plimsoll::query::source::MemorySource;
use random::Random;

#[path = "../tests/random/mod.rs"]
mod random;

const START: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        (self.bits() >> 11) % end
    }
}

/// 1,000 counters and gauges of 50 machines, a day at 15 s; 20 gauges, a year at a minute.
fn source() -> MemorySource {
    let mut random = Random(88_172_645_463_325_252);
    let mut source = MemorySource::default();
    for machine in 0..50 {
        for device in 0..20 {
            let instance = format!("host-{machine:02}:9100");
            let device = format!("dev{device}");
            let labels = |name| {
                Labels::new([
                    ("__name__", name),
                    ("instance", instance.as_str()),
                    ("device", device.as_str()),
                    ("job", "node"),
                ])
            };
            let mut total = 0.0;
            let counter: Vec<_> = (0..DAY / 15_000)
                .map(|i| {
                    total += random.below(1000) as f64;
                    (START + i * 15_000, total)
                })
                .collect();
            let gauge = counter.iter().map(|(t, v)| (*t, v % 977.0)).collect::<Vec<_>>();
            source.add(labels("bytes_total"), counter);
            source.add(labels("busy"), gauge);
        }
    }
    for series in 0..20 {
        let series = series.to_string();
        let year =
            (0..365 * 1440).map(|i| (START + i * 60_000, random.below(10_000) as f64 / 100.0));
        let labels = Labels::new([("__name__", "load"), ("series", series.as_str())]);
        source.add(labels, year);
    }
    source
}

fn main() {
    let source = source();
    let day = |step| When::Range { start: START, end: START + DAY - 1, step };
    let year = When::Range { start: START, end: START + 365 * DAY - 1, step: 365 * DAY / 1000 };
    let now = When::Instant(START + DAY - 60_000);
    println!("{:58} {:>10} {:>12} {:>10}", "query", "ms", "samples", "ns/sample");
    let mut fastest = Vec::new();
    for (name, text, when) in [
        (
            "a day, rate, sum by, 1,441 steps",
            "sum by (instance) (rate(bytes_total[5m]))",
            day(60_000),
        ),
        ("a day, rate of each", "rate(bytes_total[5m])", day(60_000)),
        ("a day, as it is", "busy", day(60_000)),
        ("a day, topk", "topk(5, busy)", day(60_000)),
        ("a day, quantile", "quantile by (instance) (0.9, busy)", day(60_000)),
        ("a day, max_over_time", "max_over_time(busy[1h])", day(60_000)),
        ("a day, avg_over_time", "avg_over_time(busy[5m])", day(60_000)),
        ("a day, one with the other", "busy / on (instance, device) bytes_total", day(60_000)),
        ("a year of one, 1,000 points", "load{series=\"7\"}", year),
        ("a year of one, max of a day", "max_over_time(load{series=\"7\"}[1d])", year),
        (
            "a year of one, quantile of a day",
            "quantile_over_time(0.9, load{series=\"7\"}[1d])",
            year,
        ),
        ("now, one series", "busy{instance=\"host-07:9100\",device=\"dev3\"}", now),
        ("now, 1,000 series", "busy", now),
        ("now, sum by of 1,000", "sum by (instance) (busy)", now),
        ("now, rate of 1,000", "rate(bytes_total[5m])", now),
        ("now, names by regex", "count by (__name__) ({__name__=~\"b.*|load\"})", now),
    ] {
        let expr = parse(text).expect("a query");
        let mut best = Duration::MAX;
        let mut samples = 0;
        let begin = Instant::now();
        for round in 0.. {
            let one = Instant::now();
            let answer =
                evaluate(&source, &expr, when, &Options::default(), Limits::default()).expect(text);
            best = best.min(one.elapsed());
            samples = answer.stats.samples;
            if round >= 4 && begin.elapsed() > Duration::from_millis(500) {
                break;
            }
        }
        let nanos = best.as_nanos() as f64;
        println!(
            "{name:58} {:10.3} {samples:12} {:10.2}",
            nanos / 1e6,
            nanos / samples.max(1) as f64
        );
        fastest.push((name, nanos));
    }
    let of = |name: &str| fastest.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, t)| *t);
    println!(
        "rate with sum by costs {:.2} of what reading the same newest samples costs",
        of("a day, rate, sum by, 1,441 steps") / of("a day, as it is")
    );
    println!(
        "max_over_time over 1 h costs {:.2} of a rate over 5 m",
        of("a day, max_over_time") / of("a day, rate of each")
    );
}
