//! wire: any bytes as an RRD file, as what `rrdtool dump` prints of one, as a Munin master's
//! datafile, and as a moment of sar.

use plimsoll::wire::munin::{Datafile, FileName};
use plimsoll::wire::rrd::{Rrd, eras};
use plimsoll::wire::sar;

fn look(rrd: &Rrd<'_>, bytes: usize) {
    // Every value is in the file.
    assert!(rrd.points() * 8 <= bytes as u64 * 8);
    for source in 0..rrd.sources.len().min(4) {
        let stretches = eras(rrd, source);
        for stretch in &stretches {
            assert!(stretch.min.is_empty() || stretch.min.len() == stretch.mean.len());
            assert!(stretch.max.is_empty() || stretch.max.len() == stretch.mean.len());
        }
        let begins = |i: usize| stretches[i].first_end - stretches[i].span;
        for i in 1..stretches.len() {
            assert!(stretches[i - 1].until <= begins(i));
        }
    }
}

pub fn run(data: &[u8]) {
    if let Ok(rrd) = Rrd::read(data) {
        look(&rrd, data.len());
    }
    // The head of a real one, with these bytes after it.
    let mut head = b"RRD\x000003\0\0\0\0\0\0\0\0".to_vec();
    head.extend(8.642135E130f64.to_le_bytes());
    head.extend(data.iter().flat_map(|b| u64::from(*b % 5).to_le_bytes()));
    head.resize(head.len() + 4_000, 0);
    if let Ok(rrd) = Rrd::read(&head) {
        look(&rrd, head.len());
    }
    // Heads of other machines: 64 and 32 bits, either order of bytes, doubles on 8 and on 4.
    for (big, long, align) in [(true, 8, 8), (false, 4, 8), (true, 4, 8), (false, 4, 4)] {
        let mut head = b"RRD\x000003\0".to_vec();
        head.resize(9usize.next_multiple_of(align), 0);
        let cookie = 8.642135E130f64;
        head.extend(if big { cookie.to_be_bytes() } else { cookie.to_le_bytes() });
        for byte in data {
            let number = u64::from(*byte % 5);
            let (high, low) = (number.to_be_bytes(), number.to_le_bytes());
            head.extend(if big { &high[8 - long..] } else { &low[..long] });
        }
        for length in [head.len(), head.len() + 4_000] {
            head.resize(length, b'U');
            if let Ok(rrd) = Rrd::read(&head) {
                look(&rrd, head.len());
            }
        }
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(rrd) = Rrd::read_dump(&text) {
        look(&rrd, data.len() * 8);
    }
    let read = Datafile::read(&text);
    assert!(read.faults as usize <= data.len());
    for line in text.lines() {
        if let Some(name) = FileName::read(line) {
            let host = name.host("example.com", &["web"]);
            assert!(line.starts_with(host));
            name.graph(host, &["if_eth0"]);
        }
    }
    let _unused = sar::moment(&text, |key, _, _| assert!(!key.is_empty()));
    sar::node_name(&text);
}
