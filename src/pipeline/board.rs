//! pipeline: the board of what is wrong right now. It is what `/health` shows, and what keeps the
//! log short: a failure that repeats is logged once, then as a count at growing distances. A beat or a
//! writer that has stopped can tell nobody; the board finds that out by itself whenever it is looked at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Pulse;
use crate::model::Clock;

/// The subject of a beat that has stopped.
pub const BEAT: &str = "beat";
/// The subject of a writer that has stopped.
pub const WRITER: &str = "writer of the database";

/// A current problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Since when, in ms since 1970 UTC.
    pub since: i64,
    /// How often it was seen since.
    pub count: u64,
    /// The last message.
    pub message: String,
}

struct Entry {
    problem: Problem,
    since_boot: i64,
    next_log: i64,
    pause: i64,
}

/// See the module's text.
pub struct Board {
    clock: Arc<dyn Clock>,
    entries: Mutex<BTreeMap<String, Entry>>,
    beat: Pulse,
    writer: Pulse,
}

const FIRST_PAUSE_MS: i64 = 60_000;
const LONGEST_PAUSE_MS: i64 = 3_600_000;

impl Board {
    /// An empty board.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (beat, writer) = (Pulse::of_the_beat(), Pulse::of_the_writer());
        Self { clock, entries: Mutex::default(), beat, writer }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Records a failure. `subject` names the part (`collector filesystem`, `database`).
    pub fn fail(&self, subject: &str, message: String) {
        let now = self.clock.boot_ms();
        let mut entries = self.lock();
        if let Some(entry) = entries.get_mut(subject) {
            entry.problem.count += 1;
            entry.problem.message = message;
            if now >= entry.next_log {
                let Problem { count, message, .. } = &entry.problem;
                let for_ = seconds(now - entry.since_boot);
                tracing::warn!("{subject}: still failing after {for_} ({count} times): {message}");
                entry.pause = (entry.pause * 10).min(LONGEST_PAUSE_MS);
                entry.next_log = now + entry.pause;
            }
            return;
        }
        tracing::warn!("{subject}: {message}");
        entries.insert(
            subject.to_owned(),
            Entry {
                problem: Problem { since: self.clock.wall_ms(), count: 1, message },
                since_boot: now,
                next_log: now + FIRST_PAUSE_MS,
                pause: FIRST_PAUSE_MS,
            },
        );
    }

    /// Records that the part works (again).
    pub fn ok(&self, subject: &str) {
        if let Some(entry) = self.lock().remove(subject) {
            let for_ = seconds(self.clock.boot_ms() - entry.since_boot);
            let count = entry.problem.count;
            let s = if count == 1 { "" } else { "s" };
            tracing::info!("{subject}: works again after {for_} ({count} failure{s})");
        }
    }

    /// Records that the part works. For callers that would have to build the subject's name: free
    /// while there are no problems.
    pub fn ok_with(&self, subject: impl FnOnce() -> String) {
        if !self.lock().is_empty() {
            self.ok(&subject());
        }
    }

    /// Forgets a part, such as a collector that was switched off.
    pub fn forget(&self, subject: &str) {
        self.lock().remove(subject);
    }

    /// The pulse, by which the beat thread reports its activity.
    pub fn beat(&self) -> &Pulse {
        &self.beat
    }

    /// Where the thread that writes says what it does.
    pub fn writer(&self) -> &Pulse {
        &self.writer
    }

    /// Logs that the beat has stopped, and that it goes on, each once. For somebody who wakes up anyway.
    pub fn look_at_beat(&self) {
        self.look_at(BEAT, &self.beat);
    }

    /// Logs that the writer hangs, and that it continues, each once.
    pub fn look_at_writer(&self) {
        self.look_at(WRITER, &self.writer);
    }

    fn look_at(&self, subject: &str, pulse: &Pulse) {
        match pulse.news(self.clock.boot_ms()) {
            Some(Ok(stopped)) => tracing::error!("{subject}: {}", stopped.message),
            Some(Err(())) => tracing::info!("{subject}: it goes on"),
            None => {}
        }
    }

    fn pulses(&self) -> [(&'static str, &Pulse); 2] {
        [(BEAT, &self.beat), (WRITER, &self.writer)]
    }

    /// Whether anything is wrong now whose subject begins with one of these.
    pub fn has(&self, subjects: &[&str]) -> bool {
        let ours = |subject: &str| subjects.iter().any(|ours| subject.starts_with(ours));
        self.lock().keys().any(|subject| ours(subject))
            || self
                .pulses()
                .iter()
                .any(|(of, pulse)| ours(of) && pulse.stopped(self.clock.boot_ms()).is_some())
    }

    /// The current problems, by subject.
    pub fn problems(&self) -> Vec<(String, Problem)> {
        let mut all: Vec<_> =
            self.lock().iter().map(|(s, e)| (s.clone(), e.problem.clone())).collect();
        for (subject, pulse) in self.pulses() {
            let Some(stopped) = pulse.stopped(self.clock.boot_ms()) else { continue };
            let since = self.clock.wall_ms() - stopped.for_ms;
            all.push((subject.to_owned(), Problem { since, count: 1, message: stopped.message }));
        }
        all
    }
}

fn seconds(ms: i64) -> String {
    format!("{} s", ms / 1000)
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.problems()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ManualClock;

    #[test]
    fn a_beat_that_stopped_is_found_by_whoever_looks() {
        let clock = Arc::new(ManualClock::at(5_000));
        let board = Board::new(clock.clone());
        board.beat().works("textfile", clock.boot_ms());
        clock.advance(10_000);
        assert_eq!(board.problems(), []);
        clock.advance(22_000);
        let [(subject, problem)] = &*board.problems() else { panic!("nothing is told") };
        assert_eq!((&**subject, problem.since), (BEAT, 5_000));
        assert!(problem.message.contains("32 s; the collector textfile"), "{problem:?}");
        board.beat().sleeps(None);
        assert_eq!(board.problems(), []);
        board.writer().works("a commit", clock.boot_ms());
        clock.advance(11_000);
        let [(subject, problem)] = &*board.problems() else { panic!("nothing is told") };
        assert_eq!(&**subject, WRITER);
        assert!(problem.message.contains("for 11 s (at work on: a commit)"), "{problem:?}");
        assert!(board.has(&[WRITER]) && !board.has(&[BEAT]));
        board.writer().sleeps(None);
        assert_eq!(board.problems(), []);
    }

    #[test]
    fn a_problem_is_counted_and_ends() {
        let clock = Arc::new(ManualClock::at(5_000));
        let board = Board::new(clock.clone());
        board.fail("collector x", "first".into());
        clock.advance(10);
        board.fail("collector x", "second".into());
        board.ok("collector y");
        let problem = Problem { since: 5_000, count: 2, message: "second".into() };
        assert_eq!(board.problems(), [("collector x".to_owned(), problem)]);
        board.ok("collector x");
        assert_eq!(board.problems(), []);
    }
}
