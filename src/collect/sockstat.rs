//! collect: sockets in use, from /proc/net/sockstat.

use super::file::KeptFile;
use super::scan::{Odd, lines, want, words};
use super::{CollectError, Collector, Settings};
use crate::model::{Metric, Recorder};

/// What it reports.
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

/// Makes the collector.
pub fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(SockStat(KeptFile::optional(settings.proc.join("net/sockstat"))))
}

/// The word behind `field` in the line that begins with `line`.
fn value(text: &[u8], (line, field): (&[u8], &[u8])) -> Result<f64, Odd> {
    let found = lines(text).find(|l| words(l).next() == Some(line)).unwrap_or_default();
    let mut words = words(found).skip_while(|word| *word != field).skip(1);
    want(words.next(), "no number of sockets", found)
}

impl Collector for SockStat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        self.0.parse(|text| {
            METRICS
                .iter()
                .zip(FIELDS)
                .try_for_each(|(metric, field)| value(text, field).map(|v| out.put(metric, v)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[u8] = b"sockets: used 12\nTCP: inuse 1 orphan 0 tw 7 alloc 1 mem 109\n\
        UDP: inuse 3 mem 0\nUDPLITE: inuse 9\n";

    #[test]
    fn by_line_and_word() {
        assert_eq!(FIELDS.map(|f| value(GOOD, f).unwrap()), [12.0, 1.0, 7.0, 3.0]);
        assert!(value(b"TCP: inuse", FIELDS[1]).is_err());
    }

    #[test]
    fn garbage() {
        super::super::scan::tests::survives(GOOD, |text| {
            let _ = FIELDS.map(|f| value(text, f).is_ok());
        });
    }
}
