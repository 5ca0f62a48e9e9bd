//! collect: paging and swapping, from /proc/vmstat.

use super::file::KeptFile;
use super::scan::{Odd, count, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
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

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("vmstat", "paging, swapping, kills for want of memory", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(VmStat(KeptFile::optional(settings.proc.join("vmstat"))))
}

/// Which of [`METRICS`], and its value; nothing in the other lines.
fn value(line: &[u8]) -> Result<Option<(usize, f64)>, Odd> {
    // Most of the 190 lines begin with another letter.
    if !matches!(line.first(), Some(b'p' | b'o')) {
        return Ok(None);
    }
    let mut words = words(line);
    let first = words.next().unwrap_or_default();
    let Some(which) = WORDS.iter().position(|w| *w == first) else { return Ok(None) };
    let value = words.next().and_then(count).ok_or_else(|| Odd::new("no number", line))?;
    Ok(Some((which, value)))
}

impl Collector for VmStat {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        // Any of them may be missing: a kernel without swap has no pswpin, one before 4.13 no
        // oom_kill.
        self.0.each_line(out, |line, out| {
            let Some((which, value)) = value(line)? else { return Ok(false) };
            out.put(&METRICS[which], value);
            Ok(true)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::lines;
    use super::*;

    #[test]
    fn only_the_whole_name_counts() {
        let text =
            b"nr_free_pages 1\npgfault_x 9\npgfault 2\npgpgin 18446744073709551615\npswpin\n";
        let all: Vec<_> = lines(text).map(value).collect();
        assert_eq!(all[..2], [Ok(None), Ok(None)]);
        assert_eq!(all[2..4], [Ok(Some((4, 2.0))), Ok(Some((0, 18446744073709551615.0)))]);
        assert!(all[4].is_err() && all.len() == 5);
    }

    #[test]
    fn garbage() {
        let good = include_bytes!("../../tests/fixtures/machines/vm/proc/vmstat");
        super::super::scan::tests::survives(good, |text| {
            lines(text).for_each(|line| drop(value(line)));
        });
    }
}
