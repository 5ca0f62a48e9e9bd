//! pipeline: the pulse of the beat thread. The thread records when it will wake up, or which
//! collector it reads. If that is long ago, it hangs, which others see without asking it.

use std::sync::{Mutex, MutexGuard};

/// A collector takes some milliseconds. After so long it hangs (ms).
const PATIENCE_MS: i64 = 10_000;

/// See the module's text.
#[derive(Debug)]
pub struct Pulse(Mutex<Sign>);

#[derive(Debug, Clone, Copy)]
struct Sign {
    /// Boot time in ms at which it began to read, or at which it will wake up.
    at: i64,
    /// The collector that it reads; nothing: it sleeps.
    reads: Option<&'static str>,
    /// Whether the log says that it hangs.
    told: bool,
}

/// A beat that has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// For how long, in ms.
    pub for_ms: i64,
    /// The part that hangs, in a sentence.
    pub message: String,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Sign { at: i64::MAX, reads: None, told: false }))
    }
}

impl Pulse {
    fn sign(&self) -> MutexGuard<'_, Sign> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The thread begins to read a collector; `now`: boot time in ms.
    pub fn reads(&self, collector: &'static str, now: i64) {
        let mut sign = self.sign();
        (sign.at, sign.reads) = (now, Some(collector));
    }

    /// The thread sleeps until this boot time in ms; `None`: until it gets a message.
    pub fn sleeps(&self, until: Option<i64>) {
        let mut sign = self.sign();
        (sign.at, sign.reads) = (until.unwrap_or(i64::MAX), None);
    }

    /// The hang; `None` if the beat is alive.
    pub fn stopped(&self, now: i64) -> Option<Stopped> {
        let Sign { at, reads, .. } = *self.sign();
        let for_ms = now.saturating_sub(at);
        (for_ms > PATIENCE_MS).then(|| {
            let seconds = for_ms / 1_000;
            let why = match reads {
                Some(name) => format!(
                    "the collector {name} has not come back: a file system, a disk or a driver hangs, or the machine is overloaded"
                ),
                None => "its thread does not wake up".to_owned(),
            };
            let message = format!("nothing has been measured for {seconds} s; {why}");
            Stopped { for_ms, message }
        })
    }

    /// The change since the last call: it hangs, or (`Err`) it continues.
    pub fn news(&self, now: i64) -> Option<Result<Stopped, ()>> {
        let stopped = self.stopped(now);
        let mut sign = self.sign();
        let before = std::mem::replace(&mut sign.told, stopped.is_some());
        match stopped {
            Some(stopped) => (!before).then_some(Ok(stopped)),
            None => before.then_some(Err(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_hangs_when_it_comes_back_too_late() {
        let pulse = Pulse::default();
        assert_eq!(pulse.stopped(i64::MAX), None, "it was never there");
        pulse.sleeps(Some(60_000));
        assert_eq!(pulse.stopped(59_000), None, "it may sleep for long");
        assert_eq!(pulse.stopped(70_000), None);
        let late = pulse.stopped(70_001).unwrap();
        assert!(late.message.contains("10 s") && late.for_ms == 10_001, "{late:?}");
        pulse.reads("hwmon", 70_001);
        assert_eq!(pulse.stopped(80_001), None);
        assert_eq!(pulse.news(80_001), None);
        let hangs = pulse.news(103_000).unwrap().unwrap();
        assert!(hangs.message.contains("32 s; the collector hwmon has not"), "{hangs:?}");
        assert_eq!(pulse.news(104_000), None, "told once");
        pulse.sleeps(None);
        assert_eq!(pulse.news(105_000), Some(Err(())));
        assert_eq!(pulse.news(106_000), None);
    }
}
