//! collect: how long tasks waited for CPU, disks and memory (PSI), from /proc/pressure.

use super::file::KeptFile;
use super::scan::{Odd, integer, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 5] = [
    Metric::counter(
        "node_pressure_cpu_waiting_seconds_total",
        "seconds",
        "Time during which some task could have run and had no CPU.",
    ),
    Metric::counter(
        "node_pressure_io_waiting_seconds_total",
        "seconds",
        "Time during which some task waited for a disk.",
    ),
    Metric::counter(
        "node_pressure_io_stalled_seconds_total",
        "seconds",
        "Time during which all tasks waited for a disk.",
    ),
    Metric::counter(
        "node_pressure_memory_waiting_seconds_total",
        "seconds",
        "Time during which some task waited for memory.",
    ),
    Metric::counter(
        "node_pressure_memory_stalled_seconds_total",
        "seconds",
        "Time during which all tasks waited for memory.",
    ),
];

/// A file and the metrics of its lines `some` and `full`.
struct Resource {
    file: KeptFile,
    waiting: &'static Metric,
    /// The CPU has none: `full` means nothing for a whole machine.
    stalled: Option<&'static Metric>,
}

struct Pressure([Resource; 3]);

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("pressure", "time lost waiting for CPU, disks and memory (PSI)", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    let [cpu, io, io_full, memory, memory_full] = &METRICS;
    let resource = |name, waiting, stalled| Resource {
        file: KeptFile::optional(settings.proc.join("pressure").join(name)),
        waiting,
        stalled,
    };
    Box::new(Pressure([
        resource("cpu", cpu, None),
        resource("io", io, Some(io_full)),
        resource("memory", memory, Some(memory_full)),
    ]))
}

/// The total of a line, in seconds.
fn total(line: &[u8]) -> Result<f64, Odd> {
    words(line)
        .find_map(|word| word.strip_prefix(b"total="))
        .and_then(integer)
        .map(|micros| micros as f64 / 1e6)
        .ok_or_else(|| Odd::new("no total", line))
}

impl Resource {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let Self { file, waiting, stalled } = self;
        let mut missing = [Some(*waiting), *stalled];
        file.each_line(out, |line, out| {
            let of = match words(line).next() {
                Some(b"some") => &mut missing[0],
                Some(b"full") => &mut missing[1],
                _ => return Ok(false),
            };
            let Some(metric) = of.take() else { return Ok(false) };
            out.put(metric, total(line)?);
            Ok(true)
        })?;
        let what = match missing {
            [None, None] => return Ok(()),
            [Some(_), _] => "the line `some`",
            [None, Some(_)] => "the line `full`",
        };
        Err(file.odd(Odd::missing(what)))
    }
}

impl Collector for Pressure {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let mut outcome = Err(CollectError::Absent);
        for resource in &mut self.0 {
            // The first failure is returned, or absence if all files are absent.
            outcome = match (outcome, resource.collect(out)) {
                (Err(CollectError::Absent), read) => read,
                (outcome, Err(CollectError::Absent)) => outcome,
                (Ok(()), read) => read,
                (failed, _) => failed,
            };
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::lines;
    use super::*;

    const IO: &[u8] = b"some avg10=0.82 avg60=0.54 avg300=0.40 total=4873591\n\
        full avg10=0.70 avg60=0.48 avg300=0.36 total=4429472\n";

    #[test]
    fn totals_are_microseconds() {
        assert_eq!(lines(IO).map(total).collect::<Vec<_>>(), [Ok(4.873591), Ok(4.429472)]);
        assert!(total(&IO[..40]).is_err());
    }

    #[test]
    fn garbage() {
        super::super::scan::tests::survives(IO, |text| lines(text).for_each(|l| drop(total(l))));
    }
}
