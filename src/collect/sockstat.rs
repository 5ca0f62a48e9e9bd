//! collect: sockets in use, from /proc/net/sockstat.

use super::file::KeptFile;
use super::scan::{Odd, want, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 4] = [
    Metric::gauge("node_sockstat_sockets_used", "", "Sockets open, of every kind."),
    Metric::gauge("node_sockstat_TCP_inuse", "", "TCP sockets of IPv4 that are not closed."),
    Metric::gauge(
        "node_sockstat_TCP_tw",
        "",
        "TCP connections that are closed and wait for stray packets.",
    ),
    Metric::gauge("node_sockstat_UDP_inuse", "", "UDP sockets of IPv4."),
];

/// Line and word of each, in the order of [`METRICS`].
const FIELDS: [(&[u8], &[u8]); METRICS.len()] =
    [(b"sockets:", b"used"), (b"TCP:", b"inuse"), (b"TCP:", b"tw"), (b"UDP:", b"inuse")];

struct SockStat(KeptFile);

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new("sockstat", "sockets in use", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(SockStat(KeptFile::optional(settings.proc.join("net/sockstat"))))
}

/// The word behind `field` in a line.
fn value(line: &[u8], field: &[u8]) -> Result<f64, Odd> {
    let mut words = words(line).skip_while(|word| *word != field).skip(1);
    want(words.next(), "no number of sockets", line)
}

impl Collector for SockStat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        self.0.each_line(out, |line, out| {
            let first = words(line).next().unwrap_or_default();
            let mut odd = None;
            let mut found = false;
            // A bad number does not affect the others of its line.
            for (metric, (_, field)) in METRICS.iter().zip(FIELDS).filter(|(_, f)| f.0 == first) {
                match value(line, field) {
                    Ok(value) => out.put(metric, value),
                    Err(bad) => odd = odd.or(Some(bad)),
                }
                found = true;
            }
            odd.map_or(Ok(found), Err)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::lines;
    use super::*;

    const GOOD: &[u8] = b"sockets: used 12\nTCP: inuse 1 orphan 0 tw 7 alloc 1 mem 109\n\
        UDP: inuse 3 mem 0\nUDPLITE: inuse 9\n";

    #[test]
    fn by_line_and_word() {
        let all: Vec<_> = lines(GOOD).zip([b"used", &b"tw"[..], b"inuse"]).collect();
        assert_eq!(
            all.iter().map(|(l, f)| value(l, f).unwrap()).collect::<Vec<_>>(),
            [12.0, 7.0, 3.0]
        );
        assert!(value(b"TCP: inuse", b"inuse").is_err());
    }

    #[test]
    fn garbage() {
        super::super::scan::tests::survives(GOOD, |text| {
            lines(text).for_each(|line| drop(value(line, b"inuse")));
        });
    }
}
