//! collect: boot time, interrupts, context switches and processes, from /proc/stat.

use rustix::time::{ClockId, clock_gettime};

use super::file::KeptFile;
use super::scan::{Odd, count, name, number, want, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Kind, Metric, Recorder, uptime_ms};

/// Its metrics.
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

/// The index of the boot time among them.
const BOOT: usize = 2;

struct Stat {
    file: KeptFile,
    uptime: KeptFile,
    /// The boot time that was computed from the uptime. It is kept, because the result varies a
    /// little.
    booted: Option<f64>,
}

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("stat", "boot time, interrupts, context switches, processes", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(Stat {
        file: KeptFile::required(settings.proc.join("stat")),
        uptime: KeptFile::optional(settings.proc.join("uptime")),
        booted: None,
    })
}

/// Which of [`METRICS`] a line has.
fn which(line: &[u8]) -> Option<usize> {
    let first = words(line).next()?;
    WORDS.iter().position(|w| *w == first)
}

fn value(which: usize, line: &[u8]) -> Result<f64, Odd> {
    let word = words(line).nth(1);
    let value = if METRICS[which].kind == Kind::Counter { count } else { number };
    word.and_then(value).ok_or_else(|| Odd::new("no number", line))
}

/// The boot time by the uptime, if the clock says `now` (s since 1970). It keeps the result of
/// before, unless the clock has been set since.
fn by_uptime(now: i64, uptime: f64, before: Option<f64>) -> Option<f64> {
    let booted = (now as f64 - uptime).round();
    match before {
        Some(before) if (before - booted).abs() <= 2.0 => Some(before),
        _ => uptime_ms(booted, now * 1000).map(|_| booted),
    }
}

impl Stat {
    /// A plausible boot time. A machine without a battery clock starts in 1970, and some kernels
    /// keep that as boot time. The uptime is used then.
    fn plausible(&mut self, booted: f64) -> f64 {
        let now = clock_gettime(ClockId::Realtime).tv_sec;
        if uptime_ms(booted, now * 1000).is_some() {
            return booted;
        }
        let seconds = self.uptime.parse(|text| want(words(text).next(), "no uptime", text));
        self.booted = seconds.ok().and_then(|uptime| by_uptime(now, uptime, self.booted));
        self.booted.unwrap_or(booted)
    }
}

impl Collector for Stat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let mut found = [false; METRICS.len()];
        let mut values = [None; METRICS.len()];
        self.file.each_line(out, |line, _| {
            let Some(which) = which(line) else { return Ok(false) };
            // An odd line is reported as odd, and not also as missing.
            found[which] = true;
            values[which] = Some(value(which, line)?);
            Ok(true)
        })?;
        values[BOOT] = values[BOOT].map(|booted| self.plausible(booted));
        for (metric, value) in METRICS.iter().zip(values) {
            if let Some(value) = value {
                out.put(metric, value);
            }
        }
        match found.iter().position(|found| !found) {
            None => Ok(()),
            Some(at) => Err(self.file.odd(Odd::missing(&name(WORDS[at])))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::lines;
    use super::*;

    fn values(text: &[u8]) -> Vec<Option<Result<f64, Odd>>> {
        lines(text).map(|line| which(line).map(|which| value(which, line))).collect()
    }

    #[test]
    fn lines_of_interest() {
        let all = values(b"cpu 1 2\nintr 77 0 0\nctxt 5\nsoftirq 3\nbtime 17\nprocs_blocked x\n");
        assert_eq!(all[..5], [None, Some(Ok(77.0)), Some(Ok(5.0)), None, Some(Ok(17.0))]);
        assert!(all[5].clone().unwrap().unwrap_err().to_string().contains("procs_blocked"));
    }

    #[test]
    fn a_counter_past_its_sign_is_no_negative_number() {
        let all = values(b"processes -2045677862\nprocs_running -1\n");
        assert_eq!(all, [Some(Ok(2_249_289_434.0)), Some(Ok(-1.0))]);
    }

    #[test]
    fn a_boot_time_of_1970_is_made_of_the_uptime() {
        let dir = tempfile::tempdir().unwrap();
        let rest = "intr 1\nctxt 1\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n";
        std::fs::write(dir.path().join("stat"), format!("btime 12\n{rest}")).unwrap();
        let mut collector = make(&Settings { proc: dir.path().to_owned(), ..Settings::default() });
        let mut out = Recorder::new(Default::default(), "node", Default::default());
        let mut booted = || {
            out.begin();
            collector.collect(&mut out).unwrap();
            out.samples()[BOOT].1
        };
        // Nothing better is known.
        assert_eq!(booted(), 12.0);
        std::fs::write(dir.path().join("uptime"), "1080.25 2000.00\n").unwrap();
        let now = clock_gettime(ClockId::Realtime).tv_sec as f64;
        assert!((now - booted() - 1080.0).abs() < 60.0);
    }

    #[test]
    fn the_uptime_gives_one_boot_time_and_not_one_a_beat() {
        let first = by_uptime(1_700_000_100, 99.6, None);
        assert_eq!(first, Some(1_700_000_000.0));
        assert_eq!(by_uptime(1_700_000_200, 198.9, first), first);
        // The clock was set.
        assert_eq!(by_uptime(1_800_000_000, 300.0, first), Some(1_799_999_700.0));
        // It still reports 1970.
        assert_eq!(by_uptime(5_000, 4_990.0, None), None);
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/stat");
        super::super::scan::tests::survives(good, |text| drop(values(text)));
    }
}
