//! collect: memory, from /proc/meminfo.

use super::file::KeptFile;
use super::scan::{Odd, number, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 3] = [
    Metric::gauge(
        "memory",
        "ratio",
        "Share of the memory that programs could still get without swapping, 0 to 1.",
    ),
    Metric::gauge("node_memory_*_bytes", "bytes", "What /proc/meminfo gives as *, in bytes."),
    Metric::gauge("node_memory_*", "", "What /proc/meminfo gives as *, a number of pages."),
];

static MEMORY: &Metric = &METRICS[0];
static BYTES: &Metric = &METRICS[1];
static COUNT: &Metric = &METRICS[2];

struct MemInfo {
    file: KeptFile,
    /// The field's name as part of a series' name, kept to allocate it once.
    part: String,
}

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("meminfo", "memory; `memory` is the share that is available", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    let file = KeptFile::required(settings.proc.join("meminfo"));
    Box::new(MemInfo { file, part: String::new() })
}

#[derive(Debug, PartialEq)]
struct Field<'a> {
    /// The name as the kernel writes it, `Active(anon)`.
    name: &'a [u8],
    /// The value in bytes, or a plain number.
    value: f64,
    in_bytes: bool,
}

fn field(line: &[u8]) -> Result<Field<'_>, Odd> {
    let odd = || Odd::new("no memory field", line);
    let mut words = words(line);
    let name = words.next().and_then(|w| w.strip_suffix(b":")).ok_or_else(odd)?;
    let value = words.next().and_then(number).ok_or_else(odd)?;
    match (words.next(), words.next()) {
        (None, _) => Ok(Field { name, value, in_bytes: false }),
        (Some(b"kB"), None) => Ok(Field { name, value: value * 1024.0, in_bytes: true }),
        _ => Err(odd()),
    }
}

/// `Active(anon)` as `Active_anon`.
fn write_part(part: &mut String, name: &[u8]) {
    part.clear();
    for b in name.strip_suffix(b")").unwrap_or(name) {
        part.push(if b.is_ascii_alphanumeric() { char::from(*b) } else { '_' });
    }
}

/// The fields of which the share of available memory is made.
#[derive(Debug, Default)]
struct Share {
    total: Option<f64>,
    available: Option<f64>,
    free: Option<f64>,
    buffers: Option<f64>,
    cached: Option<f64>,
}

impl Share {
    fn note(&mut self, field: &Field) {
        let place = match field.name {
            b"MemTotal" => &mut self.total,
            b"MemAvailable" => &mut self.available,
            b"MemFree" => &mut self.free,
            b"Buffers" => &mut self.buffers,
            b"Cached" => &mut self.cached,
            _ => return,
        };
        *place = Some(field.value);
    }

    /// The available share. Kernels before 3.14 have no MemAvailable, so free and easily freed
    /// memory is used instead.
    fn ratio(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0.0)?;
        let available = match self.available {
            Some(available) => available,
            None => self.free? + self.buffers? + self.cached?,
        };
        Some(available / total)
    }
}

impl Collector for MemInfo {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let Self { file, part } = self;
        let mut share = Share::default();
        file.each_line(out, |line, out| {
            let field = field(line)?;
            share.note(&field);
            write_part(part, field.name);
            out.put_part(if field.in_bytes { BYTES } else { COUNT }, part, &[], field.value);
            Ok(true)
        })?;
        let missing = || file.odd(Odd::missing("MemTotal or MemAvailable"));
        out.put(MEMORY, share.ratio().ok_or_else(missing)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::lines;
    use super::*;

    fn ratio(text: &[u8]) -> Option<f64> {
        let mut share = Share::default();
        lines(text).for_each(|line| share.note(&field(line).unwrap()));
        share.ratio()
    }

    #[test]
    fn the_share_of_memory_left() {
        assert_eq!(ratio(b"MemTotal: 200 kB\nMemFree: 1 kB\nMemAvailable: 150 kB\n"), Some(0.75));
        let old = b"MemTotal: 200 kB\nMemFree: 40 kB\nBuffers: 20 kB\nCached: 90 kB\n";
        assert_eq!(ratio(old), Some(0.75));
        assert_eq!(ratio(b"MemTotal: 200 kB\nMemFree: 1 kB\n"), None);
        assert_eq!(ratio(b"MemTotal: 0 kB\nMemAvailable: 0 kB\n"), None);
    }

    #[test]
    fn names_as_node_exporter_s() {
        for (name, expected) in [
            ("Active(anon)", "Active_anon"),
            ("HugePages_Total", "HugePages_Total"),
            ("a-b", "a_b"),
        ] {
            let mut part = String::from("old");
            write_part(&mut part, name.as_bytes());
            assert_eq!(part, expected);
        }
    }

    #[test]
    fn units() {
        let text = b"HugePages_Total:       3\nHugepagesize: 2048 kB\nX: 1 MB\n";
        let all: Vec<_> = lines(text).map(field).collect();
        assert_eq!(all[0], Ok(Field { name: b"HugePages_Total", value: 3.0, in_bytes: false }));
        assert_eq!(all[1].as_ref().unwrap().value, 2097152.0);
        assert!(all[2].is_err());
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/meminfo");
        super::super::scan::tests::survives(good, |text| {
            let (mut share, mut part) = (Share::default(), String::new());
            for field in lines(text).flat_map(field) {
                share.note(&field);
                write_part(&mut part, field.name);
            }
            let _ = share.ratio();
        });
    }
}
