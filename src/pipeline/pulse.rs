//! pipeline: whether a thread that must go on still does: the one that keeps the beat, the one that
//! writes. It says when it will be awake again, or what it works on; who finds that to be long ago knows
//! that it hangs, without asking it.

use std::sync::{Mutex, MutexGuard};

/// A collector takes some milliseconds, and so does a commit. After so long it hangs (ms).
const PATIENCE_MS: i64 = 10_000;

/// See the module's text.
#[derive(Debug)]
pub struct Pulse {
    sign: Mutex<Sign>,
    /// What it means that it hangs: for so many seconds, in this work (nothing: asleep).
    means: fn(i64, Option<&str>) -> String,
}

#[derive(Debug, Clone, Copy)]
struct Sign {
    /// Boot time in ms at which it began to work, or at which it will be awake again.
    at: i64,
    /// What it works on; nothing: it sleeps.
    works: Option<&'static str>,
    /// Whether the log says that it hangs.
    told: bool,
}

/// A thread that does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// For how long, in ms.
    pub for_ms: i64,
    /// The part that hangs, in a sentence.
    pub message: String,
}

fn no_beat(seconds: i64, collector: Option<&str>) -> String {
    let why = match collector {
        Some(name) => format!(
            "the collector {name} has not come back: a file system, a disk or a driver hangs, or the machine is overloaded"
        ),
        None => "its thread does not wake up".to_owned(),
    };
    format!("nothing has been measured for {seconds} s; {why}")
}

fn no_writing(seconds: i64, work: Option<&str>) -> String {
    let work = work.unwrap_or("nothing, its thread does not wake up");
    format!(
        "nothing has been written for {seconds} s (at work on: {work}); the disk hangs, or the machine \
         is overloaded; samples wait in memory, and the oldest are lost when the queue is full"
    )
}

impl Pulse {
    /// Of the thread that reads the collectors.
    pub fn of_the_beat() -> Self {
        Self::new(no_beat)
    }

    /// Of the thread that writes the database.
    pub fn of_the_writer() -> Self {
        Self::new(no_writing)
    }

    fn new(means: fn(i64, Option<&str>) -> String) -> Self {
        Self { sign: Mutex::new(Sign { at: i64::MAX, works: None, told: false }), means }
    }

    fn sign(&self) -> MutexGuard<'_, Sign> {
        self.sign.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// It begins to work on this, the collector that it reads for one; `now`: boot time in ms.
    pub fn works(&self, on: &'static str, now: i64) {
        let mut sign = self.sign();
        (sign.at, sign.works) = (now, Some(on));
    }

    /// The thread sleeps until this boot time in ms; `None`: until it gets a message.
    pub fn sleeps(&self, until: Option<i64>) {
        let mut sign = self.sign();
        (sign.at, sign.works) = (until.unwrap_or(i64::MAX), None);
    }

    /// The hang; `None` if the beat is alive.
    pub fn stopped(&self, now: i64) -> Option<Stopped> {
        let Sign { at, works, .. } = *self.sign();
        let for_ms = now.saturating_sub(at);
        (for_ms > PATIENCE_MS)
            .then(|| Stopped { for_ms, message: (self.means)(for_ms / 1_000, works) })
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
        let pulse = Pulse::of_the_beat();
        assert_eq!(pulse.stopped(i64::MAX), None, "it was never there");
        pulse.sleeps(Some(60_000));
        assert_eq!(pulse.stopped(59_000), None, "it may sleep for long");
        assert_eq!(pulse.stopped(70_000), None);
        let late = pulse.stopped(70_001).unwrap();
        assert!(late.message.contains("10 s") && late.for_ms == 10_001, "{late:?}");
        pulse.works("hwmon", 70_001);
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
