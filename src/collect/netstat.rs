//! collect: TCP connections and retransmissions, from /proc/net/snmp.

use super::file::KeptFile;
use super::scan::{Odd, count, numbered, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 2] = [
    Metric::gauge("node_netstat_Tcp_CurrEstab", "", "TCP connections that are established."),
    Metric::counter(
        "node_netstat_Tcp_RetransSegs",
        "",
        "TCP segments that had to be sent again since boot.",
    ),
];

/// The headings, in the order of [`METRICS`], and the error if one has no number.
const HEADINGS: [(&[u8], &str); METRICS.len()] =
    [(b"CurrEstab", "no CurrEstab"), (b"RetransSegs", "no RetransSegs")];

struct NetStat(KeptFile);

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("netstat", "TCP connections and retransmissions", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(NetStat(KeptFile::optional(settings.proc.join("net/snmp"))))
}

/// The number under each heading of the two lines that begin with `Tcp:`. Faults come with the
/// number of their line.
fn tcp(text: &[u8]) -> [Result<f64, (usize, Odd)>; METRICS.len()] {
    let mut of_tcp = numbered(text).filter(|(_, line)| line.starts_with(b"Tcp:"));
    let (_, headings) = of_tcp.next().unwrap_or_default();
    let (at, values) = of_tcp.next().unwrap_or_default();
    HEADINGS.map(|(heading, what)| {
        words(headings)
            .zip(words(values))
            .find(|(h, _)| *h == heading)
            .and_then(|(_, value)| count(value))
            .ok_or_else(|| (at, Odd::new(what, values)))
    })
}

impl Collector for NetStat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let values = self.0.parse(|text| Ok(tcp(text)))?;
        if let [Err((_, odd)), Err(_)] = values {
            return Err(self.0.odd(odd));
        }
        for (metric, value) in METRICS.iter().zip(values) {
            match value {
                Ok(value) => out.put(metric, value),
                Err((line, odd)) => self.0.tell(out, line, &odd),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_heading() {
        let text = b"Ip: CurrEstab\nIp: 9\nTcp: MaxConn CurrEstab RetransSegs\nTcp: -1 2 3\n";
        assert_eq!(tcp(text), [Ok(2.0), Ok(3.0)]);
        let [open, sent] = tcp(b"Tcp: CurrEstab RetransSegs\nTcp: x 3\n");
        assert_eq!((open.unwrap_err().0, sent), (2, Ok(3.0)));
        for text in [&b"Tcp: CurrEstab\n"[..], b"Tcp: CurrEstab\nTcp:\n", b""] {
            assert!(tcp(text).iter().all(Result::is_err));
        }
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/net/snmp");
        super::super::scan::tests::survives(good, |text| drop(tcp(text)));
    }
}
