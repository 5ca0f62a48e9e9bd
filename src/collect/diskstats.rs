//! collect: reads and writes of disks, from /proc/diskstats.

use super::exclude;
use super::file::KeptFile;
use super::scan::{self, Odd, integer, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::options::options;
use crate::model::{Glob, Metric, Recorder};

/// Its metrics, in the order of [`COLUMNS`].
pub static METRICS: [Metric; 8] = [
    Metric::counter(
        "node_disk_reads_completed_total",
        "",
        "Reads that the disk has finished, merged ones counted once.",
    )
    .by(&["device"]),
    Metric::counter("node_disk_read_bytes_total", "bytes", "Bytes read from the disk.")
        .by(&["device"]),
    Metric::counter(
        "node_disk_read_time_seconds_total",
        "seconds",
        "Time that reads have taken, summed over reads under way at once.",
    )
    .by(&["device"]),
    Metric::counter(
        "node_disk_writes_completed_total",
        "",
        "Writes that the disk has finished, merged ones counted once.",
    )
    .by(&["device"]),
    Metric::counter("node_disk_written_bytes_total", "bytes", "Bytes written to the disk.")
        .by(&["device"]),
    Metric::counter(
        "node_disk_write_time_seconds_total",
        "seconds",
        "Time that writes have taken, summed over writes under way at once.",
    )
    .by(&["device"]),
    Metric::gauge("node_disk_io_now", "", "Reads and writes under way.").by(&["device"]),
    Metric::counter(
        "node_disk_io_time_seconds_total",
        "seconds",
        "Time during which the disk had something to do.",
    )
    .by(&["device"]),
];

/// The column of each metric after the device's name, and its unit. Sectors have 512 bytes here,
/// independent of the disk; times are in ms.
const COLUMNS: [(usize, Unit); METRICS.len()] = [
    (0, Unit::Count),
    (2, Unit::Sectors),
    (3, Unit::Millis),
    (4, Unit::Count),
    (6, Unit::Sectors),
    (7, Unit::Millis),
    (8, Unit::Count),
    (9, Unit::Millis),
];

/// The number of columns that are needed; kernels since 2.6 have 11, 15 or 17.
const NEEDED: usize = 10;

#[derive(Clone, Copy)]
enum Unit {
    Count,
    Sectors,
    Millis,
}

impl Unit {
    fn to_base(self, value: u64) -> f64 {
        match self {
            Unit::Count => value as f64,
            Unit::Sectors => value as f64 * 512.0,
            Unit::Millis => value as f64 / 1000.0,
        }
    }
}

struct DiskStats {
    file: KeptFile,
    exclude: Vec<Glob>,
}

options! {
    /// The reads and writes of disks.
    pub struct Options {
        /// Disks to leave out, with * and ?, for example `["sr*", "dm-3"]`.
        exclude_devices: Vec<Glob> = Vec::new(), like r#"["sr*"]"#;
    }
}

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("diskstats", "reads and writes of each disk", &METRICS, make).takes::<Options>();

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(DiskStats {
        file: KeptFile::optional(settings.proc.join("diskstats")),
        exclude: settings.of::<Options>().exclude_devices,
    })
}

/// A device and its first columns.
fn row(line: &[u8]) -> Result<(&[u8], [u64; NEEDED]), Odd> {
    let odd = || Odd::new("no disk statistics", line);
    let mut words = words(line).skip(2);
    let device = words.next().ok_or_else(odd)?;
    let mut columns = [0; NEEDED];
    for place in &mut columns {
        *place = words.next().and_then(integer).ok_or_else(odd)?;
    }
    Ok((device, columns))
}

impl Collector for DiskStats {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let Self { file, exclude } = self;
        file.each_line(out, |line, out| {
            let (device, columns) = row(line)?;
            let device = scan::name(device);
            if exclude::lesser_disk(&device) || exclude::any(exclude, &device) {
                return Ok(true);
            }
            for (metric, (column, unit)) in METRICS.iter().zip(COLUMNS) {
                out.put_with(metric, &[&device], unit.to_base(columns[column]));
            }
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length() {
        let eleven = b"   8       0 sda 1 2 3 4 5 6 7 8 9 10 11\n";
        let expected = (&b"sda"[..], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(row(eleven), Ok(expected));
        assert!(row(b"8 1 sda1 1 2 3 4\n").is_err());
    }

    #[test]
    fn milliseconds_become_the_nearest_number_of_seconds() {
        // 22,975 × 0.001 would be 22.975000000000001.
        assert_eq!(Unit::Millis.to_base(22_975), 22.975);
        assert_eq!(Unit::Sectors.to_base(3), 1536.0);
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/diskstats");
        super::super::scan::tests::survives(good, |text| {
            scan::lines(text).for_each(|line| drop(row(line)));
        });
    }
}
