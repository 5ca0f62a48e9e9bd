//! collect: traffic of network devices, from /proc/net/dev.

use super::exclude;
use super::file::KeptFile;
use super::scan::{self, Odd, integer, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::options::options;
use crate::model::{Glob, Metric, Recorder};

/// Its metrics, in the order of [`COLUMNS`].
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

/// The column of each metric after the device's name.
const COLUMNS: [usize; METRICS.len()] = [0, 1, 2, 3, 8, 9, 10, 11];

/// The number of columns that are needed.
const NEEDED: usize = 12;

struct NetDev {
    file: KeptFile,
    exclude: Vec<Glob>,
}

options! {
    /// The traffic of network devices.
    pub struct Options {
        /// Network devices to leave out, with * and ?, for example `["veth*", "docker0"]`.
        exclude_devices: Vec<Glob> = Vec::new(), like r#"["veth*"]"#;
    }
}

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("netdev", "traffic of each network device", &METRICS, make).takes::<Options>();

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(NetDev {
        file: KeptFile::optional(settings.proc.join("net/dev")),
        exclude: settings.of::<Options>().exclude_devices,
    })
}

/// A device and its first columns.
type Row<'a> = (&'a [u8], [u64; NEEDED]);

/// The device of a line; nothing in the two lines of headings, which have bars.
fn row(line: &[u8]) -> Result<Option<Row<'_>>, Odd> {
    let odd = || Odd::new("no network statistics", line);
    // The last colon: an alias (`eth0:1`) has one in its name.
    let Some(colon) = line.iter().rposition(|b| *b == b':') else {
        return if line.contains(&b'|') { Ok(None) } else { Err(odd()) };
    };
    let device = words(&line[..colon]).next().ok_or_else(odd)?;
    let mut words = words(&line[colon + 1..]);
    let mut columns = [0; NEEDED];
    for place in &mut columns {
        *place = words.next().and_then(integer).ok_or_else(odd)?;
    }
    Ok(Some((device, columns)))
}

impl Collector for NetDev {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let Self { file, exclude } = self;
        file.each_line(out, |line, out| {
            let Some((device, columns)) = row(line)? else { return Ok(false) };
            let device = scan::name(device);
            if exclude::any(exclude, &device) {
                return Ok(true);
            }
            for (metric, column) in METRICS.iter().zip(COLUMNS) {
                out.put_with(metric, &[&device], columns[column] as f64);
            }
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_with_and_without_a_space_behind_the_colon() {
        let text = b"Inter-|\n face |\neth0:1:10 2 3 4 5 6 7 8 9 10 11 12 13\n  lo: 1 2 3\n";
        let all: Vec<_> = scan::lines(text).map(row).collect();
        assert_eq!(all[..2], [Ok(None), Ok(None)]);
        assert_eq!(all[2], Ok(Some((&b"eth0:1"[..], [10, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]))));
        assert!(all[3].is_err() && row(b"no colon").is_err());
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/net/dev");
        super::super::scan::tests::survives(good, |text| {
            scan::lines(text).for_each(|line| drop(row(line)));
        });
    }
}
