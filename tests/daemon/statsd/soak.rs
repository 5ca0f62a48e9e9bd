//! A stream of packets that does not end: everything is accounted for, and memory stays as it is.
//! In small here; `ci/torture/soak` does it at half of what the receiver takes.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::{STATSD, place};
use crate::support::*;

#[test]
fn alone_a_stream_of_packets_is_accounted_for_and_takes_no_more_memory() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("{STATSD}[push]\nmax_names = 400\n"));
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(place(&daemon, "udp")).expect("a peer");
    let (seconds, per_second) = (knob("PLIMSOLL_SOAK_SECONDS", 9), 2_000);
    let mut dice = Dice::new(3);
    let packets: Vec<String> = (0..500)
        .map(|i| {
            // Every packet has one line that is bad, and names beyond the bound come, too.
            let mut lines = vec![format!("bad{i}")];
            lines.extend((0..19).map(|_| match dice.roll(500) {
                n @ 0..300 => format!("app.requests.c{n}:{}|c", 1 + dice.roll(9)),
                n @ 300..450 => format!("app.latency.t{n}:{}|ms", 1 + dice.roll(999)),
                n => format!("app.depth.g{n}:{}|g", dice.roll(10_000)),
            }));
            lines.join("\n")
        })
        .collect();
    let (began, mut sent, mut memory) = (Instant::now(), 0u64, Vec::new());
    for slot in 1..=seconds * 100 {
        for _ in 0..per_second / 100 {
            socket.send(packets[(sent % 500) as usize].as_bytes()).expect("sent");
            sent += 1;
        }
        if slot % 50 == 0 {
            memory.push(daemon.resident());
        }
        pause((Duration::from_millis(10) * slot as u32).saturating_sub(began.elapsed()));
    }
    let value = |key: &str| daemon.value(key).unwrap_or(0.0) as u64;
    let came = eventually("every packet is accounted for", PATIENCE, || {
        let came = value("plimsoll_statsd_packets_total");
        let dropped = value("plimsoll_udp_drops_total{receiver=\"statsd\"}");
        if came + dropped == sent { Ok(came) } else { Err(format!("{came} + {dropped} of {sent}")) }
    });
    let refused = value("plimsoll_statsd_refused_total{reason=\"series_limit\"}");
    let bad = value("plimsoll_statsd_bad_lines_total{reason=\"form\"}");
    assert_eq!((value("plimsoll_statsd_lines_total"), bad), (20 * came, came));
    assert_eq!(value("plimsoll_statsd_values_total") + refused, 19 * came);
    assert!(refused > 0 && value("plimsoll_statsd_names") == 400);
    let source = "plimsoll_samples_dropped_total{reason=\"series_limit\",source=\"statsd\"}";
    assert_eq!(value(source), refused);
    let third = memory.len() / 3;
    let middle = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_by(f64::total_cmp);
        part[part.len() / 2]
    };
    let (early, late) = (middle(&memory[third..2 * third]), middle(&memory[2 * third..]));
    assert!(late <= early * 1.05 + 1.0, "{early} MB, then {late} MB: {memory:?}");
    daemon.stop();
}
