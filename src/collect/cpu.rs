//! collect: how each CPU spent its time, from /proc/stat.

use super::file::KeptFile;
use super::scan::{Odd, integer, lines, words};
use super::{CollectError, Collector, Settings};
use crate::model::{Metric, Recorder};

/// What it reports.
pub static METRICS: [Metric; 1] = [Metric::counter(
    "node_cpu_seconds_total",
    "seconds",
    "Time that a CPU has spent in a mode; guests are part of user and nice.",
)
.by(&["cpu", "mode"])];

/// In the order of the columns of /proc/stat.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;

/// The kernel tells times to user space in this unit on every architecture that Rust runs on.
const TICKS_A_SECOND: f64 = 100.0;

/// An idle time that falls by this much is a CPU that was taken out and put back (3 s).
const NEW_LIFE: u64 = 300;

type Ticks = [u64; MODES.len()];

struct Cpu {
    file: KeptFile,
    /// What was reported last, in the file's order.
    last: Vec<(u64, Ticks)>,
}

/// Makes the collector.
pub fn make(settings: &Settings) -> Box<dyn Collector> {
    let file = KeptFile::required(settings.proc.join("stat"));
    Box::new(Cpu { file, last: Vec::new() })
}

#[derive(Debug, PartialEq)]
struct Row<'a> {
    number: &'a str,
    id: u64,
    ticks: Ticks,
}

/// The rows of the single CPUs; the sum of all is left to whoever queries.
fn rows(text: &[u8]) -> impl Iterator<Item = Result<Row<'_>, Odd>> {
    lines(text).take_while(|line| line.starts_with(b"cpu")).filter_map(|line| {
        let mut words = words(line);
        let number = words.next()?.strip_prefix(b"cpu").filter(|n| !n.is_empty())?;
        Some(row(number, words).ok_or_else(|| Odd::new("no CPU times", line)))
    })
}

fn row<'a>(number: &'a [u8], mut words: impl Iterator<Item = &'a [u8]>) -> Option<Row<'a>> {
    let id = integer(number)?;
    let mut ticks = Ticks::default();
    for (at, place) in ticks.iter_mut().enumerate() {
        match words.next() {
            Some(word) => *place = integer(word)?,
            // 2.4 had four columns; each later one came at the end.
            None if at > IDLE => break,
            None => return None,
        }
    }
    Some(Row { number: std::str::from_utf8(number).ok()?, id, ticks })
}

/// The kernel estimates idle and iowait, and corrects itself downwards now and then. A counter that
/// falls would read as a restart and turn a rate into a spike: the old value stays.
fn hold(last: &mut Ticks, now: Ticks) {
    if last[IDLE].saturating_sub(now[IDLE]) >= NEW_LIFE {
        *last = now;
    }
    for (last, now) in last.iter_mut().zip(now) {
        *last = now.max(*last);
    }
}

impl Collector for Cpu {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let Self { file, last } = self;
        file.parse(|text| {
            let mut count = 0;
            for row in rows(text) {
                let row = row?;
                if last.get(count).is_none_or(|(id, _)| *id != row.id) {
                    last.truncate(count);
                    last.push((row.id, row.ticks));
                }
                let held = &mut last[count].1;
                hold(held, row.ticks);
                for (mode, ticks) in MODES.iter().zip(held) {
                    out.put_with(&METRICS[0], &[row.number, mode], *ticks as f64 / TICKS_A_SECOND);
                }
                count += 1;
            }
            if count == 0 { Err(Odd::new("no CPU", text)) } else { Ok(()) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let text = b"cpu  9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu11 1 2 3 4\nintr 5\ncpu3 1";
        let all = rows(text).collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(all[0], Row { number: "0", id: 0, ticks: [1, 2, 3, 4, 5, 6, 7, 8] });
        assert_eq!(all[1], Row { number: "11", id: 11, ticks: [1, 2, 3, 4, 0, 0, 0, 0] });
        assert_eq!(all.len(), 2);
        assert!(rows(b"cpu0 1 2 3\n").next().unwrap().is_err());
        assert!(rows(b"cpuset 1 2 3 4\n").next().unwrap().is_err());
    }

    #[test]
    fn small_steps_back_are_held_and_large_ones_are_a_new_life() {
        let mut last = [10, 0, 0, 1000, 50, 0, 0, 0];
        hold(&mut last, [11, 0, 0, 999, 40, 0, 0, 0]);
        assert_eq!(last, [11, 0, 0, 1000, 50, 0, 0, 0]);
        hold(&mut last, [1, 0, 0, 5, 0, 0, 0, 0]);
        assert_eq!(last, [1, 0, 0, 5, 0, 0, 0, 0]);
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/stat");
        super::super::scan::tests::survives(&good[..200], |text| rows(text).for_each(drop));
    }
}
