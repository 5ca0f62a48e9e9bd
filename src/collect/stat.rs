//! collect: boot time, interrupts, context switches and processes, from /proc/stat.

use super::file::KeptFile;
use super::scan::{Odd, lines, name, want, words};
use super::{CollectError, Collector, Settings};
use crate::model::{Metric, Recorder};

/// What it reports.
pub static METRICS: [Metric; 6] = [
    Metric::counter("node_intr_total", "", "Interrupts served since boot."),
    Metric::counter(
        "node_context_switches_total",
        "",
        "Times a CPU has turned from one task to another since boot.",
    ),
    Metric::gauge("node_boot_time_seconds", "seconds", "When the machine was started, Unix time."),
    Metric::counter("node_forks_total", "", "Processes and threads started since boot."),
    Metric::gauge("node_procs_running", "", "Tasks that run or wait for a CPU."),
    Metric::gauge("node_procs_blocked", "", "Tasks that wait for a disk."),
];

/// The first words of the lines in question, in the order of [`METRICS`] and of the file.
const WORDS: [&[u8]; METRICS.len()] =
    [b"intr", b"ctxt", b"btime", b"processes", b"procs_running", b"procs_blocked"];

struct Stat(KeptFile);

/// Makes the collector.
pub fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(Stat(KeptFile::required(settings.proc.join("stat"))))
}

/// Which of [`METRICS`], and its value.
fn values(text: &[u8]) -> impl Iterator<Item = Result<(usize, f64), Odd>> {
    lines(text).filter(|line| !line.starts_with(b"cpu")).filter_map(|line| {
        let mut words = words(line);
        let first = words.next()?;
        let which = WORDS.iter().position(|w| *w == first)?;
        Some(want(words.next(), "no number", line).map(|value| (which, value)))
    })
}

impl Collector for Stat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        self.0.parse(|text| {
            let mut found = [false; METRICS.len()];
            for value in values(text) {
                let (which, value) = value?;
                found[which] = true;
                out.put(&METRICS[which], value);
            }
            match found.iter().position(|found| !found) {
                None => Ok(()),
                Some(at) => Err(Odd(format!("{} is missing", name(WORDS[at])))),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_interest() {
        let text =
            b"cpu 1 2\nintr 77 0 0\nctxt 5\nsoftirq 3 3\nbtime 1700000000\nprocs_blocked x\n";
        let all: Vec<_> = values(text).collect();
        assert_eq!(all[..3], [Ok((0, 77.0)), Ok((1, 5.0)), Ok((2, 1.7e9))]);
        assert!(all[3].as_ref().unwrap_err().0.contains("procs_blocked"));
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/stat");
        super::super::scan::tests::survives(good, |text| values(text).for_each(drop));
    }
}
