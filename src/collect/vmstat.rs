//! collect: paging and swapping, from /proc/vmstat.

use super::file::KeptFile;
use super::scan::{Odd, lines, want, words};
use super::{CollectError, Collector, Settings};
use crate::model::{Metric, Recorder};

/// What it reports.
pub static METRICS: [Metric; 7] = [
    Metric::counter("node_vmstat_pgpgin", "", "KiB read from disks since boot."),
    Metric::counter("node_vmstat_pgpgout", "", "KiB written to disks since boot."),
    Metric::counter("node_vmstat_pswpin", "", "Pages brought back from swap since boot."),
    Metric::counter("node_vmstat_pswpout", "", "Pages put out to swap since boot."),
    Metric::counter("node_vmstat_pgfault", "", "Page faults since boot."),
    Metric::counter("node_vmstat_pgmajfault", "", "Page faults since boot that waited for a disk."),
    Metric::counter(
        "node_vmstat_oom_kill",
        "",
        "Processes killed since boot because memory had run out.",
    ),
];

/// The fields, in the order of [`METRICS`] and of the file.
const WORDS: [&[u8]; METRICS.len()] =
    [b"pgpgin", b"pgpgout", b"pswpin", b"pswpout", b"pgfault", b"pgmajfault", b"oom_kill"];

struct VmStat(KeptFile);

/// Makes the collector.
pub fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(VmStat(KeptFile::optional(settings.proc.join("vmstat"))))
}

/// Which of [`METRICS`], and its value.
fn values(text: &[u8]) -> impl Iterator<Item = Result<(usize, f64), Odd>> {
    // Most of the 190 lines begin with another letter.
    lines(text).filter(|line| matches!(line.first(), Some(b'p' | b'o'))).filter_map(|line| {
        let mut words = words(line);
        let first = words.next()?;
        let which = WORDS.iter().position(|w| *w == first)?;
        Some(want(words.next(), "no number", line).map(|value| (which, value)))
    })
}

impl Collector for VmStat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        // Any of them may be missing: a kernel without swap has no pswpin, one before 4.13 no
        // oom_kill.
        self.0.parse(|text| {
            values(text)
                .try_for_each(|value| value.map(|(which, value)| out.put(&METRICS[which], value)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_name_counts() {
        let text =
            b"nr_free_pages 1\npgfault_x 9\npgfault 2\npgpgin 18446744073709551615\npswpin\n";
        let all: Vec<_> = values(text).collect();
        assert_eq!(all[..2], [Ok((4, 2.0)), Ok((0, 18446744073709551615.0))]);
        assert!(all[2].is_err() && all.len() == 3);
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/vmstat");
        super::super::scan::tests::survives(good, |text| values(text).for_each(drop));
    }
}
