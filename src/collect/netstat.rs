//! collect: TCP connections and retransmissions, from /proc/net/snmp.

use super::file::KeptFile;
use super::scan::{Odd, lines, name, number, words};
use super::{CollectError, Collector, Settings};
use crate::model::{Metric, Recorder};

/// What it reports.
pub static METRICS: [Metric; 2] = [
    Metric::gauge("node_netstat_Tcp_CurrEstab", "", "TCP connections that are established."),
    Metric::counter(
        "node_netstat_Tcp_RetransSegs",
        "",
        "TCP segments that had to be sent again since boot.",
    ),
];

/// The headings, in the order of [`METRICS`].
const HEADINGS: [&[u8]; METRICS.len()] = [b"CurrEstab", b"RetransSegs"];

struct NetStat(KeptFile);

/// Makes the collector.
pub fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(NetStat(KeptFile::optional(settings.proc.join("net/snmp"))))
}

/// The number under a heading of the two lines that begin with `Tcp:`.
fn tcp(text: &[u8], heading: &[u8]) -> Result<f64, Odd> {
    let mut of_tcp = lines(text).filter(|line| line.starts_with(b"Tcp:"));
    let (headings, values) = (of_tcp.next().unwrap_or_default(), of_tcp.next().unwrap_or_default());
    words(headings)
        .zip(words(values))
        .find(|(h, _)| *h == heading)
        .and_then(|(_, value)| number(value))
        .ok_or_else(|| Odd::new(&format!("no {}", name(heading)), values))
}

impl Collector for NetStat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        self.0.parse(|text| {
            METRICS
                .iter()
                .zip(HEADINGS)
                .try_for_each(|(metric, heading)| tcp(text, heading).map(|v| out.put(metric, v)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_heading() {
        let text = b"Ip: CurrEstab\nIp: 9\nTcp: MaxConn CurrEstab RetransSegs\nTcp: -1 2 3\n";
        assert_eq!(HEADINGS.map(|h| tcp(text, h).unwrap()), [2.0, 3.0]);
        assert!(tcp(b"Tcp: CurrEstab\n", HEADINGS[0]).is_err());
        assert!(tcp(b"Tcp: CurrEstab\nTcp:\n", HEADINGS[0]).is_err());
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/net/snmp");
        super::super::scan::tests::survives(good, |text| {
            let _ = HEADINGS.map(|h| tcp(text, h).is_ok());
        });
    }
}
