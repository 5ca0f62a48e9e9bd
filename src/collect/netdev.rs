//! collect: what the network devices have received and sent, from /proc/net/dev.

use super::exclude;
use super::file::KeptFile;
use super::scan::{self, Odd, integer, lines, words};
use super::{CollectError, Collector, Settings};
use crate::model::{Glob, Metric, Recorder};

/// What it reports, in the order of [`COLUMNS`].
pub static METRICS: [Metric; 8] = [
    Metric::counter("node_network_receive_bytes_total", "bytes", "Bytes the device has received.")
        .by(&["device"]),
    Metric::counter("node_network_receive_packets_total", "", "Packets the device has received.")
        .by(&["device"]),
    Metric::counter("node_network_receive_errs_total", "", "Packets received damaged.")
        .by(&["device"]),
    Metric::counter(
        "node_network_receive_drop_total",
        "",
        "Packets received and dropped, for want of room or of anybody interested.",
    )
    .by(&["device"]),
    Metric::counter("node_network_transmit_bytes_total", "bytes", "Bytes the device has sent.")
        .by(&["device"]),
    Metric::counter("node_network_transmit_packets_total", "", "Packets the device has sent.")
        .by(&["device"]),
    Metric::counter("node_network_transmit_errs_total", "", "Packets that could not be sent.")
        .by(&["device"]),
    Metric::counter("node_network_transmit_drop_total", "", "Packets dropped instead of sent.")
        .by(&["device"]),
];

/// Where each metric stands behind the device's name.
const COLUMNS: [usize; METRICS.len()] = [0, 1, 2, 3, 8, 9, 10, 11];

/// Of which the last is needed.
const NEEDED: usize = 12;

struct NetDev {
    file: KeptFile,
    exclude: Vec<Glob>,
}

/// Makes the collector.
pub fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(NetDev {
        file: KeptFile::optional(settings.proc.join("net/dev")),
        exclude: settings.exclude_interfaces.clone(),
    })
}

/// A device and its first columns. Two lines of headings come first.
fn rows(text: &[u8]) -> impl Iterator<Item = Result<(&[u8], [u64; NEEDED]), Odd>> {
    lines(text).skip(2).map(|line| {
        let odd = || Odd::new("no network statistics", line);
        // The last colon: an alias (`eth0:1`) has one in its name.
        let colon = line.iter().rposition(|b| *b == b':').ok_or_else(odd)?;
        let device = words(&line[..colon]).next().ok_or_else(odd)?;
        let mut words = words(&line[colon + 1..]);
        let mut columns = [0; NEEDED];
        for place in &mut columns {
            *place = words.next().and_then(integer).ok_or_else(odd)?;
        }
        Ok((device, columns))
    })
}

impl Collector for NetDev {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let Self { file, exclude } = self;
        file.parse(|text| {
            for row in rows(text) {
                let (device, columns) = row?;
                let device = scan::name(device);
                if exclude::any(exclude, &device) {
                    continue;
                }
                for (metric, column) in METRICS.iter().zip(COLUMNS) {
                    out.put_with(metric, &[&device], columns[column] as f64);
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_with_and_without_a_space_behind_the_colon() {
        let text = b"Inter-|\n face |\neth0:1:10 2 3 4 5 6 7 8 9 10 11 12 13\n  lo: 1 2 3\n";
        let all: Vec<_> = rows(text).collect();
        assert_eq!(all[0], Ok((&b"eth0:1"[..], [10, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])));
        assert!(all[1].is_err());
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/net/dev");
        super::super::scan::tests::survives(good, |text| rows(text).for_each(drop));
    }
}
