//! collect: how each CPU spent its time, from /proc/stat.

use super::file::KeptFile;
use super::scan::{Odd, integer, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 1] = [Metric::counter(
    "node_cpu_seconds_total",
    "seconds",
    "Time that a CPU has spent in a mode; guests are part of user and nice.",
)
.by(&["cpu", "mode"])];

/// The modes in the order of the columns of /proc/stat.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;

/// The kernel tells times to user space in this unit on every architecture that Rust runs on.
const TICKS_A_SECOND: f64 = 100.0;

type Ticks = [u64; MODES.len()];

struct Cpu(KeptFile);

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new("cpu", "how each CPU spent its time", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(Cpu(KeptFile::required(settings.proc.join("stat"))))
}

#[derive(Debug, PartialEq)]
struct Row<'a> {
    number: &'a str,
    ticks: Ticks,
}

/// The row of a single CPU; `None` for other lines. Readers compute the sum of all CPUs.
fn row(line: &[u8]) -> Result<Option<Row<'_>>, Odd> {
    if !line.starts_with(b"cpu") {
        return Ok(None);
    }
    let mut words = words(line);
    let number = words.next().and_then(|word| word.strip_prefix(b"cpu")).unwrap_or_default();
    if number.is_empty() {
        return Ok(None);
    }
    times(number, words).map(Some).ok_or_else(|| Odd::new("no CPU times", line))
}

fn times<'a>(number: &'a [u8], mut words: impl Iterator<Item = &'a [u8]>) -> Option<Row<'a>> {
    integer(number)?;
    let mut ticks = Ticks::default();
    for (at, place) in ticks.iter_mut().enumerate() {
        match words.next() {
            Some(word) => *place = integer(word)?,
            // 2.4 had four columns; each later one came at the end.
            None if at > IDLE => break,
            None => return None,
        }
    }
    Some(Row { number: std::str::from_utf8(number).ok()?, ticks })
}

impl Collector for Cpu {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let mut found = false;
        self.0.each_line(out, |line, out| {
            let Some(Row { number, ticks }) = row(line)? else { return Ok(false) };
            found = true;
            // The kernel estimates idle and iowait, and corrects itself downwards now and then: the
            // recorder holds the old value.
            for (mode, ticks) in MODES.iter().zip(ticks) {
                out.put_with(&METRICS[0], &[number, mode], ticks as f64 / TICKS_A_SECOND);
            }
            Ok(true)
        })?;
        if found { Ok(()) } else { Err(self.0.odd(Odd::missing("every CPU"))) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::lines;
    use super::*;

    #[test]
    fn columns() {
        let all = |text: &'static [u8]| lines(text).map(row).collect::<Vec<_>>();
        let rows = all(
            b"cpu  9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu11 1 2 3 4\nintr 5\ncpu3 1\ncpux 1 2 3 4",
        );
        assert_eq!(rows[1], Ok(Some(Row { number: "0", ticks: [1, 2, 3, 4, 5, 6, 7, 8] })));
        assert_eq!(rows[2], Ok(Some(Row { number: "11", ticks: [1, 2, 3, 4, 0, 0, 0, 0] })));
        assert_eq!([&rows[0], &rows[3]], [&Ok(None), &Ok(None)]);
        assert!(rows[4].is_err() && rows[5].is_err());
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/stat");
        super::super::scan::tests::survives(&good[..200], |text| {
            lines(text).for_each(|l| drop(row(l)))
        });
    }
}
