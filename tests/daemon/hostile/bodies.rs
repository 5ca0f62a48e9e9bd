//! Bodies that are small on the wire and dear to read, and pushes that ask to be remembered.

use super::{Siege, scale};
use crate::push::{gzip, send};

#[test]
fn a_body_of_bad_records_holds_nobody() {
    let siege = Siege::begin();
    let address = siege.daemon.address();
    let body = gzip("{}\n".repeat(1_400_000).as_bytes());
    let attackers: Vec<_> = (0..4)
        .map(|_| {
            let body = body.clone();
            std::thread::spawn(move || {
                for _ in 0..3 * scale() {
                    let packed = [("Content-Encoding", "gzip")];
                    let answer = send(address, "POST", "/api/push", &packed, &body);
                    assert!([400, 413, 429, 503].contains(&answer.status), "{answer:?}");
                }
            })
        })
        .collect();
    for attacker in attackers {
        attacker.join().expect("it was answered");
    }
    let empty = gzip(b"").repeat(40_000);
    let packed = [("Content-Encoding", "gzip")];
    for path in ["/api/push", "/write", "/metrics/job/x"] {
        send(address, "POST", path, &packed, &empty);
    }
    siege.holds();
}

#[test]
fn pushes_without_a_body_are_not_remembered() {
    let siege = Siege::begin();
    let address = siege.daemon.address();
    let long = "x".repeat(6_000);
    for n in 0..2_000 * scale() {
        let path = format!("/metrics/job/a/x/{n:08}{long}");
        let answer = send(address, "PUT", &path, &[], b"");
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    siege.holds();
}
