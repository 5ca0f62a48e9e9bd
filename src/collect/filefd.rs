//! collect: open files of the whole machine, from /proc/sys/fs/file-nr.

use super::file::KeptFile;
use super::scan::{Odd, want, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 2] = [
    Metric::gauge("node_filefd_allocated", "", "Files held open on the whole machine."),
    Metric::gauge("node_filefd_maximum", "", "How many files may be open at once."),
];

struct FileFd(KeptFile);

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new("filefd", "open files of the whole machine", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(FileFd(KeptFile::optional(settings.proc.join("sys/fs/file-nr"))))
}

/// The first and the third number; the second has been 0 since 2.6.
fn values(text: &[u8]) -> impl Iterator<Item = Result<f64, Odd>> {
    let mut words = words(text).step_by(2);
    (0..2).map(move |_| want(words.next(), "no number of files", text))
}

impl Collector for FileFd {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        self.0.parse(|text| {
            METRICS.iter().zip(values(text)).try_for_each(|(m, v)| v.map(|v| out.put(m, v)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_third() {
        let all: Result<Vec<_>, _> = values(b"414\t0\t9223372036854775807\n").collect();
        assert_eq!(all, Ok(vec![414.0, 9223372036854775807.0]));
        assert!(values(b"414\t0\n").nth(1).unwrap().is_err());
    }

    #[test]
    fn garbage() {
        super::super::scan::tests::survives(b"414\t0\t2466177\n", |t| values(t).for_each(drop));
    }
}
