//! collect: the load averages, from /proc/loadavg.

use super::file::KeptFile;
use super::scan::{Odd, want, words};
use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 4] = [
    Metric::gauge(
        "cpu",
        "",
        "Load average over five minutes: how many tasks ran, waited for a CPU or for a disk.",
    ),
    Metric::gauge("node_load1", "", "Load average over one minute."),
    Metric::gauge("node_load5", "", "Load average over five minutes."),
    Metric::gauge("node_load15", "", "Load average over fifteen minutes."),
];

struct LoadAvg(KeptFile);

/// Its row in the table of collectors.
pub const ENTRY: Entry =
    Entry::new("loadavg", "load averages; `cpu` is the one over five minutes", &METRICS, make);

fn make(settings: &Settings) -> Box<dyn Collector> {
    Box::new(LoadAvg(KeptFile::required(settings.proc.join("loadavg"))))
}

/// The averages over 1, 5 and 15 minutes.
fn averages(text: &[u8]) -> impl Iterator<Item = Result<f64, Odd>> {
    let mut words = words(text);
    (0..3).map(move |_| want(words.next(), "no load average", text))
}

impl Collector for LoadAvg {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        let [cpu, load1, load5, load15] = &METRICS;
        self.0.parse(|text| {
            for (metric, average) in [load1, load5, load15].into_iter().zip(averages(text)) {
                let average = average?;
                if std::ptr::eq(metric, load5) {
                    out.put(cpu, average);
                }
                out.put(metric, average);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers() {
        let all: Result<Vec<_>, _> = averages(b"0.19 0.38 12.28 1/85 7436\n").collect();
        assert_eq!(all, Ok(vec![0.19, 0.38, 12.28]));
        let mut short = averages(b"0.19\n");
        assert_eq!(short.next(), Some(Ok(0.19)));
        assert!(short.next().unwrap().unwrap_err().to_string().contains("0.19"));
    }

    #[test]
    fn garbage() {
        super::super::scan::tests::survives(b"0.19 0.38 0.28 1/85 7436\n", |t| {
            averages(t).for_each(drop);
        });
    }
}
