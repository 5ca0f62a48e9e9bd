//! What a metric costs between the kernel and its place: parsing alone, and parsing, look-up and
//! adding; and what a flush of 10,000 names takes. The packets are as ci/bench/statsdgen.c makes
//! them.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use plimsoll::model::ManualClock;
use plimsoll::pipeline::statsd::{Gather, Outlet, Settings};
use plimsoll::pipeline::{Flow, Names};
use plimsoll::receive::{Carrier, Sink, Turn};
use plimsoll::wire::statsd::Items;
use random::Random;

#[path = "../tests/random/mod.rs"]
mod random;

const NAMES: u64 = 10_000;
const PACKETS: usize = 3_000;
const METRICS: u64 = 20;

fn packets() -> Vec<String> {
    let mut random = Random(1);
    let mut roll = |below: u64| (random.bits() >> 11) % below;
    let types: Vec<u64> = (0..NAMES).map(|_| roll(100)).collect();
    (0..PACKETS)
        .map(|_| {
            let lines: Vec<String> = (0..METRICS)
                .map(|_| {
                    let id = roll(NAMES);
                    let web = id % 16;
                    match types[id as usize] {
                        0..60 => format!("app.web{web:02}.requests.c{id:05}:{}|c", 1 + roll(9)),
                        60..90 => format!("app.web{web:02}.latency.t{id:05}:{}|ms", 1 + roll(999)),
                        _ => format!("app.web{web:02}.queue.g{id:05}:{}|g", roll(10_000)),
                    }
                })
                .collect();
            lines.join("\n")
        })
        .collect()
}

fn main() {
    let packets = packets();
    let metrics = PACKETS as f64 * METRICS as f64;
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let flow = Flow::new(clock.clone(), "here", 1_000, 1_000_000, Names::default());
    let outlet = Outlet { flow, tally: Arc::default(), rested: || () };
    let mut gather = Gather::new(Settings::default(), outlet);
    for round in 0..6 {
        let start = Instant::now();
        let mut seen = 0;
        for packet in &packets {
            seen += Items::new(black_box(packet.as_bytes())).filter(Result::is_ok).count();
        }
        let parse = start.elapsed().as_nanos() as f64 / metrics;
        assert_eq!(seen as f64, metrics);
        let start = Instant::now();
        // As many as come in ten seconds at two million a second: timers are sketches by then.
        let times = if round == 0 { 1 } else { 50 };
        for _ in 0..times {
            // As the reader does: some packets, and a turn.
            for round in packets.chunks(64) {
                round.iter().for_each(|p| gather.take(Carrier::Datagram, p.as_bytes()));
                gather.turn();
            }
        }
        let take = start.elapsed().as_nanos() as f64 / metrics / f64::from(times);
        while gather.turn() == Turn::Again {}
        clock.advance(10_000);
        let start = Instant::now();
        let mut slices = 0;
        let mut longest = 0.0f64;
        loop {
            let slice = Instant::now();
            let turn = gather.turn();
            longest = longest.max(slice.elapsed().as_secs_f64() * 1e3);
            slices += 1;
            if turn != Turn::Again {
                break;
            }
        }
        let flush = start.elapsed().as_secs_f64() * 1e3;
        println!(
            "parse {parse:5.1} ns, parse and take {take:5.1} ns a metric; \
             flush {flush:.2} ms in {slices} slices, the longest {longest:.2} ms"
        );
    }
}
