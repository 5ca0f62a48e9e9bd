//! collect: the wall clock, to compare with that of others.

use rustix::time::{ClockId, clock_gettime};

use super::{CollectError, Collector, Entry, Settings};
use crate::model::{Metric, Recorder};

/// Its metrics.
pub static METRICS: [Metric; 1] =
    [Metric::gauge("node_time_seconds", "seconds", "Wall clock of this machine, Unix time.")];

struct Time;

/// Its row in the table of collectors.
pub const ENTRY: Entry = Entry::new("time", "the wall clock", &METRICS, make);

fn make(_: &Settings) -> Box<dyn Collector> {
    Box::new(Time)
}

/// Nanoseconds since 1970 do not fit into a float; a sum rounds only once.
fn seconds(whole: i64, nanos: i64) -> f64 {
    whole as f64 + nanos as f64 / 1e9
}

impl Collector for Time {
    fn collect(&mut self, out: &mut Recorder) -> Result<(), CollectError> {
        // The clock is the subject of this collector, so it is not an argument.
        let now = clock_gettime(ClockId::Realtime);
        out.put(&METRICS[0], seconds(now.tv_sec, now.tv_nsec));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_count() {
        assert_eq!(seconds(1_700_000_000, 250_000_000), 1_700_000_000.25);
        assert_eq!(seconds(-1, 500_000_000), -0.5);
    }
}
